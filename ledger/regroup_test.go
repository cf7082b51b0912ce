package ledger

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/posnode/posnode/events"
)

// TestRegroup: other price groups give every line that follows the reference data
// its price and offer in them, one fact carries them, and taking the groups away undoes it.
func TestRegroup(t *testing.T) {
	price := func(s string) events.Price { p, _ := events.ParsePrice(s); return p }
	percent := func(s string) events.Percent { p, _ := events.ParsePercent(s); return p }
	soap := Product{ID: "SOAP", Price: price("4"), KeyPrice: true, Prices: []GroupPrice{
		{Validity: Validity{Group: "members"}, Price: price("3.80")}, {Validity: Validity{Group: "staff"}, Price: price("2")},
	}}
	candle := Product{ID: "CANDLE", Price: price("3"), Offers: []Offer{{ID: "M", Validity: Validity{Group: "members"}, Percent: percent("15")}}}
	s := NewState(events.Register{Store: "s001", ID: "r01"}, 1, events.Digest{})
	d := &deciding{State: s, rights: events.Rights{Manager: true}}
	d.Date = "2026-03-02"
	d.Reference.Found = map[Query]any{{"product", "SOAP"}: soap, {"product", "CANDLE"}: candle}

	of := events.OfSale{Transaction: "s001-r01-1-1", Begins: &events.Terms{Number: 1, Currency: "GBP", Digits: 2, TaxIncluded: true}}
	s.Transaction = nil
	require.NoError(t, s.applySale(&events.SaleCommented{OfSale: of}))
	add := func(line Line) {
		line.Number, line.Quantity = len(s.Transaction.Lines)+1, events.NewQuantity(2)
		of, err := d.relined(s.Transaction, nil, &line)
		require.NoError(t, err)
		require.NoError(t, s.applySale(&events.LineAdded{OfSale: of, Line: line.Line}))
	}
	add(Line{Line: events.Line{Product: "SOAP", Price: price("9"), PriceKeyed: true}})
	add(Line{Line: events.Line{Product: "GONE", Price: price("1")}})
	add(Line{Line: events.Line{Product: "SOAP", Price: soap.Price}})
	add(Line{Line: events.Line{Product: "CANDLE", Price: candle.Price}})
	require.ElementsMatch(t, []Query{{"product", "SOAP"}, {"product", "CANDLE"}, {"product", "GONE"}}, askLines(s))

	regroup := func(groups ...string) []events.Line {
		of, err := d.regroup(s.Transaction, nil, groups)
		require.NoError(t, err)
		require.NoError(t, s.applySale(&events.SaleCommented{OfSale: of}))
		require.Equal(t, s.Transaction.Totals.Subtotal, s.Transaction.Sums.Net)
		return of.Changed
	}
	// 2 x 3.80 + 2 x 3.00 less 15 % + 2 x 9.00 + 2 x 1.00 = 7.60 + 5.10 + 18.00 + 2.00.
	require.Len(t, regroup("members"), 2)
	require.Equal(t, events.Money(3270), s.Transaction.Totals.Total)
	require.Equal(t, "members", s.Transaction.Lines[2].PriceGroup)
	// The lower of two prices: 2 x 2.00.
	require.Len(t, regroup("staff", "members", "staff"), 1)
	require.Equal(t, []string{"members", "staff"}, s.Transaction.PriceGroups)
	require.Equal(t, events.Money(2910), s.Transaction.Totals.Total)
	require.Empty(t, regroup("members", "staff"))
	// What is added then has the groups' prices, too; without them all is as before: 8 + 6 + 18 + 2.
	require.Len(t, regroup(), 2)
	require.Equal(t, events.Money(3400), s.Transaction.Totals.Total)
}
