package main

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/posnode/posnode/events"
	"github.com/posnode/posnode/replay"
)

// done is an acknowledged operation.
type done struct {
	key, id, hash string
	sequence      uint64
}

var killTimes = flag.Int("kills", 200, "how often TestKilledAtRandomMoments kills the register")

// crasher sells at a register that crashes again and again. It is a client that repeats an
// unanswered operation with the same key.
type crasher struct {
	*process
	random *rand.Rand
	ends   int
	done   []done

	arm   func()      // makes the process end some time from now
	again func()      // starts the process again after that
	gone  func() bool // reports that the process has ended or is about to; its answer need not be durable then
}

func TestKilledAtRandomMoments(t *testing.T) {
	kills := *killTimes
	if testing.Short() {
		kills = min(kills, 20)
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	c := &crasher{process: newProcess(t), random: rand.New(rand.NewPCG(seed, 0))}
	var timer *time.Timer
	c.gone = func() bool { return false }
	c.arm = func() {
		cmd := c.cmd
		timer = time.AfterFunc(time.Duration(c.random.IntN(60_000))*time.Microsecond, func() { _ = cmd.Process.Kill() })
	}
	c.again = func() { c.kill(); c.start() }
	c.start()
	c.openShift()
	c.arm()
	for c.ends < kills {
		c.sale()
	}
	timer.Stop()
	c.again() // the last timer may have fired or not
	c.logOn()
	c.finishSale()
	c.stop()
	c.audit(c.dir)
	t.Logf("%d kills, %d acknowledged operations", c.ends, len(c.done))
}

// must carries an operation out, and restarts the process as often as that takes.
func (c *crasher) must(operation int, params string) reply {
	key := newKey()
	for {
		r, err := c.try(operation, key, params)
		if err == nil && (r.Status == http.StatusOK || !c.gone()) {
			require.Equal(c.t, http.StatusOK, r.Status, "operation %d %s: %s %s", operation, params, r.Code, r.Detail)
			for _, e := range r.Entries {
				c.done = append(c.done, done{key, e.ID, e.Hash, e.Sequence})
			}
			return r
		}
		// Without an answer the process has ended. The repetition after the restart shows whether
		// the operation was recorded.
		c.revive()
	}
}

// revive starts the process again and signs on. A crash may cut that off as well, and then it tries
// again.
func (c *crasher) revive() {
	for waits := false; ; {
		if !waits {
			c.ends++
			c.again()
		}
		c.token = ""
		r, err := c.try(700, newKey(), fmt.Sprintf(`{"staff":%q,"pin":%q}`, demoStaff, demoPIN))
		if waits = err == nil && !c.gone() && r.Code == "no_reference_data"; waits {
			continue // it comes over the link
		}
		if err == nil && (r.Status == http.StatusOK || !c.gone()) {
			require.Equal(c.t, http.StatusOK, r.Status, "%s %s", r.Code, r.Detail)
			c.token = r.Token
			c.arm() // not before: a slow machine would never come further
			return
		}
	}
}

// sale makes one of three sales. The first is paid whole. The second is paid in part, its lines are
// voided until nothing is due, and it is concluded. The third is voided.
func (c *crasher) sale() {
	lines := 1 + c.random.IntN(4)
	for range lines {
		c.must(100, `{"product":"TEA-080","quantity":"2"}`)
	}
	switch c.random.IntN(3) {
	case 0:
		c.must(206, `{}`)
	case 1:
		c.must(100, `{"product":"MUG-WHT"}`)
		c.must(200, fmt.Sprintf(`{"amount":%d}`, lines*510))
		r := c.must(102, fmt.Sprintf(`{"line":%d}`, lines+1))
		require.Zero(c.t, r.Transaction.Due)
		c.must(139, `{}`)
	default:
		c.must(500, `{}`)
	}
}

// finishSale checks that no sale is open.
func (c *crasher) finishSale() {
	var open *struct {
		Lines []any `json:"lines"`
	}
	c.get("/v1/transaction", &open)
	require.Nil(c.t, open, "every sale was finished before the test ended")
}

// audit reads the journal as an auditor does. It must be sound, with every acknowledged operation
// in it, and none twice.
func (c *crasher) audit(dir string) {
	journal, err := openAudited(c.t.Context(), dir)
	require.NoError(c.t, err)
	defer func() { require.NoError(c.t, journal.close()) }()
	report, err := replay.Verify(c.t.Context(), journal, replay.Options{})
	require.NoError(c.t, err)
	require.Empty(c.t, report.Findings)

	entries := map[string]*events.Entry{}
	commands := map[events.CommandKey]uint64{}
	err = journal.Read(c.t.Context(), func(_ int, m events.Message) error {
		e, err := events.Decode(m.Body)
		if err != nil {
			return err
		}
		require.Nil(c.t, entries[e.ID], "entry %s is there twice", e.ID)
		entries[e.ID] = e
		if e.Command != "" {
			require.Zero(c.t, commands[e.Command], "command %s is in entries %d and %d", e.Command, commands[e.Command], e.Head.Sequence)
			commands[e.Command] = e.Head.Sequence
		}
		return nil
	})
	require.NoError(c.t, err)
	for _, d := range c.done {
		e := entries[d.id]
		require.NotNil(c.t, e, "entry %d was acknowledged and is gone", d.sequence)
		require.Equal(c.t, []any{d.key, d.sequence, d.hash}, []any{string(e.Command), e.Head.Sequence, e.Head.Hash.String()})
	}
}
