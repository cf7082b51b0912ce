package embedded

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
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

// Why a scan ends before its end. Whoever reads begins anew.
var (
	errSilent = errors.New("the server has stopped delivering")
	errMissed = errors.New("a message that the server has delivered did not arrive")
)

// scan yields the readable entries of from..last, in order.
func (j *Journal) scan(ctx context.Context, from, last uint64, yield func(events.Message) error) error {
	return j.scanAll(ctx, from, last, func(d delivered) error {
		return yield(events.Message{Subject: d.Subject, ID: d.Header.Get(nats.MsgIdHdr), Sequence: d.sequence, Body: d.Data})
	})
}

// scanAll yields what can be read of from..last, in order.
func (j *Journal) scanAll(ctx context.Context, from, last uint64, yield func(delivered) error) error {
	if from > last {
		return nil
	}
	return scanStream(ctx, j.nc, j.stream, scanConfig(from), last, yield)
}

// delivered is a stored message, with what the server says of it in the reply subject.
type delivered struct {
	*nats.Msg
	sequence uint64 // in the stream
	at       time.Time
}

// noEnd has a scan go on with what comes, until its context ends.
const noEnd = math.MaxUint64

// scanStream yields what a consumer of config delivers, up to the message at last. It has the server push,
// which is half as fast again as pulling; the server's flow control keeps at most 32 MiB on the way.
//
// Whatever a message says of itself in its headers, it is data if its reply subject has a sequence: the
// server writes that subject, and nobody else can. nats.go's own ordered consumers go by the headers.
//
// An error of yield ends the scan and is returned unchanged.
func scanStream(ctx context.Context, nc *nats.Conn, stream jetstream.Stream, config jetstream.ConsumerConfig, last uint64, yield func(delivered) error) error {
	var enough error
	err := scan(ctx, nc, stream, config, last, func(d delivered) error {
		enough = yield(d)
		return enough
	})
	if err == nil || enough != nil {
		return enough
	}
	return fmt.Errorf("read %s from %d: %w", stream.CachedInfo().Config.Name, config.OptStartSeq, err)
}

func scan(ctx context.Context, nc *nats.Conn, stream jetstream.Stream, config jetstream.ConsumerConfig, last uint64, yield func(delivered) error) error {
	ctx, giveUp := context.WithCancelCause(ctx)
	defer giveUp(nil)
	messages := make(chan *nats.Msg, scanAhead)
	// A callback, for nats.go keeps what waits for one in a list. What waits for NextMsg is kept in a channel of
	// 65,536 messages, whatever the limits of the subscription, and is dropped behind that.
	sub, err := nc.Subscribe(nc.NewInbox(), func(m *nats.Msg) {
		select {
		case messages <- m:
		case <-ctx.Done():
		}
	})
	if err != nil {
		return err
	}
	defer func() { _ = sub.Unsubscribe() }()
	if err := sub.SetPendingLimits(-1, -1); err != nil { // the flow control is the limit
		return err
	}
	config.DeliverSubject = sub.Subject
	consumer, err := stream.CreatePushConsumer(ctx, config)
	if err != nil {
		return err
	}
	defer func() { _ = stream.DeleteConsumer(context.WithoutCancel(ctx), consumer.CachedInfo().Name) }()
	silence := time.AfterFunc(readSilence, func() { giveUp(errSilent) })
	defer silence.Stop()
	arrived := uint64(0) // messages, as the consumer counts them
	for {
		silence.Reset(readSilence)
		var msg *nats.Msg
		select {
		case msg = <-messages:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		silence.Stop() // what is done with a message takes as long as it takes
		if !hasSequence(msg) {
			scanned, err := heedControl(nc, msg, arrived)
			if err != nil {
				return err
			}
			if scanned >= last {
				return nil // what of the messages up to last has not come cannot be read
			}
			continue
		}
		meta, err := msg.Metadata()
		if err != nil {
			return err
		}
		if arrived++; meta.Sequence.Consumer != arrived {
			return errMissed
		}
		if err := yield(delivered{msg, meta.Sequence.Stream, meta.Timestamp}); err != nil {
			return err
		}
		if meta.Sequence.Stream >= last {
			return nil
		}
	}
}

// scanAhead is how many messages wait beside the one that is being looked at.
const scanAhead = 256

// scanConfig is a reader from a sequence on that leaves no trace: nothing of it is written to disk.
func scanConfig(from uint64) jetstream.ConsumerConfig {
	return jetstream.ConsumerConfig{
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

// hasSequence tells stored messages from the server's own. The server writes the reply subject of both.
func hasSequence(msg *nats.Msg) bool { return strings.HasPrefix(msg.Reply, "$JS.ACK.") }

// heedControl lets a server go on that waits for us to keep up. It returns how far the server says it has looked,
// 0 where it does not say so. arrived is how many messages have come: errMissed says that there were more.
func heedControl(nc *nats.Conn, msg *nats.Msg, arrived uint64) (scanned uint64, err error) {
	if status := msg.Header.Get("Status"); status != "100" {
		return 0, fmt.Errorf("the server ends the reading: %s %s", status, msg.Header.Get("Description"))
	}
	if msg.Reply != "" {
		return 0, nc.Publish(msg.Reply, nil)
	}
	if sent, err := strconv.ParseUint(msg.Header.Get("Nats-Last-Consumer"), 10, 64); err == nil && sent != arrived {
		return 0, errMissed
	}
	if stalled := msg.Header.Get("Nats-Consumer-Stalled"); stalled != "" {
		if err := nc.Publish(stalled, nil); err != nil {
			return 0, err
		}
	}
	scanned, _ = strconv.ParseUint(msg.Header.Get("Nats-Last-Stream"), 10, 64)
	return scanned, nil
}
