package ledger

import (
	"github.com/posnode/posnode/events"
)

func discountOperations() []*Operation {
	need := Gates{Shift: true, Cart: NeedCart}
	amount := Parameter{Name: "amount", Kind: KindAmount, Required: true, Doc: "in minor units; 0 clears the discount"}
	percent := Parameter{Name: "percent", Kind: KindPercent, Required: true, Doc: "of the line as its offer leaves it; 0 clears the discount"}
	percentOfTotal := percent
	percentOfTotal.Doc = "of the discountable lines; 0 clears the discount"
	return []*Operation{
		{ID: 300, Name: "Line discount amount", Group: "discounts", Offline: Local, Gates: need, Params: []Parameter{lineParam, amount},
			Reason: "item_discount", asks: askLine, decide: discountLine},
		{ID: 301, Name: "Line discount percent", Group: "discounts", Offline: Local, Gates: need, Params: []Parameter{lineParam, percent},
			Reason: "item_discount", asks: askLine, decide: discountLine},
		{ID: 302, Name: "Total discount amount", Group: "discounts", Offline: Local, Gates: need, Params: []Parameter{amount},
			Reason: "total_discount", decide: discountTotal},
		{ID: 303, Name: "Total discount percent", Group: "discounts", Offline: Local, Gates: need, Params: []Parameter{percentOfTotal},
			Reason: "total_discount", decide: discountTotal},
	}
}

// discountGiven is the discount that the command names, if it is one that anyone can give.
func (d *deciding) discountGiven() (Discount, error) {
	discount := Discount{Amount: d.in.amount("amount"), Percent: d.in.percent("percent")}
	hundred, _ := events.ParsePercent("100")
	switch {
	case discount.Amount < 0:
		return discount, refuseParameter("amount", "must not be negative")
	case discount.Percent.Sign() < 0 || discount.Percent.Cmp(hundred) > 0:
		return discount, refuseParameter("percent", "must be from 0 to 100")
	}
	return discount, nil
}

// discountAllowed says whether the employee may give as much. A limit of 0 is no
// permission at all; to clear a discount needs none.
func (d *deciding) discountAllowed(discount Discount, amount events.Money, percent events.Percent, where string) error {
	if d.rights.Manager || discount.None() {
		return nil
	}
	if discount.Amount != 0 && amount == 0 || !discount.Percent.IsZero() && percent.IsZero() {
		return deny("%s may not give such discounts on the %s.", d.State.Staff.ID, where)
	}
	if discount.Amount > amount || discount.Percent.Cmp(percent) > 0 {
		most := percent.String() + " %"
		if discount.Amount != 0 {
			most = amount.Decimal(d.Transaction.Terms.Digits)
		}
		return refuse("discount_limit_too_large", "%s may give at most %s on the %s.", d.State.Staff.ID, most, where).instead("Ask a manager to approve it.")
	}
	return nil
}

// discountLine sets, changes or clears the discount on one line. An amount takes the
// place of a percentage, and the other way round (operations 300, 301).
func discountLine(d *deciding) (events.Requested, error) {
	line, err := d.own()
	if err != nil {
		return nil, err
	}
	discount, err := d.discountGiven()
	if err != nil {
		return nil, err
	}
	if err := d.discountAllowed(discount, d.rights.LineDiscountAmount, d.rights.LineDiscountPercent, "line"); err != nil {
		return nil, err
	}
	if line.Overridden != nil {
		return nil, ownPrice(line)
	}
	if line.NotDiscountable {
		return nil, refuse("line_not_discountable", "There is no discount on %s.", line.Product)
	}
	changed := *line
	changed.Discount = nil
	if rest := abs(changed.Amount()); discount.Amount > rest {
		return nil, refuse("discount_too_large", "The discount is more than the line comes to, %s.", rest.Decimal(d.Transaction.Terms.Digits))
	}
	if !discount.None() {
		changed.Discount = discountOn(&changed, events.LineDiscountApplied{Keyed: discount.Amount, Percent: discount.Percent})
	}
	of, err := d.withLines(d.Transaction, nil, []*Line{&changed})
	return &events.LineDiscountSet{OfSale: of, Line: line.Number, Amount: discount.Amount, Percent: discount.Percent}, err
}

// discountTotal sets, changes or clears the discount on the whole transaction. An
// amount takes the place of a percentage, and the other way round (operations 302, 303).
func discountTotal(d *deciding) (events.Requested, error) {
	t := d.Transaction
	discount, err := d.discountGiven()
	if err != nil {
		return nil, err
	}
	if err := d.discountAllowed(discount, d.rights.TotalDiscountAmount, d.rights.TotalDiscountPercent, "total"); err != nil {
		return nil, err
	}
	if discount.Amount > t.Sums.Discountable {
		return nil, refuse("discount_too_large", "The discount is more than the products that can be discounted, %s.", t.Sums.Discountable.Decimal(t.Terms.Digits))
	}
	of, err := d.ofSale(t, nil, t.totalsOf(t.Sums, discount, t.all()))
	return &events.TotalDiscountSet{OfSale: of, Amount: discount.Amount, Percent: discount.Percent}, err
}
