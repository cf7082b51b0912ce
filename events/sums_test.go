package events

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestLineAmount shows that each of a line's own discounts is taken off it, and nothing twice.
func TestLineAmount(t *testing.T) {
	offer, discount := &OfferApplied{Amount: 100}, &LineDiscountApplied{Amount: 30}
	for _, c := range []struct {
		line Line
		want Money
	}{
		{Line{Gross: 1000}, 1000},
		{Line{Gross: 1000, Offer: offer}, 900},
		{Line{Gross: 1000, Discount: discount}, 970},
		{Line{Gross: 1000, Offer: offer, Discount: discount}, 870},
		{Line{Gross: -1000, Discount: &LineDiscountApplied{Amount: -30}}, -970},
		{Line{Gross: -1000, Original: &OriginalLine{Discount: -250}}, -750},
		{Line{Gross: -1000, Original: &OriginalLine{Discount: -250}, Discount: &LineDiscountApplied{Amount: -30}}, -720},
	} {
		require.Equal(t, c.want, c.line.Amount())
	}
}

// TestDiscountsOfADocument shows that the discount of a document is the sum over its lines, voided
// lines left out.
func TestDiscountsOfADocument(t *testing.T) {
	f := SaleConcluded{Lines: []ConcludedLine{
		{Line: Line{Gross: 1000}, Net: 870}, {Line: Line{Gross: -500}, Net: -450}, {Line: Line{Gross: 700}, Net: 1, Voided: true},
	}}
	require.Equal(t, Money(80), f.Discounts())
}

// TestNumbersAtLeast shows that of two counts of everything the higher counts, one by one, and of the sums of a currency those
// of whoever counted more documents.
func TestNumbersAtLeast(t *testing.T) {
	gbp := func(n int, sales Money) GrandTotal { return GrandTotal{Currency: "GBP", Transactions: n, Sales: sales} }
	eur := GrandTotal{Currency: "EUR", Transactions: 1, Sales: 5}
	low := Numbers{Transactions: 1, Shifts: 2, Receipts: 3, Customers: 4, Orders: 5, Counts: 6, Z: 7, Grand: []GrandTotal{gbp(3, 900)}}
	high := Numbers{Transactions: 11, Shifts: 12, Receipts: 13, Customers: 14, Orders: 15, Counts: 16, Z: 17, Grand: []GrandTotal{gbp(4, 800), eur}}
	require.Equal(t, high, low.AtLeast(high))
	require.Equal(t, high, high.AtLeast(low))
	require.Equal(t, high, high.AtLeast(Numbers{}))
	require.Equal(t, high, Numbers{}.AtLeast(high))
	require.Equal(t, []GrandTotal{gbp(3, 900)}, low.Grand, "what it is made of stays as it was")
	same := low.AtLeast(Numbers{Grand: []GrandTotal{gbp(3, 1)}})
	require.Equal(t, low, same, "as many documents are no more")
}

// TestDecimalsOf shows how many decimals a value has in its one form.
func TestDecimalsOf(t *testing.T) {
	for text, want := range map[string]int{"1": 0, "100": 0, "0": 0, "1.0": 0, "1.5": 1, "0.25": 2, "-12.125": 3, "0.0001": 4} {
		require.Equal(t, want, sample(ParsePrice(text)).Decimals(), text)
		require.Equal(t, want, sample(ParseQuantity(text)).Decimals(), text)
	}
}
