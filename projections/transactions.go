package projections

import (
	"context"
	"fmt"

	"github.com/posnode/posnode/events"
)

// transactionsView holds one row for each transaction that has ended. Its
// document is not held twice: it is the entry that ended it, in the journal view.
var transactionsView = view{
	name: "transactions",
	keys: 1,
	schema: `
CREATE TABLE transactions (
	at          INTEGER PRIMARY KEY, -- of the entry that ended it
	transaction_id TEXT NOT NULL UNIQUE,
	receipt     TEXT NOT NULL,
	status      TEXT NOT NULL,       -- concluded, ordered or voided
	shift       TEXT NOT NULL,
	staff       TEXT NOT NULL,       -- who ended it
	lines       INTEGER NOT NULL,    -- that were not voided
	sales       INTEGER NOT NULL,    -- amounts in minor units of the shift's currency
	returns     INTEGER NOT NULL,
	discount    INTEGER NOT NULL,
	net         INTEGER NOT NULL,
	tax         INTEGER NOT NULL,
	total       INTEGER NOT NULL,
	ended       TEXT NOT NULL        -- time of that entry
);
CREATE INDEX transactions_receipt ON transactions (receipt);
CREATE INDEX transactions_shift ON transactions (shift)`,
	folds: []fold{on(concludeTransaction), on(voidTransaction), on(placeOrder)},
}

// How a transaction can have ended.
const (
	Concluded = "concluded"
	Voided    = "voided"
	Ordered   = "ordered" // a customer order was placed: nothing is sold yet
)

func concludeTransaction(b *batch, e *events.Entry, f *events.SaleConcluded) error {
	if err := b.findFor(e.Shift, f.Terms.Currency, f.Terms.Digits); err != nil {
		return err
	}
	return b.addTransaction(e, &f.OfSale, f.Receipt, Concluded, f.Sales, f.Returns)
}

// voidTransaction records the receipt number that a voided transaction keeps. It sold nothing.
func voidTransaction(b *batch, e *events.Entry, f *events.SaleVoided) error {
	if _, err := b.find(e.Shift); err != nil {
		return err
	}
	return b.addTransaction(e, &events.OfSale{Transaction: f.Transaction}, f.Receipt, Voided, 0, 0)
}

// placeOrder records the document of a customer order. Its amounts are those of the order.
func placeOrder(b *batch, e *events.Entry, f *events.OrderPlaced) error {
	if err := b.findFor(e.Shift, f.Terms.Currency, f.Terms.Digits); err != nil {
		return err
	}
	return b.addTransaction(e, &f.OfSale, f.Receipt, Ordered, 0, 0)
}

func (b *batch) addTransaction(e *events.Entry, of *events.OfSale, receipt events.ReceiptNumber, status string, sales, returns events.Money) error {
	t := of.After
	return b.exec("INSERT INTO transactions VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
		place(e.Head), string(of.Transaction), string(receipt), status, string(e.Shift), string(e.Staff),
		t.Lines, int64(sales), int64(returns), int64(t.Discount), int64(sales+returns), int64(t.Tax), int64(t.Total), e.Envelope.Time)
}

// Transaction is one transaction that has ended. Amounts are in minor units and
// all zero for a voided one.
type Transaction struct {
	ID       events.TransactionID `json:"transaction"`
	Receipt  events.ReceiptNumber `json:"receipt"`
	Status   string               `json:"status"`        // concluded, ordered or voided
	Date     string               `json:"business_date"` // of its shift, YYYY-MM-DD
	Shift    events.ShiftID       `json:"shift"`
	Staff    events.StaffID       `json:"staff"` // the member of staff that ended it
	Currency string               `json:"currency"`
	Digits   int                  `json:"digits"`
	Lines    int                  `json:"lines"` // that were not voided
	Sales    events.Money         `json:"sales"`
	Returns  events.Money         `json:"returns"`  // negative
	Discount events.Money         `json:"discount"` // on the total, positive
	Net      events.Money         `json:"net"`      // sales and returns; with tax where prices include it
	Tax      events.Money         `json:"tax"`
	Total    events.Money         `json:"total"`
	Ended    string               `json:"ended"` // RFC 3339, nanoseconds, UTC
}

const transactionColumns = `transactions.transaction_id, receipt, status, date, shift, transactions.staff, currency, digits,
	lines, sales, returns, discount, net, tax, total, ended`

func (t *Transaction) columns() []any {
	return []any{&t.ID, &t.Receipt, &t.Status, &t.Date, &t.Shift, &t.Staff, &t.Currency, &t.Digits,
		&t.Lines, &t.Sales, &t.Returns, &t.Discount, &t.Net, &t.Tax, &t.Total, &t.Ended}
}

// MaxTransactions is how many rows [DB.Transactions] gives at most.
const MaxTransactions = 1000

// Transactions lists the transactions of a period that ended last, the last one first: at most
// limit, or [MaxTransactions] for 0.
func (db *DB) Transactions(ctx context.Context, p Period, limit int) ([]Transaction, error) {
	return list(ctx, db, "transactions", (*Transaction).columns, `
		SELECT `+transactionColumns+` FROM transactions JOIN shifts USING (shift)
		WHERE`+inPeriod+`ORDER BY at DESC LIMIT ?4`, append(p.args(), bounded(limit, MaxTransactions))...)
}

// Document is a transaction that has ended, with the fact that ended it: a
// *[events.SaleConcluded], which is the whole document as printed, or a *[events.SaleVoided].
type Document struct {
	Transaction
	Fact events.Fact `json:"document"`
	// Body is the entry that ended it, exactly as stored.
	Body []byte `json:"-"`
}

func (d *Document) columns() []any { return append(d.Transaction.columns(), &d.Body) }

// Transaction is the document of a transaction, nil where none with that id has ended.
func (db *DB) Transaction(ctx context.Context, id events.TransactionID) (*Document, error) {
	return db.document(ctx, "transaction_id = ?", string(id))
}

// Receipt is the document with that receipt number, nil for none.
func (db *DB) Receipt(ctx context.Context, number events.ReceiptNumber) (*Document, error) {
	return db.document(ctx, "receipt = ?", string(number))
}

func (db *DB) document(ctx context.Context, condition, arg string) (*Document, error) {
	d, err := one(ctx, db, "document", (*Document).columns, `
		SELECT `+transactionColumns+`, body FROM transactions JOIN shifts USING (shift) JOIN journal USING (at)
		WHERE transactions.`+condition+` ORDER BY at DESC LIMIT 1`, arg)
	if err != nil || d == nil {
		return nil, err
	}
	e, err := events.Decode(d.Body)
	if err != nil {
		return nil, fmt.Errorf("%w: document of %s: %w", ErrDamaged, d.ID, err)
	}
	d.Fact = e.Fact
	return d, nil
}
