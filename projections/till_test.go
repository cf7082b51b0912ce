package projections

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"github.com/posnode/posnode/events"
	"github.com/posnode/posnode/ledger"
)

var testRegister = events.Register{Store: "s001", ID: "r01"}

var testStore = ledger.Store{
	Currency: "GBP", Digits: 2, TaxIncluded: true, MaxQuantity: events.NewQuantity(10_000),
	// The smallest coin is 0.05, so that sales are rounded.
	Tenders: map[string]ledger.Tender{
		"cash":     {ID: "cash", Name: "Cash", Kind: "cash", OverPaid: true, Refund: true, RoundTo: 5},
		"check":    {ID: "check", Name: "Check", Kind: "check", OverPaid: true},
		"currency": {ID: "currency", Name: "Foreign currency", Kind: "currency", OverPaid: true},
	},
	Currencies: map[string]ledger.Currency{"EUR": {Digits: 2, Rate: rate("0.8537")}},
}

func rate(s string) events.Rate {
	r, err := events.ParseRate(s)
	if err != nil {
		panic(err)
	}
	return r
}

// till writes the journal of a register as the register does, without a disk and
// the same in every run: Decide -> Seal -> Decode -> Apply.
type till struct {
	t       require.TestingT
	state   *ledger.State
	journal []Stored
	date    string
	ids     uint64
	printed *ledger.PrintedDocument // answers a query for a document that is printed again
}

// newTill is an activated register with staff 7 signed on, a shift open, and 100.00 in the drawer.
func newTill(t require.TestingT) *till {
	w := &till{t: t, date: "2026-03-02"}
	w.activate(1)
	w.openDay()
	return w
}

// activate begins an epoch.
func (w *till) activate(epoch int) {
	record := fmt.Sprintf(`{"store":"s001","register":"r01","epoch":%d}`, epoch)
	w.state = ledger.NewState(testRegister, epoch, events.Hash([]byte(record)))
	w.record(&events.RegisterActivated{Record: record}, ledger.Command{})
}

func (w *till) openDay() {
	w.do(700, `{"staff":"7","pin":"1234"}`)
	w.do(1050, ``)
	w.do(1200, `{"amount":10000}`)
}

// do carries a command out, which must not be refused.
func (w *till) do(op int, input string) {
	_, err := w.try(op, input)
	require.NoError(w.t, err, "operation %d %s", op, input)
}

// try carries a command out. Its error is a refusal.
func (w *till) try(op int, input string) (events.CommandKey, error) {
	in, err := ledger.ParseInput([]byte(input))
	require.NoError(w.t, err)
	c := ledger.Command{Operation: op, Key: events.CommandKey(w.nextID().String()), Input: in, Staff: "7", Date: w.date, PINMatches: true,
		Reference: ledger.Reference{Store: testStore, Found: map[ledger.Query]any{}}}
	for _, q := range ledger.Asks(w.state, c) {
		switch q.Kind {
		case "product":
			c.Reference.Found[q] = testProduct(q.Key)
		case "receipt":
			for _, s := range w.journal {
				if f, ok := s.Entry.Fact.(*events.SaleConcluded); ok && string(f.Receipt) == q.Key {
					c.Reference.Found[q] = ledger.SoldBy(f)
				}
			}
		case "printed":
			c.Reference.Found[q] = *w.printed
		case "customer":
			c.Reference.Found[q] = ledger.Customer{ID: events.CustomerID(q.Key), CustomerDetails: events.CustomerDetails{Kind: "person", Name: "Customer " + q.Key}}
		case "order":
			for _, s := range w.journal {
				if f, ok := s.Entry.Fact.(*events.OrderPlaced); ok && string(f.Placed.Order) == q.Key {
					c.Reference.Found[q] = ledger.OrderOf("s001", f)
				}
			}
		case "staff":
			c.Reference.Found[q] = ledger.StaffMember{ID: events.StaffID(q.Key), Name: "Ann", Groups: []events.Rights{{Manager: true}}}
		}
	}
	d, err := ledger.Decide(w.state, c)
	if err != nil {
		return "", err
	}
	w.record(d.Fact, c)
	return c.Key, nil
}

// testProduct is any product: its price can be keyed, and half of them are taxed.
func testProduct(id string) ledger.Product {
	price, _ := events.ParsePrice(fmt.Sprintf("%d.%02d", len(id), id[len(id)-1]%100))
	rate, _ := events.ParsePercent("20")
	p := ledger.Product{ID: events.ProductID(id), Description: "Product " + id, Price: price, KeyPrice: true, QuantityDecimals: 3}
	if id[len(id)-1]%2 == 0 {
		p.Taxes = []events.TaxRate{{Code: "S", Rate: rate}}
	}
	return p
}

func (w *till) record(fact events.Fact, c ledger.Command) {
	circumstances := events.Circumstances{
		ID: w.nextID(), Time: time.UnixMilli(1_772_438_400_000 + int64(w.ids)).UTC(), Operation: c.Operation, Command: c.Key, Staff: c.Staff, Mode: events.Offline,
	}
	if f, ok := fact.(events.OfShift); ok {
		circumstances.Shift = f.OfShift()
	} else if w.state.Shift != nil {
		circumstances.Shift = w.state.Shift.Shift
	}
	m, _, err := events.Seal(testRegister, w.state.Head, circumstances, fact)
	require.NoError(w.t, err)
	e, err := events.Decode(m.Body)
	require.NoError(w.t, err)
	require.NoError(w.t, w.state.Apply(e))
	w.journal = append(w.journal, Stored{e, m.Body})
}

func (w *till) nextID() ulid.ULID {
	w.ids++
	var id ulid.ULID
	for i := range 8 {
		id[15-i] = byte(w.ids >> (8 * i))
	}
	_ = id.SetTime(1_772_438_400_000 + w.ids) // far below the largest
	return id
}

// sell concludes a sale of lines products.
func (w *till) sell(lines int) {
	for i := range lines {
		w.do(100, fmt.Sprintf(`{"product":"P%04d"}`, (len(w.journal)*7919+i)%10_000))
	}
	w.do(206, ``)
}

// last is the last entry.
func (w *till) last() Stored { return w.journal[len(w.journal)-1] }

// busyTill has sold, returned, discounted and voided in two epochs and three shifts.
func busyTill(t require.TestingT) *till {
	w := newTill(t)
	w.sell(3)
	w.do(100, `{"product":"TEA","quantity":"2.125"}`)
	w.do(109, `{"product":"MUG"}`)
	w.do(100, `{"product":"MUG"}`)
	w.do(102, `{"line":3}`)
	w.do(303, `{"percent":"10"}`)
	w.do(200, `{"amount":5000}`)
	w.do(100, `{"product":"TEA"}`)
	w.do(500, ``)
	w.do(109, `{"product":"TEA","quantity":"0.5"}`)
	w.do(206, ``)
	w.sell(1)
	w.activate(2)
	w.date = "2026-03-03"
	w.openDay()
	w.sell(2)
	w.do(100, `{"product":"COAL"}`)
	w.do(200, `{"amount":100}`)
	return w
}

// openDB is an empty database in a file of its own.
func openDB(t testing.TB) *DB {
	db, err := Open(filepath.Join(t.TempDir(), "offline.db"))
	require.NoError(t, err)
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// apply applies a journal to db.
func apply(t require.TestingT, db *DB, journal []Stored) {
	require.NoError(t, db.Apply(context.Background(), journal))
}

func asJSON(t require.TestingT, v any) string {
	b, err := json.Marshal(v)
	require.NoError(t, err)
	return string(b)
}
