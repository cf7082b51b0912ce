package embedded

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// logText is a log that a test can read.
type logText struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logText) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logText) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

func (l *logText) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

// replaceHQ starts head office with an empty store, with the keys of dir and at the same address.
func replaceHQ(t testing.TB, dir, leaf string, log *slog.Logger) *HQNode {
	fresh := t.TempDir()
	keys, err := os.ReadFile(filepath.Join(dir, keysName))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(fresh, keysName), keys, 0o600))
	h, err := StartHQ(t.Context(), HQConfig{Dir: fresh, ListenLeaf: leaf, Logger: log})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, h.Close()) })
	return h
}

// watch runs Watch for one journal, with `head` as its announced end.
func watch(t testing.TB, h *HQNode, j JournalName, head *atomic.Uint64) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		h.Watch(ctx, Watch{Every: 200 * time.Millisecond, Patience: time.Second, Announced: func(of JournalName) uint64 {
			if of != j {
				return 0
			}
			return head.Load()
		}})
	}()
	t.Cleanup(func() { cancel(); <-done })
}

// TestNewStoreAtHQ shows that a new store of head office receives the whole journal, although
// another store has acknowledged all of it before.
func TestNewStoreAtHQ(t *testing.T) {
	t.Parallel()
	for _, reached := range []bool{true, false} {
		t.Run(map[bool]string{true: "added while the register is there", false: "added while it is away"}[reached], func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			old := startHQ(t, dir, "127.0.0.1:0")
			leaf := strings.TrimPrefix(old.LeafURL(), "nats-leaf://")
			n := startRegister(t, t.TempDir(), linked(r01, old.LeafURL(), enroll(t, old, r01, 1)))
			appendEntries(t, n.Journal(), 0, 100)
			requireAcked(t, n, 100)
			require.NoError(t, old.Close())
			if !reached {
				require.NoError(t, n.SetLink(false))
			}
			h := replaceHQ(t, dir, leaf, nil)
			if reached {
				require.Eventually(t, func() bool { return len(h.Links()) == 1 }, soon, 10*time.Millisecond)
			}
			require.NoError(t, h.AddJournal(t.Context(), r01, 1))
			appendEntries(t, n.Journal(), 100, 105)
			require.NoError(t, n.SetLink(true))
			requireAtHQ(t, h, JournalName{r01, 1}, 105)
		})
	}
}

// TestJournalThatStandsStill resets a consumer to a sequence behind the journal's end. Nothing is
// delivered then, and NATS reports no error.
func TestJournalThatStandsStill(t *testing.T) {
	t.Parallel()
	var log logText
	h, err := StartHQ(t.Context(), HQConfig{Dir: t.TempDir(), ListenLeaf: "127.0.0.1:0", Logger: log.logger()})
	require.NoError(t, err)
	defer func() { require.NoError(t, h.Close()) }()
	j := JournalName{r01, 1}
	n := startRegister(t, t.TempDir(), linked(r01, h.LeafURL(), enroll(t, h, r01, 1)))
	appendEntries(t, n.Journal(), 0, 100)
	requireAtHQ(t, h, j, 100)
	require.NoError(t, h.resetConsumer(t.Context(), j, 1_000_000))
	appendEntries(t, n.Journal(), 100, 105)
	require.Never(t, func() bool {
		received, err := h.receivedOf(t.Context(), shardOf(r01))
		return err != nil || received[j] > 100
	}, 3*time.Second, 100*time.Millisecond, "nothing comes by itself")

	var head atomic.Uint64
	head.Store(105)
	start := time.Now()
	watch(t, h, j, &head)
	requireAtHQ(t, h, j, 105)
	t.Logf("all there %v after the watch began, with a patience of 1s", time.Since(start))
	require.Contains(t, log.String(), "a journal stands still")
	require.Contains(t, log.String(), "s001-r01-1")
}

// TestSourceThatIsGone removes a source, as if an instance had died between adding a journal and
// its source, or while it replaced the source.
func TestSourceThatIsGone(t *testing.T) {
	t.Parallel()
	h := startHQ(t, t.TempDir(), "127.0.0.1:0")
	j := JournalName{r01, 1}
	n := startRegister(t, t.TempDir(), linked(r01, h.LeafURL(), enroll(t, h, r01, 1)))
	appendEntries(t, n.Journal(), 0, 50)
	requireAtHQ(t, h, j, 50)
	require.NoError(t, h.dropSource(t.Context(), shardOf(r01), j))
	appendEntries(t, n.Journal(), 50, 80)
	var head atomic.Uint64
	head.Store(80)
	watch(t, h, j, &head)
	requireAtHQ(t, h, j, 80)
}

// TestEachHelpIsHarmless takes each step of the watch with a journal that has not stalled.
func TestEachHelpIsHarmless(t *testing.T) {
	t.Parallel()
	h := startHQ(t, t.TempDir(), "127.0.0.1:0")
	j := JournalName{r01, 1}
	n := startRegister(t, t.TempDir(), linked(r01, h.LeafURL(), enroll(t, h, r01, 1)))
	last := uint64(0)
	for tried := range 6 {
		appendEntries(t, n.Journal(), last, last+50)
		last += 50
		h.help(t.Context(), shardOf(r01), j, &standing{tried: tried}, last)
	}
	appendEntries(t, n.Journal(), last, last+50)
	requireAtHQ(t, h, j, last+50)
	requireAcked(t, n, last+50)
}
