package ledger

import (
	"github.com/posnode/posnode/events"
)

// maxPayments bounds the payments of one transaction, voided ones with them.
const maxPayments = 100

func paymentOperations() []*Operation {
	need := Gates{Shift: true, Cart: NeedCart}
	return []*Operation{
		{ID: 200, Name: "Pay cash", Group: "payments", Offline: Local, Gates: need,
			Params: []Parameter{{Name: "amount", Kind: KindAmount, Doc: "handed over, in minor units; the amount due if absent; negative when the shop pays"}},
			decide: payCash},
		{ID: 206, Name: "Pay cash quick", Group: "payments", Offline: Local, Gates: need, decide: payCash},
		{ID: 211, Name: "Void payment", Group: "payments", Offline: Local, Gates: need,
			Params: []Parameter{{Name: "payment", Kind: KindNumber, Required: true, Max: maxPayments, Doc: "number of the payment in its transaction, from 1"}},
			Reason: "void_payment", decide: voidPayment},
	}
}

// payCash takes cash, gives change, and concludes when nothing is left to pay (operations 200, 206).
func payCash(d *deciding) (events.Requested, error) {
	tender, ok := d.Reference.Store.Tenders["cash"]
	if !ok {
		return nil, refuse("tender_not_configured", "This store takes no cash.")
	}
	return d.pay(tender)
}

// pay takes the amount that the command names, or what is due, by tender.
func (d *deciding) pay(tender Tender) (events.Requested, error) {
	t := d.Transaction
	due := t.Totals.Due
	if due == 0 {
		return nil, refuse("nothing_due", "There is nothing to pay.").instead("Conclude the transaction.")
	}
	if len(t.Payments) >= maxPayments {
		return nil, refuse("too_many_payments", "A transaction can have %d payments.", maxPayments)
	}
	// What can be paid in coins may differ from what is due: the difference is rounding, settled with the payment.
	payable := due.RoundTo(tender.RoundTo)
	p := events.Payment{Number: len(t.Payments) + 1, Tender: tender.ID, Tendered: payable}
	if d.in.has("amount") {
		p.Tendered = d.in.amount("amount")
	}
	switch {
	case p.Tendered == 0 && payable != 0:
		return nil, refuseParameter("amount", "must not be 0")
	case p.Tendered.RoundTo(tender.RoundTo) != p.Tendered:
		return nil, refuseParameter("amount", "cannot be paid in coins of %d", tender.RoundTo)
	case p.Tendered != 0 && (p.Tendered < 0) != (due < 0):
		return nil, refuseParameter("amount", "must have the sign of the amount due, %s", due.Decimal(t.Terms.Digits))
	case abs(p.Tendered) < abs(payable):
		p.Amount = p.Tendered
		after := t.Totals
		after.Paid, after.Due = after.Paid+p.Amount, after.Due-p.Amount
		of, err := d.ofSale(t, nil, after)
		return &events.PaymentTaken{OfSale: of, Payment: p}, err
	case abs(p.Tendered) > abs(payable) && (due < 0 || !tender.OverPaid):
		return nil, refuse("overpaid", "No more than %s can be paid by %s.", payable.Decimal(t.Terms.Digits), tender.Name)
	}
	p.Amount, p.Change, p.Rounding = due, p.Tendered-payable, due-payable
	return d.conclude(&p)
}

func abs(m events.Money) events.Money { return max(m, -m) }

// voidPayment takes a payment back (operation 211).
func voidPayment(d *deciding) (events.Requested, error) {
	t := d.Transaction
	number := d.in.number("payment")
	if number < 1 || number > len(t.Payments) {
		return nil, refuse("unknown_payment", "The transaction has no payment %d.", number)
	}
	p := t.Payments[number-1]
	if p.Voided {
		return nil, refuse("payment_voided", "Payment %d is voided already.", number)
	}
	after := t.Totals
	after.Paid, after.Due = after.Paid-p.Amount, after.Due+p.Amount
	return &events.PaymentVoided{OfSale: events.OfSale{Transaction: t.ID, After: after}, Payment: number}, nil
}
