package replay

import (
	"context"

	"github.com/posnode/posnode/events"
)

// Source is a journal to be read: all epochs of one register.
type Source interface {
	// Read yields every stored entry in the stored order, epoch after epoch. It checks nothing, and
	// damage to an entry does not stop it. Only [Verify] reports damage.
	//
	// epoch and m.Sequence are the place of the entry. They are 0 if the source knows only the
	// order. Read leaves out an entry that it cannot read. At the end of an epoch it yields such an
	// entry without a body. The receiver may keep m.Body. Damage outside the entries ends the
	// reading with a *[events.CorruptError].
	Read(ctx context.Context, yield func(epoch int, m events.Message) error) error
}
