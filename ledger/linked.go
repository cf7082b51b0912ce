package ledger

import "github.com/posnode/posnode/events"

// linked are the lines that were added with a line. They stand right behind it.
func (t *Transaction) linked(line *Line) (all []*Line) {
	for n := line.Number + 1; ; n++ {
		other := t.line(n)
		if other == nil || other.Linked == nil || other.Linked.To != line.Number {
			return all
		}
		all = append(all, other)
	}
}

// notLinked: a line that was added with another goes with that one.
func notLinked(line *Line) error {
	if line.Linked == nil {
		return nil
	}
	return refuse("line_linked", "Line %d belongs to line %d.", line.Number, line.Linked.To).instead("Change that line.")
}

// linkedQuantity is how much of a linked product comes with a line.
func linkedQuantity(line *Line, each events.Quantity) events.Quantity {
	q := line.Quantity
	if !line.Factor.IsZero() {
		q = q.Times(line.Factor)
	}
	return q.Times(each)
}

// withLinked are the new lines of what comes with a product on a new line.
func (d *deciding) withLinked(t *Transaction, p Product, line *Line) (all []*Line, err error) {
	if line.Number+len(p.Linked) > MaxLines {
		return nil, tooManyLines()
	}
	for _, l := range p.Linked {
		// Whoever sold it without would be short of what the other is worth.
		missing := refuse("linked_product_missing", "%s is sold with %s, which is not for sale.", p.ID, l.Product).instead("Tell head office.")
		other, known := find[Product](d.Reference, "product", string(l.Product))
		n := named{Product: other, variant: other.variant(l.Variant)}
		if !known || other.Blocked || other.unsound() || !within(other.From, other.To, d.Date) ||
			(l.Variant != "" || len(other.Variants) > 0) && (n.variant == nil || n.variant.Blocked) ||
			other.Quantity == "required" || other.Serial == "required" || other.CommentRequired {
			return nil, missing
		}
		each := l.Quantity
		if each.IsZero() {
			each = events.NewQuantity(1)
		}
		with := n.line(line.Number + len(all) + 1)
		with.Linked = &events.LinkedLine{To: line.Number, Each: each}
		with.Quantity = linkedQuantity(line, each)
		if err := d.checkQuantity(with.Quantity, with.QuantityDecimals); err != nil {
			return nil, err
		}
		if err := d.readPrice(t, other, with); err != nil {
			return nil, err
		}
		if with.Price.Sign() == 0 && !other.ZeroPrice {
			return nil, missing
		}
		t.tax(with)
		all = append(all, with)
	}
	return all, nil
}

// recounted are copies of what was added with a line, as much of each as comes with it now.
func (d *deciding) recounted(line *Line) (all []*Line, err error) {
	for _, l := range d.Transaction.linked(line) {
		changed := *l
		changed.Quantity = linkedQuantity(line, l.Linked.Each)
		if err := d.checkQuantity(changed.Quantity, changed.QuantityDecimals); err != nil {
			return nil, err
		}
		if p, known := d.productOf(l); known && changed.repriced() {
			if err := d.readPrice(d.Transaction, p, &changed); err != nil {
				return nil, err
			}
		}
		all = append(all, &changed)
	}
	return all, nil
}

// returnProduct returns a product, or turns a line that was sold into a return, and back (operation 109).
func returnProduct(d *deciding) (events.Requested, error) {
	if !d.in.has("line") {
		return addLine(d, -1)
	}
	for _, name := range []string{"product", "barcode", "variant", "unit", "quantity", "price", "description", "serial", "comment"} {
		if d.in.has(name) {
			return nil, refuseParameter(name, "does not go with line")
		}
	}
	if d.Transaction == nil {
		return nil, refuse("no_transaction", "There is no transaction in progress.")
	}
	line, err := d.own()
	if err != nil {
		return nil, err
	}
	if err := notLinked(line); err != nil {
		return nil, err
	}
	turned := *line
	turned.Quantity = line.Quantity.Neg()
	if err := d.serialFree(d.Transaction, &turned); err != nil {
		return nil, err
	}
	of, err := d.counting(line, turned.Quantity)
	return &events.LineTurned{OfSale: of, Line: line.Number, Quantity: turned.Quantity}, err
}
