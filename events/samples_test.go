package events

import (
	"time"

	"github.com/oklog/ulid/v2"
)

// samples holds one fact of every stored type, in its newest version: the golden files, the seeds
// of the fuzzer and the examples of docs/events.md are made of it. To add a fact, add a sample with
// every field filled in, and run `go test ./events -update`.
func samples() []Fact {
	return []Fact{
		&RegisterActivated{Record: sampleRecord},
		&ModeChanged{Asked: sampleAsked, From: Online, To: Offline, Cause: "timeout", Detail: "products: no answer within 3s", Transaction: "s001-r01-1-7", Profile: "2026-03", TimeoutMillis: 3000},
		&StaffLoggedOn{Asked: sampleAsked, Staff: "7", Name: "Ann", Rights: sampleRights, Refused: 2},
		&StaffLoggedOff{Asked: sampleAsked, Staff: "7"},
		&SignOnRefused{Asked: sampleAsked, Staff: "8", Code: "sign_on_refused", Failed: Failed{Failures: 3, LockedUntil: 1772444100, Refused: 2}},
		&PermissionRefused{
			Asked: sampleAsked, Staff: "7", Approver: "8", Code: "override_refused", Why: "The approver's staff number or PIN is wrong.",
			Failed: Failed{Failures: 3, LockedUntil: 1772444100, Refused: 2},
		},
		&RegisterLocked{Asked: sampleAsked, Staff: "7"},
		&RegisterUnlocked{Asked: sampleAsked, Staff: "7", Refused: 2},
		&DeviceActivated{Asked: sampleAsked, User: "UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4", Key: "s001-r01+4d30414b+AQID", Recorded: 12, Proof: "posnode activation\n\n— hq MDAwMA==\n"},
		&DeviceInactivated{Asked: sampleAsked, Unsent: 3, Forced: true, Recorded: 13},
		&ActivationCodeIssued{Register: "s001-r01", Code: Hash([]byte("code")), User: "UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4", Expires: "2026-03-03T09:15:00Z"},
		&ActivationRefused{Request: "01JNB8S9M00000000000000001", Register: "s001-r01", Code: "activation_code_wrong"},
		&RegisterEnrolled{
			Request: "01JNB8S9M00000000000000001", Register: "s001-r01", Code: Hash([]byte("code")), User: "UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4",
			Key: "s001-r01+4d30414b+AQID", Epoch: 2, Head: sampleHead, Frozen: true,
			Numbers: Numbers{Transactions: 9, Shifts: 2, Receipts: 8, Customers: 1, Orders: 1, Counts: 1, Z: 2, Grand: []GrandTotal{{Currency: "GBP", Transactions: 8, Sales: 4200, Returns: -255, Tax: 700}}},
		},
		&RegisterKeyConfirmed{Of: sampleRegister, Epoch: 3, Key: "s001-r01+4d30414b+AQID", Who: "ann"},
		&RegisterRevoked{
			Request: "01JNB8S9M00000000000000001", Register: "s001-r01", Users: []string{"UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4"},
			Head: &sampleHead, Unsent: 3, Forced: true, Why: "stolen",
		},
		&ShiftConfirmed{Register: "s001-r01", Shift: "s001-r01-1-s1", Operation: 1055, Head: sampleHead},
		&ReservationGranted{Reservation: Reservation{
			ID: "01JNB8S9M00000000000000001", Register: "s001-r01", Transaction: "s001-r01-1-7", Payment: 1, Line: 2, Kind: ReserveGiftCard, Key: "GC-1", Amount: 1500,
			AsOf: "2026-03-02T07:00:00Z", Through: []Place{{Epoch: 1, Sequence: 40}}, Own: -200,
		}, Balance: 5000},
		&ExceptionFound{
			Kind: "gift_card_overdrawn", Key: "GC-1", Amount: 500, Detail: "GC-1 stands at -5.00", Facts: []ExceptionFact{
				{Register: "s001-r01", Epoch: 1, Sequence: 41, Transaction: "s001-r01-1-7", Time: "2026-03-02T09:15:00.000000000Z", Amount: -3000},
				{Register: "s001-r02", Epoch: 1, Sequence: 33, Transaction: "s001-r02-1-5", Time: "2026-03-02T09:16:00.000000000Z", Amount: -2500},
			},
		},
		&CustomerMapped{Provisional: "P-s001-r01-1-1", Customer: "C-000001"},
		&ClockedIn{Asked: sampleAsked, Staff: "7", From: "lunch"},
		&ClockedOut{Asked: sampleAsked, Staff: "7"},
		&BreakBegun{Asked: sampleAsked, Staff: "7", Break: "lunch"},
		&TimeEntriesViewed{Asked: sampleAsked, Of: "7", From: "2026-03-01", To: "2026-03-31"},
		&ShiftOpened{Asked: sampleAsked, Shift: "s001-r01-1-s1", Number: 1, Staff: "7", BusinessDate: "2026-03-02", Currency: "GBP", Digits: 2},
		&StartAmountDeclared{
			Asked: sampleAsked, Shift: "s001-r01-1-s1", Tender: "cash", Amount: 10000, Currency: "GBP", Comment: "from the safe",
			Postings: []Posting{{"tender:cash", 10000}, {"safe", -10000}}, Printed: sampleSlip,
		},
		&FloatAdded{Asked: sampleAsked, CashMoved: sampleCash(5000, "safe")},
		&TenderRemoved{Asked: sampleAsked, CashMoved: sampleCash(-5000, "safe")},
		&SafeDropped{Asked: sampleAsked, Dropped: sampleDropped("safe")},
		&BankDropped{Asked: sampleAsked, Dropped: sampleDropped("bank"), Bag: "B-0017"},
		&DrawerDeclared{Asked: sampleAsked, InShift: sampleShift, Counts: []Declared{{Count: sampleCount, Counted: 10500, Expected: 10520}}, Recount: 1, Comment: "counted twice", Printed: sampleSlip},
		&RecountAsked{Asked: sampleAsked, InShift: sampleShift, Counts: []Declared{{Count: sampleCount, Counted: 10500, Expected: 15520}}, Recount: 1, Tenders: []TenderID{"cash"}},
		&DrawerOpened{Asked: Asked{Input: sampleAsked.Input, Reason: &Reason{Code: "CHANGE", Text: "Change for a customer", Note: "a 20 note"}}, InShift: sampleShift, Comment: "change for a note"},
		&IncomeTaken{Asked: sampleAsked, CashAccount: CashAccount{CashMoved: sampleCash(1200, "income:KEYS"), Account: "KEYS", Name: "Deposits for keys"}},
		&ExpensePaid{Asked: sampleAsked, CashAccount: CashAccount{CashMoved: sampleCash(-1200, "expense:WINDOWS"), Account: "WINDOWS", Name: "Window cleaning"}},
		&ShiftSuspended{Asked: sampleAsked, InShift: sampleShift, Confirmed: sampleConfirmed, Leaving: Leaving{SignedOff: true}},
		&ShiftResumed{Asked: sampleAsked, InShift: sampleShift, Staff: "7"},
		&ShiftBlindClosed{Asked: sampleAsked, InShift: sampleShift, Confirmed: sampleConfirmed, Leaving: Leaving{SignedOff: true}},
		&XPrinted{Asked: sampleAsked, InShift: sampleShift, Confirmed: sampleConfirmed, Report: sampleReport, Printed: samplePrinted},
		&ShiftClosed{
			Printed: samplePrinted,
			Asked:   sampleAsked, InShift: sampleShift, Confirmed: sampleConfirmed, Z: 12, Report: sampleReport, Leaving: Leaving{SignedOff: true},
			Postings: []Posting{{"over_short", 20}, {"tender:cash", -20}},
			Checked:  Checked{Checkpoint: "posnode/s001-r01/1\n41\nMTExMTExMTExMTExMTExMTExMTExMTExMTExMTExMTE=\n\n— s001-r01 MDAwMA==\n"},
		},
		&ZReprinted{Asked: sampleAsked, InShift: sampleShift, Confirmed: sampleConfirmed, Z: 12, Copy: 1, Closed: 40},
		&ShiftsListed{Asked: sampleAsked, Shifts: []ShiftStanding{{Shift: "s001-r01-1-s1", Status: "blind_closed", Staff: "7", BusinessDate: "2026-03-02"}}},
		&LineAdded{Asked: sampleAsked, OfSale: sampleBegins(), Line: sampleLine, Linked: []Line{sampleDeposit}},
		&LineVoided{Asked: sampleReasoned, OfSale: sampleOfSale(0), Line: 1, Linked: []int{2}},
		&LineRestored{Asked: sampleAsked, OfSale: sampleOfSale(0), Line: 1, Linked: []int{2}},
		&LineTurned{Asked: sampleReasoned, OfSale: sampleChanged(), Line: 1, Quantity: sample(ParseQuantity("-2"))},
		&QuantitySet{Asked: sampleAsked, OfSale: sampleOfSale(0), Line: 1, Quantity: sample(ParseQuantity("0.75"))},
		&LinePriceOverridden{Asked: sampleAsked, OfSale: sampleChanged(), Line: 1, Level: "lower"},
		&LineUnitChanged{Asked: sampleAsked, OfSale: sampleChanged(), Line: 1, Unit: "box"},
		&LineSerialSet{Asked: sampleAsked, OfSale: sampleChanged(), Line: 1, Serial: "SN-4711"},
		&LineCommented{Asked: sampleAsked, OfSale: sampleChanged(), Line: 1, Comment: "gift"},
		&LineDiscountSet{Asked: sampleAsked, OfSale: sampleChanged(), Line: 1, Amount: 50, Percent: sample(ParsePercent("10"))},
		&LineTaxOverridden{Asked: sampleAsked, OfSale: sampleChanged(), Line: 1, Override: "EXEMPT"},
		&TaxOverridden{Asked: sampleAsked, OfSale: sampleChanged(), Override: "REDUCED", Name: "Reduced rate", Taxes: []TaxRate{sampleRate}},
		&SaleCommented{Asked: sampleAsked, OfSale: sampleOfSale(0), Comment: "paid by the neighbour"},
		&PriceChecked{
			Asked: sampleAsked, Product: "APPLES", Variant: "red", Unit: "box", Description: "Apples", Currency: "GBP",
			Base: sample(ParsePrice("3.49")), Price: sample(ParsePrice("2.99")), PriceGroup: "members", Offer: sampleChangedLine.Offer, Groups: []string{"members"},
		},
		&ProductViewed{
			Asked: sampleAsked, Product: "APPLES", Description: "Apples", Unit: "kg", QuantityDecimals: 3, Currency: "GBP", Price: sample(ParsePrice("3.49")),
			Taxes: []TaxRate{sampleRate}, Variants: []string{"red"}, Units: []string{"box"}, Blocked: true,
		},
		&ProductsSearched{Asked: sampleAsked, Text: "apples", Products: []ProductID{"APPLES", "JUICE"}},
		&TotalDiscountSet{Asked: sampleAsked, OfSale: sampleOfSale(0), Amount: 100, Percent: sample(ParsePercent("12.5"))},
		&PaymentTaken{Asked: sampleAsked, OfSale: sampleOfSale(200), Payment: Payment{Number: 1, Tender: "cash", Amount: 200, Tendered: 200}},
		&PaymentVoided{Asked: sampleAsked, OfSale: sampleOfSale(0), Payment: 1},
		&CardRequested{
			Asked: sampleAsked, OfSale: sampleOfSale(0), Command: "01KJPB5WZZKEYKEYKEYKEYKEYK", Action: ChargeCard, Reference: "s001-r01-1-7-c1",
			Payment: Payment{Number: 1, Tender: "card", Amount: 338, Tendered: 338},
		},
		&CardDeclined{Asked: sampleAsked, OfSale: sampleOfSale(0), Reference: "s001-r01-1-7-c1", Action: ChargeCard, Response: "51", Recovered: true},
		&CardAbandoned{Asked: sampleAsked, OfSale: sampleOfSale(0), Reference: "s001-r01-1-7-c1", Action: ChargeCard, Amount: 338, Command: "01KJPB5WZYKEYKEYKEYKEYKEYK", CommandInput: sampleAsked.Input},
		&BalanceChecked{Asked: sampleAsked, KnownGiftCard: KnownGiftCard{Card: "6001", Known: sampleKnown}, Available: 4500, Currency: "GBP", Blocked: true},
		&GiftCardPINRefused{Asked: sampleAsked, Card: "6001", Code: "gift_card_pin_wrong", Failed: Failed{Failures: 3, LockedUntil: 1772444100, Refused: 2}, Guessed: &Guessed{Misses: 5, Waits: 1, WaitUntil: 1772444110}},
		&NumbersGuessed{Asked: sampleAsked, Staff: "8", Code: "unknown_gift_card", Guessed: Guessed{Misses: 5, Waits: 1, WaitUntil: 1772444110}},
		&SaleVoided{Asked: sampleAsked, OfSale: sampleOfSale(0), Receipt: "s001-r01-1-000042", Terms: sampleTerms, Printed: samplePrinted},
		&ReceiptReprinted{
			Asked: sampleAsked, Transaction: "s001-r01-1-7", Number: "s001-r01-1-000042", Kind: ReceiptCopy, Copy: 2, Epoch: 1, Sequence: 17,
			Printed: Printed{Shop: sampleShop, Offset: 60},
		},
		&JournalShown{
			Asked: sampleAsked, Filter: JournalFilter{
				From: "2026-03-01", To: "2026-03-02", Transaction: "s001-r01-1-7", Receipt: "s001-r01-1-000042", Shift: "s001-r01-1-s1", Staff: "7", Product: "TEA", Limit: 20, Barcode: "4006381333931", Customer: "C1", Order: "SO-1",
			},
			Found: 1, AsOf: 41,
			Rows: []JournalRow{{
				Transaction: "s001-r01-1-7", Receipt: "s001-r01-1-000042", Status: "concluded", Date: "2026-03-02", Staff: "7", Lines: 2, Total: 88, Currency: "GBP",
				Ended: "2026-03-02T09:30:15.120000000Z",
			}},
		},
		&ReportViewed{Asked: sampleAsked, Report: "days", From: "2026-03-01", To: "2026-03-02", Shift: "s001-r01-1-s1", AsOf: 41},
		&SaleConcluded{
			Asked: sampleAsked, Receipt: "s001-r01-1-000042", Terms: sampleTerms, Comment: "paid by the neighbour",
			OfSale: OfSale{
				Transaction: "s001-r01-1-7",
				After:       Totals{Lines: 3, Subtotal: 238, Discount: 100, Tax: 14, Total: 138, Paid: 138},
			},
			Lines: []ConcludedLine{
				{Line: sampleLine, TotalDiscount: 100, Net: 338, Tax: []Money{56}},
				{Line: sampleLine, Voided: true},
				{Line: sampleReturn, Net: -250, Tax: []Money{-42}},
				{Line: sampleTopUp, Net: 50},
			},
			Taxes: []TaxTotal{{TaxRate: sampleRate, Base: 74, Tax: 14}},
			Payments: []Payment{
				{Number: 1, Tender: "account", Amount: 30, Tendered: 30, Account: &OnAccount{Customer: "C1", CreditLimit: 10000, OfflineLimit: 5000, Known: sampleKnown}},
				{Number: 2, Tender: "giftcard", Amount: 20, Tendered: 20, Reservation: "01JNB8S9M00000000000000001", GiftCard: &KnownGiftCard{Card: "6002", Known: sampleKnown}},
				{Number: 3, Tender: "loyalty", Amount: 10, Tendered: 10, Loyalty: &PointsSpent{Card: "L1", Points: 7, Value: sample(ParseRate("0.015")), Known: 120, AsOf: "2026-03-02T06:00:00Z", Through: []Place{{Epoch: 1, Sequence: 40}}, Own: -20}},
				{Number: 4, Tender: "check", Amount: 10, Tendered: 10, Check: "100321"},
				{Number: 5, Tender: "card", Amount: 10, Tendered: 10,
					Card: &CardApproval{Reference: "s001-r01-1-7-c1", Scheme: "VISA", LastFour: "1111", Approval: "A1B2C3", Terminal: "T1", Recovered: true}},
				{Number: 6, Tender: "currency", Amount: 5, Tendered: 854, Change: 850, ChangeTender: "cash", Rounding: 1,
					Foreign: &Foreign{Currency: "EUR", Digits: 2, Amount: 1000, Rate: sample(ParseRate("0.8537"))}},
				{Number: 7, Tender: "cash", Amount: 53, Tendered: 255, Change: 200, Rounding: -2},
			},
			Sales: 338, Returns: -250, GiftCards: 50,
			Postings: []Posting{
				{"accounts", 30}, {"giftcards", -30}, {"loyalty", 10}, {"returns:S", 208}, {"rounding", -1}, {"sales:S", -282}, {"tax:S", -14},
				{"tender:card", 10}, {"tender:cash", -795}, {"tender:check", 10}, {"tender:currency:EUR", 854},
			},
			Attached: sampleAttached,
			Points:   []PointsLine{{Card: "L100", Kind: "earned", Points: 8, Amount: 88}},
			Order:    &PickUp{Order: "SO-1", Deposit: 100, Cancelled: true, Reservation: "01JNB8S9M00000000000000002"},
			Printed:  samplePrinted,
			Checked:  Checked{Checkpoint: "posnode/s001-r01/1\n41\nMTExMTExMTExMTExMTExMTExMTExMTExMTExMTExMTE=\n\n— s001-r01 MDAwMA==\n"},
		},
		&SaleCustomerSet{Asked: sampleAsked, OfSale: sampleBegins(), Customer: *sampleAttached.Customer},
		&SaleCustomerCleared{Asked: sampleAsked, OfSale: sampleOfSale(0), Customer: "C1"},
		&LoyaltyCardAdded{
			Asked: sampleAsked, OfSale: sampleOfSale(0), Card: *sampleAttached.Loyalty, Customer: sampleAttached.Customer, Affiliations: sampleAttached.Affiliations,
		},
		&AffiliationsAdded{Asked: sampleAsked, OfSale: sampleOfSale(0), Affiliations: []Affiliation{{ID: "STAFF", Name: "Staff", PriceGroups: []string{"STAFF"}}}},
		&SaleSuspended{Asked: sampleAsked, OfSale: sampleOfSale(0), Terms: sampleTerms, Held: &sampleHeld, Printed: samplePrinted},
		&SaleRecalled{Asked: sampleAsked, OfSale: sampleOfSale(0), Dropped: []int{2}, Reservation: "01JNB8S9M00000000000000003"},
		&SaleTakenOver{
			Asked: sampleAsked, OfSale: sampleBegins(), From: Suspension{Transaction: "s001-r02-1-3", Register: "s001-r02", Head: sampleHead},
			Held: sampleHeld, Dropped: []int{2}, Reservation: "01JNB8S9M00000000000000003",
		},
		&SaleHandedOver{Transaction: "s001-r01-1-7", Suspended: 41, To: "s001-r02", Into: "s001-r02-1-9"},
		&CustomerAdded{Asked: sampleAsked, Customer: "P-s001-r01-1-3", Number: 3, Details: sampleDetails},
		&CustomerEdited{Asked: sampleAsked, Customer: "C1", Changes: []FieldChange{{Field: "city", Old: "Leeds", New: "York"}}, Details: sampleDetails},
		&SearchAnswered{Asked: sampleAsked, In: "customer", Text: "lovelace", Hits: []SearchHit{{Key: "C1", Text: "Ada Lovelace"}}, More: true},
		&OrderBegun{
			Asked: sampleAsked, OfSale: sampleOrder(0), Percent: sample(ParsePercent("20")), RoundTo: 10, Deposit: 70, PickUpOn: "2026-03-09",
		},
		&DepositOverridden{Asked: sampleAsked, OfSale: sampleOrder(0), Before: 100, Deposit: 70, Cleared: true},
		&OrderPlaced{
			SaleConcluded: SaleConcluded{
				Asked: sampleAsked, OfSale: sampleOrder(70), Receipt: "s001-r01-1-000042", Terms: sampleTerms,
				Lines:    []ConcludedLine{{Line: sampleLine, TotalDiscount: 100, Net: 338, Tax: []Money{56}}},
				Taxes:    []TaxTotal{{TaxRate: sampleRate, Base: 282, Tax: 56}},
				Payments: []Payment{{Number: 1, Tender: "cash", Amount: 70, Tendered: 70}},
				Postings: []Posting{{"deposits", -70}, {"tender:cash", 70}},
				Attached: sampleAttached,
			},
			Placed: Placement{Order: "O-s001-r01-1-2", Number: 2, Deposit: 70, PickUpOn: "2026-03-09"},
		},
		&OrderRecalled{
			Asked: sampleAsked, PickUp: PickUp{Order: "SO-1", Deposit: 70}, Customer: sampleAttached.Customer,
			OfSale: OfSale{
				Transaction: "s001-r01-1-7", Begins: &sampleTerms,
				After: Totals{Lines: 1, Subtotal: 438, Discount: 100, Tax: 56, Total: 338, Elsewhere: 70, Due: 268},
			},
			Lines: []Line{sampleLine}, Discount: 100, AsOf: "2026-03-02T06:00:00Z",
		},
		&StockLookedUp{
			Asked: sampleAsked, Product: "APPLES", Store: "s001", OnHand: sample(ParseQuantity("40")), AsOf: "2026-03-02T06:00:00Z",
			Moved: sample(ParseQuantity("1.255")), Available: sample(ParseQuantity("38.745")),
		},
		&StockCounted{Asked: sampleAsked, Count: 1, Counted: sampleCounted},
		&StockCountCommitted{Asked: sampleAsked, Count: 1, Lines: []CountedLine{sampleCounted}},
		&StockCountDiscarded{Asked: sampleAsked, Count: 1},
		&RegisterQuarantined{Of: sampleRegister, Epoch: 1, Kind: FrozenForked, Sequence: 37, Want: "hash a", Got: "hash b"},
		&FindingAccepted{Of: sampleRegister, Epoch: 1, Sequence: 37, Through: 40, Kind: "fork", Got: "hash b", Why: "a test image that was started by mistake", Who: "ann"},
		&CompletenessCertified{
			Of: sampleRegister, BusinessDate: "2026-03-02", Covered: []Covered{{Range{1, 1, 41}, Hash([]byte("entry 41"))}}, Shifts: []ShiftID{"s001-r01-1-s1"},
			Sums: samplePeriod, Without: sampleWithout, Note: "posnode completeness\ns001-r01\n2026-03-02\n1 1 41 MTExMTExMTExMTExMTExMTExMTExMTExMTExMTExMTE=\n\n— hq MDAwMA==\n",
		},
		&PeriodClosed{
			From: "2026-03-01", To: "2026-03-31", Registers: []PeriodTotals{{Of: sampleRegister, Sums: samplePeriod, Without: sampleWithout}}, Certificates: 31,
			LeftOut: []LeftOut{{Of: Register{"s001", "r02"}, Why: "destroyed in a fire"}},
			Digest:  Hash([]byte("the notes")),
		},
	}
}

var sampleWithout = []Excluded{{Range: Range{1, 37, 40}, Kind: "fork", Got: "hash b", Why: "a test image that was started by mistake", Who: "ann"}}

const sampleRecord = `{"store":"s001","register":"r01","epoch":1,"key":"s001-r01+33d7a0bc+Ab0","time":"2026-03-02T08:00:00Z"}`

var (
	sampleRegister = Register{Store: "s001", ID: "r01"}
	sampleAsked    = Asked{Input: "9f86d081884c7d659a2feaa0c55ad015"}
	sampleKnown    = Known{Balance: 5000, AsOf: "2026-03-02T07:00:00Z", Through: []Place{{Epoch: 1, Sequence: 40}}, Own: -500}
	sampleReason   = &Reason{Code: "OTHER", Text: "Another reason", Note: "wrong colour"}
	sampleReasoned = Asked{Input: sampleAsked.Input, Reason: sampleReason, StartReason: sampleReason, EndReason: sampleReason}
	sampleRights   = Rights{
		Manager: true, Operations: []int{100, 200}, PriceOverride: "both",
		LineDiscountPercent: sample(ParsePercent("10")), LineDiscountAmount: 1000,
		TotalDiscountPercent: sample(ParsePercent("12.5")), TotalDiscountAmount: 2000,
		LineReturnAmount: 5000, TotalReturnAmount: 10000, Reports: []string{"days", "tenders"},
	}
	sampleShop    = Shop{Name: "Corner Shop", Lines: []string{"1 High Street", "VAT GB 123 4567 89"}, Footer: []string{"Thank you"}}
	samplePrinted = Printed{Shop: sampleShop, Offset: 60, Tenders: []TenderName{{"cash", "Cash"}}}
	sampleSlip    = Printed{Shop: sampleShop, Offset: 60, Tenders: []TenderName{{"cash", "Cash"}}, Currencies: []CurrencyDigits{{"GBP", 2}}}
	sampleTerms   = Terms{Number: 7, Currency: "GBP", Digits: 2, TaxIncluded: true}
	sampleRate    = TaxRate{Code: "S", Rate: sample(ParsePercent("20"))}
	sampleLine    = Line{
		Number: 1, Product: "APPLES", Description: "Apfel <süß> & \"rot\", kg", Quantity: sample(ParseQuantity("1.255")), Price: sample(ParsePrice("3.49")),
		PriceKeyed: true, Gross: 438, QuantityDecimals: 3, Taxes: []TaxRate{sampleRate}, NotDiscountable: true,
	}
	sampleDeposit = Line{
		Number: 2, Product: "BOTTLE", Description: "Deposit", Quantity: NewQuantity(1), Price: sample(ParsePrice("0.25")), Gross: 25,
		Linked: &LinkedLine{To: 1, Each: NewQuantity(1)},
	}
	sampleShift = InShift{Shift: "s001-r01-1-s1"}
	sampleCount = Count{Tender: "cash", Currency: "GBP", Amount: 10500, Denominations: []Denomination{{5000, 2}, {100, 5}}}
	// sampleReport is of a shift that sold for 12.00, of which 2.00 came back, and was 0.20 short.
	sampleReport = ShiftReport{
		Number: 1, Staff: "7", BusinessDate: "2026-03-02", Opened: "2026-03-02T08:00:02.000000000Z", Currency: "GBP", Digits: 2, First: 3, Last: 41,
		Totals: ShiftTotals{
			Transactions: 2, CustomerSales: 1, Voided: 1, NoSale: 1, Suspended: 1, Sales: 1200, Returns: -200, Discounts: 100, Tax: 167, Rounding: 2,
			GiftCards: 2500, Deposits: 70, PaidToAccount: 300, Income: 1200, Expense: 500, Taxes: []TaxTotal{{TaxRate: sampleRate, Base: 833, Tax: 167}},
			Tenders: []TenderTotal{{
				Tender: "cash", Currency: "GBP", Transactions: 2, Tendered: 2200, Change: 500, Collected: 1700, Starting: 10000, Added: 500, Removed: 300,
				BankDrop: 880, SafeDrop: 500, Expected: 10520, Declared: true, Counted: 10500, OverShort: -20,
			}},
			Accounts: []AccountTotal{{Account: "KEYS", Name: "Deposits for keys", Income: 1200, Expense: 500}},
		},
		Grand: []GrandTotal{{Currency: "GBP", Transactions: 2, Sales: 1200, Returns: -200, Tax: 167}},
	}
	sampleReturn = Line{
		Number: 3, Product: "TEA", Description: "Tea", Quantity: sample(ParseQuantity("-1")), Price: sample(ParsePrice("2.5")),
		Gross: -250, Taxes: []TaxRate{sampleRate},
	}
	sampleTopUp = Line{
		Number: 4, Product: "GIFTCARD", Description: "Gift card", Quantity: NewQuantity(1), Price: sample(ParsePrice("0.5")), Gross: 50,
		NotDiscountable: true, GiftCard: &GiftCardLine{KnownGiftCard: KnownGiftCard{Card: "6001", Known: sampleKnown}, Issued: true, Reservation: "01JNB8S9M00000000000000003"},
	}
)

// sampleChangedLine has all the rare fields of a line. No real line has all of them.
var sampleChangedLine = Line{
	Number: 1, Product: "APPLES", Variant: "red", Barcode: "4006381333931", Description: "Apples", Quantity: sample(ParseQuantity("2")), Unit: "box",
	Factor: sample(ParseQuantity("10")), QuantityDecimals: 1, Serial: "SN-4711", Comment: "gift", Price: sample(ParsePrice("3")), PriceGroup: "members",
	Overridden: &OriginalPrice{Price: sample(ParsePrice("3.49")), Approved: 98}, Gross: 600,
	Offer: &OfferApplied{
		Offer: "O1", Name: "Two or more", Group: "members", MinQuantity: sample(ParseQuantity("2")), Percent: sample(ParsePercent("10")),
		AmountOff: sample(ParsePrice("0.3")), Amount: 60,
	},
	Discount: &LineDiscountApplied{Keyed: 50, Percent: sample(ParsePercent("10")), Amount: 50, Approved: 50},
	Original: &OriginalLine{
		Transaction: "s001-r01-1-3", Receipt: "s001-r01-1-000003", Line: 2, Bought: sample(ParseQuantity("5")), Paid: 1500,
		Returned: sample(ParseQuantity("1")), GivenBack: 300, Discount: -100, Reservation: "01JNB8S9M00000000000000003",
	},
	Taxes: []TaxRate{sampleRate}, TaxOverride: &TaxOverride{Override: "EXEMPT", Name: "Exempt", Instead: []TaxRate{sampleRate}, Approved: 12},
}

// sampleChanged is a transaction with a changed line.
func sampleChanged() OfSale {
	of := sampleOfSale(0)
	of.Regrouped, of.Changed = &PriceGroups{Groups: []string{"members"}}, []Line{sampleChangedLine}
	of.Approved = &Approved{Discount: 100, Deposit: 70}
	return of
}

var (
	sampleAttached = Attached{
		Customer: &SaleCustomer{
			Customer: "C1", Name: "Ada Lovelace", PriceGroups: []string{"TRADE"}, Blocked: true, AllowsOnAccount: true, InvoiceAccount: "C2",
			CreditLimit: 50000, Balance: 1250, AsOf: "2026-03-02T06:00:00Z",
		},
		Loyalty:      &SaleLoyalty{Card: "L100", Customer: "C1", Points: 120, PointsAsOf: "2026-03-02T06:00:00Z", PriceGroups: []string{"CLUB"}},
		Affiliations: []Affiliation{{ID: "CLUB", Name: "Club", PriceGroups: []string{"CLUB"}, Loyalty: true}},
	}
	// sampleHeld has everything that a transaction can have when it is set aside.
	sampleHeld = HeldSale{
		Lines: []HeldLine{{Line: sampleLine}, {Line: sampleDeposit, Voided: true}}, Discount: 100, Percent: sample(ParsePercent("5")), Attached: sampleAttached,
		TaxOverride: &HeldTax{Override: "REDUCED", Name: "Reduced", Taxes: []TaxRate{sampleRate}}, Comment: "back at five",
		Order: &HeldOrder{
			PickedUp: PickUp{Order: "SO-1", Deposit: 100, Cancelled: true, Reservation: "01JNB8S9M00000000000000002"},
			Percent:  sample(ParsePercent("20")), RoundTo: 10, Agreed: &sampleAgreed, PickUpOn: "2026-03-09",
		},
		Approved: &Approved{Discount: 100, Deposit: 70},
	}
	sampleAgreed  = Money(70)
	sampleDetails = CustomerDetails{
		Kind: "person", Name: "Ada Lovelace", Phone: "+44 1904 000000", Email: "ada@example.org", Street: "1 Stonegate", Postcode: "YO1 8AN",
		City: "York", Country: "GB", Group: "RETAIL", Currency: "GBP", Language: "en-GB", TaxNumber: "GB000000000",
	}
	sampleCounted = CountedLine{Product: "APPLES", Description: "Apples, kg", Quantity: sample(ParseQuantity("12.5"))}
)

var samplePeriod = []PeriodSums{{Currency: "GBP", Transactions: 12, Sales: 4380, Returns: -438, Tax: 657}}

// sampleOrder is sampleOfSale as an order with a deposit of 0.70.
func sampleOrder(paid Money) OfSale {
	of := sampleOfSale(paid)
	of.After.Elsewhere, of.After.Due = 268, 70-paid
	return of
}

// sampleCash is amount put into the drawer from an account, or taken out to it where it is negative.
func sampleCash(amount Money, account string) CashMoved {
	return CashMoved{
		InShift: sampleShift, Tender: "cash", Amount: max(amount, -amount), Currency: "GBP", Comment: "a note",
		Postings: []Posting{{"tender:cash", amount}, {account, -amount}}, Printed: sampleSlip,
	}
}

func sampleDropped(to string) Dropped {
	return Dropped{
		InShift: sampleShift, Amounts: []Count{sampleCount}, Comment: "at noon",
		Postings: []Posting{{to, 10500}, {"tender:cash", -10500}}, Printed: sampleSlip,
	}
}

// sampleOfSale is a transaction of 4.38 less 1.00, of which paid is paid.
func sampleOfSale(paid Money) OfSale {
	return OfSale{
		Transaction: "s001-r01-1-7",
		After:       Totals{Lines: 1, Subtotal: 438, Discount: 100, Tax: 56, Total: 338, Paid: paid, Due: 338 - paid},
	}
}

// sampleBegins is the same in its first fact.
func sampleBegins() OfSale {
	of := sampleOfSale(0)
	of.Begins = &sampleTerms
	return of
}

// sealSample seals a fact as the golden files have it.
func sealSample(fact Fact) (Message, *Entry, error) {
	c := Circumstances{
		ID: ulid.MustParse("01KJPB5X00EXAMP1EEXAMP1E00"), Time: time.Date(2026, 3, 2, 9, 30, 15, 120_000_000, time.UTC), Mode: Offline,
	}
	head := Head{Epoch: 1, Sequence: 41, Hash: Hash([]byte("the entry before"))}
	if _, first := fact.(*RegisterActivated); first {
		head = Head{Epoch: 1, Hash: Hash([]byte(sampleRecord))}
	}
	if _, asked := fact.(Requested); asked {
		c.Operation, c.Command, c.Staff, c.Approver, c.Shift = 100, "01KJPB5WZZKEYKEYKEYKEYKEYK", "7", "8", "s001-r01-1-s1"
	}
	return Seal(sampleRegister, head, c, fact)
}

func sample[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

var (
	sampleHead      = Head{Epoch: 1, Sequence: 41, Hash: Hash([]byte("entry 41"))}
	sampleConfirmed = Confirmed{Confirmation: &Confirmation{Head: sampleHead, Checkpoint: "posnode/s001-r01/1\n41\nMTExMTExMTExMTExMTExMTExMTExMTExMTExMTExMTE=\n\n— hq MDAwMA==\n"}}
)
