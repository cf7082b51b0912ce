package register

import (
	"context"
	"sync"

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

	switched ledger.Switched
	manual   bool                   // disconnected by hand
	shutOut  bool                   // not activated
	locked   map[ledger.Query]int64 // until when wrong PINs lock a number out, Unix seconds
}

// lockedOut says whether wrong PINs lock a number out at a time in Unix seconds.
func (v View) lockedOut(q ledger.Query, at int64) bool { return v.locked[q] > at }

// publish makes the state's view readable for everyone.
func (r *Register) publish() {
	s := r.state
	v := &View{Register: s.Register, Head: s.Head, Mode: s.Mode, switched: s.Switched, manual: s.ManualOffline, shutOut: s.ShutOut(r.needsActivation())}
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
	v.locked = s.LockedOut(r.cfg.Clock().Unix())
	r.view.Store(v)
}

// View is how the register stands now.
func (r *Register) View() View { return *r.view.Load() }

// Look lets f read the state while no operation is carried out. f must not keep or change it; it runs in the owner.
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
