package ledger

import (
	"fmt"
	"slices"
	"strings"

	"github.com/posnode/posnode/events"
)

// maxSuspended is how many transactions a register sets aside where its store says nothing else.
const maxSuspended = 50

// Suspended is a transaction that was set aside, at this register or at another of the store.
type Suspended struct {
	From   events.Suspension `json:"from"`
	Terms  events.Terms      `json:"terms"`
	Totals events.Totals     `json:"totals"`
	// Customer is the name of whom it is for, "" for nobody in particular.
	Customer string `json:"customer_name,omitempty"`
	// Held is what it holds, absent from what a search led to.
	Held *events.HeldSale `json:"held,omitempty"`
}

// SuspendedBy is what an entry set aside.
func SuspendedBy(r events.Register, head events.Head, f *events.SaleSuspended) Suspended {
	s := Suspended{
		From:  events.Suspension{Transaction: f.Transaction, Register: r.String(), Head: head},
		Terms: f.Terms, Totals: f.After, Held: f.Held,
	}
	if f.Held != nil && f.Held.Customer != nil {
		s.Customer = f.Held.Customer.Name
	}
	return s
}

// OnHold are the transactions that wait at this register and have text in their number or in the name of their customer.
func (s *State) OnHold(text string) (all []Suspended) {
	for _, t := range s.Suspended {
		one := Suspended{
			From:  events.Suspension{Transaction: t.ID, Register: s.Register.String(), Head: events.Head{Epoch: s.Head.Epoch, Sequence: t.SuspendedAt}},
			Terms: t.Terms, Totals: t.Totals,
		}
		if t.Customer != nil {
			one.Customer = t.Customer.Name
		}
		if strings.Contains(one.Text(), strings.ToLower(text)) {
			all = append(all, one)
		}
	}
	return all
}

// Text is what a search for suspended transactions looks at, in lower case.
func (s Suspended) Text() string {
	return strings.ToLower(string(s.From.Transaction) + "\n" + s.Customer)
}

func (s Suspended) describe() string {
	text := fmt.Sprintf("%s: %d lines, %s %s", s.From.Register, s.Totals.Lines, s.Totals.Total.Decimal(s.Terms.Digits), s.Terms.Currency)
	if s.Customer != "" {
		text += ", " + s.Customer
	}
	return text
}

func (s Suspended) leads() (all []Query) {
	if s.Held == nil {
		return nil
	}
	seen := map[events.ProductID]bool{}
	for i := range s.Held.Lines {
		if product := s.Held.Lines[i].Product; !seen[product] {
			seen[product] = true
			all = append(all, Query{"product", string(product)})
		}
	}
	return all
}

func suspendOperations() []*Operation {
	onHold := []Parameter{{Name: "transaction", Kind: KindText, Required: true, Max: 80, Doc: "id of the suspended transaction"}}
	shift := Gates{Shift: true, Cart: NoCart}
	return []*Operation{
		{ID: 503, Name: "Suspend transaction", Group: "transaction", Offline: Bounded, Gates: Gates{Shift: true, Cart: NeedCart}, decide: suspendTransaction},
		{ID: 504, Name: "Recall transaction", Group: "transaction", Offline: Bounded, begins: true, Gates: shift, Params: onHold, asks: askSuspended, decide: recallTransaction},
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

// HandsOver says whether the transaction that head office says goes on elsewhere waits here as it was set aside then.
func (s *State) HandsOver(f *events.SaleHandedOver) bool {
	i := s.onHold(f.Transaction)
	return i >= 0 && s.Suspended[i].SuspendedAt == f.Suspended
}

// handOver lets go of a transaction that goes on elsewhere.
func (s *State) handOver(f *events.SaleHandedOver) error {
	if !s.HandsOver(f) {
		return fmt.Errorf("transaction %s is not suspended by entry %d", f.Transaction, f.Suspended)
	}
	s.takeFromHold(f.Transaction)
	return nil
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
	return &events.SaleSuspended{OfSale: events.OfSale{Transaction: t.ID, After: t.Totals}, Terms: t.Terms, Held: t.held()}, nil
}

// held is what the transaction holds, sharing nothing that an operation would change in place.
func (t *Transaction) held() *events.HeldSale {
	h := &events.HeldSale{
		Lines: make([]events.HeldLine, len(t.Lines)), Discount: t.Discount.Amount, Percent: t.Discount.Percent,
		Attached: t.Attached, Comment: t.Comment,
	}
	for i, line := range t.Lines {
		h.Lines[i] = events.HeldLine{Line: line.Line, Voided: line.Voided}
	}
	if t.TaxOverride != nil {
		tax := events.HeldTax(*t.TaxOverride)
		h.TaxOverride = &tax
	}
	if t.Order != nil {
		order := events.HeldOrder(*t.Order)
		h.Order = &order
	}
	if approved := t.Approved; approved != (events.Approved{}) {
		h.Approved = &approved
	}
	return h
}

// restore gives a transaction that has just begun what another held.
func (t *Transaction) restore(h *events.HeldSale) {
	t.Discount = Discount{Amount: h.Discount, Percent: h.Percent}
	t.Attached, t.Comment = h.Attached, h.Comment
	t.PriceGroups = priceGroups(t.Attached)
	if h.TaxOverride != nil {
		tax := TaxOverride(*h.TaxOverride)
		t.TaxOverride = &tax
	}
	if h.Order != nil {
		order := CartOrder(*h.Order)
		t.Order = &order
	}
	if h.Approved != nil {
		t.Approved = *h.Approved
	}
	for i := range h.Lines {
		t.replaceLine(&Line{Line: h.Lines[i].Line, Voided: h.Lines[i].Voided})
	}
}

func askSuspended(s *State, in values) (all []Query) {
	id := events.TransactionID(in.text("transaction"))
	i := s.onHold(id)
	if i < 0 {
		return []Query{{"suspended", string(id)}}
	}
	for _, line := range s.Suspended[i].Lines {
		all = append(all, Query{"product", string(line.Product)})
	}
	return all
}

// recallTransaction goes on with a suspended transaction: under its own id where it was
// suspended, and elsewhere under a new one (operation 504).
func recallTransaction(d *deciding) (events.Requested, error) {
	id := events.TransactionID(d.in.text("transaction"))
	if i := d.onHold(id); i >= 0 {
		f := &events.SaleRecalled{}
		var err error
		f.OfSale, f.Dropped, err = d.goOn(d.Suspended[i], nil)
		return f, err
	}
	held, known := find[Suspended](d.Reference, "suspended", string(id))
	switch {
	case d.Mode != events.Online && !d.ownTransaction(id):
		return nil, needsHQ("a transaction that another register suspended").instead("Recall it at the register that suspended it.")
	case !known || held.Held == nil || d.Mode != events.Online:
		return nil, notOnHold(id)
	}
	t, begins := d.cart()
	if held.Terms.Currency != begins.Currency {
		return nil, refuse("suspended_currency_differs", "Transaction %s is in %s, and this register sells in %s.", id, held.Terms.Currency, begins.Currency)
	}
	if held.Terms.Digits != begins.Digits || !d.sound(t, held.Held) {
		return nil, refuse("suspended_unsound", "Transaction %s as %s suspended it does not add up.", id, held.From.Register).instead("Recall it there.")
	}
	begins.TaxIncluded, t.Terms.TaxIncluded = held.Terms.TaxIncluded, held.Terms.TaxIncluded
	t.restore(held.Held)
	f := &events.SaleTakenOver{From: held.From, Held: *held.Held}
	var err error
	f.OfSale, f.Dropped, err = d.goOn(t, begins)
	return f, err
}

// sound says whether what another register suspended is something that could have been
// decided here: with any other numbers the sums made of it would be nonsense.
func (d *deciding) sound(t *Transaction, h *events.HeldSale) bool {
	among := func(low, m, high events.Money) bool { return low <= m && m <= high }
	rates := func(all []events.TaxRate) bool {
		return !slices.ContainsFunc(all, func(r events.TaxRate) bool { return r.Rate.Sign() < 0 })
	}
	if len(h.Lines) > MaxLines || !among(0, h.Discount, events.MaxMoney) || h.Percent.Sign() < 0 || h.Percent.Millionths() > 1_000_000 || h.TaxOverride != nil && !rates(h.TaxOverride.Taxes) {
		return false
	}
	if o := h.Order; o != nil && (o.Percent.Sign() < 0 || !among(0, o.RoundTo, events.MaxMoney) || !among(0, o.PickedUp.Deposit, events.MaxMoney) || o.Agreed != nil && !among(0, *o.Agreed, events.MaxMoney)) {
		return false
	}
	for i := range h.Lines {
		line := &h.Lines[i]
		gross, err := d.gross(t, line.Price, line.Quantity)
		low, high := min(0, gross), max(0, gross)
		switch {
		case err != nil, gross != line.Gross, line.Number != i+1, !rates(line.Taxes),
			!line.Voided && line.GiftCard != nil, line.Original != nil,
			line.Offer != nil && !among(low, line.Offer.Amount, high),
			line.Discount != nil && (line.Discount.Percent.Sign() < 0 || !among(0, line.Discount.Keyed, events.MaxMoney) || !among(low, line.Discount.Amount, high)),
			!among(low, line.Amount(), high):
			return false
		}
	}
	return true
}

// ownTransaction says whether this register began a transaction in this epoch.
func (d *deciding) ownTransaction(id events.TransactionID) bool {
	return strings.HasPrefix(string(id), fmt.Sprintf("%s-%d-", d.Register, d.Head.Epoch))
}

func notOnHold(id events.TransactionID) *Refusal {
	return refuse("not_on_hold", "Transaction %s is not suspended.", id)
}

// goOn is how a transaction that was set aside stands now. What is not sold any more is
// dropped from it, but for what was ordered, which stands at its price.
func (d *deciding) goOn(t *Transaction, begins *events.Terms) (of events.OfSale, dropped []int, err error) {
	if t.pickUp() {
		of, err = d.ofSale(t, begins, t.totalsOf(t.Sums, t.Discount, t.all()))
		return of, nil, err
	}
	left := *t
	left.Lines = slices.Clone(t.Lines)
	for i, line := range t.Lines {
		p, known := find[Product](d.Reference, "product", string(line.Product))
		goes := line.Linked != nil && slices.Contains(dropped, line.Linked.To) // with what it belongs to
		if line.Voided || known && !p.Blocked && !goes {
			continue
		}
		gone := *line
		gone.Voided = true
		left.Lines[i] = &gone
		left.Sums = left.Sums.plus(line, -1, t.Terms.TaxIncluded)
		dropped = append(dropped, line.Number)
	}
	of, err = d.regroup(&left, begins, priceGroups(left.Attached))
	return of, dropped, err
}

// voidSuspended gives a transaction up that was suspended here (operation 1221).
func voidSuspended(d *deciding) (events.Requested, error) {
	id := events.TransactionID(d.in.text("transaction"))
	i := d.onHold(id)
	if i < 0 && d.ownTransaction(id) {
		return nil, notOnHold(id)
	}
	if i < 0 {
		return nil, notOnHold(id).instead("Recall it first, if another register suspended it, and void it here.")
	}
	t := d.Suspended[i]
	return &events.SaleVoided{OfSale: events.OfSale{Transaction: t.ID, After: t.Totals}, Receipt: d.nextReceipt(), Terms: t.Terms}, nil
}
