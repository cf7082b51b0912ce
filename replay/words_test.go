package replay

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/posnode/posnode/events"
)

// TestWords shows that the texts of a finding are readable.
func TestWords(t *testing.T) {
	require.Equal(t, "1 line, subtotal 5.00, discount 1.00, tax 0.67, total 4.00, elsewhere 3.00, paid 1.00, due 0.00",
		totalsText(events.Totals{Lines: 1, Subtotal: 500, Discount: 100, Tax: 67, Total: 400, Elsewhere: 300, Paid: 100}, 2))
	require.Equal(t, "0 lines, subtotal 0, discount 0, tax 0, total 0, paid 0, due 0", totalsText(events.Totals{}, 0))
	require.Equal(t, "payment 1 of 5.00 by cash, tendered 10.00, change 5.05, rounding 0.05; payment 2 of 1.00 by card, tendered 1.00", paymentsText([]events.Payment{
		{Number: 1, Tender: "cash", Amount: 500, Tendered: 1000, Change: 505, Rounding: 5}, {Number: 2, Tender: "card", Amount: 100, Tendered: 100},
	}, 2))
	require.Equal(t, "no payment", paymentsText(nil, 2))
	require.Equal(t, "transaction 7 in JPY with 0 digits, prices with tax", termsText(events.Terms{Number: 7, Currency: "JPY", TaxIncluded: true}))
}
