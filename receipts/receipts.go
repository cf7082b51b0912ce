package receipts

import (
	"fmt"
	"strings"
	"time"

	"github.com/posnode/posnode/events"
)

// Text prints the document that an entry records. It says no where the entry
// records nothing that is printed by itself.
func Text(e *events.Entry) (string, bool) {
	p := new(paper)
	switch f := e.Fact.(type) {
	case *events.SaleConcluded:
		p.sale(e, f)
	case *events.OrderPlaced:
		p.order(e, f)
	case *events.XPrinted:
		p.xReport(e, f)
	case *events.ShiftClosed:
		p.zReport(e, f)
	case *events.SaleVoided:
		p.voided(e, f)
	case *events.SaleSuspended:
		p.suspended(e, f)
	case *events.StartAmountDeclared:
		p.startAmount(e, f)
	case *events.FloatAdded:
		p.floatAdded(e, f)
	case *events.TenderRemoved:
		p.tenderRemoved(e, f)
	case *events.SafeDropped:
		p.safeDropped(e, f)
	case *events.BankDropped:
		p.bankDropped(e, f)
	case *events.DrawerDeclared:
		p.declared(e, f)
	case *events.IncomeTaken:
		p.incomeTaken(e, f)
	case *events.ExpensePaid:
		p.expensePaid(e, f)
	default:
		return "", false
	}
	return p.text.String(), true
}

// Reprint prints a document again, as the entry of its reprint says: as a numbered
// copy, which holds the whole text of the original, or as a gift receipt.
func Reprint(original, reprint *events.Entry) (string, error) {
	f, ok := reprint.Fact.(*events.ReceiptReprinted)
	if !ok {
		return "", fmt.Errorf("entry %d is no reprint but %s", reprint.Head.Sequence, reprint.Type)
	}
	if original.Head.Sequence != f.Sequence || original.Head.Epoch != f.Epoch || original.Register != reprint.Register {
		return "", fmt.Errorf("entry %d is not the document that entry %d prints again", original.Head.Sequence, reprint.Head.Sequence)
	}
	p := new(paper)
	if f.Kind == events.ReceiptGift {
		sale, sold := original.Fact.(*events.SaleConcluded)
		if !sold {
			return "", fmt.Errorf("a gift receipt of a %s", original.Type)
		}
		p.gift(original, sale)
		return p.text.String(), nil
	}
	text, printed := Text(original)
	if !printed {
		return "", fmt.Errorf("entry %d records %s, which is not printed", original.Head.Sequence, original.Type)
	}
	p.copyOf(reprint, f)
	return p.text.String() + text, nil
}

// copyOf is the head that makes a receipt a copy.
func (p *paper) copyOf(e *events.Entry, f *events.ReceiptReprinted) {
	p.center(fmt.Sprintf("*** COPY %d ***", f.Copy))
	p.row("Printed "+local(e, f.Offset), "Staff "+string(e.Staff))
	p.rule()
}

// local is when an entry was written, by the clock on the store's wall.
func local(e *events.Entry, offset int) string {
	return e.Time.Add(time.Duration(offset) * time.Minute).Format("2006-01-02 15:04")
}

// head is printed above every document.
func (p *paper) head(e *events.Entry, printed *events.Printed, title string, about ...string) {
	if printed.Shop.Name != "" {
		p.center(printed.Shop.Name)
	}
	for _, line := range printed.Shop.Lines {
		p.center(line)
	}
	if title != "" {
		p.center(title)
	}
	for _, line := range about {
		p.left(line)
	}
	p.row(local(e, printed.Offset), "Staff "+string(e.Staff))
	p.rule()
}

// foot is printed below every document: the entry that it is printed from, by which anyone can
// prove it, and the shop's own text.
func (p *paper) foot(e *events.Entry, printed *events.Printed) {
	hash := e.Head.Hash.String()
	p.rule()
	p.center(fmt.Sprintf("Entry %d of %s, epoch %d", e.Head.Sequence, e.Register, e.Head.Epoch))
	p.center(hash[:32])
	p.center(hash[32:])
	for _, line := range printed.Shop.Footer {
		p.center(line)
	}
}

// sale is the receipt of a sale, a return, or both.
func (p *paper) sale(e *events.Entry, f *events.SaleConcluded) {
	digits := f.Terms.Digits
	money := func(m events.Money) string { return m.Decimal(digits) }
	title := ""
	switch {
	case f.Order != nil && f.Order.Cancelled:
		title = "ORDER CANCELLED"
	case f.Sales == 0 && f.Returns < 0:
		title = "RETURN"
	}
	p.head(e, &f.Printed, title, append([]string{"Receipt " + string(f.Receipt)}, about(f)...)...)
	p.items(f)
	gap := strings.Repeat(" ", codesWidth(f.Lines))
	for i := range f.Payments {
		p.payment(&f.Payments[i], &f.Printed, digits, gap)
	}
	if f.Order != nil {
		p.left("Deposit of order " + string(f.Order.Order) + " " + money(f.Order.Deposit))
	}
	p.taxes(f, gap)
	p.foot(e, &f.Printed)
}

// order is the receipt of an order that was placed, with the deposit that was paid for it.
func (p *paper) order(e *events.Entry, f *events.OrderPlaced) {
	digits := f.Terms.Digits
	lines := append([]string{"Receipt " + string(f.Receipt)}, about(&f.SaleConcluded)...)
	if f.Placed.PickUpOn != "" {
		lines = append(lines, "To be picked up on "+f.Placed.PickUpOn)
	}
	p.head(e, &f.Printed, "ORDER "+string(f.Placed.Order), lines...)
	p.items(&f.SaleConcluded)
	gap := strings.Repeat(" ", codesWidth(f.Lines))
	p.row("Deposit", f.Placed.Deposit.Decimal(digits)+gap)
	for i := range f.Payments {
		p.payment(&f.Payments[i], &f.Printed, digits, gap)
	}
	p.row("Left to pay", (f.After.Total-f.Placed.Deposit).Decimal(digits)+gap)
	p.taxes(&f.SaleConcluded, gap)
	p.foot(e, &f.Printed)
}

// about prints the customer of a document and its comments.
func about(f *events.SaleConcluded) (lines []string) {
	if c := f.Customer; c != nil {
		lines = append(lines, "Customer "+string(c.Customer)+" "+c.Name)
	}
	if f.Comment != "" {
		lines = append(lines, f.Comment)
	}
	for _, p := range f.Points {
		lines = append(lines, fmt.Sprintf("Card %s: %d points %s", p.Card, p.Points, p.Kind))
	}
	return lines
}

// items prints the lines of a document and their sums.
func (p *paper) items(f *events.SaleConcluded) {
	digits, column := f.Terms.Digits, codesWidth(f.Lines)
	money := func(m events.Money) string { return m.Decimal(digits) }
	for i := range f.Lines {
		if line := &f.Lines[i]; !line.Voided {
			p.item(line, digits, column)
		}
	}
	p.rule()
	gap := strings.Repeat(" ", column)
	if f.After.Discount != 0 || !f.Terms.TaxIncluded {
		p.row("Subtotal", money(f.After.Subtotal)+gap)
	}
	if f.After.Discount != 0 {
		p.row("Discount", money(-f.After.Discount)+gap)
	}
	if !f.Terms.TaxIncluded {
		p.row("Tax", money(f.After.Tax)+gap)
	}
	p.row("TOTAL "+f.Terms.Currency, money(f.After.Total)+gap)
}

// taxes are the document's taxes by rate.
func (p *paper) taxes(f *events.SaleConcluded, gap string) {
	if len(f.Taxes) > 0 {
		p.rule()
	}
	for _, t := range f.Taxes {
		base, tax := t.Base.Decimal(f.Terms.Digits), t.Tax.Decimal(f.Terms.Digits)
		p.row(fmt.Sprintf("Tax %s %s%% on %s", t.Code, t.Rate, base), tax+gap)
	}
}

// codes are the tax codes of a line.
func codes(line *events.ConcludedLine) string {
	var all strings.Builder
	for _, rate := range line.Taxes {
		all.WriteString(rate.Code)
	}
	return clean(all.String())
}

// codesWidth is how wide the column of tax codes is, with the space before it.
func codesWidth(lines []events.ConcludedLine) int {
	widest := 0
	for i := range lines {
		if w := width(codes(&lines[i])); w > 0 && w < Width/4 {
			widest = max(widest, w+1)
		}
	}
	return widest
}

// item is one line of a receipt, with its tax codes behind the amount.
func (p *paper) item(line *events.ConcludedLine, digits, column int) {
	amount := line.Gross.Decimal(digits)
	if code := codes(line); width(code) < column {
		amount += strings.Repeat(" ", column-width(code)) + code
	}
	text := line.Description
	if line.Variant != "" {
		text += ", " + line.Variant
	}
	if line.Quantity.Cmp(events.NewQuantity(1)) == 0 && line.Unit == "" {
		p.row(text, amount)
	} else {
		p.left(text)
		quantity := line.Quantity.String()
		if line.Unit != "" {
			quantity += " " + line.Unit
		}
		p.row("  "+quantity+" x "+price(line.Price, digits), amount)
	}
	gap := strings.Repeat(" ", column)
	if line.Offer != nil {
		p.row("  "+line.Offer.Name, (-line.Offer.Amount).Decimal(digits)+gap)
	}
	if line.Discount != nil {
		label := "  Discount"
		if !line.Discount.Percent.IsZero() {
			label += " " + line.Discount.Percent.String() + "%"
		}
		p.row(label, (-line.Discount.Amount).Decimal(digits)+gap)
	}
	if o := line.Original; o != nil {
		p.left("  of receipt " + string(o.Receipt))
		if o.Discount != 0 {
			p.row("  Discount then", (-o.Discount).Decimal(digits)+gap)
		}
	}
	if line.GiftCard != nil {
		p.left("  Card " + string(line.GiftCard.Card))
	}
	for _, note := range []struct{ what, text string }{{"No. ", line.Serial}, {"", line.Comment}} {
		if note.text != "" {
			p.left("  " + note.what + note.text)
		}
	}
}

// price is the price of one unit with the currency's digits, or more where it has more.
func price(pr events.Price, digits int) string {
	exact := pr.Decimal()
	return exact.StringFixed(max(int32(digits), -exact.Exponent()))
}

// payment prints the amount handed over and the change.
func (p *paper) payment(pay *events.Payment, printed *events.Printed, digits int, gap string) {
	if pay.Rounding != 0 {
		// As the customer sees it: the amount added to the amount due where small coins do not
		// exist.
		p.row("Rounding", (-pay.Rounding).Decimal(digits)+gap)
	}
	p.row(tenderName(printed, pay.Tender), pay.Tendered.Decimal(digits)+gap)
	switch {
	case pay.Foreign != nil:
		p.left(fmt.Sprintf("  %s %s at %s", pay.Foreign.Amount.Decimal(pay.Foreign.Digits), pay.Foreign.Currency, pay.Foreign.Rate))
	case pay.Card != nil:
		p.left(fmt.Sprintf("  %s ending %s, approval %s", pay.Card.Scheme, pay.Card.LastFour, pay.Card.Approval))
	case pay.Check != "":
		p.left("  No. " + pay.Check)
	case pay.Account != nil:
		p.left("  Customer " + string(pay.Account.Customer))
	case pay.GiftCard != nil:
		p.left("  Card " + string(pay.GiftCard.Card))
		p.row("  Left on it", (pay.GiftCard.Available()-pay.Amount).Decimal(digits)+gap)
	case pay.Loyalty != nil:
		p.left(fmt.Sprintf("  Card %s, %d points", pay.Loyalty.Card, pay.Loyalty.Points))
	}
	if pay.Change != 0 {
		label := "Change"
		if pay.ChangeTender != "" {
			label += ", " + tenderName(printed, pay.ChangeTender)
		}
		p.row(label, pay.Change.Decimal(digits)+gap)
	}
}

// tenderName returns the name of the tender when the document was made.
func tenderName(printed *events.Printed, tender events.TenderID) string {
	for _, t := range printed.Tenders {
		if t.Tender == tender {
			return t.Name
		}
	}
	return string(tender)
}

// voided is the slip of a transaction that was given up.
func (p *paper) voided(e *events.Entry, f *events.SaleVoided) {
	p.head(e, &f.Printed, "VOIDED", "Receipt "+string(f.Receipt), "Transaction "+string(f.Transaction))
	p.row("Lines", fmt.Sprint(f.After.Lines))
	p.row("Given up "+f.Terms.Currency, f.After.Total.Decimal(f.Terms.Digits))
	p.row("TOTAL "+f.Terms.Currency, events.Money(0).Decimal(f.Terms.Digits))
	p.foot(e, &f.Printed)
}

// suspended is the slip with which a transaction that was set aside is recalled.
func (p *paper) suspended(e *events.Entry, f *events.SaleSuspended) {
	p.head(e, &f.Printed, "SUSPENDED", "No. "+events.EntryNumber(e.Register, e.Head), "Transaction "+string(f.Transaction))
	p.row("Lines", fmt.Sprint(f.After.Lines))
	p.row("To pay "+f.Terms.Currency, f.After.Due.Decimal(f.Terms.Digits))
	p.foot(e, &f.Printed)
}

// gift is a receipt without prices: the goods that the receiver can bring back.
func (p *paper) gift(e *events.Entry, f *events.SaleConcluded) {
	p.head(e, &f.Printed, "GIFT RECEIPT", "Receipt "+string(f.Receipt))
	for i := range f.Lines {
		if line := &f.Lines[i]; !line.Voided && line.Quantity.Sign() > 0 {
			p.row(line.Description, line.Quantity.String())
		}
	}
	p.foot(e, &f.Printed)
}
