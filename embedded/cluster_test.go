package embedded

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/posnode/posnode/events"
	"github.com/posnode/posnode/internal/stock"
)

// stockBinary is the stock server, built once for all tests and removed by TestMain.
var stockBinary = sync.OnceValues(func() (string, error) {
	builtStock = true
	return stock.Build(context.Background())
})

var builtStock bool

// cluster is three stock servers on loopback, and nothing of ours in them.
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

// hq starts an instance of head office with what InitCluster made for it.
func (c *cluster) hq() *HQNode {
	dir := c.t.TempDir()
	require.NoError(c.t, os.CopyFS(dir, os.DirFS(filepath.Join(c.dir, HQFolder))))
	ctx, cancel := context.WithTimeout(c.t.Context(), soon)
	defer cancel()
	h, err := StartHQ(ctx, HQConfig{Dir: dir, URLs: c.urls(), Creds: filepath.Join(dir, hqCreds), CA: filepath.Join(dir, caFile)})
	require.NoError(c.t, err)
	c.t.Cleanup(func() { require.NoError(c.t, h.Close()) })
	return h
}

// secured is a link by TLS to leaf URLs of the cluster.
func (c *cluster) secured(urls string) func(*RegisterConfig) {
	return func(cfg *RegisterConfig) { cfg.HQ, cfg.CA = urls, c.ca() }
}

func TestClusterOfStockServers(t *testing.T) {
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
	c := startCluster(t)
	addAtOnce(t, 100, c.hq(), c.hq())
}

func TestRevokeOnACluster(t *testing.T) {
	c := startCluster(t)
	h := c.hq()
	other := c.hq()
	requireRevocation(t, h, c.leafs, func(r events.Register) string { return enroll(t, other, r, 1) }, c.secured(c.leafs()))
}
