package projections

import (
	"context"

	"github.com/posnode/posnode/events"
)

// tendersView holds the payments in each shift, by tender.
var tendersView = view{
	name: "tenders",
	keys: 2,
	schema: `
CREATE TABLE tenders (
	shift    TEXT NOT NULL,
	tender   TEXT NOT NULL,    -- with its currency where that is not the shift's: currency:EUR
	payments INTEGER NOT NULL, -- how many
	tendered INTEGER NOT NULL, -- amounts in minor units of the shift's currency
	change   INTEGER NOT NULL,
	PRIMARY KEY (shift, tender)
) WITHOUT ROWID`,
	folds: []fold{on(addPayments), on(addDeposit)},
}

func addPayments(b *batch, e *events.Entry, f *events.SaleConcluded) error {
	for _, p := range f.Payments {
		for i, m := range p.Moves() {
			payments, tendered := 0, m.Value+m.Change // in the transaction's currency
			if i == 0 {
				payments = 1
			}
			if err := b.addTender(e.Shift, m.Drawer(), payments, tendered, m.Change); err != nil {
				return err
			}
		}
	}
	return nil
}

func (b *batch) addTender(shift events.ShiftID, tender events.TenderID, payments int, tendered, change events.Money) error {
	return b.exec(`INSERT INTO tenders VALUES (?, ?, ?, ?, ?)
		ON CONFLICT DO UPDATE SET payments = payments + excluded.payments, tendered = tendered + excluded.tendered, change = change + excluded.change`,
		string(shift), string(tender), payments, int64(tendered), int64(change))
}

func addDeposit(b *batch, e *events.Entry, f *events.OrderPlaced) error {
	return addPayments(b, e, &f.SaleConcluded)
}

// TenderTotal is the payments by one tender on one business date. Amounts are in minor units.
type TenderTotal struct {
	Date     string          `json:"business_date"` // YYYY-MM-DD
	Tender   events.TenderID `json:"tender"`
	Currency string          `json:"currency"` // ISO 4217
	Digits   int             `json:"digits"`   // of its minor unit
	Payments int             `json:"payments"` // how many
	Tendered events.Money    `json:"tendered"` // handed over by customers, less paid out to them
	Change   events.Money    `json:"change"`   // given back
	Kept     events.Money    `json:"kept"`     // tendered less change
}

func (t *TenderTotal) columns() []any {
	return []any{&t.Date, &t.Tender, &t.Currency, &t.Digits, &t.Payments, &t.Tendered, &t.Change, &t.Kept}
}

// Tenders lists the payments of a period, by business date and tender.
func (db *DB) Tenders(ctx context.Context, p Period) ([]TenderTotal, error) {
	return list(ctx, db, "tenders", (*TenderTotal).columns, `
		SELECT date, tender, currency, digits, sum(payments), sum(tendered), sum(change), sum(tendered - change)
		FROM tenders JOIN shifts USING (shift) WHERE`+inPeriod+`
		GROUP BY date, tender, currency, digits ORDER BY date, tender, currency, digits`, p.args()...)
}
