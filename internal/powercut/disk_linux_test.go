package powercut

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// mounted mounts a disk on a new folder until the test ends.
func mounted(t *testing.T, d *Disk) (dir string) {
	dir = t.TempDir()
	if err := d.Mount(dir); err != nil {
		require.ErrorIs(t, err, ErrNoFUSE)
		t.Skipf("power cuts are not tested on this machine: %v", err)
	}
	t.Cleanup(func() { require.NoError(t, d.Unmount()) })
	return dir
}

// put writes a file, and makes it safe if sync is set.
func put(t *testing.T, path, content string, sync bool) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	require.NoError(t, err)
	_, err = f.WriteString(content)
	require.NoError(t, err)
	if sync {
		require.NoError(t, f.Sync())
	}
	require.NoError(t, f.Close())
}

func contents(t *testing.T, d *Disk) map[string]string {
	dir, out := t.TempDir(), map[string]string{}
	require.NoError(t, d.Get(dir))
	require.NoError(t, filepath.Walk(dir, func(path string, info os.FileInfo, err error) error {
		if err != nil || info.IsDir() {
			return err
		}
		raw, err := os.ReadFile(path)
		name, _ := filepath.Rel(dir, path)
		out[name] = string(raw)
		return err
	}))
	return out
}

func TestWhatACutLeaves(t *testing.T) {
	d := New()
	dir := mounted(t, d)
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "a", "b"), 0o700))
	put(t, filepath.Join(dir, "a", "b", "safe"), "safe", true)
	put(t, filepath.Join(dir, "a", "torn"), "0123456789", false)
	put(t, filepath.Join(dir, "new"), "new", true)
	require.NoError(t, os.Rename(filepath.Join(dir, "new"), filepath.Join(dir, "a", "b", "safe")))
	d.Off()
	_, err := os.ReadFile(filepath.Join(dir, "a", "unread"))
	require.True(t, errors.Is(err, syscall.EIO) || errors.Is(err, os.ErrNotExist), "%v", err)

	torn, renamed, kept := map[string]bool{}, 0, 0
	for seed := range uint64(200) {
		left := contents(t, d.Survivor(rand.New(rand.NewPCG(seed, 0))))
		torn[left["a/torn"]] = true
		require.True(t, bytes.HasPrefix([]byte("0123456789"), []byte(left["a/torn"])))
		switch left["a/b/safe"] {
		case "new":
			renamed++
			require.NotContains(t, left, "new")
		case "safe":
			kept++
			require.Equal(t, "new", left["new"])
		default:
			t.Fatalf("what was safe is lost: %v", left)
		}
	}
	require.Greater(t, len(torn), 5, "the last write is torn")
	require.Positive(t, renamed)
	require.Positive(t, kept)
}

func TestStrictDiskLosesNames(t *testing.T) {
	d := New()
	d.Strict = true
	dir := mounted(t, d)
	put(t, filepath.Join(dir, "file"), "file", true)
	d.Off()
	lost := 0
	for seed := range uint64(50) {
		if len(contents(t, d.Survivor(rand.New(rand.NewPCG(seed, 0))))) == 0 {
			lost++
		}
	}
	require.Positive(t, lost)
}

func TestDiskThatFails(t *testing.T) {
	d := New()
	dir := mounted(t, d)
	f, err := os.Create(filepath.Join(dir, "file"))
	require.NoError(t, err)
	defer f.Close()
	_, err = f.WriteString("lost")
	require.NoError(t, err)
	d.FailSyncs(1)
	require.ErrorIs(t, f.Sync(), syscall.EIO)
	require.NoError(t, f.Sync(), "as on Linux: the second says that all is well")
	d.ReadOnly(true)
	require.ErrorIs(t, os.WriteFile(filepath.Join(dir, "other"), nil, 0o600), syscall.EROFS)
	d.ReadOnly(false)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "other"), nil, 0o600))
	d.Off()
	require.Empty(t, contents(t, d.Survivor(rand.New(rand.NewPCG(1, 0))))["file"])
}
