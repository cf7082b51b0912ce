package hq

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/posnode/posnode/embedded"
	"github.com/posnode/posnode/events"
)

// confirmWithin is how long head office waits for entries that are on their way. It is below
// any register's time-out, so that what is missing is an answer and no failure.
const confirmWithin = 2 * time.Second

// confirm says that every entry of a journal up to a head is here and verified, and signs it.
func (h *HQ) confirm(ctx context.Context, r events.Register, q events.AskConfirm) (*events.Confirmation, *events.NotGranted, error) {
	ctx, cancel := context.WithTimeout(ctx, min(confirmWithin, time.Duration(q.WithinMillis)*time.Millisecond))
	defer cancel()
	name := embedded.JournalName{Register: r, Epoch: q.Head.Epoch}
	for {
		held, err := h.db.head(context.WithoutCancel(ctx), name)
		if err != nil {
			return nil, nil, err
		}
		if held.Sequence >= q.Head.Sequence {
			break
		}
		if ctx.Err() != nil {
			return nil, &events.NotGranted{
				Code: "entries_unsent", Why: fmt.Sprintf("Head office has entries up to %d of %d.", held.Sequence, q.Head.Sequence), Instead: "Try again in a moment.",
			}, nil
		}
		select {
		case <-ctx.Done():
		case <-time.After(20 * time.Millisecond):
		}
	}
	ctx = context.WithoutCancel(ctx)
	hash, err := h.db.hashAt(ctx, name, q.Head.Sequence)
	if err != nil {
		return nil, nil, err
	}
	over, err := quarantined(ctx, h.db.db, name)
	if err != nil {
		return nil, nil, err
	}
	note, err := h.mark(ctx, name, over != nil)
	if err != nil {
		return nil, nil, err
	}
	signed, err := openMark(note, h.own.public, name)
	if err != nil || hash == nil || *hash != q.Head.Hash || signed.Sequence < q.Head.Sequence {
		if over != nil {
			return nil, frozen(over.Why), nil
		}
		return nil, &events.NotGranted{Code: "entries_unsent", Why: "Head office does not vouch for this register's entries.", Instead: "Call support."}, nil
	}
	return &events.Confirmation{Head: q.Head, Checkpoint: note}, nil, nil
}

// confirmed is how many operations are confirmed later at a time.
const confirmed = 100

// confirmLater records that head office has everything up to operations on shifts that registers
// recorded without it.
func (h *HQ) confirmLater(ctx context.Context) error {
	rows, err := h.db.db.QueryContext(ctx, `SELECT register, epoch, u.sequence, u.hash, shift, operation FROM unconfirmed u JOIN journals USING (register, epoch)
		WHERE journals.sequence >= u.sequence ORDER BY register, epoch, u.sequence LIMIT ?`, confirmed) // before the others something is missing
	if err != nil {
		return err
	}
	var waiting []events.ShiftConfirmed
	for rows.Next() {
		var f events.ShiftConfirmed
		var hash string
		if err := errors.Join(rows.Scan(&f.Register, &f.Head.Epoch, &f.Head.Sequence, &hash, &f.Shift, &f.Operation), f.Head.Hash.UnmarshalText([]byte(hash))); err != nil {
			return errors.Join(err, rows.Close())
		}
		waiting = append(waiting, f)
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return err
	}
	for _, f := range waiting {
		_, err := h.record(ctx, func(ctx context.Context, tx *sql.Tx, _ events.Head) (events.Fact, error) {
			var n int
			err := tx.QueryRowContext(ctx, `SELECT count(*) FROM confirmed WHERE register = ? AND epoch = ? AND sequence = ?`, f.Register, f.Head.Epoch, f.Head.Sequence).Scan(&n)
			if n > 0 || err != nil {
				return nil, err // another instance was first
			}
			return &f, nil
		})
		if err != nil {
			return err
		}
	}
	if len(waiting) == confirmed {
		h.moreSettled() // there may be more
	}
	return nil
}
