package projections

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/posnode/posnode/ledger"
)

// Reference is the reference data that a register keeps for the time without the
// Retail Server: products, staff, the store's settings. Unlike [DB] it is not
// derived from the journal, so a damaged file is not dropped but reported with
// [ErrDamaged]. Its methods may be called from any goroutine.
type Reference struct {
	writer *sql.DB
	reader *reader

	// read are the records read since the last import: a till asks for the same few
	// hundred all day, and for the store's settings with every operation.
	mu      sync.Mutex
	read    map[ledger.Query]any
	imports int // that have been committed: what was read before one is not kept after it
}

// maxRead bounds the records that are kept in memory; when there are as many, it begins anew.
const maxRead = 1000

// forget drops what was read, because something else is stored.
func (r *Reference) forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.read = nil
	r.imports++
}

// remember keeps a record that was read. Records are values that nobody changes.
func (r *Reference) remember(q ledger.Query, record any, imports int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if imports != r.imports {
		return
	}
	if r.read == nil || len(r.read) >= maxRead {
		r.read = map[ledger.Query]any{}
	}
	r.read[q] = record
}

// referenceApplication marks the file as ours: "posr".
const referenceApplication = 0x706f7372

// referenceVersion goes up when the schema changes.
const referenceVersion = 1

const referenceSchema = `
CREATE TABLE records (
	id     INTEGER PRIMARY KEY,
	kind   TEXT NOT NULL,
	key    TEXT NOT NULL,
	record TEXT NOT NULL, -- JSON
	UNIQUE (kind, key)
);
CREATE TABLE imports (
	kind TEXT PRIMARY KEY,
	at   TEXT NOT NULL -- RFC 3339, nanoseconds, UTC
) WITHOUT ROWID;
CREATE VIRTUAL TABLE search USING fts5 (key, text, tokenize = 'unicode61 remove_diacritics 2')`

// OpenReference opens the reference data at path, or creates an empty file.
func OpenReference(path string) (*Reference, error) {
	r, err := openReference(path)
	if err != nil {
		return nil, fmt.Errorf("open reference data %s: %w", path, err)
	}
	return r, nil
}

func openReference(path string) (*Reference, error) {
	pool, err := openFile(path, readers, "_pragma=query_only(1)")
	if err != nil {
		return nil, err
	}
	r := &Reference{reader: newReader(pool)}
	ctx := context.Background()
	empty, err := check(ctx, pool, referenceApplication, referenceVersion)
	if err != nil {
		return nil, errors.Join(err, pool.Close())
	}
	// An import that was answered must survive a power cut: synchronous=FULL.
	if r.writer, err = openFile(path, 1, "_pragma=journal_mode(wal)", "_pragma=synchronous(full)"); err != nil {
		return nil, errors.Join(err, pool.Close())
	}
	if empty {
		err = create(ctx, r.writer, referenceSchema, referenceApplication, referenceVersion)
	}
	if err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}

// Close closes the file.
func (r *Reference) Close() error { return errors.Join(r.reader.close(), r.writer.Close()) }

// Find is the record that answers q, a value such as a [ledger.Product], and
// whether there is one. A kind that this program does not know has none.
func (r *Reference) Find(ctx context.Context, q ledger.Query) (any, bool, error) {
	k, known := kinds[q.Kind]
	if !known {
		return nil, false, nil
	}
	r.mu.Lock()
	record, kept := r.read[q]
	imports := r.imports
	r.mu.Unlock()
	if kept {
		return record, true, nil
	}
	var broken error
	// Microseconds: to listen for the end of ctx meanwhile would take more.
	err := each(context.WithoutCancel(ctx), r.reader, column[[]byte], "SELECT record FROM records WHERE kind = ? AND key = ?", []any{q.Kind, q.Key}, func(b []byte) bool {
		record, broken = k.decode(b)
		return false
	})
	if err = errors.Join(err, broken); err != nil {
		return nil, false, fmt.Errorf("find %s %.80q: %w", q.Kind, q.Key, err)
	}
	if record != nil {
		r.remember(q, record, imports)
	}
	return record, record != nil, nil
}

// Store is the settings of the store. It fails where there are none.
func (r *Reference) Store(ctx context.Context) (ledger.Store, error) {
	record, found, err := r.Find(ctx, ledger.Query{Kind: "store", Key: StoreKey})
	if err == nil && !found {
		err = errors.New("reference data has no store")
	}
	if err != nil {
		return ledger.Store{}, err
	}
	return record.(ledger.Store), nil
}

// MaxHits is how many records [Reference.Search] gives at most.
const MaxHits = 100

// maxWords is how many words of its text a search looks at.
const maxWords = 16

// Search gives the records of a kind, as Find does, that text leads to, at most
// limit or [MaxHits], which is also what 0 means: first the one whose key it is, then those whose key or
// description has all of its words, then those that have words beginning so.
// Text is never taken for a query language.
func (r *Reference) Search(ctx context.Context, kindName, text string, limit int) ([]any, error) {
	k, known := kinds[kindName]
	words := strings.FieldsFunc(text, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.IsMark(r) })
	if !known || len(words) == 0 {
		return []any{}, nil
	}
	const matching = "SELECT id, record FROM search JOIN records ON id = search.rowid WHERE kind = ? AND search MATCH ? ORDER BY search.rowid LIMIT ?"
	words = words[:min(len(words), maxWords)]
	quoted := `"` + strings.Join(words, `" "`) + `"`
	limit = bounded(limit, MaxHits)
	hits, seen := []any{}, map[int64]bool{}
	for _, pass := range []struct{ query, arg string }{
		{"SELECT id, record FROM records WHERE kind = ? AND key = ? LIMIT ?", strings.TrimSpace(text)},
		{matching, quoted},
		{matching, strings.ReplaceAll(quoted, `" "`, `"* "`) + "*"},
	} {
		var broken error
		err := each(ctx, r.reader, (*hit).columns, pass.query, []any{kindName, pass.arg, limit}, func(h hit) bool {
			if len(hits) >= limit || seen[h.id] {
				return len(hits) < limit
			}
			var record any
			record, broken = k.decode(h.record)
			hits, seen[h.id] = append(hits, record), true
			return broken == nil
		})
		if err = errors.Join(err, broken); err != nil {
			return nil, fmt.Errorf("search %s: %w", kindName, err)
		}
	}
	return hits, nil
}

// hit is one record that was found.
type hit struct {
	id     int64
	record []byte
}

func (h *hit) columns() []any { return []any{&h.id, &h.record} }

// AsOf is how much there is of a kind, and since when.
type AsOf struct {
	Kind  string    `json:"kind"`
	Count int       `json:"count"`
	Time  time.Time `json:"time"` // of the last import that had a line of this kind
}

// AsOf says for every kind that was ever imported how much there is, and since when.
func (r *Reference) AsOf(ctx context.Context) ([]AsOf, error) {
	all := []AsOf{}
	err := each(ctx, r.reader, (*AsOf).columns, `
		SELECT kind, (SELECT count(*) FROM records WHERE records.kind = imports.kind), at FROM imports ORDER BY kind`, nil,
		func(a AsOf) bool {
			all = append(all, a)
			return true
		})
	if err != nil {
		return nil, fmt.Errorf("read age of reference data: %w", err)
	}
	return all, nil
}

func (a *AsOf) columns() []any { return []any{&a.Kind, &a.Count, textTime{&a.Time}} }

// textTime reads a stored time.
type textTime struct{ *time.Time }

// Scan takes the time from the database.
func (t textTime) Scan(v any) (err error) {
	*t.Time, err = time.Parse(time.RFC3339Nano, fmt.Sprint(v))
	return err
}
