package replay_test

import (
	"bytes"
	"crypto/sha256"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/posnode/posnode/events"
	"github.com/posnode/posnode/replay"
)

func openBundle(t testing.TB, path string) *replay.Bundle {
	b, err := replay.OpenBundle(path)
	require.NoError(t, err)
	return b
}

func TestBundleIsTheEntriesAsStored(t *testing.T) {
	w := week(t)
	for _, name := range []string{"week.jsonl", "week.jsonl.zst"} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), name)
			require.NoError(t, replay.Export(t.Context(), path, lines(w.bodies)))
			require.Empty(t, verify(t, openBundle(t, path), replay.Options{Heads: []events.Head{w.state.Head}}).Findings)

			var again bytes.Buffer
			require.NoError(t, replay.WriteBundle(t.Context(), &again, openBundle(t, path)))
			require.Equal(t, string(joined(w.bodies)), again.String())
			require.ErrorIs(t, replay.Export(t.Context(), path, lines(w.bodies)), fs.ErrExist, "it overwrites nothing")
		})
	}
}

func TestExportOfDamagedJournalKeepsTheRest(t *testing.T) {
	sound := newTill(t).open().sale().bodies
	path := filepath.Join(t.TempDir(), "rest.jsonl")
	err := replay.Export(t.Context(), path, stream{sound, map[uint64]bool{7: true}})
	require.ErrorAs(t, err, new(*events.CorruptError))
	written, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, string(joined(sound[:6])), string(written))
}

// TestCutOff cuts off the end of the file itself, within a line and between two lines.
func TestCutOff(t *testing.T) {
	w := newTill(t).open().sale()
	whole := joined(w.bodies)
	known := replay.Options{Heads: []events.Head{w.state.Head}}
	for _, test := range []struct {
		name  string
		cut   int
		found []string
	}{
		{"the last line end", 1, []string{"1/7 truncated"}},
		{"in the last line", 100, []string{"1/7 undecodable", "1/7 truncated"}},
		{"the last line", len(w.bodies[6]) + 1, nil}, // see TestTailNeedsAHead
		{"all", len(whole), []string{"0/0 truncated"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "cut.jsonl")
			require.NoError(t, os.WriteFile(path, whole[:len(whole)-test.cut], 0o600))
			if test.found == nil {
				require.Empty(t, verify(t, openBundle(t, path), replay.Options{}).Findings)
				require.Equal(t, []string{"1/7 truncated"}, told(verify(t, openBundle(t, path), known).Findings))
				return
			}
			require.Equal(t, test.found, told(verify(t, openBundle(t, path), replay.Options{}).Findings))
		})
	}
}

func TestLineLongerThanAnyEntry(t *testing.T) {
	sound := newTill(t).open().sale().bodies
	bodies := slices.Clone(sound)
	bodies[4] = bytes.Repeat([]byte("x"), 5<<20)
	r := verify(t, openBundle(t, bundle(t, "long.jsonl", bodies)), replay.Options{})
	require.Equal(t, []string{"1/5 undecodable", "1/6 chain"}, told(r.Findings))
}

func TestWhatIsNoBundle(t *testing.T) {
	_, err := replay.OpenBundle(filepath.Join(t.TempDir(), "none.jsonl"))
	require.ErrorIs(t, err, fs.ErrNotExist)
	_, err = replay.OpenBundle(t.TempDir())
	require.ErrorContains(t, err, "not a file")

	r := verify(t, openBundle(t, bundle(t, "not.jsonl.zst", [][]byte{[]byte("not compressed")})), replay.Options{})
	require.Equal(t, []string{"0/0 unreadable"}, told(r.Findings))
	r = verify(t, openBundle(t, bundle(t, "noise.jsonl", [][]byte{{0xff, 0, '{'}, []byte("null"), []byte(`{}`)})), replay.Options{})
	require.Equal(t, []string{"0/1 undecodable", "0/2 undecodable", "0/3 undecodable"}, told(r.Findings))
}

// TestAnyByteIsGuarded changes one byte anywhere in a bundle.
//
// One change needs a head from elsewhere: a change to the last entry of an epoch that leaves it
// valid. No entry is chained to the last one yet.
func TestAnyByteIsGuarded(t *testing.T) {
	w := week(t)
	whole := joined(w.bodies)
	path := filepath.Join(t.TempDir(), "changed.jsonl")
	known := replay.Options{Heads: []events.Head{w.state.Head}}
	last := len(whole) - len(w.bodies[len(w.bodies)-1]) - 1
	rapid.Check(t, func(rt *rapid.T) {
		changed := slices.Clone(whole)
		at := rapid.IntRange(0, len(whole)-1).Draw(rt, "at")
		changed[at] ^= byte(rapid.IntRange(1, 255).Draw(rt, "bits"))
		require.NoError(rt, os.WriteFile(path, changed, 0o600))
		found := verify(t, openBundle(t, path), known).Findings
		require.NotEmpty(rt, found)
		require.LessOrEqual(rt, len(found), 8, "follow-ups are not findings: %v", found)
		if at < last {
			require.NotEmpty(rt, verify(t, openBundle(t, path), replay.Options{}).Findings)
		}
	})
}

// TestAnyByteOfACompressedBundle changes one byte of a compressed bundle. A change passes only if
// it leaves the content the same.
func TestAnyByteOfACompressedBundle(t *testing.T) {
	w := week(t)
	path := filepath.Join(t.TempDir(), "week.jsonl.zst")
	require.NoError(t, replay.Export(t.Context(), path, lines(w.bodies)))
	whole, err := os.ReadFile(path)
	require.NoError(t, err)
	known := replay.Options{Heads: []events.Head{w.state.Head}}
	rapid.Check(t, func(rt *rapid.T) {
		changed := slices.Clone(whole)
		changed[rapid.IntRange(0, len(whole)-1).Draw(rt, "at")] ^= byte(rapid.IntRange(1, 255).Draw(rt, "bits"))
		require.NoError(rt, os.WriteFile(path, changed, 0o600))
		if found := verify(t, openBundle(t, path), known).Findings; len(found) == 0 {
			z, err := zstd.NewReader(nil)
			require.NoError(rt, err)
			defer z.Close()
			content, err := z.DecodeAll(changed, nil)
			require.NoError(rt, err)
			require.Equal(rt, string(joined(w.bodies)), string(content))
		}
	})
}

// TestAnyLinesAreSurvived shuffles, drops and repeats lines. Nothing panics, and every wrong
// journal has findings.
func TestAnyLinesAreSurvived(t *testing.T) {
	w := week(t)
	known := replay.Options{Heads: []events.Head{w.state.Head}}
	rapid.Check(t, func(rt *rapid.T) {
		picked := rapid.SliceOfN(rapid.IntRange(0, len(w.bodies)-1), 0, 40).Draw(rt, "lines")
		var bodies [][]byte
		for _, n := range picked {
			bodies = append(bodies, w.bodies[n])
		}
		require.NotEmpty(rt, verify(t, lines(bodies), known).Findings)
	})
}

// TestReadingLeavesTheInputUntouched compares the content, time and mode of the file before and
// after.
func TestReadingLeavesTheInputUntouched(t *testing.T) {
	w := week(t)
	path := bundle(t, "week.jsonl", alter(t, w.bodies, 5, "Tea", "Pea"))
	require.NoError(t, os.Chmod(path, 0o400))
	old := time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)
	require.NoError(t, os.Chtimes(path, old, old))
	before := fingerprint(t, path)
	b := openBundle(t, path)
	require.NotEmpty(t, verify(t, b, replay.Options{}).Findings)
	_, err := replay.At(t.Context(), b, 1, 3)
	require.NoError(t, err)
	_, err = replay.Diff(t.Context(), b, lines(w.bodies))
	require.NoError(t, err)
	require.NoError(t, replay.WriteBundle(t.Context(), new(strings.Builder), b))
	require.Equal(t, before, fingerprint(t, path))
	names, err := os.ReadDir(filepath.Dir(path))
	require.NoError(t, err)
	require.Len(t, names, 1)
}

type print struct {
	sum  [32]byte
	time time.Time
	mode fs.FileMode
}

func fingerprint(t testing.TB, path string) print {
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	info, err := os.Stat(path)
	require.NoError(t, err)
	return print{sha256.Sum256(content), info.ModTime().UTC(), info.Mode()}
}
