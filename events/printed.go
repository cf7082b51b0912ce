package events

// printFacts are about paper: reprints and inquiries.
var printFacts = []func() Fact{
	func() Fact { return new(ReceiptReprinted) },
	func() Fact { return new(JournalShown) },
	func() Fact { return new(ReportViewed) },
}

// Shop is the text that the store prints above and below a document.
type Shop struct {
	Name   string   `json:"name,omitempty"`
	Lines  []string `json:"lines,omitempty"`  // address, telephone, tax number
	Footer []string `json:"footer,omitempty"` // below the document
}

// TenderName is the name of a tender on paper.
type TenderName struct {
	Tender TenderID `json:"tender"`
	Name   string   `json:"name"`
}

// Printed is embedded in a fact that is printed: the text of its paper besides the fact, so that it
// can be printed again years later, word for word.
type Printed struct {
	Shop Shop `json:"shop,omitzero"`
	// Offset is how far the store's clock was ahead of UTC, in minutes.
	Offset int `json:"utc_offset,omitempty"`
	// Tenders are the names of the tenders that the document names.
	Tenders []TenderName `json:"tender_names,omitempty"`
	// Currencies are the digits of the currencies of a document that does not say them itself.
	Currencies []CurrencyDigits `json:"currency_digits,omitempty"`
}

// CurrencyDigits is how many digits the minor unit of a currency had.
type CurrencyDigits struct {
	Currency string `json:"currency"` // ISO 4217
	Digits   int    `json:"digits"`
}

// Print gives access to the embedded Printed.
func (p *Printed) Print() *Printed { return p }

// Printable is a fact that is printed.
type Printable interface {
	Fact
	Print() *Printed
}

// Kinds of reprint.
const (
	ReceiptCopy = "copy" // the receipt once more, marked as a copy
	ReceiptGift = "gift" // without prices
)

// ReceiptReprinted says that a document was printed once more, as a copy with its
// number or as a gift receipt (operation 115).
type ReceiptReprinted struct {
	Asked
	Transaction TransactionID `json:"transaction"`
	Number      ReceiptNumber `json:"receipt"`
	Kind        string        `json:"kind"`     // copy or gift
	Copy        int           `json:"copy"`     // of that receipt and kind, from 1
	Epoch       int           `json:"epoch"`    // of the entry that holds the document
	Sequence    uint64        `json:"sequence"` // of the entry that holds the document
	Printed
}

func (*ReceiptReprinted) Type() string { return "receipt.reprinted.v1" }

// About is the transaction.
func (f *ReceiptReprinted) About() string { return string(f.Transaction) }

// JournalFilter selects the transactions that have ended. An empty field selects all.
type JournalFilter struct {
	From        string        `json:"from,omitempty"` // business date, YYYY-MM-DD
	To          string        `json:"to,omitempty"`   // business date, YYYY-MM-DD
	Transaction TransactionID `json:"transaction,omitempty"`
	Receipt     ReceiptNumber `json:"receipt,omitempty"`
	Shift       ShiftID       `json:"shift,omitempty"`
	Staff       StaffID       `json:"staff,omitempty"` // the member of staff that ended it
	Product     ProductID     `json:"product,omitempty"`
	Barcode     string        `json:"barcode,omitempty"`  // as scanned
	Customer    CustomerID    `json:"customer,omitempty"` // the customer that it was for
	Order       OrderID       `json:"order,omitempty"`    // that it placed, or picked up
	Limit       int           `json:"limit,omitempty"`    // how many rows at most
}

// JournalRow is one transaction in the list.
type JournalRow struct {
	Transaction TransactionID `json:"transaction"`
	Receipt     ReceiptNumber `json:"receipt"`
	Status      string        `json:"status"` // concluded or voided
	Date        string        `json:"business_date"`
	Staff       StaffID       `json:"staff"` // the member of staff that ended it
	Lines       int           `json:"lines"` // that were not voided
	Total       Money         `json:"total"`
	Currency    string        `json:"currency"` // ISO 4217
	Ended       string        `json:"ended"`    // RFC 3339, nanoseconds, UTC
}

// JournalShown records a search of transactions and its results (operation 115).
type JournalShown struct {
	Asked
	Filter JournalFilter `json:"filter"`
	Found  int           `json:"found"` // how many there were
	Rows   []JournalRow  `json:"rows"`  // the latest of them, the last one first
	AsOf   uint64        `json:"as_of"` // sequence of the last entry in the offline database
}

func (*JournalShown) Type() string { return "journal.shown.v1" }

// About is empty of names: the register is the source of the entry.
func (*JournalShown) About() string { return "journal" }

// ReportViewed says that someone looked at a report on the offline database (operation 1003).
type ReportViewed struct {
	Asked
	Report string  `json:"report"`         // its name, such as days
	From   string  `json:"from,omitempty"` // business date, YYYY-MM-DD
	To     string  `json:"to,omitempty"`   // business date, YYYY-MM-DD
	Shift  ShiftID `json:"shift,omitempty"`
	AsOf   uint64  `json:"as_of"` // sequence of the last entry in the offline database
}

func (*ReportViewed) Type() string { return "report.viewed.v1" }

// About is the report.
func (f *ReportViewed) About() string { return f.Report }
