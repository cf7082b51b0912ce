package projections

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/posnode/posnode/events"
	"github.com/posnode/posnode/ledger"
)

// Changes by this register to records that head office keeps: the reference data answers without it
// until head office has seen it.

// ownCustomersView holds the customers that were added or edited here, as they were left.
var ownCustomersView = view{
	name: "own_customers",
	keys: 1,
	schema: `
CREATE TABLE own_customers (
	customer TEXT PRIMARY KEY,
	at_time  TEXT NOT NULL, -- time of the last entry about them
	details  TEXT NOT NULL, -- JSON
	text     TEXT NOT NULL  -- by which they are found, in small letters
) WITHOUT ROWID`,
	folds: []fold{
		on(func(b *batch, e *events.Entry, f *events.CustomerAdded) error {
			return b.keepCustomer(e, f.Customer, f.Details)
		}),
		on(func(b *batch, e *events.Entry, f *events.CustomerEdited) error {
			return b.keepCustomer(e, f.Customer, f.Details)
		}),
	},
}

func (b *batch) keepCustomer(e *events.Entry, id events.CustomerID, d events.CustomerDetails) error {
	details, err := json.Marshal(d)
	if err != nil {
		return err
	}
	text := strings.ToLower(strings.Join([]string{string(id), d.Name, d.Phone, d.Email, d.City}, "\n"))
	return b.exec("REPLACE INTO own_customers VALUES (?, ?, ?, ?)", string(id), e.Envelope.Time, string(details), text)
}

// OwnCustomer is a customer as they were left by the last entry about them here.
type OwnCustomer struct {
	ID      events.CustomerID
	Time    string // of that entry, RFC 3339
	Details events.CustomerDetails
}

func (c *OwnCustomer) columns() []any { return []any{&c.ID, &c.Time, jsonText{&c.Details}} }

// OwnCustomer returns a customer that was added or edited here under one of some numbers, as the
// last entry left it; nil for any other.
func (db *DB) OwnCustomer(ctx context.Context, ids ...events.CustomerID) (newest *OwnCustomer, err error) {
	for _, id := range ids {
		own, err := one(ctx, db, "own customers", (*OwnCustomer).columns, "SELECT customer, at_time, details FROM own_customers WHERE customer = ?", string(id))
		if err != nil {
			return nil, err
		}
		if own != nil && (newest == nil || own.Time > newest.Time) {
			newest = own
		}
	}
	return newest, nil
}

// SearchOwnCustomers returns customers that were added or edited here, at most limit of them. All
// words of text stand somewhere in their number, name, phone, e-mail or city.
func (db *DB) SearchOwnCustomers(ctx context.Context, text string, limit int) ([]OwnCustomer, error) {
	words := strings.Fields(strings.ToLower(text))
	if len(words) == 0 {
		return nil, nil
	}
	// One word in the query, so that it is prepared once; the others are compared here.
	all, err := list(ctx, db, "own customers", (*foundCustomer).columns,
		"SELECT customer, at_time, details, text FROM own_customers WHERE instr(text, ?) ORDER BY customer", words[0])
	var hits []OwnCustomer
	for _, c := range all {
		matches := len(hits) < limit
		for _, word := range words[1:] {
			matches = matches && strings.Contains(c.text, word)
		}
		if matches {
			hits = append(hits, c.OwnCustomer)
		}
	}
	return hits, err
}

type foundCustomer struct {
	OwnCustomer
	text string
}

func (c *foundCustomer) columns() []any { return append(c.OwnCustomer.columns(), &c.text) }

// jsonText reads stored JSON.
type jsonText struct{ to any }

// Scan takes the JSON from the database.
func (j jsonText) Scan(v any) error { return json.Unmarshal([]byte(fmt.Sprint(v)), j.to) }

// ownOrdersView holds the orders that were placed, picked up or cancelled here.
var ownOrdersView = view{
	name: "own_orders",
	keys: 1,
	schema: `
CREATE TABLE own_orders (
	order_id TEXT PRIMARY KEY,
	status   TEXT NOT NULL, -- open, picked_up or cancelled
	placed   TEXT NOT NULL  -- JSON of an order that was placed here, null of any other
) WITHOUT ROWID`,
	folds: []fold{
		on(func(b *batch, e *events.Entry, f *events.OrderPlaced) error {
			placed, err := json.Marshal(ledger.OrderOf(e.Register.Store, f))
			if err != nil {
				return err
			}
			return b.exec("INSERT INTO own_orders VALUES (?, ?, ?)", string(f.Placed.Order), ledger.OrderOpen, string(placed))
		}),
		on(func(b *batch, e *events.Entry, f *events.SaleConcluded) error {
			if f.Order == nil {
				return nil
			}
			status := ledger.OrderPickedUp
			if f.Order.Cancelled {
				status = ledger.OrderCancelled
			}
			return b.exec("INSERT INTO own_orders VALUES (?, ?, 'null') ON CONFLICT DO UPDATE SET status = excluded.status", string(f.Order.Order), status)
		}),
	},
}

// OwnOrder is an order that was placed or picked up here.
type OwnOrder struct {
	Status string        // open, picked_up or cancelled
	Placed *ledger.Order // nil where it was placed elsewhere
}

func (o *OwnOrder) columns() []any { return []any{&o.Status, jsonText{&o.Placed}} }

// OwnOrder is an order that was placed or picked up here, nil for any other.
func (db *DB) OwnOrder(ctx context.Context, id events.OrderID) (*OwnOrder, error) {
	return one(ctx, db, "own orders", (*OwnOrder).columns, "SELECT status, placed FROM own_orders WHERE order_id = ?", string(id))
}

// stockMovedView holds the sales and returns of each product, entry by entry, so that movements
// that head office has not received can be told from the others.
var stockMovedView = view{
	name: "stock_moved",
	keys: 2,
	schema: `
CREATE TABLE stock_moved (
	product  TEXT NOT NULL,
	at       INTEGER NOT NULL, -- of the entry
	at_time  TEXT NOT NULL,    -- its time
	quantity INTEGER NOT NULL, -- sold less taken back, in ten-thousandths of a unit
	PRIMARY KEY (product, at)
) WITHOUT ROWID`,
	folds: []fold{on(moveStock)},
}

func moveStock(b *batch, e *events.Entry, f *events.SaleConcluded) error {
	for _, line := range f.Lines {
		if line.Voided || line.GiftCard != nil {
			continue
		}
		err := b.exec("INSERT INTO stock_moved VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET quantity = quantity + excluded.quantity",
			string(line.Product), place(e.Head), e.Envelope.Time, InOwnUnit(&line.Line))
		if err != nil {
			return err
		}
	}
	return nil
}

// InOwnUnit is how much of a product a line moves, in ten-thousandths of the product's own unit.
func InOwnUnit(line *events.Line) int64 {
	if line.Factor.IsZero() {
		return line.Quantity.TenThousandths()
	}
	return line.Quantity.Decimal().Mul(line.Factor.Decimal()).Shift(events.QuantityDecimals).IntPart()
}

// Moved returns the sales less returns of a product after the entries that a figure contains: up to
// the last of included, or where there are none up to a time, RFC 3339 in UTC; and in each epoch up
// to the entry of through.
func (db *DB) Moved(ctx context.Context, product events.ProductID, included []events.Place, since string, through []events.Place) (events.Quantity, error) {
	from := int64(-1)
	for _, p := range included {
		from, since = max(from, place(events.Head{Epoch: p.Epoch, Sequence: p.Sequence})), ""
	}
	query, args := "", []any{string(product), from, since}
	for _, p := range through {
		query += " AND at NOT BETWEEN ? AND ?"
		args = append(args, place(events.Head{Epoch: p.Epoch}), place(events.Head{Epoch: p.Epoch, Sequence: p.Sequence}))
	}
	q, err := one(ctx, db, "stock moved", func(q *events.Quantity) []any { return []any{tenThousandths{q}} },
		"SELECT coalesce(sum(quantity), 0) FROM stock_moved WHERE product = ? AND at > ? AND at_time > ?"+query, args...)
	if err != nil || q == nil {
		return events.Quantity{}, err
	}
	return *q, nil
}
