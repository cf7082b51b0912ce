package embedded

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/posnode/posnode/events"
)

// Received is one entry as HQ has it.
type Received struct {
	// Message is the entry. Its Sequence is the one in its register's journal; its
	// Subject is what the register claims.
	Message events.Message
	// Journal is where HQ fetched the entry from: by HQ's own records, whatever the
	// entry says. It is zero for a message that came by no source known to HQ.
	Journal JournalName

	// Sender is who sent an entry to [Repairs], whatever that says; zero in a shard.
	Sender events.Register

	Shard         string
	ShardSequence uint64 // position of the entry in its shard, where Receive can go on
	ArrivedAt     time.Time
}

// resetOnce has a reader end where the consumer that it lost cannot be made again at once: whoever reads begins anew. Left to
// itself nats.go 1.55 asks for one of the same name for ever, and a cluster that has given that to a server which is down
// answers when the server is back.
const resetOnce = 1

// Receive yields the entries of one shard, or of [Repairs], from position `from` on, and goes on
// with new ones until ctx ends or yield returns an error, which it returns. Entries of one
// journal come in order, and may come again: the reader goes by (Register, Epoch, Sequence).
func (h *HQNode) Receive(ctx context.Context, shard string, from uint64, yield func(Received) error) error {
	consumer, err := h.js.OrderedConsumer(ctx, shard, jetstream.OrderedConsumerConfig{
		DeliverPolicy: jetstream.DeliverByStartSequencePolicy,
		OptStartSeq:   max(from, 1),

		MaxResetAttempts: resetOnce,
	})
	if err != nil {
		return fmt.Errorf("receive %s: %w", shard, err)
	}
	messages, err := consumer.Messages()
	if err != nil {
		return fmt.Errorf("receive %s: %w", shard, err)
	}
	defer messages.Stop()
	for {
		msg, err := messages.Next(jetstream.NextContext(ctx))
		if err != nil {
			return fmt.Errorf("receive %s: %w", shard, err)
		}
		r, err := h.received(ctx, shard, msg)
		if err != nil {
			return fmt.Errorf("receive %s: %w", shard, err)
		}
		if err := yield(r); err != nil {
			return err
		}
	}
}

// Stored yields what can be read of a shard's messages from one up to another, in order, and ends there.
// JetStream leaves out a message that it cannot read and says nothing.
func (h *HQNode) Stored(ctx context.Context, shard string, from, last uint64, yield func(Received) error) error {
	stream, err := h.js.Stream(ctx, shard)
	if err != nil {
		return fmt.Errorf("read %s: %w", shard, err)
	}
	j := &Journal{nc: h.nc, js: h.js, stream: stream}
	return j.scanAll(ctx, max(from, 1), min(last, stream.CachedInfo().State.LastSeq), func(sequence uint64, msg *nats.Msg) error {
		meta, err := msg.Metadata()
		if err != nil {
			return fmt.Errorf("read %s: %w", shard, err)
		}
		r, err := h.receivedAs(ctx, shard, msg, sequence, meta.Timestamp)
		if err != nil {
			return fmt.Errorf("read %s: %w", shard, err)
		}
		return yield(r)
	})
}

func (h *HQNode) received(ctx context.Context, shard string, msg jetstream.Msg) (Received, error) {
	meta, err := msg.Metadata()
	if err != nil {
		return Received{}, err
	}
	return h.receivedAs(ctx, shard, &nats.Msg{Subject: msg.Subject(), Header: msg.Headers(), Data: msg.Data()}, meta.Sequence.Stream, meta.Timestamp)
}

func (h *HQNode) receivedAs(ctx context.Context, shard string, msg *nats.Msg, sequence uint64, at time.Time) (Received, error) {
	r := Received{
		Message:       events.Message{Subject: msg.Subject, ID: msg.Header.Get(nats.MsgIdHdr), Body: msg.Data},
		Shard:         shard,
		ShardSequence: sequence,
		ArrivedAt:     at,
	}
	if shard == Repairs {
		return repaired(msg, r), nil
	}
	name, seq, err := parseSource(msg.Header.Get("Nats-Stream-Source"))
	if err != nil {
		h.log.Warn("message without a source", "shard", shard, "sequence", sequence, "error", err)
		return r, nil
	}
	r.Message.Sequence = seq
	r.Journal, err = h.journalOf(ctx, name)
	return r, err
}

// journalOf is the journal whose entries HQ's server marks with name, zero where none is
// known. Another instance may have added it, and then it is in the set.
func (h *HQNode) journalOf(ctx context.Context, name string) (JournalName, error) {
	if j, known := h.known(name); known {
		return j, nil
	}
	if _, err := h.learn(ctx); err != nil {
		return JournalName{}, err
	}
	j, _ := h.known(name)
	return j, nil
}

func (h *HQNode) known(name string) (JournalName, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	j, ok := h.journals[name]
	return j, ok
}

// parseSource reads the header Nats-Stream-Source: "<name> <sequence> ...".
func parseSource(header string) (name string, seq uint64, err error) {
	fields := strings.Fields(header)
	if len(fields) < 2 {
		return "", 0, errors.New("no Nats-Stream-Source")
	}
	seq, err = strconv.ParseUint(fields[1], 10, 64)
	if err != nil {
		return "", 0, fmt.Errorf("Nats-Stream-Source %q: %w", header, err)
	}
	return fields[0], seq, nil
}
