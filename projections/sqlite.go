package projections

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/posnode/posnode/internal/files"
)

// ErrDamaged says that a database file is damaged: SQLite cannot read it, or its rows contradict
// one another.
var ErrDamaged = errors.New("database file is damaged")

// ErrVersion says that a database file was laid out by another version of this program.
var ErrVersion = errors.New("database file has another layout")

// cacheKiB bounds the pages that one connection keeps in memory.
const cacheKiB = 4 << 10

// openFile opens a pool of connections to a database file. Each sets its own
// pragmas, since a pool opens them as it likes.
func openFile(path string, connections int, parameters ...string) (*sql.DB, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%w: %s is no file", ErrDamaged, path)
	}
	query := []string{
		fmt.Sprintf("_pragma=cache_size(-%d)", cacheKiB),
		// Our own connections never write at the same time; another program that looks in may.
		"_pragma=busy_timeout(5000)",
	}
	u := url.URL{Scheme: "file", Path: path, RawQuery: strings.Join(append(query, parameters...), "&")}
	db, err := sql.Open("sqlite", u.String())
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(connections)
	db.SetMaxIdleConns(connections)
	return db, nil
}

// check reads the stamp of a database file: by which part of which version of this
// program it was laid out. An empty file is to be laid out; one that is not ours
// at all is as good as damaged.
func check(ctx context.Context, db *sql.DB, application, version int32) (empty bool, err error) {
	var app, got int32
	var objects int
	err = errors.Join(
		db.QueryRowContext(ctx, "PRAGMA application_id").Scan(&app),
		db.QueryRowContext(ctx, "PRAGMA user_version").Scan(&got),
		db.QueryRowContext(ctx, "SELECT count(*) FROM sqlite_schema").Scan(&objects))
	switch {
	case err != nil:
		return false, damage(err)
	case objects == 0:
		return true, nil
	case app != application:
		return false, fmt.Errorf("%w: it is a database of something else: application id %#x, want %#x", ErrDamaged, app, application)
	case got != version:
		return false, fmt.Errorf("%w: %d, want %d", ErrVersion, got, version)
	}
	return false, nil
}

// create lays an empty file out and stamps it, all or nothing.
func create(ctx context.Context, db *sql.DB, schema string, application, version int32) error {
	_, err := db.ExecContext(ctx, fmt.Sprintf("BEGIN IMMEDIATE; %s; PRAGMA application_id = %d; PRAGMA user_version = %d; COMMIT",
		schema, application, version))
	return damage(err)
}

// damage marks the errors by which SQLite says that a file is damaged with
// [ErrDamaged]. Others, such as a full disk, say nothing about the file.
func damage(err error) error {
	var e *sqlite.Error
	if errors.As(err, &e) {
		switch e.Code() & 0xff {
		case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB:
			return fmt.Errorf("%w: %w", ErrDamaged, err)
		}
		if e.Code() == sqlite3.SQLITE_IOERR_SHORT_READ { // the file is shorter than it says
			return fmt.Errorf("%w: %w", ErrDamaged, err)
		}
	}
	return err
}

// Damaged says whether err means that a database file is not what was written to it.
func Damaged(err error) bool { return errors.Is(damage(err), ErrDamaged) }

// SetAside moves a damaged database file aside, and what SQLite keeps beside it. Nobody may have it open.
func SetAside(path string) error { return remove(path, true) }

// remove takes a database file away, and what SQLite keeps beside it. A damaged one is moved aside, so that it can be
// looked at. The file goes first and for certain: a log that outlives its file is thrown away by SQLite,
// but a file that outlives its log may lack what was in it.
func remove(path string, damaged bool) error {
	for _, step := range [][]string{{path}, {path + "-wal", path + "-shm", path + "-journal"}} {
		for _, name := range step {
			take := os.Remove
			if damaged {
				take = func(name string) error { _, err := files.SetAside(name); return err }
			}
			if err := take(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
		if err := files.SyncDir(filepath.Dir(path)); err != nil {
			return err
		}
	}
	return nil
}
