package ledger_test

import (
	"maps"

	"github.com/posnode/posnode/events"
	"github.com/posnode/posnode/ledger"
)

func init() {
	maps.Copy(pins, map[string]string{"1": "0101", "2": "2222"})
}

// cardPINs are the PINs of the gift cards that have one.
var cardPINs = map[string]string{"6101": "4711"}

// withMoreStores adds stores that give change in two tenders, and lock cards out.
func withMoreStores(all map[string]ledger.Store) map[string]ledger.Store {
	checks := all["tenders"]
	checks.Tenders = maps.Clone(checks.Tenders)
	checks.Tenders["cash"] = ledger.Tender{ID: "cash", Name: "Cash", Kind: "cash", OverPaid: true, Refund: true, ChangeAbove: "check", ChangeThreshold: 2000}
	checks.SignOn = ledger.SignOn{Failures: 3, Minutes: 5}
	all["checks"] = checks
	why := all["tenders"]
	why.Reasons = map[string]ledger.Reasons{
		"start_of_transaction": {Mandatory: true, Codes: []ledger.ReasonCode{{Code: "WALKIN", Text: "Walked in"}, {Code: "OTHER", Text: "Otherwise", NoteRequired: true}}},
		"end_of_transaction":   {Mandatory: true, Codes: []ledger.ReasonCode{{Code: "SATISFIED", Text: "Satisfied"}}},
		"return_item":          {Mandatory: true, Codes: []ledger.ReasonCode{{Code: "BROKEN", Text: "Broken"}}},
	}
	all["why"] = why
	return all
}

// moreRecords are the reference shop's who may see some reports, or give back small deposits.
func moreRecords() map[ledger.Query]any {
	records := map[ledger.Query]any{}
	for _, s := range []ledger.StaffMember{
		{ID: "2", Name: "Ida", Groups: []events.Rights{
			{Operations: []int{100, 206, 515, 1003, 1050, 1200}, Reports: []string{"tenders", "days"}}, {Operations: []int{100}, Reports: []string{"days", "gossip"}},
		}},
		{ID: "1", Name: "Joe", Groups: []events.Rights{{Operations: []int{139, 206, 500, 515, 1050}, TotalReturnAmount: 500}}},
	} {
		records[ledger.Query{Kind: "staff", Key: string(s.ID)}] = s
	}
	for _, p := range []ledger.Product{
		{ID: "COLA", Description: "Cola", Price: price("1.20"), Taxes: []events.TaxRate{standardRate}, Linked: []ledger.LinkedProduct{{Product: "BOTTLE"}}, Units: []ledger.Unit{
			{Unit: "crate", Factor: quantity("24"), Price: priceOf("20")},
		}},
		{ID: "BOTTLE", Description: "Deposit on a bottle", Price: price("0.25"), NotDiscountable: true},
		{ID: "KEG", Description: "Keg", Price: price("80"), Taxes: []events.TaxRate{standardRate}, Linked: []ledger.LinkedProduct{{Product: "BOTTLE", Quantity: quantity("100")}, {Product: "MUG", Quantity: quantity("2")}}},
		{ID: "HAMPER", Description: "Hamper with something that is gone", Price: price("50"), Linked: []ledger.LinkedProduct{{Product: "GONE"}}},
	} {
		records[ledger.Query{Kind: "product", Key: string(p.ID)}] = p
	}
	records[ledger.Query{Kind: "giftcard", Key: "6101"}] = ledger.GiftCard{Number: "6101", Balance: 5000, Currency: "GBP", AsOf: counted, PIN: "a hash"}
	records[ledger.Query{Kind: "order", Key: "SO-7"}] = ledger.Order{
		ID: "SO-7", Store: "s001", Status: ledger.OrderOpen, Customer: "K1", CustomerName: "Ada Lovelace", Currency: "GBP", TaxIncluded: true, Deposit: 300, AsOf: asOf,
		Lines: []events.Line{{Number: 1, Product: "TEA", Description: "Tea", Quantity: quantity("2"), Price: price("2.5"), Gross: 500, Taxes: []events.TaxRate{standardRate}}},
	}
	return records
}
