package main

import (
	"archive/tar"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"

	"github.com/posnode/posnode/internal/stock"
	"github.com/posnode/posnode/register"
)

var serverBefore = flag.String("serverbefore", "", "version of nats-server from which a cluster is upgraded, such as v2.15.2; none: that test skips")

// TestDataOfTheVersionBeforeIsOpened opens the data directories of testdata/before. An earlier
// version left them, on nats-server 2.15.2. The register is in its second epoch and was activated
// by head office. It has one sale suspended in the first epoch, and one sale that head office has
// not received. This version opens both directories, changes no entry, receives the rest, and sells
// on.
func TestDataOfTheVersionBeforeIsOpened(t *testing.T) {
	dir := t.TempDir()
	unpack(t, "testdata/before/2026-11.tar.zst", dir)
	till, hqDir := filepath.Join(dir, "r01"), filepath.Join(dir, "hq")
	command := func(args ...string) string {
		out, err := posnode(args...).CombinedOutput()
		require.NoError(t, err, "%v: %s", args, out)
		return string(out)
	}
	export := func(name string) string {
		path := filepath.Join(dir, name)
		command("audit", "export", till, path)
		raw, err := os.ReadFile(path)
		require.NoError(t, err)
		return string(raw)
	}
	before := export("before.jsonl")

	headOffice := posnode("hq", "--data", hqDir, "--listen-leaf", "127.0.0.1:0", "--http", "127.0.0.1:0")
	leaf := regexp.MustCompile(`registers link to (\S+)`).FindStringSubmatch(firstLine(t, headOffice))
	require.Len(t, leaf, 2)
	p := &process{t: t, dir: till, args: []string{"--hq", leaf[1]}}
	p.start()
	p.token = ""
	p.logOn()
	p.do(100, `{"product":"RIBBON"}`)
	p.do(206, `{}`)
	status := func() (s register.Status) { p.get("/v1/status", &s); return s }
	require.Eventually(t, func() bool { s := status(); return s.HQ.LinkUp && s.Unsent.Entries == 0 }, time.Minute, 50*time.Millisecond)
	require.Eventually(t, func() bool {
		fields := strings.Fields(command("hq", "status", "--data", hqDir, "--json"))
		joined := strings.Join(fields, " ")
		found := regexp.MustCompile(`"announced": (\d+), "received": (\d+), "verified": (\d+),`).FindStringSubmatch(joined)
		return found != nil && found[1] == found[2] && found[2] == found[3] && strings.Contains(joined, `"missing": []`)
	}, time.Minute, 200*time.Millisecond)
	require.Contains(t, command("hq", "findings", "--data", hqDir), "nothing is open")
	p.do(504, `{"transaction":"`+suspendedBefore(t, before)+`"}`)
	p.do(206, `{}`)
	p.stop()
	require.NoError(t, headOffice.Process.Signal(syscall.SIGTERM))
	require.NoError(t, headOffice.Wait())

	command("audit", "verify", till)
	require.True(t, strings.HasPrefix(export("after.jsonl"), before), "an entry of the version before was changed")
}

// TestClusterIsUpgradedServerByServer upgrades a cluster from the previous nats-server as
// docs/operate.md describes, one server after the other, while registers sell. No entry is lost,
// none is stored twice, and every day is certified.
func TestClusterIsUpgradedServerByServer(t *testing.T) {
	if *serverBefore == "" {
		t.Skip("no -serverbefore was given: it takes minutes to build one")
	}
	binary, err := stock.BuildVersion(t.Context(), *serverBefore)
	require.NoError(t, err)
	f := startStockFleet(t, binary)
	f.startTills(f.invoices())
	f.sell(t.Context(), *fleetSales, func() {})
	f.caughtUp(f.hqs[0], "sold with the servers before", f.total(), time.Now())
	newer, err := stock.Build(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(filepath.Dir(newer))) })
	f.binary = newer
	for i := range f.servers {
		f.sell(t.Context(), *fleetSales, func() {
			f.servers[i].Stop()
			f.startServer(i)
		})
		f.caughtUp(f.hqs[0], "sold while "+f.members[i].Name+" was upgraded", f.total(), time.Now())
	}
	f.requireUnion()
	f.requireCertificates()
}

// suspendedBefore returns the id of the suspended transaction in an exported journal.
func suspendedBefore(t *testing.T, journal string) string {
	for line := range strings.Lines(journal) {
		if strings.Contains(line, `"type":"sale.suspended.v1"`) {
			id := regexp.MustCompile(`"subject":"([^"]+)"`).FindStringSubmatch(line)
			require.Len(t, id, 2)
			return id[1]
		}
	}
	require.Fail(t, "no transaction was suspended")
	return ""
}

// unpack writes the files of a tar archive in zstd below a directory.
func unpack(t *testing.T, archive, dir string) {
	f, err := os.Open(archive)
	require.NoError(t, err)
	defer f.Close()
	raw, err := zstd.NewReader(f)
	require.NoError(t, err)
	defer raw.Close()
	for entries := tar.NewReader(raw); ; {
		header, err := entries.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		require.NoError(t, err)
		path := filepath.Join(dir, header.Name)
		if header.FileInfo().IsDir() {
			require.NoError(t, os.MkdirAll(path, 0o700))
			continue
		}
		body, err := io.ReadAll(entries)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(path, body, 0o600))
	}
}
