package hq

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/posnode/posnode/embedded"
	"github.com/posnode/posnode/events"
)

// Head office never signs two histories of one journal: not after it has lost its
// database and sees another history first, and not where another instance was first.
func TestMarksNeverContradict(t *testing.T) {
	t.Parallel()
	o, w, evil := newOffice(t), newWriter(t), newWriter(t)
	name := embedded.JournalName{Register: w.register, Epoch: 1}
	mark := func() events.Head {
		note, err := o.mark(t.Context(), name, false)
		require.NoError(t, err)
		head, err := openMark(note, o.Key(), name)
		require.NoError(t, err)
		return head
	}
	all, other := w.sales(4), evil.sales(6)
	note, err := o.mark(t.Context(), name, false)
	require.NoError(t, err)
	require.Empty(t, note, "nothing is verified")
	o.receive(all[:12]...)
	first := mark()
	require.EqualValues(t, 12, first.Sequence)
	o.receive(all[13:]...)
	require.Equal(t, first, mark(), "not over a gap")

	require.NoError(t, o.Close())
	require.NoError(t, os.Remove(filepath.Join(o.dir, "hq.db")))
	o.reopen()
	require.Equal(t, first, mark(), "what was signed is still signed")
	o.receive(other...)
	require.Equal(t, first, mark(), "another history is not signed")
	found, err := o.Findings(t.Context())
	require.NoError(t, err)
	require.Len(t, found, 1)
	require.Equal(t, KindFork, found[0].Kind)

	// Another instance, with a database that has the true history.
	require.NoError(t, o.Close())
	require.NoError(t, os.Remove(filepath.Join(o.dir, "hq.db")))
	o.reopen()
	o.receive(all...)
	require.Equal(t, w.head, mark())
	o.mu.Lock()
	o.marks[name] = signedMark{} // as if this instance had not seen that
	o.mu.Unlock()
	require.Equal(t, w.head, mark(), "who was first is found out")
}

// An instance with another signing key is none of this head office's.
func TestAnotherWitness(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	require.NoError(t, o.Close())
	path := filepath.Join(o.dir, "witness.json")
	raw, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NoError(t, os.Remove(path))
	_, err = Open(t.Context(), o.cfg)
	require.ErrorContains(t, err, "another key")
	require.NoError(t, os.WriteFile(path, raw, 0o600))
	o.reopen()
}

// Where the keys or the streams were lost, and the database was not, head office says so; without the database it begins anew.
func TestDatabaseOfOtherStreams(t *testing.T) {
	o := newOffice(t)
	require.NoError(t, o.Close())
	require.NoError(t, os.RemoveAll(filepath.Join(o.dir, "jetstream")))
	_, err := Open(t.Context(), o.cfg)
	require.ErrorContains(t, err, "is of other streams")
	for _, suffix := range []string{"", "-wal", "-shm"} {
		require.NoError(t, os.RemoveAll(filepath.Join(o.dir, "hq.db"+suffix)))
	}
	o.reopen()
}
