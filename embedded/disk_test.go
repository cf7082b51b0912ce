//go:build linux

package embedded

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/posnode/posnode/events"
)

func TestMaxBytesReached(t *testing.T) {
	dir := t.TempDir()
	n := startRegister(t, dir, func(c *RegisterConfig) { c.MaxBytes = 100_000 })
	last := fillUp(t, n.Journal(), 600)
	require.Positive(t, last)
	require.ErrorIs(t, n.Journal().Append(t.Context(), last, entry(last+1)), events.ErrFull)
	requireEntries(t, n.Journal(), last)
	require.NoError(t, n.Close())

	n = startRegister(t, dir, func(c *RegisterConfig) { c.MaxBytes = 1_000_000 })
	requireEntries(t, n.Journal(), last)
	appendEntries(t, n.Journal(), last, last+10)
	require.NoError(t, n.Close())

	// A limit below the stored size drops nothing.
	n = startRegister(t, dir, func(c *RegisterConfig) { c.MaxBytes = 10_000 })
	requireEntries(t, n.Journal(), last+10)
	require.ErrorIs(t, n.Journal().Append(t.Context(), last+10, entry(last+11)), events.ErrFull)
}

// fillUp appends until an append is refused, and returns the last stored sequence.
func fillUp(t *testing.T, j *Journal, size int) uint64 {
	for last := uint64(0); ; last++ {
		if err := j.Append(t.Context(), last, sizedEntry(last+1, size)); err != nil {
			require.ErrorIs(t, err, events.ErrFull)
			return last
		}
	}
}

// TestDiskFull fills a real file system. Selling stops while there is still room for the server. It
// goes on without a restart once there is more.
func TestDiskFull(t *testing.T) {
	disk := smallDisk(t, "160m")
	n := startRegister(t, filepath.Join(disk, "data"))
	ballast := filepath.Join(disk, "ballast")
	require.NoError(t, os.WriteFile(ballast, make([]byte, 80<<20), 0o600))
	last := fillUp(t, n.Journal(), 900_000)
	require.Positive(t, last)
	err := n.Journal().Append(t.Context(), last, entry(last+1))
	require.ErrorIs(t, err, events.ErrFull)
	require.ErrorContains(t, err, "kept in reserve")
	requireEntries(t, n.Journal(), last)

	require.NoError(t, os.Remove(ballast))
	appendEntries(t, n.Journal(), last, last+10)
	requireEntries(t, n.Journal(), last+10)
}

// TestDiskFullAtStart starts on a full disk. The till reads, refuses to sell, and sells once there
// is room.
func TestDiskFullAtStart(t *testing.T) {
	disk := smallDisk(t, "160m")
	dir, ballast := filepath.Join(disk, "data"), filepath.Join(disk, "ballast")
	require.NoError(t, os.WriteFile(ballast, make([]byte, 120<<20), 0o600))
	n := startRegister(t, dir)
	require.ErrorIs(t, n.Journal().Append(t.Context(), 0, entry(1)), events.ErrFull)
	require.NoError(t, os.Remove(ballast))
	appendEntries(t, n.Journal(), 0, 10)
	requireEntries(t, n.Journal(), 10)
}

// smallDisk mounts a file system of its own for the test.
func smallDisk(t *testing.T, size string) string {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size="+size); err != nil {
		t.Skipf("a file system for the test cannot be mounted here: %v", err)
	}
	t.Cleanup(func() { require.NoError(t, syscall.Unmount(dir, 0)) })
	return dir
}

// TestHQDiskFull fills HQ's disk. Entries stay with their register, and arrive once there is room.
func TestHQDiskFull(t *testing.T) {
	t.Parallel()
	disk := smallDisk(t, "80m")
	dir := filepath.Join(disk, "data")
	h := startHQ(t, dir, "127.0.0.1:0")
	leaf := strings.TrimPrefix(h.LeafURL(), "nats-leaf://")
	n := startRegister(t, t.TempDir(), linked(r01, h.LeafURL(), enroll(t, h, r01, 1)))
	for i := range uint64(30) {
		require.NoError(t, n.Journal().Append(t.Context(), i, sizedEntry(i+1, 900_000)))
	}
	requireAtHQ(t, h, JournalName{r01, 1}, 12) // as many as fit; HQ still runs
	require.Eventually(t, func() bool {
		_, free, err := diskSpace(disk)
		return err == nil && free < diskReserve
	}, soon, 10*time.Millisecond)
	require.NoError(t, h.Close())

	require.NoError(t, syscall.Mount("tmpfs", disk, "tmpfs", syscall.MS_REMOUNT, "size=160m"))
	h = startHQ(t, dir, leaf)
	requireAtHQ(t, h, JournalName{r01, 1}, 30)
	requireAcked(t, n, 30)
}
