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

	Shard         string
	ShardSequence uint64 // position of the entry in its shard, where Receive can go on
	ArrivedAt     time.Time
}

// Receive yields the entries of one shard from position `from` on, and goes on
// with new ones until ctx ends or yield returns an error, which it returns. Entries of one
// journal come in order, and may come again: the reader goes by (Register, Epoch, Sequence).
func (h *HQNode) Receive(ctx context.Context, shard string, from uint64, yield func(Received) error) error {
	consumer, err := h.js.OrderedConsumer(ctx, shard, jetstream.OrderedConsumerConfig{
		DeliverPolicy: jetstream.DeliverByStartSequencePolicy,
		OptStartSeq:   max(from, 1),
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

func (h *HQNode) received(ctx context.Context, shard string, msg jetstream.Msg) (Received, error) {
	meta, err := msg.Metadata()
	if err != nil {
		return Received{}, err
	}
	r := Received{
		Message:       events.Message{Subject: msg.Subject(), ID: msg.Headers().Get(nats.MsgIdHdr), Body: msg.Data()},
		Shard:         shard,
		ShardSequence: meta.Sequence.Stream,
		ArrivedAt:     meta.Timestamp,
	}
	name, seq, err := parseSource(msg.Headers().Get("Nats-Stream-Source"))
	if err != nil {
		h.log.Warn("message without a source", "shard", shard, "sequence", meta.Sequence.Stream, "error", err)
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
