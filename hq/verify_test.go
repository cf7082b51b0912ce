package hq

import (
	"context"
	"fmt"
	"log/slog"
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
	t      testing.TB
	stored map[uint64][]byte // by position
}

func newBooks(t testing.TB) books {
	db, err := openDatabase(filepath.Join(t.TempDir(), "hq.db"), slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.close()) })
	return books{db, t, map[uint64][]byte{}}
}

func (b books) receive(batch ...embedded.Received) {
	b.t.Helper()
	for _, r := range batch {
		b.stored[r.ShardSequence] = r.Message.Body
	}
	require.NoError(b.t, b.apply(b.t.Context(), "JOURNALS_0", batch))
	require.NoError(b.t, b.sayVerified(b.t.Context(), func(_ context.Context, _ string, at uint64) ([]byte, error) { return b.stored[at], nil }))
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

// said is what the entries held have said, as far as hq.db keeps it by their places.
func (b books) said() (all []string) {
	b.t.Helper()
	for _, table := range []string{"entries", "runs", "waiting", "receipts", "moved", "returned", "moves", "edits", "unconfirmed", "unsaid", "grand"} {
		columns := map[string]string{"entries": "sequence, hex(hash), ''", "runs": "first, last, hex(hash)", "waiting": "sequence, concluded, sales", "receipts": "sequence, receipt, shard_sequence",
			"moved": "sequence, product, quantity", "returned": "sequence, transaction_id, amount", "moves": "sequence, key, amount", "edits": "sequence, field, new", "unconfirmed": "sequence, hash, shift", "unsaid": "sequence, shard, ''", "grand": "currency, transactions, sales"}[table]
		rows, err := b.db.QueryContext(b.t.Context(), `SELECT `+columns+` FROM `+table+` ORDER BY 1, 2, 3`)
		require.NoError(b.t, err)
		for rows.Next() {
			var x, y, z string
			require.NoError(b.t, rows.Scan(&x, &y, &z))
			all = append(all, fmt.Sprint(table, " ", x, " ", y, " ", z))
		}
		require.NoError(b.t, errorsOf(rows))
	}
	return all
}

// sold is a sale that says something to every part of the books.
func (w *writer) sold(n int) embedded.Received {
	f := &events.SaleConcluded{Receipt: events.ReceiptNumber(fmt.Sprintf("%s-%d-%06d", w.register, w.head.Epoch, n)), Sales: 1000}
	f.Transaction, f.Terms.Currency = events.TransactionID(fmt.Sprintf("%s-%d-%d", w.register, w.head.Epoch, n)), "GBP"
	f.Lines = []events.ConcludedLine{{Line: events.Line{Number: 1, Product: "TEA", Gross: 1000, Original: &events.OriginalLine{Transaction: "s001-r09-1-1", Line: n}}}}
	f.Payments = []events.Payment{{Number: 1, Amount: 1000, GiftCard: &events.KnownGiftCard{Card: "6001"}}}
	return w.write(f, "s1")
}

// An entry that waited behind a gap, and cannot be read when that is filled, is lost: it is asked for, and says what it has to say when it comes again.
func TestWaitingEntryIsLost(t *testing.T) {
	w := newWriter(t)
	all := []embedded.Received{w.activation(), w.sold(1), w.sold(2), w.sold(3)}
	want, b := newBooks(t), newBooks(t)
	want.receive(all...)
	b.receive(all[0], all[2], all[3])
	require.NotEqual(t, want.said(), b.said(), "behind the gap")
	delete(b.stored, all[3].ShardSequence)
	b.receive(all[1])
	require.Equal(t, w.head, b.headOf(w))
	missing, err := b.missing(t.Context(), w.register)
	require.NoError(t, err)
	require.Equal(t, []events.Range{{Epoch: 1, From: 4, To: 4}}, missing)
	b.receive(all[3])
	require.Equal(t, want.said(), b.said())
	missing, err = b.missing(t.Context(), w.register)
	require.NoError(t, err)
	require.Empty(t, missing)
}

// A forged entry that comes first, in the form of a true one, keeps no place: as soon as the true one is known to follow from what is
// verified it is held there, whatever came when, and what the other said is in no books. It stays a finding.
func TestForgedComesFirst(t *testing.T) {
	w := newWriter(t)
	activation := w.activation()
	all := []embedded.Received{activation, w.write(&events.ShiftOpened{Shift: "s1", Number: 1, BusinessDate: "2026-03-02", Currency: "GBP", Digits: 2}, "s1")}
	for n := range 10 {
		all = append(all, w.sold(n+1))
	}
	more := w.write(&events.CustomerEdited{Customer: "C1", Changes: []events.FieldChange{{Field: "city", New: "York"}}}, "s1")
	all = append(all, more, w.write(&events.ShiftClosed{InShift: events.InShift{Shift: "s1"}, Z: 1}, "s1"))
	key := func(b books) books {
		tx, err := b.db.BeginTx(t.Context(), nil)
		require.NoError(t, err)
		require.NoError(t, noteKey(t.Context(), tx, w.register.String(), 1, w.key))
		require.NoError(t, tx.Commit())
		return b
	}
	want := key(newBooks(t))
	want.receive(all...)
	require.Equal(t, w.head, want.headOf(w))
	same := func(t *testing.T, b books, forged int, args ...any) {
		t.Helper()
		require.Equal(t, w.head, b.headOf(w), args...)
		require.Equal(t, want.said(), b.said(), args...)
		require.Equal(t, want.days(), b.days(), args...)
		require.Len(t, b.open(), forged, args...)
		for _, kind := range b.open() {
			require.Contains(t, kind, "fork 1/", args...)
		}
	}
	// Forged by someone who has the register's credentials: a history of its own with another key, of more sales.
	evil := newWriter(t)
	evil.shard = 1000
	forged := []embedded.Received{evil.activation()}
	for n := range 13 {
		forged = append(forged, evil.sold(100+n))
	}

	t.Run("behind what is verified", func(t *testing.T) {
		b := key(newBooks(t))
		b.receive(all[:7]...)
		b.receive(forged[7])
		require.Equal(t, []string{"chain 1/8..8", "signature 1/8..8"}, b.open())
		b.receive(all[7:]...)
		same(t, b, 1)
		b.receive(forged[7], all[7])
		same(t, b, 1, "neither counts again")
	})
	t.Run("a stretch of them", func(t *testing.T) {
		b := key(newBooks(t))
		b.receive(all[:4]...)
		b.receive(forged[4:9]...)
		b.receive(all[4:]...)
		same(t, b, 1, "one branch")
	})
	t.Run("behind a gap", func(t *testing.T) {
		b := key(newBooks(t))
		b.receive(all[:4]...)
		b.receive(forged[7])
		b.receive(all[7:]...)
		b.receive(all[4:7]...)
		require.EqualValues(t, 7, b.headOf(w).Sequence)
		missing, err := b.missing(t.Context(), w.register)
		require.NoError(t, err)
		require.Equal(t, []events.Range{{Epoch: 1, From: 8, To: 8}}, missing, "it is asked for once more")
		b.receive(all[7])
		same(t, b, 1)
	})
	t.Run("at the very beginning", func(t *testing.T) {
		b := key(newBooks(t))
		b.receive(forged[0])
		require.Equal(t, []string{"signature 1/1..1"}, b.open())
		b.receive(all...)
		same(t, b, 1)
	})
	t.Run("chained, and signed with another key", func(t *testing.T) {
		b, other := key(newBooks(t)), *w
		other.head, other.signer = events.Head{Epoch: 1, Sequence: 8, Hash: events.Hash(all[7].Message.Body)}, evil.signer
		b.receive(all[:8]...)
		b.receive(other.sold(200))
		require.Equal(t, []string{"signature 1/9..9"}, b.open())
		b.receive(all[8:]...)
		same(t, b, 1)
	})
	t.Run("in any order", func(t *testing.T) {
		for range 50 {
			seed := rand.Uint64()
			random := rand.New(rand.NewPCG(seed, 0))
			both := slices.Concat(all, forged)
			random.Shuffle(len(both), func(i, j int) { both[i], both[j] = both[j], both[i] })
			b := key(newBooks(t))
			for len(both) > 0 {
				n := 1 + random.IntN(len(both))
				b.receive(both[:n]...)
				both = both[n:]
			}
			for range len(all) { // what is asked for is sent, as long as anything is
				missing, err := b.missing(t.Context(), w.register)
				require.NoError(t, err)
				for _, m := range missing {
					b.receive(all[m.From-1 : m.To]...)
				}
			}
			same(t, b, 1, "seed %d", seed)
		}
	})
}

// What does not follow from what is verified is kept, and does not count.
func TestWrongBranchDoesNotCount(t *testing.T) {
	w, evil := newWriter(t), newWriter(t)
	all, other := w.sales(4), evil.sales(9)
	b := newBooks(t)
	b.receive(all...)
	b.receive(other[22:]...) // as they come where a till was put back and sold on
	require.Equal(t, []string{"chain 1/23..47"}, b.open()[:1])
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
	require.Equal(t, []string{"key 4/1..1"}, b.open())
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
	db, err = openDatabase(path, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	_, err = db.head(context.Background(), embedded.JournalName{})
	require.NoError(t, err)
	require.NoError(t, db.close())
}
