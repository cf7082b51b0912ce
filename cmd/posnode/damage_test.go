package main

import (
	"bytes"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// blocks returns the paths of the files that hold the journal's entries.
func (p *process) blocks() []string {
	paths, err := filepath.Glob(filepath.Join(p.dir, "jetstream", "*", "streams", "JOURNAL_1", "msgs", "*.blk"))
	require.NoError(p.t, err)
	require.NotEmpty(p.t, paths)
	return paths
}

// damages holds kinds of damage to the files of a stopped journal.
var damages = map[string]func(t *testing.T, p *process){
	"flipped bit": func(t *testing.T, p *process) {
		path := p.blocks()[0]
		raw, err := os.ReadFile(path)
		require.NoError(t, err)
		at := bytes.LastIndex(raw, []byte("BISC-GIN"))
		require.Positive(t, at)
		raw[at] ^= 1
		require.NoError(t, os.WriteFile(path, raw, 0o600))
	},
	"truncated block": func(t *testing.T, p *process) {
		path := p.blocks()[0]
		info, err := os.Stat(path)
		require.NoError(t, err)
		require.NoError(t, os.Truncate(path, info.Size()*2/3))
	},
	"missing file": func(t *testing.T, p *process) {
		for _, path := range p.blocks() {
			require.NoError(t, os.Remove(path))
		}
	},
}

func TestDamagedJournal(t *testing.T) {
	t.Parallel()
	for name, damage := range damages {
		t.Run(name+", switched off", func(t *testing.T) { testDamage(t, (*process).stop, damage) })
		// After a crash there is no snapshot, and the server cuts off the entries behind the
		// damage.
		t.Run(name+", after a crash", func(t *testing.T) { testDamage(t, (*process).kill, damage) })
	}
}

func testDamage(t *testing.T, end func(*process), damage func(*testing.T, *process)) {
	p := newProcess(t)
	p.start()
	p.openShift()
	for range 5 {
		p.do(100, `{"product":"BISC-GIN"}`)
		p.do(206, `{}`)
	}
	// Only the offline database remembers the journal's end. It follows the journal within moments.
	require.Eventually(t, func() bool {
		var status struct {
			Head    struct{ Sequence uint64 } `json:"head"`
			Offline struct{ Sequence uint64 } `json:"offline_database"`
		}
		p.get("/v1/status", &status)
		return status.Offline.Sequence == status.Head.Sequence
	}, 10*time.Second, 10*time.Millisecond)
	end(p)
	damage(t, p)

	verify := posnode("audit", "verify", p.dir)
	out, err := verify.CombinedOutput()
	require.Error(t, err)
	require.Equal(t, exitIntegrity, verify.ProcessState.ExitCode(), "%s", out)
	check := posnode("register", "--check", "--data", p.dir, "--name", "s001-r01")
	out, err = check.CombinedOutput()
	require.Error(t, err)
	require.Equal(t, exitIntegrity, check.ProcessState.ExitCode(), "%s", out)
	require.Regexp(t, `entry \d+|epoch 1`, string(out), "it names the place")

	// Nobody can sign on at a damaged journal, because that would be an entry: it is read as local readers read.
	p.args = append(p.args, "--local-readers")
	p.start()
	// Either the start detects the damage, or the check after it.
	var status struct {
		Damage *struct{ Sequence uint64 } `json:"damage"`
	}
	require.Eventually(t, func() bool { p.get("/v1/status", &status); return status.Damage != nil }, 10*time.Second, 20*time.Millisecond)
	require.NotZero(t, status.Damage.Sequence)
	r, err := p.try(700, newKey(), `{"staff":"7","pin":"1357"}`)
	require.NoError(t, err)
	require.Equal(t, http.StatusConflict, r.Status)
	require.Equal(t, "journal_damaged", r.Code)
	var journal []any
	p.get("/v1/journal", &journal)
	require.NotEmpty(t, journal, "it stays readable")
	p.stop()
}

// TestJournalFull shows that nothing is half written when the journal's share of the disk is full.
// Selling goes on once there is room.
func TestJournalFull(t *testing.T) {
	p := newProcess(t)
	bounded := p.args
	p.args = append(bounded, "--max-bytes", "20000")
	p.start()
	p.openShift()
	var refused reply
	for n := 0; n < 100 && refused.Status == 0; n++ {
		r, err := p.try(100, newKey(), `{"product":"BISC-GIN"}`)
		require.NoError(t, err)
		if r.Status != http.StatusOK {
			refused = r
		}
	}
	require.Equal(t, http.StatusConflict, refused.Status)
	require.Equal(t, "journal_full", refused.Code)
	before := p.lines()
	p.stop()

	p.args = append(bounded, "--max-bytes", "2000000")
	p.start()
	p.logOn()
	require.Equal(t, before, p.lines(), "what was refused left nothing behind")
	p.do(100, `{"product":"BISC-GIN"}`)
	p.do(206, `{}`)
	p.stop()
	out, err := posnode("audit", "verify", p.dir).CombinedOutput()
	require.NoError(t, err, "%s", out)
}

// lines returns the number of lines of the open transaction.
func (p *process) lines() int {
	var open struct {
		Lines []any `json:"lines"`
	}
	p.get("/v1/transaction", &open)
	return len(open.Lines)
}
