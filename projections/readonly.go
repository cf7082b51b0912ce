package projections

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// OpenReadOnly opens the offline database of a node that is stopped, and changes nothing on disk.
// Where the node did not close it, a part of it is still in SQLite's log. Then a copy in the
// directory for temporary files is read. It fails with [ErrDamaged], [ErrVersion] or [ErrEmpty]
// where [Open] would begin anew, and with [ErrNotFile] where the path names no regular file.
func OpenReadOnly(ctx context.Context, path string) (*DB, error) {
	db := &DB{path: path}
	if err := db.openReadOnly(ctx); err != nil {
		return nil, fmt.Errorf("open offline database %s: %w", path, errors.Join(err, db.close()))
	}
	return db, nil
}

func (db *DB) openReadOnly(ctx context.Context) error {
	if err := checkRegular(db.path); err != nil {
		return err
	}
	path, parameter := db.path, "immutable=1"
	if log, err := os.Lstat(db.path + "-wal"); err == nil && log.Size() > 0 {
		if err := checkRegular(db.path + "-wal"); err != nil {
			return err
		}
		if db.temp, err = os.MkdirTemp("", "posnode-"); err != nil {
			return err
		}
		path, parameter = filepath.Join(db.temp, "copy.db"), "_pragma=query_only(1)"
		if err := errors.Join(copyFile(ctx, db.path, path), copyFile(ctx, db.path+"-wal", path+"-wal")); err != nil {
			return err
		}
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	pool, err := openFile(path, readers, parameter)
	if err != nil {
		return err
	}
	db.reader = newReader(pool)
	empty, err := check(ctx, pool, application, meaning)
	if err == nil && empty {
		err = ErrEmpty
	}
	if err == nil {
		err = db.checkLayout(ctx)
	}
	if err == nil {
		err = db.locate(ctx)
	}
	return err
}

// ErrEmpty says that a database file holds nothing yet, as after a power cut in the first seconds.
var ErrEmpty = errors.New("database file is empty")

// ErrNotFile says that there is something else where a database file should be.
var ErrNotFile = errors.New("not a regular file")

// checkRegular refuses files that SQLite must not open: a link leads elsewhere, and a named pipe
// keeps its reader waiting.
func checkRegular(path string) error {
	info, err := os.Lstat(path)
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s: %w", filepath.Base(path), ErrNotFile)
	}
	return err
}

func copyFile(ctx context.Context, from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	if err := checkRoom(in, filepath.Dir(to)); err != nil {
		return err
	}
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	for err == nil {
		if err = ctx.Err(); err == nil {
			_, err = io.CopyN(out, in, 64<<20)
		}
	}
	if err == io.EOF {
		err = nil
	}
	return errors.Join(err, out.Close())
}

// checkRoom says whether a folder has room for a copy of a file.
func checkRoom(f *os.File, dir string) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		return fmt.Errorf("free space of %s: %w", dir, err)
	}
	if free := uint64(st.Bavail) * uint64(st.Bsize); uint64(info.Size()) > free {
		return fmt.Errorf("a copy of %s needs %d MiB, and %s has %d MiB free: name a larger folder in the environment variable TMPDIR",
			f.Name(), info.Size()>>20, dir, free>>20)
	}
	return nil
}
