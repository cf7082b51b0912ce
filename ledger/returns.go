package ledger

import (
	"github.com/posnode/posnode/events"
)

// Sold is a document by which products can be returned, with what was returned of
// it already: the answer to a query of kind "receipt".
type Sold struct {
	Transaction events.TransactionID `json:"transaction"`
	Receipt     events.ReceiptNumber `json:"receipt"`
	Terms       events.Terms         `json:"terms"`
	Lines       []SoldLine           `json:"lines"`
}

// SoldLine is one of its lines.
type SoldLine struct {
	events.ConcludedLine
	Returned  events.Quantity `json:"came_back,omitzero"`   // by all documents since
	GivenBack events.Money    `json:"given_back,omitempty"` // for that, without tax where prices are without
}

// SoldBy is a document by which nothing has come back yet.
func SoldBy(f *events.SaleConcluded) Sold {
	s := Sold{Transaction: f.Transaction, Receipt: f.Receipt, Terms: f.Terms}
	for _, line := range f.Lines {
		s.Lines = append(s.Lines, SoldLine{ConcludedLine: line})
	}
	return s
}

// Return adds what came back of a line. A line that the document does not have is passed over.
func (s *Sold) Return(line int, quantity events.Quantity, amount events.Money) {
	if line >= 1 && line <= len(s.Lines) {
		l := &s.Lines[line-1]
		l.Returned, l.GivenBack = l.Returned.Add(quantity), l.GivenBack+amount
	}
}

func returnOperations() []*Operation {
	return []*Operation{
		{ID: 114, Name: "Return transaction", Group: "lines", Offline: Local, begins: true, Gates: Gates{Shift: true}, Reason: "return_transaction",
			Params: []Parameter{
				{Name: "receipt", Kind: KindText, Required: true, Max: 64, Doc: "number of the receipt"},
				{Name: "line", Kind: KindNumber, Required: true, Max: MaxLines, Doc: "number of the line on that receipt, from 1"},
				{Name: "quantity", Kind: KindQuantity, Doc: "how many units come back, above 0; what is left to return if absent"},
			},
			asks: func(_ *State, in values) []Query { return []Query{{"receipt", in.text("receipt")}} }, decide: returnSold},
	}
}

// returnSold puts a line of an earlier receipt on the transaction, with what was
// paid for it turned round: its price, its taxes, and its part of every discount (operation 114).
func returnSold(d *deciding) (events.Requested, error) {
	sold, err := d.soldLine()
	if err != nil {
		return nil, err
	}
	t, begins, err := d.roomForLine()
	if err != nil {
		return nil, err
	}
	original := sold.Line.Original
	if t.returning(original.Receipt, original.Line, 0) != nil {
		return nil, refuse("line_returned_here", "Line %d of receipt %s is on this transaction already.", original.Line, original.Receipt).
			instead("Set the quantity of that line.")
	}
	left := original.Bought.Sub(original.Returned)
	quantity := left
	if d.in.has("quantity") {
		quantity = d.in.quantity("quantity")
	}
	switch {
	case left.Sign() <= 0:
		return nil, refuse("nothing_to_return", "All of line %d of receipt %s has been returned.", original.Line, original.Receipt)
	case quantity.Sign() < 0:
		return nil, refuseParameter("quantity", "must be above 0")
	}
	if err := d.checkQuantity(quantity, sold.QuantityDecimals); err != nil {
		return nil, err
	}
	if quantity.Cmp(left) > 0 {
		return nil, tooMuchReturned(original)
	}
	sold.Number, sold.Quantity = len(t.Lines)+1, quantity.Neg()
	if err := d.terms(sold.terms, t); err != nil {
		return nil, err
	}
	of, err := d.relined(t, begins, &sold.Line)
	return &events.LineAdded{OfSale: of, Line: sold.Line.Line}, err
}

func tooMuchReturned(original *events.OriginalLine) error {
	return refuse("return_too_large", "Of the %s bought on line %d of receipt %s, %s came back already.",
		original.Bought, original.Line, original.Receipt, original.Returned)
}

// returnable is a sold line on its way back.
type returnable struct {
	Line
	terms events.Terms
}

// soldLine is the line of the receipt that the command names, as it would come back.
func (d *deciding) soldLine() (*returnable, error) {
	number := d.in.text("receipt")
	doc, ok := find[Sold](d.Reference, "receipt", number)
	if !ok && d.Mode == events.Offline {
		return nil, refuse("realtime_service_unavailable", "Receipt %s sold nothing at this register; to look it up elsewhere needs head office.", number).
			instead("Return the product without its receipt, or try again when the register is online.").miss()
	}
	if !ok {
		return nil, refuse("unknown_receipt", "There is no receipt %s.", number).instead("Return the product without its receipt.").miss()
	}
	at := d.in.number("line")
	if at < 1 || at > len(doc.Lines) {
		return nil, refuse("unknown_line", "Receipt %s has no line %d.", number, at).instead("Select a line.")
	}
	sold := doc.Lines[at-1]
	if sold.Voided || sold.Quantity.Sign() <= 0 || sold.GiftCard != nil {
		return nil, refuse("line_not_returnable", "Line %d of receipt %s sold no product.", at, number)
	}
	line := sold.Line
	line.Offer, line.Discount, line.Overridden, line.TaxOverride, line.Linked = nil, nil, nil, nil, nil
	line.Original = &events.OriginalLine{
		Transaction: doc.Transaction, Receipt: doc.Receipt, Line: at, Bought: sold.Quantity, Paid: sold.Net, Returned: sold.Returned, GivenBack: sold.GivenBack,
	}
	return &returnable{Line{Line: line}, doc.Terms}, nil
}

// terms: what was sold in another currency, or with its tax reckoned otherwise, cannot be given back line by line.
func (d *deciding) terms(sold events.Terms, t *Transaction) error {
	if sold.Currency != t.Terms.Currency || sold.Digits != t.Terms.Digits || sold.TaxIncluded != t.Terms.TaxIncluded {
		return refuse("receipt_of_other_terms", "The receipt was made in %s under other terms than this transaction.", sold.Currency).
			instead("Return the product without its receipt.")
	}
	return nil
}

// returning is the live line, other than number except, that returns that line of that receipt, or nil.
func (t *Transaction) returning(receipt events.ReceiptNumber, line, except int) *Line {
	for _, l := range t.Lines {
		if o := l.Original; o != nil && !l.Voided && l.Number != except && o.Receipt == receipt && o.Line == line {
			return l
		}
	}
	return nil
}

// givenBack is what is given back for quantity, which is negative, of a sold line.
// It counts from the first return on, so that all returns together give back what was paid, and not a penny more.
func givenBack(o *events.OriginalLine, quantity events.Quantity) events.Money {
	upTo := o.Returned.Sub(quantity).TenThousandths()
	return o.Paid.MulDiv(upTo, o.Bought.TenThousandths()) - o.GivenBack
}

// returnAllowed says whether the employee may return as much as line and the transaction, whose lines add up to after, give back.
func (d *deciding) returnAllowed(t *Transaction, line *Line, after sums) error {
	if line.Voided || line.Quantity.Sign() >= 0 || d.rights.Manager {
		return nil
	}
	amount, digits := -line.Amount(), t.Terms.Digits
	if old := t.line(line.Number); old != nil && !old.Voided && -old.Amount() >= amount {
		return nil // it gives back no more than it did
	}
	operation := 109
	if line.Original != nil {
		operation = 114
	}
	if !allows(d.rights, operation) || d.rights.LineReturnAmount == 0 || d.rights.TotalReturnAmount == 0 {
		return deny("%s may not return products.", d.State.Staff.ID)
	}
	if amount > d.rights.LineReturnAmount {
		return refuse("line_return_too_large", "%s may return products of at most %s on a line.", d.State.Staff.ID, d.rights.LineReturnAmount.Decimal(digits)).
			instead("Ask a manager to approve it.")
	}
	if after.Returned > d.rights.TotalReturnAmount {
		return refuse("total_return_too_large", "%s may return products of at most %s on a transaction.", d.State.Staff.ID, d.rights.TotalReturnAmount.Decimal(digits)).
			instead("Ask a manager to approve it.")
	}
	return nil
}
