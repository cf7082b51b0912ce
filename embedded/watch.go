package embedded

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// A source can stand still while the link is up (once for 22 hours, nats-server issue
// 8323), and nothing in NATS says so. The register says how far its journal goes, so head office sees it,
// and does by itself what a person would do, one thing after the other.

// Watch says what is watched and how soon something is done.
type Watch struct {
	// Announced is how far a register says its journal goes, 0 while it does not say so
	// over a link that is up.
	Announced func(JournalName) uint64
	Every     time.Duration // between looks
	Patience  time.Duration // how long a journal may stand still before each next thing is done
}

// standing is a journal that is behind what its register announces.
type standing struct {
	received uint64
	since    time.Time
	tried    int
}

// Watch looks after the journals until ctx ends. Several instances may do so at once:
// what they do can be repeated.
func (h *HQNode) Watch(ctx context.Context, w Watch) {
	behind := map[JournalName]*standing{}
	for {
		// Not in step with other instances, so that one of them is first and the others see progress.
		pause := w.Every/2 + rand.N(w.Every)
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
		if err := h.look(ctx, w, behind); err != nil && ctx.Err() == nil {
			h.log.Warn("the journals could not be watched", "error", err)
		}
	}
}

func (h *HQNode) look(ctx context.Context, w Watch, behind map[JournalName]*standing) error {
	for _, shard := range h.Shards() {
		// What an instance that died has left undone.
		if err := h.reconcile(ctx, shard); err != nil {
			return err
		}
		received, err := h.receivedOf(ctx, shard)
		if err != nil {
			return err
		}
		for j, sequence := range received {
			s := behind[j]
			switch {
			case w.Announced(j) <= sequence:
				if s != nil && s.tried > 0 {
					h.log.Info("a journal that stood still has arrived", "journal", j, "received", sequence)
				}
				delete(behind, j)
			case s == nil:
				behind[j] = &standing{received: sequence, since: time.Now()}
			case sequence > s.received:
				s.received, s.since = sequence, time.Now()
			case time.Since(s.since) >= w.Patience:
				s.since = time.Now()
				h.help(ctx, shard, j, s, w.Announced(j))
				s.tried++
			}
		}
	}
	if h.keys == nil {
		return nil
	}
	return h.PushAccount(ctx)
}

// help does the next thing for a journal that stands still.
func (h *HQNode) help(ctx context.Context, shard string, j JournalName, s *standing, announced uint64) {
	log := h.log.With("journal", j, "received", s.received, "announced", announced)
	var err error
	switch s.tried % 3 {
	case 0:
		log.Warn("a journal stands still: its register is asked for the rest again")
		err = h.askAgain(ctx, shard, j)
	case 1:
		log.Warn("a journal still stands still: its source is taken away and added again")
		err = h.replaceSource(ctx, shard, j)
	case 2:
		log.Error("a journal still stands still: another server is to lead its shard", "shard", shard)
		if h.cfg.replicas() > 1 {
			err = h.stepDown(ctx, shard)
		}
	}
	if err != nil && ctx.Err() == nil {
		log.Warn("a journal that stands still could not be helped", "error", err)
	}
}

// askAgain makes a register send what is behind the last stored entry of its journal. Not
// what is behind the last received: a leader that is cut off from the others counts as received
// what it may never store, and asking for what follows would tell the register that it is stored.
func (h *HQNode) askAgain(ctx context.Context, shard string, j JournalName) error {
	stream, err := h.js.Stream(ctx, shard)
	if err != nil {
		return err
	}
	stored := uint64(0)
	last, err := stream.GetLastMsgForSubject(ctx, journalSubjects(j.Register))
	switch {
	case err == nil:
		// Of another epoch, or under another's subject: then from the first, which is always right.
		if name, seq, err := parseSource(last.Header.Get("Nats-Stream-Source")); err == nil && name == sourceName(j) {
			stored = seq
		}
	case !errors.Is(err, jetstream.ErrMsgNotFound):
		return err
	}
	return h.resetConsumer(ctx, j, stored+1)
}

// receivedOf is the last sequence of each journal that a shard's leader has received.
func (h *HQNode) receivedOf(ctx context.Context, shard string) (map[JournalName]uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, oneTry)
	defer cancel()
	msg, err := h.nc.RequestWithContext(ctx, "$JS.API.STREAM.INFO."+shard, nil)
	if err != nil {
		return nil, fmt.Errorf("ask for %s: %w", shard, err)
	}
	var info struct {
		Error   *jetstream.APIError `json:"error"`
		Sources []struct {
			Name     string                    `json:"name"`
			External *jetstream.ExternalStream `json:"external"`
			Seq      uint64                    `json:"seq"`
		} `json:"sources"`
	}
	if err := json.Unmarshal(msg.Data, &info); err != nil {
		return nil, fmt.Errorf("ask for %s: %w", shard, err)
	}
	if info.Error != nil {
		return nil, fmt.Errorf("ask for %s: %w", shard, info.Error)
	}
	received := map[JournalName]uint64{}
	for _, s := range info.Sources {
		j, err := sourceJournal(&jetstream.StreamSource{Name: s.Name, External: s.External})
		if err != nil {
			return nil, err
		}
		received[j] = s.Seq
	}
	return received, nil
}

// errNotReached says that a register did not answer.
var errNotReached = errors.New("the register is not reached")

// resetReply is where a register answers that it has set its consumer back.
func resetReply(register string) string { return "up." + register + ".reset" }

// resetConsumer makes a register send its journal from a sequence on. What HQ holds
// of it already is dropped on arrival.
func (h *HQNode) resetConsumer(ctx context.Context, j JournalName, from uint64) error {
	ctx, cancel := context.WithTimeout(ctx, oneReset)
	defer cancel()
	// The register may publish under up.<register> and not into our inbox.
	reply := resetReply(j.Register.String()) + "." + nats.NewInbox()[len(nats.InboxPrefix):]
	sub, err := h.nc.SubscribeSync(reply)
	if err != nil {
		return err
	}
	defer func() { _ = sub.Unsubscribe() }()
	subject := apiPrefix(j.Register) + ".CONSUMER.RESET." + journalName(j.Epoch) + "." + hqConsumer
	if err := h.nc.PublishRequest(subject, reply, fmt.Appendf(nil, `{"seq":%d}`, from)); err != nil {
		return err
	}
	msg, err := sub.NextMsgWithContext(ctx)
	if err != nil {
		return fmt.Errorf("ask %s for its journal from %d: %w: %w", j, from, errNotReached, err)
	}
	if msg.Header.Get("Status") == noResponders {
		return fmt.Errorf("ask %s for its journal from %d: %w", j, from, errNotReached)
	}
	var answer struct {
		Error *jetstream.APIError `json:"error"`
	}
	if err := json.Unmarshal(msg.Data, &answer); err != nil {
		return fmt.Errorf("ask %s for its journal from %d: %w", j, from, err)
	}
	if answer.Error != nil {
		return fmt.Errorf("ask %s for its journal from %d: %w", j, from, answer.Error)
	}
	return nil
}

const (
	oneReset     = 2 * time.Second
	noResponders = "503" // the server's, at once: nobody listens on that subject
)

// replaceSource takes a journal's source away and adds it again, which makes the
// server forget all that it thought of it.
func (h *HQNode) replaceSource(ctx context.Context, shard string, j JournalName) error {
	if err := h.dropSource(ctx, shard, j); err != nil {
		return err
	}
	// If we died here, the journal is in the set and has no source: the next look of any instance adds it.
	return h.reconcile(ctx, shard)
}

func (h *HQNode) dropSource(ctx context.Context, shard string, j JournalName) error {
	adding := &h.adding[shardIndex(shard)]
	adding.Lock()
	defer adding.Unlock()
	stream, err := h.js.Stream(ctx, shard)
	if err != nil {
		return err
	}
	sources := slices.DeleteFunc(stream.CachedInfo().Config.Sources, func(s *jetstream.StreamSource) bool {
		known, err := sourceJournal(s)
		return err == nil && known == j
	})
	_, err = h.js.UpdateStream(ctx, shardConfig(shard, h.cfg.replicas(), sources))
	return err
}

// stepDown makes another server of the cluster lead a stream.
func (h *HQNode) stepDown(ctx context.Context, stream string) error {
	ctx, cancel := context.WithTimeout(ctx, oneTry)
	defer cancel()
	_, err := h.nc.RequestWithContext(ctx, "$JS.API.STREAM.LEADER.STEPDOWN."+stream, nil)
	return err
}
