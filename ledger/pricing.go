package ledger

import (
	"slices"

	"github.com/posnode/posnode/events"
)

// # What a line costs
//
// The price of one unit is the lowest of those that apply, the first of equals:
//
//  1. the unit's own price, or the variant's, or the product's, or one of the last
//     two times the unit's factor; each as the price changes up to the command's time have left it;
//  2. the product's further prices, in the order of its record, that are of the
//     unit, for everyone or for one of the transaction's price groups (its
//     customer's, affiliations', loyalty card's), valid on the business date, and of
//     no larger a quantity than the line's.
//
// A price that was keyed in, overridden, or paid on the receipt that a line is
// returned by stands as it is.
//
// # Discounts, and the order in which they compound
//
// Each takes its part of what the one before it left:
//
//  1. the offer (periodic discount) on quantity x price: of those that apply the one
//     that takes most off the line, the first of equals. Offers are for lines sold at
//     a price of the reference data in the product's own unit; the quantities of all such lines of
//     a product on the transaction count together for a quantity break;
//  2. the manual discount on the line: a percentage, or an amount but never more than is left;
//  3. the line's share of the total discount (totals.go).
//
// Each is rounded once, half away from zero, to the minor unit. Tax is made of what
// is left, rounded once for the line (taxSum).

// onCart is what a transaction has of one product. It is kept up to date line by
// line, so that a line that is added finds what it has an effect on without a walk over the cart.
type onCart struct {
	Quantity events.Quantity `json:"quantity"` // that counts for quantity breaks
	Lines    []int           `json:"lines"`
}

// offered says whether the line gets offers, and counts for them.
func (l *Line) offered() bool {
	return !l.Voided && !l.NotDiscountable && !l.PriceKeyed && l.Overridden == nil && l.Original == nil &&
		l.Quantity.Sign() > 0 && l.Factor.IsZero() && l.GiftCard == nil
}

// counted is what the line adds to its product's quantity.
func (l *Line) counted() events.Quantity {
	if l == nil || !l.offered() {
		return events.Quantity{}
	}
	return l.Quantity
}

// repriced says whether the line's price is one of the reference data, and follows it.
func (l *Line) repriced() bool {
	return !l.PriceKeyed && l.Overridden == nil && l.Original == nil && l.GiftCard == nil
}

// index notes that line takes the place of old, nil for none.
func (t *Transaction) index(old, line *Line) {
	if line.Product == "" {
		return
	}
	if t.Products == nil {
		t.Products = map[events.ProductID]*onCart{}
	}
	of := t.Products[line.Product]
	if of == nil {
		of = &onCart{}
		t.Products[line.Product] = of
	}
	if old == nil {
		of.Lines = append(of.Lines, line.Number)
	}
	of.Quantity = of.Quantity.Sub(old.counted()).Add(line.counted())
}

// has says whether something of that validity is for the transaction on the business date.
func (v Validity) has(t *Transaction, date string) bool {
	return (v.Group == "" || slices.Contains(t.PriceGroups, v.Group)) && within(v.From, v.To, date)
}

// within says whether date lies between two others, of which each may be absent.
func within(from, to, date string) bool {
	return (from == "" || from <= date) && (to == "" || date <= to)
}

// basePrice is the price of a line's unit for everyone.
func (d *deciding) basePrice(p Product, line *events.Line) (events.Price, error) {
	price := *p.changed(&p.Price, "", "", d.At)
	if v := p.variant(line.Variant); v != nil {
		if own := p.changed(v.Price, v.ID, "", d.At); own != nil {
			price = *own
		}
	}
	if line.Factor.IsZero() {
		return price, nil
	}
	if u := p.unit(line.Unit); u != nil {
		if own := p.changed(u.Price, "", u.Unit, d.At); own != nil {
			return *own, nil
		}
	}
	price, err := price.TimesUnits(line.Factor)
	if err != nil {
		return price, refuse("amount_too_large", "The unit costs more than a till can hold: %v.", err)
	}
	return price, nil
}

// readPrice gives the line its price from the reference data.
func (d *deciding) readPrice(t *Transaction, p Product, line *Line) error {
	price, err := d.basePrice(p, &line.Line)
	if err != nil {
		return err
	}
	unit := ""
	if !line.Factor.IsZero() {
		unit = line.Unit
	}
	line.Price, line.PriceGroup = price, ""
	for _, g := range p.Prices {
		if g.Validity.has(t, d.Date) && (g.Unit == unit || unit == "" && g.Unit == p.Unit) &&
			g.MinQuantity.Cmp(size(line.Quantity)) <= 0 && g.Price.Cmp(line.Price) < 0 {
			line.Price, line.PriceGroup = g.Price, g.Group
		}
	}
	return nil
}

// size is q without its sign.
func size(q events.Quantity) events.Quantity {
	if q.Sign() < 0 {
		return q.Neg()
	}
	return q
}

// offers are the product's offers that are for the transaction on the business date.
func (d *deciding) offers(t *Transaction, p Product) (all []Offer) {
	for _, o := range p.Offers {
		if o.Validity.has(t, d.Date) {
			all = append(all, o)
		}
	}
	return all
}

// bestOffer is the one of offers that takes most off a line, of whose product there
// is total on the transaction; nil for none.
func bestOffer(offers []Offer, line *Line, total events.Quantity, digits int) (best *events.OfferApplied) {
	for _, o := range offers {
		if o.MinQuantity.Cmp(total) > 0 {
			continue
		}
		off := o.Percent.Of(line.Gross)
		if o.Percent.IsZero() {
			m, err := o.AmountOff.Times(line.Quantity, digits)
			if err != nil {
				m = line.Gross
			}
			off = min(m, line.Gross)
		}
		if off > 0 && (best == nil || off > best.Amount) {
			best = &events.OfferApplied{
				Offer: o.ID, Name: o.Name, Group: o.Group, MinQuantity: o.MinQuantity, Percent: o.Percent, AmountOff: o.AmountOff, Amount: off,
			}
		}
	}
	return best
}

// value works out what the line comes to at its price and quantity, with offers for total of its product.
func (d *deciding) value(t *Transaction, line *Line, offers []Offer, total events.Quantity) error {
	var err error
	if line.Gross, err = d.gross(t, line.Price, line.Quantity); err != nil {
		return err
	}
	line.Offer = nil
	if line.offered() {
		line.Offer = bestOffer(offers, line, total, t.Terms.Digits)
	}
	if line.Original != nil {
		original := *line.Original
		original.Discount = line.Gross + givenBack(&original, line.Quantity)
		line.Original = &original
	}
	if line.Discount != nil {
		line.Discount = discountOn(line, *line.Discount)
	}
	return nil
}

// discountOn is a manual discount on what the line's offer leaves.
func discountOn(line *Line, discount events.LineDiscountApplied) *events.LineDiscountApplied {
	rest := line.Gross
	if line.Offer != nil {
		rest -= line.Offer.Amount
	}
	switch {
	case !discount.Percent.IsZero():
		discount.Amount = discount.Percent.Of(rest)
	case rest < 0:
		discount.Amount = -min(discount.Keyed, -rest)
	default:
		discount.Amount = min(discount.Keyed, rest)
	}
	return &discount
}

// relined is how the transaction stands once lines are changed or added: each is
// worked out anew, and so are the other lines of their products where what they are
// offered changes with the quantity. The lines themselves stand in Changed unless they are new.
func (d *deciding) relined(t *Transaction, begins *events.Terms, lines ...*Line) (events.OfSale, error) {
	after := map[events.ProductID]events.Quantity{}
	for _, line := range lines {
		quantity, seen := after[line.Product]
		if !seen {
			quantity = t.quantityOf(line.Product)
		}
		after[line.Product] = quantity.Sub(t.line(line.Number).counted()).Add(line.counted())
	}
	changed, done := slices.Clone(lines), map[events.ProductID]bool{}
	for _, line := range lines {
		total := after[line.Product]
		p, known := d.productOf(line)
		offers := d.offers(t, p)
		if !known {
			offers = keptOffers(line)
		}
		if err := d.value(t, line, offers, total); err != nil {
			return events.OfSale{}, err
		}
		if of := t.Products[line.Product]; of == nil || !known || done[line.Product] || !breaks(offers, of.Quantity, total) {
			continue
		}
		done[line.Product] = true
		others, err := d.reoffered(t, line.Product, offers, total, lines)
		if err != nil {
			return events.OfSale{}, err
		}
		changed = append(changed, others...)
	}
	return d.withLines(t, begins, changed)
}

// quantityOf is how much of a product counts for quantity breaks.
func (t *Transaction) quantityOf(p events.ProductID) (q events.Quantity) {
	if of := t.Products[p]; of != nil {
		q = of.Quantity
	}
	return q
}

// reoffered are the lines of a product, other than some, whose offer changes once there is total of it.
func (d *deciding) reoffered(t *Transaction, p events.ProductID, offers []Offer, total events.Quantity, except []*Line) (changed []*Line, err error) {
	for _, number := range t.Products[p].Lines {
		other := *t.line(number)
		if !other.offered() || slices.ContainsFunc(except, func(l *Line) bool { return l.Number == number }) {
			continue
		}
		was := other.Offer
		if err := d.value(t, &other, offers, total); err != nil {
			return nil, err
		}
		if !sameOffer(was, other.Offer) {
			changed = append(changed, &other)
		}
	}
	return changed, nil
}

// keptOffers is the offer that a line has, for want of its product, which the reference data no longer has.
func keptOffers(line *Line) []Offer {
	if line.Offer == nil {
		return nil
	}
	o := line.Offer
	return []Offer{{ID: o.Offer, Name: o.Name, Validity: Validity{Group: o.Group}, MinQuantity: o.MinQuantity, Percent: o.Percent, AmountOff: o.AmountOff}}
}

// breaks says whether other offers apply to one quantity than to another.
func breaks(offers []Offer, a, b events.Quantity) bool {
	return slices.ContainsFunc(offers, func(o Offer) bool { return (o.MinQuantity.Cmp(a) <= 0) != (o.MinQuantity.Cmp(b) <= 0) })
}

func sameOffer(a, b *events.OfferApplied) bool {
	return a == nil && b == nil || a != nil && b != nil && a.Offer == b.Offer && a.Amount == b.Amount
}

// withLines is how the transaction stands with lines in the place of those that have their numbers.
func (d *deciding) withLines(t *Transaction, begins *events.Terms, lines []*Line) (events.OfSale, error) {
	sums := t.Sums
	for _, line := range lines {
		if old := t.line(line.Number); old != nil {
			sums = sums.plus(old, -1, t.Terms.TaxIncluded)
		}
		sums = sums.plus(line, 1, t.Terms.TaxIncluded)
	}
	if sums.Text > maxText {
		return events.OfSale{}, refuse("transaction_too_large", "The lines of the transaction hold more text than a document can.").instead("Conclude this one and begin another.")
	}
	for _, line := range lines {
		if err := d.returnAllowed(t, line, sums); err != nil {
			return events.OfSale{}, err
		}
	}
	of, err := d.ofSale(t, begins, t.totalsOf(sums, t.Discount, t.all(lines...)))
	for _, line := range lines {
		if line.Number <= len(t.Lines) {
			of.Changed = append(of.Changed, line.Line)
		}
	}
	return of, err
}

// askLines asks for the product of every line: what [deciding.regroup] needs.
func askLines(s *State) (queries []Query) {
	if s.Transaction != nil {
		for product := range s.Transaction.Products {
			queries = append(queries, Query{"product", string(product)})
		}
	}
	return queries
}

// regroup gives the transaction other price groups, and every line the price and
// the offer that it has with them. An operation that attaches or takes away a
// customer, a loyalty card or an affiliation puts what it returns into its fact, and
// asks for askLines. Lines whose product the reference data no longer has stay as they are.
func (d *deciding) regroup(t *Transaction, begins *events.Terms, groups []string) (events.OfSale, error) {
	groups = slices.Compact(slices.Sorted(slices.Values(groups)))
	regrouped := *t
	regrouped.PriceGroups = groups
	var changed []*Line
	for _, was := range t.Lines {
		p, known := d.productOf(was)
		if !known || !was.repriced() {
			continue
		}
		line := *was
		if err := d.readPrice(&regrouped, p, &line); err != nil {
			return events.OfSale{}, err
		}
		if err := d.value(&regrouped, &line, d.offers(&regrouped, p), t.Products[line.Product].Quantity); err != nil {
			return events.OfSale{}, err
		}
		if line.Price.Cmp(was.Price) != 0 || line.PriceGroup != was.PriceGroup || !sameOffer(line.Offer, was.Offer) {
			changed = append(changed, &line)
		}
	}
	of, err := d.withLines(&regrouped, begins, changed)
	of.Regrouped = &events.PriceGroups{Groups: append([]string{}, groups...)}
	return of, err
}
