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

// A source can stall while the link is up (once for 22 hours, nats-server issue 8323), and NATS
// does not report it. The register announces the end of its journal, so head office detects the
// stall. It then takes the steps that a person would take, one after the other.

// Watch holds the settings of [HQNode.Watch].
type Watch struct {
	// Announced returns the last sequence that a register announces of its journal, 0 while it does
	// not announce over a link that is up.
	Announced func(JournalName) uint64
	Every     time.Duration // between checks
	Patience  time.Duration // how long a journal may stall before each next step
}

// standing is a journal with fewer entries at head office than its register announces.
type standing struct {
	received uint64
	since    time.Time
	tried    int
}

// Watch restarts journals that have stalled, until ctx ends. Several instances may do so at once,
// because every step can be repeated.
func (h *HQNode) Watch(ctx context.Context, w Watch) {
	behind := map[JournalName]*standing{}
	for {
		// The pause is random, so that one of several instances is first and the others see
		// progress.
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
		// An instance that died may have left a journal without a source.
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

// help takes the next step for a journal that has stalled.
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

// askAgain makes a register send the entries behind the last stored one of its journal. It does not
// go by the last received one. A leader that is cut off from the other servers counts entries as
// received that it may never store. To ask for the entries behind them would acknowledge them to
// the register as stored.
func (h *HQNode) askAgain(ctx context.Context, shard string, j JournalName) error {
	stream, err := h.js.Stream(ctx, shard)
	if err != nil {
		return err
	}
	stored := uint64(0)
	last, err := stream.GetLastMsgForSubject(ctx, journalSubjects(j.Register))
	switch {
	case err == nil:
		raw, err := h.rawHeader(ctx, shard, last.Sequence)
		if err != nil {
			return err
		}
		// Of another epoch, or under another's subject: then from the first, which is always right.
		if source, err := serverSource(raw); err == nil {
			if name, seq, err := parseSource(source); err == nil && name == sourceName(j) {
				stored = seq
			}
		}
	case !errors.Is(err, jetstream.ErrMsgNotFound):
		return err
	}
	return h.resetConsumer(ctx, j, stored+1)
}

// receivedOf returns the last sequence of each journal that a shard's leader has received.
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

// errNotReached means that a register did not answer.
var errNotReached = errors.New("the register is not reached")

// resetReply returns the subject prefix of a register's answer to the reset of its consumer.
func resetReply(register string) string { return "up." + register + ".reset" }

// resetConsumer makes a register send its journal from a sequence on. HQ drops repeated entries on
// arrival.
func (h *HQNode) resetConsumer(ctx context.Context, j JournalName, from uint64) error {
	ctx, cancel := context.WithTimeout(ctx, oneReset)
	defer cancel()
	// The register may publish under up.<register>, but not to our inbox.
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
	noResponders = "503" // the server's immediate answer if nobody listens on that subject
)

// replaceSource removes a journal's source and adds it again. That resets the server's state of the
// source.
func (h *HQNode) replaceSource(ctx context.Context, shard string, j JournalName) error {
	if err := h.dropSource(ctx, shard, j); err != nil {
		return err
	}
	// If we died here, the journal is in the set and has no source. The next check of any instance
	// adds it.
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

// stepDown makes the leader of a stream give way to another server of the cluster.
func (h *HQNode) stepDown(ctx context.Context, stream string) error {
	ctx, cancel := context.WithTimeout(ctx, oneTry)
	defer cancel()
	_, err := h.nc.RequestWithContext(ctx, "$JS.API.STREAM.LEADER.STEPDOWN."+stream, nil)
	return err
}
