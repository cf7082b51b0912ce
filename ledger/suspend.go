package ledger

import (
	"slices"
	"strings"

	"github.com/posnode/posnode/events"
)

// maxSuspended is how many transactions a register sets aside where its store says nothing else.
const maxSuspended = 50

func suspendOperations() []*Operation {
	onHold := []Parameter{{Name: "transaction", Kind: KindText, Required: true, Max: 80, Doc: "id of the suspended transaction"}}
	shift := Gates{Shift: true, Cart: NoCart}
	return []*Operation{
		{ID: 503, Name: "Suspend transaction", Group: "transaction", Offline: Bounded, Gates: Gates{Shift: true, Cart: NeedCart}, decide: suspendTransaction},
		{ID: 504, Name: "Recall transaction", Group: "transaction", Offline: Bounded, Gates: shift, Params: onHold, asks: askSuspended, decide: recallTransaction},
		{ID: 1221, Name: "Void suspended transaction", Group: "transaction", Offline: Local, Gates: shift, Params: onHold, Reason: "void_transaction", decide: voidSuspended},
	}
}

// onHold is the place of a suspended transaction in the list, or -1.
func (s *State) onHold(id events.TransactionID) int {
	return slices.IndexFunc(s.Suspended, func(t *Transaction) bool { return t.ID == id })
}

// takeFromHold takes a suspended transaction out of the list, nil where it is not in it.
func (s *State) takeFromHold(id events.TransactionID) *Transaction {
	i := s.onHold(id)
	if i < 0 {
		return nil
	}
	t := s.Suspended[i]
	s.Suspended = slices.Delete(s.Suspended, i, i+1)
	return t
}

// hasPayments says whether a payment was taken and not voided.
func (t *Transaction) hasPayments() bool {
	return slices.ContainsFunc(t.Payments, func(p *Payment) bool { return !p.Voided })
}

// suspendTransaction sets the transaction aside (operation 503).
func suspendTransaction(d *deciding) (events.Requested, error) {
	t, limit := d.Transaction, d.Reference.Store.MaxSuspended
	if limit == 0 {
		limit = maxSuspended
	}
	switch {
	case t.Totals.Lines == 0:
		return nil, refuse("no_lines", "There is nothing to suspend.").instead("Void the transaction.")
	case t.hasPayments():
		return nil, refuse("payments_taken", "The transaction has payments.").instead("Void them first.")
	case slices.ContainsFunc(t.Lines, func(l *Line) bool { return !l.Voided && l.GiftCard != nil }):
		return nil, refuse("gift_card_on_transaction", "The transaction puts money on a gift card.").instead("Void that line first.")
	case slices.ContainsFunc(t.Lines, func(l *Line) bool { return l.Original != nil }):
		// What came back of that receipt meanwhile would not be counted against it.
		return nil, refuse("return_on_transaction", "The transaction returns products by their receipt.").instead("Conclude it, or void it.")
	case len(d.Suspended) >= limit:
		return nil, refuse("too_many_suspended", "%d transactions are suspended at this register.", len(d.Suspended)).instead("Recall one, or void it.")
	}
	return &events.SaleSuspended{OfSale: events.OfSale{Transaction: t.ID, After: t.Totals}, Terms: t.Terms}, nil
}

// held is the suspended transaction that the command names.
func (d *deciding) held() (*Transaction, error) {
	id := events.TransactionID(d.in.text("transaction"))
	if i := d.onHold(id); i >= 0 {
		return d.Suspended[i], nil
	}
	if d.Mode != events.Online && !strings.HasPrefix(string(id), d.Register.String()+"-") {
		return nil, needsHQ("a transaction that another register suspended").instead("Recall it at the register that suspended it.")
	}
	return nil, refuse("not_on_hold", "Transaction %s is not suspended.", id)
}

func askSuspended(s *State, in values) (all []Query) {
	if i := s.onHold(events.TransactionID(in.text("transaction"))); i >= 0 {
		for _, line := range s.Suspended[i].Lines {
			all = append(all, Query{"product", string(line.Product)})
		}
	}
	return all
}

// recallTransaction goes on with a suspended transaction. What is not sold any more is
// dropped from it, but for what was ordered (operation 504).
func recallTransaction(d *deciding) (events.Requested, error) {
	t, err := d.held()
	if err != nil {
		return nil, err
	}
	f := &events.SaleRecalled{}
	if t.pickUp() {
		f.OfSale = events.OfSale{Transaction: t.ID, After: t.Totals} // what was ordered stands, at its price
		return f, nil
	}
	left := *t
	left.Lines = slices.Clone(t.Lines)
	for i, line := range t.Lines {
		p, known := find[Product](d.Reference, "product", string(line.Product))
		goes := line.Linked != nil && slices.Contains(f.Dropped, line.Linked.To) // with what it belongs to
		if line.Voided || known && !p.Blocked && !goes {
			continue
		}
		dropped := *line
		dropped.Voided = true
		left.Lines[i] = &dropped
		left.Sums = left.Sums.plus(line, -1, t.Terms.TaxIncluded)
		f.Dropped = append(f.Dropped, line.Number)
	}
	f.OfSale, err = d.regroup(&left, nil, priceGroups(left.Attached))
	return f, err
}

// voidSuspended gives a suspended transaction up (operation 1221).
func voidSuspended(d *deciding) (events.Requested, error) {
	t, err := d.held()
	if err != nil {
		return nil, err
	}
	return &events.SaleVoided{OfSale: events.OfSale{Transaction: t.ID, After: t.Totals}, Receipt: d.nextReceipt(), Terms: t.Terms}, nil
}
