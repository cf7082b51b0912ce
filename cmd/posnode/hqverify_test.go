package main

import (
	"bytes"
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/posnode/posnode/hq"
	"github.com/posnode/posnode/register"
	"github.com/posnode/posnode/web"
)

// TestPeriodIsClosed sells a day, closes and certifies it, and closes the period on the command
// line. An auditor checks the certificate with head office's public key and the till's own journal.
func TestPeriodIsClosed(t *testing.T) {
	dir, log := t.TempDir(), slog.New(slog.DiscardHandler)
	hqDir := filepath.Join(dir, "hq")
	h, err := hq.Open(t.Context(), hq.Config{Dir: hqDir, ListenLeaf: "127.0.0.1:0", Clock: time.Now, Logger: log})
	require.NoError(t, err)
	defer func() { require.NoError(t, h.Close()) }()
	server := httptest.NewServer(web.HQ(h, "secret", log))
	defer server.Close()
	require.NoError(t, hqAddress{URL: server.URL, Token: "secret"}.write(hqDir))
	command := func(want int, args ...string) string {
		var out bytes.Buffer
		require.Equal(t, want, run(args, stdio{strings.NewReader(""), &out, &out}), "%v: %s", args, &out)
		return out.String()
	}

	name := demoRegisters[0]
	creds, err := hq.Enroll(hqDir, name)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "creds"), creds, 0o600))
	var late atomic.Int64 // the till's clock
	late.Store(int64(-24 * time.Hour))
	till := &till{}
	open := func() {
		till.Register, err = register.Open(t.Context(), register.Config{
			Dir: filepath.Join(dir, "till"), Register: name, HQ: h.LeafURL(), Creds: filepath.Join(dir, "creds"), Zone: time.UTC, Logger: log,
			Clock: func() time.Time { return time.Now().Add(time.Duration(late.Load())) },
		})
		require.NoError(t, err)
		require.NoError(t, waitFor(t.Context(), "the link", till.Linked))
	}
	open()
	report, err := till.Reference().Import(t.Context(), bytes.NewReader(shopData), time.Now(), false)
	require.NoError(t, err, "%v", report.Problems)
	require.NoError(t, till.open(t.Context()))
	for _, inv := range builtInInvoices()[:5] {
		require.NoError(t, till.sellInvoice(t.Context(), inv, func() error { return nil }))
	}
	yesterday := time.Now().Add(-24 * time.Hour).UTC().Format(time.DateOnly)
	arrived := func() bool {
		all, err := h.Registers(t.Context())
		require.NoError(t, err)
		return len(all) == 1 && all[0].Verified == till.View().Head.Sequence && all[0].Announced == all[0].Verified
	}
	require.Eventually(t, arrived, time.Minute, 20*time.Millisecond)
	require.Contains(t, command(1, "hq", "certificate", "--data", hqDir, name.String(), yesterday), "is open")
	require.Contains(t, command(1, "hq", "close-period", "--data", hqDir, yesterday, yesterday), "period_incomplete")

	_, err = till.do(t.Context(), 1055, nil)
	require.NoError(t, err)
	require.Eventually(t, arrived, time.Minute, 20*time.Millisecond)
	require.Contains(t, command(1, "hq", "close-period", "--data", hqDir, yesterday, yesterday), "the day is not over")
	late.Store(0) // the till lives to see the next day
	require.Eventually(t, func() bool {
		c, _, err := h.Certify(t.Context(), name, yesterday)
		require.NoError(t, err)
		return c != nil
	}, time.Minute, 100*time.Millisecond)

	require.Contains(t, command(0, "hq", "close-period", "--data", hqDir, yesterday, yesterday), "5 transactions")
	require.Regexp(t, `s001-r01 +1 +o(n|ff)line.* nothing +0 `, command(0, "hq", "status", "--data", hqDir))
	require.Contains(t, command(1, "hq", "close-period", "--data", hqDir, yesterday, yesterday+"x"), "invalid_parameter")

	// A register that was enrolled and has never linked may have sold, so the period waits for it.
	require.NotContains(t, command(0, "hq", "enroll", "--data", hqDir, "s001-r09", filepath.Join(dir, "r09")), "head office will know")
	require.Contains(t, command(0, "hq", "status", "--data", hqDir), "s001-r09")
	today := time.Now().UTC().Format(time.DateOnly)
	require.Contains(t, command(1, "hq", "close-period", "--data", hqDir, today, today), "s001-r09 on "+today+": nothing has ever come of it")
	require.Contains(t, command(0, "hq", "enroll", "--data", notRunning(t), "s001-r10", filepath.Join(dir, "r10")), "head office will know of s001-r10 when it has linked")
	certificate := filepath.Join(dir, "certificate")
	require.NoError(t, os.WriteFile(certificate, []byte(command(0, "hq", "certificate", "--data", hqDir, name.String(), yesterday)), 0o600))
	key := strings.TrimSpace(command(0, "hq", "public-key", "--data", hqDir))
	require.NoError(t, till.Close())

	require.Contains(t, command(0, "audit", "certificate", "--key", key, "--journal", filepath.Join(dir, "till"), certificate), "5 transactions")
	raw, err := os.ReadFile(certificate)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(certificate, bytes.Replace(raw, []byte("entries 1 1 "), []byte("entries 1 2 "), 1), 0o600))
	command(1, "audit", "certificate", "--key", key, certificate)
}

// notRunning returns the data directory of a head office that is not running.
func notRunning(t *testing.T) (dir string) {
	dir = t.TempDir()
	h, err := hq.Open(t.Context(), hq.Config{Dir: dir, Clock: time.Now, Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	require.NoError(t, h.Close())
	return dir
}
