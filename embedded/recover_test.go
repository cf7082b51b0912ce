package embedded

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// streamFolder returns the folder of a stream in a node's store.
func streamFolder(dir, stream string) string {
	return filepath.Join(dir, storeName, "$G", "streams", stream)
}

// TestMetaSumIsTheServers shows that our checksum equals the server's. Otherwise the server would
// skip the streams that we complete.
func TestMetaSumIsTheServers(t *testing.T) {
	dir := stoppedJournal(t, 3, 100)
	for key, folder := range map[string]string{
		"JOURNAL_1":    streamFolder(dir, "JOURNAL_1"),
		"JOURNAL_1/hq": filepath.Join(streamFolder(dir, "JOURNAL_1"), consumers, hqConsumer),
	} {
		settings, err := os.ReadFile(filepath.Join(folder, metaFile))
		require.NoError(t, err)
		want, err := os.ReadFile(filepath.Join(folder, sumFile))
		require.NoError(t, err)
		got, err := metaSum(key, settings)
		require.NoError(t, err)
		require.Equal(t, string(want), got)
	}
}

// halves holds the states in which a kill, or damage, leaves the settings of a stream or a
// consumer.
var halves = map[string]func(t *testing.T, folder string){
	"no sum":           func(t *testing.T, folder string) { remove(t, folder, sumFile) },
	"the sum before":   func(t *testing.T, folder string) { write(t, folder, sumFile, "0123456789abcdef") },
	"an empty sum":     func(t *testing.T, folder string) { write(t, folder, sumFile, "") },
	"no settings":      func(t *testing.T, folder string) { remove(t, folder, metaFile) },
	"neither":          func(t *testing.T, folder string) { remove(t, folder, metaFile); remove(t, folder, sumFile) },
	"empty settings":   func(t *testing.T, folder string) { write(t, folder, metaFile, "") },
	"settings of none": func(t *testing.T, folder string) { write(t, folder, metaFile, "noise") },
	"settings of another": func(t *testing.T, folder string) {
		write(t, folder, metaFile, `{"name":"other"}`)
	},
	"half of a file beside": func(t *testing.T, folder string) { write(t, folder, metaFile+".tmp", `{"na`) },
}

func remove(t *testing.T, folder, name string) {
	require.NoError(t, os.Remove(filepath.Join(folder, name)))
}

func write(t *testing.T, folder, name, content string) {
	require.NoError(t, os.WriteFile(filepath.Join(folder, name), []byte(content), 0o600))
}

// TestHalfMadeIsCompleted shows that a half-made stream or consumer is completed, in the present
// epoch and in an earlier one. All entries are there, head office can read both epochs, an
// auditor's copy has both, and the next start finds nothing to do.
func TestHalfMadeIsCompleted(t *testing.T) {
	for what, folder := range map[string]func(dir string) string{
		"the present stream":      func(dir string) string { return streamFolder(dir, "JOURNAL_2") },
		"the stream that is over": func(dir string) string { return streamFolder(dir, "JOURNAL_1") },
		"the present consumer": func(dir string) string {
			return filepath.Join(streamFolder(dir, "JOURNAL_2"), consumers, hqConsumer)
		},
		"the consumer of what is over": func(dir string) string {
			return filepath.Join(streamFolder(dir, "JOURNAL_1"), consumers, hqConsumer)
		},
	} {
		for how, harm := range halves {
			t.Run(what+", "+how, func(t *testing.T) {
				t.Parallel()
				dir := twoEpochs(t)
				harm(t, folder(dir))
				c := openCopy(t, dir)
				require.Equal(t, []int{1, 2}, c.Epochs())
				requireEntries(t, c.Journal(1), 5)
				requireEntries(t, c.Journal(2), 3)
				for start := range 2 {
					n, err := StartRegister(t.Context(), RegisterConfig{Dir: dir, Register: r01, Epoch: 2, Made: map[int]uint64{1: 5}})
					require.NoError(t, err)
					require.Empty(t, n.Faults())
					earlier, err := n.Earlier(t.Context())
					require.NoError(t, err)
					require.Len(t, earlier, 1)
					requireEntries(t, earlier[0], 5)
					requireEntries(t, n.Journal(), 3)
					for _, j := range []*Journal{earlier[0], n.Journal()} {
						_, err := j.stream.PushConsumer(t.Context(), hqConsumer)
						require.NoError(t, err)
					}
					require.True(t, earlier[0].stream.CachedInfo().Config.Sealed)
					require.NoError(t, n.Close())
					for _, f := range []string{"JOURNAL_1", "JOURNAL_2"} {
						for _, meta := range []string{metaFile, sumFile, filepath.Join(consumers, hqConsumer, metaFile), filepath.Join(consumers, hqConsumer, sumFile)} {
							require.FileExists(t, filepath.Join(streamFolder(dir, f), meta), "after start %d", start+1)
						}
					}
				}
			})
		}
	}
}

// twoEpochs returns the directory of a stopped node. Its first epoch is over and has five entries,
// and its second has three.
func twoEpochs(t *testing.T) (dir string) {
	dir = stoppedJournal(t, 5, 600)
	n, err := StartRegister(t.Context(), RegisterConfig{Dir: dir, Register: r01, Epoch: 2})
	require.NoError(t, err)
	appendEntries(t, n.Journal(), 0, 3)
	require.NoError(t, n.Close())
	return dir
}

// TestConsumerStateIsDamaged shows that a consumer with an unreadable position is made again.
func TestConsumerStateIsDamaged(t *testing.T) {
	t.Parallel()
	for _, content := range []string{"", "noise", "\x16"} {
		dir := stoppedJournal(t, 5, 600)
		write(t, filepath.Join(streamFolder(dir, "JOURNAL_1"), consumers, hqConsumer), stateFile, content)
		n := startRegister(t, dir)
		requireEntries(t, n.Journal(), 5)
		_, err := n.Journal().stream.PushConsumer(t.Context(), hqConsumer)
		require.NoError(t, err, "%q", content)
	}
}

// TestEarlierJournalIsGone shows that an earlier journal is reported if it is gone or shorter than
// it was. The register sells on.
func TestEarlierJournalIsGone(t *testing.T) {
	t.Parallel()
	dir := twoEpochs(t)
	require.NoError(t, os.RemoveAll(streamFolder(dir, "JOURNAL_1")))
	n := startRegister(t, dir, func(c *RegisterConfig) { c.Epoch, c.Made = 2, map[int]uint64{1: 5} })
	require.Equal(t, []JournalFault{{1, "The journal of epoch 1 is missing; it had 5 entries."}}, n.Faults())
	requireEntries(t, n.Journal(), 3)
	_, err := n.Unsent(t.Context())
	require.NoError(t, err)

	dir = twoEpochs(t)
	n = startRegister(t, dir, func(c *RegisterConfig) { c.Epoch, c.Made = 2, map[int]uint64{1: 7} })
	require.Equal(t, []JournalFault{{1, "The journal of epoch 1 ends at entry 5; it had 7 entries."}}, n.Faults())
}

// TestHeadOfficesStreamsAreHalfMade damages the settings of head office's streams as a kill between
// the two files does. It happens most often to a shard, because its settings change with every
// register. At the next start all stored entries are there, and new entries arrive.
func TestHeadOfficesStreamsAreHalfMade(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	h := startHQ(t, dir, "127.0.0.1:0")
	n := startRegister(t, t.TempDir(), linked(r01, h.LeafURL(), enroll(t, h, r01, 1)))
	appendEntries(t, n.Journal(), 0, 20)
	j := JournalName{r01, 1}
	requireAtHQ(t, h, j, 20)
	_, err := h.PutMark(t.Context(), j, "a mark", 0)
	require.NoError(t, err)
	own := entry(1)
	own.Subject = "pos." + string(HeadOffice.Store) + "." + string(HeadOffice.ID) + ".code.made"
	require.NoError(t, h.Own().Append(t.Context(), 0, own))
	counts := func() map[string]uint64 {
		out := map[string]uint64{}
		for info := range h.js.ListStreams(t.Context()).Info() {
			out[info.Config.Name] = info.State.Msgs
		}
		return out
	}
	before := counts()
	require.Len(t, before, 10)
	url := h.LeafURL()
	require.NoError(t, h.Close())

	for how, harm := range halves {
		folders, err := filepath.Glob(filepath.Join(dir, storeName, "*", "streams", "*"))
		require.NoError(t, err)
		require.GreaterOrEqual(t, len(folders), 10)
		for _, folder := range folders {
			harm(t, folder)
		}
		h, err = StartHQ(t.Context(), HQConfig{Dir: dir, ListenLeaf: strings.TrimPrefix(url, "nats-leaf://")})
		require.NoError(t, err, how)
		require.Equal(t, before, counts(), how)
		require.Equal(t, []JournalName{j}, h.Journals(), how)
		last, err := n.Journal().Last(t.Context())
		require.NoError(t, err)
		appendEntries(t, n.Journal(), last, last+1)
		requireAtHQ(t, h, j, last+1)
		before[shardOf(r01)] = counts()[shardOf(r01)]
		require.NoError(t, h.Close())
	}
}
