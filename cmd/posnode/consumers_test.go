package main

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"

	"github.com/posnode/posnode/embedded"
	"github.com/posnode/posnode/events"
	"github.com/posnode/posnode/schemas"
)

// headOffice runs `posnode hq` as a process of its own, with an enrolled reader.
type headOffice struct {
	t      *testing.T
	dir    string
	leaf   string // where registers link to
	client string // where readers connect to
	ca     string // authority of its certificate
	creds  string // of the reader books
	cmd    *exec.Cmd
}

func startHeadOffice(t *testing.T) *headOffice {
	h := &headOffice{t: t, dir: filepath.Join(t.TempDir(), "hq")}
	made := filepath.Join(t.TempDir(), "made") // files of a cluster; only a certificate is used here, because node checks names and no addresses
	require.NoError(t, embedded.InitCluster(made, []embedded.ClusterServer{{Name: "n1", Host: "localhost"}}))
	h.ca = filepath.Join(made, "ca.pem")
	h.run("localhost:0", "localhost:0")
	t.Cleanup(h.stop)
	h.creds = filepath.Join(t.TempDir(), "books.creds")
	code, said := posnodeSays(t, "hq", "enroll-reader", "--data", h.dir, "books", h.creds)
	require.Zero(t, code, said)
	return h
}

// run starts the program.
func (h *headOffice) run(listen, listenLeaf string) {
	t, server := h.t, filepath.Join(filepath.Dir(h.ca), "n1", "server")
	h.cmd = posnode("hq", "--data", h.dir, "--listen", listen, "--listen-leaf", listenLeaf, "--http", "127.0.0.1:0", "--cert", server+".pem", "--key", server+".key")
	stderr := new(bytes.Buffer)
	h.cmd.Stderr = stderr
	out, err := h.cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, h.cmd.Start())
	lines := bufio.NewReader(out)
	first, err := lines.ReadString('\n')
	require.NoError(t, err, "%s", stderr)
	second, err := lines.ReadString('\n')
	require.NoError(t, err, "%s", stderr)
	_, h.leaf, _ = strings.Cut(strings.TrimSpace(first), "registers link to ")
	_, h.client, _ = strings.Cut(strings.TrimSpace(second), "readers connect to ")
	require.NotEmpty(t, h.leaf, first)
	require.NotEmpty(t, h.client, second)
}

func (h *headOffice) stop() {
	_ = h.cmd.Process.Signal(os.Interrupt)
	_ = h.cmd.Wait()
}

// damage changes the files of the journals at head office while it is stopped.
func (h *headOffice) damage(change func(block string, raw []byte)) {
	h.stop()
	blocks, err := filepath.Glob(filepath.Join(h.dir, "jetstream", "*", "streams", "JOURNALS_*", "msgs", "1.blk"))
	require.NoError(h.t, err)
	require.NotEmpty(h.t, blocks)
	for _, block := range blocks {
		raw, err := os.ReadFile(block)
		require.NoError(h.t, err)
		if len(raw) > 0 {
			change(block, raw)
		}
	}
	_, listen, _ := strings.Cut(h.client, "://")
	_, listenLeaf, _ := strings.Cut(h.leaf, "://")
	h.run(listen, listenLeaf)
}

// enroll makes a register's credentials.
func (h *headOffice) enroll(name string) (creds string) {
	creds = filepath.Join(h.t.TempDir(), name+".creds")
	code, said := posnodeSays(h.t, "hq", "enroll", "--data", h.dir, name, creds)
	require.Zero(h.t, code, said)
	return creds
}

// till starts a register that links to head office, with its shift open.
func (h *headOffice) till(name string) *process {
	p := newProcess(h.t)
	p.args = append(p.args, "--name", name, "--hq", h.leaf, "--ca", h.ca, "--creds", h.enroll(name), "--zone", "UTC")
	p.start()
	h.t.Cleanup(p.kill)
	p.openShift()
	return p
}

// consume runs a consumer and returns its output.
func (h *headOffice) consume(t *testing.T, command ...string) string {
	t.Helper()
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Env = append(os.Environ(), "NATS_CA="+h.ca, "NODE_EXTRA_CA_CERTS="+h.ca)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	require.NoError(t, err, "%s: %s%s", command, out, &stderr)
	return string(out)
}

// TestConsumers runs the programs of docs/consumers, by TLS, against a head office and two tills
// that sell. The programs must agree with each other and with the tills.
func TestConsumers(t *testing.T) {
	h := startHeadOffice(t)
	goConsumer := filepath.Join(t.TempDir(), "consumer")
	out, err := exec.Command("go", "build", "-o", goConsumer, "../../docs/consumers/go").CombinedOutput()
	require.NoError(t, err, "%s", out)
	fromGo := []string{goConsumer, "-url", h.client, "-ca", h.ca, "-creds", h.creds, "-name", "books"}
	state := filepath.Join(t.TempDir(), "state.json")
	fromShell, missing := shellConsumer(h, state+".d")
	require.Equal(t, "chains ok\n", h.consume(t, append(fromGo, "-state", state)...), "nothing is there yet")
	if missing == nil {
		require.Equal(t, "chains ok\n", h.consume(t, fromShell...))
	}
	tills := []*process{h.till("s001-r01"), h.till("s001-r02")}
	sell := func() (last []reply) {
		for i, p := range tills {
			p.do(100, `{"product":"TEA-080","quantity":"2"}`)
			p.do(100, `{"product":"MUG-WHT"}`)
			p.do(303, `{"percent":"10"}`)
			p.do(206, ``)
			p.do(100, `{"product":"COF-227"}`)
			p.do(500, ``)
			if i == 1 {
				p.do(109, `{"product":"CLOCK","quantity":"1"}`)
				p.do(206, ``)
			}
			last = append(last, p.do(1201, `{"amount":500}`))
		}
		return last
	}
	day := regexp.MustCompile(`\d{4}-\d\d-\d\d`)
	// settled reads until every entry has arrived, and compares the result with the answers of the
	// tills.
	settled := func(last []reply, command ...string) (said string) {
		t.Helper()
		require.Eventually(t, func() bool {
			said = h.consume(t, command...)
			for i, r := range last {
				end := r.Entries[len(r.Entries)-1]
				if !strings.Contains(said, fmt.Sprintf("s001-r%02d/1 %d entries, head %s\n", i+1, end.Sequence, end.Hash)) {
					return false
				}
			}
			return true
		}, time.Minute, 200*time.Millisecond, "%s", &said)
		for i, p := range tills {
			var days struct {
				Rows []struct {
					Date      string `json:"business_date"`
					Concluded int
					Net       int64
				}
			}
			p.get("/v1/reports/days", &days)
			require.Len(t, days.Rows, 1)
			require.Contains(t, said, fmt.Sprintf("s001-r%02d %s GBP %d documents %s\n", i+1, day.FindString(said), days.Rows[0].Concluded, events.Money(days.Rows[0].Net).Decimal(2)))
		}
		require.True(t, strings.HasSuffix(said, "\nchains ok\n"), said)
		return said
	}
	settled(sell(), append(fromGo, "-state", state)...)
	staying := exec.Command(goConsumer, append(fromGo[1:], "-every", "50ms", "-state", state+".staying")...)
	var stayed bytes.Buffer
	staying.Stdout, staying.Stderr = &stayed, &stayed
	require.NoError(t, staying.Start())
	t.Cleanup(func() { _ = staying.Process.Kill() })
	last := sell()
	want := settled(last, fromGo...)
	require.Equal(t, want, settled(last, append(fromGo, "-state", state)...), "to go on comes to the same as to begin")
	require.Equal(t, want, settled(last, append(fromGo, "-state", state)...), "nothing counts twice")
	require.Eventually(t, func() bool {
		data, err := os.ReadFile(state + ".staying")
		for _, r := range last {
			if err != nil || !bytes.Contains(data, []byte(r.Entries[len(r.Entries)-1].Hash)) {
				return false
			}
		}
		return true
	}, time.Minute, 50*time.Millisecond)
	require.NoError(t, staying.Process.Signal(os.Interrupt))
	require.NoError(t, staying.Wait())
	require.Equal(t, want, stayed.String(), "who stays hears of what is new")
	require.Regexp(t, `s001-r02 .* 4 documents -`, want, "more was given back there than sold")
	t.Logf("%s", want)

	t.Run("nats", func(t *testing.T) {
		if missing != nil {
			t.Skipf("%v", missing)
		}
		for range 2 {
			require.Equal(t, want, h.consume(t, fromShell...))
		}
	})
	var fromJS []string
	t.Run("js", func(t *testing.T) {
		fromJS = installJS(t, h)
		for _, more := range [][]string{{}, {state + ".js"}, {state + ".js"}} {
			require.Equal(t, want, h.consume(t, append(fromJS, more...)...))
		}
	})

	// Head office loses the ends of its streams and goes on at the place that it remembers. Then an
	// entry in the middle cannot be read any more. Head office has the lost entries sent again. A
	// reader that begins anew gets every entry, and so does a reader that goes on.
	h.damage(func(block string, raw []byte) {
		require.NoError(t, os.Truncate(block, int64(len(raw)/2)))
		require.NoError(t, os.Remove(filepath.Join(filepath.Dir(block), "index.db")))
	})
	settled(sell(), fromGo...)
	h.damage(func(block string, raw []byte) {
		raw[bytes.Index(raw, []byte(`"sale.line_added.v1"`))+3] ^= 1
		require.NoError(t, os.WriteFile(block, raw, 0o600))
	})
	last = sell()
	want = settled(last, fromGo...)
	require.Equal(t, want, settled(last, append(fromGo, "-state", state)...))
	kept, err := os.ReadFile(state)
	require.NoError(t, err)
	require.Regexp(t, `"REPAIRS":{"sequence":[1-9]`, string(kept), "some came by repair")
	if missing == nil {
		require.Equal(t, want, h.consume(t, fromShell...))
		anew, _ := shellConsumer(h, filepath.Join(t.TempDir(), "new.d"))
		require.Equal(t, want, h.consume(t, anew...))
	}
	if fromJS != nil {
		require.Equal(t, want, h.consume(t, fromJS...))
		require.Equal(t, want, h.consume(t, append(fromJS, state+".js")...))
	}

	// Another register sends forged entries. They become findings against that register, and the
	// chains of the others do not change.
	evil := events.Register{Store: "s001", ID: "r66"}
	sendForged(t, h, evil)
	require.Eventually(t, func() bool { return strings.Count(h.consume(t, fromGo...), "finding: ") == 3 }, time.Minute, 200*time.Millisecond)
	said := h.consume(t, fromGo...)
	require.Contains(t, said, "it says it is entry 1 of s001-r01/1, but came from ")
	require.Contains(t, said, "invalid character")
	astray := "finding: s001-r66/1: entries that do not follow and are not counted: 1, from entry 5 on\n"
	require.Contains(t, said, astray)
	require.True(t, strings.HasPrefix(said, strings.TrimSuffix(want, "chains ok\n")), said)
	if fromJS != nil {
		said := h.consume(t, fromJS...)
		require.Equal(t, 3, strings.Count(said, "finding: "), said)
		require.Contains(t, said, astray)
		require.True(t, strings.HasPrefix(said, strings.TrimSuffix(want, "chains ok\n")), said)
	}

	if missing == nil {
		require.Contains(t, h.consume(t, fromShell...), astray)
	}

	// The tills' entries fit the schemas.
	schema := entrySchema(t)
	for _, p := range tills {
		p.do(1052, `{"counts":[{"tender":"cash","currency":"GBP","amount":1000}]}`)
		p.do(1055, ``)
		p.stop()
		entries := 0
		journal, err := openAudited(t.Context(), p.dir)
		require.NoError(t, err)
		require.NoError(t, journal.Read(t.Context(), func(_ int, m events.Message) error {
			entries++
			v, err := jsonschema.UnmarshalJSON(bytes.NewReader(m.Body))
			require.NoError(t, err)
			require.NoError(t, schema.Validate(v), "%s", m.Body)
			return nil
		}))
		require.NoError(t, journal.close())
		require.Greater(t, entries, 15)
	}
}

// TestConsumersOnCluster runs the programs of docs/consumers against stock servers as 'posnode hq init' makes them.
func TestConsumersOnCluster(t *testing.T) {
	f := newStockFleet(t)
	h := &headOffice{t: t, dir: f.hqs[0].dir, leaf: f.leafs(), client: f.clients(), ca: f.ca(), creds: filepath.Join(t.TempDir(), "books.creds")}
	code, said := posnodeSays(t, "hq", "enroll-reader", "--data", h.dir, "books", h.creds)
	require.Zero(t, code, said)
	till := h.till("s001-r01")
	till.do(100, `{"product":"TEA-080"}`)
	end := till.do(206, ``).Entries[0]
	want := fmt.Sprintf("s001-r01/1 %d entries, head %s\nchains ok\n", end.Sequence, end.Hash)
	fromGo := []string{"go", "run", "../../docs/consumers/go", "-url", h.client, "-ca", h.ca, "-creds", h.creds, "-name", "books"}
	require.Eventually(t, func() bool { said = h.consume(t, fromGo...); return strings.HasSuffix(said, want) }, time.Minute, 200*time.Millisecond, "%s", &said)
	require.Regexp(t, `^s001-r01 \S+ GBP 1 documents 2\.55\n`, said)
	t.Run("nats", func(t *testing.T) {
		fromShell, missing := shellConsumer(h, filepath.Join(t.TempDir(), "books.d"))
		if missing != nil {
			t.Skipf("%v", missing)
		}
		require.Equal(t, said, h.consume(t, fromShell...))
	})
	t.Run("js", func(t *testing.T) { require.Equal(t, said, h.consume(t, installJS(t, h)...)) })
}

// entrySchema returns the schema that 'posnode schemas' prints, compiled.
func entrySchema(t *testing.T) *jsonschema.Schema {
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(schemas.Whole()))
	require.NoError(t, err)
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	require.NoError(t, c.AddResource(schemas.Base+"entry.json", doc))
	s, err := c.Compile(schemas.Base + "entry.json")
	require.NoError(t, err)
	return s
}

// shellConsumer returns the command of the shell consumer, or an error if one of its tools is
// missing.
func shellConsumer(h *headOffice, dir string) (command []string, missing error) {
	for _, tool := range []string{"bash", "jq", "sha256sum", "nats"} {
		if _, err := exec.LookPath(tool); err != nil {
			return nil, err
		}
	}
	return []string{"../../docs/consumers/cli.sh", h.client, h.creds, "books", dir}, nil
}

// installJS installs the JavaScript consumer. If its packages cannot be had, the test is skipped.
// The installation stays until the whole test ends.
func installJS(t *testing.T, h *headOffice) (command []string) {
	for _, tool := range []string{"node", "npm"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("%v", err)
		}
	}
	dir := filepath.Join(h.t.TempDir(), "js")
	require.NoError(t, os.CopyFS(dir, os.DirFS("../../docs/consumers/js")))
	install := exec.CommandContext(t.Context(), "npm", "install", "--no-audit", "--no-fund")
	install.Dir = dir
	if out, err := install.CombinedOutput(); err != nil {
		t.Skipf("npm install: %v\n%s", err, out)
	}
	return []string{"node", filepath.Join(dir, "main.js"), h.client, h.creds, "books"}
}

// sendForged sends two forged entries from a register with credentials of its own. One claims to be
// another register's, and one is no entry at all. As a repair it also sends an entry that follows
// no other.
func sendForged(t *testing.T, h *headOffice, r events.Register) {
	n, err := embedded.StartRegister(t.Context(), embedded.RegisterConfig{Dir: t.TempDir(), Register: r, Epoch: 1, HQ: h.leaf, CA: h.ca, Creds: h.enroll(r.String())})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, n.Close()) })
	sample, err := os.ReadFile("../../docs/sample.jsonl")
	require.NoError(t, err)
	first, _, _ := bytes.Cut(sample, []byte("\n"))
	for i, body := range [][]byte{first, []byte("no entry")} {
		m := events.Message{Subject: "pos.s001.r66.register.activated", ID: newKey(), Sequence: uint64(i + 1), Body: body}
		require.NoError(t, n.Journal().Append(t.Context(), uint64(i), m))
	}
	require.Eventually(t, func() bool { // head office begins to receive a journal after the journal was announced
		_, err := n.Ask(t.Context(), "announce", []byte(`{"epoch":1,"sequence":2,"hash":"`+strings.Repeat("0", 64)+`","time":"`+time.Now().UTC().Format(time.RFC3339)+`"}`))
		return err == nil
	}, time.Minute, 200*time.Millisecond)
	astray := bytes.ReplaceAll(bytes.Split(sample, []byte("\n"))[4], []byte("registers/r01"), []byte("registers/r66"))
	require.NoError(t, n.Repair(t.Context(), 1, []events.Message{{Sequence: 5, Body: astray}}))
}
