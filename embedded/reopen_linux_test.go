package embedded

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/posnode/posnode/internal/powercut"
)

// A store whose fsync failed is opened again in the same process: journals that were handed out go on, and what the kernel
// had shown and never written is written.
func TestReopenAfterAFailedSync(t *testing.T) {
	dir, disk := filepath.Join(t.TempDir(), "disk"), powercut.New()
	require.NoError(t, os.Mkdir(dir, 0o700))
	if err := disk.Mount(dir); err != nil {
		t.Skipf("disks that fail are not tested on this machine: %v", err)
	}
	t.Cleanup(func() {
		require.Eventually(t, func() bool { return disk.Unmount() == nil }, time.Minute, 10*time.Millisecond)
	})
	n, err := StartRegister(t.Context(), RegisterConfig{Dir: filepath.Join(dir, "data"), Register: r01, Epoch: 1})
	require.NoError(t, err)
	defer func() { require.NoError(t, n.Close()) }()
	j := n.Journal()
	appendEntries(t, j, 0, 5)
	require.NoError(t, n.Health())
	disk.FailSyncs(1)
	began := time.Now()
	require.ErrorIs(t, j.Append(t.Context(), 5, entry(6)), ErrStorage)
	require.Less(t, time.Since(began), 4*time.Second, "it does not wait for an answer that cannot come")
	require.ErrorIs(t, n.Health(), ErrStorage)
	require.NoError(t, ProbeDisk(filepath.Join(dir, "data")))
	require.NoError(t, n.Reopen(t.Context()))
	require.NoError(t, n.Health())
	last, err := j.Last(t.Context())
	require.NoError(t, err)
	appendEntries(t, j, last, last+2)
	requireEntries(t, n.Journal(), last+2)
}
