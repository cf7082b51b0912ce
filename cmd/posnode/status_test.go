package main

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/posnode/posnode/embedded"
	"github.com/posnode/posnode/register"
)

// TestStatusCommand prints the status of a running register for a person and as JSON. It also shows
// the error if no register runs.
func TestStatusCommand(t *testing.T) {
	p := newProcess(t)
	p.start()
	defer p.stop()
	out, err := posnode("status", "--at", p.url).CombinedOutput()
	require.NoError(t, err, "%s", out)
	for _, want := range []string{"register", "s001-r01", "mode", "offline", "none: this register stands alone", "imported here, the newest 2", "  product"} {
		require.Contains(t, string(out), want)
	}
	require.NotContains(t, string(out), "never")
	out, err = posnode("status", "--at", p.url, "--json").Output()
	require.NoError(t, err)
	var status register.Status
	require.NoError(t, json.Unmarshal(out, &status))
	require.Equal(t, "s001-r01", status.Register.String())

	out, err = posnode("status", "--at", "http://127.0.0.1:1").CombinedOutput()
	require.Error(t, err)
	require.Contains(t, string(out), "posnode: error: reach the register")
	require.Contains(t, string(out), "posnode: hint:")
	out, err = posnode("status", "--at", p.url+"/nowhere").CombinedOutput()
	require.Error(t, err)
	require.Contains(t, string(out), "There is nothing at this address.")
}

// TestStatusShowsWhatHeadOfficeSays shows that the printed status holds head office's mark and
// findings.
func TestStatusShowsWhatHeadOfficeSays(t *testing.T) {
	var s register.Status
	s.HQ.Protection = embedded.Unprotected
	s.HQ.Configured, s.HQ.Version, s.HQ.Marked, s.Head.Sequence, s.Offline.Sequence = true, "v1.2", 40, 42, 41
	s.HQ.Contact = time.Date(2026, 3, 2, 9, 15, 0, 0, time.UTC)
	s.HQ.Findings = []string{"gap at 1/7: want entry 7, got entry 8"}
	var out strings.Builder
	require.NoError(t, printStatus(&out, &s))
	for _, want := range []string{"version v1.2, heard of last 2026-03-02T09:15:00Z: it has verified 40 of 42 entries", "finding of head office", "gap at 1/7", "entry 41 of 42", "nothing: it is plain text"} {
		require.Contains(t, out.String(), want)
	}
}
