package ledger

import (
	"slices"

	"github.com/posnode/posnode/events"
)

// MaxLines is how many lines a transaction may have. It keeps the concluded
// document, which repeats them all, below [events.MaxBody].
const MaxLines = 2000

func lineOperations() []*Operation {
	product := []Parameter{
		{Name: "product", Kind: KindText, Required: true, Max: 40, Doc: "item number"},
		{Name: "quantity", Kind: KindQuantity, Doc: "how many units, above 0; 1 if absent"},
		{Name: "price", Kind: KindPrice, Doc: "price of one unit in major units, where the product allows it to be keyed in"},
		{Name: "description", Kind: KindText, Max: 120, Doc: "what the receipt says instead of the product's description, with a keyed price"},
	}
	return []*Operation{
		{ID: 100, Name: "Product sale", Group: "lines", Offline: Local, Gates: Gates{Shift: true}, Params: product,
			asks: askProduct, decide: func(d *deciding) (events.Requested, error) { return addLine(d, 1) }},
		{ID: 109, Name: "Return product", Group: "lines", Offline: Local, Gates: Gates{Shift: true}, Params: product, Reason: "return_item",
			asks: askProduct, decide: func(d *deciding) (events.Requested, error) { return addLine(d, -1) }},
		{ID: 102, Name: "Void product", Group: "lines", Offline: Local, Gates: Gates{Shift: true, Cart: NeedCart}, Params: []Parameter{lineParam}, Reason: "void_item",
			decide: voidLine},
		{ID: 105, Name: "Set quantity", Group: "lines", Offline: Local, Gates: Gates{Shift: true, Cart: NeedCart},
			Params: []Parameter{lineParam, {Name: "quantity", Kind: KindQuantity, Required: true, Doc: "how many units; the sign of the line's"}},
			decide: setQuantity},
		{ID: 106, Name: "Clear quantity", Group: "lines", Offline: Local, Gates: Gates{Shift: true, Cart: NeedCart}, Params: []Parameter{lineParam},
			decide: clearQuantity},
	}
}

func askProduct(_ *State, in values) []Query { return []Query{{"product", in.text("product")}} }

// addLine puts a product on the transaction: sold with a sign of 1, returned with -1 (operations 100, 109).
func addLine(d *deciding, sign int) (events.Requested, error) {
	p, err := d.product()
	if err != nil {
		return nil, err
	}
	t, begins := d.cart()
	if len(t.Lines) >= MaxLines {
		return nil, refuse("too_many_lines", "A transaction can have %d lines.", MaxLines).instead("Conclude this one and begin another.")
	}
	quantity, err := d.lineQuantity(p)
	if err != nil {
		return nil, err
	}
	if sign < 0 {
		quantity = quantity.Neg()
	}
	line := &Line{Line: events.Line{
		Number: len(t.Lines) + 1, Product: p.ID, Description: p.Description, Quantity: quantity, Price: p.Price,
		QuantityDecimals: p.QuantityDecimals, Taxes: p.Taxes, NotDiscountable: p.NotDiscountable,
	}}
	if d.in.has("price") {
		if err := d.keyPrice(p, line); err != nil {
			return nil, err
		}
	}
	if line.Price.Sign() == 0 && !p.ZeroPrice {
		return nil, refuse("price_missing", "%s has no price.", p.ID).instead("Key the price in, if the product allows it.")
	}
	if line.Gross, err = d.gross(t, line.Price, quantity); err != nil {
		return nil, err
	}
	of, err := d.withLine(t, begins, line)
	return &events.LineAdded{OfSale: of, Line: line.Line}, err
}

// product is the product that the command names, if it can be sold.
func (d *deciding) product() (Product, error) {
	id := d.in.text("product")
	p, ok := find[Product](d.Reference, "product", id)
	if !ok {
		return p, refuse("unknown_product", "There is no product %s.", id).instead("Search for it, or key another number.")
	}
	if p.Blocked {
		return p, refuse("product_blocked", "%s is not for sale.", p.ID)
	}
	if p.Price.Sign() < 0 || slices.ContainsFunc(p.Taxes, func(r events.TaxRate) bool { return r.Rate.Sign() < 0 }) {
		return p, refuse("product_invalid", "%s has a negative price or tax rate.", p.ID).instead("Tell head office.")
	}
	return p, nil
}

// lineQuantity is the quantity that the command names for a new line, without its sign.
func (d *deciding) lineQuantity(p Product) (events.Quantity, error) {
	if !d.in.has("quantity") {
		return events.NewQuantity(1), nil
	}
	q := d.in.quantity("quantity")
	if q.Sign() < 0 {
		return q, refuseParameter("quantity", "must be above 0; operation 109 returns products")
	}
	return q, d.checkQuantity(q, p.QuantityDecimals)
}

// checkQuantity says whether a line may have that quantity.
func (d *deciding) checkQuantity(q events.Quantity, decimals int) error {
	switch limit := d.Reference.Store.MaxQuantity; {
	case q.Sign() == 0:
		return refuseParameter("quantity", "must not be 0")
	case q.Decimals() > decimals:
		return refuseParameter("quantity", "%s has more decimals than the product's unit (%d)", q, decimals)
	case q.Cmp(limit) > 0 || q.Neg().Cmp(limit) > 0:
		return refuse("quantity_too_large", "A line can have a quantity of at most %s.", limit)
	}
	return nil
}

// keyPrice gives the line the price and description that were keyed in.
func (d *deciding) keyPrice(p Product, line *Line) error {
	price := d.in.price("price")
	if !p.KeyPrice {
		return refuse("price_not_keyable", "The price of %s cannot be keyed in.", p.ID)
	}
	if price.Sign() < 0 {
		return refuse("price_negative", "A price cannot be negative.").instead("Return the product, or give a discount.")
	}
	line.Price, line.PriceKeyed = price, true
	if text := d.in.text("description"); text != "" {
		line.Description = text
	}
	return nil
}

// gross is what q units cost at price.
func (d *deciding) gross(t *Transaction, price events.Price, q events.Quantity) (events.Money, error) {
	m, err := price.Times(q, t.Terms.Digits)
	if err != nil {
		return 0, refuse("amount_too_large", "The line comes to more than a till can hold: %v.", err)
	}
	return m, nil
}

// cart is the transaction in progress, or the one that the command begins, with its terms.
func (d *deciding) cart() (*Transaction, *events.Terms) {
	if d.Transaction != nil {
		return d.Transaction, nil
	}
	store := d.Reference.Store
	terms := &events.Terms{Number: d.Transactions + 1, Currency: store.Currency, Digits: store.Digits, TaxIncluded: store.TaxIncluded}
	return &Transaction{ID: transactionID(d.State, terms.Number), Terms: *terms}, terms
}

// withLine is how the transaction stands once line is changed or added.
func (d *deciding) withLine(t *Transaction, begins *events.Terms, line *Line) (events.OfSale, error) {
	sums := t.Sums
	if old := t.line(line.Number); old != nil {
		sums = sums.plus(old, -1, t.Terms.TaxIncluded)
	}
	sums = sums.plus(line, 1, t.Terms.TaxIncluded)
	return d.ofSale(t, begins, t.totalsOf(sums, t.Discount, t.all(line)))
}

// ofSale checks how the transaction would stand, and says so.
func (d *deciding) ofSale(t *Transaction, begins *events.Terms, after events.Totals) (events.OfSale, error) {
	if after.Total > events.MaxMoney || after.Total < -events.MaxMoney {
		return events.OfSale{}, refuse("amount_too_large", "The transaction comes to more than a till can hold.")
	}
	if after.Paid > 0 && after.Due < 0 || after.Paid < 0 && after.Due > 0 {
		return events.OfSale{}, refuse("payments_exceed_total", "More has been paid than would be due.").instead("Void a payment first.")
	}
	return events.OfSale{Transaction: t.ID, Begins: begins, After: after}, nil
}

// selected is the line that the command names.
func (d *deciding) selected() (*Line, error) {
	number := d.in.number("line")
	line := d.Transaction.line(number)
	if line == nil {
		return nil, refuse("unknown_line", "The transaction has no line %d.", number).instead("Select a line.")
	}
	return line, nil
}

// live is the line that the command names, if it is not voided.
func (d *deciding) live() (*Line, error) {
	line, err := d.selected()
	if err == nil && line.Voided {
		err = refuse("line_voided", "Line %d is voided.", line.Number)
	}
	return line, err
}

// voidLine takes a line back, or brings it back (operation 102).
func voidLine(d *deciding) (events.Requested, error) {
	line, err := d.selected()
	if err != nil {
		return nil, err
	}
	if line.Voided && line.GiftCard != nil {
		return nil, notGiftCard(line)
	}
	changed := *line
	changed.Voided = !line.Voided
	of, err := d.withLine(d.Transaction, nil, &changed)
	if changed.Voided {
		return &events.LineVoided{OfSale: of, Line: line.Number}, err
	}
	return &events.LineRestored{OfSale: of, Line: line.Number}, err
}

// setQuantity changes how much of a product a line sells or returns (operation 105).
func setQuantity(d *deciding) (events.Requested, error) {
	line, err := d.live()
	if err != nil {
		return nil, err
	}
	q := d.in.quantity("quantity")
	if err := d.checkQuantity(q, line.QuantityDecimals); err != nil {
		return nil, err
	}
	if q.Sign() != line.Quantity.Sign() {
		return nil, refuseParameter("quantity", "must have the sign of the line's, %s", line.Quantity)
	}
	return d.requantify(line, q)
}

// clearQuantity sets a line back to one unit (operation 106).
func clearQuantity(d *deciding) (events.Requested, error) {
	line, err := d.live()
	if err != nil {
		return nil, err
	}
	return d.requantify(line, events.NewQuantity(int64(line.Quantity.Sign())))
}

func (d *deciding) requantify(line *Line, q events.Quantity) (events.Requested, error) {
	if err := notGiftCard(line); err != nil {
		return nil, err
	}
	changed := *line
	changed.Quantity = q
	var err error
	if changed.Gross, err = d.gross(d.Transaction, line.Price, q); err != nil {
		return nil, err
	}
	of, err := d.withLine(d.Transaction, nil, &changed)
	return &events.QuantitySet{OfSale: of, Line: line.Number, Quantity: q, Gross: changed.Gross}, err
}
