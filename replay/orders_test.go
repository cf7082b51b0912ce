package replay_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/posnode/posnode/events"
	"github.com/posnode/posnode/ledger"
	"github.com/posnode/posnode/replay"
)

// orders places an order, then suspends, recalls and concludes the pick-up of another one. The
// order is entry 8, the pick-up entry 12.
func (w *till) orders() *till {
	w.store.Orders.DepositPercent = must(events.ParsePercent("20"))
	return w.day(
		100, `{"product":"TEA","quantity":"4"}`, 602, `{"customer":"C1"}`, 620, `{}`, 206, `{}`,
		515, `{"order":"SO-1"}`, 503, `{}`, 504, `{"transaction":"s001-r01-1-2"}`, 206, `{}`,
		100, `{"product":"TEA"}`, 503, `{}`, 1221, `{"transaction":"s001-r01-1-3"}`,
	)
}

func TestOrdersAreSound(t *testing.T) {
	w := newTill(t).open().orders().sale()
	require.Empty(t, verify(t, lines(w.bodies), replay.Options{Heads: []events.Head{w.state.Head}}).Findings)
}

// TestForgedOrders forges deposits, as a thief with the register's key could.
func TestForgedOrders(t *testing.T) {
	for _, test := range []struct {
		name  string
		forge func(events.Fact)
		found []string
	}{
		{"deposit kept", func(f events.Fact) {
			if f, ok := f.(*events.OrderPlaced); ok {
				f.Postings[0].Amount, f.Postings[1].Amount = f.Postings[0].Amount+100, f.Postings[1].Amount-100
			}
		}, []string{"1/8 postings", "1/8 postings"}},
		{"deposit less than paid", func(f events.Fact) {
			if f, ok := f.(*events.OrderPlaced); ok {
				f.Placed.Deposit -= 50
			}
		}, []string{"1/8 totals", "1/8 postings"}},
		{"sold already", func(f events.Fact) {
			if f, ok := f.(*events.OrderPlaced); ok {
				f.Sales = 1000
			}
		}, []string{"1/8 totals"}},
		{"deposit cleared twice", func(f events.Fact) {
			if f, ok := f.(*events.SaleConcluded); ok && f.Order != nil {
				f.Order.Deposit += 100
			}
		}, []string{"1/12 totals", "1/12 postings"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newTill(t).open()
			w.forge = test.forge
			w.orders()
			r := verify(t, lines(w.bodies), replay.Options{})
			require.Equal(t, test.found, told(r.Findings), "%v", r.Findings)
		})
	}
}

// TestSuspensionMissed shows that a transaction may be recalled or given up when the entry that
// suspended it is missing.
func TestSuspensionMissed(t *testing.T) {
	for _, goesOn := range []string{"recalled", "given up"} {
		w := newTill(t).open().day(100, `{"product":"TEA"}`, 503, `{}`).sale()
		if goesOn == "recalled" {
			w.day(504, `{"transaction":"s001-r01-1-1"}`, 206, `{}`)
		} else {
			w.day(1221, `{"transaction":"s001-r01-1-1"}`)
		}
		w.sale()
		lost := append(append(lines{}, w.bodies[:4]...), w.bodies[6:]...)
		for _, f := range verify(t, lost, replay.Options{}).Findings {
			require.NotEqual(t, "impossible", f.Kind, "%s: %v", goesOn, f)
		}
	}
}

func init() {
	records[ledger.Query{Kind: "customer", Key: "C1"}] = ledger.Customer{ID: "C1", CustomerDetails: events.CustomerDetails{Kind: "person", Name: "Ada Lovelace"}}
	records[ledger.Query{Kind: "order", Key: "SO-1"}] = ledger.Order{
		ID: "SO-1", Store: "s001", Status: ledger.OrderOpen, Customer: "C1", CustomerName: "Ada Lovelace", Currency: "GBP", TaxIncluded: true, Deposit: 100,
		Lines: []events.Line{{Product: "TEA", Description: "Tea", Quantity: must(events.ParseQuantity("2")), Price: must(events.ParsePrice("2.50")), Gross: 500}},
	}
}
