package projections

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/posnode/posnode/events"
)

// Difference is one wrong row of a view.
type Difference struct {
	View string `json:"view"`
	Key  string `json:"key"`  // of the row
	Want string `json:"want"` // its columns that differ, or the whole row; "no row" where there should be none
	Got  string `json:"got"`
}

const noRow = "no row"

// MaxDifferences is where [Differences] stops: more would tell no more.
const MaxDifferences = 1000

// Differences compares the views of got, row by row, with those of want, which has
// been built from the journal. It also has SQLite check got's file through and
// through, since an index that has gone wrong hides rows that are there.
func Differences(ctx context.Context, want, got *DB) ([]Difference, error) {
	w, err := want.snapshot(ctx)
	if err != nil {
		return nil, err
	}
	defer w.close()
	g, err := got.snapshot(ctx)
	if err != nil {
		return nil, err
	}
	defer g.close()
	all, err := g.integrity()
	if err != nil {
		return nil, err
	}
	for _, v := range listings() {
		all, err = v.compare(w, g, all)
		if errors.Is(err, ErrDamaged) {
			all = append(all, Difference{View: v.name, Want: "every row", Got: err.Error()})
		} else if err != nil {
			return nil, fmt.Errorf("compare %s: %w", v.name, err)
		}
	}
	return all, nil
}

// Dump writes every row of every view, a line each, so that two databases hold the
// same exactly if their dumps are the same. Bytes stand as their hash.
func (db *DB) Dump(ctx context.Context, to io.Writer) error {
	s, err := db.snapshot(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	out := bufio.NewWriter(to)
	for _, v := range listings() {
		rows, err := s.rows(v)
		if err != nil {
			return fmt.Errorf("dump %s: %w", v.name, err)
		}
		for rows.next() {
			fmt.Fprintln(out, v.name, rows.text(0, len(rows.values)))
		}
		if err := rows.close(); err != nil {
			return fmt.Errorf("dump %s: %w", v.name, err)
		}
	}
	return out.Flush()
}

// listing holds the columns by which a view is compared: its rows in the order of their keys.
type listing struct {
	name  string
	keys  int
	query string
}

func listings() []listing {
	var all []listing
	for _, v := range views {
		order := "1"
		for i := 2; i <= v.keys; i++ {
			order += fmt.Sprintf(", %d", i)
		}
		all = append(all, listing{v.name, v.keys, "SELECT * FROM " + v.name + " ORDER BY " + order})
	}
	return all
}

// compare walks both sides in the order of their keys and adds each difference to all.
func (v listing) compare(w, g *snapshot, all []Difference) ([]Difference, error) {
	want, err := w.rows(v)
	if err != nil {
		return nil, err
	}
	got, err := g.rows(v)
	if err != nil {
		return nil, errors.Join(err, want.close())
	}
	for moreWant, moreGot := want.next(), got.next(); (moreWant || moreGot) && len(all) < MaxDifferences; {
		order := compareKeys(want, got, v.keys)
		switch {
		case order < 0:
			all = append(all, Difference{v.name, want.text(0, v.keys), want.text(v.keys, len(want.values)), noRow})
		case order > 0:
			all = append(all, Difference{v.name, got.text(0, v.keys), noRow, got.text(v.keys, len(got.values))})
		default:
			if w, g := differing(want, got); w != g {
				all = append(all, Difference{v.name, want.text(0, v.keys), w, g})
			}
		}
		if order <= 0 {
			moreWant = want.next()
		}
		if order >= 0 {
			moreGot = got.next()
		}
	}
	return all, errors.Join(want.close(), got.close())
}

// compareKeys orders two rows by their keys. Where one side has ended, the other comes first.
func compareKeys(a, b *cursor, keys int) int {
	switch {
	case a.values == nil:
		return 1
	case b.values == nil:
		return -1
	}
	return slices.CompareFunc(a.values[:keys], b.values[:keys], func(a, b any) int {
		if a, ok := a.(int64); ok {
			if b, ok := b.(int64); ok {
				return cmp.Compare(a, b)
			}
		}
		return cmp.Compare(fmt.Sprint(a), fmt.Sprint(b))
	})
}

// differing is the columns in which two rows differ, as each has them.
func differing(want, got *cursor) (w, g string) {
	if !slices.Equal(want.columns, got.columns) {
		return strings.Join(want.columns, " "), strings.Join(got.columns, " ")
	}
	for i := range want.values {
		if !same(want.values[i], got.values[i]) {
			w, g = w+" "+want.text(i, i+1), g+" "+got.text(i, i+1)
		}
	}
	return strings.TrimSpace(w), strings.TrimSpace(g)
}

func same(a, b any) bool {
	if a, ok := a.([]byte); ok {
		b, ok := b.([]byte)
		return ok && bytes.Equal(a, b)
	}
	if _, ok := b.([]byte); ok {
		return false
	}
	return a == b
}

// snapshot reads one state of the database, also while entries are applied.
type snapshot struct {
	ctx context.Context
	db  *DB
	tx  *sql.Tx
}

func (db *DB) snapshot(ctx context.Context) (*snapshot, error) {
	db.file.RLock()
	tx, err := db.reader.pool.BeginTx(ctx, nil)
	if err != nil {
		db.file.RUnlock()
		return nil, fmt.Errorf("read offline database: %w", damage(err))
	}
	return &snapshot{ctx, db, tx}, nil
}

func (s *snapshot) close() {
	_ = s.tx.Rollback() // nothing was written
	s.db.file.RUnlock()
}

// integrity lists the faults that SQLite finds in the file.
func (s *snapshot) integrity() (all []Difference, err error) {
	rows, err := s.rows(listing{query: fmt.Sprintf("PRAGMA integrity_check(%d)", MaxDifferences)})
	if err == nil {
		for rows.next() {
			if found := fmt.Sprint(rows.values[0]); found != "ok" {
				all = append(all, Difference{"file", "integrity", "ok", found})
			}
		}
		err = rows.close()
	}
	if errors.Is(err, ErrDamaged) {
		return append(all, Difference{"file", "integrity", "ok", err.Error()}), nil
	}
	return all, err
}

func (s *snapshot) rows(v listing) (*cursor, error) {
	rows, err := s.tx.QueryContext(s.ctx, v.query)
	if err != nil {
		return nil, damage(err)
	}
	columns, err := rows.Columns()
	if err != nil {
		return nil, errors.Join(err, rows.Close())
	}
	return &cursor{rows: rows, columns: columns}, nil
}

// cursor is one row after the other.
type cursor struct {
	rows    *sql.Rows
	columns []string
	values  []any // int64, string, []byte or nil; nil altogether after the last row
	err     error
}

func (c *cursor) next() bool {
	c.values = nil
	if c.err != nil || !c.rows.Next() {
		return false
	}
	values := make([]any, len(c.columns))
	to := make([]any, len(values))
	for i := range values {
		to[i] = &values[i]
	}
	if c.err = c.rows.Scan(to...); c.err != nil {
		return false
	}
	c.values = values
	return true
}

func (c *cursor) close() error {
	return damage(errors.Join(c.err, c.rows.Err(), c.rows.Close()))
}

// text writes the columns from one to before another.
func (c *cursor) text(from, to int) string {
	var out []string
	for i := from; i < to; i++ {
		out = append(out, c.columns[i]+"="+valueText(c.columns[i], c.values[i]))
	}
	return strings.Join(out, " ")
}

func valueText(column string, v any) string {
	switch v := v.(type) {
	case []byte:
		return "sha256:" + events.Hash(v).String()
	case string:
		return fmt.Sprintf("%q", v)
	case int64:
		if column == "at" {
			return fmt.Sprintf("%d/%d", v>>epochShift, v&maxSequence)
		}
	}
	return fmt.Sprint(v)
}
