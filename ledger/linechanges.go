package ledger

import (
	"github.com/posnode/posnode/events"
)

// commentLine gives a line a comment, another, or none (operation 103).
func commentLine(d *deciding) (events.Requested, error) {
	line, err := d.selected()
	if err != nil {
		return nil, err
	}
	if d.Transaction.pickUp() {
		return nil, orderFixed(d.Transaction)
	}
	changed := *line
	changed.Comment = d.in.text("comment")
	of, err := d.withLines(d.Transaction, nil, []*Line{&changed})
	return &events.LineCommented{OfSale: of, Line: line.Number, Comment: changed.Comment}, err
}

// overridePrice gives a line another price than its product's, as far as the
// employee and the product allow it. What it would have cost stays on the line; its
// own discounts fall away (operation 104).
func overridePrice(d *deciding) (events.Requested, error) {
	line, err := d.own()
	if err != nil {
		return nil, err
	}
	price, level := d.in.price("price"), d.rights.PriceOverride
	if d.rights.Manager {
		level = "both"
	}
	if level == "" {
		return nil, deny("%s may not change prices.", d.State.Staff.ID)
	}
	p, _ := d.productOf(line)
	original := line.Price
	if line.Overridden != nil {
		original = line.Overridden.Price
	}
	if err := d.checkPrice(price); err != nil {
		return nil, err
	}
	higher, lower := price.Cmp(original) > 0, price.Cmp(original) < 0
	switch {
	case price.Decimals() > d.Transaction.Terms.Digits:
		return nil, refuseParameter("price", "has more decimals than %s", d.Transaction.Terms.Currency)
	case p.PriceOverride == "none":
		return nil, refuse("price_not_overridable", "The price of %s cannot be changed.", line.Product)
	case price.Sign() == 0 && !p.ZeroPrice:
		return nil, refuse("price_missing", "%s cannot be sold for nothing.", line.Product).instead("Give a discount.")
	case higher && (level == "lower" || p.PriceOverride == "lower"):
		return nil, refuse("price_override_too_high", "The price of %s may only be lowered from %s.", line.Product, original)
	case lower && (level == "higher" || p.PriceOverride == "higher"):
		return nil, refuse("price_override_too_low", "The price of %s may only be raised from %s.", line.Product, original)
	}
	changed := *line
	changed.Price, changed.PriceGroup, changed.Overridden, changed.Discount = price, "", &events.OriginalPrice{Price: original}, nil
	of, err := d.relined(d.Transaction, nil, &changed)
	return &events.LinePriceOverridden{OfSale: of, Line: line.Number, Level: level}, err
}

// changeUnit counts a line in another unit of its product: the quantity stays, the
// price is read for the unit (operation 123).
func changeUnit(d *deciding) (events.Requested, error) {
	line, err := d.own()
	if err != nil {
		return nil, err
	}
	if err := ownPrice(line); err != nil {
		return nil, err
	}
	if err := notLinked(line); err != nil {
		return nil, err
	}
	p, ok := d.productOf(line)
	if !ok {
		return nil, refuse("unknown_product", "There is no product %s.", line.Product).instead("Search for it, or key another number.")
	}
	if p.Quantity == "fixed" {
		return nil, fixedQuantity(line.Product)
	}
	changed := *line
	if name := d.in.text("unit"); name == p.Unit {
		changed.countAs(p.Unit, events.Quantity{}, p.QuantityDecimals)
	} else {
		u := p.unit(name)
		if u == nil {
			return nil, unknownUnit(p, name)
		}
		changed.countIn(*u)
	}
	if err := d.checkQuantity(changed.Quantity, changed.QuantityDecimals); err != nil {
		return nil, err
	}
	if err := d.readPrice(d.Transaction, p, &changed); err != nil {
		return nil, err
	}
	linked, err := d.recounted(&changed)
	if err != nil {
		return nil, err
	}
	of, err := d.relined(d.Transaction, nil, append([]*Line{&changed}, linked...)...)
	return &events.LineUnitChanged{OfSale: of, Line: line.Number, Unit: changed.Unit}, err
}

// countAs makes the line one of a unit, which holds factor of the product's own unit, or is that one.
func (l *Line) countAs(unit string, factor events.Quantity, decimals int) {
	l.Unit, l.Factor, l.QuantityDecimals = unit, factor, decimals
}

// ownPrice: a price that the cashier gave stands as it is.
func ownPrice(line *Line) error {
	if line.Overridden != nil || line.PriceKeyed {
		return refuse("price_overridden", "The price of line %d was given by hand.", line.Number).instead("Void the line and add the product again.")
	}
	return nil
}

// firstSerial gives a new line the serial number that the command names.
func (d *deciding) firstSerial(t *Transaction, p Product, line *Line) error {
	line.Serial = d.in.text("serial")
	switch {
	case line.Serial == "" && p.Serial == "required":
		return refuse("serial_required", "%s is sold with its serial number only.", p.ID)
	case line.Serial == "":
		return nil
	case p.Serial == "":
		return refuse("no_serial_numbers", "%s has no serial numbers.", p.ID)
	}
	return d.serialFree(t, line)
}

// serialFree: one piece is not sold twice on one transaction.
func (d *deciding) serialFree(t *Transaction, line *Line) error {
	of := t.Products[line.Product]
	if line.Serial == "" || of == nil {
		return nil
	}
	for _, number := range of.Lines {
		if other := t.line(number); number != line.Number && !other.Voided && other.Serial == line.Serial && other.Quantity.Sign() == line.Quantity.Sign() {
			return refuse("serial_taken", "The serial number %s is on line %d already.", line.Serial, number)
		}
	}
	return nil
}

// setSerial gives a line the serial number of its one piece (operation 136).
func setSerial(d *deciding) (events.Requested, error) {
	line, err := d.own()
	if err != nil {
		return nil, err
	}
	p, _ := d.productOf(line)
	changed := *line
	if err := d.firstSerial(d.Transaction, p, &changed); err != nil {
		return nil, err
	}
	if size(line.Quantity).Cmp(events.NewQuantity(1)) != 0 {
		return nil, fixedQuantity(line.Product)
	}
	of, err := d.withLines(d.Transaction, nil, []*Line{&changed})
	return &events.LineSerialSet{OfSale: of, Line: line.Number, Serial: changed.Serial}, err
}

// commentSale gives the transaction a comment, another, or none (operation 501).
func commentSale(d *deciding) (events.Requested, error) {
	if d.Transaction.pickUp() {
		return nil, orderFixed(d.Transaction)
	}
	of, err := d.ofSale(d.Transaction, nil, d.Transaction.Totals)
	return &events.SaleCommented{OfSale: of, Comment: d.in.text("comment")}, err
}
