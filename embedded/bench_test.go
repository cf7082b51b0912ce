package embedded

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"github.com/posnode/posnode/events"
)

var testRegister = events.Register{Store: "s001", ID: "r01"}

func benchNode(b *testing.B, unsynced bool) *RegisterNode {
	n, err := StartRegister(context.Background(), RegisterConfig{Dir: b.TempDir(), Register: testRegister, Epoch: 1, unsynced: unsynced})
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

// BenchmarkBarePublish is the floor of BenchmarkAppend.
func BenchmarkBarePublish(b *testing.B) {
	n := benchNode(b, false)
	for b.Loop() {
		_, err := n.journal.js.Publish(b.Context(), "pos.s001.r01.sale.concluded", body)
		require.NoError(b, err)
	}
}

const readEntries = 200_000

func benchFilled(b *testing.B) *RegisterNode {
	n := benchNode(b, true)
	for range readEntries {
		m := msg()
		_, err := n.journal.js.PublishMsgAsync(&nats.Msg{Subject: m.Subject, Data: m.Body, Header: nats.Header{nats.MsgIdHdr: []string{m.ID}}}, jetstream.WithStallWait(time.Minute))
		require.NoError(b, err)
	}
	<-n.journal.js.PublishAsyncComplete()
	last, err := n.Journal().Last(b.Context())
	require.NoError(b, err)
	require.EqualValues(b, readEntries, last)
	return n
}

func BenchmarkReading(b *testing.B) {
	n := benchFilled(b)
	rate := func(b *testing.B) {
		b.ReportMetric(float64(readEntries)*float64(b.N)/b.Elapsed().Seconds(), "entries/s")
	}
	b.Run("Read", func(b *testing.B) {
		for b.Loop() {
			c := 0
			require.NoError(b, n.Journal().Read(b.Context(), 1, func(m events.Message) error { c++; return nil }))
			require.Equal(b, readEntries, c)
		}
		rate(b)
	})
	b.Run("BareOrderedConsumer", func(b *testing.B) {
		for b.Loop() {
			c, err := n.journal.stream.OrderedConsumer(b.Context(), jetstream.OrderedConsumerConfig{})
			require.NoError(b, err)
			ms, err := c.Messages()
			require.NoError(b, err)
			for range readEntries {
				if _, err := ms.Next(); err != nil {
					b.Fatal(err)
				}
			}
			ms.Stop()
		}
		rate(b)
	})
	b.Run("OrderedBig", func(b *testing.B) {
		for b.Loop() {
			c, err := n.journal.stream.OrderedConsumer(b.Context(), jetstream.OrderedConsumerConfig{})
			require.NoError(b, err)
			ms, err := c.Messages(jetstream.PullMaxMessages(4000), jetstream.PullThresholdMessages(2000))
			require.NoError(b, err)
			for range readEntries {
				m, err := ms.Next()
				if err != nil {
					b.Fatal(err)
				}
				if _, err := m.Metadata(); err != nil {
					b.Fatal(err)
				}
			}
			ms.Stop()
		}
		rate(b)
	})
	b.Run("BareOrderedConsumerLegacyPush", func(b *testing.B) {
		for b.Loop() {
			js, _ := n.nc.JetStream()
			s, err := js.SubscribeSync("", nats.OrderedConsumer(), nats.BindStream("JOURNAL_1"))
			require.NoError(b, err)
			for range readEntries {
				_, err := s.NextMsgWithContext(b.Context())
				require.NoError(b, err)
			}
			s.Unsubscribe()
		}
		rate(b)
	})
	b.Run("PushNoFC", func(b *testing.B) {
		for b.Loop() {
			ch := make(chan *nats.Msg, readEntries)
			in := n.nc.NewInbox()
			s, err := n.nc.ChanSubscribe(in, ch)
			require.NoError(b, err)
			_, err = n.journal.stream.CreatePushConsumer(b.Context(), jetstream.ConsumerConfig{DeliverSubject: in, AckPolicy: jetstream.AckNonePolicy, MemoryStorage: true})
			require.NoError(b, err)
			for range readEntries {
				<-ch
			}
			s.Unsubscribe()
		}
		rate(b)
	})
}
