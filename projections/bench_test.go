package projections

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/posnode/posnode/events"
	"github.com/posnode/posnode/ledger"
)

// BenchmarkApply is the time for one entry of a day of sales of ten lines each, in batches of 1000.
func BenchmarkApply(b *testing.B) {
	w := newTill(b)
	for len(w.journal) < 30_000 {
		w.sell(10)
	}
	db := openDB(b)
	b.ReportAllocs()
	b.ResetTimer()
	for done := 0; done < b.N; {
		left := w.journal
		for len(left) > 0 && done < b.N {
			n := min(1000, len(left), b.N-done)
			apply(b, db, left[:n])
			left, done = left[n:], done+n
		}
		b.StopTimer()
		if len(left) == 0 {
			require.NoError(b, db.Reset(context.Background()))
		}
		b.StartTimer()
	}
}

// BenchmarkPrior looks commands up in a journal of 30,000 entries.
func BenchmarkPrior(b *testing.B) {
	w := newTill(b)
	for len(w.journal) < 30_000 {
		w.sell(10)
	}
	db := openDB(b)
	apply(b, db, w.journal)
	ctx := b.Context() // one that can be cancelled, as that of a request
	for _, key := range []events.CommandKey{"01KJNYAAAAAAAAAAAAAAAAAAAA", w.journal[15_000].Entry.Command} {
		b.Run(fmt.Sprintf("found=%v", key == w.journal[15_000].Entry.Command), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_, err := db.Prior(ctx, key)
				require.NoError(b, err)
			}
		})
	}
}

func products(n int) string {
	var lines strings.Builder
	for i := range n {
		fmt.Fprintf(&lines, `{"kind":"product","key":"P%05d","record":{"product":"P%05d","description":"%s lantern no %d","price":"2.55","taxes":[{"code":"S","rate":"20"}]}}`+"\n",
			i, i, []string{"White", "Red", "Café", "Hanging"}[i%4], i)
	}
	return lines.String()
}

func BenchmarkImport(b *testing.B) {
	lines := products(50_000)
	for b.Loop() {
		r, err := OpenReference(filepath.Join(b.TempDir(), "reference.db"))
		require.NoError(b, err)
		_, err = r.Import(context.Background(), strings.NewReader(lines), time.Unix(0, 0), false)
		require.NoError(b, err)
		require.NoError(b, r.Close())
	}
}

func BenchmarkReference(b *testing.B) {
	r, err := OpenReference(filepath.Join(b.TempDir(), "reference.db"))
	require.NoError(b, err)
	defer r.Close()
	ctx := b.Context() // one that can be cancelled, as that of a request
	_, err = r.Import(ctx, strings.NewReader(products(10_000)), time.Unix(0, 0), false)
	require.NoError(b, err)
	b.Run("find", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			_, found, err := r.Find(ctx, ledger.Query{Kind: "product", Key: fmt.Sprintf("P%05d", i*7919%10_000)})
			require.True(b, found)
			require.NoError(b, err)
		}
	})
	for _, text := range []string{"P00001", "P", "lantern", "hanging lant 77"} {
		b.Run("search "+text, func(b *testing.B) {
			for b.Loop() {
				_, err := r.Search(ctx, "product", text, 20)
				require.NoError(b, err)
			}
		})
	}
}

// BenchmarkFollow makes the database of a new register of a stream of 50,000 products.
func BenchmarkFollow(b *testing.B) {
	lines := strings.Split(strings.TrimSpace(products(50_000)), "\n")
	for b.Loop() {
		r, err := OpenReference(filepath.Join(b.TempDir(), "reference.db"))
		require.NoError(b, err)
		require.NoError(b, follow(b, r, "REFERENCE_1@x", 1, lines...))
		require.NoError(b, r.Close())
	}
	b.ReportMetric(50_000*float64(b.N)/b.Elapsed().Seconds(), "records/s")
}
