package ledger

import "github.com/posnode/posnode/events"

// Reserves is what a fact that was decided takes of what head office keeps for all
// registers: it is asked for before the fact is recorded, while the register is online. nil for
// nothing. granted notes head office's grant in the fact.
func Reserves(s *State, fact events.Fact) (want *events.Reservation, granted func(id string)) {
	switch f := fact.(type) {
	case *events.PaymentTaken:
		return reservesPayment(f.Transaction, &f.Payment)
	case *events.SaleConcluded:
		return reservesLast(s, f)
	case *events.OrderPlaced:
		return reservesLast(s, &f.SaleConcluded)
	case *events.LineAdded:
		if card := f.Line.GiftCard; card != nil && card.Issued {
			return &events.Reservation{Transaction: f.Transaction, Line: f.Line.Number, Kind: events.ReserveIssue, Key: string(card.Card)},
				func(id string) { card.Reservation = id }
		}
		return reservesReturn(f.Transaction, &f.Line)
	case *events.QuantitySet:
		for i := range f.Changed {
			if line := &f.Changed[i]; line.Number == f.Line {
				return reservesReturn(f.Transaction, line)
			}
		}
	case *events.LineRestored:
		line := s.Transaction.line(f.Line).Line // a copy: the fact has none to note the grant in
		if line.Original != nil {
			original := *line.Original
			line.Original = &original
		}
		return reservesReturn(f.Transaction, &line)
	case *events.OrderRecalled:
		return &events.Reservation{Transaction: f.Transaction, Kind: events.ReserveOrder, Key: string(f.PickUp.Order)},
			func(id string) { f.PickUp.Reservation = id }
	case *events.SaleTakenOver:
		return reservesRecall(f.Transaction, f.From), func(id string) { f.Reservation = id }
	case *events.SaleRecalled:
		return reservesOwn(s, f.Transaction), func(id string) { f.Reservation = id }
	case *events.SaleVoided:
		return reservesOwn(s, f.Transaction), func(string) {}
	}
	return nil, nil
}

// reservesReturn claims what comes back of a line that was sold.
func reservesReturn(t events.TransactionID, line *events.Line) (*events.Reservation, func(string)) {
	o := line.Original
	if o == nil {
		return nil, nil
	}
	return &events.Reservation{Transaction: t, Line: line.Number, Kind: events.ReserveReturn, Key: o.Key(), Amount: events.Money(line.Quantity.Neg().TenThousandths())},
		func(id string) { o.Reservation = id }
}

// reservesRecall claims a transaction that was set aside, so that it goes on once.
func reservesRecall(into events.TransactionID, from events.Suspension) *events.Reservation {
	return &events.Reservation{Transaction: into, Kind: events.ReserveRecall, Key: from.Key()}
}

// reservesOwn claims one that was set aside here: another register may have been granted it.
func reservesOwn(s *State, id events.TransactionID) *events.Reservation {
	i := s.onHold(id)
	if i < 0 {
		return nil // it is the one in progress
	}
	return reservesRecall(id, events.Suspension{Transaction: id, Head: events.Head{Sequence: s.Suspended[i].SuspendedAt}})
}

// reservesLast is what the payment takes that concludes a document, if one does.
func reservesLast(s *State, f *events.SaleConcluded) (*events.Reservation, func(string)) {
	before := 0
	for _, p := range s.Transaction.Payments {
		if !p.Voided {
			before++
		}
	}
	if len(f.Payments) == before {
		return nil, nil
	}
	return reservesPayment(f.Transaction, &f.Payments[len(f.Payments)-1])
}

func reservesPayment(t events.TransactionID, p *events.Payment) (*events.Reservation, func(string)) {
	want := &events.Reservation{Transaction: t, Payment: p.Number, Amount: p.Amount}
	switch {
	case p.Amount <= 0:
		return nil, nil // a refund takes nothing
	case p.GiftCard != nil:
		want.Kind, want.Key = events.ReserveGiftCard, string(p.GiftCard.Card)
		on(want, p.GiftCard.Known)
	case p.Account != nil:
		want.Kind, want.Key = events.ReserveAccount, string(p.Account.Customer)
		on(want, p.Account.Known)
	case p.Loyalty != nil:
		want.Kind, want.Key, want.Amount = events.ReserveLoyalty, string(p.Loyalty.Card), events.Money(p.Loyalty.Points)
		on(want, events.Known{AsOf: p.Loyalty.AsOf, Through: p.Loyalty.Through, Own: events.Money(p.Loyalty.Own)})
	default:
		return nil, nil
	}
	return want, func(id string) { p.Reservation = id }
}

// on notes on what balance the register decided.
func on(want *events.Reservation, k events.Known) {
	want.AsOf, want.Through, want.Own = k.AsOf, k.Through, k.Own
}
