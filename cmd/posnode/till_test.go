package main

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"
)

// process runs `posnode register` as a process of its own, and is a client of its API.
type process struct {
	t    *testing.T
	name string // "": s001-r01
	dir  string
	args []string // beside --data, --name and --listen

	cmd    *exec.Cmd
	url    string
	token  string
	stderr *bytes.Buffer
}

// newProcess prepares a register in a new directory, with the built-in shop.
func newProcess(t *testing.T) *process {
	dir := t.TempDir()
	shop := filepath.Join(dir, "shop.jsonl")
	require.NoError(t, os.WriteFile(shop, shopData, 0o600))
	return &process{t: t, dir: filepath.Join(dir, "data"), args: []string{"--reference", shop}}
}

// posnode returns a command that runs this test binary as the program.
func posnode(args ...string) *exec.Cmd {
	return &exec.Cmd{Path: os.Args[0], Args: append([]string{"posnode"}, args...), Env: os.Environ()}
}

// start starts the process and waits until it serves.
func (p *process) start() {
	p.t.Helper()
	require.NoError(p.t, p.launch())
}

// launch starts the process and waits until it serves. It returns an error if the process ends
// before that.
func (p *process) launch() error {
	p.t.Helper()
	name := cmp.Or(p.name, "s001-r01")
	p.cmd = posnode(append([]string{"register", "--data", p.dir, "--name", name, "--listen", "127.0.0.1:0"}, p.args...)...)
	p.stderr = new(bytes.Buffer)
	p.cmd.Stderr = p.stderr
	out, err := p.cmd.StdoutPipe()
	require.NoError(p.t, err)
	require.NoError(p.t, p.cmd.Start())
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		_ = p.cmd.Wait() // its output says more
		return fmt.Errorf("it ended before it served: %s", p.stderr)
	}
	_, p.url, _ = strings.Cut(strings.TrimSpace(line), " is up on ")
	require.NotEmpty(p.t, p.url, line)
	return nil
}

// kill is kill -9. It returns when the process is gone.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // it may have ended already
	_ = p.cmd.Wait()         // its exit code only says that it was killed
}

// stop ends the process as a service manager would.
func (p *process) stop() {
	p.t.Helper()
	require.NoError(p.t, p.cmd.Process.Signal(os.Interrupt))
	require.NoError(p.t, p.cmd.Wait(), "%s", p.stderr)
}

// reply is the API's answer to an operation.
type reply struct {
	Status  int
	Code    string `json:"code"`
	Detail  string `json:"detail"`
	Token   string `json:"token"`
	Print   string `json:"print"`
	Entries []struct {
		Sequence uint64 `json:"sequence"`
		ID       string `json:"id"`
		Hash     string `json:"hash"`
	} `json:"entries"`
	// Result is the answer to the closing of a shift.
	Result struct {
		Z      int `json:"z"`
		Report struct {
			Totals struct {
				Transactions int   `json:"transactions"`
				Sales        int64 `json:"sales"`
				Returns      int64 `json:"returns"`
				Tenders      []struct {
					Counted   int64 `json:"counted"`
					OverShort int64 `json:"over_short"`
				} `json:"tenders"`
			} `json:"totals"`
		} `json:"report"`
	} `json:"-"`
	Transaction struct {
		ID      string `json:"id"`
		Due     int    `json:"due"`
		Receipt string `json:"receipt"`
	} `json:"transaction"`
}

func newKey() string { return ulid.Make().String() }

var client = &http.Client{Timeout: 20 * time.Second}

// try sends an operation. It returns an error if no answer came.
func (p *process) try(operation int, key string, params string) (r reply, err error) {
	req, err := http.NewRequest(http.MethodPost, fmt.Sprintf("%s/v1/operations/%d", p.url, operation), strings.NewReader(params))
	require.NoError(p.t, err)
	req.Header.Set("Idempotency-Key", key)
	req.Header.Set("Content-Type", "application/json")
	if p.token != "" {
		req.Header.Set("Authorization", "Bearer "+p.token)
	}
	resp, err := client.Do(req)
	if err != nil {
		return r, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return r, err
	}
	require.NoError(p.t, json.Unmarshal(body, &r), "%s", body)
	r.Status = resp.StatusCode
	if operation == 1055 && r.Status == http.StatusOK {
		require.NoError(p.t, json.Unmarshal(body, &struct {
			Result any `json:"result"`
		}{&r.Result}))
	}
	return r, nil
}

// do sends an operation that must succeed.
func (p *process) do(operation int, params string) reply {
	p.t.Helper()
	r, err := p.try(operation, newKey(), params)
	require.NoError(p.t, err, "%s", p.stderr)
	require.Equal(p.t, http.StatusOK, r.Status, "operation %d: %s %s", operation, r.Code, r.Detail)
	return r
}

// get reads a page of the API.
func (p *process) get(path string, into any) {
	p.t.Helper()
	req, err := http.NewRequest(http.MethodGet, p.url+path, nil)
	require.NoError(p.t, err)
	req.Header.Set("Authorization", "Bearer "+p.token)
	resp, err := client.Do(req)
	require.NoError(p.t, err)
	defer resp.Body.Close()
	require.Equal(p.t, http.StatusOK, resp.StatusCode)
	require.NoError(p.t, json.NewDecoder(resp.Body).Decode(into))
}

// logOn signs the cashier on.
func (p *process) logOn() {
	p.t.Helper()
	p.token = ""
	p.token = p.do(700, fmt.Sprintf(`{"staff":%q,"pin":%q}`, demoStaff, demoPIN)).Token
	require.NotEmpty(p.t, p.token)
}

// openShift signs on and opens a shift with its float.
func (p *process) openShift() {
	p.logOn()
	p.do(1050, `{}`)
	p.do(1200, `{"amount":10000}`)
}
