package ledger_test

import (
	"encoding/json"
	"slices"

	"github.com/posnode/posnode/events"
	"github.com/posnode/posnode/ledger"
)

// inquiry answers what the offline database would, out of the till's own entries.
func (w *till) inquiry(q ledger.Query) (any, bool) {
	switch q.Kind {
	case "journal":
		var f events.JournalFilter
		if err := json.Unmarshal([]byte(q.Key), &f); err != nil {
			panic(err)
		}
		return w.shown(f), true
	case "printed":
		return w.printed(events.ReceiptNumber(q.Key))
	}
	return nil, false
}

func (w *till) shown(f events.JournalFilter) (shown ledger.Shown) {
	for _, e := range slices.Backward(w.entries) {
		row := events.JournalRow{Status: "concluded", Date: "2026-03-02", Staff: e.Staff, Currency: w.store.Currency, Ended: e.Envelope.Time}
		var lines []events.ConcludedLine
		switch fact := e.Fact.(type) {
		case *events.SaleConcluded:
			row.Transaction, row.Receipt, row.Lines, row.Total, lines = fact.Transaction, fact.Receipt, fact.After.Lines, fact.After.Total, fact.Lines
		case *events.SaleVoided:
			row.Status, row.Transaction, row.Receipt = "voided", fact.Transaction, fact.Receipt
		default:
			continue
		}
		sells := slices.ContainsFunc(lines, func(l events.ConcludedLine) bool { return l.Product == f.Product })
		sale, _ := e.Fact.(*events.SaleConcluded)
		scanned := slices.ContainsFunc(lines, func(l events.ConcludedLine) bool { return l.Barcode == f.Barcode })
		if f.Barcode != "" && !scanned || f.Customer != "" && (sale == nil || sale.Customer == nil || sale.Customer.Customer != f.Customer) ||
			f.Order != "" && (sale == nil || sale.Order == nil || sale.Order.Order != f.Order) {
			continue
		}
		if f.From > row.Date || f.To != "" && f.To < row.Date || f.Receipt != "" && f.Receipt != row.Receipt || f.Product != "" && !sells ||
			f.Staff != "" && f.Staff != row.Staff || f.Transaction != "" && f.Transaction != row.Transaction || f.Shift != "" && f.Shift != e.Shift {
			continue
		}
		if shown.Found++; len(shown.Rows) < f.Limit {
			shown.Rows = append(shown.Rows, row)
		}
	}
	return shown
}

func (w *till) printed(number events.ReceiptNumber) (any, bool) {
	doc, found := ledger.PrintedDocument{Copies: map[string]int{}}, false
	for _, e := range w.entries {
		switch f := e.Fact.(type) {
		case *events.SaleConcluded:
			if f.Receipt == number {
				doc.Transaction, doc.Status, doc.Epoch, doc.Sequence, found = f.Transaction, "concluded", e.Head.Epoch, e.Head.Sequence, true
			}
		case *events.SaleVoided:
			if f.Receipt == number {
				doc.Transaction, doc.Status, doc.Epoch, doc.Sequence, found = f.Transaction, "voided", e.Head.Epoch, e.Head.Sequence, true
			}
		case *events.ReceiptReprinted:
			if f.Number == number {
				doc.Copies[f.Kind] = f.Copy
			}
		}
	}
	return doc, found
}
