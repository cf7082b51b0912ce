package embedded

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/posnode/posnode/events"
)

// Read yields every entry from `from` to the last that existed when the call
// began, in order. JetStream leaves out a record that it cannot read and says nothing; Read
// counts, and returns a *events.CorruptError of kind "gap" that names the first entry
// missing. Next finds where it goes on behind a gap.
func (j *Journal) Read(ctx context.Context, from uint64, yield func(events.Message) error) error {
	last, err := j.Last(ctx)
	if err != nil {
		return err
	}
	next := max(from, 1)
	if next > last {
		return nil
	}
	err = j.scan(ctx, next, last, func(m events.Message) error {
		if m.Sequence != next {
			return gap(next, "entry "+strconv.FormatUint(m.Sequence, 10))
		}
		next++
		return yield(m)
	})
	if err != nil {
		return err
	}
	if next <= last {
		return gap(next, "nothing up to the last, "+strconv.FormatUint(last, 10))
	}
	return nil
}

// Next returns the first entry at or behind seq that can be read. ok is false when there is none.
func (j *Journal) Next(ctx context.Context, seq uint64) (m events.Message, ok bool, err error) {
	last, err := j.Last(ctx)
	if err != nil || seq > last {
		return m, false, err
	}
	err = j.scan(ctx, max(seq, 1), last, func(found events.Message) error {
		m, ok = found, true
		return errStop
	})
	if err == errStop {
		err = nil
	}
	return m, ok, err
}

var errStop = fmt.Errorf("stop")

// scan yields what can be read of from..last, in order, and ends at last or at the
// end of the stream, whichever comes first.
func (j *Journal) scan(ctx context.Context, from, last uint64, yield func(events.Message) error) error {
	c, err := j.stream.CreateConsumer(ctx, jetstream.ConsumerConfig{
		DeliverPolicy: jetstream.DeliverByStartSequencePolicy,
		OptStartSeq:   from,
		AckPolicy:     jetstream.AckNonePolicy,
		MemoryStorage: true, // a reader writes nothing
		Replicas:      1,
	})
	if err != nil {
		return fmt.Errorf("read the journal from %d: %w", from, err)
	}
	name := c.CachedInfo().Name
	defer func() { _ = j.stream.DeleteConsumer(context.WithoutCancel(ctx), name) }()
	sub, err := j.nc.SubscribeSync(j.nc.NewInbox())
	if err != nil {
		return fmt.Errorf("read the journal from %d: %w", from, err)
	}
	defer func() { _ = sub.Unsubscribe() }()
	p := puller{nc: j.nc, sub: sub, subject: "$JS.API.CONSUMER.MSG.NEXT." + journalName(j.epoch) + "." + name}
	return p.pull(ctx, last, yield)
}

// puller reads a pull consumer. It keeps two requests open, so that the server
// works on one while we work on what the other brought.
type puller struct {
	nc      *nats.Conn
	sub     *nats.Subscription
	subject string
}

const pullBatch = 1000

func (p puller) request() error {
	return p.nc.PublishRequest(p.subject, p.sub.Subject, []byte(`{"batch":`+strconv.Itoa(pullBatch)+`,"max_bytes":4194304,"expires":10000000000}`))
}

func (p puller) pull(ctx context.Context, last uint64, yield func(events.Message) error) error {
	for range 2 {
		if err := p.request(); err != nil {
			return err
		}
	}
	for n := 1; ; {
		msg, err := p.sub.NextMsgWithContext(ctx)
		if err != nil {
			return err
		}
		if status := msg.Header.Get("Status"); status != "" {
			return fmt.Errorf("status %s", status)
		}
		m, err := message(msg)
		if err != nil {
			return err
		}
		if err := yield(m); err != nil {
			return err
		}
		if m.Sequence >= last {
			return nil
		}
		if n%pullBatch == 0 {
			if err := p.request(); err != nil {
				return err
			}
		}
		n++
	}
}

// message makes an entry of a delivered message, whose number stands in its reply subject.
func message(msg *nats.Msg) (events.Message, error) {
	meta, err := msg.Metadata()
	if err != nil {
		return events.Message{}, fmt.Errorf("read the journal: %w", err)
	}
	return events.Message{
		Subject:  msg.Subject,
		ID:       msg.Header.Get(nats.MsgIdHdr),
		Sequence: meta.Sequence.Stream,
		Body:     msg.Data,
	}, nil
}

var _ = strings.Cut
