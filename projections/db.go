package projections

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"

	"github.com/posnode/posnode/events"
)

// DB is the offline database of one register. Its methods may be called from any
// goroutine; reads go on while a batch is applied, and see the state before it.
// An error of any of them that is [ErrDamaged] calls for [DB.Reset].
type DB struct {
	path    string
	dropped error
	temp    string // where the copy is that a read-only DB reads, if it reads one

	// file is held for writing while the file itself is replaced or closed.
	file   sync.RWMutex
	reader *reader
	writer *writer // nil: read only

	// applying is held while the position moves.
	applying sync.Mutex
	position events.Chain // ends at the last applied entry
}

// Open opens the offline database at path, or creates it. A file that is damaged is moved aside, one
// that another version of this program laid out is dropped, and it is begun anew at
// position zero; [DB.Dropped] then says why.
func Open(path string) (*DB, error) {
	db := &DB{path: path}
	err := db.open()
	if errors.Is(err, ErrDamaged) || errors.Is(err, ErrVersion) {
		db.dropped = err
		if err = remove(path, errors.Is(err, ErrDamaged)); err == nil {
			err = db.open()
		}
	}
	if err != nil {
		return nil, fmt.Errorf("open offline database %s: %w", path, err)
	}
	return db, nil
}

// Dropped says why the file that Open found was dropped, and is nil where none was.
func (db *DB) Dropped() error { return db.dropped }

// Close closes the file.
func (db *DB) Close() error {
	db.file.Lock()
	defer db.file.Unlock()
	return db.close()
}

// Reset drops everything: the position is zero, and the journal is to be applied
// again from its start. It works on a damaged file too, because it deletes it.
func (db *DB) Reset(ctx context.Context) error {
	db.file.Lock()
	defer db.file.Unlock()
	if db.writer == nil {
		return errReadOnly
	}
	// An error from closing a damaged file does not matter.
	_ = db.close()
	if err := remove(db.path, true); err != nil {
		return fmt.Errorf("reset offline database: %w", err)
	}
	if err := db.open(); err != nil {
		return fmt.Errorf("reset offline database: %w", err)
	}
	return nil
}

// Position is the end of the chain that has been applied, zero for nothing.
func (db *DB) Position(context.Context) (events.Head, error) {
	db.applying.Lock()
	defer db.applying.Unlock()
	return db.position.Head, nil
}

var errReadOnly = errors.New("offline database is open for reading only")

// open opens or creates the file. Where it fails, everything is closed again.
func (db *DB) open() (err error) {
	defer func() {
		if err != nil {
			_ = db.close()
		}
	}()
	pool, err := openFile(db.path, readers, "_pragma=query_only(1)")
	if err != nil {
		return err
	}
	db.reader = newReader(pool)
	ctx := context.Background()
	// Before anything writes to the file: it may be someone else's.
	empty, err := check(ctx, pool, application, meaning)
	if err != nil {
		return err
	}
	if db.writer, err = newWriter(db.path); err != nil {
		return err
	}
	if empty {
		err = create(ctx, db.writer.pool, schema(), application, meaning)
	} else {
		err = db.checkLayout(ctx)
	}
	if err != nil {
		return err
	}
	return db.locate(ctx)
}

// readers is how many reads can go on at the same time.
const readers = 2

// checkLayout compares the tables of the file, word by word, with those of this
// program. Nobody has to think of counting up a version when a table changes.
func (db *DB) checkLayout(ctx context.Context) error {
	got := []string{}
	err := each(ctx, db.reader, column[string], "SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY rowid", nil, func(sql string) bool {
		got = append(got, sql)
		return true
	})
	if err == nil && strings.Join(got, ";\n") != schema() {
		err = fmt.Errorf("%w: its tables are not those of this program", ErrVersion)
	}
	return err
}

// locate reads the position from the file. It is not kept apart: it is the last
// row of the journal view.
func (db *DB) locate(ctx context.Context) error {
	db.applying.Lock()
	defer db.applying.Unlock()
	return db.locateHeld(ctx)
}

func (db *DB) locateHeld(ctx context.Context) error {
	db.position = events.Chain{}
	var last *row
	err := each(ctx, db.reader, (*row).columns, "SELECT at, body FROM journal ORDER BY at DESC LIMIT 1", nil, func(r row) bool {
		last = &r
		return true
	})
	if err != nil || last == nil {
		return err
	}
	e, err := events.Decode(last.body)
	if err != nil {
		return fmt.Errorf("%w: last entry: %w", ErrDamaged, err)
	}
	if place(e.Head) != last.at {
		return fmt.Errorf("%w: last entry says that it is %d of epoch %d", ErrDamaged, e.Head.Sequence, e.Head.Epoch)
	}
	db.position = events.Chain{Register: e.Register, Head: e.Head}
	return nil
}

func (db *DB) close() (err error) {
	if db.reader != nil {
		err = db.reader.close()
	}
	if db.writer != nil {
		err = errors.Join(err, db.writer.close())
	}
	if db.temp != "" {
		err = errors.Join(err, os.RemoveAll(db.temp))
	}
	return err
}
