package embedded

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/posnode/posnode/events"
)

// Read yields every entry from `from` to the last that existed when the call began, in order.
// JetStream leaves out a record that it cannot read, without an error. So Read counts, and returns
// a *events.CorruptError of kind "gap" that names the first missing entry. Next finds the first
// entry behind a gap.
func (j *Journal) Read(ctx context.Context, from uint64, yield func(events.Message) error) error {
	last, err := j.Last(ctx)
	if err != nil {
		return err
	}
	next := max(from, 1)
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

// Next returns the first readable entry at or behind seq. ok is false if there is none.
func (j *Journal) Next(ctx context.Context, seq uint64) (m events.Message, ok bool, err error) {
	last, err := j.Last(ctx)
	if err != nil {
		return m, false, err
	}
	err = j.scan(ctx, max(seq, 1), last, func(found events.Message) error {
		m, ok = found, true
		return errStop
	})
	if errors.Is(err, errStop) {
		err = nil
	}
	return m, ok, err
}

var errStop = errors.New("stop")

const (
	// readHeartbeat is the time after which a scan learns that nothing readable follows.
	readHeartbeat = time.Second
	// readSilence is the time without any message after which a scan's consumer is gone, as with
	// its server on a cluster.
	readSilence = 5 * readHeartbeat
)

// errSilent means that the server has stopped delivering without an error.
var errSilent = errors.New("the server says nothing any more")

// scan yields the readable entries of from..last, in order.
func (j *Journal) scan(ctx context.Context, from, last uint64, yield func(events.Message) error) error {
	return j.scanAll(ctx, from, last, func(sequence uint64, msg *nats.Msg) error {
		return yield(events.Message{Subject: msg.Subject, ID: msg.Header.Get(nats.MsgIdHdr), Sequence: sequence, Body: msg.Data})
	})
}

// scanAll yields the readable messages of from..last, in order. The server pushes them, which is
// half as fast again as pulling. The server's flow control keeps at most 32 MiB on the way.
func (j *Journal) scanAll(ctx context.Context, from, last uint64, yield func(sequence uint64, msg *nats.Msg) error) error {
	if from > last {
		return nil
	}
	sub, err := j.nc.SubscribeSync(j.nc.NewInbox())
	if err != nil {
		return fmt.Errorf("read the journal from %d: %w", from, err)
	}
	defer func() { _ = sub.Unsubscribe() }()
	if err := sub.SetPendingLimits(-1, -1); err != nil { // the flow control is the limit
		return fmt.Errorf("read the journal from %d: %w", from, err)
	}
	consumer, err := j.stream.CreatePushConsumer(ctx, scanConfig(sub.Subject, from))
	if err != nil {
		return fmt.Errorf("read the journal from %d: %w", from, err)
	}
	defer func() { _ = j.stream.DeleteConsumer(context.WithoutCancel(ctx), consumer.CachedInfo().Name) }()
	ctx, giveUp := context.WithCancelCause(ctx)
	defer giveUp(nil)
	silence := time.AfterFunc(readSilence, func() { giveUp(errSilent) })
	defer silence.Stop()
	for {
		silence.Reset(readSilence)
		msg, err := sub.NextMsgWithContext(ctx)
		silence.Stop() // yield may take as long as it needs
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		if err != nil {
			return fmt.Errorf("read the journal from %d: %w", from, err)
		}
		if isControl(msg) {
			if err := j.answerControl(msg); err != nil {
				return fmt.Errorf("read the journal from %d: %w", from, err)
			}
			if lastScanned(msg) >= last {
				return nil // the rest of from..last cannot be read
			}
			continue
		}
		meta, err := msg.Metadata() // the number stands in the reply subject
		if err != nil {
			return fmt.Errorf("read the journal from %d: %w", from, err)
		}
		if err := yield(meta.Sequence.Stream, msg); err != nil {
			return err
		}
		if meta.Sequence.Stream >= last {
			return nil
		}
	}
}

// scanConfig returns a consumer that leaves no trace: nothing of it is written to disk.
func scanConfig(deliver string, from uint64) jetstream.ConsumerConfig {
	return jetstream.ConsumerConfig{
		DeliverSubject:    deliver,
		DeliverPolicy:     jetstream.DeliverByStartSequencePolicy,
		OptStartSeq:       from,
		AckPolicy:         jetstream.AckNonePolicy,
		MaxDeliver:        1,
		FlowControl:       true,
		IdleHeartbeat:     readHeartbeat,
		InactiveThreshold: 5 * time.Minute,
		MemoryStorage:     true,
		Replicas:          1,
	}
}

// isControl tells the server's own messages, status 100, from entries.
func isControl(msg *nats.Msg) bool {
	return len(msg.Data) == 0 && msg.Header.Get("Status") == "100"
}

// answerControl answers flow control, so that a server that waits for us goes on.
func (j *Journal) answerControl(msg *nats.Msg) error {
	if msg.Reply != "" {
		return j.nc.Publish(msg.Reply, nil)
	}
	if stalled := msg.Header.Get("Nats-Consumer-Stalled"); stalled != "" {
		return j.nc.Publish(stalled, nil)
	}
	return nil
}

// lastScanned returns the last sequence that the server has scanned, 0 if msg does not name it.
func lastScanned(msg *nats.Msg) uint64 {
	seq, _ := strconv.ParseUint(msg.Header.Get("Nats-Last-Stream"), 10, 64)
	return seq
}
