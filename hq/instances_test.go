package hq

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/posnode/posnode/embedded"
	"github.com/posnode/posnode/events"
	"github.com/posnode/posnode/internal/stock"
	"github.com/posnode/posnode/ledger"
)

// onCluster opens instances of one head office on three stock servers.
func onCluster(t *testing.T, instances int) (all []*HQ) {
	binary, err := stock.Build(t.Context())
	if err != nil {
		t.Skipf("no stock nats-server here: %v", err)
	}
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(filepath.Dir(binary))) })
	dir := t.TempDir()
	ports, err := stock.Ports(9)
	require.NoError(t, err)
	var members []embedded.ClusterServer
	var urls []string
	for i := range 3 {
		members = append(members, embedded.ClusterServer{Name: fmt.Sprintf("n%d", i+1), Host: "127.0.0.1", ClientPort: ports[3*i], RoutePort: ports[3*i+1], LeafPort: ports[3*i+2]})
		urls = append(urls, fmt.Sprintf("tls://127.0.0.1:%d", ports[3*i]))
	}
	require.NoError(t, InitCluster(dir, members))
	for _, m := range members {
		s, err := stock.Start(binary, filepath.Join(dir, m.Name))
		require.NoError(t, err)
		t.Cleanup(s.Stop)
	}
	for range instances {
		own := t.TempDir()
		require.NoError(t, os.CopyFS(own, os.DirFS(filepath.Join(dir, embedded.HQFolder))))
		h, err := Open(t.Context(), Config{
			Dir: own, Clock: time.Now, Logger: slog.New(slog.DiscardHandler),
			Cluster: Cluster{URLs: urls, Creds: filepath.Join(own, "hq.creds"), CA: filepath.Join(own, "ca.pem")},
		})
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, h.Close()) })
		all = append(all, h)
	}
	return all
}

// Two instances of head office on one cluster are asked for the same by many registers at the same moment: what is granted in
// all is what there is, an order is claimed once, a card issued once, and every grant is in head office's journal once, also
// where one request reaches both.
func TestTwoInstancesGrantFromOneBalance(t *testing.T) {
	t.Parallel()
	instances := onCluster(t, 2)
	_, err := instances[0].Import(t.Context(), strings.NewReader(`{"kind":"giftcard","key":"6001","record":{"number":"6001","balance":3000,"currency":"GBP","as_of":"2026-01-01T00:00:00Z"}}
{"kind":"giftcard","key":"7001","record":{"number":"7001","currency":"GBP","blank":true,"as_of":"2026-01-01T00:00:00Z"}}
`), ImportOptions{})
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		_, found, err := instances[1].reference.For(till1).Find(t.Context(), ledger.Query{Kind: "giftcard", Key: "6001"})
		return err == nil && found
	}, soon, 20*time.Millisecond)

	type asked struct {
		events.Reservation
		by      events.Register
		granted bool
		code    string
		err     error
	}
	var all []*asked
	for n := range 48 { // registers, each with its one transaction: what it moved itself it would say
		r := events.Register{Store: "s001", ID: events.RegisterID(fmt.Sprintf("r%02d", n+1))}
		ask := func(kind, key string, amount events.Money) *asked {
			a := &asked{by: r, Reservation: events.Reservation{
				ID: kind, Transaction: events.TransactionID(fmt.Sprintf("%s-1-1", r)), Kind: kind, Key: key, Amount: amount, AsOf: "2026-01-01T00:00:00Z",
			}}
			all = append(all, a)
			return a
		}
		paid := ask(events.ReserveGiftCard, "6001", 100)
		if n%6 == 0 {
			again := *paid // the answer was lost, and the other instance is asked
			all = append(all, &again)
		}
		if n < 12 {
			ask(events.ReserveOrder, "SO-1", 0)
			ask(events.ReserveIssue, "7001", 0)
		}
	}
	var wait sync.WaitGroup
	start := make(chan struct{})
	for i, a := range all {
		wait.Go(func() {
			<-start
			var refusal *events.NotGranted
			_, refusal, a.err = instances[i%2].reserve(context.WithoutCancel(t.Context()), a.by, a.Reservation)
			if a.granted = refusal == nil; refusal != nil {
				a.code = refusal.Code
			}
		})
	}
	close(start)
	wait.Wait()

	granted := map[string]map[string]bool{}
	for _, a := range all {
		require.NoError(t, a.err)
		if granted[a.Kind] == nil {
			granted[a.Kind] = map[string]bool{}
		}
		if a.granted {
			granted[a.Kind][a.by.String()+" "+a.ID] = true
			continue
		}
		require.Equal(t, map[string]string{events.ReserveGiftCard: "gift_card_balance", events.ReserveOrder: "order_reserved", events.ReserveIssue: "gift_card_exists"}[a.Kind], a.code)
	}
	require.Len(t, granted[events.ReserveOrder], 1, "claimed once")
	require.Len(t, granted[events.ReserveIssue], 1, "issued once")
	recorded, sum := map[string]int{}, events.Money(0)
	require.NoError(t, instances[0].node.Own().Read(t.Context(), 1, func(m events.Message) error {
		e, err := events.Decode(m.Body)
		require.NoError(t, err)
		if f, ok := e.Fact.(*events.ReservationGranted); ok {
			recorded[f.Register+" "+f.ID]++
			require.True(t, granted[f.Kind][f.Register+" "+f.ID], "what is recorded was answered")
			sum += f.Amount
		}
		return nil
	}))
	for id, times := range recorded {
		require.Equal(t, 1, times, id)
	}
	require.Len(t, recorded, len(granted[events.ReserveGiftCard])+2, "what was answered is recorded")
	require.EqualValues(t, 3000, sum, "all of it, and no more")
	for _, h := range instances {
		require.NoError(t, h.catchUpOwn(t.Context()))
		var live events.Money
		require.NoError(t, h.db.db.QueryRowContext(t.Context(), `SELECT sum(amount) FROM reservations WHERE key = '6001' AND NOT ended`).Scan(&live))
		require.EqualValues(t, 3000, live)
	}
}
