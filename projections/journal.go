package projections

import (
	"context"
	"fmt"

	"github.com/posnode/posnode/events"
	"github.com/posnode/posnode/ledger"
)

// journalView holds every entry exactly as stored. Its last row is the position
// of the whole database.
var journalView = view{
	name: "journal",
	keys: 1,
	schema: `
CREATE TABLE journal (
	at          INTEGER PRIMARY KEY, -- see place
	type        TEXT NOT NULL,
	transaction_id TEXT,             -- of a fact about one
	command     TEXT,                -- idempotency key of what a client asked for
	body        BLOB NOT NULL        -- exactly as stored
);
CREATE INDEX journal_type ON journal (type);
CREATE INDEX journal_transaction ON journal (transaction_id) WHERE transaction_id IS NOT NULL;
CREATE INDEX journal_command ON journal (command) WHERE command IS NOT NULL`,
}

// epochShift leaves 40 bits for the sequence, a million million entries an epoch.
const (
	epochShift  = 40
	maxSequence = 1<<epochShift - 1
)

// place is where an entry stands among those of all epochs: rows are in the order
// of the journal, and new ones go to the end of their tables.
func place(h events.Head) int64 { return int64(h.Epoch)<<epochShift | int64(h.Sequence) }

// row is one row of the journal view.
type row struct {
	at   int64
	body []byte
}

func (r *row) columns() []any { return []any{&r.at, &r.body} }

// keep stores an entry in the journal view.
func (b *batch) keep(s Stored) error {
	e := s.Entry
	var transaction, command any
	if _, ok := e.Fact.(events.OfTransaction); ok {
		transaction = e.Subject
	}
	if e.Command != "" {
		command = string(e.Command)
	}
	return b.exec("INSERT INTO journal VALUES (?, ?, ?, ?, ?)", place(e.Head), e.Type, transaction, command, s.Body)
}

// MaxEntries is how many entries [DB.Journal] gives at most.
const MaxEntries = 1000

// maxJournalBytes bounds the memory of one call of [DB.Journal].
const maxJournalBytes = 8 << 20

// Filter selects entries of one epoch.
type Filter struct {
	Epoch       int                  // 0 for the newest
	From        uint64               // sequence of the first one wanted
	Limit       int                  // at most MaxEntries; 0 means MaxEntries
	Type        string               // as stored, "" for all
	Transaction events.TransactionID // "" for all
}

// Journal gives entries exactly as stored, in order. It may give fewer than there are and than
// Limit says, to bound memory: for the rest the caller asks again, from after the last one, until
// nothing comes.
func (db *DB) Journal(ctx context.Context, f Filter) ([][]byte, error) {
	if f.Epoch == 0 {
		head, err := db.Position(ctx)
		if err != nil {
			return nil, err
		}
		f.Epoch = head.Epoch
	}
	query, args := f.query()
	db.file.RLock()
	defer db.file.RUnlock()
	bodies, size := [][]byte{}, 0
	err := each(ctx, db.reader, column[[]byte], query, args, func(body []byte) bool {
		bodies, size = append(bodies, body), size+len(body)
		return size < maxJournalBytes
	})
	if err != nil {
		return nil, fmt.Errorf("read journal view: %w", err)
	}
	return bodies, nil
}

func (f Filter) query() (string, []any) {
	query := "SELECT body FROM journal WHERE at BETWEEN ? AND ?"
	from := events.Head{Epoch: f.Epoch, Sequence: min(f.From, maxSequence)}
	args := []any{place(from), place(events.Head{Epoch: f.Epoch, Sequence: maxSequence})}
	if f.Type != "" {
		query, args = query+" AND type = ?", append(args, f.Type)
	}
	if f.Transaction != "" {
		query, args = query+" AND transaction_id = ?", append(args, string(f.Transaction))
	}
	return query + " ORDER BY at LIMIT ?", append(args, bounded(f.Limit, MaxEntries))
}

// Entry gives one entry exactly as stored, nil for none.
func (db *DB) Entry(ctx context.Context, epoch int, sequence uint64) ([]byte, error) {
	if sequence > maxSequence {
		return nil, nil
	}
	return db.body(ctx, "SELECT body FROM journal WHERE at = ?", place(events.Head{Epoch: epoch, Sequence: sequence}))
}

// Command gives the entry that records the command with that key, exactly as
// stored, nil for none. It may be of an earlier epoch.
func (db *DB) Command(ctx context.Context, key events.CommandKey) ([]byte, error) {
	return db.body(ctx, "SELECT body FROM journal WHERE command = ? ORDER BY at LIMIT 1", string(key))
}

// body is the one body that a query gives, nil for none.
func (db *DB) body(ctx context.Context, query string, arg any) ([]byte, error) {
	body, err := one(ctx, db, "journal view", column[[]byte], query, arg)
	if err != nil || body == nil {
		return nil, err
	}
	return *body, nil
}

// Prior is the command that was carried out, or given up, under key, nil for none. Its sequence
// may be one of an earlier epoch: [DB.Command] gives the entry itself.
func (db *DB) Prior(ctx context.Context, key events.CommandKey) (*ledger.Done, error) {
	body, err := db.Command(ctx, key)
	if err != nil {
		return nil, err
	}
	if body == nil {
		return db.givenUp(ctx, key)
	}
	e, err := events.Decode(body)
	if err != nil {
		return nil, fmt.Errorf("%w: entry of command %s: %w", ErrDamaged, key, err)
	}
	done := &ledger.Done{Key: key, Sequence: e.Head.Sequence}
	if f, ok := e.Fact.(events.Requested); ok {
		done.Input = f.Request().Input
	}
	return done, nil
}

// maxCounted bounds how many entries BytesAfter looks at: more are reckoned by their average.
const maxCounted = 20_000

// BytesAfter is how many bytes the entries after one have, of which there are count.
func (db *DB) BytesAfter(ctx context.Context, after events.Head, count uint64) (int64, error) {
	type sum struct{ bytes, entries int64 }
	s, err := one(ctx, db, "size of entries", func(s *sum) []any { return []any{&s.bytes, &s.entries} },
		"SELECT coalesce(sum(size), 0), count(*) FROM (SELECT length(body) AS size FROM journal WHERE at > ? ORDER BY at LIMIT ?)", place(after), maxCounted)
	if err != nil || s == nil || s.entries == 0 {
		return 0, err
	}
	if uint64(s.entries) < min(count, maxCounted) || count > maxCounted {
		return int64(float64(s.bytes) / float64(s.entries) * float64(count)), nil
	}
	return s.bytes, nil
}
