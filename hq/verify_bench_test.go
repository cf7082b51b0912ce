package hq

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"github.com/posnode/posnode/embedded"
	"github.com/posnode/posnode/events"
	"github.com/posnode/posnode/internal/checkpoint"
)

// BenchmarkVerify is verification into hq.db without the stream: five entries to a sale,
// of which the last carries a signed checkpoint.
func BenchmarkVerify(b *testing.B) {
	const entries = 50_000
	journal := newWriter(b)
	all := journal.sales(entries / 5)
	size := 0
	for _, r := range all {
		size += len(r.Message.Body)
	}
	b.ReportMetric(float64(size)/float64(len(all)), "B/entry")
	cpu := cpuTime(b)
	for b.Loop() {
		path := filepath.Join(b.TempDir(), "hq.db")
		db, err := openDatabase(path, slog.New(slog.DiscardHandler))
		require.NoError(b, err)
		for from := 0; from < len(all); from += most {
			require.NoError(b, db.apply(b.Context(), "JOURNALS_0", all[from:min(from+most, len(all))]))
		}
		require.NoError(b, db.close())
		info, err := os.Stat(path)
		require.NoError(b, err)
		b.ReportMetric(float64(info.Size())/float64(len(all)), "hq.db-B/entry")
	}
	b.ReportMetric(float64(len(all)*b.N)/b.Elapsed().Seconds(), "entries/s")
	b.ReportMetric(float64(cpuTime(b)-cpu)/float64(len(all)*b.N), "cpu-ns/entry")
}

// cpuTime is what this process has used: a busy machine makes it no longer.
func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// writer makes the entries of one journal, as head office receives them.
type writer struct {
	t        testing.TB
	register events.Register
	key      string
	signer   *checkpoint.Signer
	head     events.Head
	at       time.Time
	shard    uint64
}

func newWriter(t testing.TB) *writer {
	w := &writer{t: t, register: events.Register{Store: "s001", ID: "r01"}, at: time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC)}
	private, public, err := checkpoint.GenerateKey(w.register.String())
	require.NoError(t, err)
	w.key = public
	w.signer, err = checkpoint.NewSigner(private)
	require.NoError(t, err)
	return w
}

// write seals a fact as the next entry.
func (w *writer) write(fact events.Fact, shift events.ShiftID) embedded.Received {
	if f, ok := fact.(*events.RegisterActivated); ok {
		w.head = events.Head{Epoch: w.head.Epoch + 1, Hash: events.Hash([]byte(f.Record))}
	}
	if f, ok := fact.(events.Checkpointed); ok {
		note, err := w.signer.Sign(checkpoint.Checkpoint{Origin: fmt.Sprintf("%s/%d", w.register, w.head.Epoch), Size: w.head.Sequence, Hash: w.head.Hash})
		require.NoError(w.t, err)
		f.Sign().Checkpoint = note
	}
	w.at = w.at.Add(time.Second)
	m, entry, err := events.Seal(w.register, w.head, events.Circumstances{
		ID: ulid.MustNew(ulid.Timestamp(w.at), rand.Reader), Time: w.at, Mode: events.Online, Shift: shift,
	}, fact)
	require.NoError(w.t, err)
	w.head = entry.Head
	w.shard++
	return embedded.Received{
		Message: m, Journal: embedded.JournalName{Register: w.register, Epoch: w.head.Epoch},
		Shard: "JOURNALS_0", ShardSequence: w.shard, ArrivedAt: w.at,
	}
}

// activation begins the next epoch.
func (w *writer) activation() embedded.Received {
	record, err := json.Marshal(events.ActivationRecord{Register: w.register, Epoch: w.head.Epoch + 1, Key: w.key, Time: w.at.Format(time.RFC3339)})
	require.NoError(w.t, err)
	return w.write(&events.RegisterActivated{Record: string(record)}, "")
}

// sales is an activation, a shift, and sales of four lines each.
func (w *writer) sales(n int) []embedded.Received {
	all := []embedded.Received{w.activation()}
	shift := events.ShiftID(fmt.Sprintf("%s-%d-s1", w.register, w.head.Epoch))
	all = append(all, w.write(&events.ShiftOpened{Shift: shift, Number: 1, Staff: "7", BusinessDate: "2026-03-02", Currency: "GBP", Digits: 2}, shift))
	for i := range n {
		id := events.TransactionID(fmt.Sprintf("%s-%d-%d", w.register, w.head.Epoch, i+1))
		for line := range 4 {
			all = append(all, w.write(&events.LineAdded{OfSale: events.OfSale{Transaction: id}, Line: events.Line{Number: line + 1, Product: "TEA", Description: "Tea", Gross: 255}}, shift))
		}
		concluded := &events.SaleConcluded{}
		concluded.Transaction = id
		concluded.Terms.Currency, concluded.Terms.Digits = "GBP", 2
		concluded.Sales, concluded.After.Tax = 1020, 170
		all = append(all, w.write(concluded, shift))
	}
	return all
}
