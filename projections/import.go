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
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Limits of an import.
const (
	MaxLine     = 64 << 10 // bytes of one line
	MaxProblems = 100      // that a report names; it counts them all
	maxKey      = 64       // characters
)

// Problem is one line that is wrong.
type Problem struct {
	Line int    `json:"line"` // from 1
	What string `json:"what"`
}

// ImportReport says what an import did, or would do.
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

// Import stores reference data from JSON Lines, all of them or none, with at as
// the time that [Reference.AsOf] shows. A line is
//
//	{"kind":"product","key":"85123A","record":{...}}
//	{"kind":"product","key":"85123A","deleted":true}
//
// with the JSON form of [ledger.Product], [ledger.Barcode], [ledger.StaffMember] or
// [ledger.Store] as the record of a product, barcode, staff or store. The report names every line that is
// wrong, in which case the error is [ErrNotImported]. A dry run stores nothing.
func (r *Reference) Import(ctx context.Context, lines io.Reader, at time.Time, dryRun bool) (ImportReport, error) {
	report := ImportReport{Problems: []Problem{}}
	tx, err := r.writer.BeginTx(ctx, nil)
	if err != nil {
		return report, fmt.Errorf("import reference data: %w", damage(err))
	}
	defer tx.Rollback() // does nothing once it is committed
	in := &importing{tx: tx, kinds: map[string]bool{}, report: &report}
	err = in.lines(ctx, lines)
	switch {
	case err != nil:
	case report.Wrong > 0:
		err = fmt.Errorf("%w: %d of %d lines are wrong, the first is line %d: %s",
			ErrNotImported, report.Wrong, report.Lines, report.Problems[0].Line, report.Problems[0].What)
	case !dryRun:
		err = in.commit(at)
		r.forget()
	}
	if err != nil {
		return report, fmt.Errorf("import reference data: %w", damage(err))
	}
	return report, nil
}

// importing is one import on its way.
type importing struct {
	tx     *sql.Tx
	kinds  map[string]bool // that had a line
	report *ImportReport

	find, insert, update, remove, index, unindex *sql.Stmt
}

// importLine is one line of an import.
type importLine struct {
	Kind    string          `json:"kind"`
	Key     string          `json:"key"`
	Record  json.RawMessage `json:"record"`
	Deleted bool            `json:"deleted"`

	text string // by which it is found
}

func (in *importing) lines(ctx context.Context, from io.Reader) error {
	if err := in.prepare(); err != nil {
		return err
	}
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
			if err := in.line(number, b, long); err != nil {
				return fmt.Errorf("line %d: %w", number, err)
			}
		}
		if end == io.EOF {
			return nil
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
}

func (in *importing) prepare() error {
	var err error
	prepare := func(query string) *sql.Stmt {
		s, e := in.tx.Prepare(query)
		err = errors.Join(err, e)
		return s
	}
	// Nothing cleverer: a statement of more than one write makes FTS5 flush its index each time.
	in.find = prepare("SELECT id, record FROM records WHERE kind = ? AND key = ?")
	in.insert = prepare("INSERT INTO records (kind, key, record) VALUES (?, ?, ?)")
	in.update = prepare("UPDATE records SET record = ? WHERE id = ?")
	in.remove = prepare("DELETE FROM records WHERE id = ?")
	in.index = prepare("INSERT OR REPLACE INTO search (rowid, key, text) VALUES (?, ?, ?)")
	in.unindex = prepare("DELETE FROM search WHERE rowid = ?")
	return err
}

// line stores one line, or reports what is wrong with it. Its error is one of the database.
func (in *importing) line(number int, b []byte, long bool) error {
	in.report.Lines++
	line, err := parseLine(b, long)
	if err != nil {
		in.report.Wrong++
		if len(in.report.Problems) < MaxProblems {
			in.report.Problems = append(in.report.Problems, Problem{number, err.Error()})
		}
		return nil
	}
	in.kinds[line.Kind] = true
	old, err := in.existing(line)
	switch {
	case err != nil:
		return err
	case line.Deleted && old != nil:
		in.report.Deleted++
		return errors.Join(in.exec(in.remove, old.id), in.exec(in.unindex, old.id))
	case line.Deleted || old != nil && bytes.Equal(old.record, line.Record):
		in.report.Unchanged++
		return nil
	}
	in.report.Stored++
	return in.store(line, old)
}

// existing is the record that a line is about, nil for none.
func (in *importing) existing(line importLine) (*hit, error) {
	var old hit
	err := in.find.QueryRow(line.Kind, line.Key).Scan(old.columns()...)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	return &old, err
}

// store puts the record of a line in the place of the old one, nil for none.
func (in *importing) store(line importLine, old *hit) error {
	if old != nil {
		return errors.Join(in.exec(in.update, string(line.Record), old.id), in.exec(in.index, old.id, line.Key, line.text))
	}
	result, err := in.insert.Exec(line.Kind, line.Key, string(line.Record))
	if err != nil {
		return err
	}
	id, err := result.LastInsertId()
	if err != nil {
		return err
	}
	return in.exec(in.index, id, line.Key, line.text)
}

func (in *importing) exec(s *sql.Stmt, args ...any) error {
	_, err := s.Exec(args...)
	return err
}

// parseLine reads and checks one line.
func parseLine(b []byte, long bool) (line importLine, err error) {
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
	k, known := kinds[line.Kind]
	if !known {
		return line, fmt.Errorf("kind %.40q is not known", line.Kind)
	}
	if n := utf8.RuneCountInString(line.Key); n == 0 || n > maxKey || strings.ContainsFunc(line.Key, unicode.IsControl) {
		return line, fmt.Errorf("key %.80q: want 1 to %d characters, none of them a control character", line.Key, maxKey)
	}
	if line.Deleted != (line.Record == nil) {
		return line, errors.New(`want either a "record" or "deleted":true`)
	}
	if line.Deleted {
		return line, nil
	}
	key, text, err := k.inspect(line.Record)
	if err != nil {
		return line, fmt.Errorf("%s %s: %w", line.Kind, line.Key, err)
	}
	if key != line.Key {
		return line, fmt.Errorf("%s %s: its record is that of %.80q", line.Kind, line.Key, key)
	}
	line.text = text
	var compact bytes.Buffer
	err = json.Compact(&compact, line.Record)
	line.Record = compact.Bytes()
	return line, err
}

func (in *importing) commit(at time.Time) error {
	for kind := range in.kinds {
		_, err := in.tx.Exec("INSERT INTO imports VALUES (?, ?) ON CONFLICT DO UPDATE SET at = excluded.at",
			kind, at.UTC().Format(time.RFC3339Nano))
		if err != nil {
			return err
		}
	}
	return in.tx.Commit()
}
