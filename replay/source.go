package replay

import (
	"context"

	"github.com/posnode/posnode/events"
)

// Source is a journal to be read: all epochs of one register.
type Source interface {
	// Read yields every entry that is stored, in the order in which it is stored,
	// epoch after epoch. It checks nothing and is never stopped by damage: finding
	// that is for [Verify].
	//
	// epoch and m.Sequence say where the entry is stored, and are 0 where the source
	// knows no more than the order. An entry that should be there and cannot be read
	// is left out or, at the end of an epoch, yielded without a body. m.Body is the
	// receiver's to keep. Damage that is no entry's ends the reading as a *[events.CorruptError].
	Read(ctx context.Context, yield func(epoch int, m events.Message) error) error
}
