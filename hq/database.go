package hq

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"

	_ "modernc.org/sqlite" // the driver

	"github.com/posnode/posnode/embedded"
	"github.com/posnode/posnode/events"
	"github.com/posnode/posnode/projections"
)

// database is hq.db: how far each shard is read, the verified head of each
// journal, what is wrong with any, and the sums of each register's days.
type database struct {
	db      *sql.DB
	witness string // verifies what this head office signs
}

const schema = `
CREATE TABLE IF NOT EXISTS shards (shard TEXT PRIMARY KEY, sequence INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS journals (
	id INTEGER PRIMARY KEY, register TEXT NOT NULL, epoch INTEGER NOT NULL,
	sequence INTEGER NOT NULL DEFAULT 0, hash TEXT NOT NULL DEFAULT '', -- the verified head
	reached INTEGER NOT NULL DEFAULT 0,  -- the last entry held, behind whatever gaps
	key TEXT NOT NULL DEFAULT '',        -- verifies its checkpoints; of its activation record
	capped INTEGER NOT NULL DEFAULT 0,   -- the first entry that its key has not signed
	broken INTEGER NOT NULL DEFAULT 0,   -- the first entry that does not follow from what is verified: what is behind does not count
	repeated INTEGER NOT NULL DEFAULT 0, -- entries that came again
	arrived TEXT NOT NULL DEFAULT '',    -- when the last one came
	mode TEXT NOT NULL DEFAULT '', cause TEXT NOT NULL DEFAULT '', mode_since TEXT NOT NULL DEFAULT '', mode_sequence INTEGER NOT NULL DEFAULT 0,
	UNIQUE (register, epoch)
);
CREATE TABLE IF NOT EXISTS entries (journal INTEGER NOT NULL, sequence INTEGER NOT NULL, hash BLOB NOT NULL, PRIMARY KEY (journal, sequence)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS runs (
	journal INTEGER NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL, prev BLOB NOT NULL, hash BLOB NOT NULL, PRIMARY KEY (journal, first)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS unchecked ( -- checkpoints that came before the key that signed them
	journal INTEGER NOT NULL, sequence INTEGER NOT NULL, prev BLOB NOT NULL, note TEXT NOT NULL, shard TEXT NOT NULL, shard_sequence INTEGER NOT NULL,
	PRIMARY KEY (journal, sequence)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS lost (journal INTEGER NOT NULL, sequence INTEGER NOT NULL, PRIMARY KEY (journal, sequence)) WITHOUT ROWID; -- held, and no longer readable
CREATE TABLE IF NOT EXISTS sales (
	register TEXT NOT NULL, shift TEXT NOT NULL, currency TEXT NOT NULL, digits INTEGER NOT NULL,
	concluded INTEGER NOT NULL, sales INTEGER NOT NULL, returns INTEGER NOT NULL, tax INTEGER NOT NULL,
	PRIMARY KEY (register, shift, currency)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS shifts (
	shift TEXT PRIMARY KEY, register TEXT NOT NULL, epoch INTEGER NOT NULL, date TEXT NOT NULL,
	opened INTEGER NOT NULL, closed INTEGER NOT NULL -- the entries that did, 0 while they are not verified
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS waiting ( -- what entries mean for the books that are held and not yet verified
	journal INTEGER NOT NULL, sequence INTEGER NOT NULL, shift TEXT NOT NULL, date TEXT NOT NULL, closed INTEGER NOT NULL,
	currency TEXT NOT NULL, digits INTEGER NOT NULL, concluded INTEGER NOT NULL, sales INTEGER NOT NULL, returns INTEGER NOT NULL, tax INTEGER NOT NULL,
	PRIMARY KEY (journal, sequence)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS unsaid ( -- where entries are that are held and not verified: what they say is taken in once they are
	journal INTEGER NOT NULL, sequence INTEGER NOT NULL, shard TEXT NOT NULL, shard_sequence INTEGER NOT NULL, PRIMARY KEY (journal, sequence)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS repairs (register TEXT PRIMARY KEY, bytes INTEGER NOT NULL) WITHOUT ROWID; -- that each has sent once more
CREATE TABLE IF NOT EXISTS quarantined (register TEXT NOT NULL, epoch INTEGER NOT NULL, kind TEXT NOT NULL, why TEXT NOT NULL, PRIMARY KEY (register, epoch)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS keys (register TEXT NOT NULL, epoch INTEGER NOT NULL, key TEXT NOT NULL, PRIMARY KEY (register, epoch)) WITHOUT ROWID; -- recorded by head office
CREATE TABLE IF NOT EXISTS certificates (register TEXT NOT NULL, date TEXT NOT NULL, fact TEXT NOT NULL, PRIMARY KEY (register, date)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS periods (first TEXT PRIMARY KEY, last TEXT NOT NULL, fact TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS accepted (
	register TEXT NOT NULL, epoch INTEGER NOT NULL, sequence INTEGER NOT NULL, kind TEXT NOT NULL, got TEXT NOT NULL, at TEXT NOT NULL,
	through INTEGER NOT NULL, why TEXT NOT NULL, who TEXT NOT NULL,
	PRIMARY KEY (register, epoch, sequence, kind, got)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS own (one INTEGER PRIMARY KEY, sequence INTEGER NOT NULL, hash TEXT NOT NULL); -- the end of head office's own journal
` + findingsSchema

// schemaVersion is of all tables of hq.db. A file of another version is made again from the streams.
const schemaVersion = 12

// openDatabase opens hq.db, an empty one where there is none of this version. A damaged one is moved aside.
func openDatabase(path string, log *slog.Logger) (*database, error) {
	d, version, err := openFile(path)
	info, missing := os.Stat(path)
	if err != nil && (projections.Damaged(err) || missing == nil && info.IsDir()) {
		log.Warn("hq.db is damaged, was moved aside, and is made anew of the streams", "error", err)
		if err = projections.SetAside(path); err == nil {
			d, version, err = openFile(path)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	if version != 0 && version != schemaVersion {
		if err := d.close(); err != nil {
			return nil, err
		}
		for _, suffix := range []string{"", "-wal", "-shm"} {
			if err := os.Remove(path + suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return nil, err
			}
		}
		if d, _, err = openFile(path); err != nil {
			return nil, fmt.Errorf("open %s: %w", path, err)
		}
	}
	if _, err := d.db.Exec(schema + endsSchema + branchesSchema + keptSchema + activationSchema + settleSchema + fmt.Sprintf("PRAGMA user_version = %d;", schemaVersion)); err != nil {
		return nil, errors.Join(fmt.Errorf("open %s: %w", path, err), d.close())
	}
	return d, nil
}

// openFile opens a file and says of which version its tables are, 0 for none.
func openFile(path string) (d *database, version int, err error) {
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=journal_mode(WAL)&_pragma=synchronous(NORMAL)&_pragma=busy_timeout(10000)&_txlock=immediate")
	if err != nil {
		return nil, 0, err
	}
	// A file from before there were versions has tables and the version 0.
	err = db.QueryRow(`SELECT CASE WHEN user_version = 0 AND EXISTS (SELECT 1 FROM sqlite_master) THEN 1 ELSE user_version END FROM pragma_user_version`).Scan(&version)
	if err != nil {
		return nil, 0, errors.Join(err, db.Close())
	}
	return &database{db: db}, version, nil
}

func (d *database) close() error { return d.db.Close() }

// position is the last sequence of a shard that was read.
func (d *database) position(ctx context.Context, shard string) (sequence uint64, err error) {
	err = d.db.QueryRowContext(ctx, `SELECT sequence FROM shards WHERE shard = ?`, shard).Scan(&sequence)
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return sequence, err
}

// putBack moves a position back to where its shard ends now.
func (d *database) putBack(ctx context.Context, shard string, sequence uint64) error {
	_, err := d.db.ExecContext(ctx, `UPDATE shards SET sequence = ? WHERE shard = ?`, sequence, shard)
	return err
}

// apply verifies a batch and moves the shard's position, all or nothing.
func (d *database) apply(ctx context.Context, shard string, batch []embedded.Received) error {
	return d.take(ctx, batch, func(tx *sql.Tx) error {
		if shard == embedded.Repairs {
			if err := countRepairs(ctx, tx, batch); err != nil {
				return err
			}
		}
		_, err := tx.ExecContext(ctx, `INSERT INTO shards VALUES (?, ?) ON CONFLICT DO UPDATE SET sequence = excluded.sequence`, shard, batch[len(batch)-1].ShardSequence)
		return err
	})
}

// take verifies a batch, and does what else belongs to it, all or nothing.
func (d *database) take(ctx context.Context, batch []embedded.Received, also func(*sql.Tx) error) error {
	tx, err := d.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() // after a commit it does nothing
	v := d.verifier(ctx, tx)
	if err := v.verify(batch); err != nil {
		return err
	}
	if also != nil {
		if err := also(tx); err != nil {
			return err
		}
	}
	return tx.Commit()
}

// Journal is how one register's journal stands at HQ.
type Journal struct {
	Register string      `json:"register"`
	Head     events.Head `json:"head"`     // verified
	Repeated int         `json:"repeated"` // entries that came again, and count once
	Arrived  string      `json:"arrived"`  // when the last one came
}

// Journals lists every journal that HQ has received entries of.
func (h *HQ) Journals(ctx context.Context) (out []Journal, err error) {
	rows, err := h.db.db.QueryContext(ctx, `SELECT register, epoch, sequence, hash, repeated, arrived FROM journals ORDER BY register, epoch`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var j Journal
		var hash string
		if err := rows.Scan(&j.Register, &j.Head.Epoch, &j.Head.Sequence, &hash, &j.Repeated, &j.Arrived); err != nil {
			return nil, err
		}
		if j.Head.Sequence > 0 {
			err = j.Head.Hash.UnmarshalText([]byte(hash))
		}
		if err != nil {
			return nil, err
		}
		out = append(out, j)
	}
	return out, rows.Err()
}

// Day is what a register sold on a business date, in minor units.
type Day struct {
	Register  string       `json:"register"`
	Date      string       `json:"date"`
	Currency  string       `json:"currency"`
	Digits    int          `json:"-"`         // of its minor unit, for who shows it to a person
	Concluded int          `json:"concluded"` // transactions
	Sales     events.Money `json:"sales"`
	Returns   events.Money `json:"returns"` // negative
	Tax       events.Money `json:"tax"`
}

// daysQuery sums the shifts of a register and date: what is verified, and what waits behind a gap. A
// shift whose opening has not come has no date yet. What follows from another history does not count.
const daysQuery = `SELECT booked.register, coalesce(shifts.date, '') AS date, currency, max(digits), sum(concluded), sum(booked.sales), sum(returns), sum(tax) FROM (
	SELECT register, shift, currency, digits, concluded, sales, returns, tax FROM sales
	UNION ALL SELECT register, shift, currency, digits, concluded, sales, returns, tax FROM waiting JOIN journals ON journals.id = journal
		WHERE concluded > 0 AND (broken = 0 OR waiting.sequence < broken)
) AS booked LEFT JOIN shifts USING (shift)`

// Days lists what was sold, by register and business date.
func (h *HQ) Days(ctx context.Context) (out []Day, err error) {
	rows, err := h.db.db.QueryContext(ctx, daysQuery+` GROUP BY 1, 2, 3 ORDER BY 2, 1, 3`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var d Day
		if err := rows.Scan(&d.Register, &d.Date, &d.Currency, &d.Digits, &d.Concluded, &d.Sales, &d.Returns, &d.Tax); err != nil {
			return nil, err
		}
		out = append(out, d)
	}
	return out, rows.Err()
}
