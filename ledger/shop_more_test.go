package ledger_test

import (
	"maps"

	"github.com/posnode/posnode/events"
	"github.com/posnode/posnode/ledger"
)

func init() {
	maps.Copy(pins, map[string]string{"1": "0101", "2": "2222", "15": "1515", "14": "1414"})
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
	mils := all["standard"]
	mils.Digits = 3
	all["mils"] = mils
	return all
}

// moreRecords are the reference shop's who may see some reports, or give back small deposits.
func moreRecords() map[ledger.Query]any {
	records := map[ledger.Query]any{}
	for _, s := range []ledger.StaffMember{
		{ID: "2", Name: "Ida", Groups: []events.Rights{
			{Operations: []int{100, 206, 515, 1003, 1050, 1200}, Reports: []string{"tenders", "days"}}, {Operations: []int{100}, Reports: []string{"days", "gossip"}},
		}},
		// Kim does everything at a cart, and gives nothing away alone.
		{ID: "15", Name: "Kim", Groups: []events.Rights{{
			Operations: []int{100, 102, 103, 105, 106, 109, 114, 117, 123, 134, 200, 206, 500, 503, 504, 602, 603, 620, 701, 1050}, LineReturnAmount: 5000, TotalReturnAmount: 9000,
		}}},
		// Lou may do what Kim may, and what Fay may within her limits.
		{ID: "14", Name: "Lou", Groups: append([]events.Rights{{Operations: []int{132, 503, 504, 602, 603, 620, 701}}}, seller...)},
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
		// What ends or begins on the day of all scenarios, next to what would be cheaper on another.
		{ID: "CLOVE", Description: "Clove", Price: price("10"), Offers: []ledger.Offer{
			{ID: "FROM", Name: "From today", Validity: ledger.Validity{From: "2026-03-02"}, Percent: percent("10")},
			{ID: "TOMORROW", Name: "From tomorrow", Validity: ledger.Validity{From: "2026-03-03"}, Percent: percent("90")},
		}},
		{ID: "OREGANO", Description: "Oregano", Price: price("10"), Offers: []ledger.Offer{
			{ID: "TO", Name: "To today", Validity: ledger.Validity{To: "2026-03-02"}, Percent: percent("20")},
			{ID: "YESTERDAY", Name: "To yesterday", Validity: ledger.Validity{To: "2026-03-01"}, Percent: percent("90")},
		}},
		{ID: "MINT", Description: "Mint, today only", Price: price("10"), From: "2026-03-02", To: "2026-03-02", Prices: []ledger.GroupPrice{
			{Validity: ledger.Validity{From: "2026-03-02", To: "2026-03-02"}, Price: price("9")}, {Validity: ledger.Validity{From: "2026-03-03"}, Price: price("1")},
		}},
		// Offers that come to the same, and one that comes to nothing.
		{ID: "DILL", Description: "Dill", Price: price("10"), Offers: []ledger.Offer{
			{ID: "FIRST", Name: "First", Percent: percent("10")}, {ID: "OTHER", Name: "Other", AmountOff: price("1")},
		}},
		{ID: "CRUMB", Description: "Crumb", Price: price("0.01"), Offers: []ledger.Offer{{ID: "TINY", Name: "Tiny", Percent: percent("10")}}},
		{ID: "HAMPER", Description: "Hamper with something that is gone", Price: price("50"), Linked: []ledger.LinkedProduct{{Product: "GONE"}}},
	} {
		records[ledger.Query{Kind: "product", Key: string(p.ID)}] = p
	}
	records[ledger.Query{Kind: "loyalty", Key: "L3"}] = ledger.LoyaltyCard{Number: "L3", Points: 100, AsOf: counted}
	records[ledger.Query{Kind: "giftcard", Key: "6102"}] = ledger.GiftCard{Number: "6102", Balance: 5000, Currency: "GBP", AsOf: "2026-03-02T07:00:30Z"}
	// Blank when head office last looked, which is later than all that happens here.
	records[ledger.Query{Kind: "giftcard", Key: "6103"}] = ledger.GiftCard{Number: "6103", Currency: "GBP", Blank: true, AsOf: "2026-03-03T07:00:00Z"}
	records[ledger.Query{Kind: "giftcard", Key: "6101"}] = ledger.GiftCard{Number: "6101", Balance: 5000, Currency: "GBP", AsOf: counted, PIN: "a hash"}
	records[ledger.Query{Kind: "order", Key: "SO-7"}] = ledger.Order{
		ID: "SO-7", Store: "s001", Status: ledger.OrderOpen, Customer: "K1", CustomerName: "Ada Lovelace", Currency: "GBP", TaxIncluded: true, Deposit: 300, AsOf: asOf,
		Lines: []events.Line{{Number: 1, Product: "TEA", Description: "Tea", Quantity: quantity("2"), Price: price("2.5"), Gross: 500, Taxes: []events.TaxRate{standardRate}}},
	}
	for id, change := range elsewhere {
		s := ledger.Suspended{
			From:  events.Suspension{Transaction: events.TransactionID(id), Register: "s001-r02", Head: events.Head{Epoch: 1, Sequence: 9, Hash: events.Hash([]byte("entry 9"))}},
			Terms: events.Terms{Number: 3, Currency: "GBP", Digits: 2, TaxIncluded: true},
			Held:  heldElsewhere(),
		}
		if change != nil {
			change(&s)
		}
		records[ledger.Query{Kind: "suspended", Key: id}] = s
	}
	return records
}

// heldElsewhere is what another register of the store has set aside: three lines of which one is voided, and one whose
// product is not sold any more.
func heldElsewhere() *events.HeldSale {
	tea := events.Line{Number: 1, Product: "TEA", Description: "Tea", Quantity: quantity("2"), Price: price("2.5"), Gross: 500, Taxes: []events.TaxRate{standardRate},
		Discount: &events.LineDiscountApplied{Percent: percent("10"), Amount: 50}}
	mug := events.Line{Number: 2, Product: "MUG", Description: "Mug", Quantity: quantity("1"), Price: price("7.95"), Gross: 795, Taxes: []events.TaxRate{standardRate}}
	gone := events.Line{Number: 3, Product: "GONE", Description: "No longer sold", Quantity: quantity("1"), Price: price("1"), Gross: 100}
	soap := events.Line{Number: 4, Product: "SOAP", Description: "Soap", Quantity: quantity("1"), Price: price("4"), Gross: 400, Taxes: []events.TaxRate{standardRate}}
	return &events.HeldSale{
		Lines: []events.HeldLine{{Line: tea}, {Line: mug, Voided: true}, {Line: gone}, {Line: soap}}, Discount: 85, Comment: "back at five",
		Attached:    events.Attached{Customer: &events.SaleCustomer{Customer: "K1", Name: "Ada Lovelace", PriceGroups: []string{"TRADE"}}, Affiliations: []events.Affiliation{{ID: "A", Name: "Members", PriceGroups: []string{"members"}}}},
		TaxOverride: &events.HeldTax{Override: "REDUCED", Name: "All at the reduced rate", Taxes: []events.TaxRate{reducedRate}},
	}
}

// elsewhere are transactions that another register has set aside, and in what they differ from heldElsewhere. Of those from
// 10 on each has one number that no register would have come to.
var elsewhere = map[string]func(*ledger.Suspended){
	"s001-r02-1-3": nil,
	"s001-r02-1-4": func(s *ledger.Suspended) { s.Terms.Currency = "EUR" },
	"s001-r02-1-5": func(s *ledger.Suspended) { s.Terms.Digits = 3 },
	"s001-r02-1-6": func(s *ledger.Suspended) { s.Held = nil }, // by an older program
	"s001-r02-1-7": func(s *ledger.Suspended) {
		s.Held.Order, s.Held.Discount = &events.HeldOrder{PickedUp: events.PickUp{Order: "SO-7", Deposit: 300, Reservation: "R"}}, 0
	},
	"s001-r02-1-8": func(s *ledger.Suspended) {
		agreed := events.Money(200)
		s.Held.Order, s.Held.Lines = &events.HeldOrder{Agreed: &agreed, PickUpOn: "2026-03-09"}, s.Held.Lines[:1]
	},
	"s001-r02-1-10": func(s *ledger.Suspended) { s.Held.Lines[0].Gross = 501 },
	"s001-r02-1-11": func(s *ledger.Suspended) { s.Held.Lines[3].Number = 5 },
	"s001-r02-1-12": func(s *ledger.Suspended) { s.Held.Lines[0].Taxes = []events.TaxRate{{Code: "N", Rate: percent("-5")}} },
	"s001-r02-1-13": func(s *ledger.Suspended) { s.Held.Lines[0].Discount.Amount = 501 },
	"s001-r02-1-14": func(s *ledger.Suspended) { s.Held.Lines[0].Discount.Amount = -1 },
	"s001-r02-1-15": func(s *ledger.Suspended) { s.Held.Lines[0].Discount.Percent = percent("-10") },
	"s001-r02-1-16": func(s *ledger.Suspended) { s.Held.Lines[3].Offer = &events.OfferApplied{Offer: "O", Amount: 401} },
	"s001-r02-1-17": func(s *ledger.Suspended) { s.Held.Lines[0].Offer = &events.OfferApplied{Offer: "O", Amount: 480} }, // with the discount more than there is
	"s001-r02-1-18": func(s *ledger.Suspended) { s.Held.Lines[3].GiftCard = &events.GiftCardLine{} },
	"s001-r02-1-19": func(s *ledger.Suspended) { s.Held.Lines[3].Original = &events.OriginalLine{} },
	"s001-r02-1-20": func(s *ledger.Suspended) { s.Held.Discount = -1 },
	"s001-r02-1-21": func(s *ledger.Suspended) { s.Held.Percent = percent("101") },
	"s001-r02-1-22": func(s *ledger.Suspended) { s.Held.Percent = percent("-1") },
	"s001-r02-1-23": func(s *ledger.Suspended) { s.Held.TaxOverride.Taxes[0].Rate = percent("-1") },
	"s001-r02-1-24": func(s *ledger.Suspended) { s.Held.Order = &events.HeldOrder{Percent: percent("-1")} },
	"s001-r02-1-25": func(s *ledger.Suspended) { s.Held.Order = &events.HeldOrder{RoundTo: -1} },
	"s001-r02-1-26": func(s *ledger.Suspended) {
		s.Held.Order = &events.HeldOrder{PickedUp: events.PickUp{Order: "SO-7", Deposit: -1}}
	},
	"s001-r02-1-27": func(s *ledger.Suspended) {
		agreed := events.Money(-1)
		s.Held.Order = &events.HeldOrder{Agreed: &agreed}
	},
	"s001-r02-1-28": func(s *ledger.Suspended) { s.Held.Lines[0].Discount.Keyed = -1 },
	"s001-r02-1-29": func(s *ledger.Suspended) {
		for len(s.Held.Lines) <= ledger.MaxLines {
			s.Held.Lines = append(s.Held.Lines, s.Held.Lines[3])
			s.Held.Lines[len(s.Held.Lines)-1].Number = len(s.Held.Lines)
		}
	},
}
