package projections

import (
	"bufio"
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/posnode/posnode/events"
)

// Limits of an import.
const (
	MaxLine     = 64 << 10  // bytes of one line
	MaxLines    = 1_000_000 // of one import
	MaxProblems = 100       // that a report names; it counts them all
	maxKey      = 64        // characters
)

// Problem is one line that is wrong.
type Problem struct {
	Line int    `json:"line"` // from 1
	What string `json:"what"`
}

// ImportReport lists the changes that an import made, or would make.
type ImportReport struct {
	Lines     int       `json:"lines"` // that are not blank
	Stored    int       `json:"stored"`
	Deleted   int       `json:"deleted"`
	Unchanged int       `json:"unchanged"`
	Wrong     int       `json:"wrong"`
	Problems  []Problem `json:"problems"` // the first of them
}

// ErrNotImported says that lines were wrong, so that nothing was imported.
var ErrNotImported = errors.New("nothing was imported")

// ErrFromHeadOffice says that this reference data comes from head office, so that no file is imported into it.
var ErrFromHeadOffice = errors.New("the reference data here comes from head office")

// Line is one line of reference data: a record, or its deletion. It is the same in a
// file, in the reference stream, and on the way to a register.
type Line struct {
	Kind    string          `json:"kind"`
	Key     string          `json:"key"`
	Store   string          `json:"store,omitempty"` // that it is for, "" for all
	Record  json.RawMessage `json:"record,omitempty"`
	Deleted bool            `json:"deleted,omitempty"`

	text  string                           // by which it is found
	patch func(old []byte) ([]byte, error) // makes Record of the record that is there, nil for none
}

// scope is the store that the line is for.
func (l *Line) scope() string {
	if l.Store == "" {
		return Everybody
	}
	return l.Store
}

// Subject is the line's subject in the reference stream, which of makes.
func (l *Line) Subject(of func(store, kind, key string) string) string {
	return of(l.scope(), l.Kind, l.Key)
}

// source yields the lines of an import, each with its number and its fault. It ends early with
// yield's error.
type source func(yield func(number int, line Line, wrong error) error) error

// Import stores reference data from JSON Lines, all of them or none, with at as
// the time that [Reference.AsOf] shows. A line is
//
//	{"kind":"product","key":"85123A","record":{...}}
//	{"kind":"product","key":"85123A","deleted":true}
//
// with the JSON form of [ledger.Product], [ledger.Barcode], [ledger.StaffMember] or
// [ledger.Store] as the record of a product, barcode, staff or store. The report names every line that is
// wrong, in which case the error is [ErrNotImported]. A dry run stores nothing. Where head office
// feeds the file, it is [ErrFromHeadOffice].
func (r *Reference) Import(ctx context.Context, lines io.Reader, at time.Time, dryRun bool) (ImportReport, error) {
	return r.imported(ctx, jsonLines(lines), nil, func(in *importing) error {
		var fed bool
		if err := in.tx.QueryRow("SELECT count(*) FROM feed").Scan(&fed); err != nil || dryRun {
			return err
		}
		if fed {
			return ErrFromHeadOffice
		}
		if err := in.touch(at); err != nil {
			return err
		}
		return in.commit(r)
	})
}

// Changes are the changes that an import would make, and the kinds that it is about.
type Changes struct {
	Lines []Line
	Kinds []string
}

// Plan checks an import and returns the changes that it would make. It stores nothing. Format
// describes the lines; see [Format].
func (r *Reference) Plan(ctx context.Context, lines io.Reader, format Format) (ImportReport, Changes, error) {
	var changes Changes
	src, err := format.source(lines)
	if err != nil {
		return ImportReport{}, changes, err
	}
	report, err := r.imported(ctx, src, map[recordPlace]*hit{}, func(in *importing) error {
		changes.Lines = in.changes
		for kind := range in.kinds {
			changes.Kinds = append(changes.Kinds, kind)
		}
		return nil
	})
	return report, changes, err
}

// imported takes all lines in, in a transaction that ends with finish, which may commit it. With planned nothing is stored.
func (r *Reference) imported(ctx context.Context, from source, planned map[recordPlace]*hit, finish func(*importing) error) (ImportReport, error) {
	report := ImportReport{Problems: []Problem{}}
	in, err := r.begin(ctx)
	if err != nil {
		return report, fmt.Errorf("import reference data: %w", err)
	}
	defer in.tx.Rollback() // does nothing once it is committed
	in.planned = planned
	err = from(func(number int, line Line, wrong error) error {
		if report.Lines++; report.Lines > MaxLines {
			return fmt.Errorf("there are more than %d lines", MaxLines)
		}
		if err := in.line(&report, number, line, wrong); err != nil {
			return fmt.Errorf("line %d: %w", number, err)
		}
		return ctx.Err()
	})
	switch {
	case err != nil:
	case report.Wrong > 0:
		err = fmt.Errorf("%w: %d of %d lines are wrong, the first is line %d: %s",
			ErrNotImported, report.Wrong, report.Lines, report.Problems[0].Line, report.Problems[0].What)
	default:
		err = finish(in)
	}
	if err != nil {
		return report, fmt.Errorf("import reference data: %w", damage(err))
	}
	return report, nil
}

// jsonLines are the lines of a file of JSON Lines.
func jsonLines(from io.Reader) source {
	return func(yield func(int, Line, error) error) error {
		lines := bufio.NewReaderSize(from, MaxLine)
		for number := 1; ; number++ {
			b, end := lines.ReadSlice('\n')
			long := errors.Is(end, bufio.ErrBufferFull)
			for errors.Is(end, bufio.ErrBufferFull) {
				_, end = lines.ReadSlice('\n')
			}
			if end != nil && end != io.EOF {
				return fmt.Errorf("read line %d: %w", number, end)
			}
			if b = bytes.TrimSpace(b); long || len(b) > 0 {
				line, wrong := parseLine(b, long)
				if err := yield(number, line, wrong); err != nil {
					return err
				}
			}
			if end == io.EOF {
				return nil
			}
		}
	}
}

// parseLine reads one line.
func parseLine(b []byte, long bool) (line Line, err error) {
	if long {
		return line, fmt.Errorf("is longer than %d bytes", MaxLine)
	}
	if !utf8.Valid(b) {
		return line, errors.New("is not valid UTF-8")
	}
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&line); err != nil {
		return line, fmt.Errorf("is not a line of reference data: %w", err)
	}
	if _, err := dec.Token(); err != io.EOF {
		return line, errors.New("holds more than one JSON object")
	}
	return line, nil
}

// inspect checks a line that comes from a file, and makes its record compact.
func (l *Line) inspect() error {
	k, known := kinds[l.Kind]
	if !known {
		return fmt.Errorf("kind %.40q is not known", l.Kind)
	}
	if n := utf8.RuneCountInString(l.Key); n == 0 || n > maxKey || strings.ContainsFunc(l.Key, unicode.IsControl) {
		return fmt.Errorf("key %.80q: want 1 to %d characters, none of them a control character", l.Key, maxKey)
	}
	if l.Store == Everybody {
		l.Store = ""
	}
	if r := (events.Register{Store: events.StoreID(l.Store), ID: "r01"}); l.Store != "" && r.Validate() != nil {
		return fmt.Errorf("store %.40q is not the name of a store", l.Store)
	}
	if l.Deleted != (l.Record == nil) {
		return errors.New(`want either a "record" or "deleted":true`)
	}
	if l.Deleted {
		return nil
	}
	key, text, err := k.inspect(l.Record, true)
	if err != nil {
		return fmt.Errorf("%s %s: %w", l.Kind, l.Key, err)
	}
	if key != l.Key && !k.keyless {
		return fmt.Errorf("%s %s: its record is that of %.80q", l.Kind, l.Key, key)
	}
	l.text = text
	var compact bytes.Buffer
	err = json.Compact(&compact, l.Record)
	l.Record = compact.Bytes()
	return err
}

// importing is one import on its way.
type importing struct {
	tx      *sql.Tx
	kinds   map[string]bool // that had a line
	changes []Line
	planned map[recordPlace]*hit // the changes so far where nothing is to be stored; nil where it is
	fresh   bool                 // nothing was there before: nobody needs to look

	find, insert, update, indexNew, index, unindex *sql.Stmt
}

// recordPlace is where a record is.
type recordPlace struct{ scope, kind, key string }

// begin begins an import: nothing of it is there before it is committed.
func (r *Reference) begin(ctx context.Context) (*importing, error) {
	tx, err := r.writer.BeginTx(ctx, nil)
	if err != nil {
		return nil, damage(err)
	}
	in := &importing{tx: tx, kinds: map[string]bool{}}
	prepare := func(query string) *sql.Stmt {
		s, e := tx.Prepare(query)
		err = errors.Join(err, e)
		return s
	}
	// Nothing cleverer: a statement of more than one write makes FTS5 flush its index each time.
	in.find = prepare("SELECT id, record FROM records WHERE kind = ? AND key = ? AND scope = ?")
	in.insert = prepare("INSERT INTO records (scope, kind, key, record, seq) VALUES (?, ?, ?, ?, ?)")
	in.update = prepare("UPDATE records SET record = ?, seq = ? WHERE id = ?")
	in.indexNew = prepare("INSERT INTO search (rowid, key, text) VALUES (?, ?, ?)") // a third of the next: it looks for nothing to delete
	in.index = prepare("INSERT OR REPLACE INTO search (rowid, key, text) VALUES (?, ?, ?)")
	in.unindex = prepare("DELETE FROM search WHERE rowid = ?")
	if err != nil {
		return nil, errors.Join(damage(err), tx.Rollback())
	}
	return in, nil
}

// line stores one line, or reports its fault. Its error is one of the database.
func (in *importing) line(report *ImportReport, number int, line Line, wrong error) error {
	if wrong == nil && line.patch != nil {
		old, err := in.patched(&line)
		if err != nil {
			return err
		}
		line.Record, wrong = line.patch(old)
	}
	if wrong == nil {
		wrong = line.inspect()
	}
	if wrong != nil {
		report.Wrong++
		if len(report.Problems) < MaxProblems {
			report.Problems = append(report.Problems, Problem{number, wrong.Error()})
		}
		return nil
	}
	in.kinds[line.Kind] = true
	old, err := in.existing(&line)
	switch {
	case err != nil:
		return err
	case line.Deleted && (old == nil || old.record == nil), old != nil && !line.Deleted && sameRecord(old.record, line.Record):
		report.Unchanged++
		return nil
	case line.Deleted:
		report.Deleted++
	default:
		report.Stored++
	}
	in.changes = append(in.changes, line)
	return in.store(&line, old, 0)
}

// sameRecord says whether two records are the same but for the order of their fields.
func sameRecord(a, b []byte) bool {
	if bytes.Equal(a, b) || len(a) != len(b) {
		return len(a) == len(b)
	}
	var x, y any
	return json.Unmarshal(a, &x) == nil && json.Unmarshal(b, &y) == nil && reflect.DeepEqual(x, y)
}

// existing is the record that a line is about, nil for none. A deleted one has no bytes.
func (in *importing) existing(line *Line) (*hit, error) {
	if old := in.planned[recordPlace{line.scope(), line.Kind, line.Key}]; old != nil || in.fresh {
		return old, nil
	}
	var old hit
	err := in.find.QueryRow(line.Kind, line.Key, line.scope()).Scan(old.columns()...)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	return &old, err
}

// patched is the record that a line changes a part of: the store's own, or else everybody's.
func (in *importing) patched(line *Line) ([]byte, error) {
	for _, of := range []Line{*line, {Kind: line.Kind, Key: line.Key}} {
		old, err := in.existing(&of)
		if err != nil || old != nil && old.record != nil {
			return old.record, err
		}
	}
	return nil, nil
}

// store puts the record of a line in the place of the old one, nil for none.
func (in *importing) store(line *Line, old *hit, seq uint64) error {
	if in.planned != nil {
		in.planned[recordPlace{line.scope(), line.Kind, line.Key}] = &hit{record: line.Record}
		return nil
	}
	var record any
	if !line.Deleted {
		record = string(line.Record)
	}
	if old == nil {
		result, err := in.insert.Exec(line.scope(), line.Kind, line.Key, record, int64(seq))
		if err != nil {
			return err
		}
		old = &hit{}
		if old.id, err = result.LastInsertId(); err != nil || line.Deleted {
			return err
		}
		return in.exec(in.indexNew, old.id, line.Key, line.text)
	} else if err := in.exec(in.update, record, int64(seq), old.id); err != nil {
		return err
	}
	if line.Deleted {
		return in.exec(in.unindex, old.id)
	}
	return in.exec(in.index, old.id, line.Key, line.text)
}

func (in *importing) exec(s *sql.Stmt, args ...any) error {
	_, err := s.Exec(args...)
	return err
}

// touch notes when the kinds of the import were last spoken of.
func (in *importing) touch(at time.Time) error {
	for kind := range in.kinds {
		_, err := in.tx.Exec("INSERT INTO imports VALUES (?, ?) ON CONFLICT DO UPDATE SET at = excluded.at",
			kind, at.UTC().Format(time.RFC3339Nano))
		if err != nil {
			return err
		}
	}
	return nil
}

func (in *importing) commit(r *Reference) error {
	err := in.tx.Commit()
	r.forget()
	return err
}
