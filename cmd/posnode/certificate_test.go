package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/posnode/posnode/register"
)

// TestPeriodIsClosedOnTheCommandLine follows docs/operate.md, with real processes. A till sells, is
// cut off, sells on and closes its shift. Head office names the register that stands in the way of
// the period, and the reason. When every entry has arrived and the till has seen the next day, head
// office certifies the day and closes the period. An auditor with the public key and the till's
// directory checks the certificate.
func TestPeriodIsClosedOnTheCommandLine(t *testing.T) {
	dir := t.TempDir()
	hqDir := filepath.Join(dir, "hq")
	command := func(exit int, args ...string) string {
		t.Helper()
		cmd := posnode(args...)
		out, err := cmd.CombinedOutput()
		require.Equal(t, exit, cmd.ProcessState.ExitCode(), "%v: %v: %s", args, err, out)
		return string(out)
	}
	headOffice := posnode("hq", "--data", hqDir, "--listen-leaf", "127.0.0.1:0", "--http", "127.0.0.1:0")
	leaf := regexp.MustCompile(`registers link to (\S+)`).FindStringSubmatch(firstLine(t, headOffice))
	require.Len(t, leaf, 2)
	defer func() {
		require.NoError(t, headOffice.Process.Signal(syscall.SIGTERM))
		require.NoError(t, headOffice.Wait())
	}()
	command(0, "hq", "import", "--data", hqDir, "shop.jsonl")
	bootstrap := filepath.Join(dir, "s001-r01.creds")
	code, _, _ := strings.Cut(command(0, "hq", "code", "--data", hqDir, "s001-r01", "--bootstrap", bootstrap), "\n")

	// At the western end of the time zones the date is one or two days behind that of a till at the
	// eastern end.
	const west, east = "Etc/GMT+12", "Etc/GMT-14"
	p := &process{t: t, dir: filepath.Join(dir, "till"), args: []string{"--zone", west, "--hq", leaf[1], "--bootstrap", bootstrap}}
	p.start()
	status := func() (s register.Status) { p.get("/v1/status", &s); return s }
	arrived := func() bool { s := status(); return s.HQ.LinkUp && s.HQ.Marked == s.Head.Sequence }
	sell := func() {
		p.do(100, `{"product":"TEA-080"}`)
		p.do(206, `{}`)
	}
	require.Eventually(t, func() bool { return status().HQ.LinkUp }, time.Minute, 50*time.Millisecond)
	p.do(707, fmt.Sprintf(`{"code":%q}`, code))
	require.Eventually(t, func() bool { return len(status().Reference) > 0 }, time.Minute, 50*time.Millisecond)
	p.openShift()
	sell()
	require.Eventually(t, arrived, time.Minute, 50*time.Millisecond)
	var opened []struct {
		Data struct {
			BusinessDate string `json:"business_date"`
		} `json:"data"`
	}
	p.get("/v1/journal?type=shift.opened.v1", &opened)
	require.Len(t, opened, 1)
	date := opened[0].Data.BusinessDate

	// The till sells on without head office and closes its shift.
	p.stop()
	p.args = []string{"--zone", west}
	p.start()
	p.logOn()
	sell()
	p.do(1055, `{}`)
	require.Less(t, status().HQ.Marked, status().Head.Sequence)
	refused := command(1, "hq", "close-period", "--data", hqDir, date, date)
	require.Contains(t, refused, "posnode: error: period_incomplete: The period is not complete: s001-r01 on "+date+": shift s001-r01-1-s1 is open")
	require.Contains(t, refused, "posnode: hint: Have what is missing sent")
	require.Contains(t, command(1, "hq", "certificate", "--data", hqDir, "s001-r01", date), "no certificate: s001-r01 on "+date+": shift s001-r01-1-s1 is open")

	// The unsent entries arrive. The day is not over: another shift can be opened.
	p.stop()
	p.args = []string{"--zone", west, "--hq", leaf[1]}
	p.start()
	p.logOn()
	require.Eventually(t, arrived, time.Minute, 50*time.Millisecond)
	require.Contains(t, command(1, "hq", "close-period", "--data", hqDir, date, date), "s001-r01 on "+date+": the day is not over")
	p.stop()
	p.args = []string{"--zone", east, "--hq", leaf[1]}
	p.start()
	p.logOn()
	certificate := ""
	require.Eventually(t, func() bool {
		out, err := posnode("hq", "certificate", "--data", hqDir, "s001-r01", date).Output()
		certificate = string(out)
		return err == nil
	}, time.Minute, 100*time.Millisecond)

	closed := command(0, "hq", "close-period", "--data", hqDir, date, date)
	require.Contains(t, closed, date+" to "+date+" is closed: 1 certificates, digest ")
	require.Contains(t, closed, "s001-r01  GBP  2 transactions")
	require.Equal(t, closed, command(0, "hq", "close-period", "--data", hqDir, date, date), "closing again changes nothing")
	tomorrow, err := time.Parse(time.DateOnly, date)
	require.NoError(t, err)
	require.Contains(t, command(1, "hq", "close-period", "--data", hqDir, date, tomorrow.AddDate(0, 0, 1).Format(time.DateOnly)), "period_overlaps")
	require.Contains(t, command(1, "hq", "certificate", "--data", hqDir, "s001-r02", date), "nothing has ever come of it")
	require.Contains(t, command(0, "hq", "findings", "--data", hqDir), "nothing is open")

	key := strings.TrimSpace(command(0, "hq", "public-key", "--data", hqDir))
	file := filepath.Join(dir, "certificate")
	require.NoError(t, os.WriteFile(file, []byte(certificate), 0o600))
	p.stop()
	require.Contains(t, command(0, "audit", "certificate", "--key", key, "--journal", p.dir, file), "2 transactions")
}
