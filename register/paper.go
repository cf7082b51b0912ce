package register

import (
	"context"
	"errors"
	"fmt"

	"github.com/posnode/posnode/events"
	"github.com/posnode/posnode/projections"
)

// ErrOtherEpoch says that an entry is of an epoch whose key this register no longer has.
var ErrOtherEpoch = errors.New("of another epoch")

// CheckpointAt signs the chain up to and with one entry of the register's epoch. The
// signature is the same each time. The entry is read from the journal, which is
// checked, and not from the offline database, which could be anyone's.
func (r *Register) CheckpointAt(ctx context.Context, at events.Head) (string, error) {
	if at.Epoch != r.identity.Epoch {
		return "", fmt.Errorf("entry %d of epoch %d is %w", at.Sequence, at.Epoch, ErrOtherEpoch)
	}
	m, err := r.journal.Get(ctx, at.Sequence)
	if err != nil {
		return "", err
	}
	if got := events.Hash(m.Body); got != at.Hash {
		return "", &events.CorruptError{Sequence: at.Sequence, Kind: "altered", Want: at.Hash.String() + ", as the offline database knows", Got: got.String()}
	}
	return r.Checkpoint(at)
}

// OfflineFailed has the offline database built anew if err says that it is damaged.
func (r *Register) OfflineFailed(err error) bool {
	damaged := errors.Is(err, projections.ErrDamaged)
	if damaged {
		r.projector.noteDamage()
	}
	return damaged
}
