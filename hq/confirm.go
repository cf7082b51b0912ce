package hq

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/posnode/posnode/embedded"
	"github.com/posnode/posnode/events"
	"github.com/posnode/posnode/internal/checkpoint"
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
		head, whole, err := h.db.verifiedHead(context.WithoutCancel(ctx), name)
		if err != nil {
			return nil, nil, err
		}
		if head == q.Head && whole {
			break
		}
		if ctx.Err() != nil {
			return nil, &events.NotGranted{
				Code: "entries_unsent", Why: fmt.Sprintf("Head office has entries up to %d of %d.", head.Sequence, q.Head.Sequence), Instead: "Try again in a moment.",
			}, nil
		}
		select {
		case <-ctx.Done():
		case <-time.After(20 * time.Millisecond):
		}
	}
	note, err := h.own.witness.Sign(checkpoint.Checkpoint{Origin: fmt.Sprintf("%s/%d", r, q.Head.Epoch), Size: q.Head.Sequence, Hash: q.Head.Hash})
	return &events.Confirmation{Head: q.Head, Checkpoint: note}, nil, err
}

// verifiedHead is how far a journal is verified, and whether nothing of it is missing or in doubt now.
func (d *database) verifiedHead(ctx context.Context, name embedded.JournalName) (head events.Head, whole bool, err error) {
	var hash string
	var findings int
	err = d.db.QueryRowContext(ctx, `SELECT sequence, hash FROM journals WHERE register = ? AND epoch = ?`, name.Register.String(), name.Epoch).Scan(&head.Sequence, &hash)
	if errors.Is(err, sql.ErrNoRows) {
		return events.Head{Epoch: name.Epoch}, false, nil
	}
	if err == nil {
		head.Epoch = name.Epoch
		err = head.Hash.UnmarshalText([]byte(hash))
	}
	if err == nil {
		err = d.db.QueryRowContext(ctx, `SELECT count(*) FROM findings WHERE register = ? AND epoch = ? AND kind IN ('gap', 'chain', 'fork') AND resolved = ''`, name.Register.String(), name.Epoch).Scan(&findings)
	}
	return head, findings == 0, err
}

// confirmLater records that head office has everything up to operations on shifts that registers
// recorded without it.
func (h *HQ) confirmLater(ctx context.Context) error {
	rows, err := h.db.db.QueryContext(ctx, `SELECT register, epoch, sequence, hash, shift, operation FROM unconfirmed ORDER BY register, epoch, sequence LIMIT 100`)
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
		r, err := events.ParseRegister(f.Register)
		if err != nil {
			return err
		}
		head, whole, err := h.db.verifiedHead(ctx, embedded.JournalName{Register: r, Epoch: f.Head.Epoch})
		if err != nil {
			return err
		}
		if !whole || head.Sequence < f.Head.Sequence {
			continue // something before it is missing: when that arrives it is looked at again
		}
		_, err = h.record(ctx, func(ctx context.Context, tx *sql.Tx, _ events.Head) (events.Fact, error) {
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
	return nil
}
