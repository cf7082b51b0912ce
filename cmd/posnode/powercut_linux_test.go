package main

import (
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/posnode/posnode/events"
	"github.com/posnode/posnode/hq"
	"github.com/posnode/posnode/internal/powercut"
	"github.com/posnode/posnode/register"
)

var (
	cutTimes  = flag.Int("cuts", 12, "how often TestPowerCuts cuts the power")
	cutStrict = flag.Bool("strictdisk", false, "the disk of TestPowerCuts loses every name whose folder was not fsynced")
	cutSeed   = flag.Uint64("cutseed", 0, "seed of TestPowerCuts; 0 for another one each time")
)

// powered is a folder on a disk that can lose its power.
type powered struct {
	t      *testing.T
	random *rand.Rand
	dir    string
	disk   *powercut.Disk
}

// newPowered mounts a new disk. If this machine cannot, the test is skipped.
func newPowered(t *testing.T) *powered {
	seed := *cutSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("seed %d", seed)
	p := &powered{t: t, random: rand.New(rand.NewPCG(seed, 0)), dir: filepath.Join(t.TempDir(), "disk"), disk: powercut.New()}
	p.disk.Strict = *cutStrict
	require.NoError(t, os.Mkdir(p.dir, 0o700))
	if err := p.disk.Mount(p.dir); err != nil {
		require.ErrorIs(t, err, powercut.ErrNoFUSE)
		t.Skipf("power cuts are not tested on this machine: %v", err)
	}
	t.Cleanup(p.unmount)
	return p
}

func (p *powered) unmount() {
	require.Eventually(p.t, func() bool { return p.disk.Unmount() == nil }, time.Minute, 10*time.Millisecond, "something is open on the disk")
}

// back brings the power back after a cut. Every process on the disk must have ended.
func (p *powered) back() {
	p.disk.Off()
	p.unmount()
	p.disk = p.disk.Survivor(p.random)
	require.NoError(p.t, p.disk.Mount(p.dir))
}

// newCrasher returns a crasher on this disk. The power is cut after up to `most` requests that
// change something.
func (p *powered) newCrasher(most int) *crasher {
	c := &crasher{process: newProcess(p.t), random: p.random}
	c.dir = filepath.Join(p.dir, "data")
	p.t.Cleanup(func() {
		if c.cmd != nil {
			c.kill()
		}
	})
	c.gone = func() bool { return p.disk.IsOff() }
	c.arm = func() {
		cmd := c.cmd
		p.disk.CutAfter(1+p.random.IntN(most), func() { _ = cmd.Process.Kill() })
	}
	c.again = func() {
		for {
			c.kill()
			p.back()
			if p.random.IntN(3) == 0 { // the power is cut during the start, too
				p.disk.CutAfter(1+p.random.IntN(most), func() {})
			}
			err := c.launch()
			if err == nil && !p.disk.IsOff() {
				return
			}
			require.True(p.t, p.disk.IsOff(), "%v", err)
			c.ends++ // during the start
		}
	}
	return c
}

// TestPowerCuts cuts the power again and again while a register sells. No acknowledged operation is
// lost, and none is recorded twice.
func TestPowerCuts(t *testing.T) {
	p := newPowered(t)
	c := p.newCrasher(150)
	c.start()
	c.openShift()
	c.arm()
	for c.ends < *cutTimes {
		c.sale()
	}
	for ended := true; ended; {
		c.again()
		p.disk.CutAfter(0, nil)
		ended = p.disk.IsOff()
	}
	c.logOn()
	c.finishSale()
	c.stop()
	dir := t.TempDir()
	require.NoError(t, p.disk.Get(dir))
	c.audit(filepath.Join(dir, "data"))
	t.Logf("%d power cuts, %d acknowledged operations: none lost, none twice", c.ends, len(c.done))
}

// A disk that fails, and is well again: the register says so and is not ready, and goes on by itself. What was on its way is
// there once, and all that was acknowledged is safe.
func TestDiskFailsAndIsWellAgain(t *testing.T) {
	for name, fault := range map[string]struct{ fail, mend func(*powercut.Disk) }{
		"an fsync fails":        {func(d *powercut.Disk) { d.FailSyncs(1) }, func(*powercut.Disk) {}},
		"some fsyncs fail":      {func(d *powercut.Disk) { d.FailSyncs(4) }, func(*powercut.Disk) {}},
		"the disk is read-only": {func(d *powercut.Disk) { d.ReadOnly(true) }, func(d *powercut.Disk) { d.ReadOnly(false) }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPowered(t)
			c := p.newCrasher(1)
			c.start()
			c.openShift()
			c.must(100, `{"product":"TEA-080"}`)
			fault.fail(p.disk)
			key := newKey()
			r, err := c.try(100, key, `{"product":"MUG-WHT"}`)
			require.NoError(t, err)
			require.Equal(t, http.StatusConflict, r.Status)
			require.Equal(t, "outcome_unknown", r.Code, r.Detail)
			r, err = c.try(100, key, `{"product":"MUG-WHT"}`)
			require.NoError(t, err)
			if r.Status != http.StatusOK {
				require.Equal(t, "storage_failed", r.Code, r.Detail)
			}
			if name == "the disk is read-only" {
				require.Equal(t, http.StatusServiceUnavailable, c.statusOf("/readyz"))
				var status register.Status
				c.get("/v1/status", &status)
				require.NotNil(t, status.Storage)
				require.Contains(t, strings.Join(status.Warnings, " "), "disk")
				require.Contains(t, c.text("/metrics"), "posnode_storage_failed 1")
			}
			fault.mend(p.disk)
			require.Eventually(t, func() bool {
				r, err = c.try(100, key, `{"product":"MUG-WHT"}`)
				return err == nil && r.Status == http.StatusOK
			}, time.Minute, 100*time.Millisecond, "%s", c.stderr)
			for _, e := range r.Entries {
				c.done = append(c.done, done{key, e.ID, e.Hash, e.Sequence})
			}
			require.Equal(t, http.StatusOK, c.statusOf("/readyz"))
			require.Equal(t, 2, c.lines(), "what was repeated is there once")
			c.must(206, `{}`)
			// What the kernel had shown and never written would be gone now.
			p.disk.Off()
			c.again()
			p.disk.CutAfter(0, nil)
			if !p.disk.IsOff() {
				c.stop()
			}
			dir := t.TempDir()
			require.NoError(t, p.disk.Get(dir))
			c.audit(filepath.Join(dir, "data"))
		})
	}
}

// statusOf is the HTTP status of a page.
func (p *process) statusOf(path string) int {
	resp, err := client.Get(p.url + path)
	require.NoError(p.t, err)
	require.NoError(p.t, resp.Body.Close())
	return resp.StatusCode
}

// text is the content of a page.
func (p *process) text(path string) string {
	resp, err := client.Get(p.url + path)
	require.NoError(p.t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(p.t, err)
	return string(body)
}

// Head office's power goes again and again while a till sells and sends: what it has in the end is what the till recorded, each
// entry once, and it finds nothing wrong.
func TestPowerCutsAtHeadOffice(t *testing.T) {
	p := newPowered(t)
	o := &office{t: t, dir: filepath.Join(p.dir, "hq")}
	require.NoError(t, o.launch("127.0.0.1:0", "127.0.0.1:0"))
	leaf := strings.TrimPrefix(o.leaf, "nats-leaf://")
	till := enrolledTill(t, o)
	till.openShift()
	cuts := 0
	for cuts < max(3, *cutTimes/3) {
		cmd := o.cmd
		p.disk.CutAfter(1+p.random.IntN(400), func() { _ = cmd.Process.Kill() })
		for !p.disk.IsOff() {
			till.do(100, `{"product":"TEA-080"}`)
			till.do(206, `{}`)
		}
		for err := error(nil); p.disk.IsOff() || err != nil; { // the start may be cut off, too
			cuts++
			o.kill()
			p.back()
			if p.random.IntN(3) == 0 {
				p.disk.CutAfter(1+p.random.IntN(400), func() {})
			}
			if err = o.launch(leaf, "127.0.0.1:0"); err != nil {
				require.True(t, p.disk.IsOff(), "%v", err)
			}
		}
	}
	p.disk.CutAfter(0, nil)
	if p.disk.IsOff() {
		o.kill()
		p.back()
		require.NoError(t, o.launch(leaf, "127.0.0.1:0"))
	}
	till.requireAtOffice(o)
	t.Logf("%d power cuts of head office: all %d entries are there, once", cuts, till.head().Sequence)
	till.stop()
	o.stop()
}

// enrolledTill is a till with credentials of a head office, with the built-in shop.
func enrolledTill(t *testing.T, o *office) *process {
	p := newProcess(t)
	creds := filepath.Join(t.TempDir(), "creds")
	out, err := posnode("hq", "enroll", "--data", o.dir, "s001-r01", creds).CombinedOutput()
	require.NoError(t, err, "%s", out)
	p.args = append(p.args, "--hq", o.leaf, "--creds", creds)
	p.start()
	t.Cleanup(p.kill)
	return p
}

// head is where the till's journal ends.
func (p *process) head() events.Head {
	var status register.Status
	p.get("/v1/status", &status)
	return status.Head
}

// requireAtOffice waits until head office has verified all that the till recorded, and then has nothing against it.
func (p *process) requireAtOffice(o *office) {
	require.Eventually(p.t, func() bool {
		journals, err := o.ask("/v1/journals")
		return err == nil && slices.ContainsFunc(journals, func(j hq.Journal) bool { return j.Head == p.head() })
	}, 3*time.Minute, 50*time.Millisecond, "%s", o.stderr)
	require.Eventually(p.t, func() bool {
		out, err := posnode("hq", "findings", "--data", o.dir).CombinedOutput()
		return err == nil && strings.Contains(string(out), "nothing is open")
	}, time.Minute, 100*time.Millisecond)
}

// A till is activated, sells, and is activated anew into the next epochs, while its power goes: each activation is carried out
// once, with the same key, and each epoch is at head office whole.
func TestPowerCutsDuringActivation(t *testing.T) {
	p := newPowered(t)
	o := &office{t: t, dir: t.TempDir()}
	require.NoError(t, o.launch("127.0.0.1:0", "127.0.0.1:0"))
	out, err := posnode("hq", "import", "--data", o.dir, "shop.jsonl").CombinedOutput()
	require.NoError(t, err, "%s", out)
	bootstrap := filepath.Join(t.TempDir(), "bootstrap")
	code := func(args ...string) string {
		out, err := posnode(append([]string{"hq", "code", "--data", o.dir, "s001-r01"}, args...)...).CombinedOutput()
		require.NoError(t, err, "%s", out)
		code, _, _ := strings.Cut(string(out), "\n")
		return code
	}
	next := code("--bootstrap", bootstrap)
	c := p.newCrasher(200)
	c.args = []string{"--hq", o.leaf, "--bootstrap", bootstrap}
	c.start()
	rounds := max(2, *cutTimes/6)
	for range rounds {
		c.arm()
		c.activate(next)
		for range 2 {
			c.must(100, `{"product":"TEA-080"}`)
			c.must(206, `{}`)
		}
		next = code()
	}
	for ended := true; ended; {
		c.again()
		p.disk.CutAfter(0, nil)
		ended = p.disk.IsOff()
	}
	c.requireAtOffice(o)
	journals, err := o.ask("/v1/journals")
	require.NoError(t, err)
	require.Len(t, journals, rounds, "one epoch for each activation")
	c.stop()
	dir := t.TempDir()
	require.NoError(t, p.disk.Get(dir))
	c.audit(filepath.Join(dir, "data"))
	t.Logf("%d power cuts during %d activations, %d acknowledged operations", c.ends, rounds, len(c.done))
	o.stop()
}

// activate carries out operation 707 with one code and one key, over as many lives as it takes, and opens a shift.
func (c *crasher) activate(code string) {
	key := newKey()
	for deadline := time.Now().Add(3 * time.Minute); ; {
		require.True(c.t, time.Now().Before(deadline), "it is not activated: %s", c.stderr)
		c.token = ""
		r, err := c.try(707, key, fmt.Sprintf(`{"code":%q}`, code))
		if err == nil && r.Status == http.StatusOK {
			for _, e := range r.Entries {
				c.done = append(c.done, done{key, e.ID, e.Hash, e.Sequence})
			}
			break
		}
		if err == nil && !c.gone() {
			require.Contains(c.t, []string{"realtime_service_unavailable", "outcome_unknown", "journal_damaged"}, r.Code, r.Detail) // the link is not up yet
			require.NotEqual(c.t, "journal_damaged", r.Code, r.Detail)
			continue
		}
		c.ends++
		c.again()
		c.arm()
	}
	require.Eventually(c.t, func() bool { // the reference data comes over the link
		if c.gone() {
			return true
		}
		r, err := c.try(700, newKey(), fmt.Sprintf(`{"staff":%q,"pin":%q}`, demoStaff, demoPIN))
		c.token = r.Token
		return err == nil && r.Status == http.StatusOK
	}, time.Minute, 50*time.Millisecond, "%s", c.stderr)
	c.must(1050, `{}`)
}
