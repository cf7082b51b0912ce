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
	case *events.SaleVoided:
		p.voided(e, f)
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

// head is what stands above every document.
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

// foot is what stands below every document: the entry that it is printed from, by
// which anyone can prove it, and what the shop has to say.
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
	if f.Sales == 0 && f.Returns < 0 {
		title = "RETURN"
	}
	p.head(e, &f.Printed, title, "Receipt "+string(f.Receipt))
	column := codesWidth(f.Lines)
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
	for i := range f.Payments {
		p.payment(&f.Payments[i], &f.Printed, digits, gap)
	}
	if len(f.Taxes) > 0 {
		p.rule()
	}
	for _, t := range f.Taxes {
		p.row(fmt.Sprintf("Tax %s %s%% on %s", t.Code, t.Rate, money(t.Base)), money(t.Tax)+gap)
	}
	p.foot(e, &f.Printed)
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
	if line.Quantity.Cmp(events.NewQuantity(1)) == 0 {
		p.row(line.Description, amount)
		return
	}
	p.left(line.Description)
	p.row(fmt.Sprintf("  %s x %s", line.Quantity, price(line.Price, digits)), amount)
}

// price is the price of one unit with the currency's digits, or more where it has more.
func price(pr events.Price, digits int) string {
	exact := pr.Decimal()
	return exact.StringFixed(max(int32(digits), -exact.Exponent()))
}

// payment is what was handed over, and what was given back for it.
func (p *paper) payment(pay *events.Payment, printed *events.Printed, digits int, gap string) {
	if pay.Rounding != 0 {
		// As the customer sees it: what is added to the amount due for want of small coins.
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

// tenderName is what the tender was called when the document was made.
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

// gift is a receipt without prices: what can be brought back by whoever got it.
func (p *paper) gift(e *events.Entry, f *events.SaleConcluded) {
	p.head(e, &f.Printed, "GIFT RECEIPT", "Receipt "+string(f.Receipt))
	for i := range f.Lines {
		if line := &f.Lines[i]; !line.Voided && line.Quantity.Sign() > 0 {
			p.row(line.Description, line.Quantity.String())
		}
	}
	p.foot(e, &f.Printed)
}
