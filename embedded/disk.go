//go:build linux || darwin

package embedded

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/posnode/posnode/internal/files"
)

// ErrInUse means that another process, or another node of this process, works on the data
// directory. The error that wraps it names the process.
var ErrInUse = errors.New("data directory is in use")

const lockName = "lock"

// lockDir locks the data directory for this node alone. The kernel holds the lock on the open file,
// and releases it when the process ends in any way. So a file left behind by a power cut locks
// nobody out.
func lockDir(dir string) (*os.File, error) {
	path := filepath.Join(dir, lockName)
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		// No node has it locked: it was never ours.
		if _, err := files.SetAside(path); err != nil {
			return nil, fmt.Errorf("lock data directory: %w", err)
		}
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock data directory: %w", err)
	}
	if err := flock(f, syscall.LOCK_EX); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	// The process id is only for the error message of the next process.
	if err := errors.Join(f.Truncate(0), writeAt(f, fmt.Sprintln(os.Getpid()))); err != nil {
		return nil, errors.Join(fmt.Errorf("lock data directory: %w", err), f.Close())
	}
	return f, nil
}

// lockDirRead keeps nodes out of the data directory while it is copied. It writes nothing there. A
// directory without a lock file was never a node's own, so there is nothing to lock.
func lockDirRead(dir string) (io.Closer, error) {
	f, _, err := openRegular(filepath.Join(dir, lockName))
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, ErrNotRegular) {
		return io.NopCloser(nil), nil
	}
	if err != nil {
		return nil, fmt.Errorf("lock data directory: %w", err)
	}
	if err := flock(f, syscall.LOCK_SH); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

func flock(f *os.File, how int) error {
	err := syscall.Flock(int(f.Fd()), how|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		pid := make([]byte, 20)
		n, _ := f.ReadAt(pid, 0)
		return fmt.Errorf("%s: %w by process %s", filepath.Dir(f.Name()), ErrInUse, strings.TrimSpace(string(pid[:n])))
	}
	if err != nil {
		return fmt.Errorf("lock %s: %w", f.Name(), err)
	}
	return nil
}

func writeAt(f *os.File, s string) error {
	_, err := f.WriteAt([]byte(s), 0)
	return err
}

// diskSpace returns the size of dir's file system, and the bytes that we may still write there.
func diskSpace(dir string) (total, free uint64, err error) {
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		return 0, 0, fmt.Errorf("free space of %s: %w", dir, err)
	}
	return uint64(st.Blocks) * uint64(st.Bsize), uint64(st.Bavail) * uint64(st.Bsize), nil
}

// storeLimit returns the most bytes that all streams under dir may take: their present size, plus
// the free space, less the reserve. At the limit HQ leaves entries with their registers, and
// fetches them once a restart finds more room. On a full disk the server would switch JetStream
// off.
func storeLimit(dir string) (int64, error) {
	_, free, err := diskSpace(dir)
	if err != nil {
		return 0, err
	}
	used := int64(0)
	err = filepath.WalkDir(filepath.Join(dir, storeName), func(_ string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			used += info.Size()
		}
		return err
	})
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return 0, err
	}
	return max(used+int64(free)-diskReserve, 1), nil
}

// WriteFileDurably replaces a file in one step. After a power cut the file has either the old
// content or the new.
func WriteFileDurably(path string, data []byte) error {
	return replaceFile(path+".tmp", path, data)
}

// replaceFile does that by way of a temporary file on the same file system.
func replaceFile(temporary, path string, data []byte) error {
	// If we died here, a temporary file is left that nobody reads. The next attempt truncates it.
	f, err := os.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	// If we died here, the name may still stand for the old file. The caller has not been told
	// otherwise yet.
	return files.SyncDir(filepath.Dir(path))
}
