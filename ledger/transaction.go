package ledger

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/posnode/posnode/events"
)

// receiptSale is the type of receipt number that sales, returns and voided transactions share.
const receiptSale = "sale"

func transactionOperations() []*Operation {
	need := Gates{Shift: true, Cart: NeedCart}
	return []*Operation{
		{ID: 139, Name: "Conclude transaction", Group: "transaction", Offline: Local, Gates: need, decide: concludePaid},
		{ID: 500, Name: "Void transaction", Group: "transaction", Offline: Local, Gates: need, Reason: "void_transaction", decide: voidTransaction},
		{ID: 501, Name: "Transaction comment", Group: "transaction", Offline: Local, Gates: need,
			Params: []Parameter{{Name: "comment", Kind: KindText, Free: true, Max: 200, Doc: "what the transaction says; none to take it away"}},
			decide: commentSale},
	}
}

// transactionID names the n-th transaction of a register's epoch.
func transactionID(s *State, n int) events.TransactionID {
	return events.TransactionID(fmt.Sprintf("%s-%d-%d", s.Register, s.Head.Epoch, n))
}

// ReceiptNumber fills a mask: {store}, {register}, {epoch}, {yyyy}, {mm} and {dd}
// of the business date, and {####}, the number, padded with zeros to as many
// digits. An empty mask is "{store}-{register}-{epoch}-{######}".
func ReceiptNumber(mask string, r events.Register, epoch, n int, date string) events.ReceiptNumber {
	if mask == "" {
		mask = "{store}-{register}-{epoch}-{######}"
	}
	number := fmt.Sprint(n)
	if from, to := strings.Index(mask, "{#"), strings.Index(mask, "#}"); from >= 0 && to > from {
		mask = mask[:from] + fmt.Sprintf("%0*d", to-from, n) + mask[to+2:]
		number = ""
	}
	year, rest, _ := strings.Cut(date, "-")
	month, day, _ := strings.Cut(rest, "-")
	return events.ReceiptNumber(strings.NewReplacer(
		"{store}", string(r.Store), "{register}", string(r.ID), "{epoch}", fmt.Sprint(epoch),
		"{yyyy}", year, "{mm}", month, "{dd}", day,
	).Replace(mask) + number)
}

// nextReceipt is the number that the document gets that is concluded next.
func (d *deciding) nextReceipt() events.ReceiptNumber {
	return ReceiptNumber(d.Reference.Store.ReceiptMask, d.Register, d.Head.Epoch, d.Receipts[receiptSale]+1, d.Date)
}

// voidTransaction gives the whole transaction up (operation 500).
func voidTransaction(d *deciding) (events.Requested, error) {
	t := d.Transaction
	if t.hasPayments() {
		return nil, refuse("payments_taken", "The transaction has payments.").instead("Void them first.")
	}
	return &events.SaleVoided{OfSale: events.OfSale{Transaction: t.ID, After: t.Totals}, Receipt: d.nextReceipt(), Terms: t.Terms}, nil
}

// concludePaid finishes a transaction with nothing left to pay (operation 139).
func concludePaid(d *deciding) (events.Requested, error) {
	t := d.Transaction
	if t.Totals.Due != 0 {
		return nil, refuse("sale_not_paid", "%s %s is still due.", t.Totals.Due.Decimal(t.Terms.Digits), t.Terms.Currency).instead("Take a payment.")
	}
	return d.conclude(nil)
}

// conclude makes the finished document, with the payment that reached the amount due if one did.
func (d *deciding) conclude(last *events.Payment) (events.Requested, error) {
	t := d.Transaction
	if t.Totals.Lines == 0 && (t.Order == nil || !t.Order.PickedUp.Cancelled) {
		return nil, refuse("no_lines", "Every line is voided.").instead("Void the transaction.")
	}
	f := &events.SaleConcluded{Receipt: d.nextReceipt(), Terms: t.Terms, Comment: t.Comment}
	for _, p := range t.Payments {
		if !p.Voided {
			f.Payments = append(f.Payments, p.Payment)
		}
	}
	after := t.Totals
	if last != nil {
		f.Payments = append(f.Payments, *last)
		after.Paid, after.Due = after.Paid+last.Amount, 0
	}
	f.OfSale = events.OfSale{Transaction: t.ID, After: after}
	f.Lines = t.concludedLines()
	f.Taxes = taxTotals(f.Lines, t.Terms.TaxIncluded)
	for _, line := range f.Lines {
		switch {
		case line.GiftCard != nil:
			f.GiftCards += line.Net
		case line.Quantity.Sign() > 0:
			f.Sales += line.Net
		default:
			f.Returns += line.Net
		}
	}
	f.Attached = t.Attached
	switch {
	case t.pickUp():
		order := t.Order.PickedUp
		f.Order = &order
	case t.Order != nil:
		return d.concludeOrder(f), nil
	}
	f.Points = pointsEarned(d.Reference.Store.Loyalty, f)
	f.Postings = postings(f)
	return f, nil
}

// concludedLines are the lines as printed: each with its share of the total discount, and its tax.
func (t *Transaction) concludedLines() []events.ConcludedLine {
	out := make([]events.ConcludedLine, len(t.Lines))
	shares := spreadDiscount(t.Totals.Discount, t.Lines)
	for i, line := range t.Lines {
		out[i] = events.ConcludedLine{Line: line.Line, Voided: line.Voided}
		if line.Voided {
			continue
		}
		out[i].TotalDiscount = shares[i]
		out[i].Net = line.Amount() - shares[i]
		out[i].Tax = taxShares(taxSum(out[i].Net, line.Taxes, t.Terms.TaxIncluded), line.Taxes)
	}
	return out
}

// taxTotals adds up the lines' taxes by rate.
func taxTotals(lines []events.ConcludedLine, taxIncluded bool) []events.TaxTotal {
	totals := map[string]*events.TaxTotal{}
	for _, line := range lines {
		base := lineBase(line, taxIncluded)
		for i, rate := range line.Taxes {
			if line.Voided {
				continue
			}
			key := rate.Code + " " + rate.Rate.String()
			if totals[key] == nil {
				totals[key] = &events.TaxTotal{TaxRate: rate}
			}
			totals[key].Base += base
			totals[key].Tax += line.Tax[i]
		}
	}
	out := []events.TaxTotal{}
	for _, key := range slices.Sorted(maps.Keys(totals)) {
		out = append(out, *totals[key])
	}
	return out
}

// lineBase is a line's net without tax.
func lineBase(line events.ConcludedLine, taxIncluded bool) events.Money {
	base := line.Net
	if taxIncluded {
		for _, tax := range line.Tax {
			base -= tax
		}
	}
	return base
}

// postings are the balanced entries of a concluded sale: debits what was taken, credits what it was taken for.
func postings(f *events.SaleConcluded) []events.Posting {
	sums := map[string]events.Money{}
	for i := range f.Payments {
		for _, m := range f.Payments[i].Moves() {
			sums[m.Account()] += m.Value
		}
		sums["rounding"] += f.Payments[i].Rounding
	}
	for _, line := range f.Lines {
		if line.Voided {
			continue
		}
		account := "sales"
		switch {
		case line.GiftCard != nil:
			account = "giftcards"
		case line.Quantity.Sign() < 0:
			account = "returns"
		}
		for i, rate := range line.Taxes {
			account += ":" + rate.Code
			sums["tax:"+rate.Code] -= line.Tax[i]
		}
		sums[account] -= lineBase(line, f.Terms.TaxIncluded)
	}
	if f.Order != nil {
		sums["deposits"] += f.Order.Deposit
	}
	out := []events.Posting{}
	for _, account := range slices.Sorted(maps.Keys(sums)) {
		if sums[account] != 0 {
			out = append(out, events.Posting{Account: account, Amount: sums[account]})
		}
	}
	return out
}
