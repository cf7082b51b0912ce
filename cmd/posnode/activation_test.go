package main

import (
	"bufio"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/posnode/posnode/register"
)

// TestTillIsActivatedOnTheCommandLine follows docs/activation.md and docs/operate.md, with real
// processes. Head office imports a shop. A new till is activated by a code, receives the shop over
// the link and sells. It starts again without the file that came with the code. It also goes on
// after its directory was put back from a copy.
func TestTillIsActivatedOnTheCommandLine(t *testing.T) {
	dir := t.TempDir()
	hqDir := filepath.Join(dir, "hq")
	command := func(args ...string) string {
		out, err := posnode(args...).CombinedOutput()
		require.NoError(t, err, "%v: %s", args, out)
		return string(out)
	}
	headOffice := posnode("hq", "--data", hqDir, "--listen-leaf", "127.0.0.1:0", "--http", "127.0.0.1:0")
	leaf := regexp.MustCompile(`registers link to (\S+)`).FindStringSubmatch(firstLine(t, headOffice))
	require.Len(t, leaf, 2)
	defer func() {
		require.NoError(t, headOffice.Process.Signal(syscall.SIGTERM))
		require.NoError(t, headOffice.Wait())
	}()
	command("hq", "import", "--data", hqDir, "shop.jsonl")
	bootstrap := filepath.Join(dir, "s001-r01.creds")
	code, _, _ := strings.Cut(command("hq", "code", "--data", hqDir, "s001-r01", "--bootstrap", bootstrap), "\n")

	p := &process{t: t, dir: filepath.Join(dir, "till"), args: []string{"--hq", leaf[1], "--bootstrap", bootstrap}}
	p.start()
	status := func() (s register.Status) { p.get("/v1/status", &s); return s }
	require.Eventually(t, func() bool { return status().HQ.LinkUp }, time.Minute, 50*time.Millisecond)
	require.Len(t, status().Warnings, 1)
	require.Contains(t, status().Warnings[0], "This register is not activated")
	refused, err := p.try(700, newKey(), `{"staff":"7","pin":"1357"}`)
	require.NoError(t, err)
	require.Equal(t, "register_not_activated", refused.Code)
	p.do(707, fmt.Sprintf(`{"code":%q}`, code))
	require.Eventually(t, func() bool { return len(status().Reference) > 0 }, time.Minute, 50*time.Millisecond)
	p.openShift()
	p.do(100, `{"product":"TEA-080"}`)
	p.do(206, `{}`)
	p.stop()
	require.NotContains(t, p.stderr.String(), "level=WARN", "that it waits for its activation is nothing to warn of")

	yesterday := filepath.Join(dir, "yesterday")
	require.NoError(t, os.CopyFS(yesterday, os.DirFS(p.dir)))
	p.args = []string{"--hq", leaf[1]}
	p.start()
	p.logOn()
	require.Eventually(t, func() bool { s := status(); return s.HQ.LinkUp && s.Unsent.Entries == 0 }, time.Minute, 50*time.Millisecond)
	p.stop()

	// Yesterday's copy is put back. That is detected, a new code lets the till go on, and a person
	// accepts the finding.
	require.NoError(t, os.RemoveAll(p.dir))
	require.NoError(t, os.Rename(yesterday, p.dir))
	p.start()
	require.Eventually(t, func() bool { return status().Damage != nil }, time.Minute, 50*time.Millisecond)
	p.token = ""
	refused, err = p.try(700, newKey(), `{"staff":"7","pin":"1357"}`)
	require.NoError(t, err)
	require.Equal(t, "register_frozen", refused.Code)
	require.Eventually(t, func() bool {
		return strings.Contains(command("hq", "findings", "--data", hqDir), "1  rollback  s001-r01 epoch 1 ")
	}, time.Minute, 200*time.Millisecond)
	code, _, _ = strings.Cut(command("hq", "code", "--data", hqDir, "s001-r01"), "\n")
	p.do(707, fmt.Sprintf(`{"code":%q}`, code))
	p.openShift()
	// Until the new epoch is here, something is missing, and the findings say so.
	require.Eventually(t, func() bool { s := status(); return s.HQ.Marked == s.Head.Sequence && s.Unsent.Entries == 0 }, time.Minute, 50*time.Millisecond)
	p.stop()
	require.Contains(t, command("hq", "accept-finding", "--data", hqDir, "1", "a copy was put back"), "finding 1 is accepted")
	require.Contains(t, command("hq", "findings", "--data", hqDir), "nothing is open")
	require.Contains(t, command("hq", "findings", "--data", hqDir, "--all"), "accepted")
}

// firstLine starts a process and returns the first line of its output.
func firstLine(t *testing.T, cmd *exec.Cmd) string {
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	return line
}

// TestDemoServes shows that the demo's pages are at the addresses that it prints.
func TestDemoServes(t *testing.T) {
	cmd := posnode("demo", "--serve")
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	served := 0
	for lines := bufio.NewScanner(out); lines.Scan() && !strings.Contains(lines.Text(), "Ctrl-C"); {
		at := regexp.MustCompile(`(http://\S+)(?: \(token (\S+)\))?$`).FindStringSubmatch(lines.Text())
		if at == nil {
			continue
		}
		req, err := http.NewRequest(http.MethodGet, at[1], nil)
		require.NoError(t, err)
		req.Header.Set("Authorization", "Bearer "+at[2])
		resp, err := client.Do(req)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		require.Equal(t, http.StatusOK, resp.StatusCode, lines.Text())
		served++
	}
	require.Equal(t, 3, served)
	require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
	require.NoError(t, cmd.Wait())
}
