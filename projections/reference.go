package projections

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/posnode/posnode/events"
	"github.com/posnode/posnode/ledger"
)

// Reference is the reference data of one register, or of all at head office:
// products, staff, the store's settings. Unlike [DB] it is not derived from a journal. It is
// filled by [Reference.Follow] from head office's reference stream, or by [Reference.Import] from
// a file, at a register that stands alone. A damaged file is not dropped but reported with
// [ErrDamaged], for only its owner knows whether it can be had again. Its methods may be called from any goroutine.
//
// A record is for everybody or for one store. [Reference.For] is the view of one register: its
// store's record stands before everybody's of the same kind and key.
type Reference struct {
	*referenceFile
	register events.Register
}

// referenceFile is the shared part of all views of one file.
type referenceFile struct {
	writer *sql.DB
	reader *reader

	// read are the records read since the last import, nil for one that does not exist: a till asks for the
	// same few hundred all day, and for the store's settings with every operation.
	mu        sync.Mutex
	read      map[storeQuery]any
	counted   map[events.StoreID][]AsOf // without confirmed
	imports   int                       // that have been committed: records read before an import are not kept after it
	confirmed time.Time                 // when head office last said that there is nothing newer
	persisted time.Time                 // the one of these that was last written
}

// storeQuery is a query in the view of one store.
type storeQuery struct {
	store events.StoreID
	ledger.Query
}

// Everybody is the scope of the records that are for all stores.
const Everybody = "all"

// For is the reference data as one register has it.
func (r *Reference) For(register events.Register) *Reference {
	return &Reference{r.referenceFile, register}
}

// maxRead bounds the records that are kept in memory; when there are as many, it begins anew.
const maxRead = 1000

// forget drops the records that were read, because others are stored.
func (r *referenceFile) forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.read, r.counted = nil, nil
	r.imports++
}

// remember keeps a record that was read. Records are values that nobody changes.
func (r *referenceFile) remember(q storeQuery, record any, imports int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if imports != r.imports {
		return
	}
	if r.read == nil || len(r.read) >= maxRead {
		r.read = map[storeQuery]any{}
	}
	r.read[q] = record
}

// referenceApplication marks the file as ours: "posr".
const referenceApplication = 0x706f7372

// referenceVersion goes up when the schema changes.
const referenceVersion = 2

const recordsSchema = `
CREATE TABLE records (
	id     INTEGER PRIMARY KEY,
	scope  TEXT NOT NULL, -- the store that it is for, or all
	kind   TEXT NOT NULL,
	key    TEXT NOT NULL,
	record TEXT,             -- JSON; NULL where it was deleted
	seq    INTEGER NOT NULL, -- its place in the reference stream, 0 for one from a file
	UNIQUE (kind, key, scope)
);
CREATE INDEX records_seq ON records (seq);
CREATE TABLE feed ( -- no row: there has been no stream
	one       INTEGER PRIMARY KEY,
	stream    TEXT NOT NULL,
	position  INTEGER NOT NULL, -- of the commit up to which the stream is applied
	confirmed TEXT NOT NULL     -- when head office last said that there is nothing newer
);
CREATE TABLE skipped (
	kind  TEXT NOT NULL,
	what  TEXT NOT NULL,
	count INTEGER NOT NULL,
	PRIMARY KEY (kind, what)
) WITHOUT ROWID`

const referenceSchema = recordsSchema + `;
CREATE TABLE imports (
	kind TEXT PRIMARY KEY,
	at   TEXT NOT NULL -- RFC 3339, nanoseconds, UTC
) WITHOUT ROWID;
CREATE VIRTUAL TABLE search USING fts5 (key, text, tokenize = 'unicode61 remove_diacritics 2')`

// fromVersion1 brings a file of the version before any stream up to date: its records came from a
// file.
const fromVersion1 = "ALTER TABLE records RENAME TO old;" + recordsSchema + `;
INSERT INTO records SELECT id, 'all', kind, key, record, 0 FROM old;
DROP TABLE old`

// OpenReference opens the reference data at path, or creates an empty file.
func OpenReference(path string) (*Reference, error) {
	f, err := openReference(path)
	if err != nil {
		return nil, fmt.Errorf("open reference data %s: %w", path, err)
	}
	return &Reference{referenceFile: f}, nil
}

// DropReference takes the reference data at path away: aside if it is damaged.
func DropReference(path string, damaged bool) error { return remove(path, damaged) }

func openReference(path string) (*referenceFile, error) {
	pool, err := openFile(path, readers, "_pragma=query_only(1)")
	if err != nil {
		return nil, err
	}
	r := &referenceFile{reader: newReader(pool)}
	ctx := context.Background()
	empty, err := check(ctx, pool, referenceApplication, referenceVersion)
	old := false
	if errors.Is(err, ErrVersion) {
		if _, older := check(ctx, pool, referenceApplication, 1); older == nil {
			old, err = true, nil
		}
	}
	if err != nil {
		return nil, errors.Join(err, pool.Close())
	}
	// An import that was answered must survive a power cut: synchronous=FULL.
	if r.writer, err = openFile(path, 1, "_pragma=journal_mode(wal)", "_pragma=synchronous(full)"); err != nil {
		return nil, errors.Join(err, pool.Close())
	}
	switch {
	case empty:
		err = create(ctx, r.writer, referenceSchema, referenceApplication, referenceVersion)
	case old:
		err = create(ctx, r.writer, fromVersion1, referenceApplication, referenceVersion)
	}
	if err == nil {
		err = r.openFeed(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}

// Close closes the file.
func (r *referenceFile) Close() error { return errors.Join(r.reader.close(), r.writer.Close()) }

// inScope selects the records that a store has, given the store twice: everybody's unless it has its own.
const inScope = ` (records.scope = ? OR records.scope = 'all' AND NOT EXISTS (SELECT 1 FROM records AS own
	WHERE own.kind = records.kind AND own.key = records.key AND own.scope = ? AND own.record IS NOT NULL)) AND records.record IS NOT NULL `

// Find is the record that answers q, a value such as a [ledger.Product], and
// whether there is one. A kind that this program does not know has none.
func (r *Reference) Find(ctx context.Context, q ledger.Query) (any, bool, error) {
	k, known := kinds[q.Kind]
	if !known {
		return nil, false, nil
	}
	asked := storeQuery{r.register.Store, q}
	r.mu.Lock()
	record, kept := r.read[asked]
	imports := r.imports
	r.mu.Unlock()
	if kept {
		return record, record != nil, nil
	}
	var broken error
	// Microseconds: to listen for the end of ctx meanwhile would take more.
	err := each(context.WithoutCancel(ctx), r.reader, column[[]byte],
		"SELECT record FROM records WHERE kind = ? AND key = ? AND scope IN ('all', ?) AND record IS NOT NULL ORDER BY scope = 'all' LIMIT 1",
		[]any{q.Kind, q.Key, string(r.register.Store)}, func(b []byte) bool {
			if record, broken = k.decode(b); !r.has(record) {
				record = nil
			}
			return false
		})
	if err = errors.Join(err, broken); err == nil && record == nil && q.Kind == "customer" {
		record, err = r.findByProvisional(ctx, q.Key)
	}
	if err != nil {
		return nil, false, fmt.Errorf("find %s %.80q: %w", q.Kind, q.Key, err)
	}
	r.remember(asked, record, imports)
	return record, record != nil, nil
}

// has says whether the view's store may have a record: staff of other stores, with the hashes of
// their PINs, are none of its business. Head office's own view has all.
func (r *Reference) has(record any) bool {
	member, staff := record.(ledger.StaffMember)
	return !staff || r.register.Store == "" || member.WorksAt(r.register.Store)
}

// findByProvisional returns the customer that was recorded under a provisional number, nil for
// none.
func (r *Reference) findByProvisional(ctx context.Context, provisional string) (any, error) {
	number, found, err := r.Find(ctx, ledger.Query{Kind: "customer_number", Key: provisional})
	if err != nil || !found {
		return nil, err
	}
	customer, _, err := r.Find(ctx, ledger.Query{Kind: "customer", Key: string(number.(ledger.CustomerNumber).Customer)})
	return customer, err
}

// ErrNoStore says that there are no settings of the store: the register has never
// received reference data.
var ErrNoStore = errors.New("reference data has no store")

// Store is the settings of the store. It fails with [ErrNoStore] where there are none.
func (r *Reference) Store(ctx context.Context) (ledger.Store, error) {
	record, found, err := r.Find(ctx, ledger.Query{Kind: "store", Key: StoreKey})
	if err == nil && !found {
		err = ErrNoStore
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

// Search returns records of a kind, as Find does, for a text: at most limit, or [MaxHits] for 0.
// The record with that key comes first, then those with all its words in key or description, then
// those with words that begin so. Text is never taken for a query language.
func (r *Reference) Search(ctx context.Context, kindName, text string, limit int) ([]any, error) {
	k, known := kinds[kindName]
	words := strings.FieldsFunc(text, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.IsMark(r) })
	if !known || len(words) == 0 {
		return []any{}, nil
	}
	const matching = "SELECT id, record FROM search JOIN records ON id = search.rowid WHERE records.kind = ? AND search MATCH ? AND" + inScope + "ORDER BY search.rowid LIMIT ?"
	store := string(r.register.Store)
	words = words[:min(len(words), maxWords)]
	quoted := `"` + strings.Join(words, `" "`) + `"`
	limit = bounded(limit, MaxHits)
	hits, seen := []any{}, map[int64]bool{}
	for _, pass := range []struct{ query, arg string }{
		{"SELECT id, record FROM records WHERE kind = ? AND key = ? AND" + inScope + "LIMIT ?", strings.TrimSpace(text)},
		{matching, quoted},
		{matching, strings.ReplaceAll(quoted, `" "`, `"* "`) + "*"},
	} {
		var broken error
		err := each(ctx, r.reader, (*hit).columns, pass.query, []any{kindName, pass.arg, store, store, limit}, func(h hit) bool {
			if len(hits) >= limit || seen[h.id] {
				return len(hits) < limit
			}
			var record any
			if record, broken = k.decode(h.record); !r.has(record) {
				return broken == nil
			}
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
	Kind  string `json:"kind"`
	Count int    `json:"count"`
	// Time is when this was last known to be all: of the last import that had a line of this
	// kind, or when head office last said that there is nothing newer.
	Time time.Time `json:"time"`
}

// AsOf says for every kind that was ever imported how much there is, and since when.
func (r *Reference) AsOf(ctx context.Context) ([]AsOf, error) {
	r.mu.Lock()
	all, imports, confirmed := slices.Clone(r.counted[r.register.Store]), r.imports, r.confirmed
	r.mu.Unlock()
	if all == nil {
		var err error
		if all, err = r.count(ctx); err != nil {
			return nil, fmt.Errorf("read age of reference data: %w", err)
		}
		r.mu.Lock()
		if imports == r.imports {
			if r.counted == nil {
				r.counted = map[events.StoreID][]AsOf{}
			}
			r.counted[r.register.Store] = slices.Clone(all)
		}
		r.mu.Unlock()
	}
	for i := range all {
		if all[i].Time.Before(confirmed) {
			all[i].Time = confirmed
		}
	}
	return all, nil
}

// count reads every record's place, so it is not for every look at the status page.
func (r *Reference) count(ctx context.Context) ([]AsOf, error) {
	all := []AsOf{}
	err := each(ctx, r.reader, (*AsOf).columns, `
		SELECT kind, (SELECT count(*) FROM records WHERE records.kind = imports.kind AND`+inScope+`), at FROM imports ORDER BY kind`,
		[]any{string(r.register.Store), string(r.register.Store)},
		func(a AsOf) bool {
			all = append(all, a)
			return true
		})
	return all, err
}

func (a *AsOf) columns() []any { return []any{&a.Kind, &a.Count, textTime{&a.Time}} }

// textTime reads a stored time.
type textTime struct{ *time.Time }

// Scan takes the time from the database.
func (t textTime) Scan(v any) (err error) {
	*t.Time, err = time.Parse(time.RFC3339Nano, fmt.Sprint(v))
	return err
}
