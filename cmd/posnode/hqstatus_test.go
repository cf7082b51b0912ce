package main

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/posnode/posnode/embedded"
	"github.com/posnode/posnode/events"
	"github.com/posnode/posnode/hq"
	"github.com/posnode/posnode/internal/build"
	"github.com/posnode/posnode/register"
	"github.com/posnode/posnode/web"
)

// watched is a head office with a clock that the test moves. Each register has a clock of its own.
type watched struct {
	*hq.HQ
	t     *testing.T
	dir   string
	began time.Time
	later atomic.Int64 // head office's clock, since the test began
}

func (o *watched) clock() time.Time { return o.began.Add(time.Duration(o.later.Load())) }

func (o *watched) creds(name events.Register) (path string) {
	creds, err := hq.Enroll(filepath.Join(o.dir, "hq"), name)
	require.NoError(o.t, err)
	path = filepath.Join(o.dir, name.String()+".creds")
	require.NoError(o.t, os.WriteFile(path, creds, 0o600))
	return path
}

// till opens a register with its clock ahead by so much, and waits until it has head office's
// reference data.
func (o *watched) till(id events.RegisterID, ahead time.Duration) *till {
	name := events.Register{Store: "s001", ID: id}
	r, err := register.Open(o.t.Context(), register.Config{
		Dir: filepath.Join(o.dir, name.String()), Register: name, HQ: o.LeafURL(), Creds: o.creds(name), Zone: time.UTC, Logger: slog.New(slog.DiscardHandler),
		Clock: func() time.Time { return time.Now().Add(ahead) },
	})
	require.NoError(o.t, err)
	t := &till{Register: r}
	o.t.Cleanup(func() { require.NoError(o.t, t.Close()) })
	require.Eventually(o.t, func() bool { return !t.Reference().Confirmed().IsZero() }, time.Minute, 20*time.Millisecond)
	return t
}

// gap makes a register with entries missing at head office, in the middle and at the end of its
// journal. The register repairs nothing. The function announce announces the whole journal, and
// returns the ranges that head office asks for.
func (o *watched) gap(id events.RegisterID, lost events.Range, came uint64) (last uint64, announce func(reference time.Time) []events.Range) {
	name := events.Register{Store: "s001", ID: id}
	r, err := register.Open(o.t.Context(), register.Config{
		Dir: filepath.Join(o.dir, "journal"), Register: name, Zone: time.UTC, Clock: time.Now, Logger: slog.New(slog.DiscardHandler),
	})
	require.NoError(o.t, err)
	alone := &till{Register: r}
	report, err := alone.Reference().Import(o.t.Context(), bytes.NewReader(shopData), time.Now(), false)
	require.NoError(o.t, err, "%v", report.Problems)
	require.NoError(o.t, alone.open(o.t.Context()))
	for _, inv := range builtInInvoices()[:3] {
		require.NoError(o.t, alone.sellInvoice(o.t.Context(), inv, func() error { return nil }))
	}
	head := alone.View().Head
	var sent []events.Message
	require.NoError(o.t, alone.Journal().Read(o.t.Context(), 1, func(m events.Message) error {
		if m.Sequence <= came && (m.Sequence < lost.From || m.Sequence > lost.To) {
			sent = append(sent, m)
		}
		return nil
	}))
	require.NoError(o.t, alone.Close())
	require.Greater(o.t, head.Sequence, came)

	node, err := embedded.StartRegister(o.t.Context(), embedded.RegisterConfig{
		Dir: filepath.Join(o.dir, name.String()), Register: name, Epoch: 1, HQ: o.LeafURL(), Creds: o.creds(name), Logger: slog.New(slog.DiscardHandler),
	})
	require.NoError(o.t, err)
	o.t.Cleanup(func() { require.NoError(o.t, node.Close()) })
	require.Eventually(o.t, func() bool { return node.Link().Connected }, time.Minute, 10*time.Millisecond)
	require.NoError(o.t, node.Repair(o.t.Context(), 1, sent))
	return head.Sequence, func(reference time.Time) []events.Range {
		question, err := json.Marshal(events.Announcement{Head: head, Time: time.Now(), Version: "an older one", Instance: "1", Reference: reference})
		require.NoError(o.t, err)
		ctx, cancel := context.WithTimeout(o.t.Context(), time.Minute)
		defer cancel()
		raw, err := node.Ask(ctx, "announce", question)
		require.NoError(o.t, err)
		var ack events.Acknowledgement
		require.NoError(o.t, json.Unmarshal(raw, &ack))
		return ack.Missing
	}
}

// TestEveryRegisterIsSeen has five registers in five different states. Head office shows the state
// of each within a minute, the same everywhere: in the program, on the command line, by the API and
// on the page.
func TestEveryRegisterIsSeen(t *testing.T) {
	t.Parallel()
	log := slog.New(slog.DiscardHandler)
	o := &watched{t: t, dir: t.TempDir(), began: time.Now().UTC()}
	hqDir := filepath.Join(o.dir, "hq")
	var err error
	o.HQ, err = hq.Open(t.Context(), hq.Config{Dir: hqDir, ListenLeaf: "127.0.0.1:0", Clock: o.clock, Logger: log})
	require.NoError(t, err)
	defer func() { require.NoError(t, o.Close()) }()
	report, err := o.Import(t.Context(), bytes.NewReader(shopData), hq.ImportOptions{})
	require.NoError(t, err, "%v", report.Problems)
	// seen waits, for a minute at most, until head office shows a register as the test expects.
	seen := func(id events.RegisterID, what string, as func(hq.RegisterStatus) bool) (s hq.RegisterStatus) {
		t.Helper()
		require.Eventually(t, func() bool {
			all, err := o.Registers(t.Context())
			require.NoError(t, err)
			for _, one := range all {
				if one.Register == "s001-"+string(id) {
					s = one
					return as(one)
				}
			}
			return false
		}, time.Minute, 20*time.Millisecond, "%s: %+v", what, &s)
		return s
	}
	whole := func(t *till) func(hq.RegisterStatus) bool {
		return func(s hq.RegisterStatus) bool {
			last := t.View().Head.Sequence
			return s.Announced == last && s.Received == last && s.Verified == last && s.Marked == last && len(s.Missing) == 0
		}
	}
	const skew = 7 * time.Minute

	sells := o.till("r01", skew)
	require.NoError(t, sells.open(t.Context()))
	offline := o.till("r02", 0)
	require.NoError(t, offline.open(t.Context()))
	_, err = offline.do(t.Context(), 917, nil)
	require.NoError(t, err)
	silent := o.till("r03", 0)
	require.NoError(t, silent.open(t.Context()))
	idle := o.till("r04", 0) // nobody has done anything there
	last, announce := o.gap("r05", events.Range{Epoch: 1, From: 3, To: 4}, 7)

	s := seen("r01", "a register that sells, its clock ahead", whole(sells))
	require.Equal(t, 1, s.Epoch)
	require.Equal(t, events.Online, s.Mode)
	require.Equal(t, "started", s.Cause)
	since, err := time.Parse(time.RFC3339Nano, s.ModeSince)
	require.NoError(t, err)
	require.WithinRange(t, since, o.began.Add(skew), time.Now().Add(skew))
	require.Equal(t, o.clock(), s.LastContact)
	require.False(t, s.Silent)
	require.NotNil(t, s.Missing)
	require.GreaterOrEqual(t, s.ClockDifference, skew)
	require.LessOrEqual(t, s.ClockDifference, skew+time.Since(o.began))
	require.Equal(t, build.Version(), s.Version)
	require.WithinRange(t, s.Reference, o.began.Add(skew), time.Now().Add(skew), "its reference data is of now, by its clock")
	require.Zero(t, s.Open)
	require.Nil(t, s.Frozen)

	s = seen("r02", "a register that someone took offline", whole(offline))
	require.Equal(t, events.Offline, s.Mode)
	require.Equal(t, "manual", s.Cause)
	require.Less(t, s.ClockDifference.Abs(), time.Since(o.began)+time.Minute)
	require.False(t, s.Silent)

	s = seen("r04", "a register that has not changed its mode yet", whole(idle))
	require.Equal(t, events.Offline, s.Mode, "it starts offline until it has connected")
	require.Empty(t, s.Cause)
	require.NotEmpty(t, s.ModeSince)

	old := o.began.Add(-40 * time.Hour).Truncate(time.Second)
	announce(old)
	gap := []events.Range{{Epoch: 1, From: 3, To: 4}, {Epoch: 1, From: 8, To: last}}
	s = seen("r05", "a register of which entries are missing", func(s hq.RegisterStatus) bool { return len(s.Missing) == 2 && s.Open == 1 })
	require.Equal(t, gap, s.Missing, "the oldest missing entry first")
	require.Equal(t, gap[:1], announce(old), "and is asked for")
	require.Equal(t, []uint64{last, 5, 2}, []uint64{s.Announced, s.Received, s.Verified})
	require.True(t, s.Reference.Equal(old), "%s", s.Reference)
	require.Equal(t, "an older one", s.Version)

	// One register is closed. It is silent when head office has not heard from it for 15 s, not
	// before. Its last status is kept.
	seen("r03", "a register before it is silent", whole(silent))
	require.NoError(t, silent.Close())
	before := seen("r03", "a register that has just been closed", func(s hq.RegisterStatus) bool { return !s.Silent })
	require.False(t, before.Reference.IsZero())
	o.later.Store(int64(15*time.Second - 1))
	require.False(t, seen("r03", "just before", func(hq.RegisterStatus) bool { return true }).Silent)
	o.later.Store(int64(15 * time.Second))
	s = seen("r03", "a register that is silent", func(hq.RegisterStatus) bool { return true })
	require.True(t, s.Silent)
	before.Silent = true
	require.Equal(t, before, s)
	for _, id := range []events.RegisterID{"r01", "r02", "r04"} {
		seen(id, "the others are not", func(s hq.RegisterStatus) bool { return !s.Silent && s.LastContact.Equal(o.clock()) })
	}
	seen("r02", "and have newer reference data", func(s hq.RegisterStatus) bool { return s.Reference.After(before.Reference) })

	// All registers are closed, so the status does not change. It must be the same everywhere.
	for _, one := range []*till{sells, offline, idle} {
		require.NoError(t, one.Close())
	}
	all, err := o.Registers(t.Context())
	require.NoError(t, err)
	require.Len(t, all, 5)
	server := httptest.NewServer(web.HQ(o.HQ, "secret", log))
	defer server.Close()
	require.NoError(t, hqAddress{URL: server.URL, Token: "secret"}.write(hqDir))
	command := func(args ...string) string {
		var out bytes.Buffer
		require.Zero(t, run(args, stdio{strings.NewReader(""), &out, &out}), "%s", &out)
		return out.String()
	}
	var api []hq.RegisterStatus
	require.NoError(t, json.Unmarshal([]byte(command("hq", "status", "--data", hqDir, "--json")), &api))
	want, err := json.Marshal(all)
	require.NoError(t, err)
	got, err := json.Marshal(api)
	require.NoError(t, err)
	require.JSONEq(t, string(want), string(got))

	req, err := http.NewRequest(http.MethodGet, server.URL+"/", nil)
	require.NoError(t, err)
	req.Header.Set("Authorization", "Bearer secret")
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	var page bytes.Buffer
	_, err = page.ReadFrom(resp.Body)
	require.NoError(t, err)
	rows := map[string][]string{} // of the table, by register
	for _, line := range strings.Split(command("hq", "status", "--data", hqDir), "\n")[1:] {
		if fields := strings.Fields(line); len(fields) > 0 {
			rows[fields[0]] = fields
		}
	}
	number := func(n uint64) string { return strconv.FormatUint(n, 10) }
	for _, s := range all {
		row := strings.Join(rows[s.Register], " ")
		_, shown, found := strings.Cut(page.String(), "<td>"+s.Register)
		require.True(t, found, s.Register)
		shown, _, _ = strings.Cut(shown, "</tr>")
		for _, text := range []string{row, shown} {
			for _, want := range []string{string(s.Mode), s.Cause, number(s.Announced), number(s.Received), number(s.Verified), s.ClockDifference.Round(time.Millisecond).String(), s.Version} {
				require.Contains(t, text, want, s.Register)
			}
			require.Equal(t, s.Silent, strings.Contains(text, "silent"), s.Register)
			require.Equal(t, len(s.Missing) == 0, strings.Contains(text, "nothing"), s.Register)
			for _, missing := range s.Missing {
				require.Contains(t, text, missing.String())
			}
		}
		require.Contains(t, row, s.LastContact.UTC().Format(time.RFC3339))
		require.Contains(t, row, s.Reference.UTC().Format(time.RFC3339))
	}
}
