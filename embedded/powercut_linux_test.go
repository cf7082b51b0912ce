package embedded

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/posnode/posnode/internal/powercut"
)

// TestPowerCutWhileAppending shows that acknowledged entries are on disk when the power is cut.
func TestPowerCutWhileAppending(t *testing.T) {
	t.Parallel()
	for range 5 {
		acknowledged, stored := cutWhileAppending(t, false)
		require.GreaterOrEqual(t, stored, acknowledged)
	}
}

// TestPowerCutFindsUnsyncedEntries runs the same test without SyncAlways and finds lost entries. So
// the test above can detect a loss.
func TestPowerCutFindsUnsyncedEntries(t *testing.T) {
	t.Parallel()
	for range 20 {
		if acknowledged, stored := cutWhileAppending(t, true); stored < acknowledged {
			return
		}
	}
	t.Fatal("no cut lost anything")
}

// cutWhileAppending runs a process that appends entries to a journal, and cuts the power of its
// disk at a random moment. It returns the number of acknowledged entries and the number that the
// journal then holds.
func cutWhileAppending(t *testing.T, unsynced bool) (acknowledged, stored uint64) {
	seed := uint64(time.Now().UnixNano())
	chance := rand.New(rand.NewPCG(seed, 0))
	dir, disk := filepath.Join(t.TempDir(), "disk"), powercut.New()
	require.NoError(t, os.Mkdir(dir, 0o700))
	if err := disk.Mount(dir); err != nil {
		require.ErrorIs(t, err, powercut.ErrNoFUSE)
		t.Skipf("power cuts are not tested on this machine: %v", err)
	}
	defer func() {
		require.Eventually(t, func() bool { return disk.Unmount() == nil }, time.Minute, 10*time.Millisecond)
	}()
	cmd, out := startChild(t, 0, unsynced, filepath.Join(dir, "data"))
	most := uint64(1 + chance.IntN(50))
	for acknowledged < most && out.Scan() {
		_, err := fmt.Sscanf(out.Text(), "ack %d", &acknowledged)
		require.NoError(t, err)
	}
	disk.Off()
	_ = cmd.Process.Kill()
	for out.Scan() {
		_, _ = fmt.Sscanf(out.Text(), "ack %d", &acknowledged)
	}
	_ = cmd.Wait()

	left := t.TempDir()
	require.NoError(t, disk.Survivor(chance).Get(left))
	data := filepath.Join(left, "data")
	require.NoError(t, os.MkdirAll(data, 0o700))
	n, err := StartRegister(t.Context(), RegisterConfig{Dir: data, Register: r01, Epoch: 1})
	require.NoError(t, err)
	stored, err = n.Journal().Last(t.Context())
	require.NoError(t, err)
	requireEntries(t, n.Journal(), stored)
	require.NoError(t, n.Close())
	t.Logf("seed %d: %d acknowledged, %d stored", seed, acknowledged, stored)
	return acknowledged, stored
}
