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

// checkStoredEvery is how often all that head office holds is read again: JetStream
// does not report bit rot, nor an end that was cut off.
const checkStoredEvery = 24 * time.Hour

// checkStored looks at what is stored after the start, when a stream has lost its end, and daily.
func (h *HQ) checkStored(ctx context.Context) {
	for ctx.Err() == nil {
		if err := h.findLost(ctx); err != nil && ctx.Err() == nil {
			h.cfg.Logger.Warn("what head office holds could not be checked", "error", err)
		}
		select {
		case <-ctx.Done():
		case <-h.doubt:
		case <-time.After(checkStoredEvery):
		}
	}
}

// findLost reads all that is stored, takes in what was passed over, and finds out which
// entries were held once and cannot be read any more. They are asked for again.
func (h *HQ) findLost(ctx context.Context) error {
	held, err := h.db.held(ctx) // first: what comes while we read is not in it
	if err != nil {
		return err
	}
	seen := map[embedded.JournalName]runs{}
	for _, shard := range h.streams() {
		last, err := h.db.position(ctx, shard)
		if err != nil {
			return err
		}
		batch := make([]embedded.Received, 0, most)
		began := time.Now()
		look := func() error {
			err := errors.Join(h.db.lookAgain(ctx, batch, seen), h.db.sayVerified(ctx, h.node.Fetch))
			batch = batch[:0]
			// Two thirds of the time belong to those who sell.
			select {
			case <-ctx.Done():
			case <-time.After(min(2*time.Since(began), time.Second)):
			}
			began = time.Now()
			return err
		}
		err = h.node.Stored(ctx, shard, 1, last, func(r embedded.Received) error {
			if batch = append(batch, r); len(batch) < most {
				return nil
			}
			return look()
		})
		if err := errors.Join(err, look()); err != nil {
			return err
		}
	}
	return h.db.noteLost(ctx, held, seen, h.cfg.Clock())
}

// held are all journals with what is held of them.
func (d *database) held(ctx context.Context) (out []*journal, err error) {
	tx, err := d.db.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return nil, err
	}
	defer tx.Rollback()
	names, err := journalNames(ctx, tx, `ORDER BY register, epoch`)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		j, err := readJournal(ctx, tx, name)
		if err != nil {
			return nil, err
		}
		out = append(out, j)
	}
	return out, nil
}

// journalNames lists journals that a rest of a query selects.
func journalNames(ctx context.Context, q querier, rest string, args ...any) (out []embedded.JournalName, err error) {
	rows, err := q.QueryContext(ctx, `SELECT register, epoch FROM journals `+rest, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var name embedded.JournalName
		var register string
		if err := rows.Scan(&register, &name.Epoch); err != nil {
			return nil, err
		}
		if name.Register, err = events.ParseRegister(register); err != nil {
			return nil, err
		}
		out = append(out, name)
	}
	return out, errorsOf(rows)
}

// lookAgain notes which entries are still stored as they are held. What is not held, or was another, is taken in once more.
func (d *database) lookAgain(ctx context.Context, batch []embedded.Received, seen map[embedded.JournalName]runs) error {
	held, err := d.db.PrepareContext(ctx, `SELECT entries.hash FROM entries JOIN journals ON journals.id = journal WHERE register = ? AND epoch = ? AND entries.sequence = ?`)
	if err != nil {
		return err
	}
	defer held.Close()
	var anew []embedded.Received
	for _, r := range batch {
		if r.Journal == (embedded.JournalName{}) || r.Refused != "" || len(r.Message.Body) > events.MaxBody {
			continue // it was found when it came
		}
		var hash []byte
		err := held.QueryRowContext(ctx, r.Journal.Register.String(), r.Journal.Epoch, r.Message.Sequence).Scan(&hash)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		if err != nil || events.Digest(hash) != events.Hash(r.Message.Body) {
			anew = append(anew, r)
			continue
		}
		if there := seen[r.Journal]; !there.holds(r.Message.Sequence) {
			there.add(r.Message.Sequence, events.Digest{}, events.Digest{}) // of hashes nothing is asked here
			seen[r.Journal] = there
		}
	}
	if len(anew) == 0 {
		return nil
	}
	return d.take(ctx, anew, nil)
}

// noteLost keeps which of the entries held were not seen, and that those seen are there.
func (d *database) noteLost(ctx context.Context, held []*journal, seen map[embedded.JournalName]runs, now time.Time) error {
	tx, err := d.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() // after a commit it does nothing
	for _, j := range held {
		for _, lost := range unseen(j, seen[j.name]) {
			for sequence := lost.From; sequence <= lost.To; sequence++ {
				if _, err := tx.ExecContext(ctx, `INSERT INTO lost VALUES (?, ?) ON CONFLICT DO NOTHING`, j.id, sequence); err != nil {
					return err
				}
			}
			err := note(ctx, tx, Finding{
				Register: j.name.Register.String(), Epoch: j.name.Epoch, Sequence: lost.From, Through: lost.To, Kind: KindLost,
				Want: fmt.Sprintf("%d entries that head office held", lost.Len()), Got: "nothing readable in any stream", Found: stamp(now),
			})
			if err != nil {
				return err
			}
		}
		rows, err := tx.QueryContext(ctx, `SELECT sequence FROM lost WHERE journal = ?`, j.id)
		if err != nil {
			return err
		}
		var back []uint64
		for rows.Next() {
			var sequence uint64
			if err := rows.Scan(&sequence); err != nil {
				return errors.Join(err, rows.Close())
			}
			if seen[j.name].holds(sequence) {
				back = append(back, sequence)
			}
		}
		if err := errorsOf(rows); err != nil {
			return err
		}
		for _, sequence := range back {
			if _, err := tx.ExecContext(ctx, `DELETE FROM lost WHERE journal = ? AND sequence = ?`, j.id, sequence); err != nil {
				return err
			}
		}
		if err := resolveLost(ctx, tx, j.name, j.id, now); err != nil {
			return err
		}
	}
	return tx.Commit()
}

// unseen are the ranges of a journal that are held and were not seen.
func unseen(j *journal, seen runs) (out []events.Range) {
	for _, r := range j.runs {
		for sequence := r.first; sequence <= r.last; sequence++ {
			if seen.holds(sequence) {
				continue
			}
			if n := len(out); n > 0 && out[n-1].To+1 == sequence {
				out[n-1].To = sequence
				continue
			}
			out = append(out, events.Range{Epoch: j.name.Epoch, From: sequence, To: sequence})
		}
	}
	return out
}
