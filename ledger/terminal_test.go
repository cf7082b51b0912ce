package ledger_test

import (
	"fmt"

	"github.com/posnode/posnode/events"
	"github.com/posnode/posnode/ledger"
)

// What the shop of the scenarios needs for its tenders.

// counted is up to when HQ has counted: before the first entry of any scenario.
const counted = "2026-03-02T07:00:00Z"

var giftCards = []ledger.GiftCard{
	{Number: "6001", Balance: 5000, Currency: "GBP", AsOf: counted},
	{Number: "6002", Balance: 1000, Currency: "GBP", AsOf: counted},
	{Number: "6003", Balance: 1000, Currency: "GBP", Blocked: true, AsOf: counted},
	{Number: "6004", Balance: 1000, Currency: "USD", AsOf: counted},
	{Number: "6005", Currency: "GBP", Blank: true, AsOf: counted},
	{Number: "6006", Balance: 90000, Currency: "GBP", AsOf: counted},
}

var customers = []ledger.Customer{
	{ID: "C1", CustomerDetails: events.CustomerDetails{Kind: "person", Name: "Dee"}, AllowsOnAccount: true, CreditLimit: 10000, Balance: 4000, AsOf: counted},
	{ID: "C2", CustomerDetails: events.CustomerDetails{Kind: "person", Name: "Eli"}, AllowsOnAccount: true, Blocked: true, CreditLimit: 10000},
	{ID: "C3", CustomerDetails: events.CustomerDetails{Kind: "person", Name: "Flo"}, CreditLimit: 10000},
	{ID: "C4", CustomerDetails: events.CustomerDetails{Kind: "person", Name: "Gus"}, AllowsOnAccount: true, CreditLimit: 100000, AsOf: counted},
}

// allTenders gives a store every tender, three foreign currencies, and offline limits.
func allTenders(s *ledger.Store) {
	for _, t := range []ledger.Tender{
		{ID: "cash", Name: "Cash", Kind: "cash", OverPaid: true, Refund: true},
		{ID: "currency", Name: "Foreign currency", Kind: "currency", OverPaid: true, MaxOver: 10000, Refund: true},
		{ID: "card", Name: "Card", Kind: "card", Refund: true},
		{ID: "check", Name: "Check", Kind: "check", OverPaid: true, MaxOver: 5000},
		{ID: "account", Name: "On account", Kind: "account", Refund: true},
		{ID: "giftcard", Name: "Gift card", Kind: "giftcard", Refund: true},
		{ID: "loyalty", Name: "Points", Kind: "loyalty", PointValue: must(events.ParseRate("0.015"))},
	} {
		s.Tenders[string(t.ID)] = t
	}
	s.Currencies = map[string]ledger.Currency{
		"EUR": {Digits: 2, Rate: must(events.ParseRate("0.8537")), RoundTo: 500}, // notes only
		"JPY": {Digits: 0, Rate: must(events.ParseRate("0.005234"))},
		"KWD": {Digits: 3, Rate: must(events.ParseRate("2.5819"))},
		"XXX": {Digits: 2},
	}
	s.Profile = ledger.Profile{GiftCardPerCard: 4000, GiftCardPerTransaction: 5000, GiftCardInAll: 9000, AccountPerCustomer: 5000}
}

// askTerminal does what the register does with a request: it is recorded, the
// terminal is asked, and what it says is recorded too. It returns nil where the terminal says nothing.
func (w *till) askTerminal(request *events.CardRequested, c ledger.Command, approver events.StaffID) *events.Entry {
	asked := c
	asked.Key = "" // the outcome is recorded under it
	if _, err := w.record(request, asked, approver); err != nil {
		panic(fmt.Sprintf("operation %d: %v", c.Operation, err))
	}
	if w.charged == nil {
		w.charged = map[string]bool{}
	}
	if w.terminal != "decline" {
		w.charged[request.Reference] = request.Action == events.ChargeCard
	}
	if w.terminal == "lost" {
		return nil
	}
	return w.settle(false)
}

// recoverCard asks for an answer that was lost, once the terminal gives answers again.
func (w *till) recoverCard() {
	if t := w.state.Transaction; t != nil && t.Requested != nil && w.terminal != "lost" {
		w.settle(true)
	}
}

// settle records what the terminal has done of what it was asked.
func (w *till) settle(recovered bool) *events.Entry {
	request := w.state.Transaction.Requested
	// A terminal that says more than may be kept.
	outcome := ledger.CardOutcome{
		Approved: w.charged[request.Reference] == (request.Action == events.ChargeCard), Recovered: recovered,
		Scheme: "VISA", LastFour: "1111", Approval: "A1B2C3", Terminal: "4111 1111 1111 1111",
	}
	if !outcome.Approved {
		outcome.Response = "51: do not honour"
	}
	c := w.complete(ledger.Command{Operation: 201, Date: "2026-03-02"})
	fact := ledger.Settle(w.state, c, outcome)
	entry, err := w.record(fact, ledger.Command{Operation: request.Operation(), Key: request.Command, Staff: request.Staff}, request.Approver)
	if err != nil {
		panic(fmt.Sprintf("settle %s: %v", request.Reference, err))
	}
	return entry
}
