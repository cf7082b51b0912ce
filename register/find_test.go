package register

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"github.com/posnode/posnode/events"
)

// people are whom the shop sells to, what was ordered there, and what it has.
const people = `{"kind":"store","key":"store","record":{"currency":"GBP","digits":2,"tax_included":true,"max_quantity":"100","tenders":{"cash":{"id":"cash","name":"Cash","kind":"cash","over_paid":true,"refund":true}},"orders":{"deposit_percent":"20"}}}
{"kind":"customer","key":"C1","record":{"customer":"C1","kind":"person","name":"Ada Lovelace","city":"York","credit_limit":5000,"as_of":"2026-03-02T06:00:00Z"}}
{"kind":"customer","key":"C2","record":{"customer":"C2","kind":"person","name":"Ada Byron","city":"Leeds"}}
{"kind":"loyalty","key":"L1","record":{"number":"L1","customer":"C1","affiliations":["CLUB"],"points":7}}
{"kind":"affiliation","key":"CLUB","record":{"affiliation":"CLUB","name":"Club","price_groups":["CLUB"]}}
{"kind":"category","key":"HOT","record":{"category":"HOT","name":"Hot drinks"}}
{"kind":"order","key":"SO-1","record":{"order":"SO-1","store":"s001","status":"open","customer":"C1","customer_name":"Ada Lovelace","currency":"GBP","tax_included":true,"lines":[{"line":1,"product":"TEA","description":"Tea","quantity":"2","price":"2.55","gross":510}],"deposit":100}}
{"kind":"stock","key":"TEA","record":{"product":"TEA","on_hand":"40","as_of":"2026-03-02T06:00:00Z"}}
`

func (t *testTill) load(records string) {
	t.t.Helper()
	report, err := t.Reference().Import(t.t.Context(), strings.NewReader(records), t.now, false)
	require.NoError(t.t, err, "%v", report.Problems)
}

func (t *testTill) refused(operation int, params string) string {
	t.t.Helper()
	_, err := t.do(ulid.Make().String(), operation, params)
	require.Error(t.t, err)
	code, _, _ := strings.Cut(err.Error(), ":")
	return code
}

func (t *testTill) search(in, text string) string {
	t.t.Helper()
	a := t.must(622, fmt.Sprintf(`{"in":%q,"text":%q}`, in, text))
	var keys []string
	for _, hit := range a.Result.(*events.SearchAnswered).Hits {
		keys = append(keys, hit.Key+" "+hit.Text)
	}
	return strings.Join(keys, ", ")
}

// TestOwnCustomers: who was added or edited here is found here, until head office has spoken since.
func TestOwnCustomers(t *testing.T) {
	till := newTestTill(t)
	till.load(people)
	require.Equal(t, "C1 Ada Lovelace, C2 Ada Byron", till.search("customer", "ada"))
	require.Equal(t, "HOT Hot drinks", till.search("category", "drink"))
	require.Equal(t, "TEA Tea", till.search("item", "te"))
	require.Equal(t, "SO-1 Ada Lovelace", till.search("order", "lovelace"))

	till.must(612, `{"name":"Ada Hopper","email":"ada@example.org"}`)
	require.Equal(t, "P-s001-r01-1-1 Ada Hopper, C1 Ada Lovelace, C2 Ada Byron", till.search("customer", "ada"))
	require.Equal(t, "customer_exists", till.refused(612, `{"name":"Ada","email":"ADA@example.org"}`))
	till.must(623, `{"customer":"C1","name":"Ada King"}`)
	require.Equal(t, "C1 Ada King", till.search("customer", "king"))
	require.Equal(t, "C1 Ada King", till.search("customer", "lovelace"), "head office still knows them by that name")

	till.reopen()
	till.must(700, `{"staff":"7","pin":"1"}`)
	set := till.must(602, `{"customer":"C1"}`).Result.(*events.SaleCustomerSet)
	require.Equal(t, "Ada King", set.Customer.Name)
	require.Equal(t, events.Money(5000), set.Customer.CreditLimit, "what was not edited is head office's")
	till.must(602, `{"customer":"P-s001-r01-1-1"}`)
	require.Equal(t, "loyalty_customer_mismatch", till.refused(117, `{"card":"L1"}`))
	till.must(500, ``)
	card := till.must(117, `{"card":"L1"}`).Result.(*events.LoyaltyCardAdded)
	require.Equal(t, "Ada King", card.Customer.Name, "the card leads to its holder")
	require.Len(t, card.Affiliations, 1)
	till.must(500, ``)

	// Head office has seen the edit, and another that was made elsewhere later.
	till.load(`{"kind":"customer","key":"C1","record":{"customer":"C1","kind":"person","name":"Countess of Lovelace","as_of":"2026-03-02T10:00:00Z"}}`)
	set = till.must(602, `{"customer":"C1"}`).Result.(*events.SaleCustomerSet)
	require.Equal(t, "Countess of Lovelace", set.Customer.Name, "the later one wins")
	require.NoError(t, till.Check(t.Context()))
}

// TestOwnOrders: an order is picked up once, also one that was placed here a moment ago.
func TestOwnOrders(t *testing.T) {
	till := newTestTill(t)
	till.load(people)
	till.must(515, `{"order":"SO-1"}`)
	till.must(206, ``)
	require.Equal(t, "order_picked_up", till.refused(515, `{"order":"SO-1"}`))

	till.must(100, `{"product":"TEA","quantity":"4"}`)
	till.must(602, `{"customer":"C1"}`)
	till.must(620, ``)
	placed := till.must(206, ``).Result.(*events.OrderPlaced)
	require.Equal(t, events.Money(204), placed.Placed.Deposit)
	pickUp := fmt.Sprintf(`{"order":%q}`, placed.Placed.Order)
	till.reopen()
	till.must(700, `{"staff":"7","pin":"1"}`)
	till.must(515, pickUp)
	require.Equal(t, events.Money(816), till.must(206, ``).Result.(*events.SaleConcluded).Payments[0].Amount)
	require.Equal(t, "order_picked_up", till.refused(515, pickUp))
	require.Equal(t, "realtime_service_unavailable", till.refused(515, `{"order":"SO-2"}`))

	db, err := till.Offline(t.Context())
	require.NoError(t, err)
	order, err := db.OwnOrder(t.Context(), placed.Placed.Order)
	require.NoError(t, err)
	require.Equal(t, "picked_up", order.Status)
	require.NoError(t, till.Check(t.Context()))
}

// TestOwnStock: what was sold here after what head office has seen is no longer there.
func TestOwnStock(t *testing.T) {
	till := newTestTill(t)
	till.load(people)
	available := func() string {
		t.Helper()
		raw, err := json.Marshal(till.must(801, `{"product":"TEA"}`).Result.(*events.StockLookedUp).Available)
		require.NoError(t, err)
		return string(raw)
	}
	require.Equal(t, `"40"`, available())
	till.must(100, `{"product":"TEA","quantity":"3"}`)
	till.must(100, `{"product":"TEA"}`)
	require.Equal(t, `"40"`, available(), "nothing is sold before it is paid")
	sold := till.must(206, ``)
	require.Equal(t, `"36"`, available())
	till.must(109, `{"product":"TEA"}`)
	till.must(206, ``)
	require.Equal(t, `"37"`, available())

	// Head office has seen the sale, and not the return: by the entry, whatever the clocks say.
	stock := `{"kind":"stock","key":"TEA","record":{"product":"TEA","on_hand":"36","as_of":"%s","included":[{"register":"r01","epoch":1,"sequence":%d}]}}`
	till.load(fmt.Sprintf(stock, "2026-03-02T09:00:00Z", sold.Entries[0].Sequence))
	require.Equal(t, `"37"`, available())
	till.load(fmt.Sprintf(stock, "2027-01-01T00:00:00Z", sold.Entries[0].Sequence))
	require.Equal(t, `"37"`, available())
	till.load(fmt.Sprintf(stock, "2026-03-02T09:00:00Z", till.View().Head.Sequence))
	require.Equal(t, `"36"`, available())
	require.NoError(t, till.Check(t.Context()))
}

// TestSuspendedAcrossARestart: what was set aside is there after a restart, and on the list.
func TestSuspendedAcrossARestart(t *testing.T) {
	till := newTestTill(t)
	till.must(100, `{"product":"TEA"}`)
	id := till.must(503, ``).Transaction.ID
	till.reopen()
	db, err := till.Offline(t.Context())
	require.NoError(t, err)
	waiting, err := db.Suspended(t.Context())
	require.NoError(t, err)
	require.Len(t, waiting, 1)
	require.Equal(t, id, waiting[0].ID)
	require.Equal(t, events.Money(255), waiting[0].Total)
	till.must(700, `{"staff":"7","pin":"1"}`)
	till.must(504, fmt.Sprintf(`{"transaction":%q}`, id))
	till.must(206, ``)
	db, err = till.Offline(t.Context())
	require.NoError(t, err)
	waiting, err = db.Suspended(t.Context())
	require.NoError(t, err)
	require.Empty(t, waiting)
	require.NoError(t, till.Check(t.Context()))
}
