package replay

import (
	"context"
	"errors"
	"fmt"

	"github.com/posnode/posnode/events"
	"github.com/posnode/posnode/ledger"
)

// At folds src up to one entry of one epoch and returns the state after that entry. Epoch 0 means
// the newest epoch. Damage before the entry is a *[events.CorruptError].
func At(ctx context.Context, src Source, epoch int, sequence uint64) (*ledger.State, error) {
	t := traveller{epoch: epoch, sequence: sequence}
	if err := walk(ctx, src, t.visit); err != nil && !errors.Is(err, errEnough) {
		return nil, err
	}
	if !t.arrived() {
		if t.state != nil && (epoch == 0 || t.state.Head.Epoch == epoch) {
			return nil, fmt.Errorf("there is no entry %d in epoch %d, which ends at entry %d", sequence, t.state.Head.Epoch, t.state.Head.Sequence)
		}
		return nil, fmt.Errorf("there is no entry %d in epoch %d", sequence, epoch)
	}
	return t.state, nil
}

// traveller folds each epoch from its beginning, up to the sequence.
type traveller struct {
	epoch    int // 0 for the newest
	sequence uint64
	state    *ledger.State
	last     uint64 // sequence of the last entry that was folded
}

func (t *traveller) arrived() bool {
	return t.state != nil && t.sequence > 0 && t.state.Head.Sequence == t.sequence && (t.epoch == 0 || t.state.Head.Epoch == t.epoch)
}

func (t *traveller) visit(it *item) error {
	if t.arrived() {
		if t.epoch != 0 {
			return errEnough
		}
		if it.entry == nil || it.entry.Head.Epoch == t.state.Head.Epoch {
			return nil // a newer epoch may follow
		}
	}
	e := it.entry
	switch {
	case e == nil && t.state == nil && t.epoch > 1, e != nil && e.Head.Epoch < t.epoch:
		return nil // of an earlier epoch than the one asked for
	case e == nil:
		return it.undecodable(t.last)
	}
	if t.state == nil || e.Head.Epoch > t.state.Head.Epoch {
		t.state = ledger.NewState(e.Register, e.Head.Epoch, e.PrevHash)
	}
	if t.state.Head.Sequence >= t.sequence {
		return nil
	}
	t.last = e.Head.Sequence
	return apply(t.state, e)
}

// Show yields the entries of src as they are stored. If the bytes are not an entry, entry is nil
// and err gives the reason.
func Show(ctx context.Context, src Source, yield func(body []byte, entry *events.Entry, err error) error) error {
	return walk(ctx, src, func(it *item) error { return yield(it.Body, it.entry, it.err) })
}
