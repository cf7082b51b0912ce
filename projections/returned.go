package projections

import (
	"context"

	"github.com/posnode/posnode/events"
	"github.com/posnode/posnode/ledger"
)

// returnedView holds what came back of each line that was sold, by its receipt.
var returnedView = view{
	name: "returned",
	keys: 2,
	schema: `
CREATE TABLE returned (
	transaction_id TEXT NOT NULL,    -- that sold it
	line           INTEGER NOT NULL, -- of that transaction
	quantity       INTEGER NOT NULL, -- in ten-thousandths of a unit
	amount         INTEGER NOT NULL, -- given back for it: net of the returning lines, in minor units
	PRIMARY KEY (transaction_id, line)
) WITHOUT ROWID`,
	folds: []fold{on(addReturned)},
}

func addReturned(b *batch, _ *events.Entry, f *events.SaleConcluded) error {
	for i := range f.Lines {
		line := &f.Lines[i]
		if line.Voided || line.Original == nil {
			continue
		}
		err := b.exec(`INSERT INTO returned VALUES (?, ?, ?, ?)
			ON CONFLICT DO UPDATE SET quantity = quantity + excluded.quantity, amount = amount + excluded.amount`,
			string(line.Original.Transaction), line.Original.Line, line.Quantity.Neg().TenThousandths(), -int64(line.Net))
		if err != nil {
			return err
		}
	}
	return nil
}

// returnedLine is a row of the view.
type returnedLine struct {
	line     int
	quantity events.Quantity
	amount   events.Money
}

func (l *returnedLine) columns() []any {
	return []any{&l.line, tenThousandths{&l.quantity}, &l.amount}
}

// Sold is the document with that receipt number, by which its products can be
// returned, with what was returned of it already; nil for none that sold anything.
func (db *DB) Sold(ctx context.Context, number events.ReceiptNumber) (*ledger.Sold, error) {
	doc, err := db.Receipt(ctx, number)
	if err != nil || doc == nil {
		return nil, err
	}
	f, concluded := doc.Fact.(*events.SaleConcluded)
	if !concluded {
		return nil, nil
	}
	sold := &ledger.Sold{Transaction: f.Transaction, Receipt: f.Receipt, Terms: f.Terms}
	for _, line := range f.Lines {
		sold.Lines = append(sold.Lines, ledger.SoldLine{ConcludedLine: line})
	}
	back, err := list(ctx, db, "what was returned", (*returnedLine).columns,
		"SELECT line, quantity, amount FROM returned WHERE transaction_id = ?", string(f.Transaction))
	for _, l := range back {
		if l.line >= 1 && l.line <= len(sold.Lines) {
			sold.Lines[l.line-1].Returned, sold.Lines[l.line-1].GivenBack = l.quantity, l.amount
		}
	}
	return sold, err
}
