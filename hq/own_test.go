package hq

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/posnode/posnode/embedded"
	"github.com/posnode/posnode/events"
)

// What head office records is a chain, and hq.db can be made again from it.
func TestOwnJournal(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	open := func() *HQ {
		h, err := Open(t.Context(), Config{Dir: dir, Clock: time.Now, Logger: slog.New(slog.DiscardHandler)})
		require.NoError(t, err)
		return h
	}
	h := open()
	for n := range 3 {
		// Any fact will do.
		entry, err := h.record(t.Context(), func(_ context.Context, _ *sql.Tx, head events.Head) (events.Fact, error) {
			require.EqualValues(t, n+1, head.Sequence)
			return &events.ModeChanged{From: events.Online, To: events.Offline, Cause: fmt.Sprint(n)}, nil
		})
		require.NoError(t, err)
		require.EqualValues(t, n+2, entry.Head.Sequence)
	}
	want, err := h.db.ownHead(t.Context())
	require.NoError(t, err)
	require.NoError(t, h.Close())

	require.NoError(t, os.Remove(filepath.Join(dir, "hq.db")))
	h = open()
	got, err := h.db.ownHead(t.Context())
	require.NoError(t, err)
	require.Equal(t, want, got)
	chain := events.Chain{Register: embedded.HeadOffice}
	require.NoError(t, h.node.Own().Read(t.Context(), 1, func(m events.Message) error {
		entry, err := events.Decode(m.Body)
		require.NoError(t, err)
		return chain.Next(m.Sequence, entry)
	}))
	require.Equal(t, want, chain.Head)
	require.NoError(t, h.Close())
}
