package main

import (
	"flag"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/posnode/posnode/internal/powercut"
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
