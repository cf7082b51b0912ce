package hq

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/posnode/posnode/embedded"
	"github.com/posnode/posnode/events"
)

// A wrong branch is a stretch of entries that follow from each other and not from what is verified: a till was put back
// from a copy and sold on, or two tills run with one identity. Some of it stands in places that are taken (the
// strays), and where it is longer than the right branch the rest is held behind that one, chained to the last stray.
// It is one finding: where it leaves, up to where it goes, and how many entries it has. A person accepts it as a whole.

const branchesSchema = `
CREATE TABLE IF NOT EXISTS strays ( -- entries in places that another entry has
	journal INTEGER NOT NULL, sequence INTEGER NOT NULL, hash BLOB NOT NULL, prev BLOB NOT NULL, PRIMARY KEY (journal, sequence, hash)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS branches ( -- strays that follow from each other
	journal INTEGER NOT NULL, first INTEGER NOT NULL, first_hash BLOB NOT NULL, prev BLOB NOT NULL, last INTEGER NOT NULL, hash BLOB NOT NULL,
	alone INTEGER NOT NULL, -- entries that were accepted one by one, as a former version had it
	PRIMARY KEY (journal, first, first_hash)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS branches_end ON branches (journal, last, hash);
`

// branch is a row of branches.
type branch struct {
	first, last           uint64
	firstHash, prev, hash events.Digest
	alone                 uint64
}

// readBranch reads one that a rest of a query selects, nil for none.
func (v *verifier) readBranch(rest string, args ...any) (*branch, error) {
	var b branch
	var firstHash, prev, hash []byte
	err := v.row(`SELECT first, first_hash, prev, last, hash, alone FROM branches `+rest+` LIMIT 1`, args...).Scan(&b.first, &firstHash, &prev, &b.last, &hash, &b.alone)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	b.firstHash, b.prev, b.hash = events.Digest(firstHash), events.Digest(prev), events.Digest(hash)
	return &b, nil
}

// stray takes in an entry in a place that another one has. It goes on a branch that it continues, or begins one.
func (v *verifier) stray(j *journal, r embedded.Received, hash, prev events.Digest) error {
	sequence := r.Message.Sequence
	result, err := v.run(`INSERT INTO strays VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING`, j.id, sequence, hash[:], prev[:])
	if err != nil {
		return err
	}
	if n, err := result.RowsAffected(); err != nil || n == 0 {
		return err // it is known
	}
	j.strays, j.moved = true, true
	added := branch{first: sequence, last: sequence, firstHash: hash, prev: prev, hash: hash}
	err = v.row(`SELECT count(*) FROM accepted WHERE register = ? AND epoch = ? AND sequence = ?3 AND kind = 'fork' AND got = ? AND through = ?3`,
		j.name.Register.String(), j.name.Epoch, sequence, hash.String()).Scan(&added.alone)
	if err != nil {
		return err
	}
	before, err := v.readBranch(`WHERE journal = ? AND last = ? AND hash = ?`, j.id, sequence-1, prev[:])
	if err != nil {
		return err
	}
	behind, err := v.readBranch(`WHERE journal = ? AND first = ? AND prev = ?`, j.id, sequence+1, hash[:])
	if err != nil {
		return err
	}
	if before != nil {
		added.first, added.firstHash, added.prev, added.alone = before.first, before.firstHash, before.prev, added.alone+before.alone
	}
	if behind != nil {
		added.last, added.hash, added.alone = behind.last, behind.hash, added.alone+behind.alone
		err := errors.Join(v.exec(`DELETE FROM branches WHERE journal = ? AND first = ? AND first_hash = ?`, j.id, behind.first, behind.firstHash[:]),
			v.resolveFork(j, behind, "it is part of a longer branch"))
		if err != nil {
			return err
		}
	}
	return v.storeBranch(j, r, &added)
}

// storeBranch keeps a branch and its finding. r is what came of it last.
func (v *verifier) storeBranch(j *journal, r embedded.Received, b *branch) error {
	err := v.exec(`INSERT OR REPLACE INTO branches VALUES (?, ?, ?, ?, ?, ?, ?)`, j.id, b.first, b.firstHash[:], b.prev[:], b.last, b.hash[:], b.alone)
	if err != nil {
		return err
	}
	return v.noteFork(j, r, b)
}

// noteFork keeps the finding of a branch as it is now: with the held entries that go on from it.
func (v *verifier) noteFork(j *journal, r embedded.Received, b *branch) error {
	f := Finding{
		Register: j.name.Register.String(), Epoch: j.name.Epoch, Sequence: b.first, Through: b.last, Kind: KindFork,
		Want: "the entry that is held there", Got: b.firstHash.String(), Leaves: b.prev.String(), Shard: r.Shard, At: r.ShardSequence, Found: stamp(v.at),
	}
	if tail := j.runs.brokenAfter(b.last, b.hash); tail != nil {
		f.Through = tail.last
	}
	var held []byte
	err := v.row(`SELECT hash FROM entries WHERE journal = ? AND sequence = ?`, j.id, b.first).Scan(&held)
	if err == nil {
		f.Want = events.Digest(held).String()
	} else if !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	accepted := ""
	if b.alone > b.last-b.first && f.Through == b.last {
		accepted = f.Found
	}
	j.findings = true
	return noteRange(v.ctx, v.tx, f, accepted)
}

// resolveFork closes the finding of a branch.
func (v *verifier) resolveFork(j *journal, b *branch, how string) error {
	return v.exec(`UPDATE findings SET resolved = ?, how = ? WHERE register = ? AND epoch = ? AND sequence = ? AND kind = 'fork' AND got = ? AND resolved = ''`,
		stamp(v.at), how, j.name.Register.String(), j.name.Epoch, b.first, b.firstHash.String())
}

// unstray takes an entry out of the strays: it is held now. What followed from it is a branch that begins behind it.
func (v *verifier) unstray(j *journal, r embedded.Received, hash events.Digest) error {
	sequence := r.Message.Sequence
	result, err := v.run(`DELETE FROM strays WHERE journal = ? AND sequence = ? AND hash = ?`, j.id, sequence, hash[:])
	if err != nil {
		return err
	}
	if n, err := result.RowsAffected(); err != nil || n == 0 {
		return err
	}
	b, err := v.readBranch(`WHERE journal = ? AND first = ? AND first_hash = ?`, j.id, sequence, hash[:])
	if b == nil || err != nil {
		return err // it stood between others, and the branch is no shorter for it
	}
	err = errors.Join(v.exec(`DELETE FROM branches WHERE journal = ? AND first = ? AND first_hash = ?`, j.id, b.first, b.firstHash[:]), v.resolveFork(j, b, "it took the place"))
	if err != nil || b.first == b.last {
		return err
	}
	var next []byte
	err = v.row(`SELECT hash FROM strays WHERE journal = ?1 AND sequence = ?2 AND prev = ?3 AND NOT EXISTS (
			SELECT 1 FROM branches WHERE journal = ?1 AND first = ?2 AND first_hash = strays.hash)`, j.id, sequence+1, hash[:]).Scan(&next)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	b.first, b.firstHash, b.prev, b.alone = sequence+1, events.Digest(next), hash, min(b.alone, b.last-sequence)
	return v.storeBranch(j, embedded.Received{}, b)
}

// brokenAfter is the run that touches the one before it and follows from another entry there, nil for none.
func (rs runs) brokenAfter(sequence uint64, hash events.Digest) *run {
	for i := 1; i < len(rs); i++ {
		if rs[i].first == sequence+1 && rs[i-1].last == sequence && rs[i].prev == hash {
			return &rs[i]
		}
	}
	return nil
}

// syncBranches makes the findings of entries that do not follow from those before them what they are now: each held stretch
// belongs to the branch of strays that it continues, or is a finding of kind chain while no such branch is known.
func (v *verifier) syncBranches(j *journal) error {
	register := j.name.Register.String()
	now := map[string]bool{} // findings of kind chain that stand
	for i := 1; i < len(j.runs); i++ {
		r := &j.runs[i]
		if j.runs[i-1].last+1 != r.first {
			continue
		}
		b, err := v.readBranch(`WHERE journal = ? AND last = ? AND hash = ?`, j.id, r.first-1, r.prev[:])
		if err != nil {
			return err
		}
		if b != nil {
			err = v.noteFork(j, embedded.Received{}, b)
		} else {
			err = v.noteChain(j, r, now)
		}
		if err != nil {
			return err
		}
		// What is accepted with the branch needs no signature either: nobody vouches for it.
		err = v.exec(`UPDATE findings SET resolved = ?1, how = 'accepted' WHERE register = ?2 AND epoch = ?3 AND kind = 'signature' AND resolved = '' AND sequence BETWEEN ?4 AND ?5
			AND EXISTS (SELECT 1 FROM findings AS f WHERE f.register = ?2 AND f.epoch = ?3 AND f.kind IN ('fork', 'chain') AND f.how = 'accepted' AND f.sequence <= ?4 AND f.through >= ?5)`,
			stamp(v.at), register, j.name.Epoch, r.first, r.last)
		if err != nil {
			return err
		}
	}
	open, err := findings(v.ctx, v.tx, `WHERE register = ? AND epoch = ? AND kind = 'chain' AND resolved = '' AND sequence > 1`, register, j.name.Epoch)
	if err != nil {
		return err
	}
	for _, f := range open {
		if !now[fmt.Sprint(f.Sequence, f.Got)] {
			if err := v.exec(`UPDATE findings SET resolved = ?, how = 'it follows, or is part of a branch' WHERE id = ?`, stamp(v.at), f.ID); err != nil {
				return err
			}
		}
	}
	return nil
}

// noteChain keeps the finding of a held stretch that follows from an entry which has not come.
func (v *verifier) noteChain(j *journal, r *run, now map[string]bool) error {
	var hash []byte
	if err := v.row(`SELECT hash FROM entries WHERE journal = ? AND sequence = ?`, j.id, r.first).Scan(&hash); err != nil {
		return err
	}
	got := events.Digest(hash).String()
	now[fmt.Sprint(r.first, got)] = true
	j.findings = true
	return noteRange(v.ctx, v.tx, Finding{
		Register: j.name.Register.String(), Epoch: j.name.Epoch, Sequence: r.first, Through: r.last, Kind: KindChain, Leaves: r.prev.String(),
		Want: fmt.Sprintf("entry %d written after entry %d", r.first, r.first-1), Got: got, Found: stamp(v.at),
	}, "")
}

// noteRange keeps a finding of a range once, and up to where it goes now. It is accepted where a person has accepted
// it up to there; what has come behind that opens it again. accepted is when it was accepted another way, "" for not.
func noteRange(ctx context.Context, db execer, f Finding, accepted string) error {
	_, err := db.ExecContext(ctx, `INSERT INTO findings (register, epoch, sequence, through, kind, want, got, leaves, shard, shard_sequence, found, resolved, how)
		SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, coalesce(max(at), ?12), CASE WHEN count(at) > 0 OR ?12 <> '' THEN 'accepted' ELSE '' END
		FROM accepted WHERE register = ?1 AND epoch = ?2 AND sequence = ?3 AND kind = ?5 AND got = ?7 AND through >= ?4
		ON CONFLICT (register, epoch, sequence, kind, got) WHERE kind <> 'gap' DO UPDATE SET through = excluded.through, want = excluded.want, leaves = excluded.leaves,
			resolved = CASE WHEN how = 'accepted' AND excluded.how = 'accepted' THEN resolved ELSE excluded.resolved END, how = excluded.how`,
		f.Register, f.Epoch, f.Sequence, max(f.Through, f.Sequence), f.Kind, f.Want, f.Got, f.Leaves, f.Shard, f.At, f.Found, accepted)
	return err
}
