// Package files has operations on files that several packages need.
package files

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// keptAside is how many damaged files of one name are kept.
const keptAside = 3

const mark = ".damaged-"

// SetAside renames a damaged file or folder to NAME.damaged-TIME. The name is then free, and the
// damage can still be examined. SetAside keeps the last few of each name and deletes older ones.
func SetAside(path string) (aside string, err error) {
	aside = path + mark + time.Now().UTC().Format("20060102T150405.000000000")
	if err = setAside(path, aside); err != nil {
		return "", fmt.Errorf("move a damaged file aside: %w", err)
	}
	return aside, nil
}

func setAside(path, aside string) error {
	if err := os.Rename(path, aside); err != nil {
		return err
	}
	dir := filepath.Dir(path)
	if err := SyncDir(dir); err != nil {
		return err
	}
	list, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	var before []string
	for _, e := range list {
		if strings.HasPrefix(e.Name(), filepath.Base(path)+mark) {
			before = append(before, e.Name())
		}
	}
	slices.Sort(before)
	for _, name := range before[:max(0, len(before)-keptAside)] {
		if err := os.RemoveAll(filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	return nil
}

// SyncDir calls fsync on a folder, so that the names in it survive a power cut.
func SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
