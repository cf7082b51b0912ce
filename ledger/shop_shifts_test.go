package ledger_test

import (
	"maps"

	"github.com/posnode/posnode/events"
	"github.com/posnode/posnode/ledger"
)

// cashier may sell and little else: their rights are of two positions.
var cashier = []events.Rights{{Operations: []int{100, 200, 206, 500}}, {Operations: []int{100, 920, 1050, 1200}}}

// withShiftStores adds the stores that handle the cash in their drawers in ways of their own.
func withShiftStores(standard ledger.Store, all map[string]ledger.Store) map[string]ledger.Store {
	accounts := map[string]ledger.CashAccount{
		"KEYS": {Name: "Deposits for keys", Kind: "income"}, "WINDOWS": {Name: "Window cleaning", Kind: "expense"},
	}
	counted := standard
	counted.Tenders = maps.Clone(standard.Tenders)
	counted.Tenders["cash"] = ledger.Tender{
		ID: "cash", Name: "Cash", Kind: "cash", OverPaid: true, Refund: true, RoundTo: 5,
		Counting: ledger.Counting{Required: true, MaxDifference: 100, MaxRecounts: 2},
	}
	counted.Cash = ledger.Cash{
		StartRequired: true, Denominations: map[string][]events.Money{"GBP": {5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000}}, Accounts: accounts,
	}
	counted.Profile.ShiftOperationsOffline = true
	counted.Reasons = map[string]ledger.Reasons{"open_drawer": {Mandatory: true, Codes: []ledger.ReasonCode{
		{Code: "CHANGE", Text: "Change for a customer"}, {Code: "OTHER", Text: "Something else", NoteRequired: true},
	}}}
	// Every count adds to the one before, and the shift can be closed without any.
	summed := counted
	summed.Tenders = maps.Clone(counted.Tenders)
	summed.Tenders["cash"] = ledger.Tender{ID: "cash", Name: "Cash", Kind: "cash", OverPaid: true, Refund: true}
	summed.Cash.SumDeclarations, summed.Cash.StartRequired = true, false
	strict := standard
	strict.SignOn = ledger.SignOn{Failures: 3, Minutes: 5}
	accounted := all["cashless"]
	accounted.Cash.Accounts = accounts
	all["counted"], all["summed"], all["strict"], all["cashless"] = counted, summed, strict, accounted
	return withMoreStores(all)
}
