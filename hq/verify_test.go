package hq

import (
	"context"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/posnode/posnode/embedded"
	"github.com/posnode/posnode/events"
	"github.com/posnode/posnode/internal/checkpoint"
)

// books are a database with what was received.
type books struct {
	*database
	t testing.TB
}

func newBooks(t testing.TB) books {
	db, err := openDatabase(filepath.Join(t.TempDir(), "hq.db"))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.close()) })
	return books{db, t}
}

func (b books) receive(batch ...embedded.Received) {
	b.t.Helper()
	require.NoError(b.t, b.apply(b.t.Context(), "JOURNALS_0", batch))
}

// open are the kinds and places of the open findings.
func (b books) open() (out []string) {
	found, err := b.database.findings(b.t.Context(), `WHERE resolved = '' ORDER BY sequence, kind`)
	require.NoError(b.t, err)
	for _, f := range found {
		out = append(out, f.Kind+" "+events.Range{Epoch: f.Epoch, From: f.Sequence, To: f.Through}.String())
	}
	return out
}

func (b books) headOf(w *writer) events.Head {
	head, err := b.head(b.t.Context(), embedded.JournalName{Register: w.register, Epoch: w.head.Epoch})
	require.NoError(b.t, err)
	return head
}

func (b books) days() []Day {
	days, err := (&HQ{db: b.database}).Days(b.t.Context())
	require.NoError(b.t, err)
	return days
}

func (b books) journals() []Journal {
	all, err := (&HQ{db: b.database}).Journals(b.t.Context())
	require.NoError(b.t, err)
	return all
}

// However entries come, late, twice or in any order, and in whatever batches: what is
// verified and summed up in the end is the same.
func TestOrderDoesNotMatter(t *testing.T) {
	w := newWriter(t)
	all := w.sales(20)
	want := newBooks(t)
	want.receive(all...)
	require.Equal(t, w.head, want.headOf(w))
	require.Empty(t, want.open())
	require.Len(t, want.days(), 1)
	require.Equal(t, 20, want.days()[0].Concluded)
	require.EqualValues(t, 20*1020, want.days()[0].Sales)

	for range 30 {
		seed := rand.Uint64()
		random := rand.New(rand.NewPCG(seed, 0))
		shuffled := append(slices.Clone(all), all[:random.IntN(len(all))]...)
		random.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		got := newBooks(t)
		for len(shuffled) > 0 {
			n := 1 + random.IntN(len(shuffled))
			got.receive(shuffled[:n]...)
			shuffled = shuffled[n:]
		}
		require.Equal(t, w.head, got.headOf(w), "seed %d", seed)
		require.Empty(t, got.open(), "seed %d", seed)
		require.Equal(t, want.days(), got.days(), "seed %d", seed)
	}
}

// A gap is known while it is there, and closed when it is filled; what is behind it counts at once, and once.
func TestGapFilledLater(t *testing.T) {
	w := newWriter(t)
	all := w.sales(4) // entries 1..22
	b := newBooks(t)
	b.receive(all[:5]...)
	b.receive(all[10:]...)
	require.Equal(t, []string{"gap 1/6..10"}, b.open())
	require.EqualValues(t, 5, b.headOf(w).Sequence)
	require.Equal(t, 3, b.days()[0].Concluded, "what is behind the gap counts")
	b.receive(all[7])
	require.Equal(t, []string{"gap 1/6..7", "gap 1/9..10"}, b.open())
	b.receive(all[5:7]...)
	require.EqualValues(t, 8, b.headOf(w).Sequence)
	b.receive(all[4:12]...)
	require.Empty(t, b.open())
	require.Equal(t, w.head, b.headOf(w))
	require.Equal(t, 4, b.days()[0].Concluded)
	require.EqualValues(t, 4*1020, b.days()[0].Sales)
	found, err := b.database.findings(t.Context(), `ORDER BY id`)
	require.NoError(t, err)
	for _, f := range found {
		require.Equal(t, "filled", f.How)
		require.NotEmpty(t, f.Resolved)
	}
	require.Equal(t, 6, b.journals()[0].Repeated)
}

// Another entry in a place that is taken is a fork, also far below the head: it does not count, and is no repetition only.
func TestForkBelowTheHead(t *testing.T) {
	w := newWriter(t)
	all := w.sales(4)
	b := newBooks(t)
	b.receive(all...)
	evil := newWriter(t)
	other := evil.sales(4)
	b.receive(other[6])
	require.Equal(t, []string{"fork 1/7..7"}, b.open())
	b.receive(other[6])
	require.Len(t, b.open(), 1, "said once")
	require.Equal(t, w.head, b.headOf(w))
	require.Equal(t, 4, b.days()[0].Concluded)
	found, err := b.database.findings(t.Context(), `ORDER BY id`)
	require.NoError(t, err)
	require.Equal(t, events.Hash(all[6].Message.Body).String(), found[0].Want)
	require.Equal(t, events.Hash(other[6].Message.Body).String(), found[0].Got)
	require.EqualValues(t, other[6].ShardSequence, found[0].At)
}

// What does not follow from what is verified is kept, and does not count.
func TestWrongBranchDoesNotCount(t *testing.T) {
	w, evil := newWriter(t), newWriter(t)
	all, other := w.sales(4), evil.sales(9)
	b := newBooks(t)
	b.receive(all...)
	b.receive(other[22:]...) // as they come where a till was put back and sold on
	require.Equal(t, []string{"chain 1/23..23"}, b.open()[:1])
	require.Equal(t, w.head, b.headOf(w))
	require.Equal(t, 4, b.days()[0].Concluded)
	b = newBooks(t)
	b.receive(other[22:]...)
	b.receive(all...)
	require.Equal(t, w.head, b.headOf(w))
	require.Equal(t, 4, b.days()[0].Concluded)
}

// Each bad entry is named for what it is, and what is behind it goes on.
func TestBadEntries(t *testing.T) {
	for kind, spoil := range map[string]func(t *testing.T, r *embedded.Received){
		KindUndecodable: func(_ *testing.T, r *embedded.Received) { r.Message.Body = []byte("no entry") },
		KindOversized:   func(_ *testing.T, r *embedded.Received) { r.Message.Body = make([]byte, events.MaxBody+1) },
		KindForged: func(t *testing.T, r *embedded.Received) { // an entry for another register
			w := newWriter(t)
			w.register.ID = "r02"
			r.Message.Body = w.sales(2)[7].Message.Body
		},
		KindOrigin: func(_ *testing.T, r *embedded.Received) { r.Journal = embedded.JournalName{} },
	} {
		t.Run(kind, func(t *testing.T) {
			w := newWriter(t)
			all := w.sales(4)
			bad := all[7]
			spoil(t, &bad)
			b := newBooks(t)
			b.receive(slices.Concat(all[:7], []embedded.Received{bad}, all[8:])...)
			require.Len(t, b.open(), 2)
			require.Contains(t, b.open(), "gap 1/8..8")
			require.EqualValues(t, 7, b.headOf(w).Sequence)
			b.receive(all[7])
			require.Equal(t, w.head, b.headOf(w), "the true one was fetched again")
			if kind != KindOrigin {
				require.Empty(t, b.open())
			}
		})
	}
	t.Run("a replayed old one", func(t *testing.T) {
		w := newWriter(t)
		all := w.sales(4)
		b := newBooks(t)
		b.receive(all[:10]...)
		replayed := all[3]
		replayed.Message.Sequence = 11 // as a new one
		b.receive(append([]embedded.Received{all[3], replayed}, all[10:]...)...)
		require.Equal(t, []string{}, append([]string{}, b.open()...), "the true 11th came behind it")
		require.Equal(t, w.head, b.headOf(w))
		found, err := b.database.findings(t.Context(), `WHERE kind = 'forged'`)
		require.NoError(t, err)
		require.Len(t, found, 1)
	})
}

// Entries that were chained on, but not signed by the register, are held and not vouched for.
func TestSignatures(t *testing.T) {
	w := newWriter(t)
	all := w.sales(2) // 1..12, checkpoints in 7 and 12
	other, _, err := checkpoint.GenerateKey("s001-r01")
	require.NoError(t, err)
	w.signer, err = checkpoint.NewSigner(other)
	require.NoError(t, err)
	forged := w.write(&events.SaleConcluded{}, "")
	more := w.write(&events.ModeChanged{From: events.Online, To: events.Offline, Cause: "timeout"}, "")
	for name, order := range map[string][]embedded.Received{
		"in order":        slices.Concat(all, []embedded.Received{forged, more}),
		"before the key":  slices.Concat(all[1:], []embedded.Received{forged, more, all[0]}),
		"the key at last": {forged, more, all[0]},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBooks(t)
			for _, r := range order {
				b.receive(r)
			}
			require.Contains(t, b.open(), "signature 1/13..13")
			if len(order) > 3 {
				require.Equal(t, []string{"signature 1/13..13"}, b.open())
				require.EqualValues(t, 12, b.headOf(w).Sequence)
				require.Equal(t, events.Hash(all[11].Message.Body), b.headOf(w).Hash)
			}
		})
	}
}

// The key of an epoch must be the one that head office has recorded, where it has recorded any.
func TestAnotherKey(t *testing.T) {
	w := newWriter(t)
	b := newBooks(t)
	b.receive(w.activation())
	_, w.key, _ = checkpoint.GenerateKey("s001-r01")
	b.receive(w.activation())
	require.Empty(t, b.open(), "believed when it came first")
	tx, err := b.db.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	require.NoError(t, noteKey(t.Context(), tx, "s001-r01", 3, w.key))
	require.NoError(t, tx.Commit())
	b.receive(w.activation())
	require.Empty(t, b.open(), "the one that was recorded")
	require.EqualValues(t, 1, b.headOf(w).Sequence)
	b.receive(w.activation())
	require.Equal(t, []string{"signature 4/1..1"}, b.open())
	require.Zero(t, b.headOf(w).Sequence)
}

// Sums wait for no one: a sale counts before its shift's opening has come, and stands under its date afterwards.
func TestShiftOpeningComesLate(t *testing.T) {
	w := newWriter(t)
	all := w.sales(3)
	b := newBooks(t)
	b.receive(all[2:]...)
	require.Equal(t, "", b.days()[0].Date)
	require.Equal(t, 3, b.days()[0].Concluded)
	b.receive(all[:2]...)
	require.Len(t, b.days(), 1)
	require.Equal(t, "2026-03-02", b.days()[0].Date)
	require.Equal(t, 3, b.days()[0].Concluded)
}

// What two instances of a till announce in turns, or one of a shorter journal, gives them away;
// a restart does not.
func TestSuspicion(t *testing.T) {
	at := time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC)
	say := func(instance string, sequence uint64, second int) events.Announcement {
		return events.Announcement{Head: events.Head{Epoch: 1, Sequence: sequence}, Instance: instance, Time: at.Add(time.Duration(second) * time.Second)}
	}
	for name, c := range map[string]struct {
		said []events.Announcement
		want string
	}{
		"restart":                   {[]events.Announcement{say("a", 5, 0), say("a", 6, 3), say("b", 6, 9), say("b", 9, 12)}, ""},
		"an old one comes late":     {[]events.Announcement{say("a", 5, 0), say("b", 6, 9), say("a", 5, 3), say("b", 9, 12)}, ""},
		"put back":                  {[]events.Announcement{say("a", 5, 0), say("b", 3, 9)}, events.FrozenRolledBack},
		"cloned":                    {[]events.Announcement{say("a", 5, 0), say("b", 5, 1), say("a", 5, 3)}, events.FrozenCloned},
		"cloned, with a slow clock": {[]events.Announcement{say("a", 5, -9000), say("b", 5, 1), say("a", 5, -8997), say("b", 5, 4), say("a", 5, -8994), say("b", 5, 7)}, events.FrozenCloned},
	} {
		t.Run(name, func(t *testing.T) {
			c0 := &contact{spoke: map[string]time.Time{}}
			for _, a := range c.said {
				c0.hear(a, at)
			}
			got := ""
			if c0.suspicion != nil {
				got = c0.suspicion.Kind
			}
			require.Equal(t, c.want, got)
		})
	}
}

func TestDatabaseOfAnotherVersionIsMadeAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "hq.db")
	db, _, err := openFile(path)
	require.NoError(t, err)
	_, err = db.db.Exec(`CREATE TABLE journals (register TEXT)`)
	require.NoError(t, err)
	require.NoError(t, db.close())
	db, err = openDatabase(path)
	require.NoError(t, err)
	_, err = db.head(context.Background(), embedded.JournalName{})
	require.NoError(t, err)
	require.NoError(t, db.close())
}
