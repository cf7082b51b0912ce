package events

// saleFacts are about one transaction: a sale, a return, or both.
var saleFacts = []func() Fact{
	func() Fact { return new(LineAdded) },
	func() Fact { return new(LineVoided) },
	func() Fact { return new(LineRestored) },
	func() Fact { return new(QuantitySet) },
	func() Fact { return new(LineTurned) },
	func() Fact { return new(LinePriceOverridden) },
	func() Fact { return new(LineUnitChanged) },
	func() Fact { return new(LineSerialSet) },
	func() Fact { return new(LineCommented) },
	func() Fact { return new(LineDiscountSet) },
	func() Fact { return new(LineTaxOverridden) },
	func() Fact { return new(TaxOverridden) },
	func() Fact { return new(SaleCommented) },
	func() Fact { return new(TotalDiscountSet) },
	func() Fact { return new(PaymentTaken) },
	func() Fact { return new(PaymentVoided) },
	func() Fact { return new(SaleVoided) },
	func() Fact { return new(SaleConcluded) },
}

// OfSale holds the common fields of every fact about a transaction.
type OfSale struct {
	Transaction TransactionID `json:"transaction"`
	// Begins holds the terms of a transaction in its first fact, and is absent from the others.
	Begins *Terms `json:"begins,omitempty"`
	// Regrouped says which price groups the transaction has from here on, and is absent where they stay.
	Regrouped *PriceGroups `json:"regrouped,omitempty"`
	// Changed holds every changed line in full, as it is now: the lines that the fact is about, and
	// others with a price or periodic discount that changed with them.
	Changed []Line `json:"changed,omitempty"`
	// Approved is what a manager approved for the whole transaction with this fact, and is absent
	// where nobody was asked. What was approved for one line stands in the line.
	Approved *Approved `json:"approved,omitempty"`
	// After is how the transaction stands with this fact applied.
	After Totals `json:"after"`
}

// Approved holds the amounts that a manager approved for a whole transaction, in minor
// units. A sum that is 0 says nothing.
type Approved struct {
	Discount Money `json:"total_discount,omitempty"` // the total discount
	Deposit  Money `json:"deposit,omitempty"`        // by how much the deposit may be below the store's
}

// About is the transaction.
func (s *OfSale) About() string { return string(s.Transaction) }

// Sale gives access to the embedded OfSale of any fact about a transaction.
func (s *OfSale) Sale() *OfSale { return s }

// OfTransaction is a fact about a transaction.
type OfTransaction interface {
	Fact
	Sale() *OfSale
}

// Terms are the conditions of a transaction, fixed when it begins.
type Terms struct {
	Number      int    `json:"number"`   // of this register and epoch, from 1
	Currency    string `json:"currency"` // ISO 4217, of every amount that names none
	Digits      int    `json:"digits"`   // of its minor unit
	TaxIncluded bool   `json:"tax_included"`
}

// Totals are the sums of a transaction in minor units.
type Totals struct {
	Lines    int   `json:"lines"`    // that are not voided
	Subtotal Money `json:"subtotal"` // of the lines, after their own discounts, before the total discount
	Discount Money `json:"discount"` // the total discount, positive
	Tax      Money `json:"tax"`
	Total    Money `json:"total"` // to pay; negative when the shop pays
	// Elsewhere is the part of the total that is not paid here: the rest of an order,
	// which waits for the pick-up, and at the pick-up the deposit, which was paid before.
	Elsewhere Money `json:"elsewhere,omitempty"`
	Paid      Money `json:"paid"`
	Due       Money `json:"due"` // total less elsewhere less paid
}

// TaxRate is one rate that a line is taxed at.
type TaxRate struct {
	Code string  `json:"code"`
	Rate Percent `json:"rate"`
}

// LineAdded says that a product was put on the transaction, or returned on it
// with a negative quantity (operations 100, 109), or that money was put on it for a
// gift card, which holds it once the sale is concluded (operations 512, 519).
type LineAdded struct {
	Asked
	OfSale
	Line Line `json:"added"`
	// Linked are the lines that came with it, in the order of their numbers.
	Linked []Line `json:"linked,omitempty"`
}

func (*LineAdded) Type() string { return "sale.line_added.v1" }

// LineVoided says that a line was taken back; it stays on the document with no effect (operation 102).
type LineVoided struct {
	Asked
	OfSale
	Line   int   `json:"line"`
	Linked []int `json:"linked,omitempty"` // lines that were added with it, and voided with it
}

func (*LineVoided) Type() string { return "sale.line_voided.v1" }

// LineRestored says that a voided line counts again (operation 102 once more).
type LineRestored struct {
	Asked
	OfSale
	Line   int   `json:"line"`
	Linked []int `json:"linked,omitempty"` // lines that were added with it, and count again with it
}

func (*LineRestored) Type() string { return "sale.line_restored.v1" }

// QuantitySet says that a line's quantity was changed (operations 105, 106).
type QuantitySet struct {
	Asked
	OfSale
	Line     int      `json:"line"`
	Quantity Quantity `json:"quantity"`
}

func (*QuantitySet) Type() string       { return "sale.quantity_set.v1" }
func (f *QuantitySet) ChangedLine() int { return f.Line }

// TotalDiscountSet says that the cashier set, changed or cleared the discount on the
// whole transaction: an amount or a percentage, never both, none to clear it (operations 302, 303).
type TotalDiscountSet struct {
	Asked
	OfSale
	Amount  Money   `json:"amount,omitempty"`
	Percent Percent `json:"percent,omitzero"`
}

func (*TotalDiscountSet) Type() string { return "sale.total_discount_set.v1" }

// PaymentTaken says that a part of the amount due was paid (operations 200, 206 and
// the other payments). A payment that reaches the amount due is in [SaleConcluded]:
// one operation is one entry.
type PaymentTaken struct {
	Asked
	OfSale
	Payment Payment `json:"taken"`
}

func (*PaymentTaken) Type() string { return "sale.payment_taken.v1" }

// PaymentVoided says that a payment was taken back before the end (operation 211).
type PaymentVoided struct {
	Asked
	OfSale
	Payment int `json:"payment"`
}

func (*PaymentVoided) Type() string { return "sale.payment_voided.v1" }

// SaleVoided says that the whole transaction was given up. It keeps its receipt number (operation 500).
type SaleVoided struct {
	Asked
	OfSale
	Receipt ReceiptNumber `json:"receipt"`
	Terms   Terms         `json:"terms"`
	Printed
}

func (*SaleVoided) Type() string { return "sale.voided.v1" }

// ConcludedLine is a line as printed.
type ConcludedLine struct {
	Line
	Voided        bool    `json:"voided,omitempty"`
	TotalDiscount Money   `json:"total_discount,omitempty"` // this line's share of it, positive
	Net           Money   `json:"net"`                      // gross less all discounts; with tax where prices include it
	Tax           []Money `json:"tax,omitempty"`            // for each of Taxes
}

// TaxTotal is the tax of a document at one rate.
type TaxTotal struct {
	TaxRate
	Base Money `json:"base"` // without tax
	Tax  Money `json:"tax"`
}

// SaleConcluded is the finished document, whole: every line, tax, payment and
// posting as printed. Where a payment concluded it, that payment is the last of
// Payments and stands in no other entry (operations 200, 206, 139).
type SaleConcluded struct {
	Asked
	OfSale
	Receipt  ReceiptNumber   `json:"receipt"`
	Terms    Terms           `json:"terms"`
	Comment  string          `json:"comment,omitempty"` // on the whole transaction
	Lines    []ConcludedLine `json:"lines"`
	Taxes    []TaxTotal      `json:"taxes"`
	Payments []Payment       `json:"payments"` // that were not voided
	Sales    Money           `json:"sales"`    // net of the lines sold
	Returns  Money           `json:"returns"`  // net of the lines returned, negative
	// GiftCards is the money put on gift cards. The shop owes it; it is neither sold nor returned.
	GiftCards Money     `json:"gift_cards,omitempty"`
	Postings  []Posting `json:"postings"`
	Attached
	Points []PointsLine `json:"points,omitempty"`
	Order  *PickUp      `json:"order,omitempty"` // that the sale picks up, or cancels
	Printed
	Checked
}

func (*SaleConcluded) Type() string { return "sale.concluded.v1" }

// Discounts are all that was taken off the lines: by offers, by hand, and of the whole.
func (f *SaleConcluded) Discounts() (sum Money) {
	for i := range f.Lines {
		if line := &f.Lines[i]; !line.Voided {
			sum += line.Gross - line.Net
		}
	}
	return sum
}

// Posts are the postings.
func (f *SaleConcluded) Posts() []Posting { return f.Postings }

// Checked is embedded in a fact that carries a signed checkpoint.
type Checked struct {
	// Checkpoint is the register's signed note over the chain before this entry: origin, size, hash.
	Checkpoint string `json:"checkpoint"`
}

// Sign gives access to the embedded Checked.
func (c *Checked) Sign() *Checked { return c }

// Checkpointed is a fact that carries a signed checkpoint of the chain before it.
type Checkpointed interface {
	Fact
	Sign() *Checked
}
