package ledger_test

import (
	"slices"
	"strings"

	"github.com/posnode/posnode/events"
	"github.com/posnode/posnode/ledger"
)

// find answers a query from the records, as a register does from its reference data.
// What KIND_search leads to is what has the text somewhere.
func (w *till) find(q ledger.Query) (any, bool) {
	if q.Kind == "receipt" {
		sold, found := w.sold(q.Key)
		return sold, found
	}
	if record, known := w.inquiry(q); known {
		return record, true
	}
	kind, search := strings.CutSuffix(q.Kind, "_search")
	if kind == "suspended" && search { // of other registers there is nothing to be found here
		hits := ledger.Hits{}
		for _, one := range w.state.OnHold(q.Key) {
			hits = append(hits, one)
		}
		return hits, true
	}
	if !search {
		record, known := w.records[q]
		return record, known
	}
	hits := ledger.Hits{}
	for _, key := range recordKeys(w, kind) {
		record, known := w.records[ledger.Query{Kind: kind, Key: key}]
		if known && q.Key != "" && strings.Contains(strings.ToLower(text(record)), strings.ToLower(q.Key)) {
			hits = append(hits, record)
		}
	}
	return hits, true
}

func text(record any) string {
	switch r := record.(type) {
	case ledger.Product:
		return string(r.ID) + " " + r.Description
	case ledger.Customer:
		return strings.Join([]string{string(r.ID), r.Name, r.Phone, r.Email}, " ")
	case ledger.Category:
		return r.ID + " " + r.Name
	case ledger.Order:
		return string(r.ID) + " " + r.CustomerName
	case ledger.Suspended:
		return r.Text()
	}
	return ""
}

// keepOwn does to the records what this register's own facts do to the answers of a
// real one: customers written down here, orders placed and picked up, what was sold of the stock.
func (w *till) keepOwn(fact events.Fact) {
	customer := func(id events.CustomerID, details events.CustomerDetails) {
		q := ledger.Query{Kind: "customer", Key: string(id)}
		c, _ := w.records[q].(ledger.Customer)
		c.ID, c.CustomerDetails = id, details
		w.records[q] = c
	}
	order := func(id events.OrderID) ledger.Query { return ledger.Query{Kind: "order", Key: string(id)} }
	switch f := fact.(type) {
	case *events.CustomerAdded:
		customer(f.Customer, f.Details)
	case *events.CustomerEdited:
		customer(f.Customer, f.Details)
	case *events.OrderPlaced:
		if f.Customer != nil {
			w.records[order(f.Placed.Order)] = ledger.OrderOf(tillRegister.Store, f)
		}
	case *events.SaleConcluded:
		if f.Order != nil {
			o, _ := w.records[order(f.Order.Order)].(ledger.Order)
			if o.Status = ledger.OrderPickedUp; f.Order.Cancelled {
				o.Status = ledger.OrderCancelled
			}
			w.records[order(f.Order.Order)] = o
		}
		for _, line := range f.Lines {
			q := ledger.Query{Kind: "stock", Key: string(line.Product)}
			if s, known := w.records[q].(ledger.Stock); known && !line.Voided {
				s.Moved = s.Moved.Add(line.Quantity)
				w.records[q] = s
			}
		}
	}
}

// cartRecords are whom the reference shop sells to, what was ordered there, and what it has.
func cartRecords() map[ledger.Query]any {
	records := map[ledger.Query]any{}
	details := func(name string) events.CustomerDetails {
		return events.CustomerDetails{Kind: "person", Name: name, City: "York"}
	}
	ada := ledger.Customer{
		ID: "K1", CustomerDetails: details("Ada Lovelace"), PriceGroups: []string{"TRADE"}, AllowsOnAccount: true, CreditLimit: 50000, Balance: 1250, AsOf: asOf,
	}
	ada.Email, ada.Phone = "ada@example.org", "01904 000001"
	for _, c := range []ledger.Customer{
		ada,
		{ID: "K2", CustomerDetails: details("Charles Babbage")},
		{ID: "K8", CustomerDetails: details("Invoiced Elsewhere"), InvoiceAccount: "K9"},
		{ID: "K9", CustomerDetails: details("Never Paid"), Blocked: true},
	} {
		records[ledger.Query{Kind: "customer", Key: string(c.ID)}] = c
	}
	for _, c := range []ledger.LoyaltyCard{
		{Number: "M1", Customer: "K1", Affiliations: []string{"CLUB", "FORGOTTEN"}, PriceGroups: []string{"GOLD"}, Points: 120, AsOf: asOf},
		{Number: "M2"},
		{Number: "M8", Customer: "K9"},
		{Number: "M9", Blocked: true},
	} {
		records[ledger.Query{Kind: "loyalty", Key: string(c.Number)}] = c
	}
	for _, a := range []ledger.Affiliation{{ID: "CLUB", Name: "Club", PriceGroups: []string{"CLUB"}}, {ID: "STAFF", Name: "Staff", PriceGroups: []string{"STAFF"}}, {ID: "STUDENT", Name: "Student"}} {
		records[ledger.Query{Kind: "affiliation", Key: a.ID}] = a
	}
	// Two mugs for 15.90 less 0.90, of which 5.00 are paid.
	mugs := events.Line{Number: 4, Product: "MUG", Description: "Mug", Quantity: quantity("2"), Price: price("7.95"), Gross: 1590, Taxes: []events.TaxRate{standardRate}}
	order := ledger.Order{
		ID: "SO-1", Store: "s001", Status: ledger.OrderOpen, Customer: "K1", CustomerName: "Ada Lovelace", Currency: "GBP", TaxIncluded: true,
		Lines: []events.Line{mugs}, Discount: 90, Deposit: 500, AsOf: asOf,
	}
	change := func(id events.OrderID, change func(*ledger.Order)) ledger.Order {
		o := order
		o.ID, o.Lines = id, slices.Clone(order.Lines)
		change(&o)
		return o
	}
	for _, o := range []ledger.Order{
		order,
		change("SO-2", func(o *ledger.Order) { o.Store = "s002" }),
		change("SO-3", func(o *ledger.Order) { o.Status = ledger.OrderCancelled }),
		change("SO-4", func(o *ledger.Order) { o.Currency = "EUR" }),
		change("SO-5", func(o *ledger.Order) {
			o.Customer, o.CustomerName, o.Deposit, o.Discount = "K77", "Someone New", 1590, 0
		}),
	} {
		records[ledger.Query{Kind: "order", Key: string(o.ID)}] = o
	}
	records[ledger.Query{Kind: "stock", Key: "TEA"}] = ledger.Stock{Product: "TEA", OnHand: quantity("40"), AsOf: asOf}
	records[ledger.Query{Kind: "stock", Key: "APPLES"}] = ledger.Stock{Product: "APPLES", OnHand: quantity("12.5"), AsOf: asOf}
	records[ledger.Query{Kind: "stock", Key: "s002/TEA"}] = ledger.Stock{Product: "TEA", Store: "s002", OnHand: quantity("7"), AsOf: asOf}
	records[ledger.Query{Kind: "category", Key: "HOT"}] = ledger.Category{ID: "HOT", Name: "Hot drinks"}
	return records
}

const asOf = "2026-03-02T06:00:00Z"
