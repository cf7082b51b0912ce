package hq

import (
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/posnode/posnode/embedded"
	"github.com/posnode/posnode/events"
)

// putBack is a day of a till, and what a copy of it sold on, which was made with so many entries of the day. The copy sold
// more than the till.
func putBack(t *testing.T, at, sales int) (w, copied *writer, right, wrong []embedded.Received) {
	w = newWriter(t)
	right = append([]embedded.Received{w.activation()}, w.day("2026-03-02", 1, 20)...)
	other := *w
	other.head = events.Head{Epoch: 1, Sequence: uint64(at), Hash: events.Hash(right[at-1].Message.Body)}
	other.at, other.shard = other.at.Add(time.Hour), 1000
	shift := events.ShiftID("s001-r01-1-s1")
	for range sales {
		f := &events.SaleConcluded{Sales: 500}
		f.Terms.Currency = "GBP"
		wrong = append(wrong, other.write(f, shift))
	}
	return w, &other, right, wrong
}

// A wrong branch that is longer than the right one is one finding, in whatever order it comes. A person accepts it as a whole, with
// who and why: then the day closes, and what it was closed without is named. More of the branch opens it again.
func TestWrongBranchIsOneFinding(t *testing.T) {
	w, copied, right, wrong := putBack(t, 10, 2000)
	end := copied.head.Sequence
	want := fmt.Sprintf("fork 1/11..%d", end)
	for range 20 {
		seed := rand.Uint64()
		random := rand.New(rand.NewPCG(seed, 0))
		some := slices.Concat(right, wrong[:60])
		random.Shuffle(len(some), func(i, j int) { some[i], some[j] = some[j], some[i] })
		b := newBooks(t)
		for len(some) > 0 {
			n := 1 + random.IntN(len(some))
			b.receive(some[:n]...)
			some = some[n:]
		}
		// Both branches follow from the entry before: the first one that is verified stays. What is stored is read again daily.
		b.receive(right...)
		b.receive(wrong[:60]...)
		open := b.open()
		require.Len(t, open, 1, "seed %d: %v", seed, open)
	}

	o := newOffice(t)
	o.receive(right...)
	o.receive(wrong[:1990]...)
	o.receive(copied.begins(copied.head.Sequence, events.Numbers{})) // it was activated anew
	o.announces(copied, o.at.Add(48*time.Hour))
	one := func(id int64) Finding {
		t.Helper()
		open, err := o.db.findings(t.Context(), `WHERE resolved = '' AND kind <> 'gap'`)
		require.NoError(t, err)
		require.Len(t, open, 1)
		require.Equal(t, id, open[0].ID)
		require.Equal(t, w.headAt10(right), open[0].Leaves)
		return open[0]
	}
	f := one(1)
	require.NoError(t, o.Accept(t.Context(), f.ID, "ann", "a copy was sold on"))
	_, obstacles, err := o.Certify(t.Context(), w.register, "2026-03-02")
	require.NoError(t, err)
	require.Equal(t, "entries 1/2001..2010 are missing", obstacles[0].What, "the register says that there is more of it")
	o.receive(wrong[1990:]...)
	f = one(1)
	require.Equal(t, want, fmt.Sprintf("fork 1/%d..%d", f.Sequence, f.Through), "it has grown, and is open again")
	_, obstacles, err = o.Certify(t.Context(), w.register, "2026-03-02")
	require.NoError(t, err)
	require.Equal(t, fmt.Sprintf("finding 1: fork at 1/11..%d", end), obstacles[0].What)
	require.NoError(t, o.Accept(t.Context(), f.ID, "ann", "a copy was sold on"))

	certificate, obstacles, err := o.Certify(t.Context(), w.register, "2026-03-02")
	require.NoError(t, err)
	require.Empty(t, obstacles)
	require.Equal(t, 20, certificate.Sums[0].Transactions)
	without := []events.Excluded{{
		Range: events.Range{Epoch: 1, From: 11, To: end}, Kind: KindFork, Got: events.Hash(wrong[0].Message.Body).String(), Why: "a copy was sold on", Who: "ann",
	}}
	require.Equal(t, without, certificate.Without)
	opened, err := OpenCertificate(certificate.Note, o.Key())
	require.NoError(t, err)
	require.Equal(t, without[0].Range, opened.Without[0].Range)
	require.Equal(t, without[0].Got, opened.Without[0].Got)
	closed, err := o.ClosePeriod(t.Context(), "2026-03-02", "2026-03-02", nil)
	require.NoError(t, err)
	require.Equal(t, without, closed.Registers[0].Without)

	// hq.db is made anew: what was accepted stays accepted.
	require.NoError(t, o.Close())
	for _, suffix := range []string{"", "-wal", "-shm"} {
		require.NoError(t, os.RemoveAll(filepath.Join(o.dir, "hq.db"+suffix)))
	}
	o.reopen()
	o.receive(right...)
	o.receive(wrong...)
	open, err := o.db.findings(t.Context(), `WHERE resolved = ''`)
	require.NoError(t, err)
	require.Empty(t, open)
}

// headAt10 is the hash of the entry from which the branch leaves.
func (*writer) headAt10(right []embedded.Received) string {
	return events.Hash(right[9].Message.Body).String()
}

// What the version before had accepted, entry by entry, stays accepted.
func TestBranchAcceptedEntryByEntry(t *testing.T) {
	w, _, right, wrong := putBack(t, 10, 3)
	o := newOffice(t)
	for _, r := range wrong {
		fact := &events.FindingAccepted{Of: w.register, Epoch: 1, Sequence: r.Message.Sequence, Kind: KindFork, Got: events.Hash(r.Message.Body).String(), Why: "a copy"}
		_, err := o.record(t.Context(), func(context.Context, *sql.Tx, events.Head) (events.Fact, error) { return fact, nil })
		require.NoError(t, err)
	}
	o.receive(right...)
	o.receive(wrong...)
	all, err := o.db.findings(t.Context(), ``)
	require.NoError(t, err)
	require.Len(t, all, 1)
	require.Equal(t, "accepted", all[0].How)
	require.EqualValues(t, 13, all[0].Through)
}

// An epoch whose key head office does not know waits, and so does all that it says, until an operator has compared the key's
// fingerprint with what the register shows. Then it counts, and the epoch before it, whose end it names. Both outlive hq.db.
func TestKeyIsConfirmed(t *testing.T) {
	o, w := newOffice(t), newWriter(t)
	tx, err := o.db.db.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	require.NoError(t, noteKey(t.Context(), tx, w.register.String(), 1, w.key)) // head office has given the first epoch
	require.NoError(t, tx.Commit())
	first := append([]embedded.Received{w.activation()}, w.day("2026-03-02", 1, 2)...)
	second := append([]embedded.Received{w.begins(w.head.Sequence, events.Numbers{})}, w.day("2026-03-02", 2, 3)...)
	third := append([]embedded.Received{w.begins(w.head.Sequence, events.Numbers{})}, w.day("2026-03-03", 3, 4)...)
	o.receive(first...)
	o.receive(second...)
	o.receive(third...)
	o.announces(w, o.at.Add(48*time.Hour))
	_, obstacles, err := o.Certify(t.Context(), w.register, "2026-03-02")
	require.NoError(t, err)
	require.Equal(t, "finding 1: key at 2/1..1", obstacles[1].What)
	open, err := o.db.findings(t.Context(), `WHERE resolved = '' ORDER BY epoch`)
	require.NoError(t, err)
	require.ErrorContains(t, o.Accept(t.Context(), open[0].ID, "ann", "it will be right"), "finding_not_acceptable")

	_, err = o.ConfirmKey(t.Context(), w.register, "0000-0000-0000-0000-0000", "ann")
	require.ErrorContains(t, err, "epoch 3 has the key "+events.KeyFingerprint(w.key))
	_, err = o.ConfirmKey(t.Context(), till2, events.KeyFingerprint(w.key), "ann")
	require.ErrorContains(t, err, "key_unknown")
	for {
		epoch, err := o.ConfirmKey(t.Context(), w.register, events.KeyFingerprint(w.key), "ann")
		if epoch == 0 {
			require.ErrorContains(t, err, "No epoch of s001-r01 waits")
			break
		}
		require.NoError(t, err)
	}
	certificate, obstacles, err := o.Certify(t.Context(), w.register, "2026-03-02")
	require.NoError(t, err)
	require.Empty(t, obstacles)
	require.Equal(t, 5, certificate.Sums[0].Transactions)
	require.Nil(t, certificate.Without)
}

// The key of an earlier epoch needs no confirmation of its own: the later one names its end.
func TestKeyIsLearnedFromTheChain(t *testing.T) {
	b, w := newBooks(t), newWriter(t)
	key := func(epoch int) {
		tx, err := b.db.BeginTx(t.Context(), nil)
		require.NoError(t, err)
		require.NoError(t, noteKey(t.Context(), tx, w.register.String(), epoch, w.key))
		require.NoError(t, tx.Commit())
	}
	key(1)
	b.receive(w.sales(1)...)
	second := append([]embedded.Received{w.begins(w.head.Sequence, events.Numbers{})}, w.day("2026-03-02", 2, 3)...)
	third := w.begins(w.head.Sequence, events.Numbers{})
	b.receive(second...)
	require.Equal(t, []string{"key 2/1..1"}, b.open())
	key(3)
	b.receive(third)
	require.Empty(t, b.open())
	name := embedded.JournalName{Register: w.register, Epoch: 2}
	head, err := b.head(t.Context(), name)
	require.NoError(t, err)
	require.EqualValues(t, len(second), head.Sequence)
}
