package hq_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// What docs/operate.md says of each thing that head office stores and loses while it is stopped: it starts, everything is
// there again that the registers still have, is counted once, and no finding stays open.
func TestHeadOfficeLosesWhatItStores(t *testing.T) {
	t.Parallel()
	stream := func(name string) string { return filepath.Join("jetstream", "*", "streams", name) }
	for name, lost := range map[string][]string{
		"the journals":            {stream("JOURNALS_*")},
		"what was sent again":     {stream("REPAIRS")},
		"its marks":               {stream("MARKS")},
		"the fleet":               {stream("FLEET")},
		"reference data":          {stream("REFERENCE_1")},
		"all of its streams":      {"jetstream", "hq.db*"},
		"its own journal":         {stream("HQ"), "hq.db*"},
		"its accounts":            {"accounts"},
		"hq.db":                   {"hq.db*"},
		"reference.db":            {"reference.db*"},
		"everything but its keys": {"jetstream", "hq.db*", "reference.db*", "accounts", "lock"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFleet(t)
			f.sell(5)
			f.marked()
			want, sold := f.journalOf(), f.concluded()
			require.NoError(t, f.hq.Close())
			for _, pattern := range lost {
				paths, err := filepath.Glob(filepath.Join(f.dir, "hq", pattern))
				require.NoError(t, err)
				for _, path := range paths {
					require.NoError(t, os.RemoveAll(path))
				}
			}
			f.openHQ()
			f.sell(1)
			f.arrived()
			require.Eventually(t, func() bool {
				stored := f.stored()
				for _, place := range want {
					if !stored[place] {
						return false
					}
				}
				return true
			}, soon, 100*time.Millisecond)
			require.Equal(t, sold+1, f.concluded())
			require.Eventually(t, func() bool { return len(f.openFindings()) == 0 }, soon, 100*time.Millisecond)
		})
	}
}
