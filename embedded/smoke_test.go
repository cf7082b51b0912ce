package embedded

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"github.com/posnode/posnode/events"
)

func TestSmoke(t *testing.T) {
	ctx := context.Background()
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	h, err := StartHQ(ctx, HQConfig{Dir: t.TempDir(), ListenLeaf: "127.0.0.1:0", Logger: log})
	require.NoError(t, err)
	defer h.Close()
	r := events.Register{Store: "s001", ID: "r01"}
	creds, err := h.Enroll(r)
	require.NoError(t, err)
	cf := filepath.Join(t.TempDir(), "creds")
	require.NoError(t, os.WriteFile(cf, creds, 0o600))
	fmt.Println(h.LeafURL())
	n, err := StartRegister(ctx, RegisterConfig{Dir: t.TempDir(), Register: r, Epoch: 1, HQ: h.LeafURL(), Creds: cf, Logger: log})
	require.NoError(t, err)
	defer n.Close()
	require.NoError(t, h.AddJournal(ctx, r, 1))
	for i := range uint64(1000) {
		require.NoError(t, n.Journal().Append(ctx, i, events.Message{Subject: "pos.s001.r01.sale.concluded", ID: ulid.Make().String(), Body: []byte(fmt.Sprint(i))}))
	}
	time.Sleep(3 * time.Second)
	st, _ := h.js.Stream(ctx, shardOf(r))
	for _, s := range st.CachedInfo().Sources {
		fmt.Printf("%+v\n", s)
	}
	lz, _ := h.server.Leafz(&server.LeafzOptions{Subscriptions: true})
	for _, l := range lz.Leafs {
		fmt.Printf("%+v\n", l)
	}
	lz, _ = n.server.Leafz(&server.LeafzOptions{Subscriptions: true})
	for _, l := range lz.Leafs {
		fmt.Printf("%+v\n", l)
	}
	ci, err := n.journal.stream.PushConsumer(ctx, "hq")
	fmt.Printf("%+v %+v\n", ci.CachedInfo(), err)
	i := uint64(0)
	t0 := time.Now()
	err = h.Receive(ctx, shardOf(r), 0, func(rc Received) error {
		i++
		require.Equal(t, i, rc.Message.Sequence)
		require.Equal(t, r, rc.Journal.Register)
		if i == 1000 {
			return errStop
		}
		return nil
	})
	require.ErrorIs(t, err, errStop)
	fmt.Println("received", time.Since(t0), h.Links(), n.Link())
	require.Eventually(t, func() bool { a, err := n.AckedByHQ(ctx); fmt.Println(a, err); return a == 1000 }, 10*time.Second, 100*time.Millisecond)
	require.NoError(t, n.SetLink(false))
	fmt.Println(n.Link(), h.Links())
	require.NoError(t, n.SetLink(true))
	require.Eventually(t, func() bool { return n.Link().Connected }, 10*time.Second, 10*time.Millisecond)
	fmt.Println(n.Link())
	c := 0
	require.NoError(t, n.Journal().Read(ctx, 1, func(m events.Message) error { c++; return nil }))
	require.Equal(t, 1000, c)
}
