package projections

import (
	"context"
	"fmt"

	"github.com/posnode/posnode/events"
)

// reportsView holds where the X and Z reports of each shift stand: the report itself
// is the entry, in the journal view.
var reportsView = view{
	name: "reports",
	keys: 1,
	schema: `
CREATE TABLE reports (
	at    INTEGER PRIMARY KEY, -- of the entry that holds it
	shift TEXT NOT NULL,
	z     INTEGER NOT NULL     -- number of a Z report, 0 for an X report
);
CREATE INDEX reports_shift ON reports (shift)`,
	folds: []fold{
		on(func(b *batch, e *events.Entry, f *events.XPrinted) error { return b.report(e, f.Shift, 0) }),
		on(func(b *batch, e *events.Entry, f *events.ShiftClosed) error { return b.report(e, f.Shift, f.Z) }),
	},
}

func (b *batch) report(e *events.Entry, shift events.ShiftID, z int) error {
	if _, err := b.find(shift); err != nil {
		return err
	}
	return b.exec("INSERT INTO reports VALUES (?, ?, ?)", place(e.Head), string(shift), z)
}

// Report is one X or Z report as it was recorded.
type Report struct {
	Shift  events.ShiftID     `json:"shift"`
	Z      int                `json:"z,omitempty"` // number of a Z report, 0 for an X report
	Staff  events.StaffID     `json:"staff"`       // the member of staff that asked for it
	Time   string             `json:"time"`        // RFC 3339, nanoseconds, UTC
	Report events.ShiftReport `json:"report"`

	body []byte
}

func (r *Report) columns() []any { return []any{&r.Shift, &r.Z, &r.body} }

// MaxReports is how many rows [DB.Reports] gives at most.
const MaxReports = 1000

// Reports lists the X and Z reports of a period in the order in which they were made.
func (db *DB) Reports(ctx context.Context, p Period) ([]Report, error) {
	return db.reports(ctx, "SELECT shift, z, body FROM reports JOIN shifts USING (shift) JOIN journal USING (at) WHERE"+inPeriod+
		fmt.Sprintf("ORDER BY at LIMIT %d", MaxReports), p.args()...)
}

// ZReport is the Z report with that number of the newest epoch that has it, nil for none.
func (db *DB) ZReport(ctx context.Context, z int) (*Report, error) {
	all, err := db.reports(ctx, "SELECT shift, z, body FROM reports JOIN journal USING (at) WHERE z = ? AND z > 0 ORDER BY at DESC LIMIT 1", z)
	if err != nil || len(all) == 0 {
		return nil, err
	}
	return &all[0], nil
}

func (db *DB) reports(ctx context.Context, query string, args ...any) ([]Report, error) {
	all, err := list(ctx, db, "reports", (*Report).columns, query, args...)
	if err != nil {
		return nil, err
	}
	for i := range all {
		r := &all[i]
		e, err := events.Decode(r.body)
		if err != nil {
			return nil, fmt.Errorf("%w: report of %s: %w", ErrDamaged, r.Shift, err)
		}
		r.Staff, r.Time, r.body = e.Staff, e.Envelope.Time, nil
		switch f := e.Fact.(type) {
		case *events.XPrinted:
			r.Report = f.Report
		case *events.ShiftClosed:
			r.Report = f.Report
		}
	}
	return all, nil
}

// standingsView holds the state of each shift, and the totals of its tenders when it was closed.
var standingsView = view{
	name: "standings",
	keys: 1,
	schema: `
CREATE TABLE standings (
	shift   TEXT PRIMARY KEY,
	status  TEXT NOT NULL,    -- open, suspended, blind_closed or closed
	z       INTEGER NOT NULL, -- number of its Z report, 0 before
	changed TEXT NOT NULL     -- time of the entry that says so
) WITHOUT ROWID`,
	folds: []fold{
		on(func(b *batch, e *events.Entry, f *events.ShiftOpened) error { return b.stand(e, f.Shift, "open", 0) }),
		on(func(b *batch, e *events.Entry, f *events.ShiftSuspended) error {
			return b.stand(e, f.Shift, "suspended", 0)
		}),
		on(func(b *batch, e *events.Entry, f *events.ShiftResumed) error { return b.stand(e, f.Shift, "open", 0) }),
		on(func(b *batch, e *events.Entry, f *events.ShiftBlindClosed) error {
			return b.stand(e, f.Shift, "blind_closed", 0)
		}),
		on(func(b *batch, e *events.Entry, f *events.ShiftClosed) error {
			return b.stand(e, f.Shift, "closed", f.Z)
		}),
	},
}

func (b *batch) stand(e *events.Entry, shift events.ShiftID, status string, z int) error {
	if _, err := b.find(shift); err != nil {
		return err
	}
	return b.exec(`INSERT INTO standings VALUES (?, ?, ?, ?)
		ON CONFLICT (shift) DO UPDATE SET status = excluded.status, z = excluded.z, changed = excluded.changed`,
		string(shift), status, z, e.Envelope.Time)
}

// Shift is one shift and how it stands.
type Shift struct {
	Shift    events.ShiftID `json:"shift"`
	Number   int            `json:"number"`
	Staff    events.StaffID `json:"staff"` // the member of staff that opened it
	Date     string         `json:"business_date"`
	Currency string         `json:"currency"`
	Digits   int            `json:"digits"`
	Opened   string         `json:"opened"`
	Status   string         `json:"status"`      // open, suspended, blind_closed or closed
	Z        int            `json:"z,omitempty"` // number of its Z report
	Changed  string         `json:"changed"`     // since when it stands so
}

func (s *Shift) columns() []any {
	return []any{&s.Shift, &s.Number, &s.Staff, &s.Date, &s.Currency, &s.Digits, &s.Opened, &s.Status, &s.Z, &s.Changed}
}

// Shifts lists the shifts of a period in the order in which they were opened.
func (db *DB) Shifts(ctx context.Context, p Period) ([]Shift, error) {
	return list(ctx, db, "shifts", (*Shift).columns, `
		SELECT shift, number, staff, date, currency, digits, opened, status, z, changed
		FROM shifts JOIN standings USING (shift) WHERE`+inPeriod+`ORDER BY opened, shift`, p.args()...)
}

// drawersView holds the movements of each tender and currency in each shift besides sales.
var drawersView = view{
	name: "drawers",
	keys: 3,
	schema: `
CREATE TABLE drawers (
	shift     TEXT NOT NULL,
	tender    TEXT NOT NULL,
	currency  TEXT NOT NULL,
	starting  INTEGER NOT NULL, -- amounts in minor units of currency
	added     INTEGER NOT NULL,
	removed   INTEGER NOT NULL,
	safe_drop INTEGER NOT NULL,
	bank_drop INTEGER NOT NULL,
	income    INTEGER NOT NULL,
	expense   INTEGER NOT NULL,
	counted   INTEGER,          -- NULL where nobody counted it
	PRIMARY KEY (shift, tender, currency)
) WITHOUT ROWID`,
	folds: []fold{
		on(func(b *batch, e *events.Entry, f *events.StartAmountDeclared) error {
			return b.drawer(f.Shift, Drawer{Tender: f.Tender, Currency: f.Currency, Starting: f.Amount})
		}),
		on(func(b *batch, e *events.Entry, f *events.FloatAdded) error {
			return b.drawer(f.Shift, Drawer{Tender: f.Tender, Currency: f.Currency, Added: f.Amount})
		}),
		on(func(b *batch, e *events.Entry, f *events.TenderRemoved) error {
			return b.drawer(f.Shift, Drawer{Tender: f.Tender, Currency: f.Currency, Removed: f.Amount})
		}),
		on(func(b *batch, e *events.Entry, f *events.SafeDropped) error {
			return b.drops(f.Dropped, func(m events.Money) Drawer { return Drawer{SafeDrop: m} })
		}),
		on(func(b *batch, e *events.Entry, f *events.BankDropped) error {
			return b.drops(f.Dropped, func(m events.Money) Drawer { return Drawer{BankDrop: m} })
		}),
		on(func(b *batch, e *events.Entry, f *events.IncomeTaken) error {
			return b.drawer(f.Shift, Drawer{Tender: f.Tender, Currency: f.Currency, Income: f.Amount})
		}),
		on(func(b *batch, e *events.Entry, f *events.ExpensePaid) error {
			return b.drawer(f.Shift, Drawer{Tender: f.Tender, Currency: f.Currency, Expense: f.Amount})
		}),
		on(func(b *batch, e *events.Entry, f *events.DrawerDeclared) error {
			for _, c := range f.Counts {
				if err := b.drawer(f.Shift, Drawer{Tender: c.Tender, Currency: c.Currency, Counted: &c.Counted}); err != nil {
					return err
				}
			}
			return nil
		}),
	},
}

func (b *batch) drops(f events.Dropped, as func(events.Money) Drawer) error {
	for _, a := range f.Amounts {
		d := as(a.Amount)
		d.Tender, d.Currency = a.Tender, a.Currency
		if err := b.drawer(f.Shift, d); err != nil {
			return err
		}
	}
	return nil
}

func (b *batch) drawer(shift events.ShiftID, d Drawer) error {
	if _, err := b.find(shift); err != nil {
		return err
	}
	var counted any
	if d.Counted != nil {
		counted = int64(*d.Counted)
	}
	return b.exec(`INSERT INTO drawers VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT DO UPDATE SET
			starting = starting + excluded.starting, added = added + excluded.added, removed = removed + excluded.removed,
			safe_drop = safe_drop + excluded.safe_drop, bank_drop = bank_drop + excluded.bank_drop,
			income = income + excluded.income, expense = expense + excluded.expense, counted = coalesce(excluded.counted, counted)`,
		string(shift), string(d.Tender), d.Currency, int64(d.Starting), int64(d.Added), int64(d.Removed),
		int64(d.SafeDrop), int64(d.BankDrop), int64(d.Income), int64(d.Expense), counted)
}

// Drawer is the movements of one tender and currency in one shift besides sales. Amounts are in
// minor units of its currency.
type Drawer struct {
	Shift    events.ShiftID  `json:"shift"`
	Tender   events.TenderID `json:"tender"`
	Currency string          `json:"currency"` // ISO 4217
	Starting events.Money    `json:"starting"`
	Added    events.Money    `json:"added"`
	Removed  events.Money    `json:"removed"`
	SafeDrop events.Money    `json:"safe_drop"`
	BankDrop events.Money    `json:"bank_drop"`
	Income   events.Money    `json:"income"`
	Expense  events.Money    `json:"expense"`
	Counted  *events.Money   `json:"counted,omitempty"` // absent where nobody counted it
}

func (d *Drawer) columns() []any {
	return []any{&d.Shift, &d.Tender, &d.Currency, &d.Starting, &d.Added, &d.Removed, &d.SafeDrop, &d.BankDrop, &d.Income, &d.Expense, &d.Counted}
}

// Drawers lists the movements of the drawers in a period besides sales, by shift, tender and
// currency.
func (db *DB) Drawers(ctx context.Context, p Period) ([]Drawer, error) {
	return list(ctx, db, "drawers", (*Drawer).columns, `
		SELECT drawers.shift, tender, drawers.currency, starting, added, removed, safe_drop, bank_drop, income, expense, counted
		FROM drawers JOIN shifts USING (shift) WHERE`+inPeriod+`ORDER BY drawers.shift, tender, drawers.currency`, p.args()...)
}
