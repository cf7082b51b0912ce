package ledger

import (
	"slices"
	"strings"

	"github.com/posnode/posnode/events"
)

// Figure is which movements of registers a figure of head office holds: the balance of a gift card
// or an account, the points of a loyalty card, the stock of a product. Every movement is either held by the
// figure or added to it, by head office as far as it has arrived there, by the register that asks beyond.
type Figure struct {
	// AsOf is up to when it holds every movement of every register, by the clocks of those. RFC 3339 in UTC.
	AsOf string
	// Included are registers of which it is known better: it holds what they did up to these entries, whenever that was.
	Included []Included
	// Through is what head office adds when it answers a register: it has put to the figure what that
	// register did up to these entries, one for each of its epochs.
	Through []events.Place
}

// Figure is which movements Balance holds.
func (c GiftCard) Figure() Figure { return Figure{c.AsOf, c.Included, c.Through} }

// Figure is which movements Balance holds.
func (c Customer) Figure() Figure { return Figure{c.AsOf, c.Included, c.Through} }

// Figure is which movements Points hold.
func (c LoyaltyCard) Figure() Figure { return Figure{c.AsOf, c.Included, c.Through} }

// Holds says whether the figure as it was made holds what a register did in an entry, at the
// moment that the entry gives. What head office has put to it since is in Through.
func (f Figure) Holds(r events.Register, at events.Place, moment string) bool {
	if places := f.Named(r); len(places) > 0 {
		return reached(places, at)
	}
	return !later(moment, f.AsOf)
}

// Named are the entries up to which the figure says that it holds what a register did, none where it goes by AsOf.
func (f Figure) Named(r events.Register) (places []events.Place) {
	for _, i := range f.Included {
		if i.Register == r.ID && (i.Store == "" || i.Store == r.Store) {
			places = append(places, events.Place{Epoch: i.Epoch, Sequence: i.Sequence})
		}
	}
	return places
}

// Counted says whether the figure holds what the register that it was given to did in an entry.
func (f Figure) Counted(r events.Register, at events.Place, moment string) bool {
	return f.Holds(r, at, moment) || Reached(f.Through, at)
}

// reached says whether an entry is among those up to places. An epoch that is not named was over
// when a later one that is named began.
func reached(places []events.Place, at events.Place) bool {
	ended := false
	for _, p := range places {
		if p.Epoch == at.Epoch {
			return at.Sequence <= p.Sequence
		}
		ended = ended || p.Epoch > at.Epoch
	}
	return ended
}

// Reached says whether an entry is among those up to places; those of an epoch that is not named are not.
func Reached(places []events.Place, at events.Place) bool {
	return slices.ContainsFunc(places, func(p events.Place) bool { return p.Epoch == at.Epoch && at.Sequence <= p.Sequence })
}

// later says whether a moment in RFC 3339 is after another, whatever their decimals; "" was before everything.
func later(moment, than string) bool {
	return bare(moment) > bare(than)
}

// bare is a moment in UTC in a form in which moments compare as text.
func bare(moment string) string {
	moment = strings.TrimSuffix(moment, "Z")
	if strings.Contains(moment, ".") {
		moment = strings.TrimRight(strings.TrimRight(moment, "0"), ".")
	}
	return moment
}
