package hq

import (
	"context"
	"errors"

	"github.com/posnode/posnode/embedded"
	"github.com/posnode/posnode/events"
)

// What an entry says to others, of balances, receipts, customers and orders, counts when it is verified. One that
// comes behind a gap, or does not follow, waits: hq.db keeps where it is, and it is read again when it is
// verified after all.

// fetcher reads an entry again at its place in a stream, see [embedded.HQNode.Fetch].
type fetcher func(ctx context.Context, shard string, sequence uint64) ([]byte, error)

// sayVerified takes in what has waited and is verified now.
func (d *database) sayVerified(ctx context.Context, fetch fetcher) error {
	for {
		all, err := d.unsaid(ctx)
		if err != nil || len(all) == 0 {
			return err
		}
		for i := range all {
			r := &all[i].Received
			r.Message.Body, err = fetch(ctx, r.Shard, r.ShardSequence)
			if _, lost := errors.AsType[*events.CorruptError](err); err != nil && !lost {
				return err
			}
		}
		if err := d.sayAll(ctx, all); err != nil {
			return err
		}
	}
}

// waiting is an entry that is held and has waited until it was verified.
type waiting struct {
	embedded.Received
	journal int64
	hash    events.Digest
}

// unsaid are the first of those that are verified and can be read, as far as is known.
func (d *database) unsaid(ctx context.Context) (all []waiting, err error) {
	// Mostly none waits, and the journals are not looked through for them.
	rows, err := d.db.QueryContext(ctx, `SELECT j.id, j.register, j.epoch, u.sequence, u.shard, u.shard_sequence, e.hash
		FROM journals j CROSS JOIN unsaid u ON u.journal = j.id AND u.sequence <= j.sequence JOIN entries e ON e.journal = j.id AND e.sequence = u.sequence
		WHERE EXISTS (SELECT 1 FROM unsaid) AND NOT EXISTS (SELECT 1 FROM lost l WHERE l.journal = j.id AND l.sequence = u.sequence) LIMIT ?`, most)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var w waiting
		var register string
		var hash []byte
		if err := rows.Scan(&w.journal, &register, &w.Journal.Epoch, &w.Message.Sequence, &w.Shard, &w.ShardSequence, &hash); err != nil {
			return nil, err
		}
		if w.Journal.Register, err = events.ParseRegister(register); err != nil {
			return nil, err
		}
		w.hash = events.Digest(hash)
		all = append(all, w)
	}
	return all, errorsOf(rows)
}

// sayAll takes in what entries say, each once. One that cannot be read is lost: it is asked for, and waits for that.
func (d *database) sayAll(ctx context.Context, all []waiting) error {
	tx, err := d.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() // after a commit it does nothing
	v := d.verifier(ctx, tx)
	for _, w := range all {
		entry, err := events.Decode(w.Message.Body)
		if err != nil || events.Hash(w.Message.Body) != w.hash {
			if err := v.exec(`INSERT INTO lost VALUES (?, ?) ON CONFLICT DO NOTHING`, w.journal, w.Message.Sequence); err != nil {
				return err
			}
			continue
		}
		result, err := v.run(`DELETE FROM unsaid WHERE journal = ? AND sequence = ?`, w.journal, w.Message.Sequence)
		if err != nil {
			return err
		}
		if n, err := result.RowsAffected(); err != nil || n == 0 {
			if err != nil {
				return err
			}
			continue // another reader was first
		}
		if err := v.sensibly(w.Received, func() error { return v.say(w.Received, entry) }); err != nil {
			return err
		}
	}
	return tx.Commit()
}
