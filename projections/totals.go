package projections

import (
	"context"

	"github.com/posnode/posnode/events"
)

// totalsView holds the sales of each shift. The totals of a day are those of its shifts.
var totalsView = view{
	name: "totals",
	keys: 1,
	schema: `
CREATE TABLE totals (
	shift     TEXT PRIMARY KEY,
	concluded INTEGER NOT NULL, -- transactions
	voided    INTEGER NOT NULL, -- transactions
	sales     INTEGER NOT NULL, -- amounts in minor units of the shift's currency
	returns   INTEGER NOT NULL,
	discounts INTEGER NOT NULL,
	tax       INTEGER NOT NULL,
	net       INTEGER NOT NULL,
	total     INTEGER NOT NULL,
	rounding  INTEGER NOT NULL
) WITHOUT ROWID`,
	folds: []fold{on(countConcluded), on(countVoided), on(countOrder)},
}

func countConcluded(b *batch, e *events.Entry, f *events.SaleConcluded) error {
	var rounding events.Money
	for _, p := range f.Payments {
		rounding += p.Rounding
	}
	return b.addTotals(e.Shift, Totals{Concluded: 1, Sales: f.Sales, Returns: f.Returns, Discounts: f.After.Discount,
		Tax: f.After.Tax, Net: f.Sales + f.Returns, Total: f.After.Total, Rounding: rounding})
}

func countVoided(b *batch, e *events.Entry, f *events.SaleVoided) error {
	return b.addTotals(e.Shift, Totals{Voided: 1})
}

// countOrder counts the rounding of the deposit: an order sells nothing yet.
func countOrder(b *batch, e *events.Entry, f *events.OrderPlaced) error {
	var rounding events.Money
	for _, p := range f.Payments {
		rounding += p.Rounding
	}
	return b.addTotals(e.Shift, Totals{Rounding: rounding})
}

func (b *batch) addTotals(shift events.ShiftID, t Totals) error {
	return b.exec(`INSERT INTO totals VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (shift) DO UPDATE SET
			concluded = concluded + excluded.concluded, voided = voided + excluded.voided,
			sales = sales + excluded.sales, returns = returns + excluded.returns, discounts = discounts + excluded.discounts,
			tax = tax + excluded.tax, net = net + excluded.net, total = total + excluded.total, rounding = rounding + excluded.rounding`,
		string(shift), t.Concluded, t.Voided, int64(t.Sales), int64(t.Returns), int64(t.Discounts),
		int64(t.Tax), int64(t.Net), int64(t.Total), int64(t.Rounding))
}

// Totals are sums over transactions. Amounts are in minor units.
type Totals struct {
	Concluded int          `json:"concluded"` // transactions
	Voided    int          `json:"voided"`    // transactions, of which nothing else counts
	Sales     events.Money `json:"sales"`
	Returns   events.Money `json:"returns"`   // negative
	Discounts events.Money `json:"discounts"` // on totals, positive
	Tax       events.Money `json:"tax"`
	Net       events.Money `json:"net"` // sales and returns; with tax where prices include it
	Total     events.Money `json:"total"`
	Rounding  events.Money `json:"rounding"` // settled beyond the money taken
}

// Day is the sales of one business date in one currency.
type Day struct {
	Date     string `json:"business_date"` // YYYY-MM-DD
	Currency string `json:"currency"`      // ISO 4217
	Digits   int    `json:"digits"`        // of its minor unit
	Totals
}

func (d *Day) columns() []any {
	return []any{&d.Date, &d.Currency, &d.Digits, &d.Concluded, &d.Voided, &d.Sales, &d.Returns, &d.Discounts,
		&d.Tax, &d.Net, &d.Total, &d.Rounding}
}

// Days lists the business dates of a period on which a transaction ended, in order.
func (db *DB) Days(ctx context.Context, p Period) ([]Day, error) {
	return list(ctx, db, "day totals", (*Day).columns, `
		SELECT date, currency, digits, sum(concluded), sum(voided), sum(sales), sum(returns), sum(discounts),
			sum(tax), sum(net), sum(total), sum(rounding)
		FROM totals JOIN shifts USING (shift) WHERE`+inPeriod+`
		GROUP BY date, currency, digits ORDER BY date, currency, digits`, p.args()...)
}

// ShiftTotal is the sales of one shift.
type ShiftTotal struct {
	Shift    events.ShiftID `json:"shift"`
	Date     string         `json:"business_date"` // YYYY-MM-DD
	Staff    events.StaffID `json:"staff"`         // the member of staff that opened it
	Opened   string         `json:"opened"`        // RFC 3339, nanoseconds, UTC
	Currency string         `json:"currency"`      // ISO 4217
	Digits   int            `json:"digits"`        // of its minor unit
	Totals
}

func (s *ShiftTotal) columns() []any {
	return []any{&s.Shift, &s.Date, &s.Staff, &s.Opened, &s.Currency, &s.Digits, &s.Concluded, &s.Voided, &s.Sales, &s.Returns, &s.Discounts,
		&s.Tax, &s.Net, &s.Total, &s.Rounding}
}

// ShiftTotals lists the shifts of a period in which a transaction ended, in the order in which they were opened.
func (db *DB) ShiftTotals(ctx context.Context, p Period) ([]ShiftTotal, error) {
	return list(ctx, db, "shift totals", (*ShiftTotal).columns, `
		SELECT shifts.shift, date, staff, opened, currency, digits, concluded, voided, sales, returns, discounts, tax, net, total, rounding
		FROM totals JOIN shifts USING (shift) WHERE`+inPeriod+`ORDER BY opened, shifts.shift`, p.args()...)
}
