package main

import (
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/posnode/posnode/internal/stock"
	"github.com/posnode/posnode/register"
)

// killable is a head office of processes, wherever its streams are.
type killable struct {
	dir   string // of an instance
	till  []string
	start func()
	kill  func()
}

// TestEpochBetweenIsNotForgottenOnTheCommandLine kills head office right after it has let a till in. The till sells five
// times, head office comes back, and a new activation is the first that it hears. The period is closed with all six
// sales, or not at all.
func TestEpochBetweenIsNotForgottenOnTheCommandLine(t *testing.T) {
	t.Run("own server", func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "hq")
		ports, err := stock.Ports(1)
		require.NoError(t, err)
		leaf := fmt.Sprintf("127.0.0.1:%d", ports[0])
		k := killable{dir: dir, till: []string{"--hq", "nats-leaf://" + leaf}}
		k.start = func() {
			cmd := posnode("hq", "--data", dir, "--listen-leaf", leaf, "--http", "127.0.0.1:0")
			require.Contains(t, firstLine(t, cmd), "head office is up")
			k.kill = func() {
				_ = cmd.Process.Kill() // it may have ended already
				_ = cmd.Wait()         // its exit code only says that it was killed
			}
			t.Cleanup(func() { k.kill() })
		}
		k.start()
		k.forgetNothing(t)
	})
	t.Run("three stock servers", func(t *testing.T) {
		f := newStockFleet(t)
		k := killable{dir: f.hqs[0].dir, till: []string{"--hq", f.leafs(), "--ca", f.ca()}}
		k.start = func() {
			for _, p := range f.hqs {
				f.runHQ(p)
			}
		}
		k.kill = func() {
			for _, p := range f.hqs {
				p.kill()
			}
		}
		k.forgetNothing(t)
	})
}

func (k *killable) forgetNothing(t *testing.T) {
	run := func(args ...string) (string, error) {
		out, err := posnode(append(append([]string{"hq"}, args[0], "--data", k.dir), args[1:]...)...).CombinedOutput()
		return string(out), err
	}
	command := func(args ...string) string {
		t.Helper()
		out, err := run(args...)
		require.NoError(t, err, "%v: %s", args, out)
		return out
	}
	command("import", "shop.jsonl")
	bootstrap := filepath.Join(t.TempDir(), "s001-r01.creds")
	code, _, _ := strings.Cut(command("code", "s001-r01", "--bootstrap", bootstrap), "\n")
	const west, east = "Etc/GMT+12", "Etc/GMT-14" // the date there is one or two days later
	p := &process{t: t, dir: filepath.Join(t.TempDir(), "till"), args: append([]string{"--zone", west, "--bootstrap", bootstrap}, k.till...)}
	p.start()
	t.Cleanup(p.kill)
	status := func() (s register.Status) { p.get("/v1/status", &s); return s }
	activate := func(code string) {
		key := newKey()
		require.Eventually(t, func() bool {
			r, err := p.try(707, key, fmt.Sprintf(`{"code":%q}`, code))
			require.NoError(t, err)
			return r.Status == http.StatusOK
		}, 3*time.Minute, 100*time.Millisecond)
	}
	sell := func() {
		p.do(100, `{"product":"TEA-080"}`)
		p.do(206, `{}`)
	}
	activate(code)
	require.Eventually(t, func() bool { return len(status().Reference) > 0 }, time.Minute, 20*time.Millisecond)
	k.kill()
	p.openShift()
	for range 5 {
		sell()
	}
	var opened []struct {
		Data struct {
			BusinessDate string `json:"business_date"`
		} `json:"data"`
	}
	p.get("/v1/journal?type=shift.opened.v1", &opened)
	require.Len(t, opened, 1)
	date := opened[0].Data.BusinessDate

	k.start()
	code, _, _ = strings.Cut(command("code", "s001-r01"), "\n")
	activate(code)
	p.openShift()
	require.Equal(t, 2, status().Head.Epoch)
	sell()
	key := newKey()
	require.Eventually(t, func() bool { // it waits for what head office has not verified yet
		r, err := p.try(1055, key, `{}`)
		require.NoError(t, err)
		if r.Status != http.StatusOK {
			key = newKey()
			_, err := p.try(917, newKey(), `{}`)
			require.NoError(t, err)
		}
		return r.Status == http.StatusOK
	}, 3*time.Minute, 100*time.Millisecond)
	p.stop()
	p.args[1] = east
	p.start()
	p.logOn()

	closed := ""
	require.Eventually(t, func() bool {
		var err error
		if closed, err = run("close-period", date, date); err != nil {
			require.Contains(t, closed, "The period is not complete: s001-r01 on "+date)
		}
		return err == nil
	}, 3*time.Minute, 100*time.Millisecond, "%v", &closed)
	require.Contains(t, closed, "s001-r01  GBP  6 transactions")
	require.Eventually(t, func() bool { return strings.Contains(command("findings"), "nothing is open") }, 3*time.Minute, 100*time.Millisecond)
}
