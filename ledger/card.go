package ledger

import (
	"fmt"
	"strings"

	"github.com/posnode/posnode/events"
)

// Requested is what the card terminal was asked and has not answered yet.
type Requested struct {
	events.CardRequested
	Staff    events.StaffID `json:"staff"` // who asked
	Approver events.StaffID `json:"approver,omitempty"`
	// Shift is the one in which it was asked.
	Shift events.ShiftID `json:"shift,omitempty"`
}

// Operation is the one that asked.
func (r *Requested) Operation() int {
	if r.Action == events.VoidCard {
		return 211
	}
	return 201
}

// CardOutcome is what a card terminal said. What it says is cut down to what may be
// kept: a terminal that gives more, such as a card number, finds it thrown away.
type CardOutcome struct {
	Approved bool   // charged, or voided, as it was asked
	Response string // the terminal's code for why not
	Scheme   string
	LastFour string
	Approval string
	Terminal string
	// Recovered says that it is the answer to a question that was asked before.
	Recovered bool
}

// payCard asks the terminal for the amount (operation 201).
func payCard(d *deciding) (events.Requested, error) {
	p, err := d.payment("card", d.given())
	if err != nil {
		return nil, err
	}
	// Once the card is charged it is too late to find that the payment cannot be recorded.
	if _, err := d.take(p); err != nil {
		return nil, err
	}
	return d.askTerminal(events.ChargeCard, p), nil
}

// askTerminal records what the terminal is about to be asked. A charge's reference is
// made of the transaction and the number of the request, so that none is used twice; a void names that of its charge.
func (d *deciding) askTerminal(action string, p events.Payment) *events.CardRequested {
	t := d.Transaction
	reference := fmt.Sprintf("%s-c%d", t.ID, t.Requests+1)
	if p.Card != nil {
		reference = p.Card.Reference
	}
	return &events.CardRequested{
		OfSale:  events.OfSale{Transaction: t.ID, After: t.Totals},
		Command: d.Key, Action: action, Reference: reference, Payment: p,
	}
}

// terminalAnswered: while it is not known what the terminal did, the transaction
// stays as it is. Only a manager may give up asking (operation 211).
func (d *deciding) terminalAnswered() error {
	if d.Transaction == nil || d.Transaction.Requested == nil || !d.op.Sells() || d.op.ID == 211 {
		return nil
	}
	return refuse("card_pending", "It is not known yet what the card terminal did with %s.", d.Transaction.Requested.Reference).
		instead("Try again when the terminal answers, or have a manager void the payment.")
}

// abandon gives up a request that the terminal does not answer.
func (d *deciding) abandon(number int) (events.Requested, error) {
	t := d.Transaction
	request := t.Requested
	switch {
	case number != request.Payment.Number:
		return nil, refuse("card_pending", "It is not known yet what the card terminal did with payment %d.", request.Payment.Number)
	case !d.rights.Manager:
		return nil, deny("%s may not give up payment %d, which the terminal may have taken.", d.State.Staff.ID, number)
	}
	return &events.CardAbandoned{
		OfSale: events.OfSale{Transaction: t.ID, After: t.Totals}, Reference: request.Reference, Action: request.Action, Amount: request.Payment.Amount,
		Command: request.Command, CommandInput: request.Input,
	}, nil
}

// Settle decides what is recorded of the terminal's answer to the request that waits in
// s. c brings the business date and the store's settings; whose command it is stands in
// the request. It is the same whether the answer came at once or was recovered after a crash.
func Settle(s *State, c Command, o CardOutcome) events.Fact {
	request := s.Transaction.Requested
	c.Operation, c.Key, c.Staff = request.Operation(), request.Command, request.Staff
	d := &deciding{State: s, Command: c, op: Find(c.Operation)}
	fact := d.settle(o)
	*fact.Request() = request.Asked
	if f, ok := fact.(events.Printable); ok {
		*f.Print() = d.printed(f)
	}
	return fact
}

func (d *deciding) settle(o CardOutcome) events.Requested {
	t := d.Transaction
	request := t.Requested
	switch {
	case !o.Approved:
		return &events.CardDeclined{
			OfSale: events.OfSale{Transaction: t.ID, After: t.Totals}, Reference: request.Reference, Action: request.Action,
			Response: cut(o.Response), Recovered: o.Recovered,
		}
	case request.Action == events.VoidCard:
		return d.paymentVoided(request.Payment)
	}
	p := request.Payment
	p.Card = &events.CardApproval{
		Reference: request.Reference, Scheme: cut(o.Scheme), Approval: cut(o.Approval), Terminal: cut(o.Terminal), Recovered: o.Recovered,
	}
	if len(o.LastFour) == 4 && strings.Trim(o.LastFour, "0123456789") == "" {
		p.Card.LastFour = o.LastFour
	}
	fact, err := d.take(p)
	if err != nil {
		// The card is charged and that must be recorded, whatever stands against concluding now.
		after := t.Totals
		after.Paid, after.Due = after.Paid+p.Amount, after.Due-p.Amount
		fact = &events.PaymentTaken{OfSale: events.OfSale{Transaction: t.ID, After: after}, Payment: p}
	}
	return fact
}

// cut leaves of a terminal's text at most 12 letters, digits, underscores and hyphens,
// and nothing at all of one with more than 8 digits: it may hold a part of a card number.
func cut(s string) string {
	digits := 0
	for _, r := range s {
		if r >= '0' && r <= '9' {
			digits++
		}
	}
	if digits > 8 {
		return ""
	}
	s = strings.Map(func(r rune) rune {
		if r < 0x80 && (r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_') {
			return r
		}
		return -1
	}, s)
	return s[:min(len(s), 12)]
}

// refuseCard is the refusal that a recorded decline answers with.
func refuseCard(f *events.CardDeclined) *Refusal {
	if f.Action == events.VoidCard {
		return refuse("card_declined", "The card terminal did not void the payment (%s).", said(f)).instead("Refund it instead.")
	}
	return refuse("card_declined", "The card was declined (%s).", said(f)).instead("Try again, or take another way to pay.")
}

// said is the terminal's code for why not.
func said(f *events.CardDeclined) string {
	if f.Response == "" {
		return "no code"
	}
	return "code " + f.Response
}

// request remembers who asked what the terminal is asked: the outcome is recorded in
// their name. A request that is given up is not carried out anew.
func (s *State) request(e *events.Entry) {
	switch f := e.Fact.(type) {
	case *events.CardRequested:
		s.Transaction.Requested = &Requested{CardRequested: *f, Staff: e.Staff, Approver: e.Approver, Shift: e.Shift}
	case *events.CardAbandoned:
		s.Commands.add(Done{Key: f.Command, Sequence: e.Head.Sequence, Input: f.CommandInput, GivenUp: true})
	}
}
