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

// verifier follows the chains of the entries of one batch.
type verifier struct {
	ctx    context.Context
	tx     *sql.Tx
	chains map[embedded.JournalName]*chain
}

// chain is one journal as far as it is verified.
type chain struct {
	events.Chain
	repeated int
	arrived  time.Time
}

// verify looks at one entry as it arrived. It fails only where the database does.
func (v *verifier) verify(r embedded.Received) error {
	if r.Journal == (embedded.JournalName{}) {
		return v.find(r, &events.CorruptError{Sequence: r.Message.Sequence, Kind: "origin", Want: "an entry of a known journal", Got: r.Message.Subject})
	}
	c, err := v.chain(r.Journal)
	if err != nil {
		return err
	}
	c.arrived = r.ArrivedAt
	if r.Message.Sequence <= c.Head.Sequence {
		// Transport is at least once: what came before does not count again.
		c.repeated++
		if r.Message.Sequence == c.Head.Sequence && events.Hash(r.Message.Body) != c.Head.Hash {
			return v.find(r, &events.CorruptError{Sequence: r.Message.Sequence, Kind: "fork", Want: c.Head.Hash.String(), Got: events.Hash(r.Message.Body).String()})
		}
		return nil
	}
	entry, err := events.Decode(r.Message.Body)
	if err != nil {
		return v.find(r, &events.CorruptError{Sequence: r.Message.Sequence, Kind: "undecodable", Want: "an entry", Got: err.Error()})
	}
	if err := c.Next(r.Message.Sequence, entry); err != nil {
		corrupt, _ := errors.AsType[*events.CorruptError](err)
		if err := v.find(r, corrupt); err != nil {
			return err
		}
		if corrupt.Kind != "gap" && corrupt.Kind != "chain" {
			return nil // it is not an entry of this journal at all
		}
		// It is this journal's, behind something missing: go on from here, so that what follows is verified too.
		c.Head = entry.Head
	}
	if err := v.count(entry); err != nil {
		return err
	}
	return v.keep(r, entry)
}

// chain is the journal's chain so far.
func (v *verifier) chain(j embedded.JournalName) (*chain, error) {
	if c := v.chains[j]; c != nil {
		return c, nil
	}
	c := &chain{Chain: events.Chain{Register: j.Register, Head: events.Head{Epoch: j.Epoch}}}
	var hash string
	err := v.tx.QueryRowContext(v.ctx, `SELECT sequence, hash, repeated FROM journals WHERE register = ? AND epoch = ?`, j.Register.String(), j.Epoch).
		Scan(&c.Head.Sequence, &hash, &c.repeated)
	if err == nil {
		err = c.Head.Hash.UnmarshalText([]byte(hash))
	}
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return nil, fmt.Errorf("read chain of %s: %w", j, err)
	}
	v.chains[j] = c
	return c, nil
}

func (v *verifier) find(r embedded.Received, e *events.CorruptError) error {
	_, err := v.tx.ExecContext(v.ctx, `INSERT INTO findings (register, epoch, sequence, kind, want, got, shard, shard_sequence) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
		r.Journal.Register.String(), r.Journal.Epoch, e.Sequence, e.Kind, e.Want, e.Got, r.Shard, r.ShardSequence)
	return err
}

// count adds a concluded sale to its day.
func (v *verifier) count(e *events.Entry) error {
	if err := errors.Join(countNumbers(v.ctx, v.tx, e), settle(v.ctx, v.tx, e)); err != nil {
		return err
	}
	switch f := e.Fact.(type) {
	case *events.ShiftOpened:
		_, err := v.tx.ExecContext(v.ctx, `INSERT OR REPLACE INTO shifts VALUES (?, ?)`, f.Shift, f.BusinessDate)
		return err
	case *events.SaleConcluded:
		_, err := v.tx.ExecContext(v.ctx, `INSERT INTO sales VALUES (?1, coalesce((SELECT date FROM shifts WHERE shift = ?2), ''), ?3, 1, ?4, ?5, ?6)
			ON CONFLICT DO UPDATE SET concluded = concluded + 1, sales = sales + excluded.sales, returns = returns + excluded.returns, tax = tax + excluded.tax`,
			e.Register.String(), e.Shift, f.Terms.Currency, f.Sales, f.Returns, f.After.Tax)
		return err
	}
	return nil
}

// store keeps the chains that the batch moved.
func (v *verifier) store() error {
	for j, c := range v.chains {
		_, err := v.tx.ExecContext(v.ctx, `INSERT INTO journals VALUES (?, ?, ?, ?, ?, ?)
			ON CONFLICT DO UPDATE SET sequence = excluded.sequence, hash = excluded.hash, repeated = excluded.repeated, arrived = excluded.arrived`,
			j.Register.String(), j.Epoch, c.Head.Sequence, c.Head.Hash.String(), c.repeated, c.arrived.UTC().Format(time.RFC3339Nano))
		if err != nil {
			return err
		}
	}
	return nil
}
