package embedded

import (
	"context"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"github.com/posnode/posnode/events"
)

func benchNode(b *testing.B, unsynced bool) *RegisterNode {
	n, err := StartRegister(context.Background(), RegisterConfig{Dir: b.TempDir(), Register: r01, Epoch: 1, unsynced: unsynced})
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, n.Close()) })
	return n
}

var body = []byte(strings.Repeat("x", 600))

func msg() events.Message {
	return events.Message{Subject: "pos.s001.r01.sale.concluded", ID: ulid.Make().String(), Body: body}
}

func BenchmarkAppend(b *testing.B) {
	n := benchNode(b, false)
	i := uint64(0)
	for b.Loop() {
		require.NoError(b, n.Journal().Append(b.Context(), i, msg()))
		i++
	}
}

// BenchmarkBarePublish measures the floor of BenchmarkAppend.
func BenchmarkBarePublish(b *testing.B) {
	n := benchNode(b, false)
	for b.Loop() {
		_, err := n.Journal().js.Publish(b.Context(), "pos.s001.r01.sale.concluded", body)
		require.NoError(b, err)
	}
}

const readEntries = 100_000

// benchFilled returns a node with entries to read. They are not synced one by one, to save time.
func benchFilled(b *testing.B) *RegisterNode {
	n := benchNode(b, true)
	for range readEntries {
		m := msg()
		_, err := n.Journal().js.PublishMsgAsync(&nats.Msg{Subject: m.Subject, Data: m.Body, Header: nats.Header{nats.MsgIdHdr: []string{m.ID}}}, jetstream.WithStallWait(time.Minute))
		require.NoError(b, err)
	}
	<-n.Journal().js.PublishAsyncComplete()
	last, err := n.Journal().Last(b.Context())
	require.NoError(b, err)
	require.EqualValues(b, readEntries, last)
	return n
}

// reportEntries reports the rate, and the processor time. A busy machine changes the latter less.
func reportEntries(b *testing.B, cpu time.Duration) {
	entries := float64(readEntries) * float64(b.N)
	b.ReportMetric(entries/b.Elapsed().Seconds(), "entries/s")
	b.ReportMetric(float64(cpuTime()-cpu)/entries, "cpu-ns/entry")
}

func BenchmarkRead(b *testing.B) {
	n := benchFilled(b)
	cpu := cpuTime()
	for b.Loop() {
		count := 0
		require.NoError(b, n.Journal().Read(b.Context(), 1, func(events.Message) error { count++; return nil }))
		require.Equal(b, readEntries, count)
	}
	reportEntries(b, cpu)
}

// BenchmarkBareOrderedConsumer measures the floor of BenchmarkRead.
func BenchmarkBareOrderedConsumer(b *testing.B) {
	n := benchFilled(b)
	cpu := cpuTime()
	for b.Loop() {
		c, err := n.Journal().stream.OrderedConsumer(b.Context(), jetstream.OrderedConsumerConfig{})
		require.NoError(b, err)
		messages, err := c.Messages()
		require.NoError(b, err)
		for range readEntries {
			if _, err := messages.Next(); err != nil {
				b.Fatal(err)
			}
		}
		messages.Stop()
	}
	reportEntries(b, cpu)
}

func cpuTime() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
