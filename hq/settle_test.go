package hq_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
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
	"github.com/posnode/posnode/register"
)

const balances = `{"kind":"store","key":"store","record":{"currency":"GBP","digits":2,"max_quantity":"100","profile":{"gift_card_per_card":5000,"gift_card_per_transaction":5000,"gift_card_in_all":9000,"account_per_customer":3000,"reconnect_seconds":1%s},"tenders":{"cash":{"id":"cash","name":"Cash","kind":"cash","over_paid":true,"refund":true},"giftcard":{"id":"giftcard","name":"Gift card","kind":"giftcard"},"account":{"id":"account","name":"On account","kind":"account"},"loyalty":{"id":"loyalty","name":"Points","kind":"loyalty","point_value":"0.01"}}}}
{"kind":"staff","key":"7","record":{"staff":"7","name":"Sam","pin":%q,"groups":[{"manager":true}]}}
{"kind":"product","key":"TEA","record":{"product":"TEA","description":"Tea","price":"10"}}
{"kind":"giftcard","key":"6001","record":{"number":"6001","balance":5000,"currency":"GBP","as_of":"2026-01-01T00:00:00Z"}}
{"kind":"loyalty","key":"L1","record":{"number":"L1","points":3000,"as_of":"2026-01-01T00:00:00Z"}}
{"kind":"customer","key":"C1","record":{"customer":"C1","kind":"person","name":"Ada","allows_on_account":true,"credit_limit":5000,"as_of":"2026-01-01T00:00:00Z"}}
`

// keep gives head office the reference data of the shop, and the registers their copy.
func (w *shopWorld) keep(profile string, tills ...*worldTill) {
	text := fmt.Sprintf(balances, profile, register.HashPIN("1"))
	report, err := w.hq.Import(w.t.Context(), strings.NewReader(text), hq.ImportOptions{})
	require.NoError(w.t, err, "%v", report.Problems)
	for _, t := range tills {
		require.Eventually(w.t, func() bool {
			record, found, err := t.Reference().Find(w.t.Context(), ledger.Query{Kind: "giftcard", Key: "6001"})
			return err == nil && found && record.(ledger.GiftCard).Balance == 5000
		}, soon, 50*time.Millisecond)
	}
}

// pair is two registers of the shop, both online.
func (w *shopWorld) pair() (one, two *worldTill) {
	one, two = w.activated("r01"), w.activated("r02")
	w.keep("", one, two)
	one.online()
	two.online()
	return one, two
}

func (t *worldTill) offline() {
	t.w.t.Helper()
	if t.View().Mode == events.Online {
		t.must(917, ``)
	}
}

// basket puts tea for so many tens of pounds on a transaction.
func (t *worldTill) basket(tens int) {
	t.w.t.Helper()
	t.must(100, fmt.Sprintf(`{"product":"TEA","quantity":"%d"}`, tens))
}

func (w *shopWorld) exceptions(kind string) (found []hq.Exception) {
	all, err := w.hq.Exceptions(w.t.Context())
	require.NoError(w.t, err)
	for _, e := range all {
		if e.Kind == kind {
			found = append(found, e)
		}
	}
	return found
}

func TestBalancesAreReserved(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	one, two := w.pair()

	one.basket(4)
	one.must(214, `{"card":"6001","amount":3000}`)
	two.basket(4)
	two.refused("gift_card_balance", 214, `{"card":"6001","amount":3000}`)
	two.must(214, `{"card":"6001","amount":1000}`)
	one.must(211, `{"payment":1}`)
	require.Eventually(t, func() bool { // what was voided is free again once head office has heard of it
		two.must(211, `{"payment":1}`)
		_, err := two.try(214, `{"card":"6001","amount":1000}`)
		return err == nil
	}, soon, time.Millisecond)
	one.must(206, ``)
	two.must(206, ``)
	two.arrived()
	one.arrived()
	one.basket(5)
	one.refused("gift_card_balance", 214, `{"card":"6001","amount":4500}`)
	one.must(214, `{"card":"6001","amount":4000}`)
	one.must(206, ``)

	// Points, and an account.
	one.basket(3)
	one.must(207, `{"card":"L1","amount":2000}`)
	two.basket(3)
	two.refused("points_too_few", 207, `{"card":"L1","amount":2000}`)
	two.must(207, `{"card":"L1","amount":1000}`)
	one.must(206, ``)
	two.must(602, `{"customer":"C1"}`)
	two.must(202, `{"amount":2000}`)
	one.must(602, `{"customer":"C1"}`)
	one.basket(5)
	one.refused("credit_limit_exceeded", 202, `{"amount":4000}`)
	one.must(202, `{"amount":3000}`)
	one.must(206, ``)
	one.arrived()
	two.arrived()
	require.Empty(t, w.exceptions("gift_card_overdrawn"))
	require.Empty(t, w.exceptions("credit_limit_exceeded"))
}

func TestExceptions(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	one, two := w.activated("r01"), w.activated("r02")
	w.keep("", one, two)
	for _, till := range []*worldTill{one, two} {
		till.offline()
		till.basket(4)
		till.must(214, `{"card":"6001","amount":3000}`)
		till.must(206, ``)
		till.must(602, `{"customer":"C1"}`)
		till.basket(3)
		till.must(202, `{"amount":3000}`)
		till.must(623, fmt.Sprintf(`{"customer":"C1","city":"City of %s"}`, till.name))
		till.must(612, `{"name":"Grace"}`)
	}
	one.arrived()
	two.arrived()
	require.Eventually(t, func() bool {
		return len(w.exceptions("gift_card_overdrawn")) == 1 && len(w.exceptions("credit_limit_exceeded")) == 1 && len(w.exceptions("customer_conflict")) == 1
	}, soon, 20*time.Millisecond)
	e := w.exceptions("gift_card_overdrawn")[0]
	require.Equal(t, "6001", e.Key)
	require.Equal(t, events.Money(1000), e.Amount)
	require.Len(t, e.Facts, 2)
	require.NotEqual(t, e.Facts[0].Register, e.Facts[1].Register, "it names both sales")
	days, err := w.hq.Days(t.Context())
	require.NoError(t, err)
	require.Len(t, days, 2, "nothing is dropped")

	// The same after a restart, and still once.
	before, err := w.hq.Exceptions(t.Context())
	require.NoError(t, err)
	require.NoError(t, w.hq.Close())
	w.open()
	one.linked(true)
	after, err := w.hq.Exceptions(t.Context())
	require.NoError(t, err)
	require.Equal(t, before, after)
}

func TestShiftsAreConfirmed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	till := w.activated("r01")
	w.keep(`,"shift_operations_offline":true`, till)
	till.online()
	till.arrived()
	a := till.must(1056, ``)
	x := a.Result.(*events.XPrinted)
	require.NotNil(t, x.Confirmation)
	require.Equal(t, a.Entries[0].Sequence-1, x.Confirmation.Head.Sequence)
	require.Contains(t, x.Confirmation.Checkpoint, "s001-r01/1\n")

	till.offline()
	a = till.must(1055, ``)
	closed := a.Result.(*events.ShiftClosed)
	require.Nil(t, closed.Confirmation, "the profile lets it go on without head office")
	till.arrived()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(w.dir, "hq", "hq.db"))
	require.NoError(t, err)
	defer db.Close()
	require.Eventually(t, func() bool {
		var n int
		require.NoError(t, db.QueryRow(`SELECT count(*) FROM confirmed WHERE register = 's001-r01' AND sequence = ?`, a.Entries[0].Sequence).Scan(&n))
		return n == 1
	}, soon, 20*time.Millisecond, "head office confirms it later")
}

// deaf is a connection to head office that can be told to lose what head office says, and what is said to it.
type deaf struct {
	listener net.Listener
	to       string
	lose     atomic.Bool
	loseOnce atomic.Pointer[func() bool] // what comes once this says so is lost, too
	mute     atomic.Bool
	mu       sync.Mutex
	open     []net.Conn
}

func newDeaf(t *testing.T, to string) *deaf {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	d := &deaf{listener: l, to: to}
	t.Cleanup(func() { l.Close(); d.cut() })
	go func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", d.to)
			if err != nil {
				in.Close()
				continue
			}
			d.mu.Lock()
			d.open = append(d.open, in, out)
			d.mu.Unlock()
			go pass(in, out, d.mute.Load)
			go pass(out, in, d.loses)
		}
	}()
	return d
}

// loses says whether what head office says now is lost.
func (d *deaf) loses() bool {
	if once := d.loseOnce.Load(); once != nil && (*once)() {
		d.lose.Store(true)
	}
	return d.lose.Load()
}

// pass carries what one side says to the other until either hangs up, but for what is lost.
func pass(from, to net.Conn, lost func() bool) {
	defer from.Close()
	defer to.Close()
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		if !lost() {
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
	}
}

// cut closes what is open, so that the link comes back whole.
func (d *deaf) cut() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, c := range d.open {
		c.Close()
	}
	d.open = nil
}

// The answer of head office is lost after it was given: no second version of anything.
func TestGrantLostAfterItWasGiven(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	proxy := newDeaf(t, w.leaf)
	code, bootstrap := w.code("r01", time.Hour)
	till := w.till("r01", func(c *register.Config) {
		c.Bootstrap, c.HQ = bootstrap, "nats-leaf://"+proxy.listener.Addr().String()
	})
	till.linked(true)

	// Of the activation: the same command again gets the same answer.
	proxy.lose.Store(true)
	key := ulid.Make().String()
	_, err := till.tryAs(key, 707, fmt.Sprintf(`{"code":%q}`, code))
	require.ErrorContains(t, err, "realtime_service_unavailable")
	proxy.lose.Store(false)
	proxy.cut()
	require.Eventually(t, func() bool {
		_, err = till.tryAs(key, 707, fmt.Sprintf(`{"code":%q}`, code))
		return err == nil
	}, soon, 100*time.Millisecond, "%v", err)
	require.Equal(t, 1, till.View().Head.Epoch)
	till.begin()
	w.keep("", till)
	till.online()

	// Of a reservation: the register goes offline, and the same payment is taken within its limits.
	grantIsLost := func() (heard func()) {
		db, err := sql.Open("sqlite", "file:"+filepath.Join(w.dir, "hq", "hq.db"))
		require.NoError(t, err)
		grants := func() (n int) {
			require.NoError(t, db.QueryRow(`SELECT count(*) FROM reservations`).Scan(&n))
			return n
		}
		before := grants()
		granted := func() bool { return grants() > before }
		proxy.loseOnce.Store(&granted)
		return func() {
			require.True(t, granted(), "head office granted it, and its answer was lost")
			require.Equal(t, events.Offline, till.View().Mode)
			require.NoError(t, db.Close())
			proxy.loseOnce.Store(nil)
			proxy.lose.Store(false)
			proxy.cut()
		}
	}
	till.basket(4)
	heard := grantIsLost()
	till.must(214, `{"card":"6001","amount":3000}`)
	heard()
	till.must(206, ``)
	till.arrived()

	// Of a transaction that waits elsewhere: it stays with the register that was granted it, which asks again.
	connected := func() bool {
		if till.View().Mode == events.Online && till.Linked() {
			return true
		}
		_, err := till.try(917, ``)
		return err == nil
	}
	require.Eventually(t, connected, soon, 50*time.Millisecond)
	waits := w.activated("r03")
	w.keep("", waits)
	waits.online()
	_, params := waits.suspend(1)
	heard = grantIsLost()
	till.refused("realtime_service_unavailable", 504, params)
	heard()
	waits.refused("transaction_recalled", 504, params)
	require.Eventually(t, connected, soon, 50*time.Millisecond)
	till.must(504, params)
	till.must(206, ``)
	till.arrived()

	// Of a confirmation: the operation needs it, and nothing is recorded; the same command again is carried out once.
	till.offline()
	require.Eventually(t, connected, soon, 50*time.Millisecond)
	key = ulid.Make().String()
	proxy.lose.Store(true)
	_, err = till.tryAs(key, 1056, ``)
	require.ErrorContains(t, err, "operation_unsupported_offline")
	require.Equal(t, events.Offline, till.View().Mode)
	proxy.lose.Store(false)
	proxy.cut()
	require.Eventually(t, connected, soon, 50*time.Millisecond)
	for _, repeated := range []bool{false, true} {
		a, err := till.tryAs(key, 1056, ``)
		require.NoError(t, err)
		require.Equal(t, repeated, a.Repeated)
		require.NotNil(t, a.Result.(*events.XPrinted).Confirmation)
	}
	till.arrived()

	other := w.activated("r02")
	w.keep("", other)
	other.online()
	other.basket(4)
	other.refused("gift_card_balance", 214, `{"card":"6001","amount":2500}`)
	other.must(214, `{"card":"6001","amount":2000}`)
	other.must(206, ``)
	other.arrived()
	require.Empty(t, w.exceptions("gift_card_overdrawn"))
	require.Empty(t, w.exceptions("recalled_twice"))

	// Of an inactivation: the register is let in, and sells, until it has the answer.
	require.NoError(t, till.Close())
	proxy.cut()
	till.open()
	till.linked(true)
	require.Eventually(t, connected, soon, 50*time.Millisecond)
	till.sell()
	till.must(1055, ``)
	till.must(700, `{"staff":"7","pin":"1"}`)
	till.arrived()
	require.Eventually(t, func() bool { s, err := till.Status(t.Context()); return err == nil && s.HQ.Unsent == 0 }, soon, 20*time.Millisecond)
	key = ulid.Make().String()
	proxy.lose.Store(true)
	_, err = till.tryAs(key, 708, ``)
	require.ErrorContains(t, err, "realtime_service_unavailable")
	proxy.lose.Store(false)
	proxy.cut()
	require.Eventually(t, connected, soon, 50*time.Millisecond)
	till.must(1050, ``)
	till.sell()
	require.Eventually(t, func() bool {
		if connected() {
			_, err = till.try(1055, ``)
		}
		return err == nil
	}, soon, 100*time.Millisecond, "%v", err)
	till.must(700, `{"staff":"7","pin":"1"}`)
	till.arrived()
	require.Eventually(t, func() bool { s, err := till.Status(t.Context()); return err == nil && s.HQ.Unsent == 0 }, soon, 20*time.Millisecond)
	require.Eventually(t, func() bool {
		if connected() {
			_, err = till.tryAs(key, 708, ``)
		}
		return err == nil
	}, soon, 100*time.Millisecond, "%v", err)
	till.linked(false)
	till.must(700, `{"staff":"7","pin":"1"}`)
	till.refused("register_not_activated", 1050, ``)
	require.Eventually(t, func() bool {
		all, err := w.hq.Registers(t.Context())
		require.NoError(t, err)
		return all[0].Inactivated && len(all[0].Missing) == 0
	}, soon, 20*time.Millisecond, "all that it sold is here")
	days, err := w.hq.Days(t.Context())
	require.NoError(t, err)
	require.Len(t, days, 2)
	require.Equal(t, 4, days[0].Concluded)
}

// What two registers did that did not know of each other, each with the exception that names both. No sale is dropped.
func TestExceptionsOfTwoRegisters(t *testing.T) {
	w := newWorld(t)
	one, two := w.activated("r01"), w.activated("r02")
	w.keep(`},"orders":{"deposit_percent":"20"`, one, two)
	w.imports(`{"kind":"giftcard","key":"7001","record":{"number":"7001","currency":"GBP","blank":true,"as_of":"2026-01-01T00:00:00Z"}}`)
	for _, till := range []*worldTill{one, two} {
		require.Eventually(t, func() bool {
			_, found, err := till.Reference().Find(t.Context(), ledger.Query{Kind: "giftcard", Key: "7001"})
			return err == nil && found
		}, soon, 50*time.Millisecond)
		till.online()
	}
	one.basket(1)
	receipt := one.must(206, ``).Transaction.Receipt
	one.must(602, `{"customer":"C1"}`)
	one.basket(2)
	one.must(620, ``)
	order := fmt.Sprintf(`{"order":%q}`, one.must(206, ``).Result.(*events.OrderPlaced).Placed.Order)
	one.arrived()

	// What one does from here on, two cannot be told.
	require.NoError(t, one.SetLink(false))
	one.linked(false)
	back := fmt.Sprintf(`{"receipt":%q,"line":1}`, receipt)
	for _, till := range []*worldTill{one, two} {
		till.must(114, back)
		till.must(206, ``)
		till.must(512, `{"card":"7001","amount":1000}`)
		till.must(206, ``)
		till.must(515, order)
		till.must(206, ``)
	}
	two.arrived()
	require.NoError(t, one.SetLink(true))
	one.linked(true)
	one.arrived()
	for _, kind := range []string{"returned_twice", "gift_card_issued_twice", "order_picked_up_twice"} {
		require.Eventually(t, func() bool { return len(w.exceptions(kind)) == 1 }, soon, 20*time.Millisecond, kind)
		e := w.exceptions(kind)[0]
		require.Len(t, e.Facts, 2, kind)
		require.NotEqual(t, e.Facts[0].Register, e.Facts[1].Register, "%s names both", kind)
	}
	days, err := w.hq.Days(t.Context())
	require.NoError(t, err)
	require.Len(t, days, 2)
	require.Equal(t, 7, days[0].Concluded+days[1].Concluded, "nothing is dropped: the sale, and both of each; an order that is placed is none yet")

	// Points are granted; a figure that comes before the sale can be lower than what was.
	two.basket(2)
	two.must(207, `{"card":"L1","amount":1000}`)
	w.imports(`{"kind":"loyalty","key":"L1","record":{"number":"L1","points":500,"as_of":"2026-01-02T00:00:00Z"}}`)
	two.must(206, ``)
	two.arrived()
	require.Eventually(t, func() bool { return len(w.exceptions("points_overdrawn")) == 1 }, soon, 20*time.Millisecond)
	e := w.exceptions("points_overdrawn")[0]
	require.Equal(t, events.Money(500), e.Amount)
	require.Len(t, e.Facts, 1)
}

func (w *shopWorld) imports(text string) {
	report, err := w.hq.Import(w.t.Context(), strings.NewReader(text), hq.ImportOptions{})
	require.NoError(w.t, err, "%v", report.Problems)
}

// A receipt is returned at its own register while that is cut off, and at another one that head office
// answers: both stand, nothing is dropped, and the exception names them.
func TestReturnedTwice(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	one, two := w.pair()
	receipt := one.sell()
	one.arrived()
	require.NoError(t, one.SetLink(false))
	one.linked(false)
	for _, till := range []*worldTill{one, two} {
		till.must(114, fmt.Sprintf(`{"receipt":%q,"line":1,"quantity":"1"}`, receipt))
		till.must(206, ``)
	}
	require.Equal(t, events.Offline, one.View().Mode)
	require.Equal(t, events.Online, two.View().Mode)
	two.arrived()
	require.Empty(t, w.exceptions("returned_twice"))
	require.NoError(t, one.SetLink(true))
	one.linked(true)
	one.arrived()
	require.Eventually(t, func() bool { return len(w.exceptions("returned_twice")) == 1 }, soon, 20*time.Millisecond)
	e := w.exceptions("returned_twice")[0]
	require.Len(t, e.Facts, 2)
	require.NotEqual(t, e.Facts[0].Register, e.Facts[1].Register)
	days, err := w.hq.Days(t.Context())
	require.NoError(t, err)
	concluded := 0
	for _, d := range days {
		concluded += d.Concluded
	}
	require.Equal(t, 3, concluded, "nothing is dropped")
}

// A copy of a till is found out, and the till does not know yet: with the till's credentials nothing is moved any more at head
// office, and what it could have moved is there for the others. Let in anew it moves again.
func TestQuarantinedMovesNoBalance(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	one, two := w.activated("r01"), w.activated("r02")
	w.keep("", one, two)
	one.arrived()
	head := one.View().Head
	require.NoError(t, one.Close())

	node, err := embedded.StartRegister(t.Context(), embedded.RegisterConfig{
		Dir: t.TempDir(), Register: one.name, Epoch: 1, HQ: w.hq.LeafURL(), Creds: embedded.CredentialsPath(one.dir), Logger: slog.New(slog.DiscardHandler),
	})
	require.NoError(t, err)
	require.Eventually(t, func() bool { return node.Link().Connected }, soon, 10*time.Millisecond)
	ask := func(service string, question, answer any) {
		raw, err := json.Marshal(question)
		require.NoError(t, err)
		require.Eventually(t, func() bool {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			out, err := node.Ask(ctx, service, raw)
			if errors.Is(err, embedded.ErrNobodyAnswers) {
				return false // the link is fresh
			}
			require.NoError(t, err, service)
			require.NoError(t, json.Unmarshal(out, answer))
			return true
		}, soon, 10*time.Millisecond)
	}
	var ack events.Acknowledgement
	ask("announce", events.Announcement{Head: head, Time: time.Now(), Frozen: &events.Freeze{Kind: events.FrozenCloned, Why: "two tills"}}, &ack)
	require.NotNil(t, ack.Frozen)
	for kind, key := range map[string]string{
		events.ReserveGiftCard: "6001", events.ReserveIssue: "6002", events.ReserveAccount: "C1", events.ReserveLoyalty: "L1", events.ReserveOrder: "SO-1",
	} {
		var answer events.Answered[events.Reserved]
		want := events.Reservation{ID: kind, Transaction: "s001-r01-1-9", Kind: kind, Key: key, AsOf: "2026-01-01T00:00:00Z"}
		if kind != events.ReserveIssue && kind != events.ReserveOrder {
			want.Amount = 1000
		}
		ask("reserve", want, &answer)
		require.NotNil(t, answer.Refusal, kind)
		require.Equal(t, "register_frozen", answer.Refusal.Code)
	}
	require.NoError(t, node.Close())
	two.online()
	two.basket(5)
	two.must(214, `{"card":"6001","amount":5000}`)

	one.open()
	require.Eventually(t, func() bool { return register.Frozen(one.Damage()) }, soon, 20*time.Millisecond)
	one.refused("register_frozen", 100, `{"product":"TEA"}`)
	code, _ := w.code("r01", time.Hour)
	one.must(707, fmt.Sprintf(`{"code":%q}`, code))
	one.begin()
	one.online()
	one.basket(3)
	one.must(207, `{"card":"L1","amount":2000}`)
	one.must(206, ``)
	one.arrived()
}

// While they are online, a line is not taken back at one register while it comes back at another.
func TestReturnsAreReserved(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	one, two := w.pair()
	one.basket(3)
	receipt := one.must(206, ``).Transaction.Receipt
	one.arrived()
	back := func(quantity string) string {
		return fmt.Sprintf(`{"receipt":%q,"line":1,"quantity":%q}`, receipt, quantity)
	}
	a := one.must(114, back("2"))
	require.NotEmpty(t, a.Result.(*events.LineAdded).Line.Original.Reservation)
	two.refused("return_too_large", 114, back("2"))
	two.must(114, back("1"))
	one.refused("return_too_large", 105, `{"line":1,"quantity":"-3"}`)
	one.must(105, `{"line":1,"quantity":"-1"}`)
	two.must(105, `{"line":1,"quantity":"-2"}`)
	two.must(102, `{"line":1}`)
	one.refused("return_too_large", 105, `{"line":1,"quantity":"-2"}`) // until the voiding has arrived
	two.arrived()
	one.must(105, `{"line":1,"quantity":"-2"}`)
	two.refused("return_too_large", 102, `{"line":1}`)
	one.must(206, ``)
	two.must(500, ``)
	two.must(114, back("1"))
	two.must(206, ``)
	one.arrived()
	two.arrived()
	one.refused("nothing_to_return", 114, back("1"))
	require.Empty(t, w.exceptions("returned_twice"))
}
