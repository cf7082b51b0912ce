package web

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// BenchmarkScan adds lines through the API, durable, to carts of 1,000 lines, with a
// catalogue of 50,000 products: time from scan to answer, and whether a line costs more on
// a long cart than on a short one.
func BenchmarkScan(b *testing.B) {
	s := newShop(b)
	var products strings.Builder
	for n := range 50_000 {
		fmt.Fprintf(&products, `{"kind":"product","key":"P%05d","record":{"product":"P%05d","description":"Product number %d","price":"1.%02d"}}`+"\n", n, n, n, n%100)
	}
	_, err := s.Reference().Import(b.Context(), strings.NewReader(products.String()), time.Now(), false)
	require.NoError(b, err)
	const cart = 1000
	var all, first, last []time.Duration
	for n := 0; b.Loop(); n++ {
		if n%cart == 0 && n > 0 {
			s.must(206, ``)
		}
		began := time.Now()
		s.must(100, fmt.Sprintf(`{"product":"P%05d"}`, n*7919%50_000))
		took := time.Since(began)
		all = append(all, took)
		switch at := n % cart; {
		case at < 100:
			first = append(first, took)
		case at >= cart-100:
			last = append(last, took)
		}
	}
	median := func(d []time.Duration) time.Duration { slices.Sort(d); return d[len(d)/2] }
	b.ReportMetric(float64(median(all).Microseconds()), "p50-us")
	b.ReportMetric(float64(all[len(all)*99/100].Microseconds()), "p99-us")
	if len(last) > 0 {
		b.ReportMetric(float64(median(last))/float64(median(first)), "last100/first100")
	}
}
