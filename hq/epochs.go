package hq

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/posnode/posnode/embedded"
	"github.com/posnode/posnode/events"
)

// A register's epochs are a chain: the activation record of each names the end of the one before it. Head
// office keeps every end that it is told, by a later activation record or by the register's
// announcement, and compares it with the entries that it holds. Entries up to a named end that are not here are a gap: they are
// asked for, and nothing is certified without them. This is so for an epoch of which nothing has come, too.

const endsSchema = `
CREATE TABLE IF NOT EXISTS ends ( -- where an epoch ended
	register TEXT NOT NULL, epoch INTEGER NOT NULL,
	named_by INTEGER NOT NULL, -- the epoch whose activation record names it, 0 for the register's announcement
	sequence INTEGER NOT NULL, hash TEXT NOT NULL, PRIMARY KEY (register, epoch, named_by)
) WITHOUT ROWID;
`

// byAnnouncement stands in named_by for an end that the register announced.
const byAnnouncement = 0

// nameEarlier keeps what the activation record of a journal says of the epochs before it. previous is the end that it names.
func (v *verifier) nameEarlier(j *journal, previous *events.Head) error {
	if previous != nil && previous.Sequence > 0 {
		if previous.Epoch < 1 || previous.Epoch >= j.name.Epoch {
			return nil // it makes no sense, and the audit says so
		}
		return v.nameEnd(j.name.Register, j.name.Epoch, *previous)
	}
	// The register had lost its disk, or had none yet: it does not know of earlier epochs. Head office knows those that it has given.
	rows, err := v.tx.QueryContext(v.ctx, `SELECT DISTINCT json_extract(fact, '$.begins') FROM enrolled WHERE register = ?1 AND json_extract(fact, '$.begins') < ?2
		AND NOT EXISTS (SELECT 1 FROM journals WHERE journals.register = ?1 AND epoch = json_extract(fact, '$.begins') AND reached > 0)`, j.name.Register.String(), j.name.Epoch)
	if err != nil {
		return err
	}
	defer rows.Close()
	var given []int
	for rows.Next() {
		var epoch int
		if err := rows.Scan(&epoch); err != nil {
			return err
		}
		given = append(given, epoch)
	}
	if err := errorsOf(rows); err != nil {
		return err
	}
	for _, epoch := range given {
		if other := v.journals[embedded.JournalName{Register: j.name.Register, Epoch: epoch}]; other != nil && len(other.runs) > 0 {
			continue // it comes in this very batch
		}
		err := note(v.ctx, v.tx, Finding{
			Register: j.name.Register.String(), Epoch: epoch, Sequence: 1, Kind: KindEpoch, Found: stamp(v.at),
			Want: fmt.Sprintf("the entries of epoch %d, in which head office let the register in", epoch),
			Got:  fmt.Sprintf("nothing, and epoch %d begins without knowing of it", j.name.Epoch),
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// nameEnd keeps where an epoch ended and has it compared with what is held.
func (v *verifier) nameEnd(r events.Register, namedBy int, end events.Head) error {
	j, err := v.journal(embedded.JournalName{Register: r, Epoch: end.Epoch})
	if err != nil {
		return err
	}
	hash := ""
	if end.Hash != (events.Digest{}) {
		hash = end.Hash.String()
	}
	// The register's own word never shrinks: a till that lost its disk does not take back what it has recorded.
	err = v.exec(`INSERT INTO ends VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET sequence = excluded.sequence, hash = excluded.hash
		WHERE named_by > 0 OR excluded.sequence >= sequence`, r.String(), end.Epoch, namedBy, min(end.Sequence, math.MaxInt64), hash) // SQLite takes no more
	j.moved = true
	return err
}

// compareEnds compares a journal with the ends that were named, and returns what is missing of it: its
// holes, and what is between its last entry held and the last one named. An end with another entry than the
// one that is held there is a finding, until that entry has come, too.
func (v *verifier) compareEnds(j *journal) ([]events.Range, error) {
	register, reached := j.name.Register.String(), j.runs.reached()
	holes := j.runs.holes(j.name.Epoch)
	var end uint64
	err := v.row(`SELECT coalesce(max(sequence), 0) FROM ends WHERE register = ? AND epoch = ?`, register, j.name.Epoch).Scan(&end)
	if err != nil {
		return nil, err
	}
	if end > reached {
		holes = append(holes, events.Range{Epoch: j.name.Epoch, From: reached + 1, To: end})
	}
	if reached > 0 {
		if err := resolve(v.ctx, v.tx, j.name, 1, KindEpoch, "entries came", v.at); err != nil {
			return nil, err
		}
	}
	return holes, v.compareHashes(j, end)
}

// compareHashes notes ends that name another entry than the one held in that place, and resolves those that agree.
func (v *verifier) compareHashes(j *journal, end uint64) error {
	if end == 0 {
		return nil
	}
	register := j.name.Register.String()
	rows, err := v.tx.QueryContext(v.ctx, `SELECT ends.sequence, ends.hash, named_by, entries.hash FROM ends JOIN entries ON journal = ?1 AND entries.sequence = ends.sequence
		WHERE register = ?2 AND epoch = ?3 AND ends.hash <> ''`, j.id, register, j.name.Epoch)
	if err != nil {
		return err
	}
	defer rows.Close()
	var wrong []Finding
	for rows.Next() {
		f := Finding{Register: register, Epoch: j.name.Epoch, Kind: KindEnd, Found: stamp(v.at)}
		var namedBy int
		var held []byte
		if err := rows.Scan(&f.Sequence, &f.Got, &namedBy, &held); err != nil {
			return err
		}
		if f.Want = events.Digest(held).String(); f.Want != f.Got {
			wrong = append(wrong, f)
		}
	}
	if err := errorsOf(rows); err != nil {
		return err
	}
	// What agrees now, or is known as a wrong branch, does not contradict any more.
	err = v.exec(`UPDATE findings SET resolved = ?, how = 'the entry came' WHERE register = ? AND epoch = ? AND kind = 'end' AND resolved = ''`, stamp(v.at), register, j.name.Epoch)
	for _, f := range wrong {
		var hash events.Digest
		var stray bool
		err = errors.Join(err, hash.UnmarshalText([]byte(f.Got)),
			v.row(`SELECT EXISTS (SELECT 1 FROM strays WHERE journal = ? AND sequence = ? AND hash = ?)`, j.id, f.Sequence, hash[:]).Scan(&stray))
		if err == nil && !stray {
			err = note(v.ctx, v.tx, f)
		}
	}
	return err
}

// told keeps the ends that a register has announced of its earlier epochs.
func (d *database) told(ctx context.Context, r events.Register, ends []events.Head, at time.Time) error {
	tx, err := d.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() // after a commit it does nothing
	v := d.verifier(ctx, tx)
	v.at = at
	for _, end := range ends {
		if err := v.nameEnd(r, byAnnouncement, end); err != nil {
			return err
		}
	}
	if err := v.store(); err != nil {
		return err
	}
	return tx.Commit()
}

// given lists the journals that head office must receive, whether anything of them has come or not: it has let
// their registers in for these epochs, or a verified activation record names them.
func (d *database) given(ctx context.Context) (out []embedded.JournalName, err error) {
	rows, err := d.db.QueryContext(ctx, givenJournals)
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

const givenJournals = `SELECT register, epoch FROM keys
	UNION SELECT ends.register, ends.epoch FROM ends JOIN journals ON journals.register = ends.register AND journals.epoch = named_by WHERE journals.sequence > 0`

// isGiven says whether a journal is one of them.
func (d *database) isGiven(ctx context.Context, name embedded.JournalName) (given bool, err error) {
	err = d.db.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM (`+givenJournals+`) WHERE register = ? AND epoch = ?)`, name.Register.String(), name.Epoch).Scan(&given)
	return given, err
}
