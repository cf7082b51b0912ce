package replay

import (
	"context"
	"errors"
	"fmt"

	"github.com/posnode/posnode/events"
	"github.com/posnode/posnode/ledger"
)

// At folds src up to one entry of one epoch and returns the state as it was then.
// Epoch 0 is the newest one. Damage before it is a *[events.CorruptError].
func At(ctx context.Context, src Source, epoch int, sequence uint64) (*ledger.State, error) {
	var state *ledger.State
	err := walk(ctx, src, func(it *item) error {
		e, err := it.decoded()
		switch {
		case epoch != 0 && e != nil && e.Head.Epoch < epoch:
			return nil
		case err != nil:
			return err
		}
		if state == nil || e.Head.Epoch > state.Head.Epoch {
			if e.Head.Sequence == 1 {
				state = ledger.NewState(e.Register, e.Head.Epoch, e.PrevHash)
			} else {
				return &events.CorruptError{Sequence: 1, Kind: KindGap, Want: "entry 1", Got: fmt.Sprintf("entry %d", e.Head.Sequence)}
			}
		}
		if state.Head.Sequence >= sequence {
			return nil // a newer epoch may follow
		}
		if err := state.Apply(e); err != nil {
			return err
		}
		if epoch != 0 && state.Head.Sequence == sequence {
			return errEnough
		}
		return nil
	})
	if err != nil && !errors.Is(err, errEnough) {
		return nil, err
	}
	if state == nil || sequence == 0 || state.Head.Sequence != sequence || epoch != 0 && state.Head.Epoch != epoch {
		return nil, fmt.Errorf("there is no entry %d in epoch %d", sequence, epoch)
	}
	return state, nil
}

// Show yields the entries of src as they are stored: entry is nil, and err says
// why, where the bytes are not one.
func Show(ctx context.Context, src Source, yield func(body []byte, entry *events.Entry, err error) error) error {
	return walk(ctx, src, func(it *item) error { return yield(it.Body, it.entry, it.err) })
}
