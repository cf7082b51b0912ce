package hq_test

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"github.com/posnode/posnode/events"
	"github.com/posnode/posnode/hq"
	"github.com/posnode/posnode/register"
)

const shop = `{"kind":"store","key":"store","record":{"currency":"GBP","digits":2,"max_quantity":"100","tenders":{"cash":{"id":"cash","name":"Cash","kind":"cash","over_paid":true}}}}
{"kind":"staff","key":"7","record":{"staff":"7","name":"Sam","pin":%q,"groups":[{"manager":true}]}}
{"kind":"product","key":"TEA","record":{"product":"TEA","description":"Tea","price":"2.55"}}
`

// fleet is a head office and one register, both of which can be closed and opened again.
type fleet struct {
	t    *testing.T
	dir  string
	name events.Register
	log  *slog.Logger
	hq   *hq.HQ
	till *register.Register
	leaf string // where head office listens, the same after a restart
}

func newFleet(t *testing.T) *fleet {
	f := &fleet{t: t, dir: t.TempDir(), name: events.Register{Store: "s001", ID: "r01"}, leaf: "127.0.0.1:0", log: slog.New(slog.DiscardHandler)}
	f.openHQ()
	f.leaf = strings.TrimPrefix(f.hq.LeafURL(), "nats-leaf://")
	creds, err := hq.Enroll(filepath.Join(f.dir, "hq"), f.name)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(f.dir, "creds"), creds, 0o600))
	f.openTill()
	f.bringReference()
	f.do(700, `{"staff":"7","pin":"1"}`)
	f.do(1050, ``)
	t.Cleanup(func() {
		require.NoError(t, f.till.Close())
		require.NoError(t, f.hq.Close())
	})
	return f
}

// bringReference gives the register what it sells.
func (f *fleet) bringReference() {
	report, err := f.till.Reference().Import(f.t.Context(), strings.NewReader(fmt.Sprintf(shop, samPIN())), time.Now(), false)
	require.NoError(f.t, err, "%v", report.Problems)
}

func (f *fleet) openHQ() {
	cfg := hq.Config{Dir: filepath.Join(f.dir, "hq"), ListenLeaf: f.leaf, Clock: time.Now, Logger: f.log}
	cfg.AskAfter(5 * time.Second)
	var err error
	f.hq, err = hq.Open(f.t.Context(), cfg)
	require.NoError(f.t, err)
}

func (f *fleet) openTill() { f.open("till", f.hq.LeafURL()) }

// openTillAlone opens the register without a link.
func (f *fleet) openTillAlone() { f.open("till", "") }

func (f *fleet) tillConfig(dir, url string) register.Config {
	return register.Config{
		Dir: filepath.Join(f.dir, dir), Register: f.name, HQ: url, Creds: filepath.Join(f.dir, "creds"),
		Zone: time.UTC, Clock: time.Now, Logger: f.log,
	}
}

func (f *fleet) open(dir, url string) {
	var err error
	f.till, err = register.Open(f.t.Context(), f.tillConfig(dir, url))
	require.NoError(f.t, err)
}

func (f *fleet) do(operation int, params string) {
	f.t.Helper()
	_, err := f.till.Do(f.t.Context(), register.Request{Operation: operation, Key: events.CommandKey(ulid.Make().String()), Body: []byte(params), Staff: "7"})
	require.NoError(f.t, err, "operation %d", operation)
}

// arrived waits until head office has verified everything that the register recorded.
func (f *fleet) arrived() {
	f.t.Helper()
	require.Eventually(f.t, func() bool {
		journals, err := f.hq.Journals(f.t.Context())
		require.NoError(f.t, err)
		return len(journals) == 1 && journals[0].Head == f.till.View().Head
	}, 3*time.Minute, 20*time.Millisecond) // the server itself waits up to two before it tries a source again
}

// Whatever is restarted or cut while the register sells, head office ends up with
// every entry, in order, and a reader counts each once.
func TestUnionWhateverIsRestarted(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	faults := []func(){
		func() { require.NoError(t, f.hq.Close()); f.openHQ() },
		func() { require.NoError(t, f.till.Close()); f.openTill() },
		func() { require.NoError(t, f.till.SetLink(false)) },
		func() { require.NoError(t, f.till.SetLink(true)) },
	}
	for n := range 12 {
		for range 1 + random.IntN(30) {
			f.do(100, `{"product":"TEA"}`)
		}
		faults[n%len(faults)]()
		f.do(206, ``)
	}
	require.NoError(t, f.till.SetLink(true))
	f.arrived()

	findings, err := f.hq.Findings(t.Context())
	require.NoError(t, err)
	require.Empty(t, findings)
	var sequence uint64
	require.NoError(t, f.hq.Received(t.Context(), func(m events.Message) {
		if m.Sequence > sequence {
			require.Equal(t, sequence+1, m.Sequence)
			sequence++
		}
	}))
	require.Equal(t, f.till.View().Head.Sequence, sequence)
	days, err := f.hq.Days(t.Context())
	require.NoError(t, err)
	concluded := 0
	for _, day := range days {
		concluded += day.Concluded
	}
	require.Equal(t, 12, concluded)
}

// The register goes offline when the link goes, sells on within the transaction,
// and comes back at the beginning of a later one.
func TestModeFollowsTheLink(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	linked := func(up bool) {
		require.NoError(t, f.till.SetLink(up))
		require.Eventually(t, func() bool { return f.till.Linked() == up }, 20*time.Second, 10*time.Millisecond)
	}
	linked(true)
	f.do(100, `{"product":"TEA"}`)
	require.Equal(t, events.Online, f.till.View().Mode)
	linked(false)
	f.do(100, `{"product":"TEA"}`)
	require.Equal(t, events.Offline, f.till.View().Mode)
	linked(true)
	f.do(100, `{"product":"TEA"}`)
	require.Equal(t, events.Offline, f.till.View().Mode, "not within a transaction")
	f.do(206, ``)
	f.do(100, `{"product":"TEA"}`)
	require.Equal(t, events.Online, f.till.View().Mode)
	f.do(206, ``)
	f.arrived()
}

// Entries that head office cannot take as they are become findings, and those behind them go on.
func TestBadEntriesAreFindings(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	f.do(100, `{"product":"TEA"}`)
	f.arrived()
	require.NoError(t, f.till.Journal().Append(context.WithoutCancel(t.Context()), f.till.View().Head.Sequence,
		events.Message{Subject: "pos.s001.r01.sale.line_added", ID: ulid.Make().String(), Sequence: f.till.View().Head.Sequence + 1, Body: []byte("no entry")}))
	require.Eventually(t, func() bool {
		findings, err := f.hq.Findings(t.Context())
		require.NoError(t, err)
		return len(findings) == 1 && findings[0].Kind == "undecodable" && findings[0].Sequence == f.till.View().Head.Sequence+1
	}, 20*time.Second, 20*time.Millisecond)
}

// A reader of a stream that hears no more of it, though there is more, is made anew.
func TestReaderThatHearsNothing(t *testing.T) {
	t.Parallel()
	cfg := hq.Config{Dir: t.TempDir(), ListenLeaf: "127.0.0.1:0", Clock: time.Now, Logger: slog.New(slog.DiscardHandler)}
	cfg.HearNothing(5) // those of the four shards and of the repairs
	h, err := hq.Open(t.Context(), cfg)
	require.NoError(t, err)
	defer func() { require.NoError(t, h.Close()) }()
	name := events.Register{Store: "s001", ID: "r01"}
	till := openTill(t, name, h.LeafURL(), creds(t, cfg.Dir, name), shopData(5*time.Second, false)).begin()
	require.Eventually(t, func() bool {
		journals, err := h.Journals(t.Context())
		require.NoError(t, err)
		return len(journals) == 1 && journals[0].Head == till.View().Head
	}, soon, 50*time.Millisecond)
}
