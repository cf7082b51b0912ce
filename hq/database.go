package hq

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"

	_ "modernc.org/sqlite" // the driver

	"github.com/posnode/posnode/embedded"
	"github.com/posnode/posnode/events"
)

// database is hq.db: how far each shard is read, the verified head of each
// journal, what is wrong with any, and the sums of each register's days.
type database struct{ db *sql.DB }

const schema = `
CREATE TABLE IF NOT EXISTS shards (shard TEXT PRIMARY KEY, sequence INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS journals (
	register TEXT NOT NULL, epoch INTEGER NOT NULL,
	sequence INTEGER NOT NULL, hash TEXT NOT NULL, -- the verified head
	repeated INTEGER NOT NULL,                     -- entries that came again
	arrived TEXT NOT NULL,                         -- when the last one came
	PRIMARY KEY (register, epoch)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS findings (
	id INTEGER PRIMARY KEY, register TEXT NOT NULL, epoch INTEGER NOT NULL, sequence INTEGER NOT NULL,
	kind TEXT NOT NULL, want TEXT NOT NULL, got TEXT NOT NULL, shard TEXT NOT NULL, shard_sequence INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS sales (
	register TEXT NOT NULL, date TEXT NOT NULL, currency TEXT NOT NULL,
	concluded INTEGER NOT NULL, sales INTEGER NOT NULL, returns INTEGER NOT NULL, tax INTEGER NOT NULL,
	PRIMARY KEY (register, date, currency)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS shifts (shift TEXT PRIMARY KEY, date TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS own (one INTEGER PRIMARY KEY, sequence INTEGER NOT NULL, hash TEXT NOT NULL); -- the end of head office's own journal
`

// schemaVersion goes up when the meaning of a table changes, or when one is added that is
// filled from the journals: everything is read again then.
const schemaVersion = 2

func openDatabase(path string) (*database, error) {
	d, err := openDatabaseFile(path)
	if !errors.Is(err, errOtherVersion) {
		return d, err
	}
	// Derived, so it can go: the journals are here. If we died in between, the next start does the rest.
	for _, suffix := range []string{"", "-wal", "-shm"} {
		if err := os.Remove(path + suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	return openDatabaseFile(path)
}

// errOtherVersion says that another version of this program made the file.
var errOtherVersion = errors.New("hq.db is of another version")

func openDatabaseFile(path string) (*database, error) {
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=journal_mode(WAL)&_pragma=synchronous(NORMAL)&_pragma=busy_timeout(10000)&_txlock=immediate")
	if err != nil {
		return nil, err
	}
	var version, tables int
	err = db.QueryRow(`SELECT user_version, (SELECT count(*) FROM sqlite_schema) FROM pragma_user_version`).Scan(&version, &tables)
	if err == nil && tables > 0 && version != schemaVersion {
		err = errOtherVersion
	}
	if err == nil {
		_, err = db.Exec(schema + keptSchema + activationSchema + settleSchema + fmt.Sprintf("PRAGMA user_version = %d;", schemaVersion))
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open %s: %w", path, err), db.Close())
	}
	return &database{db}, nil
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

// apply verifies a batch and moves the shard's position, all or nothing.
func (d *database) apply(ctx context.Context, shard string, batch []embedded.Received) error {
	tx, err := d.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() // after a commit it does nothing
	v := verifier{ctx: ctx, tx: tx, chains: map[embedded.JournalName]*chain{}}
	for _, r := range batch {
		if err := v.verify(r); err != nil {
			return err
		}
	}
	if err := v.store(); err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO shards VALUES (?, ?) ON CONFLICT DO UPDATE SET sequence = excluded.sequence`, shard, batch[len(batch)-1].ShardSequence)
	if err != nil {
		return err
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
		if err := j.Head.Hash.UnmarshalText([]byte(hash)); err != nil {
			return nil, err
		}
		out = append(out, j)
	}
	return out, rows.Err()
}

// Finding is something wrong with an entry as it arrived.
type Finding struct {
	Register string `json:"register"`
	Epoch    int    `json:"epoch"`
	Sequence uint64 `json:"sequence"`
	Kind     string `json:"kind"`
	Want     string `json:"want"`
	Got      string `json:"got"`
	Shard    string `json:"shard"`          // where the bytes are
	At       uint64 `json:"shard_sequence"` // position in the shard
}

// Findings lists what is wrong, in the order in which it came.
func (h *HQ) Findings(ctx context.Context) (out []Finding, err error) {
	rows, err := h.db.db.QueryContext(ctx, `SELECT register, epoch, sequence, kind, want, got, shard, shard_sequence FROM findings ORDER BY id`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var f Finding
		if err := rows.Scan(&f.Register, &f.Epoch, &f.Sequence, &f.Kind, &f.Want, &f.Got, &f.Shard, &f.At); err != nil {
			return nil, err
		}
		out = append(out, f)
	}
	return out, rows.Err()
}

// Day is what a register sold on a business date, in minor units.
type Day struct {
	Register  string       `json:"register"`
	Date      string       `json:"date"`
	Currency  string       `json:"currency"`
	Concluded int          `json:"concluded"` // transactions
	Sales     events.Money `json:"sales"`
	Returns   events.Money `json:"returns"` // negative
	Tax       events.Money `json:"tax"`
}

// Days lists what was sold, by register and business date.
func (h *HQ) Days(ctx context.Context) (out []Day, err error) {
	rows, err := h.db.db.QueryContext(ctx, `SELECT register, date, currency, concluded, sales, returns, tax FROM sales ORDER BY date, register`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var d Day
		if err := rows.Scan(&d.Register, &d.Date, &d.Currency, &d.Concluded, &d.Sales, &d.Returns, &d.Tax); err != nil {
			return nil, err
		}
		out = append(out, d)
	}
	return out, rows.Err()
}
