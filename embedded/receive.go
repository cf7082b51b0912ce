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

// Received is one entry as HQ has stored it.
type Received struct {
	// Message is the entry. Its Sequence is the one in its register's journal. Its Subject is a
	// claim of the register.
	Message events.Message
	// Journal is the journal from which HQ fetched the entry, by HQ's own records and not by the
	// entry's claim. It is zero for a message that came by no source known to HQ.
	Journal JournalName

	// Sender is the register that sent an entry to [Repairs], even if the entry claims another;
	// zero in a shard.
	Sender events.Register

	Shard         string
	ShardSequence uint64 // position of the entry in its shard; Receive can go on from it
	ArrivedAt     time.Time
}

// resetOnce makes a reader end if its lost consumer cannot be made again at once. The caller then
// begins to read anew. By default nats.go 1.55 asks for a consumer of the same name for ever. If
// the cluster has placed that on a server that is down, it answers only when the server is back.
const resetOnce = 1

// Receive yields the entries of one shard, or of [Repairs], from position `from` on. It goes on
// with new ones until ctx ends or yield returns an error, and returns that error. Entries of one
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

// Stored yields the readable messages from..last of a shard, in order, and ends there. JetStream
// leaves out a message that it cannot read, without an error.
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

// journalOf returns the journal that HQ's server calls name in its headers, zero if none is known.
// Another instance may have added the journal, and then it is in the set.
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
