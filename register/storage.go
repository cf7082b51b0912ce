package register

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/posnode/posnode/embedded"
	"github.com/posnode/posnode/events"
	"github.com/posnode/posnode/ledger"
)

// A disk fails: an fsync, or all writes where the system has made it read-only. The server then freezes the journal. The
// register notices, refuses what would have to be recorded, and comes back by itself when the disk is well:
// see docs/decisions/0031.

// StorageFailure is why the register records nothing.
type StorageFailure struct {
	Since time.Time `json:"since"`
	Cause string    `json:"cause"`
}

const (
	// retryFirst and retryMost are how long the register waits before it tries the disk again; each time twice as long.
	retryFirst = time.Second
	retryMost  = 30 * time.Second
	// resumeWithin is how long reading the journal's end may take when the disk is well again.
	resumeWithin = 30 * time.Second
)

// StorageFailure is why the register records nothing at the moment, nil while it does.
func (r *Register) StorageFailure() *StorageFailure { return r.failure.Load() }

// errStorage is the refusal while the disk does not take what is written.
func errStorage() *ledger.Refusal {
	return &ledger.Refusal{
		Code: "storage_failed", Why: "This register's disk does not take what is written: nothing can be recorded at the moment.",
		Instead: "Repeat it in a moment: the register goes on by itself when the disk is well. If it stays so, call support, and sell at another register.",
	}
}

// noteStorage notes that the disk has failed, if that is why an append did. The owner calls it.
func (r *Register) noteStorage(err error) {
	if !errors.Is(err, embedded.ErrStorage) || r.failure.Load() != nil {
		return
	}
	r.failure.Store(&StorageFailure{Since: r.cfg.Clock().UTC(), Cause: err.Error()})
	r.cfg.Logger.Error("the disk does not take what is written: nothing is recorded until it is well", "error", err)
	r.wait.Go(func() { r.reopenStore(r.running) })
}

// reopenStore opens the store again once the disk is well, and then has the owner go on.
func (r *Register) reopenStore(ctx context.Context) {
	for wait := retryFirst; ; wait = min(2*wait, retryMost) {
		sleep(ctx, wait)
		if ctx.Err() != nil {
			return
		}
		err := embedded.ProbeDisk(r.cfg.Dir)
		if err == nil {
			err = r.node.Reopen(ctx)
		}
		if err == nil {
			select {
			case r.reopened <- struct{}{}:
			case <-ctx.Done():
			}
			return
		}
		r.cfg.Logger.Warn("the disk still does not take what is written", "error", err)
	}
}

// resume goes on where the disk had failed: it takes in what was stored without having been acknowledged. The owner calls it.
func (r *Register) resume(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, resumeWithin)
	defer cancel()
	err := r.takeTail(ctx)
	if err != nil && !r.noteDamage(err) {
		r.cfg.Logger.Warn("the end of the journal cannot be read; the store is opened again", "error", err)
		r.wait.Go(func() { r.reopenStore(r.running) })
		return
	}
	r.failure.Store(nil)
	r.cfg.Logger.Warn("the disk is well again, and the register goes on", "entries", r.state.Head.Sequence)
}

// takeTail compares the journal's end with the state's head. Only an entry of our own may be behind it.
func (r *Register) takeTail(ctx context.Context) error {
	last, err := r.journal.Last(ctx)
	if err != nil {
		return err
	}
	head := r.state.Head
	switch {
	case last < head.Sequence:
		return &events.CorruptError{Sequence: last + 1, Kind: "truncated", Want: fmt.Sprintf("%d entries", head.Sequence), Got: fmt.Sprint(last),
			Hint: "the disk had failed, and lost what it had said was safe"}
	case last == head.Sequence:
		if last > 0 {
			return checkHead(ctx, r.journal, head, "the register")
		}
		return nil
	}
	m, err := r.journal.Get(ctx, head.Sequence+1)
	if err != nil {
		return err
	}
	if last > head.Sequence+1 || !r.unknown[m.ID] {
		return &events.CorruptError{Sequence: head.Sequence + 1, Kind: "second writer", Want: "no entry of another", Got: m.ID, Hint: "something else has written to this journal"}
	}
	entry, err := decode(m)
	if err != nil {
		return err
	}
	r.accept(entry, m.Body)
	return nil
}
