package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/posnode/posnode/hq"
	"github.com/posnode/posnode/register"
)

// harms are what can become of a file while a till is stopped. As root no file is unreadable by its rights: a folder in its
// place is. other is the same file of another register.
var harms = map[string]func(t *testing.T, path, other string){
	"lost": func(t *testing.T, path, _ string) { require.NoError(t, os.RemoveAll(path)) },
	"empty": func(t *testing.T, path, _ string) {
		require.NoError(t, os.RemoveAll(path))
		require.NoError(t, os.WriteFile(path, nil, 0o600))
	},
	"garbage": func(t *testing.T, path, _ string) {
		require.NoError(t, os.RemoveAll(path))
		require.NoError(t, os.WriteFile(path, []byte(strings.Repeat("garbage ", 2000)), 0o600))
	},
	"another's": func(t *testing.T, path, other string) {
		raw, err := os.ReadFile(other)
		require.NoError(t, err)
		require.NoError(t, os.RemoveAll(path))
		require.NoError(t, os.WriteFile(path, raw, 0o600))
	},
	"a folder": func(t *testing.T, path, _ string) {
		require.NoError(t, os.RemoveAll(path))
		require.NoError(t, os.Mkdir(path, 0o700))
		require.NoError(t, os.WriteFile(filepath.Join(path, "in it"), nil, 0o600))
	},
}

// What a till does without each file of its directory, docs/operate.md. "" is: it sells on.
var tillFiles = map[string]map[string]string{
	"identity.json": {
		"lost": "journal_damaged", "empty": "journal_damaged", "garbage": "journal_damaged", "a folder": "journal_damaged",
		"another's": "data directory belongs to register s001-r02, not s001-r01: start it under that name",
	},
	"activation-1.json":     {"another's": "identity.json does not fit its activation record"},
	"hq.creds":              {},
	"activation-asked.json": {},
	"mark.json":             {},
	"snapshot.json":         {},
	"offline.db":            {},
	"reference.db":          {},
	"terminal.json":         {},
	"lock":                  {},
	"ocsp":                  {},
}

// asideOf are the files of which a damaged one is kept beside. The others are overwritten, or an empty file is as good as none.
var asideOf = map[string][]string{
	"garbage":   {"identity.json", "activation-1.json", "hq.creds", "mark.json", "offline.db", "reference.db", "snapshot.json"},
	"empty":     {"identity.json", "activation-1.json", "hq.creds", "mark.json", "snapshot.json"},
	"another's": {"hq.creds", "mark.json"},
	"a folder":  {"identity.json", "activation-1.json", "hq.creds", "mark.json", "snapshot.json", "offline.db", "reference.db", "lock"},
}

// A till that was activated and has sold: each of its files is lost, empty, garbage, another's, or a folder. It sells on where it
// safely can, and what it is when not it says.
func TestEachFileOfATill(t *testing.T) {
	dir := t.TempDir()
	tills := twoActivatedTills(t, dir)
	for file, outcomes := range tillFiles {
		for harm, do := range harms {
			t.Run(file+", "+harm, func(t *testing.T) {
				t.Parallel()
				p := &process{t: t, dir: filepath.Join(t.TempDir(), "data"), args: tills[0].args}
				require.NoError(t, os.CopyFS(p.dir, os.DirFS(tills[0].dir)))
				if info, err := os.Stat(filepath.Join(tills[1].dir, file)); (err != nil || info.IsDir()) && harm == "another's" {
					t.Skip("the other one keeps no such file, so there is none to put in its place")
				}
				do(t, filepath.Join(p.dir, file), filepath.Join(tills[1].dir, file))
				err := p.launch()
				if want := outcomes[harm]; want != "" && err != nil {
					require.ErrorContains(t, err, want)
					require.NotContains(t, err.Error(), "unexpected end of JSON")
					return
				}
				require.NoError(t, err)
				defer func() {
					p.stop()
					out, err := posnode("audit", "verify", p.dir).CombinedOutput()
					require.NoError(t, err, "%s", out)
				}()
				if slices.Contains(asideOf[harm], file) {
					aside, err := filepath.Glob(filepath.Join(p.dir, file+".damaged-*"))
					require.NoError(t, err)
					require.Len(t, aside, 1, "%s", p.stderr)
				}
				var status register.Status
				p.get("/v1/status", &status)
				if want := outcomes[harm]; want != "" {
					r, err := p.try(700, newKey(), fmt.Sprintf(`{"staff":%q,"pin":%q}`, demoStaff, demoPIN))
					require.NoError(t, err)
					require.Equal(t, want, r.Code)
					require.Contains(t, r.Detail, "lost the key that signs")
					require.Equal(t, http.StatusServiceUnavailable, p.statusOf("/readyz"))
					return
				}
				if file == "hq.creds" {
					require.Contains(t, strings.Join(status.Warnings, " "), "operation 707")
				}
				p.logOn()
				p.do(100, `{"product":"TEA-080"}`)
				p.do(206, `{}`)
			})
		}
	}
}

// twoActivatedTills are the directories of two tills that head office has let in, that have sold, and are stopped, as head
// office is.
func twoActivatedTills(t *testing.T, dir string) (tills []*process) {
	hqDir := filepath.Join(dir, "hq")
	require.NoError(t, os.MkdirAll(dir, 0o700))
	headOffice := posnode("hq", "--data", hqDir, "--listen-leaf", "127.0.0.1:0", "--http", "127.0.0.1:0")
	leaf := regexp.MustCompile(`registers link to (\S+)`).FindStringSubmatch(firstLine(t, headOffice))
	require.Len(t, leaf, 2)
	defer func() {
		require.NoError(t, headOffice.Process.Signal(syscall.SIGTERM))
		require.NoError(t, headOffice.Wait())
	}()
	out, err := posnode("hq", "import", "--data", hqDir, "shop.jsonl").CombinedOutput()
	require.NoError(t, err, "%s", out)
	for _, name := range []string{"s001-r01", "s001-r02"} {
		bootstrap := filepath.Join(dir, name+".creds")
		out, err := posnode("hq", "code", "--data", hqDir, name, "--bootstrap", bootstrap).CombinedOutput()
		require.NoError(t, err, "%s", out)
		code, _, _ := strings.Cut(string(out), "\n")
		p := &process{t: t, name: name, dir: filepath.Join(dir, name), args: []string{"--hq", leaf[1], "--bootstrap", bootstrap}}
		p.start()
		status := func() (s register.Status) { p.get("/v1/status", &s); return s }
		require.Eventually(t, func() bool { return status().HQ.LinkUp }, time.Minute, 20*time.Millisecond)
		p.do(707, fmt.Sprintf(`{"code":%q}`, code))
		require.Eventually(t, func() bool { return len(status().Reference) > 0 }, time.Minute, 20*time.Millisecond)
		p.openShift()
		p.do(100, `{"product":"TEA-080"}`)
		p.do(201, `{}`)
		p.do(100, `{"product":"TEA-080"}`)
		p.do(206, `{}`)
		p.do(701, `{}`)
		require.Eventually(t, func() bool { s := status(); return s.HQ.Marked > 0 && s.Unsent.Entries == 0 }, time.Minute, 20*time.Millisecond)
		p.stop()
		p.args = []string{"--hq", leaf[1]}
		tills = append(tills, p)
	}
	return tills
}

// What head office does without each file of its directory. "" is: it comes up, and has all that it had.
var officeFiles = map[string]map[string]string{
	"keys.json": {
		"lost": "keys.json is gone", "empty": "keys.json in", "garbage": "keys.json in", "a folder": "keys.json in", "another's": "of other streams",
	},
	"witness.json": {
		"lost": "holds another key", "empty": "put back the copy", "garbage": "put back the copy", "a folder": "put back the copy", "another's": "holds another key",
	},
	"accounts":     {},
	"hq.db":        {},
	"reference.db": {},
	"api.json":     {},
	"api.token":    {},
	"lock":         {},
}

// Head office has received the sales of two tills. Then each of its files is lost, empty, garbage,
// another head office's, or a folder.
func TestEachFileOfHeadOffice(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	twoActivatedTills(t, dir)
	other := filepath.Join(t.TempDir(), "other")
	twoActivatedTills(t, other)
	for file, outcomes := range officeFiles {
		for harm, do := range harms {
			t.Run(file+", "+harm, func(t *testing.T) {
				t.Parallel()
				data := filepath.Join(t.TempDir(), "hq")
				require.NoError(t, os.CopyFS(data, os.DirFS(filepath.Join(dir, "hq"))))
				path, others := filepath.Join(data, file), filepath.Join(other, "hq", file)
				if info, err := os.Stat(others); (err != nil || info.IsDir()) && harm == "another's" {
					t.Skip("the other one keeps no such file, so there is none to put in its place")
				}
				do(t, path, others)
				if file == "hq.db" && harm != "lost" {
					require.NoError(t, os.RemoveAll(path+"-wal"))
				}
				o := &office{t: t, dir: data}
				err := o.launch("127.0.0.1:0", "127.0.0.1:0")
				if want := outcomes[harm]; want != "" {
					require.ErrorContains(t, err, want)
					return
				}
				require.NoError(t, err)
				o.requireVerified("s001-r01", "s001-r02")
				o.stop()
			})
		}
	}
}

// Noise over hq.db while head office runs: it notices, says so, and makes the database anew without anyone's help.
func TestNoiseInTheDatabaseOfHeadOffice(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	twoActivatedTills(t, dir)
	o := &office{t: t, dir: filepath.Join(dir, "hq")}
	require.NoError(t, o.launch("127.0.0.1:0", "127.0.0.1:0"))
	o.requireVerified("s001-r01", "s001-r02")
	for _, name := range []string{"hq.db", "hq.db-wal", "hq.db-shm"} {
		path := filepath.Join(o.dir, name)
		info, err := os.Stat(path)
		if err != nil {
			continue
		}
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		require.NoError(t, err)
		_, err = f.Write([]byte(strings.Repeat("noise...", int(info.Size()/8))))
		require.NoError(t, err)
		require.NoError(t, f.Close())
	}
	require.Eventually(t, func() bool {
		_, _ = o.ask("/v1/registers") // a request that cannot be answered has the file read
		aside, err := filepath.Glob(filepath.Join(o.dir, "hq.db.damaged-*"))
		return err == nil && len(aside) > 0
	}, time.Minute, 50*time.Millisecond, "%s", o.stderr)
	o.requireVerified("s001-r01", "s001-r02")
	o.stop()
	require.Contains(t, o.stderr.String(), "a database of head office is damaged")
}

// office is `posnode hq` as a process of its own.
type office struct {
	t      *testing.T
	dir    string
	cmd    *exec.Cmd
	leaf   string
	stderr *bytes.Buffer
}

// launch starts head office and waits until it serves. An error says that the process has ended before.
func (o *office) launch(leaf, http string) error {
	o.stderr = new(bytes.Buffer)
	o.cmd = posnode("hq", "--data", o.dir, "--listen-leaf", leaf, "--http", http)
	o.cmd.Stderr = o.stderr
	out, err := o.cmd.StdoutPipe()
	require.NoError(o.t, err)
	require.NoError(o.t, o.cmd.Start())
	o.t.Cleanup(o.kill)
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		_ = o.cmd.Wait() // what it wrote says more
		return fmt.Errorf("it ended before it served: %s", o.stderr)
	}
	go func() { _, _ = io.Copy(io.Discard, out) }()
	o.leaf = regexp.MustCompile(`registers link to (\S+)`).FindStringSubmatch(line)[1]
	return nil
}

func (o *office) kill() {
	_ = o.cmd.Process.Kill() // it may be gone already
	_ = o.cmd.Wait()
}

func (o *office) stop() {
	require.NoError(o.t, o.cmd.Process.Signal(syscall.SIGTERM))
	require.NoError(o.t, o.cmd.Wait(), "%s", o.stderr)
}

// ask reads a page of the API.
func (o *office) ask(path string) (journals []hq.Journal, err error) {
	err = (runningHQ{Data: o.dir}).call(o.t.Context(), http.MethodGet, path, nil, &journals)
	return journals, err
}

// requireVerified waits until entries of these registers are verified again.
func (o *office) requireVerified(registers ...string) {
	o.t.Helper()
	require.Eventually(o.t, func() bool {
		journals, err := o.ask("/v1/journals")
		verified := map[string]bool{}
		for _, j := range journals {
			verified[j.Register] = j.Head.Sequence >= 10
		}
		return err == nil && !slices.ContainsFunc(registers, func(r string) bool { return !verified[r] })
	}, time.Minute, 50*time.Millisecond, "%s", o.stderr)
}
