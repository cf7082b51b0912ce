package ledger_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/posnode/posnode/events"
	"github.com/posnode/posnode/ledger"
)

// TestRandomOrders: whatever is ordered, paid, suspended, recalled, picked up and
// given up, the account deposits holds what was paid for the orders that still wait.
func TestRandomOrders(t *testing.T) {
	played := map[string]int{}
	rapid.Check(t, func(t *rapid.T) {
		w := readyTill(stores()["orders"])
		waiting := map[events.OrderID]events.Money{}
		for _, o := range []events.OrderID{"SO-1", "SO-5", "SO-7"} { // placed elsewhere
			waiting[o] = w.records[ledger.Query{Kind: "order", Key: string(o)}].(ledger.Order).Deposit
		}
		deposits := -waiting["SO-1"] - waiting["SO-5"] - waiting["SO-7"]
		for range rapid.IntRange(10, 60).Draw(t, "steps") {
			op, input := drawOrderStep(t, w)
			a, err := w.do(w.command(op, input))
			if err != nil {
				continue
			}
			played[a.entry.Type]++
			switch f := a.entry.Fact.(type) {
			case *events.OrderPlaced:
				waiting[f.Placed.Order] = f.Placed.Deposit
				require.Zero(t, f.Sales)
			case *events.SaleConcluded:
				if f.Order != nil {
					require.Contains(t, waiting, f.Order.Order, "an order is picked up once")
					require.Equal(t, waiting[f.Order.Order], f.Order.Deposit)
					delete(waiting, f.Order.Order)
				}
			}
			postings, _ := field[[]events.Posting](a.entry.Fact, "Postings")
			for _, p := range postings {
				if p.Account == "deposits" {
					deposits += p.Amount
				}
			}
			var want events.Money
			for _, m := range waiting {
				want += m
			}
			require.Equal(t, want, -deposits)
		}
		replayInParts(t, w)
	})
	for _, kind := range []string{"order.begun.v1", "order.deposit_overridden.v1", "order.placed.v1", "order.recalled.v1", "sale.suspended.v1", "sale.recalled.v1", "sale.voided.v1", "sale.concluded.v1"} {
		require.Positive(t, played[kind], "%s: %v", kind, played)
	}
}

func drawOrderStep(t *rapid.T, w *till) (op int, input string) {
	tr := w.state.Transaction
	if tr == nil {
		op = rapid.SampledFrom([]int{100, 100, 515, 504, 1221}).Draw(t, "operation")
	} else {
		op = rapid.SampledFrom([]int{100, 102, 109, 602, 620, 620, 132, 132, 303, 200, 206, 206, 503, 500, 211}).Draw(t, "operation")
	}
	amount := rapid.IntRange(0, 3000).Draw(t, "amount")
	switch op {
	case 100, 109:
		return op, fmt.Sprintf(`{"product":%q}`, rapid.SampledFrom([]string{"TEA", "MUG", "STAMP", "JUICE"}).Draw(t, "product"))
	case 102:
		return op, fmt.Sprintf(`{"line":%d}`, rapid.IntRange(1, len(tr.Lines)+1).Draw(t, "line"))
	case 211:
		return op, `{"payment":1}`
	case 303:
		return op, fmt.Sprintf(`{"percent":"%d"}`, rapid.IntRange(0, 100).Draw(t, "percent"))
	case 132:
		if amount%3 == 0 {
			return op, `{}`
		}
		return op, fmt.Sprintf(`{"amount":%d}`, amount)
	case 200:
		return op, fmt.Sprintf(`{"amount":%d}`, amount)
	case 504, 1221:
		return op, fmt.Sprintf(`{"transaction":%q}`, rapid.SampledFrom(append([]string{"none"}, onHold(w)...)).Draw(t, "transaction"))
	case 515:
		action := rapid.SampledFrom([]string{"pickup", "pickup", "cancel"}).Draw(t, "action")
		return op, fmt.Sprintf(`{"order":%q,"action":%q}`, rapid.SampledFrom(recordKeys(w, "order")).Draw(t, "order"), action)
	case 602:
		return op, `{"customer":"K1"}`
	}
	return op, `{}`
}
