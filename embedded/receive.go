package embedded

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

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

	// Refused says why the message is not taken for an entry, whatever is in it: its headers are not as head office's
	// server writes them. "" for one that is taken. Journal and Sequence are where it came from, as far as that is known.
	Refused string

	Shard         string
	ShardSequence uint64 // position of the entry in its shard; Receive can go on from it
	ArrivedAt     time.Time
}

// Receive yields the entries of one shard, or of [Repairs], from position `from` on. It goes on
// with new ones until ctx ends or yield returns an error, and returns that error. Entries of one
// journal come in order, and may come again: the reader goes by (Register, Epoch, Sequence).
func (h *HQNode) Receive(ctx context.Context, shard string, from uint64, yield func(Received) error) error {
	stream, err := h.js.Stream(ctx, shard)
	if err != nil {
		return fmt.Errorf("receive %s: %w", shard, err)
	}
	return scanStream(ctx, h.nc, stream, scanConfig(max(from, 1)), noEnd, h.receiving(ctx, shard, yield))
}

// Stored yields the readable messages from..last of a shard, in order, and ends there. JetStream
// leaves out a message that it cannot read, without an error.
func (h *HQNode) Stored(ctx context.Context, shard string, from, last uint64, yield func(Received) error) error {
	stream, err := h.js.Stream(ctx, shard)
	if err != nil {
		return fmt.Errorf("read %s: %w", shard, err)
	}
	j := &Journal{nc: h.nc, js: h.js, stream: stream}
	return j.scanAll(ctx, max(from, 1), min(last, stream.CachedInfo().State.LastSeq), h.receiving(ctx, shard, yield))
}

// receiving yields a delivered message as an entry of the journal from which it came.
func (h *HQNode) receiving(ctx context.Context, shard string, yield func(Received) error) func(delivered) error {
	return func(d delivered) error {
		r := Received{
			Message:       events.Message{Subject: d.Subject, ID: d.Header.Get(nats.MsgIdHdr), Body: d.Data},
			Shard:         shard,
			ShardSequence: d.sequence,
			ArrivedAt:     d.at,
		}
		if shard == Repairs {
			return yield(repaired(d.Msg, r))
		}
		if err := h.attribute(ctx, d, &r); err != nil {
			return fmt.Errorf("read %s at %d: %w", shard, d.sequence, err)
		}
		return yield(r)
	}
}

// attribute finds out from which journal a message of a shard came.
func (h *HQNode) attribute(ctx context.Context, d delivered, r *Received) error {
	header, plain := plainSource(d.Msg)
	if !plain {
		raw, err := h.rawHeader(ctx, r.Shard, d.sequence)
		if err != nil {
			return err
		}
		if header, err = serverSource(raw); err != nil {
			r.Refused = err.Error()
		}
	}
	name, sequence, err := parseSource(header)
	if err != nil {
		r.Refused = err.Error()
		return nil
	}
	journal, err := h.journalOf(ctx, name)
	if err != nil || journal == (JournalName{}) {
		return err
	}
	if shardOf(journal.Register) != r.Shard {
		r.Refused = fmt.Sprintf("it names a journal of %s as its source", shardOf(journal.Register))
		return nil
	}
	r.Journal, r.Message.Sequence = journal, sequence
	return nil
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
