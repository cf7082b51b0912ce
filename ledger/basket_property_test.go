package ledger_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/posnode/posnode/events"
	"github.com/posnode/posnode/ledger"
)

// TestRandomBaskets: any products at any prices and rates of tax, under any mix of
// discounts, returns and tax overrides, with tax included or not, in currencies of
// no, two and three digits. After each step the till adds the whole up from nothing
// (invariants_test.go): the lines come to the totals, the shares of the discount to the discount, the
// taxes of the lines to the taxes of the document, and the postings to zero.
func TestRandomBaskets(t *testing.T) {
	played := map[string]int{}
	rapid.Check(t, func(t *rapid.T) {
		decimal := func(name string, most, decimals int) string {
			scale := []int{1, 10, 100, 1000, 10_000}[rapid.IntRange(0, decimals).Draw(t, name+" decimals")]
			n := rapid.IntRange(0, most*scale).Draw(t, name)
			if scale == 1 {
				return fmt.Sprint(n)
			}
			return fmt.Sprintf("%d.%0*d", n/scale, len(fmt.Sprint(scale))-1, n%scale)
		}
		var rates []events.TaxRate
		for n := range rapid.IntRange(1, 4).Draw(t, "rates") {
			rates = append(rates, events.TaxRate{Code: fmt.Sprintf("T%d", n), Rate: percent(decimal("rate", 40, 4))})
		}
		taxes := func() []events.TaxRate {
			from := rapid.IntRange(0, len(rates)).Draw(t, "first rate")
			return rates[from:rapid.IntRange(from, len(rates)).Draw(t, "last rate")]
		}
		store := stores()["standard"]
		store.TaxIncluded = rapid.Bool().Draw(t, "tax included")
		store.Digits = rapid.SampledFrom([]int{0, 2, 3}).Draw(t, "digits")
		cash := store.Tenders["cash"]
		cash.RoundTo = rapid.SampledFrom([]events.Money{0, 5, 10}).Draw(t, "smallest coin")
		store.Tenders = map[string]ledger.Tender{"cash": cash}
		override := ledger.TaxOverride{Override: "OTHER", Name: "Taxed otherwise", Taxes: taxes()}
		store.TransactionTaxOverrides, store.LineTaxOverrides = []ledger.TaxOverride{override}, []ledger.TaxOverride{override}

		w := readyTill(store)
		for n := range 5 {
			id := events.ProductID(fmt.Sprintf("R%d", n))
			p := ledger.Product{ID: id, Description: "Anything", Price: price(decimal("price", 200, 4)), ZeroPrice: true, QuantityDecimals: 3, Taxes: taxes()}
			p.NotDiscountable = rapid.IntRange(0, 4).Draw(t, "not discountable") == 0
			w.records[ledger.Query{Kind: "product", Key: string(id)}] = p
		}
		do := func(op int, input string, args ...any) {
			a, err := w.do(w.command(op, fmt.Sprintf(input, args...)))
			if err == nil {
				played[a.entry.Type]++
			}
		}
		for range rapid.IntRange(1, 25).Draw(t, "steps") {
			line := 1
			if tr := w.state.Transaction; tr != nil {
				line = rapid.IntRange(1, len(tr.Lines)).Draw(t, "line")
			}
			switch rapid.IntRange(0, 11).Draw(t, "what") {
			case 0, 1, 2, 3:
				do(100, `{"product":"R%d","quantity":%q}`, rapid.IntRange(0, 4).Draw(t, "product"), decimal("quantity", 30, 3))
			case 4:
				do(109, `{"product":"R%d","quantity":%q}`, rapid.IntRange(0, 4).Draw(t, "product"), decimal("quantity", 5, 3))
			case 5:
				do(300, `{"line":%d,"amount":%d}`, line, rapid.IntRange(0, 5000).Draw(t, "amount"))
			case 6:
				do(301, `{"line":%d,"percent":%q}`, line, decimal("percent", 100, 4))
			case 7:
				do(302, `{"amount":%d}`, rapid.IntRange(0, 20_000).Draw(t, "amount"))
			case 8:
				do(303, `{"percent":%q}`, decimal("percent", 100, 4))
			case 9:
				do(128, `{"override":%q}`, rapid.SampledFrom([]string{"", "OTHER"}).Draw(t, "override"))
			case 10:
				do(130, `{"line":%d,"override":%q}`, line, rapid.SampledFrom([]string{"", "OTHER"}).Draw(t, "override"))
			case 11:
				do(102, `{"line":%d}`, line)
			}
		}
		do(206, `{}`)
		do(139, `{}`)
	})
	for _, kind := range []string{
		"sale.concluded.v1", "sale.line_discount_set.v1", "sale.total_discount_set.v1", "sale.tax_overridden.v1", "sale.line_tax_overridden.v1", "sale.line_voided.v1",
	} {
		require.Positive(t, played[kind], "the random baskets never came to %s: %v", kind, played)
	}
}
