package projections

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/posnode/posnode/events"
)

// Stored is one entry of the journal: its bytes and the decoded entry.
type Stored struct {
	Entry *events.Entry
	Body  []byte // exactly as stored
}

// Apply folds the entries into every view, all of them or none. They must follow
// the position and one another; an epoch may be followed by a later one, from its
// first entry. Where they do not, the error is a *[events.CorruptError]; a fact
// that has no place in the database is named by an *[events.UnknownTypeError].
func (db *DB) Apply(ctx context.Context, entries []Stored) error {
	db.file.RLock()
	defer db.file.RUnlock()
	if db.writer == nil {
		return errReadOnly
	}
	db.applying.Lock()
	defer db.applying.Unlock()
	chain := db.position
	err := db.writer.transact(func(b *batch) error {
		for _, s := range entries {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := b.apply(&chain, s); err != nil {
				return fmt.Errorf("apply entry %d of epoch %d: %w", s.Entry.Head.Sequence, s.Entry.Head.Epoch, damage(err))
			}
		}
		return nil
	})
	if err != nil {
		// Whether a commit that failed took place only the file knows.
		return errors.Join(err, db.locateHeld(context.WithoutCancel(ctx)))
	}
	db.position = chain
	return nil
}

// apply folds one entry into every view and moves the chain on to it.
func (b *batch) apply(chain *events.Chain, s Stored) error {
	e := s.Entry
	if e.Head.Epoch > chain.Head.Epoch {
		*chain = events.Chain{Register: chain.Register}
	}
	if err := chain.Next(e.Head.Sequence, e); err != nil {
		return err
	}
	all, known := folds[e.Fact.Type()]
	if !known {
		return &events.UnknownTypeError{Type: e.Fact.Type()}
	}
	if err := b.keep(s); err != nil {
		return err
	}
	for _, f := range all {
		if err := f.apply(b, e); err != nil {
			return err
		}
	}
	return nil
}

// writer is the one connection that writes. Its statements stay prepared.
type writer struct {
	pool       *sql.DB
	conn       *sql.Conn
	statements map[string]*sql.Stmt
}

func newWriter(path string) (*writer, error) {
	// WAL with synchronous=NORMAL: a commit is not synced, so a power cut may take the
	// last ones back. It takes them back whole, because the log is synced before any of
	// it moves to the file, and a torn log ends at its last whole commit.
	pool, err := openFile(path, 1, "_pragma=journal_mode(wal)", "_pragma=synchronous(normal)")
	if err != nil {
		return nil, err
	}
	return &writer{pool: pool, statements: map[string]*sql.Stmt{}}, nil
}

func (w *writer) close() error {
	var err error
	for _, s := range w.statements {
		err = errors.Join(err, s.Close())
	}
	if w.conn != nil {
		err = errors.Join(err, w.conn.Close())
	}
	return errors.Join(err, w.pool.Close())
}

// transact runs do in a transaction.
func (w *writer) transact(do func(*batch) error) (err error) {
	if w.conn == nil {
		if w.conn, err = w.pool.Conn(context.Background()); err != nil {
			return damage(err)
		}
	}
	b := &batch{writer: w}
	if err := b.exec("BEGIN IMMEDIATE"); err != nil {
		return damage(err)
	}
	if err := do(b); err != nil {
		_ = b.exec("ROLLBACK") // SQLite may have done so already
		return err
	}
	if err := b.exec("COMMIT"); err != nil {
		_ = b.exec("ROLLBACK")
		return fmt.Errorf("commit: %w", damage(err))
	}
	return nil
}

// batch is the transaction of one Apply.
type batch struct {
	writer *writer
	shift  shift // the one that was looked up last
}

// statement prepares query once. The work of a batch is bounded, and is not
// interrupted between two statements that belong together: hence no context.
func (b *batch) statement(query string) (*sql.Stmt, error) {
	if s := b.writer.statements[query]; s != nil {
		return s, nil
	}
	s, err := b.writer.conn.PrepareContext(context.Background(), query)
	if err == nil {
		b.writer.statements[query] = s
	}
	return s, err
}

func (b *batch) exec(query string, args ...any) error {
	s, err := b.statement(query)
	if err != nil {
		return err
	}
	_, err = s.Exec(args...)
	return err
}
