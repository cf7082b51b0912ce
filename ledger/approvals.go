package ledger

import (
	"fmt"
	"maps"
	"slices"

	"github.com/posnode/posnode/events"
)

// # What an approval covers
//
// A member of staff gives something where a line or a transaction comes to less than the reference
// data say: a discount, another price, other taxes, a smaller deposit. What they may give alone
// follows from their rights. For more, a manager approves one command, and what was approved is an
// amount: what the reduction came to when that command was decided. It stands in the fact, with
// the line or the transaction that it was approved for.
//
// Whatever makes a reduction larger later asks again, whichever operation does it: another
// quantity or unit, goods that are added under a total discount, a customer who leaves, an offer
// that ends. [deciding.approvalStands] therefore looks at what a fact would change, not at the operation.
// A reduction may shrink and grow back to what was approved.

// reduction is one thing that was given on a line or a transaction.
type reduction struct {
	what     string       // it is, for the refusal; "" for none
	terms    any          // that it was given under: with other terms it is another reduction
	amount   events.Money // that it comes to, in minor units
	approved events.Money // up to which a manager approved it
	// mayGive says whether rights are enough to give it without an approval.
	mayGive func(events.Rights) bool
}

// asksAgain holds a reduction, as it would be, against what it was. It returns the amount that is
// approved by this command, 0 for nothing, or a refusal where it grows by more than anyone allowed.
func (d *deciding) asksAgain(was, is reduction, digits int) (events.Money, error) {
	upTo := max(was.amount, is.approved)
	if is.terms != was.terms {
		upTo = 0
	}
	switch {
	case is.what == "" || is.amount <= upTo || is.mayGive(d.State.Staff.Rights):
		return 0, nil
	case is.mayGive(d.rights):
		return is.amount, nil
	}
	return 0, refuse("approval_exceeded", "%s would come to %s, and was approved up to %s.", is.what, is.amount.Decimal(digits), upTo.Decimal(digits)).
		instead("Ask a manager to approve it.")
}

// approvalStands says whether what a fact would leave on the transaction was approved, or needs no
// approval. It writes what this command approves into the fact.
func (d *deciding) approvalStands(fact events.Requested) error {
	f, ok := fact.(events.OfTransaction)
	if !ok || d.op.Gates.Open || d.State.Staff.Rights.Manager {
		return nil
	}
	t := d.Transaction
	switch f := fact.(type) {
	case *events.OrderRecalled, *events.SaleSuspended, *events.SaleVoided, *events.SaleConcluded, *events.OrderPlaced:
		return nil // nothing is given: what was ordered stands, and what ends stays as it is
	case *events.SaleRecalled:
		t = d.Suspended[d.onHold(f.Transaction)]
	case *events.SaleTakenOver:
		t = &Transaction{Terms: *f.Begins}
		t.restore(&f.Held)
		t.Totals = t.totalsOf(t.Sums, t.Discount, t.all())
	}
	if t == nil {
		t = &Transaction{Terms: *f.Sale().Begins}
	}
	for _, line := range changedLines(fact) {
		if err := d.lineStands(t, line); err != nil {
			return err
		}
	}
	if err := d.keyedStands(t, f); err != nil {
		return err
	}
	return d.wholeStands(t, f)
}

// changedLines are the lines of a fact about a transaction that are new, or stand otherwise than before.
func changedLines(fact events.Requested) (all []*events.Line) {
	of := fact.(events.OfTransaction).Sale()
	for i := range of.Changed {
		all = append(all, &of.Changed[i])
	}
	if f, added := fact.(*events.LineAdded); added {
		all = append(all, &f.Line)
		for i := range f.Linked {
			all = append(all, &f.Linked[i])
		}
	}
	return all
}

// lineStands looks at what is given on one line. What the command approves is written into the line.
func (d *deciding) lineStands(t *Transaction, line *events.Line) error {
	was := &events.Line{}
	if old := t.line(line.Number); old != nil {
		was = &old.Line
	}
	for _, given := range []struct {
		of      func(*Transaction, *events.Line) reduction
		approve func(events.Money)
	}{
		{d.discountGivenOn, func(m events.Money) { c := *line.Discount; c.Approved = m; line.Discount = &c }},
		{d.priceGivenOn, func(m events.Money) { c := *line.Overridden; c.Approved = m; line.Overridden = &c }},
		{d.taxGivenOn, func(m events.Money) { c := *line.TaxOverride; c.Approved = m; line.TaxOverride = &c }},
	} {
		approved, err := d.asksAgain(given.of(t, was), given.of(t, line), t.Terms.Digits)
		if err != nil {
			return err
		}
		if approved != 0 {
			given.approve(approved)
		}
	}
	return nil
}

// discountGivenOn is the cashier's discount on a line that is sold.
func (d *deciding) discountGivenOn(_ *Transaction, line *events.Line) (r reduction) {
	off := line.Discount
	if off == nil {
		return r
	}
	type terms struct {
		keyed   events.Money
		percent events.Percent
	}
	r = reduction{what: fmt.Sprintf("The discount on line %d", line.Number), terms: terms{off.Keyed, off.Percent}, approved: off.Approved}
	r.mayGive = func(by events.Rights) bool {
		return by.Manager || off.Keyed != 0 && allows(by, 300) && off.Keyed <= by.LineDiscountAmount ||
			off.Keyed == 0 && allows(by, 301) && off.Percent.Cmp(by.LineDiscountPercent) <= 0
	}
	switch {
	case line.Quantity.Sign() < 0: // the shop pays less
	case off.Keyed != 0:
		r.amount = off.Keyed
	default:
		r.amount = off.Amount
	}
	return r
}

// priceGivenOn is how far an overridden price takes a line from its own.
func (d *deciding) priceGivenOn(t *Transaction, line *events.Line) (r reduction) {
	instead := line.Overridden
	if instead == nil {
		return r
	}
	r = reduction{what: fmt.Sprintf("The other price of line %d", line.Number), terms: line.Price, approved: instead.Approved, amount: events.MaxMoney}
	if original, err := d.gross(t, instead.Price, line.Quantity); err == nil {
		r.amount = abs(original - line.Gross)
	}
	r.mayGive = func(by events.Rights) bool {
		higher := line.Price.Cmp(instead.Price) > 0
		return by.Manager || allows(by, 104) && (by.PriceOverride == "both" || by.PriceOverride == "higher" && higher || by.PriceOverride == "lower" && !higher)
	}
	return r
}

// taxGivenOn is how far other taxes than a line's own take its tax from what it would be.
func (d *deciding) taxGivenOn(t *Transaction, line *events.Line) (r reduction) {
	o := line.TaxOverride
	if o == nil {
		return r
	}
	r = reduction{what: fmt.Sprintf("The change of the tax on line %d", line.Number), terms: o.Override, approved: o.Approved}
	r.amount = abs(taxSum(line.Amount(), o.Instead, t.Terms.TaxIncluded) - taxSum(line.Amount(), line.Taxes, t.Terms.TaxIncluded))
	r.mayGive = func(by events.Rights) bool {
		in := func(list []TaxOverride) bool {
			return slices.ContainsFunc(list, func(one TaxOverride) bool { return one.Override == o.Override })
		}
		store := d.Reference.Store
		return by.Manager || allows(by, 128) && in(store.TransactionTaxOverrides) || allows(by, 130) && in(store.LineTaxOverrides)
	}
	return r
}

// keyedStands bounds what is given by amounts on all lines together: what an employee may give on
// one line by an amount they may give on the lines of one transaction, so that it is not had again
// and again by dividing the goods over lines. What a manager approved does not count.
func (d *deciding) keyedStands(t *Transaction, fact events.OfTransaction) error {
	counts := func(line *events.Line, voided bool) bool {
		off := line.Discount
		return off != nil && !voided && line.Quantity.Sign() > 0 && off.Approved < off.Keyed
	}
	after := map[int]*events.Line{}
	for _, line := range changedLines(fact.(events.Requested)) {
		after[line.Number] = line
	}
	restored := map[int]bool{}
	if f, ok := fact.(*events.LineRestored); ok {
		for _, number := range append([]int{f.Line}, f.Linked...) {
			if restored[number] = true; after[number] == nil {
				line := t.line(number).Line
				after[number] = &line
			}
		}
	}
	var more []*events.Line // that count now, and did not, or not as much
	for _, number := range slices.Sorted(maps.Keys(after)) {
		line, old := after[number], t.line(number)
		voided := old != nil && old.Voided && !restored[number]
		if counts(line, voided) && (old == nil || !counts(&old.Line, old.Voided) || old.Discount.Keyed < line.Discount.Keyed) {
			more = append(more, line)
		}
	}
	if len(more) == 0 {
		return nil
	}
	var sum events.Money
	for _, old := range t.Lines {
		line := &old.Line
		if after[line.Number] != nil {
			line = after[line.Number]
		}
		if counts(line, old.Voided && !restored[line.Number]) {
			sum += line.Discount.Keyed
		}
	}
	mayGive := func(by events.Rights) bool { return by.Manager || allows(by, 300) && sum <= by.LineDiscountAmount }
	switch {
	case mayGive(d.State.Staff.Rights):
		return nil
	case !mayGive(d.rights):
		return refuse("discount_limit_too_large", "%s may give at most %s by amounts on the lines of a transaction.", d.State.Staff.ID,
			d.rights.LineDiscountAmount.Decimal(t.Terms.Digits)).instead("Ask a manager to approve it.")
	}
	of := fact.Sale()
	for _, line := range more {
		off := *line.Discount
		off.Approved = off.Keyed
		line.Discount = &off
		if restored[line.Number] && !slices.ContainsFunc(of.Changed, func(l events.Line) bool { return l.Number == line.Number }) {
			of.Changed = append(of.Changed, *line)
		}
	}
	return nil
}

// wholeStands looks at what is given on the whole transaction. What the command approves is written into the fact.
func (d *deciding) wholeStands(t *Transaction, fact events.OfTransaction) error {
	of, after := fact.Sale(), *t
	after.Totals = of.After
	switch f := fact.(type) {
	case *events.TotalDiscountSet:
		after.Discount, after.Approved.Discount = Discount{Amount: f.Amount, Percent: f.Percent}, 0
	case *events.DepositOverridden:
		order := *t.Order
		order.Agreed, after.Approved.Deposit = nil, 0
		if !f.Cleared {
			order.Agreed = &f.Deposit
		}
		after.Order = &order
	}
	var approved events.Approved
	for _, given := range []struct {
		of      func(*Transaction) reduction
		approve *events.Money
	}{{totalGiven, &approved.Discount}, {depositGiven, &approved.Deposit}} {
		var err error
		if *given.approve, err = d.asksAgain(given.of(t), given.of(&after), t.Terms.Digits); err != nil {
			return err
		}
	}
	if approved != (events.Approved{}) {
		of.Approved = &approved
	}
	return nil
}

// totalGiven is the total discount.
func totalGiven(t *Transaction) (r reduction) {
	off := t.Discount
	if off.None() {
		return r
	}
	r = reduction{what: "The total discount", terms: off, approved: t.Approved.Discount, amount: off.Amount}
	if off.Amount == 0 {
		r.amount = t.Totals.Discount
	}
	r.mayGive = func(by events.Rights) bool {
		return by.Manager || off.Amount != 0 && allows(by, 302) && off.Amount <= by.TotalDiscountAmount ||
			off.Amount == 0 && allows(by, 303) && off.Percent.Cmp(by.TotalDiscountPercent) <= 0
	}
	return r
}

// depositGiven is by how much the deposit of an order is below the one that the store asks for.
func depositGiven(t *Transaction) (r reduction) {
	if t.Order == nil || t.pickUp() || t.Order.Agreed == nil {
		return r
	}
	asked := *t.Order
	asked.Agreed = nil
	r = reduction{what: "What is left out of the deposit", terms: *t.Order.Agreed, approved: t.Approved.Deposit}
	r.amount = max(0, asked.deposit(t.Totals.Total)-t.Order.deposit(t.Totals.Total))
	r.mayGive = func(by events.Rights) bool { return allows(by, 132) }
	return r
}

// approve notes what a fact says was approved for the whole transaction. A discount or a deposit
// that is set anew has no approval but the one that stands in its own fact.
func (t *Transaction) approve(fact events.OfTransaction) {
	switch fact.(type) {
	case *events.TotalDiscountSet:
		t.Approved.Discount = 0
	case *events.DepositOverridden:
		t.Approved.Deposit = 0
	}
	if a := fact.Sale().Approved; a != nil {
		t.Approved.Discount = max(t.Approved.Discount, a.Discount)
		t.Approved.Deposit = max(t.Approved.Deposit, a.Deposit)
	}
}
