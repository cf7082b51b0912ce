package hq

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/posnode/posnode/embedded"
	"github.com/posnode/posnode/events"
	"github.com/posnode/posnode/internal/checkpoint"
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

// TestMarkIsOfOneJournal: a mark of another register or epoch, or with another key, is none of a journal.
func TestMarkIsOfOneJournal(t *testing.T) {
	private, public, err := checkpoint.GenerateKey("hq")
	require.NoError(t, err)
	_, another, err := checkpoint.GenerateKey("hq")
	require.NoError(t, err)
	signer, err := checkpoint.NewSigner(private)
	require.NoError(t, err)
	name := embedded.JournalName{Register: events.Register{Store: "s001", ID: "r01"}, Epoch: 2}
	note, err := signer.Sign(checkpoint.Checkpoint{Origin: "s001-r01/2", Size: 7, Hash: [32]byte{1}})
	require.NoError(t, err)
	head, err := openMark(note, public, name)
	require.NoError(t, err)
	require.Equal(t, events.Head{Epoch: 2, Sequence: 7, Hash: events.Digest{1}}, head)
	_, err = openMark(note, another, name)
	require.Error(t, err)
	for _, other := range []embedded.JournalName{{Register: name.Register, Epoch: 1}, {Register: name.Register, Epoch: 22}, {Register: events.Register{Store: "s001", ID: "r02"}, Epoch: 2}} {
		_, err = openMark(note, public, other)
		require.ErrorContains(t, err, "it is of s001-r01/2")
	}
}
