package ledger

import (
	"fmt"
	"slices"
	"strings"

	"github.com/posnode/posnode/events"
)

// LoyaltyCard is a loyalty card.
type LoyaltyCard struct {
	Number       events.CardNumber `json:"number"`
	Customer     events.CustomerID `json:"customer,omitempty"` // whose it is, "" for nobody's
	Affiliations []string          `json:"affiliations,omitempty"`
	PriceGroups  []string          `json:"price_groups,omitempty"`
	Points       int64             `json:"points,omitempty"`
	// AsOf, Included and Through are which movements Points hold, see [Figure].
	AsOf     string         `json:"as_of,omitempty"` // RFC 3339 in UTC
	Included []Included     `json:"included,omitempty"`
	Through  []events.Place `json:"through,omitempty"`
	Blocked  bool           `json:"blocked,omitempty"`
}

func (c LoyaltyCard) leads() (all []Query) {
	if c.Customer != "" {
		all = append(all, Query{"customer", string(c.Customer)})
	}
	for _, id := range c.Affiliations {
		all = append(all, Query{"affiliation", id})
	}
	return all
}

// Affiliation is a group of people who are sold to on terms of their own.
type Affiliation struct {
	ID          string   `json:"affiliation"`
	Name        string   `json:"name"`
	PriceGroups []string `json:"price_groups,omitempty"`
}

// LoyaltyScheme is how points are earned: Points for every PerAmount of what is sold.
type LoyaltyScheme struct {
	Points    int64        `json:"points,omitempty"`
	PerAmount events.Money `json:"per_amount,omitempty"` // minor units; 0 for no points at all
}

// maxAffiliations bounds the affiliations of one transaction.
const maxAffiliations = 20

func attachOperations() []*Operation {
	shift := Gates{Shift: true}
	return []*Operation{
		{ID: 117, Name: "Add loyalty card", Group: "lines", Offline: Local, begins: true, Gates: shift,
			Params: []Parameter{{Name: "card", Kind: KindText, Required: true, Max: 30, Doc: "number of the loyalty card"}},
			asks:   func(s *State, in values) []Query { return askCart(s, Query{"loyalty", in.text("card")}) }, decide: addLoyaltyCard},
		{ID: 134, Name: "Add affiliation", Group: "lines", Offline: Local, begins: true, Gates: shift,
			Params: []Parameter{{Name: "affiliation", Kind: KindText, Required: true, Max: 30, Doc: "the affiliation"}},
			Reason: "add_affiliation",
			asks:   func(s *State, in values) []Query { return askCart(s, Query{"affiliation", in.text("affiliation")}) },
			decide: func(d *deciding) (events.Requested, error) {
				return d.addAffiliations("affiliation", d.in.text("affiliation"))
			}},
		{ID: 135, Name: "Add affiliation from list", Group: "lines", Offline: Local, begins: true, Gates: shift,
			Params: []Parameter{{Name: "affiliations", Kind: KindText, Required: true, Max: 400, Doc: "the affiliations, with commas between them"}},
			Reason: "add_affiliation",
			asks: func(s *State, in values) []Query {
				return askCart(s, askAffiliations(splitList(in.text("affiliations"))...)...)
			},
			decide: func(d *deciding) (events.Requested, error) {
				return d.addAffiliations("affiliations", splitList(d.in.text("affiliations"))...)
			}},
	}
}

// splitList reads a list with commas.
func splitList(text string) (all []string) {
	for part := range strings.SplitSeq(text, ",") {
		if part = strings.TrimSpace(part); part != "" {
			all = append(all, part)
		}
	}
	return all
}

func askAffiliations(ids ...string) (all []Query) {
	for _, id := range ids {
		all = append(all, Query{"affiliation", id})
	}
	return all
}

// askCart asks for what pricing the lines of the transaction in progress again
// needs, besides what the operation asks for itself.
func askCart(s *State, own ...Query) []Query { return append(own, askLines(s)...) }

// priceGroups are the price groups of those whom a transaction is for, each once.
func priceGroups(of events.Attached) (all []string) {
	if of.Customer != nil {
		all = append(all, of.Customer.PriceGroups...)
	}
	if of.Loyalty != nil {
		all = append(all, of.Loyalty.PriceGroups...)
	}
	for _, a := range of.Affiliations {
		all = append(all, a.PriceGroups...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// addLoyaltyCard puts a loyalty card on the transaction, and with it its holder and
// their affiliations (operation 117).
func addLoyaltyCard(d *deciding) (events.Requested, error) {
	number := d.in.text("card")
	card, known := find[LoyaltyCard](d.Reference, "loyalty", number)
	t, begins := d.cart()
	switch {
	case !known:
		return nil, refuse("unknown_loyalty_card", "There is no loyalty card %s here.", number).miss()
	case card.Blocked:
		return nil, refuse("loyalty_card_blocked", "The loyalty card %s is blocked.", number)
	case t.pickUp():
		return nil, orderFixed(t)
	case t.Loyalty != nil:
		return nil, refuse("loyalty_card_present", "The transaction has the loyalty card %s.", t.Loyalty.Card)
	}
	f := &events.LoyaltyCardAdded{Card: events.SaleLoyalty{
		Card: card.Number, Customer: card.Customer, Points: card.Points, PointsAsOf: card.AsOf, PriceGroups: card.PriceGroups,
	}}
	if card.Customer != "" {
		if t.Customer != nil && t.Customer.Customer != card.Customer {
			return nil, cardOfAnother(card.Number, card.Customer)
		}
		holder, known := find[Customer](d.Reference, "customer", string(card.Customer))
		if known {
			if err := d.soldTo(holder); err != nil {
				return nil, err
			}
		}
		if known && t.Customer == nil {
			f.Customer = holder.onCart()
		}
	}
	for _, id := range card.Affiliations {
		// One that is not known any more gives nothing.
		if a, known := find[Affiliation](d.Reference, "affiliation", id); known && !t.affiliated(id) {
			f.Affiliations = append(f.Affiliations, events.Affiliation{ID: a.ID, Name: a.Name, PriceGroups: a.PriceGroups, Loyalty: true})
		}
	}
	var err error
	f.OfSale, err = d.regroup(t, begins, priceGroups(withCard(t.Attached, f)))
	return f, err
}

func cardOfAnother(card events.CardNumber, holder events.CustomerID) *Refusal {
	return refuse("loyalty_customer_mismatch", "The loyalty card %s is customer %s's.", card, holder)
}

// withCard is who a transaction is for once a loyalty card was added.
func withCard(a events.Attached, f *events.LoyaltyCardAdded) events.Attached {
	card := f.Card
	a.Loyalty = &card
	if f.Customer != nil {
		a.Customer = f.Customer
	}
	a.Affiliations = append(slices.Clone(a.Affiliations), f.Affiliations...)
	return a
}

// addAffiliations says that the transaction is for members of these (operations 134, 135).
func (d *deciding) addAffiliations(parameter string, ids ...string) (events.Requested, error) {
	t, begins := d.cart()
	switch {
	case t.pickUp():
		return nil, orderFixed(t)
	case len(ids) == 0:
		return nil, refuseParameter(parameter, "names none")
	case len(t.Affiliations)+len(ids) > maxAffiliations:
		return nil, refuseParameter(parameter, "a transaction can have %d affiliations", maxAffiliations)
	}
	f := &events.AffiliationsAdded{}
	to := t.Attached
	to.Affiliations = slices.Clone(to.Affiliations)
	for i, id := range ids {
		a, known := find[Affiliation](d.Reference, "affiliation", id)
		if !known {
			return nil, refuse("unknown_affiliation", "There is no affiliation %s.", id)
		}
		if t.affiliated(id) || slices.Contains(ids[:i], id) {
			return nil, refuse("affiliation_present", "The transaction has the affiliation %s already.", a.Name)
		}
		f.Affiliations = append(f.Affiliations, events.Affiliation{ID: a.ID, Name: a.Name, PriceGroups: a.PriceGroups})
	}
	to.Affiliations = append(to.Affiliations, f.Affiliations...)
	var err error
	f.OfSale, err = d.regroup(t, begins, priceGroups(to))
	return f, err
}

func (t *Transaction) affiliated(id string) bool {
	return slices.ContainsFunc(t.Affiliations, func(a events.Affiliation) bool { return a.ID == id })
}

// pointsEarned are the points that a concluded sale earns, or takes back where it returns more
// than it sells. A part of the scheme's amount earns nothing.
func pointsEarned(scheme LoyaltyScheme, f *events.SaleConcluded) []events.PointsLine {
	if f.Loyalty == nil || scheme.PerAmount <= 0 || scheme.Points == 0 {
		return nil
	}
	amount := f.Sales + f.Returns
	points := int64(amount/scheme.PerAmount) * scheme.Points
	if points == 0 {
		return nil
	}
	return []events.PointsLine{{Card: f.Loyalty.Card, Kind: "earned", Points: points, Amount: amount}}
}

// applyCart folds the facts about whom the transaction is for, what it waits for, and where it is.
func (s *State) applyCart(fact events.OfTransaction) error {
	t := s.Transaction
	switch f := fact.(type) {
	case *events.SaleCustomerSet:
		customer := f.Customer
		t.Customer = &customer
	case *events.SaleCustomerCleared:
		t.Customer = nil
	case *events.LoyaltyCardAdded:
		t.Attached = withCard(t.Attached, f)
	case *events.AffiliationsAdded:
		t.Affiliations = append(t.Affiliations, f.Affiliations...)
	case *events.SaleSuspended:
		s.Suspended, s.Transaction = append(s.Suspended, t), nil
	case *events.SaleRecalled:
		if err := t.setVoided(&f.OfSale, true, f.Dropped); err != nil {
			return err
		}
	case *events.SaleTakenOver:
		if err := t.setVoided(&f.OfSale, true, f.Dropped); err != nil {
			return err
		}
	case *events.OrderBegun:
		t.Order = &CartOrder{Percent: f.Percent, RoundTo: f.RoundTo, PickUpOn: f.PickUpOn}
	case *events.DepositOverridden:
		if t.Order == nil {
			return fmt.Errorf("transaction %s is no order", t.ID)
		}
		t.Order.Agreed = nil
		if !f.Cleared {
			agreed := f.Deposit
			t.Order.Agreed = &agreed
		}
	case *events.OrderRecalled:
		for _, line := range f.Lines {
			t.replaceLine(&Line{Line: line})
		}
		t.Discount = Discount{Amount: f.Discount}
		t.Customer, t.Order = f.Customer, &CartOrder{PickedUp: f.PickUp}
	default:
		return fmt.Errorf("fact %s has no place in a transaction", fact.Type())
	}
	t.PriceGroups = priceGroups(t.Attached)
	t.Totals = fact.Sale().After
	return nil
}
