package events

// shiftFacts are about shifts.
var shiftFacts = []func() Fact{
	func() Fact { return new(ShiftOpened) },
	func() Fact { return new(ShiftSuspended) },
	func() Fact { return new(ShiftResumed) },
	func() Fact { return new(ShiftBlindClosed) },
	func() Fact { return new(ShiftClosed) },
	func() Fact { return new(XPrinted) },
	func() Fact { return new(ZReprinted) },
	func() Fact { return new(ShiftsListed) },
}

// ShiftOpened begins a shift at the register's drawer (operation 1050).
type ShiftOpened struct {
	Asked
	Shift        ShiftID `json:"shift"`
	Number       int     `json:"number"` // of this register and epoch, from 1
	Staff        StaffID `json:"staff"`
	BusinessDate string  `json:"business_date"` // YYYY-MM-DD
	Currency     string  `json:"currency"`      // ISO 4217, of every amount of the shift that names none
	Digits       int     `json:"digits"`        // of its minor unit
}

func (*ShiftOpened) Type() string    { return "shift.opened.v1" }
func (f *ShiftOpened) About() string { return string(f.Shift) }

// OfShift is the shift.
func (f *ShiftOpened) OfShift() ShiftID { return f.Shift }

// Leaving is embedded in a fact that may also sign the member of staff off.
type Leaving struct {
	SignedOff bool `json:"signed_off,omitempty"`
}

// SignsOff says whether nobody is signed on after the fact.
func (l *Leaving) SignsOff() bool { return l.SignedOff }

// ShiftSuspended says that the shift was set aside and its drawer is free for another (operation 1054).
type ShiftSuspended struct {
	Asked
	InShift
	Confirmed
	Leaving
}

func (*ShiftSuspended) Type() string { return "shift.suspended.v1" }

// ShiftResumed says that a suspended shift goes on (operation 1051).
type ShiftResumed struct {
	Asked
	InShift
	Staff StaffID `json:"staff"` // the member of staff that continues it
}

func (*ShiftResumed) Type() string { return "shift.resumed.v1" }

// ShiftBlindClosed says that nothing more is sold in the shift, while it is still
// to be counted and closed (operation 1053).
type ShiftBlindClosed struct {
	Asked
	InShift
	Confirmed
	Leaving
}

func (*ShiftBlindClosed) Type() string { return "shift.blind_closed.v1" }

// TenderTotal sums one tender in one currency during a shift, in minor units of that currency. The
// drawer should hold starting + added + collected - removed - bank drop - safe drop.
type TenderTotal struct {
	Tender       TenderID `json:"tender"`
	Currency     string   `json:"currency"`     // ISO 4217
	Transactions int      `json:"transactions"` // payments
	Tendered     Money    `json:"tendered"`     // handed over, less paid out
	Change       Money    `json:"change"`       // given back
	Collected    Money    `json:"collected"`    // tendered less change
	Starting     Money    `json:"starting"`
	Added        Money    `json:"added"`     // float entries
	Removed      Money    `json:"removed"`   // tender removals
	BankDrop     Money    `json:"bank_drop"` // to the bank
	SafeDrop     Money    `json:"safe_drop"` // to the safe
	Expected     Money    `json:"expected"`  // by the formula above
	// Declared says that it was counted; otherwise nothing is known to be over or short.
	Declared  bool  `json:"declared,omitempty"`
	Counted   Money `json:"counted"`
	OverShort Money `json:"over_short"` // counted less expected
}

// AccountTotal is the income or the expenses of one account in a shift.
type AccountTotal struct {
	Account string `json:"account"`
	Name    string `json:"name"`
	Income  Money  `json:"income"`  // taken
	Expense Money  `json:"expense"` // paid, positive
}

// ShiftTotals are the sums of a shift, in minor units of its currency where no other is named.
type ShiftTotals struct {
	Transactions  int            `json:"transactions"`    // concluded
	CustomerSales int            `json:"customer_sales"`  // of them, with a customer
	Voided        int            `json:"voided"`          // transactions
	NoSale        int            `json:"no_sale"`         // drawer openings
	Suspended     int            `json:"suspended"`       // transactions that wait now
	Sales         Money          `json:"sales"`           // net of the lines sold; with tax where prices include it
	Returns       Money          `json:"returns"`         // net of the lines returned, negative
	Discounts     Money          `json:"discounts"`       // given, positive
	Tax           Money          `json:"tax"`             // at all rates
	Rounding      Money          `json:"rounding"`        // settled beyond the money taken
	GiftCards     Money          `json:"gift_cards"`      // put on gift cards: owed, not sold
	Deposits      Money          `json:"deposits"`        // paid for orders, less those of orders picked up or cancelled
	PaidToAccount Money          `json:"paid_to_account"` // charged to customers' accounts
	Income        Money          `json:"income"`          // of all accounts
	Expense       Money          `json:"expense"`         // of all accounts, positive
	Taxes         []TaxTotal     `json:"taxes"`           // by rate
	Tenders       []TenderTotal  `json:"tenders"`         // by tender and currency
	Accounts      []AccountTotal `json:"accounts,omitempty"`
}

// GrandTotal sums the sales of the register in one currency since its epoch began. It never goes
// back to zero in it.
type GrandTotal struct {
	Currency     string `json:"currency"` // ISO 4217
	Transactions int    `json:"transactions"`
	Sales        Money  `json:"sales"`
	Returns      Money  `json:"returns"` // negative
	Tax          Money  `json:"tax"`
}

// ShiftReport is the content of an X or a Z report. The entry around it has the time and the member
// of staff.
type ShiftReport struct {
	Number       int     `json:"number"` // of the shift
	Staff        StaffID `json:"staff"`  // the member of staff that opened it
	BusinessDate string  `json:"business_date"`
	Opened       string  `json:"opened"` // RFC 3339, nanoseconds, UTC
	Currency     string  `json:"currency"`
	Digits       int     `json:"digits"`
	// First and Last are the sequences of the entries that the report covers: from the
	// one that opened the shift to the one before the report. Those of other shifts may lie between.
	First  uint64       `json:"first"`
	Last   uint64       `json:"last"`
	Totals ShiftTotals  `json:"totals"`
	Grand  []GrandTotal `json:"grand"` // up to the report
}

// ShiftClosed says that the shift is over for good, with its Z report. Z numbers
// are gapless per register and epoch (operation 1055).
type ShiftClosed struct {
	Asked
	InShift
	Confirmed
	Z        int         `json:"z"`
	Report   ShiftReport `json:"report"`
	Postings []Posting   `json:"postings"` // the amount over or short
	Leaving
	Printed
	Checked
}

func (*ShiftClosed) Type() string { return "shift.closed.v1" }

// Posts are the postings.
func (f *ShiftClosed) Posts() []Posting { return f.Postings }

// XPrinted says that the sums of a shift were printed before its end (operation 1056).
type XPrinted struct {
	Asked
	InShift
	Confirmed
	Report ShiftReport `json:"report"`
	Printed
}

func (*XPrinted) Type() string { return "shift.x_printed.v1" }

// ZReprinted says that the Z report of the last closed shift was printed once more (operation 1057).
type ZReprinted struct {
	Asked
	InShift
	Confirmed
	Z      int    `json:"z"`
	Copy   int    `json:"copy"`   // of that report, from 1
	Closed uint64 `json:"closed"` // sequence of the entry that holds the report
}

func (*ZReprinted) Type() string { return "shift.z_reprinted.v1" }

// ShiftStanding is how a shift that is not closed stands.
type ShiftStanding struct {
	Shift        ShiftID `json:"shift"`
	Status       string  `json:"status"` // open, suspended or blind_closed
	Staff        StaffID `json:"staff"`  // the member of staff that opened it
	BusinessDate string  `json:"business_date"`
}

// ShiftsListed says that someone looked which shifts are not closed (operation 918).
type ShiftsListed struct {
	Asked
	Shifts []ShiftStanding `json:"shifts"`
}

func (*ShiftsListed) Type() string { return "shift.listed.v1" }

// About is empty of names: the register is the source of the entry.
func (*ShiftsListed) About() string { return "shifts" }
