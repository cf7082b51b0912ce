package hq_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"github.com/posnode/posnode/embedded"
	"github.com/posnode/posnode/events"
	"github.com/posnode/posnode/hq"
	"github.com/posnode/posnode/ledger"
	"github.com/posnode/posnode/projections"
	"github.com/posnode/posnode/register"
)

// The sentences of the specification, each with its test. Words in quotation marks are its.

const patience = 30 * time.Second // what is waited for comes at once, or a machine is very busy

// switchShop has a short time-out, and lets a shift be closed without head office.
const switchShop = `{"kind":"store","key":"store","record":{"currency":"GBP","digits":2,"tax_included":true,"max_quantity":"100",
"tenders":{"cash":{"id":"cash","name":"Cash","kind":"cash","over_paid":true,"refund":true},"giftcard":{"id":"giftcard","name":"Gift card","kind":"giftcard"},"loyalty":{"id":"loyalty","name":"Points","kind":"loyalty","point_value":"0.01"}},
"profile":{"version":"%s","timeout_ms":%d,"reconnect_seconds":60,"shift_operations_offline":%t,"gift_card_per_card":5000,"gift_card_per_transaction":5000,"gift_card_in_all":50000}}}
{"kind":"staff","key":"7","record":{"staff":"7","name":"Sam","pin":%q,"groups":[{"manager":true}]}}
{"kind":"product","key":"TEA","record":{"product":"TEA","description":"Tea","price":"2.55"}}
{"kind":"barcode","key":"500","record":{"barcode":"500","product":"TEA"}}
{"kind":"customer","key":"C1","record":{"customer":"C1","kind":"person","name":"Ada","as_of":"2026-03-02T06:00:00Z"}}
{"kind":"giftcard","key":"6001","record":{"number":"6001","currency":"GBP","blank":true,"as_of":"2026-03-02T06:00:00Z"}}
{"kind":"loyalty","key":"L1","record":{"number":"L1","points":1000}}
{"kind":"stock","key":"TEA","record":{"product":"TEA","on_hand":"40","as_of":"2026-03-02T06:00:00Z"}}
{"kind":"stock","key":"s002/TEA","record":{"product":"TEA","store":"s002","on_hand":"9","as_of":"2026-03-02T06:00:00Z"}}
`

var samPIN = sync.OnceValue(func() string { return register.HashPIN("1") })

func shopData(timeout time.Duration, shiftsOffline bool) string {
	text := fmt.Sprintf(switchShop, "1", timeout.Milliseconds(), shiftsOffline, samPIN())
	return strings.ReplaceAll(text, ",\n\"", ",\"") // one line, one record
}

// onlineTill is a register with a clock of its own that is linked to some head office.
type onlineTill struct {
	*register.Register
	t      *testing.T
	config register.Config
	mu     sync.Mutex
	now    time.Time
}

func openTill(t *testing.T, name events.Register, leaf, creds, reference string, change ...func(*register.Config)) *onlineTill {
	till := &onlineTill{t: t, now: time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)}
	till.config = register.Config{
		Dir: t.TempDir(), Register: name, HQ: leaf, Creds: creds, Zone: time.UTC, Clock: till.clock, Logger: slog.New(slog.DiscardHandler),
	}
	for _, f := range change {
		f(&till.config)
	}
	till.open()
	t.Cleanup(func() { require.NoError(t, till.Close()) })
	report, err := till.Reference().Import(t.Context(), strings.NewReader(reference), till.clock(), false)
	require.NoError(t, err, "%v", report.Problems)
	return till
}

func (t *onlineTill) open() {
	var err error
	t.Register, err = register.Open(t.t.Context(), t.config)
	require.NoError(t.t, err)
}

func (t *onlineTill) clock() time.Time {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.now = t.now.Add(time.Millisecond)
	return t.now
}

func (t *onlineTill) pass(d time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.now = t.now.Add(d)
}

func (t *onlineTill) try(operation int, params string) (ledger.Answer, error) {
	return t.Do(context.WithoutCancel(t.t.Context()), register.Request{Operation: operation, Key: events.CommandKey(ulid.Make().String()), Body: []byte(params), Staff: "7"})
}

func (t *onlineTill) do(operation int, params string) ledger.Answer {
	t.t.Helper()
	a, err := t.try(operation, params)
	require.NoError(t.t, err, "operation %d", operation)
	return a
}

func (t *onlineTill) refused(operation int, params string) string {
	t.t.Helper()
	_, err := t.try(operation, params)
	refusal, ok := errors.AsType[*ledger.Refusal](err)
	require.True(t.t, ok, "operation %d: %v", operation, err)
	return refusal.Code
}

func (t *onlineTill) begin() *onlineTill {
	t.t.Helper()
	t.do(700, `{"staff":"7","pin":"1"}`)
	t.do(1050, ``)
	t.do(1200, `{"amount":1000}`)
	return t
}

func (t *onlineTill) linked(up bool) {
	t.t.Helper()
	require.NoError(t.t, t.SetLink(up))
	require.Eventually(t.t, func() bool { return t.Linked() == up }, patience, 5*time.Millisecond)
}

func (t *onlineTill) mode(want events.Mode) {
	t.t.Helper()
	require.Equal(t.t, want, t.View().Mode)
}

func (t *onlineTill) cause() string {
	t.t.Helper()
	s, err := t.Status(t.t.Context())
	require.NoError(t.t, err)
	return s.Connection.Cause
}

// entries are all entries of the journal.
func (t *onlineTill) entries() (all []*events.Entry) {
	t.t.Helper()
	require.NoError(t.t, t.Journal().Read(t.t.Context(), 1, func(m events.Message) error {
		e, err := events.Decode(m.Body)
		all = append(all, e)
		return err
	}))
	return all
}

// office is a whole head office with its reference data.
type office struct {
	*hq.HQ
	t   *testing.T
	dir string
}

func openOffice(t *testing.T, reference string) *office {
	o := &office{t: t, dir: t.TempDir()}
	o.open("127.0.0.1:0")
	t.Cleanup(func() { require.NoError(t, o.Close()) })
	report, err := o.Reference().Import(t.Context(), strings.NewReader(reference), time.Now(), false)
	require.NoError(t, err, "%v", report.Problems)
	return o
}

func (o *office) open(leaf string) {
	var err error
	o.HQ, err = hq.Open(o.t.Context(), hq.Config{Dir: o.dir, ListenLeaf: leaf, Clock: time.Now, Logger: slog.New(slog.DiscardHandler)})
	require.NoError(o.t, err)
}

func creds(t *testing.T, dir string, name events.Register) string {
	raw, err := hq.Enroll(dir, name)
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "creds")
	require.NoError(t, os.WriteFile(path, raw, 0o600))
	return path
}

func (o *office) till(id, reference string) *onlineTill {
	name := events.Register{Store: "s001", ID: events.RegisterID(id)}
	return openTill(o.t, name, o.LeafURL(), creds(o.t, o.dir, name), reference)
}

// has waits until head office has verified everything that a register recorded.
func (o *office) has(tills ...*onlineTill) {
	o.t.Helper()
	require.Eventually(o.t, func() bool {
		journals, err := o.Journals(o.t.Context())
		require.NoError(o.t, err)
		at := map[string]events.Head{}
		for _, j := range journals {
			at[j.Register] = j.Head
		}
		for _, till := range tills {
			if at[till.View().Register.String()] != till.View().Head {
				return false
			}
		}
		return true
	}, 3*time.Minute, 20*time.Millisecond)
}

// scripted is head office's server with a Retail Server that does as the test says. By itself
// it keeps no records: registers then go by their own.
type scripted struct {
	node   *embedded.HQNode
	dir    string
	finds  atomic.Int32
	hellos atomic.Int32
	// find and hello answer instead, if they are set.
	find, hello atomic.Pointer[embedded.Answerer]
}

func (s *scripted) answer(p *atomic.Pointer[embedded.Answerer], a embedded.Answerer) { p.Store(&a) }

func newScripted(t *testing.T, services bool) *scripted {
	s := &scripted{dir: t.TempDir()}
	var err error
	s.node, err = embedded.StartHQ(t.Context(), embedded.HQConfig{Dir: s.dir, ListenLeaf: "127.0.0.1:0", Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.node.Close()) })
	if !services {
		return s
	}
	require.NoError(t, s.node.Answer(projections.FindService, func(ctx context.Context, r events.Register, question []byte) ([]byte, error) {
		s.finds.Add(1)
		if f := s.find.Load(); f != nil {
			return (*f)(ctx, r, question)
		}
		return keepsNothing(question)
	}))
	require.NoError(t, s.node.Answer(projections.HelloService, func(ctx context.Context, r events.Register, question []byte) ([]byte, error) {
		s.hellos.Add(1)
		if f := s.hello.Load(); f != nil {
			return (*f)(ctx, r, question)
		}
		return json.Marshal(projections.Greeting{Time: time.Now(), Profile: "1"})
	}))
	return s
}

func keepsNothing(question []byte) ([]byte, error) {
	var q projections.Question
	if err := json.Unmarshal(question, &q); err != nil {
		return nil, err
	}
	var reply projections.Reply
	for _, query := range q.Queries {
		reply.Results = append(reply.Results, projections.Result{Query: query, NotKept: true})
	}
	return json.Marshal(reply)
}

func (s *scripted) till(t *testing.T, timeout time.Duration) *onlineTill {
	name := events.Register{Store: "s001", ID: "r01"}
	return openTill(t, name, s.node.LeafURL(), creds(t, s.dir, name), shopData(timeout, false))
}

// "A Retail Modern POS device will go offline if the Retail Server is unavailable." Each
// reason has its cause and its sentence: slow is not dead, and dead is not slow.
func TestGoesOfflineIfTheRetailServerIsUnavailable(t *testing.T) {
	hold := make(chan struct{})
	defer close(hold)
	wait := func(context.Context, events.Register, []byte) ([]byte, error) { <-hold; return nil, nil }
	for _, c := range []struct {
		name, cause, detail string
		fail                func(s *scripted, till *onlineTill)
	}{
		{"link down", "link_down", "The link to head office is down.", func(_ *scripted, till *onlineTill) { till.linked(false) }},
		{"slow", "timeout", "did not answer within 300ms", func(s *scripted, _ *onlineTill) { s.answer(&s.find, wait) }},
		{"its database is gone", "retail_server_error", "cannot answer: no database", func(s *scripted, _ *onlineTill) {
			s.answer(&s.find, func(context.Context, events.Register, []byte) ([]byte, error) { return nil, errors.New("no database") })
		}},
		{"nonsense", "retail_server_error", "cannot be read", func(s *scripted, _ *onlineTill) {
			s.answer(&s.find, func(context.Context, events.Register, []byte) ([]byte, error) { return []byte("<html>"), nil })
		}},
		{"nonsense for a record", "retail_server_error", "cannot be read", func(s *scripted, _ *onlineTill) {
			s.answer(&s.find, func(context.Context, events.Register, []byte) ([]byte, error) {
				return []byte(`{"results":[{"kind":"product","key":"TEA","record":{"price":true}}]}`), nil
			})
		}},
		{"an answer to something else", "retail_server_error", "answers nothing", func(s *scripted, _ *onlineTill) {
			s.answer(&s.find, func(context.Context, events.Register, []byte) ([]byte, error) { return []byte(`{"results":[]}`), nil })
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newScripted(t, true)
			till := s.till(t, 300*time.Millisecond).begin()
			till.do(100, `{"product":"TEA"}`)
			till.mode(events.Online)
			c.fail(s, till)
			sold := till.do(100, `{"product":"TEA"}`)
			require.Equal(t, events.Offline, sold.Mode)
			require.Equal(t, 2, sold.Transaction.Lines, "the sale goes on")
			status, err := till.Status(t.Context())
			require.NoError(t, err)
			require.Equal(t, c.cause, status.Connection.Cause)
			require.Contains(t, status.Connection.Detail, c.detail)
			require.Equal(t, c.cause, status.HQ.Outcome)
			till.do(206, ``)
		})
	}
	t.Run("nobody answers", func(t *testing.T) {
		s := newScripted(t, false)
		till := s.till(t, 300*time.Millisecond)
		till.linked(true)
		till.begin()
		till.mode(events.Offline)
		require.Equal(t, "head_office_unreachable", till.refused(917, ``))
		require.Eventually(t, func() bool { // the link is fresh: the services could still be on their way
			_ = till.refused(917, ``)
			status, err := till.Status(t.Context())
			require.NoError(t, err)
			return status.HQ.Outcome == "no_responders"
		}, patience, 50*time.Millisecond)
		till.do(100, `{"product":"TEA"}`)
		till.do(206, ``)
	})
	for name, lose := range map[string]func(o *office) error{
		"reference.db": func(o *office) error { return o.Reference().Close() },
		"hq.db":        func(o *office) error { return o.LoseBooks() },
	} {
		t.Run("head office is reached, and has lost "+name, func(t *testing.T) {
			o := openOffice(t, shopData(5*time.Second, false))
			till := o.till("r01", shopData(5*time.Second, false)).begin()
			till.mode(events.Online)
			require.NoError(t, lose(o))
			till.do(100, `{"product":"TEA"}`)
			require.Equal(t, "retail_server_error", till.cause())
			till.do(206, ``)
			require.Equal(t, "head_office_unreachable", till.refused(917, ``), "it does not greet without")
		})
	}
}

// "When the connection with the Retail Server is lost, the point of sale (POS) automatically switches
// to the offline database": also while nobody does anything.
func TestSwitchesAutomaticallyWhenTheConnectionIsLost(t *testing.T) {
	o := openOffice(t, shopData(5*time.Second, false))
	till := o.till("r01", shopData(5*time.Second, false)).begin()
	till.do(100, `{"product":"TEA"}`)
	till.mode(events.Online)
	require.NoError(t, till.SetLink(false))
	require.Eventually(t, func() bool { return till.View().Mode == events.Offline }, patience, 5*time.Millisecond)
	require.Equal(t, "link_down", till.cause())
	entries := till.entries()
	changed, ok := entries[len(entries)-1].Fact.(*events.ModeChanged)
	require.True(t, ok)
	require.Equal(t, till.View().Transaction, changed.Transaction)
	require.Equal(t, "1", changed.Profile)
	till.do(206, ``)
}

// That head office moves nothing for an epoch that is over is an answer and no failure: the register
// stays online, and does not move within its offline limits instead.
func TestRefusedAsFrozenIsNotOffline(t *testing.T) {
	s := newScripted(t, true)
	require.NoError(t, s.node.Answer("reserve", func(context.Context, events.Register, []byte) ([]byte, error) {
		return json.Marshal(events.Answered[events.Reserved]{Refusal: &events.NotGranted{Code: "register_frozen", Why: "Two histories.", Instead: "Activate it anew (operation 707)."}})
	}))
	till := s.till(t, 5*time.Second).begin()
	till.mode(events.Online)
	before := till.View().Head
	require.Equal(t, "register_frozen", till.refused(512, `{"card":"6001","amount":1000}`))
	till.mode(events.Online)
	require.Equal(t, before, till.View().Head, "nothing is recorded, neither the card nor a change of mode")
}

// Nor does the first operation after a start take longer, before which head office is asked whether it is there.
func TestOneTimeoutAfterAStart(t *testing.T) {
	const timeout, slow = time.Second, 700 * time.Millisecond
	s := newScripted(t, true)
	hold := make(chan struct{})
	defer close(hold)
	s.answer(&s.hello, func(context.Context, events.Register, []byte) ([]byte, error) {
		<-time.After(slow)
		return json.Marshal(projections.Greeting{Time: time.Now(), Profile: "1"})
	})
	s.answer(&s.find, func(context.Context, events.Register, []byte) ([]byte, error) { <-hold; return nil, nil })
	till := s.till(t, timeout)
	till.linked(true)
	began := time.Now()
	till.do(700, `{"staff":"7","pin":"1"}`)
	require.Less(t, time.Since(began), slow+timeout, "the question has what the greeting has left")
	require.EqualValues(t, 1, s.hellos.Load())
	require.EqualValues(t, 1, s.finds.Load())
	till.mode(events.Offline)
	require.Equal(t, "timeout", till.cause())
}

// "If a data request doesn't succeed within the time-out interval that is configured in the offline
// profile, Retail Modern POS automatically switches to the offline database and continues the sales transaction."
func TestTimeoutIsHonoured(t *testing.T) {
	const timeout = 400 * time.Millisecond
	s := newScripted(t, true)
	hold := make(chan struct{})
	defer close(hold)
	till := s.till(t, timeout).begin()
	late, floor := time.Hour, time.Hour
	for range 5 {
		till.do(100, `{"product":"TEA"}`)
		till.mode(events.Online)
		s.answer(&s.find, func(context.Context, events.Register, []byte) ([]byte, error) { <-hold; return nil, nil })
		before := s.finds.Load()
		began := time.Now()
		a := till.do(100, `{"barcode":"500"}`)
		took := time.Since(began)
		require.GreaterOrEqual(t, took, timeout, "slow is not dead: head office has all of its time")
		require.Equal(t, before+1, s.finds.Load(), "it was asked once")
		require.Equal(t, events.Offline, a.Mode)
		require.Equal(t, 2, a.Transaction.Lines, "the same request is answered by the offline database")
		require.Equal(t, "timeout", till.cause())
		late = min(late, took-timeout)
		entries := till.entries()
		require.Equal(t, 400, entries[len(entries)-2].Fact.(*events.ModeChanged).TimeoutMillis)
		began = time.Now()
		till.do(100, `{"product":"TEA"}`)
		floor = min(floor, time.Since(began))
		require.Equal(t, before+1, s.finds.Load(), "offline nobody asks")
		till.do(206, ``)
		s.find.Store(nil)
		till.pass(2 * time.Minute)
	}
	// How late it may be is no matter of clocks that a busy machine moves: that nothing waits after the time-out, register's
	// TestNothingWaitsAfterTheTimeout says of every try. This is what it comes to on a real link.
	t.Logf("answered %v after the time-out of %v, where the same takes %v offline, each at best of 5", late, timeout, floor)
}

// What only head office can grant, and is not answered in time, is refused, and the register is offline.
func TestReservingIsNotAnswered(t *testing.T) {
	s := newScripted(t, true)
	hold := make(chan struct{})
	defer close(hold)
	require.NoError(t, s.node.Answer("reserve", func(context.Context, events.Register, []byte) ([]byte, error) { <-hold; return nil, nil }))
	till := s.till(t, time.Second).begin()
	till.do(100, `{"product":"TEA"}`)
	require.Equal(t, "operation_unsupported_offline", till.refused(207, `{"card":"L1","amount":100}`))
	require.Equal(t, "timeout", till.cause())
	till.mode(events.Offline)
}

// A PIN is checked on both sides, and all that one operation asks counts against one time-out.
func TestPINIsCheckedOnlineAndOffline(t *testing.T) {
	reference := shopData(5*time.Second, false)
	o := openOffice(t, reference)
	till := o.till("r01", reference).begin()
	till.mode(events.Online)
	till.do(701, ``)
	// Head office gives another PIN; the replicated one is of yesterday.
	report, err := o.Reference().Import(t.Context(), strings.NewReader(fmt.Sprintf(
		`{"kind":"staff","key":"7","record":{"staff":"7","name":"Sam","pin":%q,"groups":[{"manager":true}]}}`, register.HashPIN("2"))), time.Now(), false)
	require.NoError(t, err, "%v", report.Problems)
	require.Equal(t, "sign_on_refused", till.refused(700, `{"staff":"7","pin":"1"}`), "online head office's counts")
	till.do(700, `{"staff":"7","pin":"2"}`)
	require.NotNil(t, till.View().Staff)
	till.do(701, ``)
	till.linked(false)
	till.do(700, `{"staff":"7","pin":"1"}`)
	till.mode(events.Offline)
	require.NotNil(t, till.View().Staff, "offline the replicated one counts")
}

// "Retail Modern POS will try to reconnect to the Retail Server after the reconnect attempt interval that is
// configured in the offline profile. This reconnect attempt will occur only at the beginning of a transaction."
func TestReconnectsOnlyAtTheBeginningOfATransactionAndAfterTheInterval(t *testing.T) {
	s := newScripted(t, true)
	till := s.till(t, 5*time.Second).begin()
	till.do(100, `{"product":"TEA"}`)
	till.linked(false)
	till.do(100, `{"product":"TEA"}`)
	till.mode(events.Offline)
	till.linked(true)
	hellos := s.hellos.Load()
	none := func(why string) {
		t.Helper()
		require.Equal(t, hellos, s.hellos.Load(), why)
		till.mode(events.Offline)
	}
	till.pass(2 * time.Minute)
	till.do(100, `{"product":"TEA"}`)
	none("not within a transaction, however long ago the last attempt was")
	till.do(206, ``)
	till.pass(-90 * time.Second) // 30 seconds after it went
	till.do(100, `{"product":"TEA"}`)
	none("not before the interval has passed")
	till.do(500, ``)
	till.pass(time.Minute)
	till.do(101, `{"product":"TEA"}`)
	till.do(602, `{"text":"ada"}`)
	till.do(1000, ``)
	require.Equal(t, "no_transaction", till.refused(206, ``))
	require.Equal(t, "not_signed_on", func() string {
		_, err := till.Do(t.Context(), register.Request{Operation: 100, Key: events.CommandKey(ulid.Make().String()), Body: []byte(`{"product":"TEA"}`)})
		refusal, _ := errors.AsType[*ledger.Refusal](err)
		return refusal.Code
	}())
	none("only at the beginning of a transaction")

	// The attempt is a real request: a link alone is not a Retail Server.
	s.answer(&s.hello, func(context.Context, events.Register, []byte) ([]byte, error) { return nil, errors.New("no database") })
	till.do(100, `{"product":"TEA"}`)
	require.Equal(t, hellos+1, s.hellos.Load())
	till.mode(events.Offline)
	s.hello.Store(nil)
	till.do(206, ``)
	till.do(100, `{"product":"TEA"}`)
	require.Equal(t, hellos+1, s.hellos.Load(), "the interval runs from the last attempt")
	till.do(206, ``)
	till.pass(time.Minute)
	finds := s.finds.Load()
	a := till.do(100, `{"product":"TEA"}`)
	require.Equal(t, hellos+2, s.hellos.Load())
	require.Equal(t, finds+1, s.finds.Load(), "the operation that begins the transaction is answered by the Retail Server")
	require.Equal(t, events.Online, a.Mode)
	require.Equal(t, "reconnected", till.cause())
}

// "Create a button for POS operation 917 – Database connection status. Use the button as a toggle to connect or disconnect."
func TestOperation917IsAToggle(t *testing.T) {
	s := newScripted(t, true)
	till := s.till(t, 5*time.Second).begin()
	till.do(100, `{"product":"TEA"}`)
	till.do(917, ``)
	till.mode(events.Offline)
	require.Equal(t, "transaction_in_progress", till.refused(917, ``))
	till.do(206, ``)
	till.pass(time.Hour)
	hellos := s.hellos.Load()
	till.do(100, `{"product":"TEA"}`)
	till.mode(events.Offline)
	require.Equal(t, hellos, s.hellos.Load(), "what was disconnected by hand stays so")
	till.do(206, ``)
	require.NoError(t, till.Close())
	till.open()
	till.do(700, `{"staff":"7","pin":"1"}`)
	till.mode(events.Offline)
	status, err := till.Status(t.Context())
	require.NoError(t, err)
	require.True(t, status.Connection.Manual, "across a restart")
	require.Zero(t, status.HQ.NextAttempt)

	s.answer(&s.hello, func(context.Context, events.Register, []byte) ([]byte, error) { return nil, errors.New("no database") })
	require.Equal(t, "head_office_unreachable", till.refused(917, ``))
	s.hello.Store(nil)
	require.Eventually(t, func() bool { _, err := till.try(917, ``); return err == nil }, patience, 20*time.Millisecond)
	till.mode(events.Online)
	require.Equal(t, "manual", till.cause())
	till.do(100, `{"product":"TEA"}`)
	till.mode(events.Online)
}

// "You can't complete the following operations when the channel database is offline." And: "If any
// functionality requires Commerce Data Exchange: Real-time Service, you receive an error message".
func TestWhatNeedsTheRealtimeServiceSaysSo(t *testing.T) {
	s := newScripted(t, true)
	till := s.till(t, 5*time.Second).begin()
	till.linked(false)
	till.do(101, `{"product":"TEA"}`)
	till.mode(events.Offline)
	for operation, params := range map[int]string{
		707: `{"code":"ABCD-EFGH"}`, 708: ``, 1053: ``, 1054: ``, 1055: ``, 1056: ``, 1057: ``,
	} {
		require.Equal(t, "operation_unsupported_offline", till.refused(operation, params), "operation %d", operation)
	}
	for _, c := range []struct {
		operation int
		params    string
	}{
		{114, `{"receipt":"s001-r09-1-000001","line":1}`}, {515, `{"order":"SO-9"}`}, {801, `{"product":"TEA","store":"s002"}`},
		{519, `{"card":"9999","amount":100}`}, {520, `{"card":"9999"}`}, {504, `{"transaction":"s001-r09-1-1"}`},
	} {
		require.Equal(t, "realtime_service_unavailable", till.refused(c.operation, c.params), "operation %d", c.operation)
	}
	before := till.View().Head
	till.do(100, `{"product":"TEA"}`)
	require.Equal(t, "operation_unsupported_offline", till.refused(207, `{"card":"L1"}`))
	require.Equal(t, before.Sequence+1, till.View().Head.Sequence, "what is refused stores nothing")
	till.do(206, ``)
}

// "Reports and other operations will act only on the data that is available in the offline database."
func TestOfflineOnlyTheOfflineDatabaseAnswers(t *testing.T) {
	reference := shopData(5*time.Second, false)
	o := openOffice(t, reference+`{"kind":"product","key":"NEW","record":{"product":"NEW","description":"New","price":"1"}}`)
	till := o.till("r01", reference).begin()
	till.mode(events.Online)
	till.do(100, `{"product":"NEW"}`)
	till.do(917, ``)
	require.Equal(t, "unknown_product", till.refused(100, `{"product":"NEW"}`))
	till.do(206, ``)

	// Another register sells meanwhile, and head office has its sale.
	other := o.till("r02", reference).begin()
	other.do(100, `{"product":"TEA"}`)
	receipt := other.do(206, ``).Transaction.Receipt
	o.has(till, other)
	head := till.View().Head
	report := till.do(1003, `{"report":"products"}`)
	require.Equal(t, events.Offline, report.Mode)
	require.Equal(t, head.Sequence, report.Result.(*events.ReportViewed).AsOf, "as of which entry it is")
	db, err := till.Offline(t.Context())
	require.NoError(t, err)
	position, err := db.Position(t.Context())
	require.NoError(t, err)
	require.Equal(t, till.View().Head, position)
	products, err := db.Products(t.Context(), projections.Period{})
	require.NoError(t, err)
	require.Len(t, products, 1, "%+v", products)
	require.Equal(t, events.ProductID("NEW"), products[0].Product, "its own sale, and not the other's")
	tenders, err := db.Tenders(t.Context(), projections.Period{})
	require.NoError(t, err)
	require.Len(t, tenders, 1, "%+v", tenders)
	require.EqualValues(t, 100, tenders[0].Kept)
	journal := till.do(115, ``).Result.(*events.JournalShown)
	require.Equal(t, []any{1, events.Offline}, []any{journal.Found, till.View().Mode})
	require.NotEqual(t, receipt, journal.Rows[0].Receipt)
	require.Equal(t, "realtime_service_unavailable", till.refused(114, fmt.Sprintf(`{"receipt":%q,"line":1}`, receipt)), "what the other sold is known online")
	till.do(917, ``)
	till.do(114, fmt.Sprintf(`{"receipt":%q,"line":1}`, receipt))
	till.do(100, `{"product":"NEW"}`)
	require.Equal(t, "unknown_product", till.refused(100, `{"product":"GHOST"}`), "a business answer")
	till.mode(events.Online)
}

// proxy stands between a register and head office, and can keep back what head office says.
type proxy struct {
	net.Listener
	to   string
	mu   sync.Mutex
	open chan struct{} // closed while everything passes
}

func newProxy(t *testing.T, leafURL string) *proxy {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	p := &proxy{Listener: l, to: strings.TrimPrefix(leafURL, "nats-leaf://"), open: make(chan struct{})}
	close(p.open)
	go func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			go p.carry(near)
		}
	}()
	t.Cleanup(func() { l.Close() })
	return p
}

// keepBack holds everything that head office says from now on, until let is called.
func (p *proxy) keepBack() (let func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	held := make(chan struct{})
	p.open = held
	return func() { close(held) }
}

func (p *proxy) passing() chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.open
}

func (p *proxy) carry(near net.Conn) {
	defer near.Close()
	far, err := net.Dial("tcp", p.to)
	if err != nil {
		return
	}
	defer far.Close()
	go func() { _, _ = io.Copy(far, near); far.Close() }()
	b := make([]byte, 64<<10)
	for {
		n, err := far.Read(b)
		<-p.passing()
		if n > 0 {
			if _, err := near.Write(b[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// The answer of the Retail Server does not arrive after it was given, or too late, and the link looks
// as if it were up: there is no second version of anything.
func TestAnswerThatComesTooLate(t *testing.T) {
	reference := shopData(300*time.Millisecond, false)
	o := openOffice(t, reference)
	name := events.Register{Store: "s001", ID: "r01"}
	p := newProxy(t, o.LeafURL())
	till := openTill(t, name, "nats-leaf://"+p.Addr().String(), creds(t, o.dir, name), reference)
	till.linked(true)
	till.begin()
	till.mode(events.Online)
	till.do(512, `{"card":"6001","amount":500}`)
	let := p.keepBack()
	till.do(100, `{"product":"TEA"}`)
	till.mode(events.Offline)
	require.Equal(t, "timeout", till.cause())
	require.True(t, till.Linked())
	till.do(206, ``)
	let()
	counts, commands := map[string]int{}, map[events.CommandKey]bool{}
	for _, e := range till.entries() {
		counts[e.Type]++
		require.False(t, e.Command != "" && commands[e.Command], "a command twice")
		commands[e.Command] = true
	}
	require.Equal(t, 2, counts["sale.line_added.v1"])
	require.Equal(t, 1, counts["sale.concluded.v1"])
	o.has(till)
	findings, err := o.Findings(t.Context())
	require.NoError(t, err)
	for _, f := range findings {
		require.Equal(t, hq.KindClock, f.Kind, "the till of this test lives in another month, and nothing else is wrong")
	}
	till.pass(time.Hour)
	till.do(100, `{"product":"TEA"}`)
	till.mode(events.Online)
	till.do(206, ``)
}

// The link is half open: packets are lost on both ways, and neither side is told. The request ends by the time-out and the sale goes
// on offline, while the link still looks as if it were up. When packets arrive again so does everything, once.
func TestHalfOpenLink(t *testing.T) {
	reference := shopData(time.Second, false)
	o := openOffice(t, reference)
	name := events.Register{Store: "s001", ID: "r01"}
	link := newDeaf(t, strings.TrimPrefix(o.LeafURL(), "nats-leaf://"))
	till := openTill(t, name, "nats-leaf://"+link.listener.Addr().String(), creds(t, o.dir, name), reference)
	till.linked(true)
	till.begin()
	till.mode(events.Online)
	till.do(100, `{"product":"TEA"}`)
	link.lose.Store(true)
	link.mute.Store(true)
	a := till.do(100, `{"barcode":"500"}`)
	require.Equal(t, events.Offline, a.Mode)
	require.Equal(t, 2, a.Transaction.Lines)
	require.Equal(t, "timeout", till.cause())
	require.True(t, till.Linked(), "nobody has noticed")
	till.do(206, ``)
	till.pass(time.Hour)
	till.do(100, `{"product":"TEA"}`)
	till.mode(events.Offline)
	till.do(206, ``)

	link.lose.Store(false)
	link.mute.Store(false)
	link.cut() // as when it is found dead
	o.has(till)
	till.linked(true)
	till.pass(time.Hour)
	till.do(100, `{"product":"TEA"}`)
	till.mode(events.Online)
	till.do(206, ``)
	o.has(till)
	concluded := 0
	days, err := o.Days(t.Context())
	require.NoError(t, err)
	for _, d := range days {
		concluded += d.Concluded
	}
	require.Equal(t, 3, concluded)
}

// What a scan costs in both modes: online it is one question over the link more.
func BenchmarkScan(b *testing.B) {
	for _, mode := range []events.Mode{events.Online, events.Offline} {
		b.Run(string(mode), func(b *testing.B) {
			log := slog.New(slog.DiscardHandler)
			reference, dir, name := shopData(5*time.Second, false), b.TempDir(), events.Register{Store: "s001", ID: "r01"}
			o, err := hq.Open(b.Context(), hq.Config{Dir: dir, ListenLeaf: "127.0.0.1:0", Clock: time.Now, Logger: log})
			require.NoError(b, err)
			defer o.Close()
			_, err = o.Reference().Import(b.Context(), strings.NewReader(reference), time.Now(), false)
			require.NoError(b, err)
			raw, err := hq.Enroll(dir, name)
			require.NoError(b, err)
			path := filepath.Join(b.TempDir(), "creds")
			require.NoError(b, os.WriteFile(path, raw, 0o600))
			r, err := register.Open(b.Context(), register.Config{Dir: b.TempDir(), Register: name, HQ: o.LeafURL(), Creds: path, Zone: time.UTC, Clock: time.Now, Logger: log})
			require.NoError(b, err)
			defer r.Close()
			_, err = r.Reference().Import(b.Context(), strings.NewReader(reference), time.Now(), false)
			require.NoError(b, err)
			do := func(operation int, params string) {
				_, err := r.Do(b.Context(), register.Request{Operation: operation, Key: events.CommandKey(ulid.Make().String()), Body: []byte(params), Staff: "7"})
				require.NoError(b, err)
			}
			do(700, `{"staff":"7","pin":"1"}`)
			do(1050, ``)
			if mode == events.Offline {
				do(917, ``)
			}
			n := 0
			for b.Loop() {
				do(100, `{"barcode":"500"}`)
				if n++; n%100 == 0 {
					b.StopTimer()
					do(206, ``)
					b.StartTimer()
				}
			}
			require.Equal(b, mode, r.View().Mode)
		})
	}
}

// The status warns by the levels of the offline profile, and the profile is followed as soon as it is
// there; one with nonsense in it is refused, and the last good one stays.
func TestWarnings(t *testing.T) {
	s := newScripted(t, true)
	till := s.till(t, 5*time.Second).begin()
	profile := func(fields string) error {
		_, err := till.Reference().Import(t.Context(), strings.NewReader(`{"kind":"profile","key":"r01","record":{"register":"r01",`+fields+`}}`), till.clock(), false)
		return err
	}
	warnings := func() string {
		t.Helper()
		status, err := till.Status(t.Context())
		require.NoError(t, err)
		return strings.Join(status.Warnings, "\n")
	}
	require.NoError(t, profile(`"version":"2","timeout_ms":5000,"warn_unsent_entries":3,"warn_unsent_minutes":10,"max_age_hours":24`))
	require.ErrorContains(t, profile(`"version":"3","timeout_ms":7`), "timeout_ms 7 is not from 50 to 60000")
	require.ErrorContains(t, profile(`"version":"3","timeout":7`), "unknown field")
	status, err := till.Status(t.Context())
	require.NoError(t, err)
	require.Equal(t, "2", status.Profile.Version, "the last good one stays")
	require.Contains(t, warnings(), "Head office has offline profile 1 for this register, which follows 2.")
	// The clock of the test is of 2026-03-02, that of head office is not.
	require.Contains(t, warnings(), "The register's clock and head office's differ by")
	require.Contains(t, warnings(), "Head office does not have", "nobody takes the journal")
	require.NotContains(t, warnings(), "has not had an entry")
	require.NotContains(t, warnings(), "reference data is of")
	till.pass(11 * time.Minute)
	require.Contains(t, warnings(), "Head office has not had an entry of this register since")
	require.NotContains(t, warnings(), "reference data is of")
	till.pass(24 * time.Hour)
	require.Contains(t, warnings(), "The reference data is of 2026-03-02T09:")
	require.NotZero(t, status.Unsent.Bytes)
	require.Equal(t, status.Unsent.Entries, status.HQ.Unsent)

	require.NoError(t, profile(`"version":"4","forbid_manual_switch":true`))
	require.Equal(t, "manual_switch_forbidden", till.refused(917, ``))
	status, err = till.Status(t.Context())
	require.NoError(t, err)
	require.False(t, status.Profile.ManualSwitch)
}

// A till lives in another month than head office: it sells on, both say so, and when its clock is set right that is over.
func TestClocksDaysApart(t *testing.T) {
	t.Parallel()
	o := openOffice(t, shopData(5*time.Second, false))
	till := o.till("r01", shopData(5*time.Second, false)).begin()
	clock := func() (open, resolved int) {
		findings, err := o.Findings(t.Context())
		require.NoError(t, err)
		for _, f := range findings {
			require.Equal(t, hq.KindClock, f.Kind)
			if f.Resolved == "" {
				open++
			} else {
				resolved++
			}
		}
		return open, resolved
	}
	require.Eventually(t, func() bool { open, _ := clock(); return open == 1 }, patience, 50*time.Millisecond)
	status, err := till.Status(t.Context())
	require.NoError(t, err)
	require.Contains(t, strings.Join(status.Warnings, "\n"), "The register's clock and head office's differ by")
	till.do(100, `{"product":"TEA"}`)
	till.do(206, ``)
	o.has(till)
	till.pass(time.Since(till.clock()))
	require.Eventually(t, func() bool { open, resolved := clock(); return open == 0 && resolved > 0 }, patience, 50*time.Millisecond)
	till.do(100, `{"product":"TEA"}`)
	till.do(206, ``)
	o.has(till)
}
