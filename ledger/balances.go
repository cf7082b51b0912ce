package ledger

import (
	"slices"
	"strings"

	"github.com/posnode/posnode/events"
)

// maxMovements bounds what a state remembers of its own movements.
const maxMovements = 2000

// moved is what this register has moved on balances that HQ keeps, gift cards,
// customer accounts and loyalty cards: the part that HQ is not known to have counted. It is what tells a
// balance of this morning from what is left of it.
type moved struct {
	List []movement `json:"list,omitempty"` // in the order of the journal
	// Offline is what was moved on gift cards since the register was last online, without signs.
	Offline events.Money `json:"offline,omitempty"`
}

// movement is what one concluded sale did to one balance: giftCardKey, customerKey or loyaltyKey.
type movement events.Movement

// after says whether it was made after a moment in RFC 3339, whatever its decimals; "" was before everything.
func (m movement) after(moment string) bool {
	return strings.TrimSuffix(m.At, "Z") > strings.TrimSuffix(moment, "Z")
}

// IsZero lets JSON leave out what is not there.
func (m moved) IsZero() bool { return len(m.List) == 0 && m.Offline == 0 }

func giftCardKey(n events.CardNumber) string  { return "giftcard " + string(n) }
func customerKey(id events.CustomerID) string { return "customer " + string(id) }
func loyaltyKey(n events.CardNumber) string   { return "loyalty " + string(n) }

// since is what was moved on a balance after the moment up to which HQ has counted.
func (m *moved) since(balance string, asOf string) (sum events.Money) {
	for _, one := range m.List {
		if one.Balance == balance && one.after(asOf) {
			sum += one.Amount
		}
	}
	return sum
}

// gross is since without signs.
func (m *moved) gross(balance string, asOf string) (sum events.Money) {
	for _, one := range m.List {
		if one.Balance == balance && one.after(asOf) {
			sum += abs(one.Amount)
		}
	}
	return sum
}

// issued says whether this register has issued the card.
func (m *moved) issued(balance string) bool {
	return slices.ContainsFunc(m.List, func(one movement) bool { return one.Balance == balance && one.Issued })
}

// full says that no more can be remembered without forgetting something.
func (m *moved) full() bool { return len(m.List) >= maxMovements-maxPayments }

// count takes in what an entry says. A balance that it was decided on tells how far HQ
// has counted, and what came before that is forgotten.
func (m *moved) count(e *events.Entry) {
	switch f := e.Fact.(type) {
	case *events.ModeChanged:
		if f.To == events.Online {
			m.Offline = 0
		}
	case *events.BalanceChecked:
		m.forget(giftCardKey(f.Card), f.AsOf)
	case *events.SaleConcluded:
		m.countSale(e, f)
	case *events.OrderPlaced:
		m.countSale(e, &f.SaleConcluded)
	}
}

func (m *moved) countSale(e *events.Entry, f *events.SaleConcluded) {
	giftCard := func(known events.KnownGiftCard, amount events.Money, issued bool) {
		m.add(movement{giftCardKey(known.Card), e.Envelope.Time, amount, issued}, known.AsOf)
		if e.Mode == events.Offline {
			m.Offline += abs(amount)
		}
	}
	for _, line := range f.Lines {
		if line.GiftCard != nil && !line.Voided {
			giftCard(line.GiftCard.KnownGiftCard, line.Net, line.GiftCard.Issued)
		}
	}
	for _, p := range f.Payments {
		switch {
		case p.GiftCard != nil:
			giftCard(*p.GiftCard, -p.Amount, false)
		case p.Account != nil:
			m.add(movement{customerKey(p.Account.Customer), e.Envelope.Time, p.Amount, false}, p.Account.AsOf)
		case p.Loyalty != nil:
			// What a sale earns is there to spend once head office has posted it.
			m.add(movement{loyaltyKey(p.Loyalty.Card), e.Envelope.Time, -events.Money(p.Loyalty.Points), false}, p.Loyalty.AsOf)
		}
	}
}

func (m *moved) add(one movement, asOf string) {
	m.forget(one.Balance, asOf)
	if m.List = append(m.List, one); len(m.List) > maxMovements {
		m.List = slices.Delete(m.List, 0, 1)
	}
}

// forget drops what HQ has counted.
func (m *moved) forget(balance string, asOf string) {
	m.List = slices.DeleteFunc(m.List, func(one movement) bool { return one.Balance == balance && !one.after(asOf) })
}
