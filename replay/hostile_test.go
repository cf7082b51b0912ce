package replay_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"

	"github.com/posnode/posnode/events"
	"github.com/posnode/posnode/replay"
)

// compressed writes a bundle of size bytes that repeat a text.
func compressed(t testing.TB, text string, size int, opts ...zstd.EOption) string {
	path := filepath.Join(t.TempDir(), "bomb.jsonl.zst")
	f, err := os.Create(path)
	require.NoError(t, err)
	z, err := zstd.NewWriter(f, opts...)
	require.NoError(t, err)
	block := bytes.Repeat([]byte(text), 1<<20/len(text)+1)
	for size > 0 {
		n, err := z.Write(block[:min(size, len(block))])
		require.NoError(t, err)
		size -= n
	}
	require.NoError(t, z.Close())
	require.NoError(t, f.Close())
	return path
}

// TestBundleThatUnpacksWithoutEnd reads a small file that unpacks to very much data.
func TestBundleThatUnpacksWithoutEnd(t *testing.T) {
	for name, text := range map[string]string{"empty lines": "\n", "one line": "x", "lines": "{}\n"} {
		t.Run(name, func(t *testing.T) {
			path := compressed(t, text, 64<<20)
			info, err := os.Stat(path)
			require.NoError(t, err)
			require.Less(t, info.Size(), int64(64<<10), "the file is small")

			found := verify(t, openBundle(t, path), replay.Options{}).Findings
			require.LessOrEqual(t, len(found), 102)
			at := slices.IndexFunc(found, func(f replay.Finding) bool { return f.Kind == replay.KindTooLarge })
			require.GreaterOrEqual(t, at, 0, "%v", found)
			if name == "one line" {
				require.Contains(t, found[at].Got, "1000 times as large as the file")
			} else {
				require.Contains(t, found[at].Got, "100001 that are none")
			}
		})
	}
}

func TestBundleThatNeedsMuchMemoryToUnpack(t *testing.T) {
	path := compressed(t, "{}\n", 300<<20, zstd.WithWindowSize(256<<20), zstd.WithEncoderLevel(zstd.SpeedFastest))
	found := verify(t, openBundle(t, path), replay.Options{}).Findings
	require.Equal(t, []string{"0/0 too_large"}, told(found))
	require.Contains(t, found[0].Got, "window size")
}

// TestFindingsBeyondABoundAreCounted checks the report of a journal with very many faults.
func TestFindingsBeyondABoundAreCounted(t *testing.T) {
	sound := newTill(t).open().sale().bodies
	broken := slices.Clone(sound)
	for range 250 {
		broken = append(broken, []byte("{}"))
	}
	found := verify(t, lines(broken), replay.Options{}).Findings
	require.Len(t, found, 101)
	require.Equal(t, "1/8 undecodable", told(found)[0])
	require.Empty(t, found[99].Hint)
	require.Equal(t, "1/108 undecodable", told(found)[100])
	require.Equal(t, "150 further findings of this kind are counted here and not listed; the last is at entry 257 of epoch 1", found[100].Hint)

	// A finding of another kind is listed on its own, also behind them.
	found = verify(t, lines(broken), replay.Options{Heads: []events.Head{{Epoch: 1, Sequence: 300}}}).Findings
	require.Len(t, found, 102)
	require.Equal(t, "1/258 truncated", told(found)[101])

	// The same, while the epoch of the bodies is not known yet.
	found = verify(t, lines(append(slices.Repeat([][]byte{[]byte("{}")}, 250), sound...)), replay.Options{}).Findings
	require.Len(t, found, 101)
	require.Equal(t, "1/101 undecodable", told(found)[100])
	require.Contains(t, found[100].Hint, "150 further findings of this kind")
	require.Contains(t, found[100].Hint, "of epoch 1")
}

// TestFindingsOfManyEpochs verifies a bundle in which each entry names an epoch of its own.
func TestFindingsOfManyEpochs(t *testing.T) {
	body := newTill(t).open().bodies[1]
	at := func(epoch int) []byte {
		return bytes.Replace(body, []byte(`"epoch":1`), fmt.Appendf(nil, `"epoch":%d`, epoch), 1)
	}
	var bodies [][]byte
	for epoch := 1; epoch <= 10_001; epoch++ {
		bodies = append(bodies, at(epoch))
	}
	found := verify(t, lines(bodies[:3000]), replay.Options{}).Findings
	require.Len(t, found, 2001)
	more := found[2000]
	require.Equal(t, replay.KindMore, more.Kind)
	require.Regexp(t, `^\d+ further findings of any kind are counted here and not listed; the last is at entry \d+ of epoch 3000$`, more.Hint)

	r := verify(t, lines(bodies), replay.Options{})
	require.Equal(t, 10_001, r.Entries)
	require.Len(t, r.Heads, 10_000)
}

// TestManyGaps verifies a bundle with every second entry moved to the end.
func TestManyGaps(t *testing.T) {
	w := newTill(t).open()
	for range 800 {
		w.sale()
	}
	var odd, even [][]byte
	for i, body := range w.bodies {
		if i%2 == 0 {
			odd = append(odd, body)
		} else {
			even = append(even, body)
		}
	}
	found := verify(t, lines(slices.Concat(odd, even)), replay.Options{}).Findings
	count := map[string]int{}
	for _, f := range found {
		count[f.Kind]++
	}
	require.Equal(t, 101, count[replay.KindGap]+count[replay.KindOrder], "%v", count)
	require.Equal(t, 101, count[replay.KindDuplicate], "an entry of a gap that is not kept is one too many")
}

// TestManyForgedSignatures verifies a journal with more runs of wrong signatures than a report
// lists.
func TestManyForgedSignatures(t *testing.T) {
	w := newTill(t).open()
	n := 0
	w.forge = func(f events.Fact) {
		if f, ok := f.(events.Checkpointed); ok {
			if n++; n%2 == 0 {
				f.Sign().Checkpoint = "no note"
			}
		}
	}
	for range 250 {
		w.sale()
	}
	found := verify(t, lines(w.bodies), replay.Options{}).Findings
	require.Len(t, found, 101)
	require.Equal(t, "1/10 checkpoint", told(found)[0])
	require.Contains(t, found[100].Hint, "25 further findings of this kind")
}

// TestReadingEndsWithItsContext cancels the context in the middle of a line without an end.
func TestReadingEndsWithItsContext(t *testing.T) {
	path := filepath.Join(t.TempDir(), "endless.jsonl")
	require.NoError(t, os.WriteFile(path, nil, 0o600))
	require.NoError(t, os.Truncate(path, 1<<40))
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(10*time.Millisecond, cancel)
	_, err := replay.Verify(ctx, openBundle(t, path), replay.Options{})
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorIs(t, replay.WriteBundle(ctx, io.Discard, openBundle(t, path)), context.Canceled)
}

func TestNamedPipeIsNoBundle(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pipe.jsonl")
	require.NoError(t, syscall.Mkfifo(path, 0o600))
	_, err := replay.OpenBundle(path)
	require.ErrorContains(t, err, "not a file")
}
