package hq

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"strings"

	"github.com/posnode/posnode/embedded"
	"github.com/posnode/posnode/events"
	"github.com/posnode/posnode/ledger"
	"github.com/posnode/posnode/projections"
)

// What registers did that other registers ask about. Everything here follows from the
// entries that were received and verified, each of which may be kept twice without harm.

// keptSchema are the tables of what registers did.
const keptSchema = `
CREATE TABLE IF NOT EXISTS receipts ( -- where a document is
	receipt TEXT NOT NULL, store TEXT NOT NULL, register TEXT NOT NULL, epoch INTEGER NOT NULL, sequence INTEGER NOT NULL,
	shard TEXT NOT NULL, shard_sequence INTEGER NOT NULL,
	PRIMARY KEY (receipt, store, register, epoch, sequence)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS returned ( -- what came back of a line that was sold; quantities are in ten-thousandths
	transaction_id TEXT NOT NULL, line INTEGER NOT NULL, register TEXT NOT NULL, epoch INTEGER NOT NULL, sequence INTEGER NOT NULL,
	returning_line INTEGER NOT NULL, quantity INTEGER NOT NULL, amount INTEGER NOT NULL,
	PRIMARY KEY (transaction_id, line, register, epoch, sequence, returning_line)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS orders ( -- placed or picked up at a register
	order_id TEXT PRIMARY KEY, status TEXT NOT NULL, placed TEXT NOT NULL -- JSON, null of one that was placed elsewhere
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS suspensions ( -- each time that a transaction was set aside
	transaction_id TEXT NOT NULL, sequence INTEGER NOT NULL, -- of its entry, in the journal that the id names
	register TEXT NOT NULL, store TEXT NOT NULL, epoch INTEGER NOT NULL, shard TEXT NOT NULL, shard_sequence INTEGER NOT NULL,
	summary TEXT NOT NULL, text TEXT NOT NULL, -- JSON without what is held; and what a search looks at
	PRIMARY KEY (transaction_id, sequence)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS suspensions_of_store ON suspensions (store);
CREATE TABLE IF NOT EXISTS released ( -- how a transaction stopped waiting where it was set aside
	transaction_id TEXT NOT NULL, sequence INTEGER NOT NULL, handed_over INTEGER NOT NULL, at TEXT NOT NULL, PRIMARY KEY (transaction_id, sequence)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS taken_over ( -- where it went on under another id
	transaction_id TEXT NOT NULL, suspended INTEGER NOT NULL, register TEXT NOT NULL, epoch INTEGER NOT NULL, sequence INTEGER NOT NULL,
	into_id TEXT NOT NULL, at TEXT NOT NULL,
	PRIMARY KEY (transaction_id, suspended, register, epoch, sequence)
) WITHOUT ROWID;
CREATE VIEW IF NOT EXISTS went_on AS -- what was taken over and head office had granted
	SELECT t.* FROM taken_over t JOIN reservations g ON g.kind = 'recall' AND g.key = t.transaction_id || '/' || t.suspended
		AND g.register = t.register AND g.transaction_id = t.into_id;
CREATE TABLE IF NOT EXISTS customers ( -- as the last entry about them left them
	customer TEXT PRIMARY KEY, at TEXT NOT NULL, details TEXT NOT NULL, text TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS moved ( -- what was sold less what came back, in a product's own unit
	store TEXT NOT NULL, product TEXT NOT NULL, register TEXT NOT NULL, epoch INTEGER NOT NULL, sequence INTEGER NOT NULL,
	at TEXT NOT NULL, quantity INTEGER NOT NULL,
	PRIMARY KEY (store, product, register, epoch, sequence)
) WITHOUT ROWID;
`

// keep takes what other registers may ask about from a verified entry. It may be told again what it was told before.
func (v *verifier) keep(r embedded.Received, e *events.Entry) error {
	switch f := e.Fact.(type) {
	case *events.CustomerAdded:
		return v.keepCustomer(e, f.Customer, f.Details)
	case *events.CustomerEdited:
		return v.editCustomer(e, f)
	case *events.OrderPlaced:
		placed, err := json.Marshal(ledger.OrderOf(e.Register.Store, f))
		if err != nil {
			return err
		}
		return v.exec(`INSERT INTO orders VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET placed = excluded.placed`, f.Placed.Order, ledger.OrderOpen, string(placed))
	case *events.SaleConcluded:
		return v.keepSale(r, e, f)
	case *events.SaleSuspended, *events.SaleRecalled, *events.SaleVoided, *events.SaleHandedOver, *events.SaleTakenOver:
		return v.keepSuspended(r, e)
	}
	return nil
}

func (v *verifier) keepCustomer(e *events.Entry, id events.CustomerID, d events.CustomerDetails) error {
	return v.keepDetails(id, e.Envelope.Time, d)
}

func (v *verifier) keepDetails(id events.CustomerID, at string, d events.CustomerDetails) error {
	details, err := json.Marshal(d)
	if err != nil {
		return err
	}
	text := strings.ToLower(strings.Join([]string{string(id), d.Name, d.Phone, d.Email, d.City}, "\n"))
	return v.exec(`INSERT INTO customers VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET at = excluded.at, details = excluded.details, text = excluded.text
		WHERE excluded.at > at`, string(id), at, string(details), text)
}

// editCustomer changes the fields that an edit is about, unless a later edit of the same field is there already.
func (v *verifier) editCustomer(e *events.Entry, f *events.CustomerEdited) error {
	var at, raw string
	err := v.tx.QueryRowContext(v.ctx, `SELECT at, details FROM customers WHERE customer = ?`, string(f.Customer)).Scan(&at, &raw)
	if errors.Is(err, sql.ErrNoRows) {
		return v.keepCustomer(e, f.Customer, f.Details)
	}
	var d events.CustomerDetails
	if err == nil {
		err = json.Unmarshal([]byte(raw), &d)
	}
	if err != nil {
		return err
	}
	for _, c := range f.Changes {
		var later int
		err := v.tx.QueryRowContext(v.ctx, `SELECT count(*) FROM edits WHERE customer = ? AND field = ? AND at > ?`, string(f.Customer), c.Field, e.Envelope.Time).Scan(&later)
		if err == nil && later == 0 {
			err = setField(&d, c.Field, c.New)
		}
		if err != nil {
			return err
		}
	}
	// As late as the latest of them, so that it counts against what head office says.
	if err := v.exec(`DELETE FROM customers WHERE customer = ?`, string(f.Customer)); err != nil {
		return err
	}
	return v.keepDetails(f.Customer, max(at, e.Envelope.Time), d)
}

// setField changes one field by its stored name.
func setField(d *events.CustomerDetails, field, value string) error {
	raw, err := json.Marshal(map[string]string{field: value})
	if err != nil {
		return err
	}
	return json.Unmarshal(raw, d)
}

func (v *verifier) keepSale(r embedded.Received, e *events.Entry, f *events.SaleConcluded) error {
	err := v.exec(`INSERT OR REPLACE INTO receipts VALUES (?, ?, ?, ?, ?, ?, ?)`, string(f.Receipt), string(e.Register.Store), string(e.Register.ID),
		e.Head.Epoch, e.Head.Sequence, r.Shard, r.ShardSequence)
	if err != nil {
		return err
	}
	if f.Order != nil {
		err := v.exec(`INSERT INTO orders VALUES (?, ?, 'null') ON CONFLICT DO UPDATE SET status = excluded.status`, string(f.Order.Order), ledger.OrderPickedUp)
		if err != nil {
			return err
		}
	}
	moved := map[events.ProductID]int64{}
	for i := range f.Lines {
		line := &f.Lines[i]
		if line.Voided || line.GiftCard != nil {
			continue
		}
		moved[line.Product] += projections.InOwnUnit(&line.Line)
		if line.Original == nil {
			continue
		}
		err := v.exec(`INSERT OR REPLACE INTO returned VALUES (?, ?, ?, ?, ?, ?, ?, ?)`, string(line.Original.Transaction), line.Original.Line,
			e.Register.String(), e.Head.Epoch, e.Head.Sequence, line.Number, line.Quantity.Neg().TenThousandths(), -int64(line.Net))
		if err != nil {
			return err
		}
	}
	for product, quantity := range moved {
		err := v.exec(`INSERT OR REPLACE INTO moved VALUES (?, ?, ?, ?, ?, ?, ?)`, string(e.Register.Store), string(product), string(e.Register.ID),
			e.Head.Epoch, e.Head.Sequence, e.Envelope.Time, quantity)
		if err != nil {
			return err
		}
	}
	return nil
}

// stored is where a document is.
type stored struct {
	shard    string
	sequence uint64
}

// fetch reads the entry that is stored there.
func (h *HQ) fetch(ctx context.Context, at stored) (*events.Entry, error) {
	body, err := h.node.Fetch(ctx, at.shard, at.sequence)
	if err != nil {
		return nil, err
	}
	return events.Decode(body)
}

// receipt is where the document with a number is, that of the store first where several have it; nil for none.
func (d *database) receipt(ctx context.Context, store events.StoreID, number string) (*stored, error) {
	var at stored
	err := d.db.QueryRowContext(ctx, `SELECT shard, shard_sequence FROM receipts WHERE receipt = ? ORDER BY store <> ?, register, epoch DESC LIMIT 1`, number, string(store)).
		Scan(&at.shard, &at.sequence)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	return &at, err
}

// addReturned adds to a document what came back of it, as far as that has arrived.
func (d *database) addReturned(ctx context.Context, sold *ledger.Sold) error {
	rows, err := d.db.QueryContext(ctx, `SELECT line, quantity, amount FROM returned WHERE transaction_id = ?`, string(sold.Transaction))
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var line int
		var quantity events.Quantity
		var amount events.Money
		if err := rows.Scan(&line, projections.ScanQuantity(&quantity), &amount); err != nil {
			return err
		}
		sold.Return(line, quantity, amount)
	}
	return rows.Err()
}

// lastHead is how far the newest journal of a register is verified, zero for none.
func (d *database) lastHead(ctx context.Context, r events.Register) (head events.Head, err error) {
	err = d.db.QueryRowContext(ctx, `SELECT epoch, sequence FROM journals WHERE register = ? ORDER BY epoch DESC LIMIT 1`, r.String()).Scan(&head.Epoch, &head.Sequence)
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return head, err
}

// order is how an order stands by what registers did, "" for nothing.
func (d *database) order(ctx context.Context, id string) (status string, placed *ledger.Order, err error) {
	var raw string
	err = d.db.QueryRowContext(ctx, `SELECT status, placed FROM orders WHERE order_id = ?`, id).Scan(&status, &raw)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil, nil
	}
	if err == nil {
		err = json.Unmarshal([]byte(raw), &placed)
	}
	return status, placed, err
}

// customerEdit is what was last written down of a customer at a register.
type customerEdit struct {
	id      events.CustomerID
	at      string // time of the entry, RFC 3339
	details events.CustomerDetails
	changes []change
}

// change is one field of one edit.
type change struct{ at, field, new string }

// customer is what was last written down of a customer under some numbers, nil for nothing.
func (d *database) customer(ctx context.Context, ids ...events.CustomerID) (*customerEdit, error) {
	var e customerEdit
	var raw string
	args := make([]any, len(ids))
	for i, id := range ids {
		args[i] = string(id)
	}
	among := ` WHERE customer IN (?` + strings.Repeat(`, ?`, len(ids)-1) + `) `
	err := d.db.QueryRowContext(ctx, `SELECT customer, at, details FROM customers`+among+`ORDER BY at DESC LIMIT 1`, args...).Scan(&e.id, &e.at, &raw)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err == nil {
		err = json.Unmarshal([]byte(raw), &e.details)
	}
	if err != nil {
		return nil, err
	}
	rows, err := d.db.QueryContext(ctx, `SELECT at, field, new FROM edits`+among+`ORDER BY at, register, epoch, sequence`, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var c change
		if err := rows.Scan(&c.at, &c.field, &c.new); err != nil {
			return nil, err
		}
		e.changes = append(e.changes, c)
	}
	return &e, rows.Err()
}

// searchCustomers are those whom a register wrote down and who have all words of text.
func (d *database) searchCustomers(ctx context.Context, text string) (ids []string, err error) {
	words := strings.Fields(strings.ToLower(text))
	if len(words) == 0 {
		return nil, nil
	}
	words = words[:min(len(words), 16)]
	query, args := `SELECT customer FROM customers WHERE 1`, []any{}
	for _, word := range words {
		query, args = query+` AND instr(text, ?)`, append(args, word)
	}
	rows, err := d.db.QueryContext(ctx, query+` ORDER BY customer LIMIT ?`, append(args, ledger.MaxHits+1)...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	return ids, rows.Err()
}

// moved is what the registers of a store sold of a product less what they took back, and its figure does not
// hold: of the register that asks what the figure says it is told of.
func (d *database) moved(ctx context.Context, store events.StoreID, s ledger.Stock, asks events.Register, has seen) (sum events.Quantity, err error) {
	rows, err := d.db.QueryContext(ctx, `SELECT register, epoch, sequence, at, quantity FROM moved WHERE store = ? AND product = ?`, string(store), string(s.Product))
	if err != nil {
		return sum, err
	}
	defer rows.Close()
	for rows.Next() {
		r, at := events.Register{Store: store}, ""
		var place events.Place
		var quantity events.Quantity
		if err := rows.Scan(&r.ID, &place.Epoch, &place.Sequence, &at, projections.ScanQuantity(&quantity)); err != nil {
			return sum, err
		}
		if !s.Figure().Holds(r, place, at) && (r != asks || has.counts(place)) {
			sum = sum.Add(quantity)
		}
	}
	return sum, rows.Err()
}
