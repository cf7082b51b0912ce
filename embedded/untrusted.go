//go:build linux || darwin

package embedded

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

// A data directory under audit may come from somebody else and may be forged to do harm. A link in
// it may lead to the evidence, a named pipe keeps its reader waiting, a file may be larger than the
// memory. The functions of this file read regular files up to a size, and nothing else.

// ErrNotRegular means that a path is not a regular file but a link, a directory, a named pipe, a
// socket or a device.
var ErrNotRegular = errors.New("not a regular file")

// ErrFileTooLarge means that a file is larger than any that the program writes there.
var ErrFileTooLarge = errors.New("file is too large")

// ReadFile reads a regular file of at most limit bytes. It follows no link and never waits for a
// writer. Its errors are those of [os.ReadFile], [ErrNotRegular] and [ErrFileTooLarge].
func ReadFile(path string, limit int64) ([]byte, error) {
	f, info, err := openRegular(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info.Size() > limit {
		return nil, fmt.Errorf("%s: %w: %d bytes, at most %d", path, ErrFileTooLarge, info.Size(), limit)
	}
	return io.ReadAll(io.LimitReader(f, limit))
}

// openRegular opens a regular file for reading.
func openRegular(path string) (*os.File, fs.FileInfo, error) {
	info, err := os.Lstat(path)
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s: %w but %s", path, ErrNotRegular, kindOf(info.Mode()))
	}
	if err != nil {
		return nil, nil, err
	}
	// The file may have been replaced since. O_NOFOLLOW and O_NONBLOCK protect us then.
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil, err
	}
	if info, err = f.Stat(); err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s: %w", path, ErrNotRegular)
	}
	if err != nil {
		return nil, nil, errors.Join(err, f.Close())
	}
	return f, info, nil
}

// kindOf returns the kind of a file in words.
func kindOf(mode fs.FileMode) string {
	switch mode.Type() {
	case 0:
		return "a regular file"
	case fs.ModeDir:
		return "a directory"
	case fs.ModeSymlink:
		return "a symbolic link"
	case fs.ModeNamedPipe:
		return "a named pipe"
	case fs.ModeSocket:
		return "a socket"
	}
	return "a device"
}

// Skipped is a file or folder of a store that was not copied, with the reason.
type Skipped struct{ Path, Why string }

const (
	// maxStoreFile is the largest file of a store that is copied, in bytes. The server's blocks
	// have 8 MiB and perhaps one entry more, and all its other files are smaller.
	maxStoreFile = 64 << 20
	// maxStoreFiles is the largest number of files and folders in a store.
	maxStoreFiles = 100_000
	// maxStoreDepth is the deepest nesting of folders in a store.
	maxStoreDepth = 12
)

// storeFile is a file or a folder to be copied. Its name is relative to the store.
type storeFile struct {
	name string
	size int64
	dir  bool
}

// copyTree copies the folders and regular files under from to the new folder to.
func copyTree(ctx context.Context, from, to string) ([]Skipped, error) {
	list := &storeList{root: from}
	if err := list.read(ctx, ".", 0); err != nil {
		return nil, err
	}
	_, free, err := diskSpace(filepath.Dir(to))
	if err != nil {
		return nil, err
	}
	if list.bytes+diskReserve > int64(min(free, 1<<62)) {
		return nil, fmt.Errorf("%s needs %d MiB for its copy, and %s has %d MiB free: name a larger folder in the environment variable TMPDIR",
			from, list.bytes>>20, filepath.Dir(to), free>>20)
	}
	if err := os.Mkdir(to, 0o700); err != nil {
		return nil, err
	}
	for _, file := range list.files {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		target := filepath.Join(to, file.name)
		if file.dir {
			err = os.Mkdir(target, 0o700)
		} else {
			err = copyRegular(filepath.Join(from, file.name), target, file.size)
		}
		if err != nil {
			return nil, err
		}
	}
	return list.skipped, nil
}

// storeList is the content of a store, listed before it is copied.
type storeList struct {
	root    string
	files   []storeFile // each folder before its content
	bytes   int64       // of all files
	skipped []Skipped
}

// read lists the folder dir and everything in it.
func (l *storeList) read(ctx context.Context, dir string, depth int) error {
	f, err := os.OpenFile(filepath.Join(l.root, dir), os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_DIRECTORY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	for {
		entries, err := f.ReadDir(256)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		for _, entry := range entries {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := l.add(ctx, filepath.Join(dir, entry.Name()), entry, depth); err != nil {
				return err
			}
		}
	}
}

func (l *storeList) add(ctx context.Context, name string, entry fs.DirEntry, depth int) error {
	if len(l.files)+len(l.skipped) >= maxStoreFiles {
		return fmt.Errorf("%s has more than %d files: it is not the store of a register", l.root, maxStoreFiles)
	}
	info, err := entry.Info()
	if err != nil {
		return err
	}
	skip := func(why string) error {
		l.skipped = append(l.skipped, Skipped{filepath.Join(storeName, name), why})
		return nil
	}
	switch {
	case info.IsDir() && depth >= maxStoreDepth:
		return skip(fmt.Sprintf("it lies in more than %d folders", maxStoreDepth))
	case info.IsDir():
		l.files = append(l.files, storeFile{name: name, dir: true})
		return l.read(ctx, name, depth+1)
	case !info.Mode().IsRegular():
		return skip("it is " + kindOf(info.Mode()))
	case info.Size() > maxStoreFile:
		return skip(fmt.Sprintf("it has %d bytes, and no file of a store has more than %d", info.Size(), maxStoreFile))
	}
	l.files = append(l.files, storeFile{name: name, size: info.Size()})
	l.bytes += info.Size()
	return nil
}

// copyRegular copies size bytes of a regular file to a new one.
func copyRegular(from, to string, size int64) error {
	in, _, err := openRegular(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, io.LimitReader(in, size))
	return errors.Join(err, out.Close())
}
