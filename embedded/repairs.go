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

// Repairs is head office's stream of entries that registers sent again, because head office asked
// for them or because they stand on a wrong branch. It is read like a shard.
//
// No register publishes to it. An instance of head office receives each entry, stores it and
// answers the register. It refuses the entry if the register has used up its quota. JetStream alone
// could bound the number of a register's messages, but not their bytes. The sizes of entries differ
// by three powers of ten.
const Repairs = "REPAIRS"

// The headers of a repair: its epoch and its sequence. An entry that cannot be decoded does not
// state them.
const (
	headerEpoch    = "Posnode-Epoch"
	headerSequence = "Posnode-Sequence"
)

// repairSubject returns the subject on which a register sends entries again. In the stream they
// have the subject storedRepair.
func repairSubject(register string) string { return "up." + register + ".repair" }

func storedRepair(register string) string { return "repair." + register }

// RepairedSize returns the bytes that an entry takes in [Repairs], with the data that is stored
// beside it.
func RepairedSize(body int) int64 { return int64(body) + 512 }

// RepairsFull is the code with which head office refuses an entry beyond the register's quota.
const RepairsFull = "repairs_full"

// repairsConfig returns the stream of repairs. The subject proves the sender, because no other
// register may publish on it.
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

// openVerification opens or makes the streams that verification needs: repairs and marks.
func (h *HQNode) openVerification(ctx context.Context, replicas int) error {
	for _, cfg := range []jetstream.StreamConfig{repairsConfig(replicas), marksConfig(replicas)} {
		if _, err := h.js.CreateOrUpdateStream(ctx, cfg); err != nil {
			return fmt.Errorf("open stream %s: %w", cfg.Name, err)
		}
	}
	return nil
}

// repaired completes r from a message of the stream of repairs. A message without a valid epoch and
// sequence gets no journal.
func repaired(msg *nats.Msg, r Received) Received {
	// Messages of a version before quotas have the subject on which they were sent.
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

// maxStoring bounds the repairs that an instance stores at a time.
const maxStoring = 256

// storeTimeout bounds the wait for the stream. Without an answer the register sends the entry
// again.
const storeTimeout = 30 * time.Second

// TakeRepairs receives the repairs of registers until the node is closed. Each goes to one of
// several instances. allow reports whether a register may send so many bytes more. Head office
// stores the entry and answers the register itself. So the stream never sees a subject that a
// register has named.
func (h *HQNode) TakeRepairs(allow func(r events.Register, bytes int64) (bool, error)) error {
	js, err := jetstream.New(h.nc, jetstream.WithPublishAsyncMaxPending(2*maxStoring), jetstream.WithPublishAsyncTimeout(storeTimeout))
	if err != nil {
		return fmt.Errorf("take repairs: %w", err)
	}
	slots := make(chan struct{}, maxStoring)
	_, err = h.answers.QueueSubscribe(repairSubject("*"), "repairs", func(m *nats.Msg) {
		slots <- struct{}{}
		done, err := h.takeRepair(js, m, allow)
		if err != nil {
			h.log.Warn("an entry that was sent once more could not be taken", "subject", m.Subject, "error", err)
		}
		if done == nil {
			<-slots
			return
		}
		go func() {
			defer func() { <-slots }()
			if err := done(); err != nil {
				h.log.Warn("an entry that was sent once more could not be taken", "subject", m.Subject, "error", err)
			}
		}()
	})
	if err != nil {
		return fmt.Errorf("take repairs: %w", err)
	}
	return nil
}

// takeRepair begins to store one entry, or refuses it. done waits until the entry is stored, and
// then answers. It is nil if there is nothing to wait for. Entries are stored in the order of their
// arrival.
func (h *HQNode) takeRepair(js jetstream.JetStream, m *nats.Msg, allow func(events.Register, int64) (bool, error)) (done func() error, err error) {
	q, err := readAsked(m)
	if err != nil {
		return nil, err
	}
	if len(m.Data) == 0 {
		return nil, h.refuseRepair(q, jetstream.APIError{Code: 400, Description: "an entry without content is none"})
	}
	switch allowed, err := allow(q.register, RepairedSize(len(m.Data))); {
	case err != nil:
		return nil, err
	case !allowed:
		return nil, h.refuseRepair(q, jetstream.APIError{Code: 403, Description: RepairsFull + ": head office takes no more entries once more of this register"})
	}
	out := &nats.Msg{Subject: storedRepair(q.register.String()), Data: m.Data, Header: nats.Header{}}
	for _, key := range []string{headerEpoch, headerSequence} { // no other header gets into the stream
		if n, err := strconv.ParseUint(m.Header.Get(key), 10, 63); err == nil {
			out.Header.Set(key, strconv.FormatUint(n, 10))
		}
	}
	// The id is made of place and content, because a wrong branch may have the ids of the right
	// one.
	out.Header.Set(nats.MsgIdHdr, fmt.Sprintf("%s-%s-%s-%s", q.register, out.Header.Get(headerEpoch), out.Header.Get(headerSequence), events.Hash(m.Data)))
	// If we died before this, nothing is stored and nothing is answered.
	stored, err := js.PublishMsgAsync(out, jetstream.WithExpectStream(Repairs))
	if err != nil {
		return nil, err
	}
	return func() error {
		select {
		case ack := <-stored.Ok():
			// If we died here, the entry is stored and not answered. It comes again, and is stored
			// once.
			return h.answerRepair(q, ack)
		case err := <-stored.Err():
			if api, ok := errors.AsType[*jetstream.APIError](err); ok {
				return errors.Join(err, h.refuseRepair(q, *api))
			}
			return err
		}
	}, nil
}

// answerRepair acknowledges a stored entry to the register, in the form in which a stream
// acknowledges.
func (h *HQNode) answerRepair(q asked, ack *jetstream.PubAck) error {
	data, err := json.Marshal(ack)
	if err != nil {
		return err
	}
	return h.send(q, data, nil)
}

func (h *HQNode) refuseRepair(q asked, why jetstream.APIError) error {
	data, err := json.Marshal(map[string]jetstream.APIError{"error": why})
	if err != nil {
		return err
	}
	return h.send(q, data, nil)
}

// Last returns the sequence of the last message of a shard, or of [Repairs].
func (h *HQNode) Last(ctx context.Context, shard string) (uint64, error) {
	stream, err := h.js.Stream(ctx, shard)
	if err != nil {
		return 0, fmt.Errorf("last message of %s: %w", shard, err)
	}
	return stream.CachedInfo().State.LastSeq, nil
}

// Repair sends stored entries of an epoch to head office again, exactly as they are stored. It
// returns when head office has them on disk. It may send some and then fail; sending again does no
// harm.
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
		if err := stored(0); err != nil { // the first alone: if head office refuses it, the others need not travel
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

// ShardOf returns the shard of all journals of a register.
func (h *HQNode) ShardOf(r events.Register) string { return shardOf(r) }
