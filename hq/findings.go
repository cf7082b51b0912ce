package hq

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/posnode/posnode/embedded"
	"github.com/posnode/posnode/events"
	"github.com/posnode/posnode/ledger"
)

// Kinds of findings.
const (
	KindUndecodable = "undecodable"        // bytes that are no entry
	KindOversized   = "oversized"          // more bytes than an entry may have
	KindForged      = "forged"             // an entry of another register, epoch or place, or no activation where one must be
	KindOrigin      = "origin"             // what came by no known journal
	KindChain       = "chain"              // an entry that was not written after the one before it
	KindGap         = "gap"                // entries that have not come although later ones have
	KindFork        = "fork"               // another entry in a place that is taken
	KindRollback    = "rollback"           // a register that has less than it had
	KindClone       = "clone"              // two tills with one identity
	KindSignature   = "signature"          // a checkpoint that the register's key did not sign, or a key that is not the register's
	KindKey         = "key"                // the key of an epoch that head office does not know to have given
	KindClock       = "clock"              // a clock that is a day or more off
	KindHQBehind    = "hq_behind"          // a mark that head office signed for more than it holds
	KindLost        = "lost"               // what head office held and can no longer read
	KindEpoch       = "epoch"              // an epoch that head office has given, and nothing of it has come
	KindEnd         = "end"                // an epoch that ends, by the register's own word, with another entry than head office holds there
	KindRepairsFull = embedded.RepairsFull // a register that has sent as much once more as it may
	KindFleet       = "fleet"              // a member of the stream FLEET that says nothing head office knows
)

// Kinds are all of them.
var Kinds = []string{KindUndecodable, KindOversized, KindForged, KindOrigin, KindChain, KindGap, KindFork, KindRollback, KindClone, KindSignature, KindClock, KindHQBehind, KindLost, KindRepairsFull, KindFleet, KindEpoch, KindEnd, KindKey}

// Finding is something that is wrong with what registers sent, or with what head office
// kept of it. The bytes stay where they are.
type Finding struct {
	ID       int64  `json:"id"` // of this instance's database
	Register string `json:"register"`
	Epoch    int    `json:"epoch"`
	Sequence uint64 `json:"sequence"`
	Through  uint64 `json:"through"` // the last one that it is about
	Leaves   string `json:"leaves"`  // of a branch: hash of the entry from which its first one follows; else ""
	Kind     string `json:"kind"`
	Want     string `json:"want"`
	Got      string `json:"got"`
	Shard    string `json:"shard"`          // where the bytes are, "" where it is about none
	At       uint64 `json:"shard_sequence"` // position in the shard
	Found    string `json:"found"`
	Resolved string `json:"resolved"` // when it was, as when a gap is filled; "" while it is open
	How      string `json:"how"`      // it was resolved
}

const findingsSchema = `
CREATE TABLE IF NOT EXISTS findings (
	id INTEGER PRIMARY KEY, register TEXT NOT NULL, epoch INTEGER NOT NULL, sequence INTEGER NOT NULL, through INTEGER NOT NULL,
	kind TEXT NOT NULL, want TEXT NOT NULL, got TEXT NOT NULL, leaves TEXT NOT NULL DEFAULT '', shard TEXT NOT NULL, shard_sequence INTEGER NOT NULL,
	found TEXT NOT NULL, resolved TEXT NOT NULL DEFAULT '', how TEXT NOT NULL DEFAULT ''
);
CREATE UNIQUE INDEX IF NOT EXISTS findings_once ON findings (register, epoch, sequence, kind, got) WHERE kind <> 'gap';
CREATE INDEX IF NOT EXISTS findings_open ON findings (register, epoch, kind) WHERE resolved = '';
`

// execer is a transaction, or the database itself.
type execer interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}

// note keeps a finding once, however often the same thing is found. One that was
// resolved and shows again is open again; one that a person has accepted is not.
func note(ctx context.Context, db execer, f Finding) error {
	_, err := db.ExecContext(ctx, `INSERT INTO findings (register, epoch, sequence, through, kind, want, got, shard, shard_sequence, found, resolved, how)
		SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, coalesce(max(at), ''), CASE WHEN count(at) > 0 THEN 'accepted' ELSE '' END
		FROM accepted WHERE register = ?1 AND epoch = ?2 AND sequence = ?3 AND kind = ?5 AND got = ?7
		ON CONFLICT (register, epoch, sequence, kind, got) WHERE kind <> 'gap' DO UPDATE SET resolved = '', how = '' WHERE how <> 'accepted'`,
		f.Register, f.Epoch, f.Sequence, max(f.Through, f.Sequence), f.Kind, f.Want, f.Got, f.Shard, f.At, f.Found)
	return err
}

// resolve closes the open findings of a kind on one entry of a journal.
func resolve(ctx context.Context, db execer, j embedded.JournalName, sequence uint64, kind, how string, at time.Time) error {
	_, err := db.ExecContext(ctx, `UPDATE findings SET resolved = ?, how = ? WHERE register = ? AND epoch = ? AND kind = ? AND resolved = '' AND sequence = ?`,
		stamp(at), how, j.Register.String(), j.Epoch, kind, sequence)
	return err
}

// checkFleet notes the members of the fleet that head office cannot read. It starts without them.
func (h *HQ) checkFleet(ctx context.Context) error {
	malformed, err := h.node.Malformed(ctx)
	if err != nil {
		return err
	}
	for _, m := range malformed {
		h.cfg.Logger.Error("a member of the stream FLEET cannot be read and is left out: see 'posnode hq findings'", "member", m)
		err := note(ctx, h.db.db, Finding{
			Register: events.Register{}.String(), Kind: KindFleet, Want: "a journal or a revoked user", Got: m, Found: stamp(h.cfg.Clock()),
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }

// syncGaps makes the open gap findings of a journal what its holes are now.
func syncGaps(ctx context.Context, tx *sql.Tx, j embedded.JournalName, holes []events.Range, at time.Time) error {
	rows, err := tx.QueryContext(ctx, `SELECT id, sequence, through FROM findings WHERE register = ? AND epoch = ? AND kind = 'gap' AND resolved = '' ORDER BY sequence`, j.Register.String(), j.Epoch)
	if err != nil {
		return err
	}
	defer rows.Close()
	type open struct {
		id       int64
		from, to uint64
	}
	var before []open
	for rows.Next() {
		var o open
		if err := rows.Scan(&o.id, &o.from, &o.to); err != nil {
			return err
		}
		before = append(before, o)
	}
	if err := errorsOf(rows); err != nil {
		return err
	}
	for _, hole := range holes {
		// A finding goes on for what is left of its gap.
		for len(before) > 0 && before[0].to < hole.From {
			if err := closeGap(ctx, tx, before[0].id, at); err != nil {
				return err
			}
			before = before[1:]
		}
		if len(before) > 0 && before[0].from <= hole.To {
			_, err = tx.ExecContext(ctx, `UPDATE findings SET sequence = ?, through = ? WHERE id = ?`, hole.From, hole.To, before[0].id)
			before = before[1:]
		} else {
			err = note(ctx, tx, Finding{
				Register: j.Register.String(), Epoch: j.Epoch, Sequence: hole.From, Through: hole.To, Kind: KindGap, Want: hole.String(), Found: stamp(at),
			})
		}
		if err != nil {
			return err
		}
	}
	for _, o := range before {
		if err := closeGap(ctx, tx, o.id, at); err != nil {
			return err
		}
	}
	return nil
}

func closeGap(ctx context.Context, tx *sql.Tx, id int64, at time.Time) error {
	_, err := tx.ExecContext(ctx, `UPDATE findings SET resolved = ?, how = 'filled' WHERE id = ?`, stamp(at), id)
	return err
}

// errorsOf ends a reading of rows.
func errorsOf(rows *sql.Rows) error {
	if err := rows.Err(); err != nil {
		return err
	}
	return rows.Close()
}

// Findings lists everything that was found, in the order in which it came.
func (h *HQ) Findings(ctx context.Context) ([]Finding, error) {
	return h.db.findings(ctx, `ORDER BY id`)
}

// findings lists those that a rest of a query selects.
func (d *database) findings(ctx context.Context, rest string, args ...any) (out []Finding, err error) {
	return findings(ctx, d.db, rest, args...)
}

func findings(ctx context.Context, q querier, rest string, args ...any) (out []Finding, err error) {
	rows, err := q.QueryContext(ctx, `SELECT id, register, epoch, sequence, through, kind, want, got, leaves, shard, shard_sequence, found, resolved, how FROM findings `+rest, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var f Finding
		if err := rows.Scan(&f.ID, &f.Register, &f.Epoch, &f.Sequence, &f.Through, &f.Kind, &f.Want, &f.Got, &f.Leaves, &f.Shard, &f.At, &f.Found, &f.Resolved, &f.How); err != nil {
			return nil, err
		}
		out = append(out, f)
	}
	return out, rows.Err()
}

// acceptable are the kinds that a person can accept. The others say that entries are
// missing, or that head office cannot vouch for them: no one can decide that they are there.
var acceptable = []string{
	KindUndecodable, KindOversized, KindForged, KindOrigin, KindChain, KindFork, KindRollback, KindClone, KindClock, KindRepairsFull, KindFleet, KindEpoch, KindEnd,
}

const (
	maxWhy = 1000 // bytes
	maxWho = 100  // bytes
)

// Accept records that a person has looked into a finding, with the reason and the person's name, ""
// where it is not known. An accepted finding no longer blocks a certificate or a period.
func (h *HQ) Accept(ctx context.Context, id int64, who, why string) error {
	if why = strings.TrimSpace(why); why == "" || len(why) > maxWhy {
		return &ledger.Refusal{Code: "invalid_parameter", Parameter: "why", Why: "why: give a reason of at most 1000 bytes."}
	}
	if who = strings.TrimSpace(who); len(who) > maxWho {
		return &ledger.Refusal{Code: "invalid_parameter", Parameter: "who", Why: "who: give a name of at most 100 bytes."}
	}
	for field, text := range map[string]string{"who": who, "why": why} {
		if err := ledger.NoCardNumber(field, text); err != nil {
			return err
		}
	}
	_, err := h.record(ctx, func(ctx context.Context, tx *sql.Tx, _ events.Head) (events.Fact, error) {
		found, err := findings(ctx, tx, `WHERE id = ?`, id)
		if err != nil {
			return nil, err
		}
		if len(found) == 0 {
			return nil, &ledger.Refusal{Code: "finding_unknown", Why: fmt.Sprintf("There is no finding %d.", id)}
		}
		f := found[0]
		if f.How == "accepted" {
			return nil, nil
		}
		if !slices.Contains(acceptable, f.Kind) {
			return nil, notAcceptable(f)
		}
		fact := &events.FindingAccepted{Epoch: f.Epoch, Sequence: f.Sequence, Kind: f.Kind, Got: f.Got, Why: why, Who: who}
		if f.Through > f.Sequence {
			fact.Through = f.Through
		}
		if fact.Of, err = events.ParseRegister(f.Register); err != nil && f.Kind != KindOrigin && f.Kind != KindFleet {
			return nil, err
		}
		return fact, nil
	})
	return err
}

func notAcceptable(f Finding) error {
	if f.Kind == KindKey {
		return &ledger.Refusal{
			Code: "finding_not_acceptable", Why: fmt.Sprintf("Head office does not know whether it let %s in with this key.", f.Register),
			Instead: fmt.Sprintf("Compare it with what 'posnode status' shows at the register, and confirm it: posnode hq confirm-key %s FINGERPRINT.", f.Register),
		}
	}
	return &ledger.Refusal{
		Code: "finding_not_acceptable", Why: fmt.Sprintf("A finding of kind %s says that entries are missing or not signed.", f.Kind),
		Instead: "Have the register send them, or leave it out of the period by name.",
	}
}

func foldAccepted(ctx context.Context, tx *sql.Tx, e *events.Entry, f *events.FindingAccepted) error {
	of, through := f.Of.String(), max(f.Through, f.Sequence)
	_, err := tx.ExecContext(ctx, `INSERT INTO accepted VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT DO UPDATE SET at = excluded.at, through = excluded.through, why = excluded.why, who = excluded.who WHERE excluded.through > through`,
		of, f.Epoch, f.Sequence, f.Kind, f.Got, e.Envelope.Time, through, f.Why, f.Who)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `UPDATE findings SET resolved = ?, how = 'accepted' WHERE register = ? AND epoch = ? AND sequence = ? AND kind = ? AND got = ? AND through <= ?`,
		e.Envelope.Time, of, f.Epoch, f.Sequence, f.Kind, f.Got, through)
	if err != nil || f.Kind != KindFork && f.Kind != KindChain {
		return err
	}
	// Nobody vouches for the entries of the branch that are held, so that they need no signature either.
	_, err = tx.ExecContext(ctx, `UPDATE findings SET resolved = ?1, how = 'accepted' WHERE register = ?2 AND epoch = ?3 AND kind = 'signature' AND resolved = '' AND sequence BETWEEN ?4 AND ?5
		AND sequence > (SELECT coalesce(max(sequence), 0) FROM journals WHERE register = ?2 AND epoch = ?3)`, e.Envelope.Time, of, f.Epoch, f.Sequence, through)
	return err
}
