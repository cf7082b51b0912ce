package projections

import (
	"context"

	"github.com/posnode/posnode/events"
)

// postingsView holds the postings to each account in each shift.
var postingsView = view{
	name: "postings",
	keys: 2,
	schema: `
CREATE TABLE postings (
	shift   TEXT NOT NULL,
	account TEXT NOT NULL,
	amount  INTEGER NOT NULL, -- debits less credits in minor units of the shift's currency
	PRIMARY KEY (shift, account)
) WITHOUT ROWID`,
	folds: []fold{
		on(func(b *batch, e *events.Entry, f *events.SaleConcluded) error { return b.post(e.Shift, f.Postings) }),
		on(func(b *batch, e *events.Entry, f *events.OrderPlaced) error { return b.post(e.Shift, f.Postings) }),
		on(func(b *batch, e *events.Entry, f *events.StartAmountDeclared) error {
			return b.post(f.Shift, f.Postings)
		}),
		postsTo[*events.FloatAdded](), postsTo[*events.TenderRemoved](), postsTo[*events.SafeDropped](), postsTo[*events.BankDropped](),
		postsTo[*events.IncomeTaken](), postsTo[*events.ExpensePaid](), postsTo[*events.ShiftClosed](),
	},
}

// postsTo is the fold of a fact that posts to the shift that it is about.
func postsTo[F interface {
	events.Posted
	events.OfShift
}]() fold {
	return on(func(b *batch, e *events.Entry, f F) error { return b.post(f.OfShift(), f.Posts()) })
}

func (b *batch) post(shift events.ShiftID, postings []events.Posting) error {
	for _, p := range postings {
		err := b.exec("INSERT INTO postings VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET amount = amount + excluded.amount",
			string(shift), p.Account, int64(p.Amount))
		if err != nil {
			return err
		}
	}
	return nil
}

// Balance is the sum of the postings to one account on one business date.
type Balance struct {
	Date     string       `json:"business_date"` // YYYY-MM-DD
	Account  string       `json:"account"`
	Currency string       `json:"currency"` // ISO 4217
	Digits   int          `json:"digits"`   // of its minor unit
	Amount   events.Money `json:"amount"`   // debits less credits, in minor units
}

func (b *Balance) columns() []any {
	return []any{&b.Date, &b.Account, &b.Currency, &b.Digits, &b.Amount}
}

// TrialBalance lists the postings of a period, by business date and account. The amounts of a date
// and currency sum to zero.
func (db *DB) TrialBalance(ctx context.Context, p Period) ([]Balance, error) {
	return list(ctx, db, "postings", (*Balance).columns, `
		SELECT date, account, currency, digits, sum(amount)
		FROM postings JOIN shifts USING (shift) WHERE`+inPeriod+`
		GROUP BY date, account, currency, digits ORDER BY date, account, currency, digits`, p.args()...)
}
