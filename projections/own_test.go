package projections

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/posnode/posnode/events"
	"github.com/posnode/posnode/ledger"
)

// TestOwn: changes by this register to customers, orders, stock and suspended transactions.
func TestOwn(t *testing.T) {
	w := newTill(t)
	w.do(612, `{"name":"Ada Lovelace","city":"York","email":"ADA@example.org"}`)
	w.do(612, `{"name":"Ada Byron"}`)
	w.do(623, `{"customer":"C7","name":"Charles Babbage"}`)
	w.do(100, `{"product":"TEA","quantity":"4.5"}`)
	w.do(100, `{"product":"TEA"}`)
	w.do(100, `{"product":"MUG"}`)
	w.do(102, `{"line":3}`)
	w.do(602, `{"customer":"P-s001-r01-1-1"}`)
	w.do(620, `{}`)
	w.do(132, `{"amount":500}`)
	w.do(206, ``)
	placed := w.last().Entry.Fact.(*events.OrderPlaced)
	w.do(100, `{"product":"TEA"}`)
	w.do(503, ``)
	w.do(100, `{"product":"TEA"}`)
	w.do(503, ``)

	db := openDB(t)
	apply(t, db, w.journal)
	hits, err := db.SearchOwnCustomers(background, "ADA yor", 10)
	require.NoError(t, err)
	require.Len(t, hits, 1)
	require.Equal(t, events.CustomerID("P-s001-r01-1-1"), hits[0].ID)
	hits, err = db.SearchOwnCustomers(background, "ada", 1)
	require.NoError(t, err)
	require.Len(t, hits, 1, "no more than asked for")
	hits, err = db.SearchOwnCustomers(background, " ", 10)
	require.NoError(t, err)
	require.Empty(t, hits)
	edited, err := db.OwnCustomer(background, "C7")
	require.NoError(t, err)
	require.Equal(t, "Charles Babbage", edited.Details.Name)
	nobody, err := db.OwnCustomer(background, "C8")
	require.NoError(t, err)
	require.Nil(t, nobody)

	order, err := db.OwnOrder(background, placed.Placed.Order)
	require.NoError(t, err)
	require.Equal(t, "open", order.Status)
	require.Len(t, order.Placed.Lines, 2, "without the voided line")
	require.Equal(t, events.Money(500), order.Placed.Deposit)
	waiting, err := db.Suspended(background)
	require.NoError(t, err)
	require.Len(t, waiting, 2)
	require.Equal(t, 1, waiting[0].Lines)
	moved := func() string {
		q, err := db.Moved(background, "TEA", nil, "", nil)
		require.NoError(t, err)
		return q.String()
	}
	require.Equal(t, "0", moved(), "an order moves nothing before it is picked up")

	// An order takes money and sells nothing.
	day, err := db.Days(background, Period{})
	require.NoError(t, err)
	require.Len(t, day, 1)
	require.Zero(t, day[0].Concluded)
	require.Zero(t, day[0].Net)
	tenders, err := db.Tenders(background, Period{})
	require.NoError(t, err)
	require.Equal(t, events.Money(500), tenders[0].Tendered-tenders[0].Change)
	document, err := db.Transaction(background, placed.Transaction)
	require.NoError(t, err)
	require.Equal(t, Ordered, document.Status)
	deposits := func() events.Money {
		balance, err := db.TrialBalance(background, Period{})
		require.NoError(t, err)
		var sum, deposits events.Money
		for _, b := range balance {
			sum += b.Amount
			if b.Account == "deposits" {
				deposits = b.Amount
			}
		}
		require.Zero(t, sum)
		return deposits
	}
	require.Equal(t, events.Money(-500), deposits())

	before := len(w.journal)
	w.do(515, fmt.Sprintf(`{"order":%q}`, placed.Placed.Order))
	w.do(206, ``)
	pickUp := w.last().Entry
	w.do(504, fmt.Sprintf(`{"transaction":%q}`, waiting[1].ID))
	w.do(500, ``)
	w.do(1221, fmt.Sprintf(`{"transaction":%q}`, waiting[0].ID))
	apply(t, db, w.journal[before:])
	order, err = db.OwnOrder(background, placed.Placed.Order)
	require.NoError(t, err)
	require.Equal(t, "picked_up", order.Status)
	require.Zero(t, deposits())
	require.Equal(t, "5.5", moved())
	q, err := db.Moved(background, "TEA", []events.Place{{Epoch: pickUp.Head.Epoch, Sequence: pickUp.Head.Sequence}}, "", nil)
	require.NoError(t, err)
	require.Zero(t, q.Sign(), "head office has seen it")
	q, err = db.Moved(background, "TEA", nil, pickUp.Envelope.Time, nil)
	require.NoError(t, err)
	require.Zero(t, q.Sign())
	for filter, want := range map[events.JournalFilter]int{
		{Limit: 9, Order: placed.Placed.Order}: 2, {Limit: 9, Order: "SO-77"}: 0,
		{Limit: 9, Customer: "P-s001-r01-1-1"}: 2, {Limit: 9, Customer: "C7"}: 0, {Limit: 9, Customer: "P-s001-r01-1-1", Product: "GHOST"}: 0,
		{Limit: 9, Product: "TEA", Order: placed.Placed.Order}: 2, {Limit: 9, Barcode: "1"}: 0, {Limit: 9}: 4,
	} {
		shown, err := db.Shown(background, filter)
		require.NoError(t, err)
		require.Equal(t, want, shown.Found, "%+v", filter)
		require.Len(t, shown.Rows, want)
	}
	waiting, err = db.Suspended(background)
	require.NoError(t, err)
	require.Empty(t, waiting)

	// One that was cancelled is no more to be picked up, and its deposit was given back.
	before = len(w.journal)
	w.do(100, `{"product":"TEA"}`)
	w.do(602, `{"customer":"P-s001-r01-1-1"}`)
	w.do(620, `{}`)
	w.do(132, `{"amount":200}`)
	w.do(206, ``)
	cancelled := w.last().Entry.Fact.(*events.OrderPlaced).Placed.Order
	w.do(515, fmt.Sprintf(`{"order":%q,"action":"cancel"}`, cancelled))
	w.do(206, ``)
	apply(t, db, w.journal[before:])
	order, err = db.OwnOrder(background, cancelled)
	require.NoError(t, err)
	require.Equal(t, "cancelled", order.Status)
	require.Zero(t, deposits())

	w.do(100, `{"product":"TEA"}`)
	w.do(503, ``)
	w.activate(2)
	again := openDB(t)
	apply(t, again, w.journal)
	waiting, err = again.Suspended(background)
	require.NoError(t, err)
	require.Empty(t, waiting, "nobody can recall it any more")
}

// TestImportOfPeople: a faulty record is refused when it is imported.
func TestImportOfPeople(t *testing.T) {
	for kind, records := range map[string][]string{
		"customer": {`{"customer":"X","kind":"person","name":"A","as_of":"yesterday"}`, `{"customer":"X","kind":"person","name":"A","credit_limit":-1}`},
		"loyalty":  {`{"number":"X","as_of":"x"}`},
		"order": {
			`{"order":"X","store":"s001","status":"open","customer":"C","lines":[]}`, `{"order":"X","store":"s001","status":"lost","customer":"C","lines":[{}]}`,
			`{"order":"X","store":"s001","status":"open","customer":"C","lines":[{}],"deposit":-1}`,
		},
		"stock":   {`{"product":"X","on_hand":"1"}`},
		"product": {`{"product":"X","price":"1","linked":[{"product":"X"}]}`, `{"product":"X","price":"1","linked":[{"product":"Y","quantity":"-1"}]}`},
	} {
		for _, record := range records {
			_, _, err := kinds[kind].inspect([]byte(record), true)
			require.Error(t, err, record)
		}
	}
}

// TestReturned: what came back of each line of a document, whatever stands beside it on the document that took it back.
func TestReturned(t *testing.T) {
	w := newTill(t)
	w.sell(3)
	sold := w.last().Entry.Fact.(*events.SaleConcluded)
	w.do(100, `{"product":"TEA"}`)
	for line := 1; line <= 3; line++ {
		w.do(114, fmt.Sprintf(`{"receipt":%q,"line":%d}`, sold.Receipt, line))
	}
	w.do(102, `{"line":3}`) // the second line stays with the customer
	w.do(206, ``)
	back := w.last().Entry
	db := openDB(t)
	apply(t, db, w.journal)
	got, err := db.Sold(background, sold.Receipt)
	require.NoError(t, err)
	for i, want := range []int64{10_000, 0, 10_000} {
		line := got.Lines[i]
		require.Equal(t, want, line.Returned.TenThousandths(), "line %d", i+1)
		require.Equal(t, events.Money(want/10_000)*sold.Lines[i].Net, line.GivenBack, "line %d", i+1)
	}
	// Of an entry that whoever asks has counted already nothing is added.
	for after, want := range map[events.Head]int64{
		{}: 10_000,
		{Epoch: 1, Sequence: back.Head.Sequence - 1}: 10_000,
		back.Head: 0,
	} {
		again := ledger.SoldBy(sold)
		require.NoError(t, db.AddReturned(background, &again, after))
		require.Equal(t, want, again.Lines[0].Returned.TenThousandths(), "after %d", after.Sequence)
	}
	// What was sold less what came back, after the entries that a figure holds.
	product := sold.Lines[0].Product
	place := func(at events.Head) []events.Place { return []events.Place{{Epoch: at.Epoch, Sequence: at.Sequence}} }
	before := events.Head{Epoch: 1, Sequence: back.Head.Sequence - 1}
	for _, c := range []struct {
		what              string
		included, through []events.Place
		want              int64
	}{
		{"all", nil, nil, 0},
		{"all but the return is in the figure", place(before), nil, -10_000},
		{"all is in the figure", place(back.Head), nil, 0},
		{"all but the return was put to it since", nil, place(before), -10_000},
		{"all was put to it since", nil, place(back.Head), 0},
		{"another epoch was put to it", place(before), place(events.Head{Epoch: 2, Sequence: 99}), -10_000},
	} {
		q, err := db.Moved(background, product, c.included, "", c.through)
		require.NoError(t, err, c.what)
		require.Equal(t, c.want, q.TenThousandths(), c.what)
	}
}
