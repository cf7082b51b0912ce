package embedded

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
)

// OpenToOthers says whether other accounts of this machine have any right to a data directory or to
// a file in it, in one sentence with the command that mends it, and "" where they have none.
// It changes nothing: whoever opened the directory to others may have had a reason.
func OpenToOthers(dir string) (string, error) {
	count, first := 0, ""
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // a file may go while this looks
		}
		if err != nil || entry.Type()&fs.ModeSymlink != 0 {
			return err
		}
		info, err := entry.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		if info.Mode().Perm()&0o077 != 0 {
			if count++; first == "" {
				first = path
			}
		}
		return nil
	})
	if err != nil || count == 0 {
		return "", err
	}
	return fmt.Sprintf("other accounts have rights to the data directory %s, the first of %d places is %s: chmod -R go= '%s'", dir, count, first, dir), nil
}
