package replay

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/posnode/posnode/events"
	"github.com/posnode/posnode/projections"
)

// rebuildBatch is the number of entries in one transaction of the database.
const rebuildBatch = 2000

// Rebuild folds src into db up to the entry at last. The zero head means the whole of src. db must
// be empty. An entry that cannot be folded ends Rebuild with a *[events.CorruptError].
func Rebuild(ctx context.Context, src Source, db *projections.DB, last events.Head) error {
	var batch []projections.Stored
	flush := func() error {
		if len(batch) == 0 {
			return nil
		}
		err := db.Apply(ctx, batch)
		batch = batch[:0]
		return err
	}
	var at uint64
	err := walk(ctx, src, func(it *item) error {
		entry := it.entry
		if entry == nil {
			return it.undecodable(at)
		}
		at = entry.Head.Sequence
		if h := entry.Head; last != (events.Head{}) && (h.Epoch > last.Epoch || h.Epoch == last.Epoch && h.Sequence > last.Sequence) {
			return errEnough
		}
		if batch = append(batch, projections.Stored{Entry: entry, Body: it.Body}); len(batch) < rebuildBatch {
			return nil
		}
		return flush()
	})
	if err != nil && !errors.Is(err, errEnough) {
		return err
	}
	return flush()
}

// errEnough ends a walk early, without a fault.
var errEnough = errors.New("enough")

// undecodable returns the error for a caller that needs the entry. last is the sequence of the
// entry before.
func (it *item) undecodable(last uint64) error {
	return &events.CorruptError{
		Sequence: cmp.Or(it.Sequence, last+1), Kind: KindUndecodable, Want: "an entry", Got: it.err.Error(), Hint: "verify names everything that is wrong",
	}
}

// Compare rebuilds the offline database from src up to the position of offline. It returns a
// finding for each row that differs. Verify src first: Compare returns an error if src cannot be
// folded.
func Compare(ctx context.Context, src Source, offline *projections.DB) (found []Finding, err error) {
	position, err := offline.Position(ctx)
	if err != nil || position == (events.Head{}) {
		return nil, err
	}
	err = WithRebuilt(ctx, src, position, func(rebuilt *projections.DB) error {
		differences, err := projections.Differences(ctx, rebuilt, offline)
		for _, d := range differences {
			found = append(found, Finding{
				Epoch: position.Epoch, Sequence: position.Sequence, Kind: KindProjection,
				Want: clip(d.Want), Got: clip(d.Got), Hint: fmt.Sprintf("%s %s of the offline database: delete the file, and it is rebuilt", d.View, clip(d.Key)),
			})
		}
		return err
	})
	return found, err
}

// WithRebuilt rebuilds an offline database from src up to last, as [Rebuild] does. It calls use
// with the database and removes it afterwards.
func WithRebuilt(ctx context.Context, src Source, last events.Head, use func(*projections.DB) error) (err error) {
	dir, err := os.MkdirTemp("", "posnode-replay-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	db, err := projections.Open(filepath.Join(dir, "rebuilt.db"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if err := Rebuild(ctx, src, db, last); err != nil {
		return err
	}
	return use(db)
}
