package embedded

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/posnode/posnode/events"
)

// Repairs is head office's stream of entries that registers sent once more, because
// head office asked for them or because they stand on a wrong branch. It is read as a shard is.
//
// No register publishes to it. An instance of head office takes what is sent, as long as the register has not had its
// share, and passes it on; the stream itself acknowledges it to the register. JetStream alone could bound the
// messages of each register, not their bytes: between few of the largest and many of the smallest are three powers of ten.
const Repairs = "REPAIRS"

// What a repair says of itself in its headers: the journal and the place in it, which
// bytes that cannot be read do not tell.
const (
	headerEpoch    = "Posnode-Epoch"
	headerSequence = "Posnode-Sequence"
)

// repairSubject is where a register sends entries once more; as storedRepair they are in the stream.
func repairSubject(register string) string { return "up." + register + ".repair" }

func storedRepair(register string) string { return "repair." + register }

// RepairedSize is what an entry of so many bytes takes in [Repairs], with what is stored beside it.
func RepairedSize(body int) int64 { return int64(body) + 512 }

// RepairsFull is the code of the refusal of what a register sends beyond its share.
const RepairsFull = "repairs_full"

// repairsConfig is the stream of repairs. That a register is who it says is follows
// from the subject on which it sent, on which no other may publish.
func repairsConfig(replicas int) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name:        Repairs,
		Description: "entries that registers sent once more",
		Subjects:    []string{storedRepair("*")},
		Retention:   jetstream.LimitsPolicy,
		Storage:     jetstream.FileStorage,
		Replicas:    replicas,
		MaxMsgs:     -1,
		MaxBytes:    -1,
		Discard:     jetstream.DiscardNew,
		MaxMsgSize:  maxStored,
		Duplicates:  2 * time.Minute,
		DenyDelete:  true,
		DenyPurge:   true,
		AllowDirect: true,
	}
}

// openVerification makes the streams that verification needs: of repairs and of marks.
func (h *HQNode) openVerification(ctx context.Context, replicas int) error {
	for _, cfg := range []jetstream.StreamConfig{repairsConfig(replicas), marksConfig(replicas)} {
		if _, err := h.js.CreateOrUpdateStream(ctx, cfg); err != nil {
			return fmt.Errorf("open stream %s: %w", cfg.Name, err)
		}
	}
	return nil
}

// repaired is a message of the stream of repairs. One that does not say where it
// belongs comes by no known journal.
func repaired(msg *nats.Msg, r Received) Received {
	// Those from before there was a share have the subject on which they were sent.
	name := strings.TrimPrefix(strings.TrimPrefix(strings.TrimSuffix(msg.Subject, ".repair"), "up."), "repair.")
	register, err := events.ParseRegister(name)
	r.Sender = register
	epoch, err2 := strconv.Atoi(msg.Header.Get(headerEpoch))
	sequence, err3 := strconv.ParseUint(msg.Header.Get(headerSequence), 10, 63)
	if errors.Join(err, err2, err3, validEpoch(epoch)) == nil && sequence > 0 {
		r.Journal, r.Message.Sequence = JournalName{register, epoch}, sequence
	}
	return r
}

// TakeRepairs takes what registers send once more, until the node is closed. Of several instances one takes each.
// allow says whether a register may send so many bytes more.
func (h *HQNode) TakeRepairs(allow func(r events.Register, bytes int64) (bool, error)) error {
	_, err := h.nc.QueueSubscribe(repairSubject("*"), "repairs", func(m *nats.Msg) {
		if err := h.takeRepair(m, allow); err != nil {
			h.log.Warn("an entry that was sent once more could not be taken", "subject", m.Subject, "error", err)
		}
	})
	if err != nil {
		return fmt.Errorf("take repairs: %w", err)
	}
	return nil
}

// takeRepair passes one entry on, or refuses it. Without an answer the register sends it again.
func (h *HQNode) takeRepair(m *nats.Msg, allow func(events.Register, int64) (bool, error)) error {
	register, err := events.ParseRegister(strings.TrimSuffix(strings.TrimPrefix(m.Subject, "up."), ".repair"))
	if err != nil {
		return err
	}
	switch allowed, err := allow(register, RepairedSize(len(m.Data))); {
	case err != nil:
		return err
	case !allowed:
		refusal, err := json.Marshal(map[string]jetstream.APIError{"error": {Code: 403, Description: RepairsFull + ": head office takes no more entries once more of this register"}})
		if err != nil || m.Reply == "" {
			return err
		}
		return h.nc.Publish(m.Reply, refusal)
	}
	out := &nats.Msg{Subject: storedRepair(register.String()), Reply: m.Reply, Data: m.Data, Header: nats.Header{}}
	for _, key := range []string{headerEpoch, headerSequence} {
		if value := m.Header.Get(key); len(value) <= maxNumber { // nothing else gets into the stream unseen
			out.Header.Set(key, value)
		}
	}
	// By its place and content, for a wrong branch may have the ids of the right one.
	out.Header.Set(nats.MsgIdHdr, fmt.Sprintf("%s-%s-%s-%s", register, out.Header.Get(headerEpoch), out.Header.Get(headerSequence), events.Hash(m.Data)))
	// If we died before this, nothing is stored and nothing answered; after it, the stream answers.
	return h.nc.PublishMsg(out)
}

// maxNumber is the longest number in a header.
const maxNumber = 20

// Last is the sequence of the last message of a shard, or of [Repairs].
func (h *HQNode) Last(ctx context.Context, shard string) (uint64, error) {
	stream, err := h.js.Stream(ctx, shard)
	if err != nil {
		return 0, fmt.Errorf("last message of %s: %w", shard, err)
	}
	return stream.CachedInfo().State.LastSeq, nil
}

// Repair sends stored entries of an epoch to head office once more, exactly as they are stored,
// and returns when head office has them on disk. It may send some and fail: sending again does no harm.
func (n *RegisterNode) Repair(ctx context.Context, epoch int, entries []events.Message) error {
	if !n.Link().Connected {
		return fmt.Errorf("repair: %w", ErrLinkDown)
	}
	acks := make([]jetstream.PubAckFuture, 0, len(entries))
	stored := func(i int) error {
		select {
		case <-acks[i].Ok():
			return nil
		case err := <-acks[i].Err():
			return fmt.Errorf("repair entry %d: %w", entries[i].Sequence, err)
		case <-ctx.Done():
			return fmt.Errorf("repair entry %d: %w", entries[i].Sequence, ctx.Err())
		}
	}
	for i, m := range entries {
		msg := nats.NewMsg(repairSubject(n.cfg.Register.String()))
		msg.Data = m.Body
		msg.Header.Set(headerEpoch, strconv.Itoa(epoch))
		msg.Header.Set(headerSequence, strconv.FormatUint(m.Sequence, 10))
		ack, err := n.repairs.PublishMsgAsync(msg)
		if err != nil {
			return fmt.Errorf("repair entry %d: %w", m.Sequence, err)
		}
		acks = append(acks, ack)
		if i > 0 {
			continue
		}
		if err := stored(0); err != nil { // the first alone: where head office takes no more, the others need not travel
			return err
		}
	}
	for i := range acks[min(1, len(acks)):] {
		if err := stored(i + 1); err != nil {
			return err
		}
	}
	return nil
}

// ShardOf is the shard to which all journals of a register come.
func (h *HQNode) ShardOf(r events.Register) string { return shardOf(r) }
