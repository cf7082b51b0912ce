package hq_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/posnode/posnode/events"
	"github.com/posnode/posnode/hq"
	"github.com/posnode/posnode/register"
)

// Head office stops right after it has let a register in, and the register is activated anew as soon as head office is back:
// the epoch between, of which nothing has come, is not forgotten. No certificate comes before all of it is here. The same where
// head office has lost everything but its keys.
func TestEpochBetweenIsNotForgotten(t *testing.T) {
	t.Parallel()
	for name, lose := range map[string]bool{"head office returns": false, "head office is set up anew": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			var ahead time.Duration
			code, bootstrap := w.code("r01", time.Hour)
			till := w.till("r01", func(c *register.Config) {
				c.Bootstrap = bootstrap
				c.Clock = func() time.Time { return time.Now().Add(ahead) }
			})
			till.linked(true)
			till.must(707, fmt.Sprintf(`{"code":%q}`, code))
			require.NoError(t, w.hq.Close())
			till.begin()
			for range 5 {
				till.sell()
			}
			day := time.Now().UTC().Format(time.DateOnly)
			w.open()
			code, _ = w.code("r01", time.Hour)
			till.linked(true)
			till.must(707, fmt.Sprintf(`{"code":%q}`, code))
			require.Equal(t, 2, till.View().Head.Epoch)
			if lose {
				require.NoError(t, w.hq.Close())
				kept := filepath.Join(w.dir, "kept")
				require.NoError(t, os.Rename(filepath.Join(w.dir, "hq"), kept))
				require.NoError(t, os.Mkdir(filepath.Join(w.dir, "hq"), 0o700))
				for _, name := range []string{"keys.json", "witness.json"} {
					require.NoError(t, os.Rename(filepath.Join(kept, name), filepath.Join(w.dir, "hq", name)))
				}
				w.open()
			}
			till.begin()
			till.sell()
			till.closeShift()
			require.NoError(t, till.Close())
			ahead = 24 * time.Hour // the next day, by the register's own word
			till.open()

			var certificate *events.CompletenessCertified
			require.Eventually(t, func() bool {
				var err error
				certificate, _, err = w.hq.Certify(t.Context(), till.name, day)
				require.NoError(t, err)
				return certificate != nil
			}, soon, 20*time.Millisecond)
			require.Len(t, certificate.Covered, 2)
			require.Equal(t, 6, certificate.Sums[0].Transactions, "all of it")
			require.Len(t, certificate.Shifts, 2)
		})
	}
}

// closeShift closes the shift once head office has everything.
func (t *worldTill) closeShift() {
	t.w.t.Helper()
	var err error
	require.Eventually(t.w.t, func() bool {
		if t.View().Mode == events.Offline {
			if _, err = t.try(917, ``); err != nil {
				return false
			}
		}
		_, err = t.try(1055, ``)
		return err == nil
	}, soon, 20*time.Millisecond, "%v", &err)
}

// restoredAfter puts head office back from a backup. meanwhile is what happens after the backup was made.
func (w *shopWorld) restoredAfter(meanwhile func()) {
	w.t.Helper()
	dir, backup := filepath.Join(w.dir, "hq"), filepath.Join(w.dir, "backup")
	require.NoError(w.t, w.hq.Close())
	require.NoError(w.t, os.CopyFS(backup, os.DirFS(dir)))
	w.open()
	meanwhile()
	require.NoError(w.t, w.hq.Close())
	require.NoError(w.t, os.RemoveAll(dir))
	require.NoError(w.t, os.Rename(backup, dir))
	w.open()
}

// Head office is put back from a backup, and a register was activated twice since: what it had received of the epochs is asked
// for, sealed ones too, and the keys are learned again from what head office itself had signed. Nobody has to confirm anything.
func TestRestoredOfficeLearnsEpochsAndKeysAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var ahead time.Duration
	code, bootstrap := w.code("r01", time.Hour)
	till := w.till("r01", func(c *register.Config) {
		c.Bootstrap = bootstrap
		c.Clock = func() time.Time { return time.Now().Add(ahead) }
	})
	till.linked(true)
	till.must(707, fmt.Sprintf(`{"code":%q}`, code))
	till.begin()
	till.sell()
	till.arrived()
	w.restoredAfter(func() {
		till.linked(true)
		for range 2 {
			till.sell()
			till.sell()
			code, _ := w.code("r01", time.Hour)
			till.online()
			till.must(707, fmt.Sprintf(`{"code":%q}`, code))
			till.begin()
		}
		till.sell()
		till.arrived()
	})
	till.linked(true)
	require.Equal(t, 3, till.View().Head.Epoch)
	day := time.Now().UTC().Format(time.DateOnly)
	till.closeShift()
	require.NoError(t, till.Close())
	ahead = 24 * time.Hour
	till.open()
	var certificate *events.CompletenessCertified
	var obstacles []hq.Obstacle
	require.Eventually(t, func() bool {
		var err error
		certificate, obstacles, err = w.hq.Certify(t.Context(), till.name, day)
		require.NoError(t, err)
		return certificate != nil
	}, soon, 20*time.Millisecond, "%v", &obstacles)
	require.Len(t, certificate.Covered, 3)
	require.Equal(t, 6, certificate.Sums[0].Transactions)
	findings, err := w.hq.Findings(t.Context())
	require.NoError(t, err)
	for _, f := range findings {
		require.NotEmpty(t, f.Resolved, "%v", f)
	}
}
