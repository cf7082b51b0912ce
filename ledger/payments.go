package ledger

import (
	"cmp"
	"slices"

	"github.com/posnode/posnode/events"
)

// maxPayments bounds the payments of one transaction, voided ones with them.
const maxPayments = 100

func paymentOperations() []*Operation {
	need := Gates{Shift: true, Cart: NeedCart}
	amount := Parameter{Name: "amount", Kind: KindAmount, Doc: "handed over, in minor units; the amount due if absent; negative when the shop pays"}
	card := Parameter{Name: "card", Kind: KindText, Required: true, Max: 40, Doc: "number of the card"}
	return []*Operation{
		{ID: 200, Name: "Pay cash", Group: "payments", Offline: Local, Gates: need, Params: []Parameter{amount}, decide: payCash},
		{ID: 201, Name: "Pay card", Group: "payments", Offline: Local, Gates: need,
			Params: []Parameter{{Name: "amount", Kind: KindAmount, Doc: "to be charged, in minor units; the amount due if absent; negative to refund"}},
			decide: payCard},
		{ID: 202, Name: "Pay customer account", Group: "payments", Offline: Bounded, Gates: need,
			Params: []Parameter{{Name: "amount", Kind: KindAmount, Doc: "that the customer will owe, in minor units; the amount due if absent; negative to credit it"}},
			asks:   askCustomer, decide: payAccount},
		{ID: 203, Name: "Pay currency", Group: "payments", Offline: Local, Gates: need,
			Params: []Parameter{
				{Name: "currency", Kind: KindText, Required: true, Max: 3, Doc: "ISO 4217 code of what is handed over"},
				{Name: "amount", Kind: KindAmount, Required: true, Doc: "handed over, in minor units of that currency; negative when the shop pays"},
			},
			decide: payCurrency},
		{ID: 204, Name: "Pay check", Group: "payments", Offline: Local, Gates: need,
			Params: []Parameter{amount, {Name: "check", Kind: KindText, Required: true, Max: 20, Doc: "number of the check"}},
			decide: payCheck},
		{ID: 206, Name: "Pay cash quick", Group: "payments", Offline: Local, Gates: need, decide: payCash},
		{ID: 207, Name: "Pay loyalty card", Group: "payments", Offline: Refused, Gates: need, Params: []Parameter{card, amount},
			asks: func(_ *State, in values) []Query { return []Query{{"loyalty", in.text("card")}} }, decide: payLoyalty},
		{ID: 211, Name: "Void payment", Group: "payments", Offline: Local, Gates: need,
			Params: []Parameter{{Name: "payment", Kind: KindNumber, Required: true, Max: maxPayments, Doc: "number of the payment in its transaction, from 1"}},
			Reason: "void_payment", decide: voidPayment},
		{ID: 214, Name: "Pay gift card", Group: "payments", Offline: Bounded, Gates: need, Params: []Parameter{card, amount, cardPINParam},
			asks: askGiftCard, decide: payGiftCard},
	}
}

// tender is the store's tender of a kind.
func (d *deciding) tender(kind string) (Tender, error) {
	t, ok := d.Reference.Store.Tenders[kind]
	if !ok {
		return t, refuse("tender_not_configured", "This store takes no %s.", map[string]string{
			"cash": "cash", "currency": "foreign currency", "card": "cards", "check": "checks", "account": "payments on account",
			"giftcard": "gift cards", "loyalty": "loyalty points",
		}[kind])
	}
	return t, nil
}

// payCash takes cash and gives change (operations 200, 206).
func payCash(d *deciding) (events.Requested, error) {
	p, err := d.payment("cash", d.given())
	if err != nil {
		return nil, err
	}
	return d.take(p)
}

// payCheck takes a check, and gives change for it where the tender may (operation 204).
func payCheck(d *deciding) (events.Requested, error) {
	p, err := d.payment("check", d.given())
	if err != nil {
		return nil, err
	}
	p.Check = d.in.text("check")
	return d.take(p)
}

// payCurrency takes another currency at the store's rate, and gives change in the store's own (operation 203).
func payCurrency(d *deciding) (events.Requested, error) {
	store, terms := d.Reference.Store, d.Transaction.Terms
	foreign := events.Foreign{Currency: d.in.text("currency"), Amount: d.in.amount("amount")}
	currency, ok := store.Currencies[foreign.Currency]
	switch {
	case foreign.Currency == terms.Currency:
		return nil, refuseParameter("currency", "%s is the store's own; operation 200 takes cash", foreign.Currency)
	case !ok || currency.Rate.Sign() == 0:
		return nil, refuse("currency_not_configured", "This store has no rate for %s.", foreign.Currency)
	case foreign.Amount == 0:
		return nil, refuseParameter("amount", "must not be 0")
	case foreign.Amount.RoundTo(currency.RoundTo) != foreign.Amount:
		return nil, refuseParameter("amount", "%s is only taken in multiples of %s", foreign.Currency, currency.RoundTo.Decimal(currency.Digits))
	}
	foreign.Digits, foreign.Rate = currency.Digits, currency.Rate
	value, err := foreign.Rate.Convert(foreign.Amount, foreign.Digits, terms.Digits)
	if err != nil {
		return nil, refuse("amount_too_large", "The payment comes to more than a till can hold: %v.", err)
	}
	p, err := d.payment("currency", &value)
	if err != nil {
		return nil, err
	}
	p.Foreign = &foreign
	return d.take(p)
}

// payAccount lets the customer owe it (operation 202).
func payAccount(d *deciding) (events.Requested, error) {
	t := d.Transaction
	if t.account() == "" {
		return nil, refuse("customer_required", "Nobody is on the transaction who could owe it.").instead("Set a customer first.")
	}
	if t.Order != nil && !t.pickUp() {
		return nil, refuse("deposit_on_account", "The deposit of an order cannot be paid on account.").instead("Take another way to pay.")
	}
	customer, known := find[Customer](d.Reference, "customer", string(t.account()))
	switch {
	case !known && d.Mode == events.Offline:
		return nil, needsHQ("customer %s", t.account()).instead(payOtherwise)
	case !known:
		return nil, refuse("unknown_customer", "There is no customer %s.", t.account())
	case customer.Blocked:
		return nil, refuse("customer_blocked", "Customer %s is blocked.", customer.ID)
	case !customer.AllowsOnAccount:
		return nil, refuse("on_account_not_allowed", "Customer %s may not buy on account.", customer.ID)
	case slices.ContainsFunc(t.Payments, func(p *Payment) bool { return !p.Voided && p.Account != nil }):
		return nil, refuse("account_used", "The transaction has a payment on account already.").instead("Void it first.")
	}
	p, err := d.payment("account", d.given())
	if err != nil {
		return nil, err
	}
	account := &events.OnAccount{Customer: customer.ID, CreditLimit: customer.CreditLimit}
	account.Known = d.known(customerKey(customer.ID), customer.Balance, customer.Figure())
	if d.Mode == events.Offline {
		account.OfflineLimit = d.Reference.Store.Profile.AccountPerCustomer
	}
	switch offline := d.Mode == events.Offline; {
	case p.Amount < 0:
		// A credit needs no credit limit.
	case account.Available()+p.Amount > account.CreditLimit:
		return nil, refuse("credit_limit_exceeded", "Customer %s can owe %s more.", customer.ID,
			max(0, account.CreditLimit-account.Available()).Decimal(t.Terms.Digits))
	case offline && d.tooOld(customer.AsOf):
		return nil, needsHQ("customer %s, whose balance of %s is too old", customer.ID, customer.AsOf).instead(payOtherwise)
	case offline && (account.Own+p.Amount > account.OfflineLimit || d.forgot(customer.Figure())):
		return nil, needsHQ("customer %s owing more than the offline limit of %s", customer.ID, account.OfflineLimit.Decimal(t.Terms.Digits)).instead(payOtherwise)
	}
	p.Account = account
	return d.take(p)
}

func askCustomer(s *State, _ values) []Query {
	if s.Transaction == nil || s.Transaction.account() == "" {
		return nil
	}
	return []Query{{"customer", string(s.Transaction.account())}}
}

// payLoyalty takes points for money (operation 207).
func payLoyalty(d *deciding) (events.Requested, error) {
	card, known := find[LoyaltyCard](d.Reference, "loyalty", d.in.text("card"))
	switch {
	case !known:
		return nil, refuse("unknown_loyalty_card", "There is no loyalty card %s.", d.in.text("card")).miss()
	case card.Blocked:
		return nil, refuse("loyalty_card_blocked", "The loyalty card is blocked.")
	}
	tender, err := d.tender("loyalty")
	if err != nil {
		return nil, err
	}
	p, err := d.payment("loyalty", d.given())
	if err != nil {
		return nil, err
	}
	if tender.PointValue.Sign() == 0 {
		return nil, refuse("tender_not_configured", "This store's points have no value.")
	}
	points := d.known(loyaltyKey(card.Number), events.Money(card.Points), card.Figure())
	spent := &events.PointsSpent{
		Card: card.Number, Value: tender.PointValue, Points: tender.PointValue.Needed(p.Amount, d.Transaction.Terms.Digits),
		Known: card.Points, AsOf: card.AsOf, Through: points.Through, Own: int64(points.Own),
	}
	left := spent.Known + spent.Own
	for _, other := range d.Transaction.Payments {
		if !other.Voided && other.Loyalty != nil && other.Loyalty.Card == card.Number {
			left -= other.Loyalty.Points
		}
	}
	if spent.Points > left {
		return nil, refuse("points_too_few", "The card has %d points, and %d are needed.", left, spent.Points)
	}
	p.Loyalty = spent
	return d.take(p)
}

// given is the amount that the command names, nil for what is due.
func (d *deciding) given() *events.Money {
	if !d.in.has("amount") {
		return nil
	}
	amount := d.in.amount("amount")
	return &amount
}

// payment is what given, or all that is due, comes to as a payment by a tender: the one
// place where amounts are held against the tender's settings, whatever the tender.
func (d *deciding) payment(kind string, given *events.Money) (p events.Payment, err error) {
	tender, err := d.tender(kind)
	if err != nil {
		return p, err
	}
	t := d.Transaction
	due, digits := t.Totals.Due, t.Terms.Digits
	switch {
	case due == 0:
		return p, refuse("nothing_due", "There is nothing to pay.").instead("Conclude the transaction.")
	case len(t.Payments) >= maxPayments:
		return p, refuse("too_many_payments", "A transaction can have %d payments.", maxPayments)
	case due < 0 && !tender.Refund:
		return p, refuse("refund_not_allowed", "Nothing can be paid out by %s.", tender.Name).instead("Pay out by another tender.")
	}
	// What can be paid in coins may differ from what is due: the difference is rounding, settled with the payment.
	payable := due.RoundTo(tender.RoundTo)
	p = events.Payment{Number: len(t.Payments) + 1, Tender: tender.ID, Tendered: payable}
	if given != nil {
		p.Tendered = *given
	}
	switch {
	case p.Tendered == 0 && payable != 0:
		return p, refuseParameter("amount", "must not be 0")
	case p.Tendered.RoundTo(tender.RoundTo) != p.Tendered:
		return p, refuseParameter("amount", "cannot be paid in coins of %d", tender.RoundTo)
	case p.Tendered != 0 && (p.Tendered < 0) != (due < 0):
		return p, refuseParameter("amount", "must have the sign of the amount due, %s", due.Decimal(digits))
	}
	if err := d.withinLimits(tender, p.Tendered); err != nil {
		return p, err
	}
	left := abs(payable) - abs(p.Tendered) // negative: more than is due
	switch {
	case left > 0 && tender.MustFinish:
		return p, refuse("payment_must_finish", "A payment by %s pays all that is due, %s.", tender.Name, payable.Decimal(digits)).
			instead("Take the other payments first.")
	case left > 0 && tender.MaxUnder > 0 && left > tender.MaxUnder:
		return p, refuse("payment_must_finish", "A payment by %s may leave at most %s to pay.", tender.Name, tender.MaxUnder.Decimal(digits)).
			instead("Take the other payments first.")
	case left > 0:
		p.Amount = p.Tendered
		return p, nil
	case left < 0 && (due < 0 || !tender.OverPaid || !tender.GivesChange()):
		return p, refuse("overpaid", "No more than %s can be paid by %s.", payable.Decimal(digits), tender.Name)
	case left < 0 && tender.MaxOver > 0 && -left > tender.MaxOver:
		return p, refuse("overpaid", "%s can be %s more than is due at most.", tender.Name, tender.MaxOver.Decimal(digits))
	}
	change, ok := d.changeTender(tender, p.Tendered-payable)
	if left < 0 && !ok {
		return p, refuse("tender_not_configured", "This store has nothing to give change for %s in.", tender.Name)
	}
	p.Amount, p.Change = due, (p.Tendered - payable).RoundTo(change.RoundTo)
	p.Rounding = due - (p.Tendered - p.Change)
	if p.Change != 0 && change.ID != tender.ID {
		p.ChangeTender = change.ID
	}
	return p, nil
}

// withinLimits holds an amount against the least and the most that the tender takes.
func (d *deciding) withinLimits(tender Tender, amount events.Money) error {
	digits := d.Transaction.Terms.Digits
	total := abs(amount)
	for _, p := range d.Transaction.Payments {
		if !p.Voided && p.Tender == tender.ID {
			total += abs(p.Tendered)
		}
	}
	switch {
	case abs(amount) < tender.Min && amount != 0:
		return refuse("payment_too_small", "A payment by %s is at least %s.", tender.Name, tender.Min.Decimal(digits))
	case tender.Max > 0 && abs(amount) > tender.Max:
		return refuse("payment_too_large", "A payment by %s is at most %s.", tender.Name, tender.Max.Decimal(digits))
	case tender.MaxTotal > 0 && total > tender.MaxTotal:
		return refuse("payment_too_large", "A transaction can have at most %s paid by %s.", tender.MaxTotal.Decimal(digits), tender.Name)
	}
	return nil
}

// changeTender is what change for a payment by tender is given in.
// Foreign money gives change in the store's own.
func (d *deciding) changeTender(tender Tender, amount events.Money) (change Tender, ok bool) {
	if tender.ChangeAbove != "" && amount > tender.ChangeThreshold {
		change, ok = d.Reference.Store.Tenders[string(tender.ChangeAbove)]
		return change, ok
	}
	if tender.Kind == "cash" && tender.Change == "" {
		return tender, true
	}
	change, ok = d.Reference.Store.Tenders[cmp.Or(string(tender.Change), "cash")]
	return change, ok && change.Kind != "currency"
}

// take records a payment, and concludes where it leaves nothing to pay.
func (d *deciding) take(p events.Payment) (events.Requested, error) {
	t := d.Transaction
	if p.Amount == t.Totals.Due {
		return d.conclude(&p)
	}
	after := t.Totals
	after.Paid, after.Due = after.Paid+p.Amount, after.Due-p.Amount
	of, err := d.ofSale(t, nil, after)
	return &events.PaymentTaken{OfSale: of, Payment: p}, err
}

func abs(m events.Money) events.Money { return max(m, -m) }

// voidPayment takes a payment back (operation 211). A card's is voided at the terminal first.
func voidPayment(d *deciding) (events.Requested, error) {
	t := d.Transaction
	number := d.in.number("payment")
	if t.Requested != nil {
		return d.abandon(number)
	}
	if number < 1 || number > len(t.Payments) {
		return nil, refuse("unknown_payment", "The transaction has no payment %d.", number)
	}
	p := t.Payments[number-1]
	switch {
	case p.Voided:
		return nil, refuse("payment_voided", "Payment %d is voided already.", number)
	case p.Card != nil:
		return d.askTerminal(events.VoidCard, p.Payment), nil
	}
	return d.paymentVoided(p.Payment), nil
}

func (d *deciding) paymentVoided(p events.Payment) *events.PaymentVoided {
	after := d.Transaction.Totals
	after.Paid, after.Due = after.Paid-p.Amount, after.Due+p.Amount
	return &events.PaymentVoided{OfSale: events.OfSale{Transaction: d.Transaction.ID, After: after}, Payment: p.Number}
}
