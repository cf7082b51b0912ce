package register

import (
	"bytes"
	"encoding/json"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/posnode/posnode/events"
	"github.com/posnode/posnode/ledger"
)

// TestAlteredSnapshotIsNotTheState flips one digit of a snapshot. The register reads its journal instead.
func TestAlteredSnapshotIsNotTheState(t *testing.T) {
	dir := t.TempDir()
	r := openTill(t, dir, nil)
	ask(t, r, 3, 100, `{"product":"MUG"}`)
	ask(t, r, 4, 206, ``)
	want, head := r.View(), r.View().Head
	require.NoError(t, r.Close())
	sound, err := os.ReadFile(snapshotPath(dir))
	require.NoError(t, err)
	state, err := readSnapshot(dir)
	require.NoError(t, err)
	require.Equal(t, head, state.Head)

	for _, digit := range []string{`"receipts":{"sale":1`, `"gross":795`, `"cash":795`, `"sales":795`} {
		if !bytes.Contains(sound, []byte(digit)) {
			continue
		}
		altered := bytes.Replace(sound, []byte(digit), append([]byte(digit), '0'), 1)
		require.NoError(t, os.WriteFile(snapshotPath(dir), altered, 0o600))
		_, err = ReadSnapshot(dir)
		require.ErrorIs(t, err, ErrSnapshotDamaged)
		r = openTill(t, dir, nil)
		require.Nil(t, r.Damage())
		require.Equal(t, want.Head, r.View().Head)
		require.NoError(t, r.Close())
		again, err := os.ReadFile(snapshotPath(dir))
		require.NoError(t, err)
		require.Equal(t, string(sound), string(again), "the state is that of the journal")
	}
	require.True(t, bytes.Contains(sound, []byte("795")))
}

// TestSnapshotIsComparedWithTheJournal has a snapshot with a true digest of a state that never was.
func TestSnapshotIsComparedWithTheJournal(t *testing.T) {
	dir := t.TempDir()
	r := openTill(t, dir, nil)
	ask(t, r, 3, 100, `{"product":"MUG"}`)
	ask(t, r, 4, 206, ``)
	var err error
	require.NoError(t, r.Check(t.Context()))
	require.NoError(t, r.Look(t.Context(), func(*ledger.State) { err = r.writeSnapshot() }))
	require.NoError(t, err)
	require.NoError(t, r.Check(t.Context()))
	state, err := readSnapshot(dir)
	require.NoError(t, err)
	store := func(state *ledger.State) {
		raw, err := json.Marshal(state)
		require.NoError(t, err)
		require.NoError(t, writeSnapshot(dir, raw))
	}
	state.Z++
	store(state)
	corrupt := new(events.CorruptError)
	require.ErrorAs(t, r.Check(t.Context()), &corrupt)
	require.Equal(t, "snapshot", corrupt.Kind)
	require.Equal(t, state.Head.Sequence, corrupt.Sequence)

	state.Z--
	state.Head.Hash[0]++
	store(state)
	require.ErrorAs(t, r.Check(t.Context()), &corrupt)
	require.Equal(t, "altered", corrupt.Kind)
	require.NoError(t, os.Remove(snapshotPath(dir)))
	require.NoError(t, r.Close())
}
