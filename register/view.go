package register

import (
	"context"
	"sync"
	"time"

	"github.com/posnode/posnode/events"
	"github.com/posnode/posnode/ledger"
	"github.com/posnode/posnode/projections"
)

// View is how the register stands after its last entry.
type View struct {
	Register    events.Register      `json:"register"`
	Head        events.Head          `json:"head"`
	Mode        events.Mode          `json:"mode"`
	Staff       *ledger.Staff        `json:"staff,omitempty"`
	Shift       events.ShiftID       `json:"shift,omitempty"`
	Transaction events.TransactionID `json:"transaction,omitempty"`
}

// publish makes the state's view readable for everyone.
func (r *Register) publish() {
	s := r.state
	v := &View{Register: s.Register, Head: s.Head, Mode: s.Mode}
	if s.Staff != nil {
		staff := *s.Staff // the owner goes on to change its own
		v.Staff = &staff
	}
	if s.Shift != nil {
		v.Shift = s.Shift.Shift
	}
	if s.Transaction != nil {
		v.Transaction = s.Transaction.ID
	}
	r.view.Store(v)
}

// View is how the register stands now.
func (r *Register) View() View { return *r.view.Load() }

// Status is the connection status page.
type Status struct {
	View
	HQ struct {
		Configured bool      `json:"configured"`
		LinkUp     bool      `json:"link_up"`
		Since      time.Time `json:"since,omitzero"`
		Sent       uint64    `json:"sent"`   // entries of this epoch that HQ has on disk
		Unsent     uint64    `json:"unsent"` // entries of all epochs not yet there
	} `json:"hq"`
	Offline struct {
		Sequence uint64 `json:"sequence"` // of the last entry in the offline database
		Failing  bool   `json:"failing"`
	} `json:"offline_database"`
	Reference []projections.AsOf   `json:"reference"` // empty where there has never been any: the register sells nothing
	Feed      Feed                 `json:"reference_feed"`
	Damage    *events.CorruptError `json:"damage,omitempty"`
}

// Status gathers the connection status.
func (r *Register) Status(ctx context.Context) (Status, error) {
	s := Status{View: r.View(), Damage: r.Damage()}
	link := r.node.Link()
	s.HQ.Configured, s.HQ.LinkUp, s.HQ.Since = r.cfg.HQ != "", link.Connected, link.Since
	var err error
	if s.HQ.Sent, err = r.node.AckedByHQ(ctx); err != nil {
		return s, err
	}
	if s.HQ.Unsent, err = r.node.Unsent(ctx); err != nil {
		return s, err
	}
	at, err := r.offline.Position(ctx)
	if err != nil {
		return s, err
	}
	s.Offline.Sequence, s.Offline.Failing = at.Sequence, r.projector.failing.Load()
	if s.Reference, err = r.reference.AsOf(ctx); err != nil {
		return s, err
	}
	s.Feed.Received = r.copying.received.Load()
	s.Feed.Feed, err = r.reference.Feed(ctx)
	return s, err
}

// Feed is where the reference data comes from, and what has come since the start.
type Feed struct {
	projections.Feed
	Received uint64 `json:"received"` // records
}

// Look lets f read the state while no operation is carried out. f must not keep or change it.
func (r *Register) Look(ctx context.Context, f func(*ledger.State)) error {
	done := make(chan struct{})
	select {
	case r.looks <- func(s *ledger.State) { f(s); close(done) }:
		<-done
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-r.running.Done():
		return ErrClosed
	}
}

// Offline is the offline database, once it holds every entry that was answered before the call.
func (r *Register) Offline(ctx context.Context) (*projections.DB, error) {
	return r.offline, r.projector.waitFor(ctx, r.View().Head)
}

// Linked says whether the link to head office is up.
func (r *Register) Linked() bool { return r.node.Link().Connected }

// SetLink cuts the link to head office, or lets it come back.
func (r *Register) SetLink(up bool) error { return r.node.SetLink(up) }

// Journal is the journal of the register's epoch, for reading: the register is its only writer.
func (r *Register) Journal() ledger.Log {
	r.turning.RLock()
	defer r.turning.RUnlock()
	return r.journal
}

// Reference is the register's reference data.
func (r *Register) Reference() *projections.Reference { return r.reference }

// watchers are told of every new entry.
type watchers struct {
	mu  sync.Mutex
	all map[chan<- projections.Stored]struct{}
}

// Watch sends every entry from now on to c, until stop is called. A reader that
// does not keep up misses entries and reads them in the journal.
func (r *Register) Watch(c chan<- projections.Stored) (stop func()) {
	w := &r.watchers
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.all == nil {
		w.all = map[chan<- projections.Stored]struct{}{}
	}
	w.all[c] = struct{}{}
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.all, c)
	}
}

func (w *watchers) tell(s projections.Stored) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for c := range w.all {
		select {
		case c <- s:
		default:
		}
	}
}
