package ledger

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/posnode/posnode/events"
)

// TestUnsoundProducts: a record with a negative price, rate or quantity is not sold; zero and all of it are sound.
func TestUnsoundProducts(t *testing.T) {
	price := func(s string) events.Price { p, err := events.ParsePrice(s); require.NoError(t, err); return p }
	priceOf := func(s string) *events.Price { p := price(s); return &p }
	percent := func(s string) events.Percent { p, err := events.ParsePercent(s); require.NoError(t, err); return p }
	quantity := func(s string) events.Quantity { q, err := events.ParseQuantity(s); require.NoError(t, err); return q }
	linked := func(n int) Product {
		return Product{Linked: make([]LinkedProduct, n)}
	}
	for _, c := range []struct {
		what  string
		sound Product
		not   Product
	}{
		{"a price", Product{Price: price("0")}, Product{Price: price("-0.01")}},
		{"a tax", Product{Taxes: []events.TaxRate{{Rate: percent("0")}}}, Product{Taxes: []events.TaxRate{{Rate: percent("20")}, {Rate: percent("-1")}}}},
		{"a unit's factor", Product{Units: []Unit{{Factor: quantity("0.001")}}}, Product{Units: []Unit{{Factor: quantity("0")}}}},
		{"a unit's price", Product{Units: []Unit{{Factor: quantity("1"), Price: priceOf("0")}}}, Product{Units: []Unit{{Factor: quantity("1"), Price: priceOf("-1")}}}},
		{"a variant's price", Product{Variants: []Variant{{Price: priceOf("0")}, {}}}, Product{Variants: []Variant{{Price: priceOf("-1")}}}},
		{"linked products", linked(MaxLinked), linked(MaxLinked + 1)},
		{"a linked quantity", Product{Linked: []LinkedProduct{{Quantity: quantity("0")}}}, Product{Linked: []LinkedProduct{{Quantity: quantity("-1")}}}},
		{"a further price", Product{Prices: []GroupPrice{{Price: price("0")}}}, Product{Prices: []GroupPrice{{Price: price("-1")}}}},
		{"a change", Product{Changes: []PriceChange{{Price: price("0")}}}, Product{Changes: []PriceChange{{Price: price("-1")}}}},
		{"an offer's percentage", Product{Offers: []Offer{{Percent: percent("100")}}}, Product{Offers: []Offer{{Percent: percent("100.0001")}}}},
		{"an offer's percentage below 0", Product{Offers: []Offer{{Percent: percent("0")}}}, Product{Offers: []Offer{{Percent: percent("-1")}}}},
		{"an offer's amount", Product{Offers: []Offer{{AmountOff: price("0")}}}, Product{Offers: []Offer{{AmountOff: price("-1")}}}},
	} {
		require.False(t, c.sound.unsound(), c.what)
		require.True(t, c.not.unsound(), c.what)
	}
}

// TestWhatATerminalSays: of a card terminal's texts only short codes are kept, and never what may hold a card's number.
func TestWhatATerminalSays(t *testing.T) {
	for said, kept := range map[string]string{
		"": "", "A1B2C3": "A1B2C3", "azAZ09-_": "azAZ09-_", "@[`{/:": "", "Zürich 7": "Zrich7", "abcdefghijkl": "abcdefghijkl", "abcdefghijklm": "abcdefghijkl",
		"12345678": "12345678", "123456789": "", "1-2-3-4-5-6-7-8-9": "", "x1y2z3a4b5c6d7e8": "x1y2z3a4b5c6", "00009999x": "00009999x", "0000099999x": "",
	} {
		require.Equal(t, kept, cut(said), said)
	}
}

// TestSoldReturns: what came back of a line is added to that line, and what came back of a line that the document does not
// have to none.
func TestSoldReturns(t *testing.T) {
	doc := SoldBy(&events.SaleConcluded{OfSale: events.OfSale{Transaction: "s001-r01-1-1"}, Receipt: "R1", Terms: events.Terms{Currency: "GBP"}, Lines: []events.ConcludedLine{
		{Line: events.Line{Number: 1, Product: "TEA"}, Net: 500}, {Line: events.Line{Number: 2, Product: "MUG"}, Net: 795},
	}})
	require.Equal(t, []any{events.TransactionID("s001-r01-1-1"), events.ReceiptNumber("R1"), "GBP"}, []any{doc.Transaction, doc.Receipt, doc.Terms.Currency})
	for _, line := range []int{1, 2, 2, 0, -1, 3} {
		doc.Return(line, events.NewQuantity(int64(line)), 100)
	}
	require.Equal(t, []int64{10_000, 40_000}, []int64{doc.Lines[0].Returned.TenThousandths(), doc.Lines[1].Returned.TenThousandths()})
	require.Equal(t, []events.Money{100, 200}, []events.Money{doc.Lines[0].GivenBack, doc.Lines[1].GivenBack})
	require.Equal(t, []events.Money{500, 795}, []events.Money{doc.Lines[0].Net, doc.Lines[1].Net})
}
