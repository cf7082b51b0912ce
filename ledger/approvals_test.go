package ledger_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/posnode/posnode/events"
	"github.com/posnode/posnode/ledger"
)

// TestNoReductionStretches plays random commands of staff with small rights, and now and then of a
// manager who approves one. After each, every reduction on the transaction is one of these: as
// much as whoever is signed on may give alone, as much as it came to when someone gave it who may,
// or no more than an approval for it that stands in a fact.
func TestNoReductionStretches(t *testing.T) {
	products := []string{"TENNER", "TENNER", "CANDLE", "SOAP", "EGGS", "KEG", "STAMP", "COLA", "TEA"}
	given := map[string]int{}
	rapid.Check(t, func(t *rapid.T) {
		w := newTill(stores()["orders"])
		try := func(op int, params map[string]any) bool {
			c := w.command(op, string(must(json.Marshal(params))))
			if w.state.Staff != nil {
				c.Staff = w.state.Staff.ID
			}
			_, err := w.do(c)
			if refusal := (*ledger.Refusal)(nil); errors.As(err, &refusal) {
				given[refusal.Code]++
			}
			return err == nil
		}
		signOn := func() {
			staff := rapid.SampledFrom([]string{"5", "15", "4", "14"}).Draw(t, "staff")
			require.True(t, try(700, map[string]any{"staff": staff, "pin": pins[staff]}))
		}
		signOn()
		require.True(t, try(1050, map[string]any{}))
		bounds := givings{}
		for range rapid.IntRange(10, 60).Draw(t, "steps") {
			lines := 1
			if w.state.Transaction != nil {
				lines += len(w.state.Transaction.Lines)
			}
			params := map[string]any{}
			if rapid.IntRange(0, 3).Draw(t, "approved") == 0 {
				params["approver"], params["approver_pin"] = "8", "5678"
			}
			line := func() { params["line"] = rapid.IntRange(1, lines).Draw(t, "line") }
			op := rapid.SampledFrom([]int{100, 100, 100, 102, 104, 105, 105, 106, 109, 123, 128, 130, 300, 300, 301, 301, 302, 303, 602, 603, 620, 132, 503, 504}).Draw(t, "operation")
			switch op {
			case 100:
				params["product"] = rapid.SampledFrom(products).Draw(t, "product")
			case 102, 106, 109:
				line()
			case 104:
				line()
				params["price"] = rapid.SampledFrom([]string{"0.5", "2", "9", "11"}).Draw(t, "price")
			case 105:
				line()
				params["quantity"] = rapid.SampledFrom([]string{"1", "2", "3", "10", "400", "-1", "-3"}).Draw(t, "quantity")
			case 123:
				line()
				params["unit"] = rapid.SampledFrom([]string{"box", "tray", "pc", "crate"}).Draw(t, "unit")
			case 128, 130:
				if op == 130 {
					line()
				}
				params["override"] = rapid.SampledFrom([]string{"", "EXEMPT", "EXPORT", "REDUCED"}).Draw(t, "override")
			case 300, 302:
				if op == 300 {
					line()
				}
				params["amount"] = rapid.SampledFrom([]int{0, 50, 100, 150, 200, 500, 900}).Draw(t, "amount")
			case 301, 303:
				if op == 301 {
					line()
				}
				params["percent"] = rapid.SampledFrom([]string{"0", "5", "10", "50", "90"}).Draw(t, "percent")
			case 602:
				params["customer"] = "K1"
			case 132:
				params["amount"] = rapid.SampledFrom([]int{0, 100, 300}).Draw(t, "deposit")
			case 504:
				if len(w.state.Suspended) == 0 || w.state.Transaction != nil {
					continue
				}
				params["transaction"] = string(w.state.Suspended[0].ID)
				if rapid.Bool().Draw(t, "someone else goes on") {
					require.True(t, try(701, map[string]any{}))
					signOn()
				}
			}
			if !try(op, params) {
				continue
			}
			entry := w.entries[len(w.entries)-1]
			if err := bounds.check(w.state, entry); err != nil {
				t.Fatalf("operation %d, %v, by %s: %v", op, params, w.state.Staff.ID, err)
			}
		}
	})
	require.Positive(t, given["approval_exceeded"], "nothing was ever asked again: %v", given)
}

// givings is up to how much each reduction of each transaction may come, as far as the facts said so.
type givings map[string]events.Money

// check holds the reductions of the transaction in progress against what the facts allow.
func (g givings) check(s *ledger.State, e *events.Entry) error {
	t := s.Transaction
	if t == nil {
		return nil
	}
	by := s.Staff.Rights
	may := func(operation int) bool {
		for _, op := range by.Operations {
			if op == operation {
				return true
			}
		}
		return false
	}
	var wrong error
	hold := func(key string, amount, approved events.Money, alone bool) {
		key = string(t.ID) + " " + key
		if e.Approver != "" {
			g[key] = max(g[key], approved)
		}
		switch {
		case amount <= 0:
		case alone:
			g[key] = max(g[key], amount)
		case amount > g[key] && wrong == nil:
			wrong = fmt.Errorf("%s comes to %d, and %d is allowed", key, amount, g[key])
		}
	}
	var keyed events.Money
	for _, l := range t.Lines {
		if off := l.Discount; off != nil && l.Quantity.Sign() > 0 {
			alone := off.Keyed != 0 && may(300) && off.Keyed <= by.LineDiscountAmount || off.Keyed == 0 && may(301) && off.Percent.Cmp(by.LineDiscountPercent) <= 0
			hold(fmt.Sprintf("discount of line %d", l.Number), off.Amount, off.Approved, alone)
			if off.Keyed != 0 && off.Approved == 0 && !l.Voided {
				keyed += off.Keyed
			}
		}
		if o := l.Overridden; o != nil {
			usual := must(o.Price.Times(l.Quantity, t.Terms.Digits))
			alone := may(104) && (by.PriceOverride == "both" || by.PriceOverride == "lower" && l.Price.Cmp(o.Price) <= 0)
			hold(fmt.Sprintf("price of line %d", l.Number), max(usual-l.Gross, l.Gross-usual), o.Approved, alone)
		}
		if o := l.TaxOverride; o != nil {
			tax := func(rates []events.TaxRate) (sum events.Money) {
				var all int64
				for _, r := range rates {
					all += r.Rate.Millionths()
				}
				return l.Line.Amount().MulDiv(all, 1_000_000+all) // prices hold the tax in this store
			}
			hold(fmt.Sprintf("tax of line %d", l.Number), max(tax(o.Instead)-tax(l.Taxes), tax(l.Taxes)-tax(o.Instead)), o.Approved, may(128) || may(130))
		}
	}
	hold("discounts by amounts", keyed, 0, may(300) && keyed <= by.LineDiscountAmount)
	hold("total discount", t.Totals.Discount, t.Approved.Discount,
		t.Discount.Amount != 0 && may(302) && t.Discount.Amount <= by.TotalDiscountAmount || t.Discount.Amount == 0 && may(303) && t.Discount.Percent.Cmp(by.TotalDiscountPercent) <= 0)
	if o := t.Order; o != nil && o.Agreed != nil {
		usual := o.Percent.Of(t.Totals.Total).RoundTo(o.RoundTo)
		hold("deposit", min(usual, t.Totals.Total)-(t.Totals.Total-t.Totals.Elsewhere), t.Approved.Deposit, may(132))
	}
	return wrong
}
