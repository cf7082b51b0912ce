package events

// drawerFacts are about the money in the drawer apart from sales.
var drawerFacts = []func() Fact{
	func() Fact { return new(StartAmountDeclared) },
	func() Fact { return new(FloatAdded) },
	func() Fact { return new(TenderRemoved) },
	func() Fact { return new(SafeDropped) },
	func() Fact { return new(BankDropped) },
	func() Fact { return new(DrawerDeclared) },
	func() Fact { return new(RecountAsked) },
	func() Fact { return new(DrawerOpened) },
	func() Fact { return new(IncomeTaken) },
	func() Fact { return new(ExpensePaid) },
}

// Posting is one line of a balanced entry: Amount is positive for a debit and
// negative for a credit, in minor units, and the postings of a document sum to zero.
type Posting struct {
	Account string `json:"account"`
	Amount  Money  `json:"amount"`
}

// Posted is a fact that posts balanced entries to the accounts of its shift.
type Posted interface {
	Fact
	Posts() []Posting
}

// InShift is embedded in a fact about one shift, which need not be the open one:
// a blind-closed shift is still counted and closed.
type InShift struct {
	Shift ShiftID `json:"shift"`
}

// About is the shift.
func (s *InShift) About() string { return string(s.Shift) }

// OfShift is the shift.
func (s *InShift) OfShift() ShiftID { return s.Shift }

// OfShift is a fact about one shift.
type OfShift interface {
	Fact
	OfShift() ShiftID
}

// CashMoved holds the common fields of facts that put cash into the drawer or take it out.
type CashMoved struct {
	InShift
	Tender   TenderID  `json:"tender"`
	Amount   Money     `json:"amount"` // above 0, whichever way it went
	Currency string    `json:"currency"`
	Comment  string    `json:"comment,omitempty"`
	Postings []Posting `json:"postings"`
	Printed
}

// Posts are the postings.
func (m *CashMoved) Posts() []Posting { return m.Postings }

// StartAmountDeclared says how much cash the drawer held when the shift began (operation 1200).
type StartAmountDeclared struct {
	Asked
	Shift    ShiftID   `json:"shift"`
	Tender   TenderID  `json:"tender"`
	Amount   Money     `json:"amount"`
	Currency string    `json:"currency"`
	Comment  string    `json:"comment,omitempty"`
	Postings []Posting `json:"postings"`
	Printed
}

func (*StartAmountDeclared) Type() string    { return "drawer.start_amount_declared.v1" }
func (f *StartAmountDeclared) About() string { return string(f.Shift) }

// OfShift is the shift.
func (f *StartAmountDeclared) OfShift() ShiftID { return f.Shift }

// Posts are the postings.
func (f *StartAmountDeclared) Posts() []Posting { return f.Postings }

// FloatAdded says that cash was put into the drawer during the shift (operation 1201).
type FloatAdded struct {
	Asked
	CashMoved
}

func (*FloatAdded) Type() string { return "drawer.float_added.v1" }

// TenderRemoved says that cash was taken out of the drawer during the shift (operation 1210).
type TenderRemoved struct {
	Asked
	CashMoved
}

func (*TenderRemoved) Type() string { return "drawer.tender_removed.v1" }

// Denomination is how many notes or coins of one value were counted.
type Denomination struct {
	Value Money `json:"value"` // minor units
	Count int   `json:"count"`
}

// Count is an amount of one tender in one currency, by denominations where they were counted.
type Count struct {
	Tender        TenderID       `json:"tender"`
	Currency      string         `json:"currency"` // ISO 4217
	Amount        Money          `json:"amount"`   // minor units of Currency
	Denominations []Denomination `json:"denominations,omitempty"`
}

// Dropped holds the common fields of facts that take amounts by tender out of the drawer for good.
type Dropped struct {
	InShift
	Amounts  []Count   `json:"amounts"`
	Comment  string    `json:"comment,omitempty"`
	Postings []Posting `json:"postings"`
	Printed
}

// Posts are the postings.
func (d *Dropped) Posts() []Posting { return d.Postings }

// SafeDropped says that amounts went from the drawer to the safe (operation 1211).
type SafeDropped struct {
	Asked
	Dropped
}

func (*SafeDropped) Type() string { return "drawer.safe_dropped.v1" }

// BankDropped says that amounts went from the drawer to the bank in a numbered bag (operation 1212).
type BankDropped struct {
	Asked
	Dropped
	Bag string `json:"bag"` // its number
}

func (*BankDropped) Type() string { return "drawer.bank_dropped.v1" }

// Declared is the counted amount of one tender in one currency, beside the amount that the drawer
// should have held.
type Declared struct {
	Count
	Counted  Money `json:"counted"`  // of the shift with this declaration: the last, or the sum of all, as the store has it
	Expected Money `json:"expected"` // when it was counted
}

// DrawerDeclared records a count of the drawer (operation 1052). It moves no money.
type DrawerDeclared struct {
	Asked
	InShift
	Counts  []Declared `json:"counts"`
	Recount int        `json:"recount,omitempty"` // how many times it had to be counted again
	Comment string     `json:"comment,omitempty"`
	Printed
}

func (*DrawerDeclared) Type() string { return "drawer.declared.v1" }

// RecountAsked says that a count was not accepted, because it differed by more
// than a tender's limit, and that the drawer is to be counted again (operation 1052).
type RecountAsked struct {
	Asked
	InShift
	Counts  []Declared `json:"counts"`
	Recount int        `json:"recount"` // the number of the recount that is asked for, from 1
	Tenders []TenderID `json:"tenders"` // that differed by too much
}

func (*RecountAsked) Type() string { return "drawer.recount_asked.v1" }

// DrawerOpened says that the drawer was opened without a sale (operation 1000).
type DrawerOpened struct {
	Asked
	InShift
	Comment string `json:"comment,omitempty"`
}

func (*DrawerOpened) Type() string { return "drawer.opened.v1" }

// CashAccount holds the common fields of income and expenses.
type CashAccount struct {
	CashMoved
	Account string `json:"account"` // of the store's list
	Name    string `json:"name"`    // the account's
}

// IncomeTaken says that cash was taken for something that is not sold, such as a
// deposit for a key (operation 517).
type IncomeTaken struct {
	Asked
	CashAccount
}

func (*IncomeTaken) Type() string { return "account.income_taken.v1" }

// ExpensePaid says that cash was paid out for something that the shop needs, such as
// window cleaning (operation 518).
type ExpensePaid struct {
	Asked
	CashAccount
}

func (*ExpensePaid) Type() string { return "account.expense_paid.v1" }
