package register

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/posnode/posnode/events"
	"github.com/posnode/posnode/ledger"
)

// checkEvery is how often the whole journal is read again: JetStream does not report bit rot.
const checkEvery = 24 * time.Hour

// checkAgain checks the journal after a start and then daily, with pauses, so that the till does not feel it.
func (r *Register) checkAgain(ctx context.Context) {
	for r.Damage() == nil {
		err := r.check(ctx, func() { sleep(ctx, 5*time.Millisecond) })
		if ctx.Err() != nil {
			return
		}
		if err != nil && !r.noteDamage(err) {
			r.cfg.Logger.Warn("the journal could not be checked", "error", err)
		}
		sleep(ctx, checkEvery)
	}
}

// Check reads the whole journal, as far as it goes now, and returns the first
// damage as a *[events.CorruptError]: of the chain, of a fact that cannot have
// followed, or of a snapshot that differs from what the entries add up to.
func (r *Register) Check(ctx context.Context) error {
	return r.check(ctx, func() {})
}

func (r *Register) check(ctx context.Context, pause func()) error {
	r.turning.RLock()
	identity, journal := r.identity, r.journal
	r.turning.RUnlock()
	shot, err := readSnapshot(r.cfg.Dir)
	if err != nil {
		return err
	}
	if shot != nil && (shot.Register != identity.Register || shot.Head.Epoch != identity.Epoch) {
		shot = nil // of the epoch before, or put there from another register
	}
	if shot != nil {
		if err := checkHead(ctx, journal, shot.Head, "the last snapshot"); err != nil {
			return err
		}
	}
	state := ledger.NewState(r.cfg.Register, identity.Epoch, events.Hash(identity.activation))
	return journal.Read(ctx, 1, func(m events.Message) error {
		entry, err := decode(m)
		if err != nil {
			return err
		}
		if err := state.Apply(entry); err != nil {
			return err
		}
		if shot != nil && entry.Head == shot.Head {
			if err := sameState(shot, state); err != nil {
				return err
			}
		}
		if m.Sequence%500 == 0 {
			pause()
		}
		return ctx.Err()
	})
}

// sameState compares a snapshot with what the entries up to it add up to.
func sameState(shot, folded *ledger.State) error {
	want, err := json.Marshal(folded)
	if err != nil {
		return err
	}
	got, err := json.Marshal(shot)
	if err != nil {
		return err
	}
	if string(want) != string(got) {
		return &events.CorruptError{
			Sequence: shot.Head.Sequence, Kind: "snapshot", Want: events.Hash(want).String(), Got: events.Hash(got).String(),
			Hint: fmt.Sprintf("the snapshot is not what the first %d entries add up to: delete it", shot.Head.Sequence),
		}
	}
	return nil
}

func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
