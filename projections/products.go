package projections

import (
	"context"
	"fmt"

	"github.com/posnode/posnode/events"
)

// productsView holds the sales of each product in each shift.
var productsView = view{
	name: "products",
	keys: 2,
	schema: `
CREATE TABLE products (
	shift    TEXT NOT NULL,
	product  TEXT NOT NULL,
	quantity INTEGER NOT NULL, -- sold less returned, in ten-thousandths of a unit
	amount   INTEGER NOT NULL, -- net of the lines in minor units of the shift's currency
	PRIMARY KEY (shift, product)
) WITHOUT ROWID`,
	folds: []fold{on(addProducts)},
}

func addProducts(b *batch, e *events.Entry, f *events.SaleConcluded) error {
	for _, line := range f.Lines {
		if line.Voided {
			continue
		}
		err := b.exec(`INSERT INTO products VALUES (?, ?, ?, ?)
			ON CONFLICT DO UPDATE SET quantity = quantity + excluded.quantity, amount = amount + excluded.amount`,
			string(e.Shift), string(line.Product), line.Quantity.Decimal().Shift(events.QuantityDecimals).IntPart(), int64(line.Net))
		if err != nil {
			return err
		}
	}
	return nil
}

// tenThousandths reads a stored sum of quantities.
type tenThousandths struct{ *events.Quantity }

// ScanQuantity reads a quantity that is stored in ten-thousandths.
func ScanQuantity(q *events.Quantity) any { return tenThousandths{q} }

// Scan takes the sum from the database.
func (q tenThousandths) Scan(v any) error {
	n, ok := v.(int64)
	if !ok {
		return fmt.Errorf("quantity is a %T", v)
	}
	sign := ""
	if n < 0 {
		sign = "-"
	}
	fraction, err := events.ParseQuantity(fmt.Sprintf("%s0.%04d", sign, max(n%10_000, -(n%10_000))))
	*q.Quantity = events.NewQuantity(n / 10_000).Add(fraction)
	return err
}

// ProductTotal is the sales of one product in a period.
type ProductTotal struct {
	Product  events.ProductID `json:"product"`
	Currency string           `json:"currency"` // ISO 4217
	Digits   int              `json:"digits"`   // of its minor unit
	Quantity events.Quantity  `json:"quantity"` // sold less returned
	Amount   events.Money     `json:"amount"`   // net of its lines, in minor units; with tax where prices include it
}

func (t *ProductTotal) columns() []any {
	return []any{&t.Product, &t.Currency, &t.Digits, tenThousandths{&t.Quantity}, &t.Amount}
}

// Products lists the sales of a period by product.
func (db *DB) Products(ctx context.Context, p Period) ([]ProductTotal, error) {
	return list(ctx, db, "products sold", (*ProductTotal).columns, `
		SELECT product, currency, digits, sum(quantity), sum(amount)
		FROM products JOIN shifts USING (shift) WHERE`+inPeriod+`
		GROUP BY product, currency, digits ORDER BY product, currency, digits`, p.args()...)
}
