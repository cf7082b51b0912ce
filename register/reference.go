package register

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/posnode/posnode/embedded"
	"github.com/posnode/posnode/ledger"
	"github.com/posnode/posnode/projections"
)

// The register asks head office what is new of its reference data, stores the answers in its
// copy of the stream, and makes reference.db of that: position and rows in one
// transaction, and a batch not before its commit is there.

// copying is how the reference data comes from head office.
type copying struct {
	copied   *embedded.Reference // nil until head office has had some
	asked    time.Time           // when head office last answered
	received atomic.Uint64       // records, since the start
	attempt  atomic.Pointer[copyAttempt]
}

// copyAttempt is what became of the last attempt to copy what is new.
type copyAttempt struct {
	at     time.Time // the register's clock
	failed error
}

const (
	askReferenceEvery  = 5 * time.Second // a new price is at the till after this, and a second
	askReferenceWithin = 10 * time.Second
	referenceTick      = 500 * time.Millisecond
)

// openReference opens reference.db and brings it up to the copy. A damaged one is moved aside and made anew of the copy. A register
// that stands alone has none: it sells again when its reference data is imported once more.
func (r *Register) openReference(ctx context.Context) (err error) {
	if r.copying.copied, err = r.node.ReferenceCopy(ctx, ""); err != nil {
		return err
	}
	path := filepath.Join(r.cfg.Dir, "reference.db")
	db, err := projections.OpenReference(path)
	derived, damaged := r.copying.copied != nil, errors.Is(err, projections.ErrDamaged)
	if damaged || derived && errors.Is(err, projections.ErrVersion) {
		again := "it is made anew of the copy of the stream"
		if !derived {
			again = "import the reference data again: posnode register --reference FILE"
		}
		r.cfg.Logger.Warn("reference.db cannot be read; "+again, "error", err)
		if err = projections.DropReference(path, damaged); err == nil {
			db, err = projections.OpenReference(path)
		}
	}
	if err != nil {
		return err
	}
	r.reference = db.For(r.cfg.Register)
	return r.applyReference(ctx)
}

// applyReference brings reference.db up to the last commit of the copy.
func (r *Register) applyReference(ctx context.Context) error {
	if r.copying.copied == nil {
		return nil
	}
	committed, err := r.copying.copied.Committed(ctx)
	if err != nil || committed == 0 {
		return err
	}
	feed, err := r.reference.Feed(ctx)
	if err != nil || feed.Stream == r.copying.copied.Origin() && feed.Position == committed {
		return err
	}
	return r.reference.Follow(ctx, r.copying.copied.Origin(), committed, func(from uint64, yield func(uint64, []byte) error) error {
		return r.copying.copied.Read(ctx, from, committed, yield)
	})
}

// copyReference asks head office again and again, until ctx ends.
func (r *Register) copyReference(ctx context.Context) {
	failed := ""
	for ; ctx.Err() == nil; sleep(ctx, referenceTick) {
		link := r.node.Link()
		if !link.Connected || r.copying.asked.After(link.Since) && time.Since(r.copying.asked) < askReferenceEvery {
			continue
		}
		err := r.askReference(ctx)
		r.copying.attempt.Store(&copyAttempt{r.cfg.Clock(), err})
		if err != nil && ctx.Err() == nil {
			if failed != err.Error() && !r.WaitsForActivation() { // which may not ask for this yet
				r.cfg.Logger.Warn("reference data could not be copied", "error", err)
				failed = err.Error()
			}
			sleep(ctx, time.Second)
			continue
		}
		failed = ""
	}
}

// askReference copies everything that is new.
func (r *Register) askReference(ctx context.Context) error {
	for {
		begun := r.cfg.Clock()
		page, err := r.askPage(ctx)
		if err != nil {
			return err
		}
		if page.Stream == "" { // head office has none
			r.copying.asked = time.Now()
			return nil
		}
		if err := r.storePage(ctx, page); err != nil {
			return err
		}
		if page.More {
			continue
		}
		r.copying.asked = time.Now()
		if err := r.applyReference(ctx); err != nil {
			return err
		}
		return r.reference.Confirm(ctx, begun)
	}
}

func (r *Register) askPage(ctx context.Context) (page projections.Page, err error) {
	var q projections.PageAsked
	if c := r.copying.copied; c != nil {
		q.Stream = c.Origin()
		if q.After, err = c.CopiedTo(ctx); err != nil {
			return page, err
		}
	}
	question, err := json.Marshal(q)
	if err != nil {
		return page, err
	}
	asking, cancel := context.WithTimeout(ctx, askReferenceWithin)
	defer cancel()
	answer, err := r.askHeadOffice(asking, "reference", question)
	if err == nil {
		err = json.Unmarshal(answer, &page)
	}
	return page, err
}

// storePage appends a page to the copy; the last one with the commit that makes all of it visible.
func (r *Register) storePage(ctx context.Context, page projections.Page) (err error) {
	if c := r.copying.copied; c == nil || c.Origin() != page.Stream {
		// If we died here, there is a copy without a commit: the next start asks for the rest.
		if r.copying.copied, err = r.node.ReferenceCopy(ctx, page.Stream); err != nil {
			return err
		}
	}
	at, err := r.copying.copied.CopiedTo(ctx)
	switch {
	case err != nil:
		return err
	case at > page.Position:
		// Not confirmed, so that it shows its age. An instance of head office that is a second behind looks the same.
		return fmt.Errorf("head office has reference data up to %d and the copy here up to %d: head office's was put back to an earlier state", page.Position, at)
	case at == page.Position:
		return nil
	}
	var messages []embedded.ReferenceMessage
	for i := range page.Lines {
		line := &page.Lines[i]
		body, err := json.Marshal(line.Line)
		if err != nil {
			return err
		}
		messages = append(messages, embedded.ReferenceMessage{Subject: line.Subject(embedded.ReferenceSubject), Origin: line.Sequence, Body: body})
	}
	if !page.More {
		body, err := json.Marshal(page.Commit)
		if err != nil {
			return err
		}
		messages = append(messages, embedded.ReferenceCommit(page.Position, body))
	}
	last, err := r.copying.copied.Last(ctx)
	if err != nil {
		return err
	}
	if _, err := r.copying.copied.Publish(ctx, last, messages); err != nil {
		return err
	}
	r.copying.received.Add(uint64(len(page.Lines)))
	return nil
}

// needReference refuses where there has never been reference data: such a register sells
// nothing rather than nonsense. How it comes to have some, operations on the device itself, needs none.
func (r *Register) needReference(ctx context.Context, operation int) error {
	_, err := r.reference.Store(ctx)
	if op := ledger.Find(operation); !errors.Is(err, projections.ErrNoStore) || op != nil && op.Group == "device" {
		return nil // any other error shows where the settings are used
	}
	if r.state.ShutOut(r.needsActivation()) {
		return ledger.NotActivated() // with an activation the data comes
	}
	refusal := &ledger.Refusal{
		Code: "no_reference_data", Why: "This register has never received reference data: it knows no products, no prices and no staff.",
		Instead: "Connect it to head office once, and let head office import some.",
	}
	if r.cfg.HQ == "" {
		refusal.Instead = "Start it with --reference FILE: it stands alone."
	}
	return refusal
}
