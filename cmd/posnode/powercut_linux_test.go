package main

import (
	"flag"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

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
