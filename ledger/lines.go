package ledger

import (
	"slices"

	"github.com/posnode/posnode/events"
)

// MaxLines is how many lines a transaction may have. With maxText it keeps the
// concluded document, which repeats them all, below [events.MaxBody]: a line is at
// most some 400 bytes besides its text.
const MaxLines = 2000

// maxText is how many bytes of text the lines of a transaction may have together.
const maxText = 150_000

// Parameters that say which product.
var (
	productParam = Parameter{Name: "product", Kind: KindText, Max: 40, Doc: "item number; or a barcode instead"}
	barcodeParam = Parameter{Name: "barcode", Kind: KindText, Max: 64, Doc: "as scanned, instead of an item number"}
	variantParam = Parameter{Name: "variant", Kind: KindText, Max: 40, Doc: "which variant of the product"}
	unitParam    = Parameter{Name: "unit", Kind: KindText, Max: 20, Doc: "unit of quantity and price; the product's own if absent"}
)

func lineOperations() []*Operation {
	product := []Parameter{
		productParam, barcodeParam, variantParam, unitParam,
		{Name: "quantity", Kind: KindQuantity, Doc: "how many units, above 0; 1 if absent"},
		{Name: "price", Kind: KindPrice, Doc: "price of one unit in major units, where the product allows it to be keyed in"},
		{Name: "description", Kind: KindText, Free: true, Max: 120, Doc: "what the receipt says instead of the product's description, with a keyed price"},
		{Name: "serial", Kind: KindText, Max: 40, Doc: "serial number, where the product's pieces have one"},
		{Name: "comment", Kind: KindText, Free: true, Max: maxLineComment, Doc: "a comment on the line"},
	}
	need := Gates{Shift: true, Cart: NeedCart}
	return []*Operation{
		{ID: 100, Name: "Product sale", Group: "lines", Offline: Local, begins: true, Gates: Gates{Shift: true}, Params: product,
			asks: askProduct, decide: func(d *deciding) (events.Requested, error) { return addLine(d, 1) }},
		{ID: 109, Name: "Return product", Group: "lines", Offline: Local, begins: true, Gates: Gates{Shift: true}, Reason: "return_item",
			Params: append(slices.Clone(product), Parameter{Name: "line", Kind: KindNumber, Max: MaxLines, Doc: "number of a line that is turned into a return, or back, instead of a product"}),
			asks:   askLineOrProduct, decide: returnProduct},
		{ID: 102, Name: "Void product", Group: "lines", Offline: Local, Gates: need, Params: []Parameter{lineParam}, Reason: "void_item",
			asks: askLine, decide: voidLine},
		{ID: 103, Name: "Product comment", Group: "lines", Offline: Local, Gates: need,
			Params: []Parameter{lineParam, {Name: "comment", Kind: KindText, Free: true, Max: maxLineComment, Doc: "what the line says; none to take it away"}},
			decide: commentLine},
		{ID: 104, Name: "Price override", Group: "lines", Offline: Local, Gates: need,
			Params: []Parameter{lineParam, {Name: "price", Kind: KindPrice, Required: true, Doc: "new price of one unit in major units"}},
			Reason: "override_price", asks: askLine, decide: overridePrice},
		{ID: 105, Name: "Set quantity", Group: "lines", Offline: Local, Gates: need,
			Params: []Parameter{lineParam, {Name: "quantity", Kind: KindQuantity, Required: true, Doc: "how many units; the sign of the line's"}},
			asks:   askLine, decide: setQuantity},
		{ID: 106, Name: "Clear quantity", Group: "lines", Offline: Local, Gates: need, Params: []Parameter{lineParam},
			asks: askLine, decide: clearQuantity},
		{ID: 123, Name: "Change unit of measure", Group: "lines", Offline: Local, Gates: need,
			Params: []Parameter{lineParam, {Name: "unit", Kind: KindText, Required: true, Max: 20, Doc: "the unit to count in"}},
			asks:   askLine, decide: changeUnit},
		{ID: 136, Name: "Add serial number", Group: "lines", Offline: Local, Gates: need,
			Params: []Parameter{lineParam, {Name: "serial", Kind: KindText, Required: true, Max: 40, Doc: "serial number of the piece"}},
			Reason: "serial_number", asks: askLine, decide: setSerial},
	}
}

// maxLineComment keeps the comments of all lines together within the concluded document.
const maxLineComment = 60

func askProduct(_ *State, in values) []Query {
	if in.has("barcode") {
		return []Query{{"barcode", in.text("barcode")}}
	}
	return []Query{{"product", in.text("product")}}
}

// askLine asks for the product of the line that the command names.
func askLine(s *State, in values) []Query {
	if s.Transaction == nil {
		return nil
	}
	line := s.Transaction.line(in.number("line"))
	if line == nil {
		return nil
	}
	all := []Query{{"product", string(line.Product)}}
	for _, linked := range s.Transaction.linked(line) {
		all = append(all, Query{"product", string(linked.Product)})
	}
	return all
}

// addLine puts a product on the transaction: sold with a sign of 1, returned with -1 (operations 100, 109).
func addLine(d *deciding, sign int) (events.Requested, error) {
	found, err := d.product()
	if err != nil {
		return nil, err
	}
	t, begins, err := d.roomForLine()
	if err != nil {
		return nil, err
	}
	line := found.line(len(t.Lines) + 1)
	if line.Quantity, err = d.lineQuantity(found); err != nil {
		return nil, err
	}
	if sign < 0 {
		line.Quantity = line.Quantity.Neg()
	}
	if err := d.readPrice(t, found.Product, line); err != nil {
		return nil, err
	}
	if d.in.has("price") {
		if err := d.keyPrice(found.Product, line); err != nil {
			return nil, err
		}
	}
	if line.Price.Sign() == 0 && !found.ZeroPrice {
		return nil, refuse("price_missing", "%s has no price.", found.ID).instead("Key the price in, if the product allows it.")
	}
	if line.Comment = d.in.text("comment"); line.Comment == "" && found.CommentRequired {
		return nil, refuse("comment_required", "%s is sold with a comment only.", found.ID)
	}
	if err := d.firstSerial(t, found.Product, line); err != nil {
		return nil, err
	}
	t.tax(line)
	linked, err := d.withLinked(t, found.Product, line)
	if err != nil {
		return nil, err
	}
	of, err := d.relined(t, begins, append([]*Line{line}, linked...)...)
	f := &events.LineAdded{OfSale: of, Line: line.Line}
	for _, l := range linked {
		f.Linked = append(f.Linked, l.Line)
	}
	return f, err
}

// roomForLine is the transaction in progress, or the one that the command begins, if another line fits.
func (d *deciding) roomForLine() (*Transaction, *events.Terms, error) {
	t, begins := d.cart()
	if len(t.Lines) >= MaxLines {
		return nil, nil, tooManyLines()
	}
	return t, begins, nil
}

func tooManyLines() *Refusal {
	return refuse("too_many_lines", "A transaction can have %d lines.", MaxLines).instead("Conclude this one and begin another.")
}

// named is a product as the command names it.
type named struct {
	Product
	barcode Barcode // zero without one
	variant *Variant
	unit    *Unit // nil for the product's own
}

// line is a line of one unit of the product.
func (n named) line(number int) *Line {
	line := &Line{Line: events.Line{
		Number: number, Product: n.ID, Barcode: n.barcode.Code, Description: n.Description, Quantity: events.NewQuantity(1),
		Unit: n.Unit, QuantityDecimals: n.QuantityDecimals, Taxes: n.Taxes, NotDiscountable: n.NotDiscountable,
	}}
	if n.variant != nil {
		line.Variant = n.variant.ID
		if n.variant.Description != "" {
			line.Description += ", " + n.variant.Description
		}
	}
	if n.unit != nil {
		line.countIn(*n.unit)
	}
	return line
}

// countIn makes the line one of that unit.
func (l *Line) countIn(u Unit) { l.countAs(u.Unit, u.Factor, u.Decimals) }

func (p Product) variant(id string) *Variant {
	for i := range p.Variants {
		if p.Variants[i].ID == id {
			return &p.Variants[i]
		}
	}
	return nil
}

func (p Product) unit(name string) *Unit {
	for i := range p.Units {
		if p.Units[i].Unit == name {
			return &p.Units[i]
		}
	}
	return nil
}

// product is the product that the command names, if it can be sold.
func (d *deciding) product() (n named, err error) {
	id := d.in.text("product")
	switch {
	case id != "" && d.in.has("barcode"):
		return n, refuseParameter("barcode", "stands beside a product: want one of them")
	case d.in.has("barcode"):
		code := d.in.text("barcode")
		b, ok := find[Barcode](d.Reference, "barcode", code)
		if !ok {
			return n, refuse("unknown_barcode", "There is no product with the barcode %s.", code).instead("Search for it, or key the item number.")
		}
		n.barcode, id = b, string(b.Product)
	case id == "":
		return n, refuseParameter("product", "is missing")
	}
	var ok bool
	if n.Product, ok = find[Product](d.Reference, "product", id); !ok {
		return n, refuse("unknown_product", "There is no product %s.", id).instead("Search for it, or key another number.")
	}
	if n.Blocked {
		return n, refuse("product_blocked", "%s is not for sale.", n.ID)
	}
	if n.Product.unsound() {
		return n, refuse("product_invalid", "%s has a negative price or tax rate.", n.ID).instead("Tell head office.")
	}
	if !within(n.From, n.To, d.Date) {
		return n, refuse("product_not_active", "%s is not for sale on %s.", n.ID, d.Date)
	}
	return n, d.formOf(&n)
}

// formOf finds the variant and the unit that the command or the barcode names.
func (d *deciding) formOf(n *named) error {
	variant, unit := n.barcode.Variant, n.barcode.Unit
	if d.in.has("variant") {
		variant = d.in.text("variant")
	}
	if d.in.has("unit") {
		unit = d.in.text("unit")
	}
	n.variant = n.Product.variant(variant)
	switch {
	case variant == "" && len(n.Variants) > 0:
		return refuse("variant_required", "%s is sold in variants.", n.ID).instead("Choose one.")
	case variant != "" && n.variant == nil:
		return refuse("unknown_variant", "%s has no variant %s.", n.ID, variant).instead("Choose another.")
	case n.variant != nil && n.variant.Blocked:
		return refuse("product_blocked", "%s in %s is not for sale.", n.ID, variant)
	}
	if unit != "" && unit != n.Unit {
		if n.unit = n.Product.unit(unit); n.unit == nil {
			return unknownUnit(n.Product, unit)
		}
	}
	return nil
}

func unknownUnit(p Product, unit string) error {
	return refuse("unknown_unit", "%s is not sold by %s.", p.ID, unit).instead("Choose another unit.")
}

// lineQuantity is the quantity that the command or the barcode names for a new line, without its sign.
func (d *deciding) lineQuantity(n named) (events.Quantity, error) {
	q, decimals := events.NewQuantity(1), n.QuantityDecimals
	given := d.in.has("quantity")
	switch {
	case given:
		q = d.in.quantity("quantity")
	case n.barcode.Quantity.Sign() > 0:
		q, given = n.barcode.Quantity, true
	}
	if n.unit != nil {
		decimals = n.unit.Decimals
	}
	if q.Sign() < 0 {
		return q, refuseParameter("quantity", "must be above 0; operation 109 returns products")
	}
	if err := d.checkQuantity(q, decimals); err != nil {
		return q, err
	}
	one := q.Cmp(events.NewQuantity(1)) == 0
	switch {
	case n.Quantity == "required" && !given:
		return q, refuse("quantity_required", "The quantity of %s must be keyed or weighed.", n.ID)
	case (n.Quantity == "fixed" || d.in.text("serial") != "") && !one:
		return q, fixedQuantity(n.ID)
	}
	return q, nil
}

func fixedQuantity(product events.ProductID) error {
	return refuse("quantity_fixed", "A line of %s is always one unit.", product).instead("Add another line.")
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
	if err := d.checkPrice(price); err != nil {
		return err
	}
	if p.MinPrice != nil && price.Cmp(*p.MinPrice) < 0 || p.MaxPrice != nil && price.Cmp(*p.MaxPrice) > 0 {
		return refuse("price_out_of_bounds", "%s is not a price that %s may have.", price, p.ID)
	}
	line.Price, line.PriceKeyed, line.PriceGroup = price, true, ""
	if text := d.in.text("description"); text != "" {
		line.Description = text
	}
	return nil
}

// checkPrice says whether a cashier may give a product that price at all.
func (d *deciding) checkPrice(price events.Price) error {
	if price.Sign() < 0 {
		return refuse("price_negative", "A price cannot be negative.").instead("Return the product, or give a discount.")
	}
	if limit := d.Reference.Store.MaxPrice; limit.Sign() > 0 && price.Cmp(limit) > 0 {
		return refuse("price_too_large", "A price can be %s at most.", limit)
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
	if d.Shift != nil {
		// The store's currency may have changed since the shift was opened.
		terms.Currency, terms.Digits = d.Shift.Currency, d.Shift.Digits
	}
	return &Transaction{ID: transactionID(d.State, terms.Number), Terms: *terms}, terms
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

// goods is the line that the command names, if it is a live one of a product.
func (d *deciding) goods() (*Line, error) {
	line, err := d.live()
	if err == nil {
		err = notGiftCard(line)
	}
	return line, err
}

// own is the line that the command names, if it is a live one of a product at a price of today.
func (d *deciding) own() (*Line, error) {
	line, err := d.goods()
	if err == nil && line.Original != nil {
		err = refuse("line_returned_by_receipt", "Line %d comes back as it was paid on receipt %s.", line.Number, line.Original.Receipt)
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
	if err := notLinked(line); err != nil {
		return nil, err
	}
	was := append([]*Line{line}, d.Transaction.linked(line)...)
	var changed []*Line
	var linked []int
	for _, l := range was {
		c := *l
		if c.Voided = !line.Voided; !c.Voided {
			if err := d.comesBack(&c); err != nil {
				return nil, err
			}
		}
		if changed = append(changed, &c); l != line {
			linked = append(linked, l.Number)
		}
	}
	of, err := d.relined(d.Transaction, nil, changed...)
	of.Changed = slices.DeleteFunc(of.Changed, func(l events.Line) bool {
		// A line of which only that it counts has changed says nothing new.
		i := slices.IndexFunc(was, func(w *Line) bool { return w.Number == l.Number })
		return i >= 0 && sameOffer(was[i].Offer, l.Offer)
	})
	if line.Voided {
		return &events.LineRestored{OfSale: of, Line: line.Number, Linked: linked}, err
	}
	return &events.LineVoided{OfSale: of, Line: line.Number, Linked: linked}, err
}

// comesBack says whether a voided line can count again beside those that were added since.
func (d *deciding) comesBack(line *Line) error {
	if o := line.Original; o != nil && d.Transaction.returning(o.Receipt, o.Line, line.Number) != nil {
		return refuse("line_returned_here", "Line %d of receipt %s is on this transaction already.", o.Line, o.Receipt).
			instead("Set the quantity of that line.")
	}
	return d.serialFree(d.Transaction, line)
}

// setQuantity changes how much of a product a line sells or returns (operation 105).
func setQuantity(d *deciding) (events.Requested, error) {
	line, err := d.goods()
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
	line, err := d.goods()
	if err != nil {
		return nil, err
	}
	return d.requantify(line, events.NewQuantity(int64(line.Quantity.Sign())))
}

// requantify gives a line another quantity, and the price and offers that come with it.
func (d *deciding) requantify(line *Line, q events.Quantity) (events.Requested, error) {
	p, _ := d.productOf(line)
	if line.Serial != "" || p.Quantity == "fixed" {
		return nil, fixedQuantity(line.Product)
	}
	if err := notLinked(line); err != nil {
		return nil, err
	}
	if o := line.Original; o != nil && q.Neg().Cmp(o.Bought.Sub(o.Returned)) > 0 {
		return nil, tooMuchReturned(o)
	}
	of, err := d.counting(line, q)
	return &events.QuantitySet{OfSale: of, Line: line.Number, Quantity: q}, err
}

// counting is how the transaction stands with another quantity on a line, at the price
// that comes with it, and what was added with it counted anew.
func (d *deciding) counting(line *Line, q events.Quantity) (events.OfSale, error) {
	changed := *line
	changed.Quantity = q
	if p, known := d.productOf(&changed); known && changed.repriced() {
		if err := d.readPrice(d.Transaction, p, &changed); err != nil {
			return events.OfSale{}, err
		}
	}
	linked, err := d.recounted(&changed)
	if err != nil {
		return events.OfSale{}, err
	}
	return d.relined(d.Transaction, nil, append([]*Line{&changed}, linked...)...)
}
