package embedded

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"github.com/posnode/posnode/events"
	"github.com/posnode/posnode/internal/stock"
)

// stockBinary builds the stock server once for all tests. TestMain removes it.
var stockBinary = sync.OnceValues(func() (string, error) {
	builtStock = true
	return stock.Build(context.Background())
})

var builtStock bool

// cluster holds three stock servers on loopback, with no code of ours in them.
type cluster struct {
	t       testing.TB
	dir     string
	binary  string
	members []ClusterServer
	servers []*stock.Server
}

func startCluster(t testing.TB) *cluster {
	binary, err := stockBinary()
	if err != nil {
		t.Skipf("no stock nats-server here: %v", err)
	}
	c := &cluster{t: t, dir: t.TempDir(), binary: binary}
	ports, err := stock.Ports(9)
	require.NoError(t, err)
	for i := range 3 {
		c.members = append(c.members, ClusterServer{
			Name: fmt.Sprintf("n%d", i+1), Host: "127.0.0.1",
			ClientPort: ports[3*i], RoutePort: ports[3*i+1], LeafPort: ports[3*i+2],
		})
	}
	require.NoError(t, InitCluster(c.dir, c.members))
	c.servers = make([]*stock.Server, 3)
	for i := range c.servers {
		c.start(i)
	}
	t.Cleanup(func() {
		for i, s := range c.servers {
			s.Stop()
			if t.Failed() {
				t.Logf("log of %s:\n%s", c.members[i].Name, lastLines(s.Log(), 12))
			}
		}
	})
	return c
}

func lastLines(s string, n int) string {
	lines := strings.Split(s, "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

func (c *cluster) start(i int) {
	s, err := stock.Start(c.binary, filepath.Join(c.dir, c.members[i].Name))
	require.NoError(c.t, err)
	c.servers[i] = s
}

func (c *cluster) urls() (urls []string) {
	for _, m := range c.members {
		urls = append(urls, fmt.Sprintf("tls://127.0.0.1:%d", m.ClientPort))
	}
	return urls
}

func (c *cluster) leaf(i int) string { return fmt.Sprintf("tls://127.0.0.1:%d", c.members[i].LeafPort) }

func (c *cluster) leafs() string {
	return strings.Join([]string{c.leaf(0), c.leaf(1), c.leaf(2)}, ",")
}

func (c *cluster) ca() string { return filepath.Join(c.dir, caFile) }

// hq starts an instance of head office with the files of InitCluster, on the given servers or on
// all.
func (c *cluster) hq(urls ...string) *HQNode {
	if len(urls) == 0 {
		urls = c.urls()
	}
	dir := c.t.TempDir()
	require.NoError(c.t, os.CopyFS(dir, os.DirFS(filepath.Join(c.dir, HQFolder))))
	ctx, cancel := context.WithTimeout(c.t.Context(), soon)
	defer cancel()
	h, err := StartHQ(ctx, HQConfig{Dir: dir, URLs: urls, Creds: filepath.Join(dir, hqCreds), CA: filepath.Join(dir, caFile)})
	require.NoError(c.t, err)
	c.t.Cleanup(func() { require.NoError(c.t, h.Close()) })
	return h
}

// secured returns a change of settings for a link by TLS to leaf URLs of the cluster.
func (c *cluster) secured(urls string) func(*RegisterConfig) {
	return func(cfg *RegisterConfig) { cfg.HQ, cfg.CA = urls, c.ca() }
}

func TestClusterOfStockServers(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	start := time.Now()
	one, two := c.hq(), c.hq()
	t.Logf("two instances up after %v", time.Since(start))
	for _, shard := range one.Shards() {
		stream, err := one.js.Stream(t.Context(), shard)
		require.NoError(t, err)
		require.Equal(t, 3, stream.CachedInfo().Config.Replicas)
	}

	n := startRegister(t, t.TempDir(), linked(r01, "", enroll(t, one, r01, 1)), c.secured(c.leaf(0)))
	appendEntries(t, n.Journal(), 0, 300)
	requireAtHQ(t, one, JournalName{r01, 1}, 300)
	requireAtHQ(t, two, JournalName{r01, 1}, 300)
	requireAcked(t, n, 300)
	require.Eventually(t, func() bool { return len(two.Links()) == 1 }, soon, 20*time.Millisecond)
	require.Equal(t, r01, one.Links()[0].Register)
}

func TestTwoInstancesAddJournalsToACluster(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	addAtOnce(t, 100, c.hq(), c.hq())
}

func TestRevokeOnACluster(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	h := c.hq()
	other := c.hq()
	requireRevocation(t, h, c.leafs, func(r events.Register) string { return enroll(t, other, r, 1) }, c.secured(c.leafs()))
}

// TestRevokedWhileAServerWasDown shows that a server that was down learns of a revocation soon
// after it is back. Until then head office knows of it and answers nothing (package hq).
func TestRevokedWhileAServerWasDown(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	h := c.hq(c.urls()[:2]...)
	creds := enroll(t, h, r01, 1)
	one := startRegister(t, t.TempDir(), linked(r01, "", creds), c.secured(c.leaf(2)))
	require.Eventually(t, func() bool { return one.Link().Connected }, soon, 10*time.Millisecond)
	c.servers[2].Kill()
	require.Eventually(t, func() bool { return !one.Link().Connected }, soon, 10*time.Millisecond)
	require.Eventually(t, func() bool { return h.Revoke(t.Context(), publicKey(t, creds)) == nil }, soon, 100*time.Millisecond) // once the others have leaders
	c.start(2)
	started, out := time.Now(), time.Time{}
	require.Eventually(t, func() bool { // it has been out for longer than the pause between two attempts
		if one.Link().Connected || out.IsZero() {
			out = time.Now()
		}
		return time.Since(out) > 6*time.Second
	}, soon, 10*time.Millisecond)
	t.Logf("shut out for good %v after the server was started", out.Sub(started))
}

var adding = flag.Int("adding", 20, "registers that are added to a cluster, for what one costs")

// TestCostOfARegister links registers to a cluster and logs the cost of each.
func TestCostOfARegister(t *testing.T) {
	c := startCluster(t)
	h := c.hq()
	before := c.memory()
	nodes, heap := make([]*RegisterNode, *adding), heapInUse()
	for i := range nodes {
		r := nthRegister(i)
		creds, err := h.Enroll(r)
		require.NoError(t, err)
		path := filepath.Join(t.TempDir(), "creds")
		require.NoError(t, os.WriteFile(path, creds, 0o600))
		nodes[i] = startRegister(t, t.TempDir(), linked(r, "", path), c.secured(c.leafs()))
	}
	require.Eventually(t, func() bool { return len(h.Links()) == len(nodes) }, soon, 100*time.Millisecond)
	linked := c.memory()
	heap = (heapInUse() - heap) / uint64(len(nodes)) >> 10
	var took []time.Duration
	for _, n := range nodes {
		start := time.Now()
		require.NoError(t, h.AddJournal(t.Context(), n.cfg.Register, 1))
		took = append(took, time.Since(start))
		appendTo(t, n, n.cfg.Register, 1, func(uint64) string { return ulid.Make().String() })
	}
	start := time.Now()
	require.Eventually(t, func() bool {
		received := 0
		for _, shard := range h.Shards() {
			all, err := h.receivedOf(t.Context(), shard)
			if err != nil {
				return false
			}
			for _, last := range all {
				received += int(last)
			}
		}
		return received == len(nodes)
	}, 3*soon, 100*time.Millisecond)
	waited := time.Since(start)
	first, last := took[:max(len(took)/10, 1)], took[len(took)-max(len(took)/10, 1):]
	t.Logf("%d registers: adding one took %v at first and %v at last (means of a tenth); the first entry of the last %v later", len(nodes), mean(first), mean(last), waited)
	t.Logf("memory of the three servers: %d KiB before, %d KiB with the links, %d KiB with the sources; heap of a register's node %d KiB", before, linked, c.memory(), heap)
}

func mean(all []time.Duration) time.Duration {
	var sum time.Duration
	for _, d := range all {
		sum += d
	}
	return sum / time.Duration(len(all))
}

// memory returns the resident memory of the servers in KiB, 0 if it cannot be read.
func (c *cluster) memory() (kib int) {
	for _, s := range c.servers {
		data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.PID()))
		if err != nil {
			return 0
		}
		_, rss, _ := strings.Cut(string(data), "VmRSS:")
		var one int
		_, err = fmt.Sscan(rss, &one)
		require.NoError(c.t, err)
		kib += one
	}
	return kib
}

func heapInUse() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapInuse
}

// BenchmarkOwnLast measures a request for the end of head office's own journal. Head office sends
// it before it applies a batch of entries.
func BenchmarkOwnLast(b *testing.B) {
	ask := func(h *HQNode) func(*testing.B) {
		return func(b *testing.B) {
			for b.Loop() {
				_, err := h.Own().Last(b.Context())
				require.NoError(b, err)
			}
		}
	}
	b.Run("own server", ask(startHQ(b, b.TempDir(), "")))
	b.Run("three stock servers", ask(startCluster(b).hq()))
}

// limit sets another max_file for the streams of all servers, and starts them again.
func (c *cluster) limit(size string) {
	for i, m := range c.members {
		c.servers[i].Stop()
		path := filepath.Join(c.dir, m.Name, confFile)
		conf, err := os.ReadFile(path)
		require.NoError(c.t, err)
		require.NoError(c.t, os.WriteFile(path, regexp.MustCompile(`max_file: \w+`).ReplaceAll(conf, []byte("max_file: "+size)), 0o600))
		c.start(i)
	}
}

// TestStoreLimitOfStockServers fills the servers' share of the disk. Streams over the limit get no
// leader, and entries stay with their register. They arrive once the limit is higher and the
// servers were started again.
func TestStoreLimitOfStockServers(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	c.limit("10MB")
	h := c.hq()
	n := startRegister(t, t.TempDir(), linked(r01, "", enroll(t, h, r01, 1)), c.secured(c.leafs()))
	last := uint64(0)
	require.Eventually(t, func() bool { // entries on their way when the limit is reached still arrive
		require.NoError(t, n.Journal().Append(t.Context(), last, sizedEntry(last+1, 900_000)))
		last++
		for _, s := range c.servers {
			if strings.Contains(s.Log(), "resource limits exceeded") {
				return true
			}
		}
		return false
	}, soon, 100*time.Millisecond)
	appendEntries(t, n.Journal(), last, last+10)

	c.limit("1GB")
	require.Eventually(t, func() bool {
		received, err := h.receivedOf(t.Context(), h.ShardOf(r01))
		return err == nil && received[JournalName{r01, 1}] == last+10
	}, soon, 100*time.Millisecond)
	requireAcked(t, n, last+10)
}
