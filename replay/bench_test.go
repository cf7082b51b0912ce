package replay_test

import (
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/posnode/posnode/events"
	"github.com/posnode/posnode/replay"
)

// BenchmarkVerify measures verification without reading from disk. A sale has 20 entries, as in
// posnode bench.
func BenchmarkVerify(b *testing.B) {
	w := newTill(b).open()
	for range 1000 {
		for range 19 {
			w.do(100, `{"product":"TEA","quantity":"2"}`)
		}
		w.do(206, `{}`)
	}
	b.ResetTimer()
	cpu := cpuTime(b)
	for b.Loop() {
		require.Empty(b, verify(b, lines(w.bodies), replay.Options{}).Findings)
	}
	b.ReportMetric(float64(len(w.bodies)*b.N)/b.Elapsed().Seconds(), "entries/s")
	b.ReportMetric(float64(cpuTime(b)-cpu)/float64(len(w.bodies)*b.N), "cpu-ns/entry")
	bytes := 0
	for _, body := range w.bodies {
		bytes += len(body)
	}
	b.ReportMetric(float64(bytes)/float64(len(w.bodies)), "B/entry")
}

// BenchmarkDecode measures the share of events.Decode in that time, on one core.
func BenchmarkDecode(b *testing.B) {
	w := newTill(b).open().day(100, `{"product":"TEA","quantity":"2"}`)
	cpu := cpuTime(b)
	for b.Loop() {
		_, err := events.Decode(w.bodies[4])
		require.NoError(b, err)
	}
	b.ReportMetric(float64(cpuTime(b)-cpu)/float64(b.N), "cpu-ns/op")
}

// cpuTime returns the CPU time of this process. A busy machine does not make it longer.
func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
