package ledger_test

import (
	"maps"

	"github.com/posnode/posnode/events"
	"github.com/posnode/posnode/ledger"
)

// The reference shop of all scenarios. Every product is there for a reason;
// new operations add records here.

var (
	standardRate = events.TaxRate{Code: "S", Rate: percent("20")}
	reducedRate  = events.TaxRate{Code: "R", Rate: percent("5")}
	zeroRate     = events.TaxRate{Code: "Z", Rate: percent("0")}
	localRate    = events.TaxRate{Code: "L", Rate: percent("2.5")}
)

// pins are the PINs of the staff.
var pins = map[string]string{"5": "5555", "7": "1234", "8": "5678", "9": "9999", "10": "1010", "11": "1111"}

// stores are the store's settings that a scenario can begin with.
func stores() map[string]ledger.Store {
	standard := ledger.Store{
		Currency: "GBP", Digits: 2, TaxIncluded: true, MaxQuantity: quantity("10000"),
		Tenders: map[string]ledger.Tender{"cash": {ID: "cash", Name: "Cash", Kind: "cash", OverPaid: true, Refund: true}},
	}
	variant := func(change func(*ledger.Store)) ledger.Store {
		s := standard
		s.Tenders = maps.Clone(standard.Tenders)
		change(&s)
		return s
	}
	return withShiftStores(standard, map[string]ledger.Store{
		"standard": standard,
		// The smallest coin is 0.05.
		"rounding": variant(func(s *ledger.Store) {
			s.Currency = "CHF"
			s.Tenders["cash"] = ledger.Tender{ID: "cash", Name: "Cash", Kind: "cash", OverPaid: true, Refund: true, RoundTo: 5}
		}),
		// Prices are without tax.
		"exclusive": variant(func(s *ledger.Store) { s.Currency, s.TaxIncluded = "USD", false }),
		// A currency without a minor unit.
		"yen": variant(func(s *ledger.Store) { s.Currency, s.Digits = "JPY", 0 }),
		// Cash must be exact.
		"exact": variant(func(s *ledger.Store) {
			s.Tenders["cash"] = ledger.Tender{ID: "cash", Name: "Cash", Kind: "cash", Refund: true}
		}),
		// Every tender, and no limit.
		"tenders": variant(func(s *ledger.Store) { allTenders(s) }),
		// The smallest coin is 0.05, and all that is not cash is exact.
		"swiss": variant(func(s *ledger.Store) {
			s.Currency = "CHF"
			allTenders(s)
			s.Tenders["cash"] = ledger.Tender{ID: "cash", Name: "Cash", Kind: "cash", OverPaid: true, Refund: true, RoundTo: 5}
		}),
		// To void a payment takes a reason.
		"explained": variant(func(s *ledger.Store) {
			allTenders(s)
			s.Reasons = map[string]ledger.Reasons{"void_payment": {Mandatory: true, Codes: []ledger.ReasonCode{
				{Code: "MISTAKE", Text: "keyed wrongly"}, {Code: "OTHER", Text: "something else", NoteRequired: true},
			}}}
		}),
		// Every kind of limit that a tender can have.
		"limited": variant(func(s *ledger.Store) {
			s.Tenders["cash"] = ledger.Tender{ID: "cash", Name: "Cash", Kind: "cash", OverPaid: true, MaxOver: 5000, MaxUnder: 1000, Refund: true, Max: 20000}
			s.Tenders["check"] = ledger.Tender{ID: "check", Name: "Check", Kind: "check", Min: 500, MaxTotal: 2000}
			s.Tenders["card"] = ledger.Tender{ID: "card", Name: "Card", Kind: "card", MustFinish: true}
		}),
		// Reasons are asked for.
		"reasons": variant(func(s *ledger.Store) {
			s.Reasons = map[string]ledger.Reasons{
				"void_item": {Mandatory: true, Codes: []ledger.ReasonCode{
					{Code: "WRONG", Text: "Wrong product"}, {Code: "OTHER", Text: "Another reason", NoteRequired: true},
				}},
				"total_discount": {Codes: []ledger.ReasonCode{{Code: "REGULAR", Text: "A regular customer"}}},
			}
		}),
		"cashless": variant(func(s *ledger.Store) { delete(s.Tenders, "cash") }),
		"masked":   variant(func(s *ledger.Store) { s.ReceiptMask = "{store}/{yyyy}-{mm}-{dd}/{####}" }),
	})
}

func shopRecords() map[ledger.Query]any {
	records := map[ledger.Query]any{}
	for _, p := range []ledger.Product{
		{ID: "TEA", Description: "Tea", Price: price("2.50"), Taxes: []events.TaxRate{standardRate}},
		{ID: "MUG", Description: "Mug", Price: price("7.95"), Taxes: []events.TaxRate{standardRate}},
		{ID: "COAL", Description: "Coal, bag", Price: price("12.00"), Taxes: []events.TaxRate{reducedRate}},
		{ID: "BOOK", Description: "Book", Price: price("9.99"), Taxes: []events.TaxRate{zeroRate}},
		{ID: "APPLES", Description: "Apples, kg", Price: price("3.49"), QuantityDecimals: 3, Taxes: []events.TaxRate{zeroRate}},
		{ID: "SCREW", Description: "Screw", Price: price("0.012"), Taxes: []events.TaxRate{standardRate}},
		{ID: "JUICE", Description: "Juice", Price: price("1.99"), Taxes: []events.TaxRate{standardRate, localRate}},
		{ID: "PENNY", Description: "Penny sweet", Price: price("0.01")},
		{ID: "TENNER", Description: "Ten for the sum", Price: price("10")},
		{ID: "OPEN", Description: "Open department", KeyPrice: true, Taxes: []events.TaxRate{standardRate}},
		{ID: "BAG", Description: "Bag", ZeroPrice: true},
		{ID: "SAMPLE", Description: "Without a price"},
		{ID: "GONE", Description: "No longer sold", Price: price("1"), Blocked: true},
		{ID: "STAMP", Description: "Stamp", Price: price("1.35"), NotDiscountable: true, Taxes: []events.TaxRate{zeroRate}},
		{ID: "TARE", Description: "Costs less than nothing", Price: price("-1")},
		{ID: "ALMS", Description: "Taxed less than nothing", Price: price("1"), Taxes: []events.TaxRate{{Code: "N", Rate: percent("-5")}}},
		{ID: "GOLD", Description: "Gold, everything there is", Price: price("999999999"), Taxes: []events.TaxRate{standardRate}},
	} {
		records[ledger.Query{Kind: "product", Key: string(p.ID)}] = p
	}
	for _, c := range giftCards {
		records[ledger.Query{Kind: "giftcard", Key: string(c.Number)}] = c
	}
	for _, c := range customers {
		records[ledger.Query{Kind: "customer", Key: string(c.ID)}] = c
	}
	for _, c := range []ledger.LoyaltyCard{{Number: "L1", Points: 1000}, {Number: "L2", Points: 9000, Blocked: true}} {
		records[ledger.Query{Kind: "loyalty", Key: string(c.Number)}] = c
	}
	for _, s := range []ledger.StaffMember{{ID: "7", Name: "Ann", Groups: manager}, {ID: "8", Name: "Ben", Groups: manager}, {ID: "9", Name: "Cy", Blocked: true, Groups: manager}, {ID: "10", Name: "Di", Groups: trainee}, {ID: "11", Name: "Ed"},
		{ID: "5", Name: "Flo", Groups: cashier}} {
		records[ledger.Query{Kind: "staff", Key: string(s.ID)}] = s
	}
	return records
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func percent(s string) events.Percent   { return must(events.ParsePercent(s)) }
func price(s string) events.Price       { return must(events.ParsePrice(s)) }
func quantity(s string) events.Quantity { return must(events.ParseQuantity(s)) }

// manager may do everything.
var manager = []events.Rights{{Manager: true}}

// trainee has two positions, whose rights are merged.
var trainee = []events.Rights{
	{Operations: []int{1050, 1200, 100, 102, 206, 201, 211}},
	{Operations: []int{109, 100, 302}, TotalDiscountAmount: 100, PriceOverride: "higher"},
}
