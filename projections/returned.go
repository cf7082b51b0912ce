package projections

import (
	"context"

	"github.com/posnode/posnode/events"
	"github.com/posnode/posnode/ledger"
)

// returnedView holds the returns of each sold line, entry by entry, so that returns that head
// office has not received can be told from the others.
var returnedView = view{
	name: "returned",
	keys: 3,
	schema: `
CREATE TABLE returned (
	transaction_id TEXT NOT NULL,    -- that sold it
	line           INTEGER NOT NULL, -- of that transaction
	at             INTEGER NOT NULL, -- of the entry that took it back
	quantity       INTEGER NOT NULL, -- in ten-thousandths of a unit
	amount         INTEGER NOT NULL, -- given back for it: net of the returning lines, in minor units
	PRIMARY KEY (transaction_id, line, at)
) WITHOUT ROWID`,
	folds: []fold{on(addReturned)},
}

func addReturned(b *batch, e *events.Entry, f *events.SaleConcluded) error {
	for i := range f.Lines {
		line := &f.Lines[i]
		if line.Voided || line.Original == nil {
			continue
		}
		err := b.exec(`INSERT INTO returned VALUES (?, ?, ?, ?, ?)
			ON CONFLICT DO UPDATE SET quantity = quantity + excluded.quantity, amount = amount + excluded.amount`,
			string(line.Original.Transaction), line.Original.Line, place(e.Head), line.Quantity.Neg().TenThousandths(), -int64(line.Net))
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

// Sold returns the document with that receipt number, by which its products can be returned, with
// its earlier returns; nil for none that sold anything.
func (db *DB) Sold(ctx context.Context, number events.ReceiptNumber) (*ledger.Sold, error) {
	doc, err := db.Receipt(ctx, number)
	if err != nil || doc == nil {
		return nil, err
	}
	f, concluded := doc.Fact.(*events.SaleConcluded)
	if !concluded {
		return nil, nil
	}
	sold := ledger.SoldBy(f)
	return &sold, db.AddReturned(ctx, &sold, events.Head{})
}

// AddReturned adds to a document its returns at this register in the entries after one.
func (db *DB) AddReturned(ctx context.Context, sold *ledger.Sold, after events.Head) error {
	back, err := list(ctx, db, "what was returned", (*returnedLine).columns,
		"SELECT line, quantity, amount FROM returned WHERE transaction_id = ? AND at > ?", string(sold.Transaction), place(after))
	for _, l := range back {
		sold.Return(l.line, l.quantity, l.amount)
	}
	return err
}
