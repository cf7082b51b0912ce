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
var pins = map[string]string{"7": "1234", "8": "5678", "9": "9999", "10": "1010", "11": "1111", "5": "5555", "4": "4444", "6": "6666", "3": "3333", "12": "1212"}

// stores are the store's settings that a scenario can begin with.
func stores() map[string]ledger.Store {
	standard := ledger.Store{
		Currency: "GBP", Digits: 2, TaxIncluded: true, MaxQuantity: quantity("10000"),
		Tenders:  map[string]ledger.Tender{"cash": {ID: "cash", Name: "Cash", Kind: "cash", OverPaid: true, Refund: true}},
		MaxPrice: price("50000"),
		TransactionTaxOverrides: []ledger.TaxOverride{
			{Override: "EXPORT", Name: "Export, exempt"}, {Override: "REDUCED", Name: "All at the reduced rate", Taxes: []events.TaxRate{reducedRate}},
		},
		LineTaxOverrides: []ledger.TaxOverride{
			{Override: "EXEMPT", Name: "Exempt", Taxes: []events.TaxRate{{Code: "E", Rate: percent("0")}}}, {Override: "REDUCED", Name: "Reduced rate", Taxes: []events.TaxRate{reducedRate}},
		},
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
		// Nobody switches by hand, and what head office said more than an hour ago is too old.
		"headstrong": variant(func(s *ledger.Store) {
			allTenders(s)
			s.Profile.Switching = ledger.Switching{Version: "7", ForbidManualSwitch: true, MaxAgeHours: 1}
		}),
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
		// Foreign money can be more than is due, and there is no cash to give change in.
		"changeless": variant(func(s *ledger.Store) { allTenders(s); delete(s.Tenders, "cash") }),
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
				"add_affiliation": {Mandatory: true, Codes: []ledger.ReasonCode{
					{Code: "CARD", Text: "Showed a card"}, {Code: "OTHER", Text: "Something else", NoteRequired: true},
				}},
				"total_discount": {Codes: []ledger.ReasonCode{{Code: "REGULAR", Text: "A regular customer"}}},
			}
		}),
		"cashless": variant(func(s *ledger.Store) { delete(s.Tenders, "cash") }),
		"untaxed":  variant(func(s *ledger.Store) { s.TransactionTaxOverrides, s.LineTaxOverrides = nil, nil }),
		// A fifth is the deposit of an order, in tens of pence; a point for each 10.00.
		"orders": variant(func(s *ledger.Store) {
			s.Orders = ledger.OrderSettings{DepositPercent: percent("20"), RoundTo: 10}
			s.Loyalty = ledger.LoyaltyScheme{Points: 1, PerAmount: 1000}
		}),
		// Nobody throws the switch by hand.
		"switchless": variant(func(s *ledger.Store) { s.Profile.ForbidManualSwitch = true }),
		// One of each.
		"small":  variant(func(s *ledger.Store) { s.MaxSuspended, s.MaxCounted = 1, 1 }),
		"masked": variant(func(s *ledger.Store) { s.ReceiptMask = "{store}/{yyyy}-{mm}-{dd}/{####}" }),
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
		{ID: "CANDLE", Description: "Candle", Price: price("3.00"), Taxes: []events.TaxRate{standardRate}, Offers: []ledger.Offer{
			{ID: "C5", Name: "5 or more, 10 %", MinQuantity: quantity("5"), Percent: percent("10")},
			{ID: "C10", Name: "10 or more, 0.50 off each", MinQuantity: quantity("10"), AmountOff: price("0.50")},
			{ID: "CM", Name: "Members", Validity: ledger.Validity{Group: "members"}, Percent: percent("15")},
			{ID: "CX", Name: "Next month", Validity: ledger.Validity{From: "2026-04-01"}, Percent: percent("90")},
			{ID: "CY", Name: "Last month", Validity: ledger.Validity{To: "2026-02-28"}, Percent: percent("90")},
		}},
		{ID: "SOAP", Description: "Soap", Price: price("4.00"), Taxes: []events.TaxRate{standardRate}, Prices: []ledger.GroupPrice{
			{MinQuantity: quantity("6"), Price: price("3.50")},
			{Validity: ledger.Validity{Group: "members"}, Price: price("3.80")},
			{Validity: ledger.Validity{Group: "staff"}, Price: price("2.00")},
			{Validity: ledger.Validity{From: "2026-04-01"}, Price: price("0.01")},
			{Validity: ledger.Validity{To: "2026-02-28"}, Price: price("0.01")},
		}},
		{ID: "SALE", Description: "On sale", Price: price("1.00"), Taxes: []events.TaxRate{standardRate}, Offers: []ledger.Offer{
			{ID: "S25", Name: "A quarter off", Percent: percent("25")},
		}},
		{ID: "EGGS", Description: "Eggs", Unit: "pc", Price: price("0.30"), Taxes: []events.TaxRate{zeroRate}, Units: []ledger.Unit{
			{Unit: "box", Factor: quantity("10")},
			{Unit: "tray", Factor: quantity("30"), Price: priceOf("7.50"), Decimals: 1},
		}, Prices: []ledger.GroupPrice{{Unit: "box", MinQuantity: quantity("3"), Price: price("2.60")}}},
		{ID: "SHIRT", Description: "Shirt", Price: price("20"), Taxes: []events.TaxRate{standardRate}, Variants: []ledger.Variant{
			{ID: "S", Description: "small"}, {ID: "XL", Description: "extra large", Price: priceOf("22")}, {ID: "XS", Blocked: true},
		}},
		{ID: "PHONE", Description: "Telephone", Price: price("199"), Serial: "required", PriceOverride: "lower", Taxes: []events.TaxRate{standardRate}},
		{ID: "LAMP", Description: "Lamp", Price: price("35"), Serial: "optional", PriceOverride: "higher", Taxes: []events.TaxRate{standardRate}},
		{ID: "FISH", Description: "Fish, kg", Unit: "kg", Price: price("18.90"), Quantity: "required", QuantityDecimals: 3, Taxes: []events.TaxRate{zeroRate}},
		{ID: "CAR", Description: "Car hire", Price: price("50"), Quantity: "fixed", PriceOverride: "none", Taxes: []events.TaxRate{standardRate}},
		{ID: "CAKE", Description: "Cake to order", KeyPrice: true, MinPrice: priceOf("10"), MaxPrice: priceOf("80"), CommentRequired: true, Taxes: []events.TaxRate{zeroRate}},
		{ID: "EASTER", Description: "Easter egg", Price: price("5"), From: "2026-03-15", To: "2026-04-10"},
		{ID: "XMAS", Description: "Christmas tree", Price: price("5"), To: "2025-12-31"},
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
	for _, c := range []ledger.LoyaltyCard{{Number: "L1", Points: 1000, AsOf: counted}, {Number: "L2", Points: 9000, Blocked: true}} {
		records[ledger.Query{Kind: "loyalty", Key: string(c.Number)}] = c
	}
	for _, b := range []ledger.Barcode{
		{Code: "4006381333931", Product: "TEA"},
		{Code: "5010000000017", Product: "SHIRT", Variant: "XL"},
		{Code: "5010000000024", Product: "EGGS", Unit: "box", Quantity: quantity("2")},
		{Code: "5010000000031", Product: "NOT THERE"},
	} {
		records[ledger.Query{Kind: "barcode", Key: b.Code}] = b
	}
	for _, s := range []ledger.StaffMember{{ID: "7", Name: "Ann", Groups: manager}, {ID: "8", Name: "Ben", Groups: manager}, {ID: "9", Name: "Cy", Blocked: true, Groups: manager}, {ID: "10", Name: "Di", Groups: trainee}, {ID: "11", Name: "Ed"}, {ID: "5", Name: "Fay", Groups: seller}, {ID: "4", Name: "Gus", Groups: novice}, {ID: "6", Name: "Flo", Groups: []events.Rights{{Operations: []int{100, 1050}}}}, {ID: "3", Name: "Hal", Groups: cashier}} {
		records[ledger.Query{Kind: "staff", Key: string(s.ID)}] = s
	}
	maps.Copy(records, cartRecords())
	maps.Copy(records, moreRecords())
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

func priceOf(s string) *events.Price { p := price(s); return &p }

// lineOperations are the operations on lines, prices and discounts.
var lineOperations = []int{100, 101, 102, 103, 104, 105, 106, 108, 109, 114, 123, 128, 130, 136, 200, 206, 300, 301, 302, 303, 500, 501, 922, 1050, 1200}

// seller may do them within limits, novice with none.
var (
	seller = []events.Rights{{
		Operations: lineOperations, PriceOverride: "lower", LineDiscountAmount: 200, LineDiscountPercent: percent("10"),
		TotalDiscountAmount: 500, TotalDiscountPercent: percent("5"), LineReturnAmount: 2000, TotalReturnAmount: 3000,
	}}
	novice = []events.Rights{{Operations: lineOperations}}
)

// manager may do everything.
var manager = []events.Rights{{Manager: true}}

// trainee has two positions, whose rights are merged.
var trainee = []events.Rights{
	{Operations: []int{1050, 1200, 100, 102, 206, 201, 211}},
	{Operations: []int{109, 100, 302}, TotalDiscountAmount: 100, PriceOverride: "higher"},
}
