package projections

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/posnode/posnode/events"
	"github.com/posnode/posnode/ledger"
)

// copiesView holds how often each receipt was printed again.
var copiesView = view{
	name: "copies",
	keys: 2,
	schema: `
CREATE TABLE copies (
	transaction_id TEXT NOT NULL,    -- of the receipt
	kind           TEXT NOT NULL,    -- copy or gift
	copies         INTEGER NOT NULL, -- number of the last one
	PRIMARY KEY (transaction_id, kind)
) WITHOUT ROWID`,
	folds: []fold{on(func(b *batch, _ *events.Entry, f *events.ReceiptReprinted) error {
		return b.exec("INSERT INTO copies VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET copies = excluded.copies",
			string(f.Transaction), f.Kind, f.Copy)
	})},
}

// printedRow is where a document stands.
type printedRow struct {
	at     int64
	id     events.TransactionID
	status string
	copies string // JSON object of numbers by kind
}

func (r *printedRow) columns() []any { return []any{&r.at, &r.id, &r.status, &r.copies} }

// Printed is the document with that receipt number and how often it was printed again, nil for none.
func (db *DB) Printed(ctx context.Context, number events.ReceiptNumber) (*ledger.PrintedDocument, error) {
	row, err := one(ctx, db, "receipt", (*printedRow).columns, `
		SELECT at, transaction_id, status,
			(SELECT coalesce(json_group_object(kind, copies), '{}') FROM copies WHERE copies.transaction_id = transactions.transaction_id)
		FROM transactions WHERE receipt = ? ORDER BY at DESC LIMIT 1`, string(number))
	if err != nil || row == nil {
		return nil, err
	}
	doc := &ledger.PrintedDocument{Transaction: row.id, Status: row.status, Epoch: int(row.at >> epochShift), Sequence: uint64(row.at & maxSequence)}
	if err := json.Unmarshal([]byte(row.copies), &doc.Copies); err != nil {
		return nil, fmt.Errorf("%w: copies of %s: %w", ErrDamaged, number, err)
	}
	return doc, nil
}

// shownWhere is the condition of a filter, given its arguments.
const shownWhere = ` FROM transactions JOIN shifts USING (shift)
	WHERE (?1 = '' OR date >= ?1) AND (?2 = '' OR date <= ?2) AND (?3 = '' OR transactions.transaction_id = ?3)
	AND (?4 = '' OR receipt = ?4) AND (?5 = '' OR shift = ?5) AND (?6 = '' OR transactions.staff = ?6)
	AND (?7 = '' AND ?8 = '' OR EXISTS (
		SELECT 1 FROM journal, json_each(CAST(journal.body AS TEXT), '$.data.lines') AS line
		WHERE journal.at = transactions.at AND (?7 = '' OR json_extract(line.value, '$.product') = ?7) AND (?8 = '' OR json_extract(line.value, '$.barcode') = ?8)))
	AND (?9 = '' AND ?10 = '' OR EXISTS (
		SELECT 1 FROM journal WHERE journal.at = transactions.at
		AND (?9 = '' OR json_extract(CAST(journal.body AS TEXT), '$.data.customer.number') = ?9)
		AND (?10 = '' OR json_extract(CAST(journal.body AS TEXT), '$.data.order.order') = ?10 OR json_extract(CAST(journal.body AS TEXT), '$.data.placed.order') = ?10)))`

func shownRow(r *events.JournalRow) []any {
	return []any{&r.Transaction, &r.Receipt, &r.Status, &r.Date, &r.Staff, &r.Lines, &r.Total, &r.Currency, &r.Ended}
}

// Shown lists the transactions that a filter selects, the last one first.
func (db *DB) Shown(ctx context.Context, f events.JournalFilter) (shown ledger.Shown, err error) {
	args := []any{f.From, f.To, string(f.Transaction), string(f.Receipt), string(f.Shift), string(f.Staff), string(f.Product), f.Barcode, string(f.Customer), string(f.Order)}
	found, err := list(ctx, db, "transactions", column[int], "SELECT count(*)"+shownWhere, args...)
	if err != nil {
		return shown, err
	}
	shown.Found = found[0]
	shown.Rows, err = list(ctx, db, "transactions", shownRow, `
		SELECT transactions.transaction_id, receipt, status, date, transactions.staff, lines, total, currency, ended`+shownWhere+`
		ORDER BY at DESC LIMIT ?11`, append(args, bounded(f.Limit, ledger.MaxShown))...)
	return shown, err
}
