package ledger

import (
	"context"

	"github.com/posnode/posnode/events"
)

// Log is the journal of one register and one epoch: durable, ordered, one writer.
type Log interface {
	// Append stores m as the entry after sequence after, and returns nil only when
	// it is on disk. [events.ErrConflict] and [events.ErrFull] say that it was not
	// stored; after any other error the outcome is unknown, and the writer must
	// read the end of the log before it appends again.
	Append(ctx context.Context, after uint64, m events.Message) error
	// Last is the sequence of the last entry, 0 for none.
	Last(ctx context.Context) (uint64, error)
	// Read yields the entries from sequence from to the one that was last when the
	// call began, in order and without a gap. Where stored bytes are missing it
	// returns a *[events.CorruptError].
	Read(ctx context.Context, from uint64, yield func(events.Message) error) error
}
