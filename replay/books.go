package replay

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"

	"github.com/posnode/posnode/events"
	"github.com/posnode/posnode/ledger"
)

// books folds the entries of one epoch with the ledger's own Apply, and adds up sums of its own. It
// compares sums with sums. It never calculates a price, a tax or a rounding again.
//
// After damage, entries are missing from its sums. It then reports nothing that the missing entries
// may explain, until the next transaction or shift begins.
type books struct {
	epoch *epoch
	state *ledger.State
	// transactionUnsure and shiftUnsure report that entries of the open transaction, or of the open
	// shift, may be missing.
	transactionUnsure, shiftUnsure bool
	// off is the known error in the totals of the open transaction. It is reported once, and not
	// again with every entry that carries it on.
	off      events.Totals
	receipts receipts
	// missed reports that entries are missing. seen holds the shifts that were opened after the
	// last missing entry. In every other shift, missing entries may explain a difference.
	missed bool
	seen   map[events.ShiftID]bool
	// posted holds the sums of the postings of each shift's documents, by account.
	posted map[events.ShiftID]map[string]events.Money
}

func (b *books) add(kind string, want, got any, hint string) {
	b.epoch.add(Finding{Sequence: b.epoch.head.Sequence, Kind: kind, Want: fmt.Sprint(want), Got: fmt.Sprint(got), Hint: hint})
}

// doubt records that entries are missing, or could not be decoded.
func (b *books) doubt() {
	b.transactionUnsure, b.shiftUnsure = true, true
	b.missed, b.seen = true, nil
	b.receipts.doubt()
}

// fold applies a decoded entry and checks it. inChain reports that the entry follows the head in
// the chain.
func (b *books) fold(entry *events.Entry, inChain bool) {
	if b.state == nil {
		b.state = ledger.NewState(entry.Register, entry.Epoch, entry.PrevHash)
	}
	if !inChain {
		// The break in the chain is reported already. Here it must not stop Apply.
		b.state.Register = entry.Register
	}
	b.state.Head = events.Head{Epoch: entry.Head.Epoch, Sequence: entry.Head.Sequence - 1, Hash: entry.PrevHash}
	b.checkCommand(entry)
	b.resume(entry.Fact)
	// Keep the open transaction: Apply clears it, and the document that ends it is compared with
	// it.
	open := b.state.Transaction
	b.checkReport(entry)
	err := apply(b.state, entry)
	if c, ok := errors.AsType[*events.CorruptError](err); ok && c.Kind == KindImpossible && !b.unsure(entry.Fact) {
		b.add(KindImpossible, "a fact that can follow", entry.Type, c.Hint)
	}
	if err != nil {
		b.lost(entry.Fact)
	}
	b.checkFact(entry.Fact, open)
	b.post(entry)
}

// apply calls State.Apply with an entry that may be hostile. Such an entry may hold numbers on
// which the arithmetic panics. The panic becomes a *[events.CorruptError].
func apply(s *ledger.State, e *events.Entry) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = &events.CorruptError{Sequence: e.Head.Sequence, Kind: KindImpossible, Want: "a fact that can follow", Got: e.Type, Hint: fmt.Sprint(p)}
		}
	}()
	return s.Apply(e)
}

// checkCommand reports a command that was carried out twice. It knows the commands that the state
// still holds.
func (b *books) checkCommand(entry *events.Entry) {
	if entry.Command == "" {
		return
	}
	if done, twice := b.state.Commands.Find(entry.Command); twice {
		b.add(KindCommand, "a new command", fmt.Sprintf("%s, recorded at entry %d", entry.Command, done.Sequence), "one command was carried out twice")
	}
}

// resume prepares the state for fact after entries were missed. A fact may begin a transaction or a
// shift while the end of the one before is missing. Or it may end one while the beginning is
// missing.
func (b *books) resume(fact events.Fact) {
	s := b.state
	switch f := fact.(type) {
	case events.OfTransaction:
		of := f.Sale()
		if of.Begins != nil {
			if b.transactionUnsure {
				s.Transaction = nil
			}
			b.transactionUnsure, b.off = false, events.Totals{}
		}
		if takesMoney(fact) && b.shiftUnsure && s.Shift == nil {
			s.Shift = &ledger.Shift{Booked: map[string]events.Money{}}
		}
	case *events.ShiftOpened:
		if b.shiftUnsure {
			s.Shift = nil // the entry that closed it is missing
		}
		b.shiftUnsure = false
		if b.seen == nil {
			b.seen = map[events.ShiftID]bool{}
		}
		b.seen[f.Shift] = true
	case *events.ShiftClosed:
		if b.missed && !b.seen[f.Shift] && f.Z > s.Z {
			s.Z = f.Z - 1
		}
	}
}

// takesMoney reports whether fact puts payments in the drawer.
func takesMoney(fact events.Fact) bool {
	switch fact.(type) {
	case *events.SaleConcluded, *events.OrderPlaced:
		return true
	}
	return false
}

// unsure reports whether missing entries may explain fact.
func (b *books) unsure(fact events.Fact) bool {
	if f, sale := fact.(events.OfTransaction); sale {
		// The entry that suspended the transaction may be missing from long before.
		return b.transactionUnsure || b.missed && f.Sale().Begins == nil && b.state.Transaction == nil
	}
	if _, handed := fact.(*events.SaleHandedOver); handed {
		return b.missed
	}
	if of, ok := fact.(events.OfShift); ok {
		return b.missed && !b.seen[of.OfShift()]
	}
	return b.shiftUnsure
}

// lost records that fact could not be applied. Its transaction, or else all shifts, are unsure from
// here.
func (b *books) lost(fact events.Fact) {
	if _, sale := fact.(events.OfTransaction); sale {
		b.transactionUnsure, b.state.Transaction = true, nil
		return
	}
	b.shiftUnsure, b.missed, b.seen = true, true, nil
}

func (b *books) checkFact(fact events.Fact, open *ledger.Transaction) {
	switch f := fact.(type) {
	case *events.SaleConcluded:
		b.checkReceipt(f.Receipt)
		b.checkDocument(f, nil)
		if open != nil && open.ID == f.Transaction && !b.transactionUnsure {
			b.checkAgainst(f, open)
		}
	case *events.OrderPlaced:
		b.checkReceipt(f.Receipt)
		b.checkDocument(&f.SaleConcluded, &f.Placed)
		if open != nil && open.ID == f.Transaction && !b.transactionUnsure {
			b.checkAgainst(&f.SaleConcluded, open)
		}
	case *events.SaleVoided:
		b.checkReceipt(f.Receipt)
		if open != nil && open.ID == f.Transaction {
			b.checkRunning(f.After, open)
		}
	case events.OfTransaction:
		if b.state.Transaction != nil {
			b.checkRunning(f.Sale().After, b.state.Transaction)
		}
	case events.Posted:
		b.checkBalance(f.Posts())
	}
}

func (b *books) checkReceipt(number events.ReceiptNumber) {
	if !b.receipts.next(string(number)) {
		b.add(KindReceipt, "the number after "+b.receipts.last, number, "receipt numbers are gapless")
		b.receipts.doubt()
	}
	b.receipts.last = string(number)
}

// checkRunning compares the totals of an entry with the sums of the lines and payments so far. It
// takes the tax and the discount from the entry, because to calculate them again would be pricing.
func (b *books) checkRunning(said events.Totals, t *ledger.Transaction) {
	sums := events.Totals{Lines: t.Sums.Lines, Subtotal: t.Sums.Net, Discount: said.Discount, Tax: said.Tax}
	if t.Order != nil {
		sums.Elsewhere = said.Elsewhere // the deposit is a percentage: to calculate it again would be pricing
	}
	if t.Discount.None() {
		sums.Discount = 0
	}
	for _, p := range t.Payments {
		if !p.Voided {
			sums.Paid += p.Amount
		}
	}
	settle(&sums, t.Terms.TaxIncluded)
	off := minus(said, sums)
	if off != (events.Totals{}) && off != b.off && !b.transactionUnsure {
		b.add(KindTotals, totalsText(sums, t.Terms.Digits), totalsText(said, t.Terms.Digits), "the lines and payments so far add up to something else")
	}
	b.off = off
}

// settle calculates Total and Due from the other totals.
func settle(t *events.Totals, taxIncluded bool) {
	t.Total = t.Subtotal - t.Discount
	if !taxIncluded {
		t.Total += t.Tax
	}
	t.Due = t.Total - t.Elsewhere - t.Paid
}

func minus(a, b events.Totals) events.Totals {
	return events.Totals{
		Lines: a.Lines - b.Lines, Subtotal: a.Subtotal - b.Subtotal, Discount: a.Discount - b.Discount, Tax: a.Tax - b.Tax,
		Total: a.Total - b.Total, Elsewhere: a.Elsewhere - b.Elsewhere, Paid: a.Paid - b.Paid, Due: a.Due - b.Due,
	}
}

// checkDocument checks that a concluded document adds up in itself. The document is an order if
// placed is not nil, and a sale otherwise.
func (b *books) checkDocument(f *events.SaleConcluded, placed *events.Placement) {
	sums := events.Totals{}
	var sales, returns, giftCards events.Money
	for i := range f.Lines {
		line := &f.Lines[i]
		if line.Voided {
			continue
		}
		sums.Lines++
		sums.Subtotal += line.Amount()
		sums.Discount += line.TotalDiscount
		for _, tax := range line.Tax {
			sums.Tax += tax
		}
		if want := line.Amount() - line.TotalDiscount; line.Net != want || len(line.Tax) != len(line.Taxes) {
			b.add(KindLines, fmt.Sprintf("line %d net %d with a tax per rate", line.Number, want), fmt.Sprintf("%d with %d taxes at %d rates", line.Net, len(line.Tax), len(line.Taxes)), "")
		}
		switch {
		case line.GiftCard != nil:
			giftCards += line.Net
		case line.Quantity.Sign() > 0:
			sales += line.Net
		default:
			returns += line.Net
		}
	}
	for _, p := range f.Payments {
		sums.Paid += p.Amount
	}
	if f.Order != nil {
		sums.Elsewhere = f.Order.Deposit
	}
	if placed != nil {
		sums.Elsewhere = f.After.Total - placed.Deposit
		sales, returns = 0, 0 // nothing is sold yet
	}
	settle(&sums, f.Terms.TaxIncluded)
	if sums != f.After || sums.Due != 0 {
		b.add(KindTotals, totalsText(sums, f.Terms.Digits), totalsText(f.After, f.Terms.Digits), "the document's lines, taxes and payments add up to something else, or leave something due")
	}
	if sales != f.Sales || returns != f.Returns || giftCards != f.GiftCards {
		b.add(KindTotals, fmt.Sprintf("sales %d returns %d gift cards %d", sales, returns, giftCards),
			fmt.Sprintf("sales %d returns %d gift cards %d", f.Sales, f.Returns, f.GiftCards), "the document's lines add up to something else")
	}
	b.checkTaxes(f)
	b.checkPayments(f.Payments, f.Terms.Digits)
	b.checkBalance(f.Postings)
	b.checkTenderPostings(f)
	b.checkDepositPostings(f, placed)
}

// checkDepositPostings compares the postings to deposits with the deposit of the order.
func (b *books) checkDepositPostings(f *events.SaleConcluded, placed *events.Placement) {
	var want, posted events.Money
	if f.Order != nil {
		want += f.Order.Deposit
	}
	if placed != nil {
		want -= placed.Deposit
	}
	for _, p := range f.Postings {
		if p.Account == "deposits" {
			posted += p.Amount
		}
	}
	if posted != want {
		b.add(KindPostings, fmt.Sprintf("deposits %d", want), posted, "the deposit of an order is not what was posted")
	}
}

// checkTaxes compares the tax table with the lines' taxes.
func (b *books) checkTaxes(f *events.SaleConcluded) {
	var want []events.TaxTotal
	for i := range f.Lines {
		line := &f.Lines[i]
		if line.Voided || len(line.Tax) != len(line.Taxes) {
			continue
		}
		base := line.Net
		if f.Terms.TaxIncluded {
			for _, tax := range line.Tax {
				base -= tax
			}
		}
		for j, rate := range line.Taxes {
			at := slices.IndexFunc(want, func(t events.TaxTotal) bool { return sameRate(t.TaxRate, rate) })
			if at < 0 {
				at, want = len(want), append(want, events.TaxTotal{TaxRate: rate})
			}
			want[at].Base += base
			want[at].Tax += line.Tax[j]
		}
	}
	same := len(want) == len(f.Taxes)
	for _, w := range want {
		same = same && slices.ContainsFunc(f.Taxes, func(t events.TaxTotal) bool {
			return sameRate(t.TaxRate, w.TaxRate) && t.Base == w.Base && t.Tax == w.Tax
		})
	}
	if !same {
		b.add(KindTaxes, taxTable(want), taxTable(f.Taxes), "the lines' taxes add up to something else")
	}
}

func sameRate(a, b events.TaxRate) bool { return a.Code == b.Code && a.Rate.Cmp(b.Rate) == 0 }

func taxTable(totals []events.TaxTotal) (s string) {
	for _, t := range totals {
		s += fmt.Sprintf("[%s %s%% base %d tax %d]", t.Code, t.Rate, t.Base, t.Tax)
	}
	return s
}

func (b *books) checkPayments(payments []events.Payment, digits int) {
	for _, p := range payments {
		if p.Tendered-p.Change != p.Amount-p.Rounding {
			b.add(KindPayments, fmt.Sprintf("payment %d: tendered less change is amount less rounding", p.Number), paymentText(p, digits), "")
		}
	}
}

func (b *books) checkBalance(postings []events.Posting) {
	var sum events.Money
	for _, p := range postings {
		sum += p.Amount
	}
	if sum != 0 {
		b.add(KindPostings, "a sum of 0", sum, "the postings do not balance")
	}
}

// checkTenderPostings compares the postings to each tender with its payments. It compares the
// postings to gift cards with the amounts put on them and paid with them.
func (b *books) checkTenderPostings(f *events.SaleConcluded) {
	posted := map[string]events.Money{}
	for _, p := range f.Postings {
		posted[p.Account] += p.Amount
	}
	for i := range f.Lines {
		if line := &f.Lines[i]; line.GiftCard != nil && !line.Voided {
			posted["giftcards"] += line.Net
		}
	}
	accounts := []string{"giftcards"}
	for i := range f.Payments {
		for _, m := range f.Payments[i].Moves() {
			posted[m.Account()] -= m.Value
			accounts = append(accounts, m.Account())
		}
	}
	for _, account := range accounts {
		if posted[account] != 0 {
			b.add(KindPostings, account+" as paid", fmt.Sprintf("%+d beyond it", posted[account]), "")
			posted[account] = 0
		}
	}
}

// checkAgainst compares a concluded document with the transaction before it: terms, lines and
// payments.
func (b *books) checkAgainst(f *events.SaleConcluded, t *ledger.Transaction) {
	if f.Terms != t.Terms {
		b.add(KindLines, termsText(t.Terms), termsText(f.Terms), "")
	}
	if len(f.Lines) != len(t.Lines) {
		b.add(KindLines, plural(len(t.Lines), "line"), plural(len(f.Lines), "line"), "the document is not what was entered")
		return
	}
	for i, line := range t.Lines {
		if got := &f.Lines[i]; !sameLine(&got.Line, &line.Line) || got.Voided != line.Voided {
			want, other := describe(&line.Line, line.Voided), describe(&got.Line, got.Voided)
			if want == other { // they differ in a field outside the description
				left, right := asText(line.Line), asText(got.Line)
				want, other = clipped(left, right), clipped(right, left)
			}
			b.add(KindLines, want, other, "the document is not what was entered")
		}
	}
	b.checkTaken(f, t)
}

// same reports whether two values have the same JSON.
func same[T any](a, b T) bool {
	left, err := json.Marshal(a)
	right, err2 := json.Marshal(b)
	return err == nil && err2 == nil && string(left) == string(right)
}

// sameLine reports whether two lines are the same in every field.
func sameLine(a, b *events.Line) bool { return reflect.DeepEqual(a, b) || same(a, b) }

func describe(l *events.Line, voided bool) string {
	s := fmt.Sprintf("line %d: %s x %s %q at %s is %d, discounted %d", l.Number, l.Quantity, l.Product, l.Description, l.Price, l.Gross, l.Amount())
	if voided {
		s += ", voided"
	}
	return s
}

// checkTaken compares the payments of a document with the payments taken before it. The last
// payment may be in the document alone, without an entry of its own.
func (b *books) checkTaken(f *events.SaleConcluded, t *ledger.Transaction) {
	var taken []events.Payment
	for _, p := range t.Payments {
		if !p.Voided {
			taken = append(taken, p.Payment)
		}
	}
	if n := len(f.Payments) - len(taken); n < 0 || n > 1 || !slices.EqualFunc(taken, f.Payments[:len(taken)], same[events.Payment]) {
		b.add(KindPayments, paymentsText(taken, f.Terms.Digits)+" and at most one more", paymentsText(f.Payments, f.Terms.Digits), "the document's payments are not those that were taken")
	}
}
