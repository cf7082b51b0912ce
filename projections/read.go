package projections

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"

	"github.com/posnode/posnode/events"
)

// Period selects rows by the business dates of their shifts, YYYY-MM-DD, both
// inclusive, "" for no bound; and by shift, "" for all.
type Period struct {
	From, To string
	Shift    events.ShiftID
}

// inPeriod selects the shifts of a period, given its three arguments.
const inPeriod = ` (?1 = '' OR shifts.date >= ?1) AND (?2 = '' OR shifts.date <= ?2) AND (?3 = '' OR shifts.shift = ?3) `

func (p Period) args() []any { return []any{p.From, p.To, string(p.Shift)} }

// bounded is a limit that a caller asked for, 0 for as much as there may be.
func bounded(limit, largest int) int {
	if limit <= 0 {
		return largest
	}
	return min(limit, largest)
}

// reader is the connections that read. Its statements stay prepared.
type reader struct {
	pool *sql.DB
	mu   sync.Mutex
	stmt map[string]*sql.Stmt
}

func newReader(pool *sql.DB) *reader { return &reader{pool: pool, stmt: map[string]*sql.Stmt{}} }

func (r *reader) close() error {
	var err error
	for _, s := range r.stmt {
		err = errors.Join(err, s.Close())
	}
	return errors.Join(err, r.pool.Close())
}

func (r *reader) statement(ctx context.Context, query string) (*sql.Stmt, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s := r.stmt[query]; s != nil {
		return s, nil
	}
	s, err := r.pool.PrepareContext(ctx, query)
	if err == nil {
		r.stmt[query] = s
	}
	return s, err
}

// columns points to where the columns of a row go.
type columns[T any] func(*T) []any

// column is the columns of a row that has only one.
func column[T any](v *T) []any { return []any{v} }

// each yields rows until yield says that it is enough.
func each[T any](ctx context.Context, r *reader, into columns[T], query string, args []any, yield func(T) bool) error {
	s, err := r.statement(ctx, query)
	if err != nil {
		return damage(err)
	}
	rows, err := s.QueryContext(ctx, args...)
	if err != nil {
		return damage(err)
	}
	defer rows.Close()
	for rows.Next() {
		var row T
		if err := rows.Scan(into(&row)...); err != nil {
			return damage(err)
		}
		if !yield(row) {
			return nil
		}
	}
	return damage(rows.Err())
}

// list reads the rows of a query of the offline database. the argument what names the rows in
// errors.
func list[T any](ctx context.Context, db *DB, what string, into columns[T], query string, args ...any) ([]T, error) {
	db.file.RLock()
	defer db.file.RUnlock()
	all := []T{}
	err := each(ctx, db.reader, into, query, args, func(row T) bool {
		all = append(all, row)
		return true
	})
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", what, err)
	}
	return all, nil
}

// one is the first row that a query gives, nil for none. It takes microseconds:
// to listen for the end of ctx meanwhile would take more.
func one[T any](ctx context.Context, db *DB, what string, into columns[T], query string, args ...any) (*T, error) {
	all, err := list(context.WithoutCancel(ctx), db, what, into, query, args...)
	if err != nil || len(all) == 0 {
		return nil, err
	}
	return &all[0], nil
}
