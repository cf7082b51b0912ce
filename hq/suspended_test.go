package hq_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/posnode/posnode/events"
	"github.com/posnode/posnode/ledger"
	"github.com/posnode/posnode/register"
)

// suspend sets a transaction with some tea aside, and waits until head office knows of it.
func (t *worldTill) suspend(tens int) (id events.TransactionID, params string) {
	t.w.t.Helper()
	t.basket(tens)
	id = t.must(503, ``).Transaction.ID
	t.arrived()
	return id, fmt.Sprintf(`{"transaction":%q}`, id)
}

// waiting are the transactions that a search for suspended ones finds.
func (t *worldTill) waiting() (keys []string) {
	t.w.t.Helper()
	for _, hit := range t.must(622, `{"in":"suspended","text":"S001-"}`).Result.(*events.SearchAnswered).Hits {
		keys = append(keys, hit.Key)
	}
	return keys
}

// letsGo waits until the register has recorded that a transaction goes on elsewhere.
func (t *worldTill) letsGo(id events.TransactionID) (f *events.SaleHandedOver) {
	t.w.t.Helper()
	require.Eventually(t.w.t, func() bool {
		require.NoError(t.w.t, t.Journal().Read(t.w.t.Context(), 1, func(m events.Message) error {
			e, err := events.Decode(m.Body)
			if handed, ok := e.Fact.(*events.SaleHandedOver); ok && handed.Transaction == id {
				f = handed
			}
			return err
		}))
		return f != nil
	}, soon, 50*time.Millisecond)
	return f
}

func TestSuspendedGoesOnAtAnotherRegister(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	one, two := w.activated("r01"), w.activated("r02")
	w.keep(`},"orders":{"deposit_percent":"20"`, one, two)
	one.online()
	two.online()

	one.must(602, `{"customer":"C1"}`)
	one.basket(1)
	one.must(301, `{"line":1,"percent":"10"}`)
	one.basket(2)
	one.must(102, `{"line":2}`)
	one.must(302, `{"amount":100}`)
	one.must(501, `{"comment":"back at five"}`)
	id, params := one.suspend(3)
	require.Equal(t, []string{string(id)}, one.waiting())
	require.Equal(t, []string{string(id)}, two.waiting())

	a := two.must(504, params)
	f := a.Result.(*events.SaleTakenOver)
	require.Equal(t, events.TransactionID("s001-r02-1-1"), a.Transaction.ID, "under an id of its own: no two registers write one transaction")
	require.Equal(t, id, f.From.Transaction)
	require.Equal(t, "s001-r01", f.From.Register)
	require.NotEmpty(t, f.Reservation)
	require.Equal(t, events.Money(900+3000-100), a.Transaction.Total)
	one.refused("transaction_recalled", 504, params)
	one.refused("transaction_recalled", 1221, params)
	two.must(100, `{"product":"TEA"}`)
	sold := two.must(206, ``).Result.(*events.SaleConcluded)
	require.Equal(t, "back at five", sold.Comment)
	require.Equal(t, events.CustomerID("C1"), sold.Customer.Customer)
	require.Equal(t, []bool{false, true, false, false}, []bool{sold.Lines[0].Voided, sold.Lines[1].Voided, sold.Lines[2].Voided, sold.Lines[3].Voided})
	require.Equal(t, events.Money(4800), sold.After.Total)

	handed := one.letsGo(id)
	require.Equal(t, "s001-r02", handed.To)
	require.Equal(t, a.Transaction.ID, handed.Into)
	one.refused("not_on_hold", 504, params)
	require.Empty(t, one.waiting())
	require.Empty(t, two.waiting())

	// Where it was suspended it goes on under its own id, and can be set aside again.
	id, params = one.suspend(1)
	one.must(504, params)
	two.refused("not_on_hold", 504, fmt.Sprintf(`{"transaction":"%s-x"}`, id))
	one.must(503, ``)
	one.must(504, params)
	one.must(503, ``)
	one.arrived()
	require.Equal(t, id, two.must(504, params).Result.(*events.SaleTakenOver).From.Transaction)
	two.must(500, ``)
	one.letsGo(id)

	// An order that is being picked up is picked up once, wherever that goes on.
	one.must(602, `{"customer":"C1"}`)
	one.basket(2)
	one.must(620, ``)
	order := fmt.Sprintf(`{"order":%q}`, one.must(206, ``).Result.(*events.OrderPlaced).Placed.Order)
	one.arrived()
	one.must(515, order)
	id = one.must(503, ``).Transaction.ID
	one.arrived()
	two.refused("order_reserved", 515, order)
	two.must(504, fmt.Sprintf(`{"transaction":%q}`, id))
	one.letsGo(id)
	one.refused("order_reserved", 515, order)
	require.NotNil(t, two.must(206, ``).Result.(*events.SaleConcluded).Order)
	two.arrived()
	one.refused("order_picked_up", 515, order)

	// Offline only what waits here goes on.
	_, params = one.suspend(1)
	two.offline()
	two.refused("realtime_service_unavailable", 504, params)
	require.Empty(t, two.waiting())
	one.must(1221, params)

	one.arrived()
	two.arrived()
	require.Empty(t, w.exceptions("recalled_twice"))
	require.Empty(t, w.exceptions("order_picked_up_twice"))
	require.NoError(t, one.Check(t.Context()))
	require.NoError(t, two.Check(t.Context()))
}

// Whoever is first has it, whatever the moment.
func TestOneOfTwoRecalls(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	one, two, three := w.activated("r01"), w.activated("r02"), w.activated("r03")
	w.keep("", one, two, three)
	tills := []*worldTill{one, two, three}
	for _, till := range tills {
		till.online()
	}
	for range 10 {
		_, params := one.suspend(1)
		var wait sync.WaitGroup
		failed := make([]error, len(tills))
		for i, till := range tills {
			wait.Go(func() { _, failed[i] = till.try(504, params) })
		}
		wait.Wait()
		got := 0
		for i, till := range tills {
			if failed[i] == nil {
				got++
				till.must(206, ``)
				continue
			}
			refusal, ok := errors.AsType[*ledger.Refusal](failed[i])
			require.True(t, ok, "%v", failed[i])
			require.Contains(t, []string{"transaction_recalled", "not_on_hold"}, refusal.Code, refusal.Why)
		}
		require.Equal(t, 1, got)
	}
	for _, till := range tills {
		till.arrived()
	}
	require.Empty(t, w.exceptions("recalled_twice"))
	days, err := w.hq.Days(t.Context())
	require.NoError(t, err)
	concluded := 0
	for _, day := range days {
		concluded += day.Concluded
	}
	require.Equal(t, 10, concluded)
}

// A register that cannot ask goes on with what waits here. If another was granted it meanwhile, both
// sales stand, and head office lists them.
func TestSuspendedGoesOnTwice(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	one, two := w.pair()
	id, params := one.suspend(2)
	require.NoError(t, one.SetLink(false))
	one.linked(false)
	for _, till := range []*worldTill{one, two} {
		till.must(504, params)
		till.must(206, ``)
	}
	two.arrived()
	require.NoError(t, one.SetLink(true))
	one.linked(true)
	one.arrived()
	require.Eventually(t, func() bool { return len(w.exceptions("recalled_twice")) == 1 }, soon, 20*time.Millisecond)
	e := w.exceptions("recalled_twice")[0]
	require.True(t, strings.HasPrefix(e.Key, string(id)+"/"), e.Key)
	require.Len(t, e.Facts, 2)
	require.NotEqual(t, e.Facts[0].Register, e.Facts[1].Register)
	days, err := w.hq.Days(t.Context())
	require.NoError(t, err)
	require.Equal(t, 2, days[0].Concluded+days[1].Concluded, "nothing is dropped")

	// All of it follows from the streams.
	require.NoError(t, w.hq.Close())
	require.NoError(t, os.Remove(filepath.Join(w.dir, "hq", "hq.db")))
	w.open()
	one.linked(true)
	two.linked(true)
	one.arrived()
	two.arrived()
	require.Len(t, w.exceptions("recalled_twice"), 1)
}

// What a register had suspended when its disk was lost goes on at any register of the store, also at that one.
func TestSuspendedBeforeALostDisk(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	one, two := w.pair()
	_, first := one.suspend(1)
	_, second := one.suspend(2)
	require.NoError(t, one.Close())
	require.NoError(t, os.RemoveAll(one.dir))
	code, bootstrap := w.code("r01", time.Hour)
	again := w.till("r01", func(c *register.Config) { c.Bootstrap = bootstrap })
	again.linked(true)
	again.must(707, fmt.Sprintf(`{"code":%q}`, code))
	again.begin()
	again.online()
	require.Len(t, again.waiting(), 2)
	again.refused("not_on_hold", 1221, first)
	require.Equal(t, events.Money(1000), again.must(504, first).Transaction.Total)
	again.must(206, ``)
	require.Equal(t, events.Money(2000), two.must(504, second).Transaction.Total)
	two.must(206, ``)
	again.arrived()
	two.arrived()
	require.Empty(t, again.waiting())
	require.Empty(t, w.exceptions("recalled_twice"))
}
