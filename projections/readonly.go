package projections

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// OpenReadOnly opens the offline database of a node that is stopped, and changes
// nothing on disk. Where the node did not close it, a part of it is still in
// SQLite's log, and a copy in the directory for temporary files is what is read.
// It fails with [ErrDamaged] or [ErrVersion] where [Open] would begin anew.
func OpenReadOnly(path string) (*DB, error) {
	db := &DB{path: path}
	if err := db.openReadOnly(); err != nil {
		return nil, fmt.Errorf("open offline database %s: %w", path, errors.Join(err, db.close()))
	}
	return db, nil
}

func (db *DB) openReadOnly() error {
	if _, err := os.Stat(db.path); err != nil {
		return err
	}
	path, parameter := db.path, "immutable=1"
	if log, err := os.Stat(db.path + "-wal"); err == nil && log.Size() > 0 {
		if db.temp, err = os.MkdirTemp("", "posnode-"); err != nil {
			return err
		}
		path, parameter = filepath.Join(db.temp, "copy.db"), "_pragma=query_only(1)"
		if err := errors.Join(copyFile(db.path, path), copyFile(db.path+"-wal", path+"-wal")); err != nil {
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
	ctx := context.Background()
	empty, err := check(ctx, pool, application, meaning)
	if err == nil && empty {
		err = fmt.Errorf("%w: it is empty", ErrDamaged)
	}
	if err == nil {
		err = db.checkLayout(ctx)
	}
	if err == nil {
		err = db.locate(ctx)
	}
	return err
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}
