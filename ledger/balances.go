package ledger

import (
	"slices"

	"github.com/posnode/posnode/events"
)

// maxMovements bounds what a state remembers of its own movements.
const maxMovements = 2000

// moved is what this register has moved on balances that HQ keeps, gift cards, customer accounts and
// loyalty cards. A balance says which of it it holds; the rest is added to it. HQ's copy here may be older
// than what HQ answers, so nothing is forgotten because HQ is known to have it, but only for want of room.
type moved struct {
	List []movement `json:"list,omitempty"` // in the order of the journal
	// Forgotten is the last movement that was dropped from List.
	Forgotten *movement `json:"forgotten,omitempty"`
	// Offline is what was moved on gift cards since the register was last online, without signs.
	Offline events.Money `json:"offline,omitempty"`
}

// movement is what one concluded sale did to one balance: giftCardKey, customerKey or loyaltyKey.
type movement events.Movement

// IsZero lets JSON leave out what is not there.
func (m moved) IsZero() bool { return len(m.List) == 0 && m.Offline == 0 }

func giftCardKey(n events.CardNumber) string  { return "giftcard " + string(n) }
func customerKey(id events.CustomerID) string { return "customer " + string(id) }
func loyaltyKey(n events.CardNumber) string   { return "loyalty " + string(n) }

// counted says whether a figure that this register was given holds a movement.
func (s *State) counted(f Figure, m movement) bool {
	return f.Counted(s.Register, events.Place{Epoch: m.Epoch, Sequence: m.Sequence}, m.At)
}

// movedSince is what this register has moved on a balance and a figure of it does not hold; gross is that without signs.
func (s *State) movedSince(balance string, f Figure) (sum, gross events.Money) {
	for _, one := range s.Moved.List {
		if one.Balance == balance && !s.counted(f, one) {
			sum += one.Amount
			gross += abs(one.Amount)
		}
	}
	return sum, gross
}

// known is a balance with what this register has moved since.
func (s *State) known(balance string, amount events.Money, f Figure) events.Known {
	own, _ := s.movedSince(balance, f)
	return events.Known{Balance: amount, AsOf: f.AsOf, Through: f.Through, Own: own}
}

// forgot says that movements were forgotten that a figure may not hold.
func (s *State) forgot(f Figure) bool {
	return s.Moved.Forgotten != nil && !s.counted(f, *s.Moved.Forgotten)
}

// issued says whether this register has issued the card.
func (m *moved) issued(balance string) bool {
	return slices.ContainsFunc(m.List, func(one movement) bool { return one.Balance == balance && one.Issued })
}

// count takes in what an entry says.
func (m *moved) count(e *events.Entry) {
	switch f := e.Fact.(type) {
	case *events.ModeChanged:
		if f.To == events.Online {
			m.Offline = 0
		}
	case *events.SaleConcluded:
		m.countSale(e, f)
	case *events.OrderPlaced:
		m.countSale(e, &f.SaleConcluded)
	}
}

func (m *moved) countSale(e *events.Entry, f *events.SaleConcluded) {
	add := func(balance string, amount events.Money, issued bool) {
		m.add(movement{Balance: balance, At: e.Envelope.Time, Amount: amount, Issued: issued, Epoch: e.Head.Epoch, Sequence: e.Head.Sequence})
	}
	giftCard := func(card events.CardNumber, amount events.Money, issued bool) {
		add(giftCardKey(card), amount, issued)
		if e.Mode == events.Offline {
			m.Offline += abs(amount)
		}
	}
	for _, line := range f.Lines {
		if line.GiftCard != nil && !line.Voided {
			giftCard(line.GiftCard.Card, line.Net, line.GiftCard.Issued)
		}
	}
	for _, p := range f.Payments {
		switch {
		case p.GiftCard != nil:
			giftCard(p.GiftCard.Card, -p.Amount, false)
		case p.Account != nil:
			add(customerKey(p.Account.Customer), p.Amount, false)
		case p.Loyalty != nil:
			// What a sale earns is there to spend once head office has posted it.
			add(loyaltyKey(p.Loyalty.Card), -events.Money(p.Loyalty.Points), false)
		}
	}
}

func (m *moved) add(one movement) {
	if m.List = append(m.List, one); len(m.List) <= maxMovements {
		return
	}
	dropped := m.List[0]
	if m.Forgotten != nil && later(m.Forgotten.At, dropped.At) {
		dropped.At = m.Forgotten.At // the clock went back: what is later in either sense
	}
	m.Forgotten, m.List = &dropped, slices.Delete(m.List, 0, 1)
}
