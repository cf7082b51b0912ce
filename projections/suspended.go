package projections

import (
	"context"

	"github.com/posnode/posnode/events"
)

// suspendedView holds one row for each transaction that is set aside.
var suspendedView = view{
	name: "suspended",
	keys: 1,
	schema: `
CREATE TABLE suspended (
	transaction_id TEXT PRIMARY KEY,
	shift    TEXT NOT NULL,    -- in which it was suspended
	staff    TEXT NOT NULL,    -- who suspended it
	lines    INTEGER NOT NULL, -- that were not voided
	total    INTEGER NOT NULL, -- in minor units of the shift's currency
	at_time  TEXT NOT NULL     -- time of the entry
) WITHOUT ROWID`,
	folds: []fold{
		on(func(b *batch, e *events.Entry, f *events.SaleSuspended) error {
			return b.exec("INSERT INTO suspended VALUES (?, ?, ?, ?, ?, ?)",
				string(f.Transaction), string(e.Shift), string(e.Staff), f.After.Lines, int64(f.After.Total), e.Envelope.Time)
		}),
		on(func(b *batch, e *events.Entry, f *events.SaleRecalled) error { return b.unsuspend(f.Transaction) }),
		on(func(b *batch, e *events.Entry, f *events.SaleVoided) error { return b.unsuspend(f.Transaction) }),
		on(func(b *batch, e *events.Entry, f *events.SaleHandedOver) error { return b.unsuspend(f.Transaction) }),
		// A transaction that was suspended in an epoch does not wait in the next.
		on(func(b *batch, e *events.Entry, f *events.RegisterActivated) error {
			return b.exec("DELETE FROM suspended")
		}),
	},
}

func (b *batch) unsuspend(id events.TransactionID) error {
	return b.exec("DELETE FROM suspended WHERE transaction_id = ?", string(id))
}

// SuspendedTransaction is a transaction that is set aside.
type SuspendedTransaction struct {
	ID       events.TransactionID `json:"transaction"`
	Shift    events.ShiftID       `json:"shift"` // in which it was suspended
	Staff    events.StaffID       `json:"staff"` // the member of staff that suspended it
	Currency string               `json:"currency"`
	Digits   int                  `json:"digits"`
	Lines    int                  `json:"lines"` // that were not voided
	Total    events.Money         `json:"total"` // in minor units
	Time     string               `json:"time"`  // RFC 3339, nanoseconds, UTC
}

func (s *SuspendedTransaction) columns() []any {
	return []any{&s.ID, &s.Shift, &s.Staff, &s.Currency, &s.Digits, &s.Lines, &s.Total, &s.Time}
}

// Suspended lists the transactions that are set aside, the first one first.
func (db *DB) Suspended(ctx context.Context) ([]SuspendedTransaction, error) {
	return list(ctx, db, "suspended transactions", (*SuspendedTransaction).columns, `
		SELECT transaction_id, suspended.shift, suspended.staff, currency, digits, lines, total, at_time
		FROM suspended JOIN shifts USING (shift) ORDER BY at_time, transaction_id`)
}
