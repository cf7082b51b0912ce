package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/posnode/posnode/embedded"
	"github.com/posnode/posnode/hq"
	"github.com/posnode/posnode/internal/stock"
)

// TestInitOneServer shows that the commands that 'posnode hq init' prints for a single server work.
// A command that cannot work ends at once with a hint.
func TestInitOneServer(t *testing.T) {
	t.Parallel()
	code, said := posnodeSays(t, "hq", "init", filepath.Join(t.TempDir(), "one"), "--host", "a.example")
	require.Zero(t, code, said)
	require.Contains(t, said, "--nats tls://a.example:4222 --replicas 1\n")
	code, said = posnodeSays(t, "hq", "init", filepath.Join(t.TempDir(), "three"), "--host", "a.example", "--host", "b.example", "--host", "c.example")
	require.Zero(t, code, said)
	require.NotContains(t, said, "--replicas")
	code, said = posnodeSays(t, "hq", "init", filepath.Join(t.TempDir(), "sized"), "--host", "a.example", "--max-file", "much")
	require.Equal(t, exitFailed, code)
	require.Contains(t, said, `"much" is no size, such as 500GB`)

	binary, err := stock.Build(t.Context())
	if err != nil {
		t.Skipf("no stock nats-server here: %v", err)
	}
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(filepath.Dir(binary))) })
	ports, err := stock.Ports(3)
	require.NoError(t, err)
	dir := filepath.Join(t.TempDir(), "made")
	require.NoError(t, hq.InitCluster(dir, []embedded.ClusterServer{{Name: "n1", Host: "localhost", ClientPort: ports[0], RoutePort: ports[1], LeafPort: ports[2], MaxFile: "1GB"}}))
	data := filepath.Join(dir, "hq")
	run := []string{"hq", "run", "--data", data, "--creds", filepath.Join(data, "hq.creds"), "--http", "127.0.0.1:0", "--nats", fmt.Sprintf("tls://localhost:%d", ports[0])}

	// The server is not up yet. Head office logs that and goes on trying.
	head := posnode(append(run, "--ca", filepath.Join(data, "ca.pem"), "--replicas", "1")...)
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	require.NoError(t, err)
	defer log.Close()
	head.Stdout, head.Stderr = log, log
	says := func(what string) int {
		data, err := os.ReadFile(log.Name())
		require.NoError(t, err)
		return strings.Count(string(data), what)
	}
	require.NoError(t, head.Start())
	t.Cleanup(func() { _ = head.Process.Kill() })
	require.Eventually(t, func() bool { return says("the cluster is not ready") > 0 }, time.Minute, 10*time.Millisecond)
	server, err := stock.Start(binary, filepath.Join(dir, "n1"))
	require.NoError(t, err)
	t.Cleanup(server.Stop)
	require.Eventually(t, func() bool { return says("head office is up") > 0 }, time.Minute, 10*time.Millisecond)
	require.NoError(t, head.Process.Signal(os.Interrupt))
	require.NoError(t, head.Wait())
	require.Equal(t, 1, says("the cluster is not ready"), "once")

	start := time.Now()
	code, said = posnodeSays(t, run...)
	require.Equal(t, exitFailed, code)
	require.Contains(t, said, "certificate signed by unknown authority")
	require.Contains(t, said, "hint: --ca names the authority")
	code, said = posnodeSays(t, append(run, "--ca", filepath.Join(data, "ca.pem"))...)
	require.Equal(t, exitFailed, code)
	require.Contains(t, said, "a server alone keeps no replicas")
	require.Contains(t, said, "hint: on a single server say --replicas 1")
	require.Less(t, time.Since(start), 30*time.Second)
}
