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

// Repairs is head office's stream of entries that registers sent once more, because
// head office asked for them or because they stand on a wrong branch. It is read as a shard is.
const Repairs = "REPAIRS"

// What a repair says of itself in its headers: the journal and the place in it, which
// bytes that cannot be read do not tell.
const (
	headerEpoch    = "Posnode-Epoch"
	headerSequence = "Posnode-Sequence"
)

func repairSubject(register string) string { return "up." + register + ".repair" }

// repairsConfig is the stream of repairs. That a register is who it says is follows
// from the subject, on which no other may publish.
func repairsConfig(replicas int) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name:        Repairs,
		Description: "entries that registers sent once more",
		Subjects:    []string{repairSubject("*")},
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
	name := strings.TrimSuffix(strings.TrimPrefix(msg.Subject, "up."), ".repair")
	register, err := events.ParseRegister(name)
	epoch, err2 := strconv.Atoi(msg.Header.Get(headerEpoch))
	sequence, err3 := strconv.ParseUint(msg.Header.Get(headerSequence), 10, 63)
	if errors.Join(err, err2, err3, validEpoch(epoch)) == nil && sequence > 0 {
		r.Journal, r.Message.Sequence = JournalName{register, epoch}, sequence
	}
	return r
}

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
	for _, m := range entries {
		msg := nats.NewMsg(repairSubject(n.cfg.Register.String()))
		msg.Data = m.Body
		msg.Header.Set(headerEpoch, strconv.Itoa(epoch))
		msg.Header.Set(headerSequence, strconv.FormatUint(m.Sequence, 10))
		// By its content, for a wrong branch may have the ids of the right one.
		ack, err := n.repairs.PublishMsgAsync(msg, jetstream.WithMsgID(fmt.Sprintf("%s-%d-%d-%s", n.cfg.Register, epoch, m.Sequence, events.Hash(m.Body))))
		if err != nil {
			return fmt.Errorf("repair entry %d: %w", m.Sequence, err)
		}
		acks = append(acks, ack)
	}
	for i, ack := range acks {
		select {
		case <-ack.Ok():
		case err := <-ack.Err():
			return fmt.Errorf("repair entry %d: %w", entries[i].Sequence, err)
		case <-ctx.Done():
			return fmt.Errorf("repair entry %d: %w", entries[i].Sequence, ctx.Err())
		}
	}
	return nil
}

// ShardOf is the shard to which all journals of a register come.
func (h *HQNode) ShardOf(r events.Register) string { return shardOf(r) }
