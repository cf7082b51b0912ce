package embedded

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/posnode/posnode/events"
)

// These tests show the outside view of damage to the files. nats-server never reports damage. If it
// shows as a gap, Read returns an error. If it shows as an earlier end, only a caller that has
// recorded a later end can detect it.

// stoppedJournal makes the data directory of a stopped node, with so many entries of a size.
func stoppedJournal(t *testing.T, entries uint64, size int) string {
	dir := t.TempDir()
	n := startRegister(t, dir)
	for i := range entries {
		require.NoError(t, n.Journal().Append(t.Context(), i, sizedEntry(i+1, size)))
	}
	require.NoError(t, n.Close())
	return dir
}

// flipBit changes one bit in the body of entry n.
func flipBit(t *testing.T, dir string, n uint64) {
	for _, file := range blockFiles(t, dir) {
		data, err := os.ReadFile(file)
		require.NoError(t, err)
		if at := bytes.Index(data, []byte(entryMark(n))); at >= 0 {
			data[at+1] ^= 1
			require.NoError(t, os.WriteFile(file, data, 0o600))
			return
		}
	}
	t.Fatalf("entry %d is in no block file", n)
}

func removeIndex(t *testing.T, dir string) {
	require.NoError(t, os.Remove(filepath.Join(filepath.Dir(blockFiles(t, dir)[0]), "index.db")))
}

// requireGap reads the journal and requires a gap at entry n.
func requireGap(t *testing.T, j *Journal, n uint64) {
	next := uint64(1)
	err := j.Read(t.Context(), 1, func(m events.Message) error { next++; return nil })
	var corrupt *events.CorruptError
	require.ErrorAs(t, err, &corrupt)
	require.Equal(t, "gap", corrupt.Kind)
	require.Equal(t, n, corrupt.Sequence)
	require.Equal(t, n, next, "everything before is yielded")
	_, err = j.Get(t.Context(), n)
	require.ErrorAs(t, err, &corrupt)
}

func requireNext(t *testing.T, j *Journal, seq, want uint64) {
	m, ok, err := j.Next(t.Context(), seq)
	require.NoError(t, err)
	require.Equal(t, want != 0, ok)
	require.Equal(t, want, m.Sequence)
}

func openCopy(t *testing.T, dir string) *Copy {
	c, err := OpenCopy(t.Context(), dir)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	return c
}

func requireLast(t *testing.T, j *Journal, want uint64) {
	last, err := j.Last(t.Context())
	require.NoError(t, err)
	require.Equal(t, want, last)
}

func TestFlippedBitAfterACleanStop(t *testing.T) {
	dir := stoppedJournal(t, 200, 600)
	flipBit(t, dir, 93)
	// JetStream trusts its index, and simply does not deliver the entry.
	for _, j := range []*Journal{openCopy(t, dir).Journal(1), startRegister(t, dir).Journal()} {
		requireLast(t, j, 200)
		requireGap(t, j, 93)
		requireNext(t, j, 93, 94)
	}
}

func TestFlippedBitInTheLastEntry(t *testing.T) {
	t.Parallel()
	dir := stoppedJournal(t, 20, 600)
	flipBit(t, dir, 20)
	j := openCopy(t, dir).Journal(1)
	requireLast(t, j, 20)
	requireGap(t, j, 20)
	requireNext(t, j, 20, 0)
}

// TestScanWithoutItsConsumer shows that a scan ends with an error if its consumer is gone, as with
// its server on a cluster. It does not report the rest of the entries as missing.
func TestScanWithoutItsConsumer(t *testing.T) {
	t.Parallel()
	dir := stoppedJournal(t, 20, 600)
	flipBit(t, dir, 20) // so that the scan must wait for a heartbeat
	j := startRegister(t, dir).Journal()
	err := j.Read(t.Context(), 1, func(m events.Message) error {
		if m.Sequence < 19 {
			return nil
		}
		for name := range j.stream.ConsumerNames(t.Context()).Name() {
			if name != hqConsumer {
				require.NoError(t, j.stream.DeleteConsumer(t.Context(), name))
			}
		}
		return nil
	})
	require.ErrorIs(t, err, errSilent)
	requireGap(t, j, 20)
}

func TestFlippedBitAfterACrash(t *testing.T) {
	// Blocks are 8 MiB: entries 1 to 8, 9 to 16, and the rest.
	dir := stoppedJournal(t, 20, 1_000_000)
	flipBit(t, dir, 3)
	removeIndex(t, dir) // as after a crash: the server scans the store and cuts each block at its first bad record
	j := openCopy(t, dir).Journal(1)
	requireLast(t, j, 20)
	requireGap(t, j, 3)
	requireNext(t, j, 3, 9)
}

func TestFlippedBitInTheLastBlockAfterACrash(t *testing.T) {
	dir := stoppedJournal(t, 200, 600)
	flipBit(t, dir, 93)
	removeIndex(t, dir)
	// Nothing is behind the cut, so it looks like a shorter journal. Only a record of entry 200
	// shows the loss.
	requireEntries(t, openCopy(t, dir).Journal(1), 92)
}

func TestTruncatedBlock(t *testing.T) {
	t.Parallel()
	for name, index := range map[string]bool{"clean stop": true, "crash": false} {
		t.Run(name, func(t *testing.T) {
			dir := stoppedJournal(t, 200, 600)
			if !index {
				removeIndex(t, dir)
			}
			file := blockFiles(t, dir)[0]
			info, err := os.Stat(file)
			require.NoError(t, err)
			require.NoError(t, os.Truncate(file, info.Size()-1000)) // entry 200 and a part of 199
			j := openCopy(t, dir).Journal(1)
			if index {
				// The index remembers 200, so the loss shows.
				requireLast(t, j, 200)
				requireGap(t, j, 199)
				return
			}
			requireEntries(t, j, 198)
		})
	}
}

func TestMissingBlockFile(t *testing.T) {
	// Three blocks: entries 1 to 8, 9 to 16, 17 to 20.
	for name, c := range map[string]struct {
		block     int
		gap, next uint64
	}{
		"first":  {0, 1, 9},
		"middle": {1, 9, 17},
	} {
		t.Run(name, func(t *testing.T) {
			dir := stoppedJournal(t, 20, 1_000_000)
			require.NoError(t, os.Remove(blockFiles(t, dir)[c.block]))
			j := openCopy(t, dir).Journal(1)
			requireLast(t, j, 20)
			requireGap(t, j, c.gap)
			requireNext(t, j, c.gap, c.next)
		})
	}
}

func TestCopyChangesNothing(t *testing.T) {
	dir := stoppedJournal(t, 50, 600)
	removeIndex(t, dir) // so that opening in place would write
	flipBit(t, dir, 40)
	before := fingerprint(t, dir)
	c := openCopy(t, dir)
	require.Equal(t, r01, c.Register())
	require.Equal(t, []int{1}, c.Epochs())
	require.Nil(t, c.Journal(2))
	requireEntries(t, c.Journal(1), 39)
	require.ErrorContains(t, c.Journal(1).Append(t.Context(), 39, entry(40)), "reading only")
	require.NoError(t, c.Close())
	require.Equal(t, before, fingerprint(t, dir))
	require.NoDirExists(t, c.dir)
}

func TestCopyOfSomethingElse(t *testing.T) {
	empty := t.TempDir()
	_, err := OpenCopy(t.Context(), empty)
	require.ErrorIs(t, err, os.ErrNotExist)
	entries, err := os.ReadDir(empty)
	require.NoError(t, err)
	require.Empty(t, entries, "not even a lock file")
}

// fingerprint returns hashes of the content and times of all files under dir.
func fingerprint(t *testing.T, dir string) map[string][32]byte {
	prints := map[string][32]byte{}
	require.NoError(t, filepath.Walk(dir, func(path string, info os.FileInfo, err error) error {
		if err != nil || info.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		prints[path] = sha256.Sum256(append(data, info.ModTime().String()...))
		return errors.Join(err)
	}))
	return prints
}
