package embedded

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"
)

// certified writes a certificate authority, and a certificate for 127.0.0.1 signed by it.
func certified(t testing.TB) (ca, cert, key string) {
	dir := t.TempDir()
	a, err := newAuthority()
	require.NoError(t, err)
	certPEM, keyPEM, err := a.sign("127.0.0.1")
	require.NoError(t, err)
	for name, data := range map[string][]byte{caFile: a.cert, certFile: certPEM, keyFile: keyPEM} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), data, 0o600))
	}
	return filepath.Join(dir, caFile), filepath.Join(dir, certFile), filepath.Join(dir, keyFile)
}

func TestLinkByTLS(t *testing.T) {
	t.Parallel()
	ca, cert, key := certified(t)
	h, err := StartHQ(t.Context(), HQConfig{Dir: t.TempDir(), ListenLeaf: "127.0.0.1:0", Cert: cert, Key: key})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, h.Close()) })
	require.True(t, strings.HasPrefix(h.LeafURL(), "tls://"))
	creds := enroll(t, h, r01, 1)
	trusting := func(c *RegisterConfig) { c.CA = ca }

	n := startRegister(t, t.TempDir(), linked(r01, h.LeafURL(), creds), trusting)
	appendEntries(t, n.Journal(), 0, 20)
	requireAtHQ(t, h, JournalName{r01, 1}, 20)
	require.NoError(t, n.SetLink(false))
	require.Eventually(t, func() bool { return !n.Link().Connected }, soon, 10*time.Millisecond)
	require.NoError(t, n.SetLink(true))
	appendEntries(t, n.Journal(), 20, 40)
	requireAtHQ(t, h, JournalName{r01, 1}, 40)
	require.NoError(t, n.Close())

	otherCA, _, _ := certified(t)
	for name, refused := range map[string]struct {
		change func(*RegisterConfig)
		says   string
	}{
		"another authority": {func(c *RegisterConfig) { c.CA = otherCA }, "certificate signed by unknown authority"},
		"no authority":      {func(c *RegisterConfig) { c.CA = "" }, "certificate signed by unknown authority"},
		"another name":      {func(c *RegisterConfig) { c.HQ = strings.Replace(c.HQ, "127.0.0.1", "localhost", 1) }, "match localhost"},
		"no TLS":            {func(c *RegisterConfig) { c.HQ, c.CA = strings.Replace(c.HQ, "tls://", "nats-leaf://", 1), "" }, "there is no link"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var log logText
			n := startRegister(t, t.TempDir(), linked(r01, h.LeafURL(), creds), trusting, refused.change, func(c *RegisterConfig) {
				c.Logger, c.patience = log.logger(), 500*time.Millisecond
			})
			require.Eventually(t, func() bool { return strings.Contains(log.String(), refused.says) }, soon, 20*time.Millisecond, "log:\n%s", &log)
			require.False(t, n.Link().Connected)
			appendEntries(t, n.Journal(), 0, 1)
		})
	}

	for want, change := range map[string]func(*RegisterConfig){
		"authority of HQ's certificate": func(c *RegisterConfig) { c.CA = "absent.pem" },
		"no certificate in":             func(c *RegisterConfig) { c.CA = key },
		"want tls://":                   func(c *RegisterConfig) { c.HQ = "nats-leaf://127.0.0.1:1" },
		"want nats-leaf://":             func(c *RegisterConfig) { c.HQ = "http://127.0.0.1:1" },
	} {
		cfg := RegisterConfig{Dir: t.TempDir(), Register: r01, Epoch: 1, HQ: h.LeafURL(), CA: ca}
		change(&cfg)
		_, err := StartRegister(t.Context(), cfg)
		require.ErrorContains(t, err, want)
	}
}

// TestReaderByTLS shows that readers connect by TLS with the certificate of the links, and not
// without.
func TestReaderByTLS(t *testing.T) {
	t.Parallel()
	ca, cert, key := certified(t)
	var log logText
	dir := t.TempDir()
	h, err := StartHQ(t.Context(), HQConfig{Dir: dir, Listen: "127.0.0.1:0", ListenLeaf: "127.0.0.1:0", Cert: cert, Key: key, Logger: log.logger()})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, h.Close()) })
	require.True(t, strings.HasPrefix(h.ClientURL(), "tls://"))
	n := startRegister(t, t.TempDir(), linked(r01, h.LeafURL(), enroll(t, h, r01, 1)), func(c *RegisterConfig) { c.CA = ca })
	appendEntries(t, n.Journal(), 0, 5)
	requireAtHQ(t, h, JournalName{r01, 1}, 5)

	nc, refused := startReader(t, h.ClientURL(), dir, "books", nats.RootCAs(ca))
	state, err := nc.TLSConnectionState()
	require.NoError(t, err)
	require.GreaterOrEqual(t, state.Version, uint16(tls.VersionTLS12))
	require.Len(t, ask(t, nc, "$JS.API.DIRECT.GET."+shardOf(r01), `{"seq":1,"batch":10}`), 5)
	require.Empty(t, refused)

	// A URL without tls does not avoid TLS either.
	for _, url := range []string{h.ClientURL(), strings.Replace(h.ClientURL(), "tls://", "nats://", 1)} {
		_, err = nats.Connect(url, nats.UserCredentials(readerCreds(t, dir, "spy")))
		require.ErrorContains(t, err, "certificate signed by unknown authority")
	}
	conn, err := net.Dial("tcp", strings.TrimPrefix(h.ClientURL(), "tls://"))
	require.NoError(t, err)
	defer conn.Close()
	_, err = conn.Write([]byte("CONNECT {}\r\nPING\r\n"))
	require.NoError(t, err)
	said, err := io.ReadAll(conn)
	require.True(t, err == nil || errors.Is(err, syscall.ECONNRESET), "%v", err)
	require.Contains(t, string(said), `"tls_required":true`)
	require.NotContains(t, string(said), "PONG")
	require.NotContains(t, log.String(), "is not encrypted")
}

// TestPlainListenersAreRefused shows that a listener for other machines needs a certificate, or an
// explicit permission with a warning in the log.
func TestPlainListenersAreRefused(t *testing.T) {
	t.Parallel()
	for addr, told := range map[string]int{"127.0.0.1:0": 0, "localhost:0": 0, "[::1]:0": 0, "0.0.0.0:0": 2, "[::]:0": 2, ":0": 2} {
		t.Run(addr, func(t *testing.T) {
			var log logText
			cfg := HQConfig{Dir: t.TempDir(), Listen: addr, ListenLeaf: addr, Logger: log.logger()}
			if told > 0 {
				for _, one := range []HQConfig{{Dir: cfg.Dir, Listen: addr}, {Dir: cfg.Dir, ListenLeaf: addr}} {
					_, err := StartHQ(t.Context(), one)
					var refused *PlaintextError
					require.ErrorAs(t, err, &refused)
				}
				cfg.AllowPlaintext = true
			}
			h, err := StartHQ(t.Context(), cfg)
			require.NoError(t, err)
			require.Len(t, h.Plaintext(), told)
			require.NoError(t, h.Close())
			require.Equal(t, told, strings.Count(log.String(), "is not encrypted"), "%s", &log)
		})
	}
}

// TestPlainLinkIsRefused shows that a register's link to another machine needs TLS, or an explicit
// permission with a warning in the log.
func TestPlainLinkIsRefused(t *testing.T) {
	t.Parallel()
	for hq, want := range map[string]Protection{
		"nats-leaf://127.0.0.1:7422": ProtectedByLoopback, "nats-leaf://[::1]:7422,nats-leaf://localhost:1": ProtectedByLoopback,
		"tls://hq.example:7422": ProtectedByTLS, "nats-leaf://hq.example:7422,tls://hq.example:7422": ProtectedByTLS,
		"nats-leaf://hq.example:7422": Unprotected, "nats-leaf://127.0.0.1:1, nats-leaf://192.0.2.1:7422": Unprotected,
		"nats-leaf://127.0.0.1.hq.example:1": Unprotected, "nats-leaf://0.0.0.0:7422": Unprotected,
	} {
		got, err := LinkProtection(hq)
		require.NoError(t, err, hq)
		require.Equal(t, want, got, hq)
	}
	var log logText
	cfg := RegisterConfig{Dir: t.TempDir(), Register: r01, Epoch: 1, HQ: "nats-leaf://192.0.2.1:7422", Logger: log.logger()}
	_, err := StartRegister(t.Context(), cfg)
	var refused *PlaintextError
	require.ErrorAs(t, err, &refused)
	cfg.AllowPlaintext = true
	n, err := StartRegister(t.Context(), cfg)
	require.NoError(t, err)
	require.Equal(t, Unprotected, n.Link().Protection)
	require.NoError(t, n.Close())
	require.Contains(t, log.String(), "is not encrypted")
}

// TestPlainClusterIsRefused shows that head office refuses to reach the servers of a cluster on
// other machines without TLS.
func TestPlainClusterIsRefused(t *testing.T) {
	t.Parallel()
	for urls, want := range map[string]Protection{
		"nats://127.0.0.1:1": ProtectedByLoopback, "127.0.0.1:1": ProtectedByLoopback, "tls://a:1,nats://b:1": ProtectedByTLS,
		"nats://a:1": Unprotected, "a:1": Unprotected, "nats://127.0.0.1:1,nats://a:1": Unprotected,
	} {
		require.Equal(t, want, clusterProtection(strings.Split(urls, ","), ""), urls)
	}
	require.Equal(t, ProtectedByTLS, clusterProtection([]string{"nats://a:1"}, "ca.pem"))
	dir := t.TempDir()
	_, err := openKeys(dir)
	require.NoError(t, err)
	_, err = StartHQ(t.Context(), HQConfig{Dir: dir, URLs: []string{"nats://192.0.2.1:4222"}})
	var refused *PlaintextError
	require.ErrorAs(t, err, &refused)
}

// TestHalfOpenLink loses packets without an error, on a link that is up and while a link is being
// made.
func TestHalfOpenLink(t *testing.T) {
	t.Parallel()
	h := startHQ(t, t.TempDir(), "127.0.0.1:0")
	proxy := startProxy(t, h.LeafURL())
	var log logText
	n := startRegister(t, t.TempDir(), linked(r01, proxy.url(), enroll(t, h, r01, 1)), func(c *RegisterConfig) {
		c.Logger, c.patience, c.ping = log.logger(), time.Second, time.Second
	})
	appendEntries(t, n.Journal(), 0, 10)
	requireAcked(t, n, 10)

	start := time.Now()
	proxy.swallowed.Store(true)
	appendEntries(t, n.Journal(), 10, 20)
	require.Eventually(t, func() bool { return !n.Link().Connected }, soon, 50*time.Millisecond)
	t.Logf("a half-open link was found dead after %v, with a ping every second instead of every 15", time.Since(start))
	appendEntries(t, n.Journal(), 20, 30)
	require.Eventually(t, func() bool { return strings.Contains(log.String(), "switched off and on") }, soon, 50*time.Millisecond, "log:\n%s", &log)
	require.Eventually(t, func() bool { return strings.Contains(log.String(), "restart this register") }, soon, 50*time.Millisecond, "log:\n%s", &log)

	start = time.Now()
	proxy.swallowed.Store(false)
	requireAtHQ(t, h, JournalName{r01, 1}, 30)
	t.Logf("packets arrive again, everything at HQ after %v", time.Since(start))
	require.True(t, n.Link().Connected)
}
