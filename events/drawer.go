package events

// drawerFacts are about the cash in the drawer apart from sales.
var drawerFacts = []func() Fact{
	func() Fact { return new(StartAmountDeclared) },
}

// Posting is one line of a balanced entry: Amount is positive for a debit and
// negative for a credit, in minor units, and the postings of a document sum to zero.
type Posting struct {
	Account string `json:"account"`
	Amount  Money  `json:"amount"`
}

// StartAmountDeclared says how much cash the drawer held when the shift began (operation 1200).
type StartAmountDeclared struct {
	Asked
	Shift    ShiftID   `json:"shift"`
	Tender   TenderID  `json:"tender"`
	Amount   Money     `json:"amount"`
	Currency string    `json:"currency"`
	Comment  string    `json:"comment,omitempty"`
	Postings []Posting `json:"postings"`
}

func (*StartAmountDeclared) Type() string    { return "drawer.start_amount_declared.v1" }
func (f *StartAmountDeclared) About() string { return string(f.Shift) }
