package ledger_test

import (
	"fmt"
	"strings"

	"github.com/posnode/posnode/events"
)

// sums are named amounts and counts that add up from entry to entry.
type sums map[string]int64

func (s sums) add(name string, m events.Money) {
	if m != 0 {
		s[name] += int64(m)
	}
}

// checkReport says whether an X or Z report follows from the entries of its shift:
// from those before it, and from every earlier report with those between.
func (w *till) checkReport(entry *events.Entry) error {
	report, shift := reportOf(entry)
	if report == nil {
		return nil
	}
	from, before := 0, sums{}
	for i, e := range w.entries {
		if e == entry {
			break
		}
		if _, opened := e.Fact.(*events.ShiftOpened); opened && e.Shift == shift {
			from = i
			if report.First != e.Head.Sequence || report.Opened != e.Envelope.Time {
				return fmt.Errorf("the report begins at entry %d of %s, the shift at %d of %s", report.First, report.Opened, e.Head.Sequence, e.Envelope.Time)
			}
		}
		if x, of := reportOf(e); x != nil && of == shift {
			if err := same(w.recount(shift, i+1, entry, sumsOf(x)), sumsOf(report)); err != nil {
				return fmt.Errorf("X at entry %d and the rest: %w", e.Head.Sequence, err)
			}
		}
	}
	if report.Last != entry.Head.Sequence-1 {
		return fmt.Errorf("the report ends at entry %d, before entry %d", report.Last, entry.Head.Sequence)
	}
	if err := same(w.recount(shift, from, entry, before), sumsOf(report)); err != nil {
		return err
	}
	return w.checkZ(entry, shift)
}

func reportOf(e *events.Entry) (*events.ShiftReport, events.ShiftID) {
	switch f := e.Fact.(type) {
	case *events.XPrinted:
		return &f.Report, f.Shift
	case *events.ShiftClosed:
		return &f.Report, f.Shift
	}
	return nil, ""
}

func same(want, got sums) error {
	for _, names := range []sums{want, got} {
		for name := range names {
			if want[name] != got[name] {
				return fmt.Errorf("%s is %d by the entries and %d in the report", name, want[name], got[name])
			}
		}
	}
	return nil
}

// recount adds what the entries of a shift from one on say to what they follow.
func (w *till) recount(shift events.ShiftID, from int, until *events.Entry, s sums) sums {
	for _, e := range w.entries[from:] {
		if e == until {
			break
		}
		if e.Shift == shift {
			w.recountEntry(e, s)
		}
	}
	return s
}

func (w *till) recountEntry(e *events.Entry, s sums) {
	move := func(c events.Count, what string, sign events.Money) {
		s.add(string(c.Tender)+" "+c.Currency+" "+what, c.Amount)
		s.add(string(c.Tender)+" "+c.Currency+" expected", sign*c.Amount)
	}
	cash := func(m events.CashMoved, what string, sign events.Money) {
		move(events.Count{Tender: m.Tender, Currency: m.Currency, Amount: m.Amount}, what, sign)
	}
	switch f := e.Fact.(type) {
	case *events.SaleVoided:
		s.add("voided", 1)
	case *events.DrawerOpened:
		s.add("no sale", 1)
	case *events.StartAmountDeclared:
		move(events.Count{Tender: f.Tender, Currency: f.Currency, Amount: f.Amount}, "starting", 1)
	case *events.FloatAdded:
		cash(f.CashMoved, "added", 1)
	case *events.TenderRemoved:
		cash(f.CashMoved, "removed", -1)
	case *events.SafeDropped:
		for _, a := range f.Amounts {
			move(a, "safe", -1)
		}
	case *events.BankDropped:
		for _, a := range f.Amounts {
			move(a, "bank", -1)
		}
	case *events.IncomeTaken:
		s.add("income", f.Amount)
		s.add("income "+f.Account, f.Amount)
		cash(f.CashMoved, "tendered", 1)
		s.add(string(f.Tender)+" "+f.Currency+" payments", 1)
	case *events.ExpensePaid:
		s.add("expense", f.Amount)
		s.add("expense "+f.Account, f.Amount)
		out := f.CashMoved
		out.Amount = -out.Amount
		cash(out, "tendered", 1)
		s.add(string(f.Tender)+" "+f.Currency+" payments", 1)
	case *events.SaleConcluded:
		s.add("transactions", 1)
		if f.Customer != nil {
			s.add("customer sales", 1)
		}
		if f.Order != nil {
			s.add("deposits", -f.Order.Deposit)
		}
		for _, line := range f.Lines {
			if line.Voided {
				continue
			}
			if line.Offer != nil {
				s.add("discounts", line.Offer.Amount)
			}
			if line.Discount != nil {
				s.add("discounts", line.Discount.Amount)
			}
			if line.Original != nil {
				s.add("discounts", line.Original.Discount)
			}
			s.add("discounts", line.TotalDiscount)
			if line.GiftCard != nil {
				s.add("gift cards", line.Net)
				continue
			}
			if line.Quantity.Sign() > 0 {
				s.add("sales", line.Net)
			} else {
				s.add("returns", line.Net)
			}
			base := line.Net
			for _, tax := range line.Tax {
				s.add("tax", tax)
				if f.Terms.TaxIncluded {
					base -= tax
				}
			}
			for i, rate := range line.Taxes {
				s.add("tax "+rate.Code+" "+rate.Rate.String(), line.Tax[i])
				s.add("base "+rate.Code+" "+rate.Rate.String(), base)
			}
		}
		s.payments(f.Terms.Currency, f.Payments)
	case *events.OrderPlaced:
		s.add("deposits", f.Placed.Deposit)
		s.payments(f.Terms.Currency, f.Payments)
	}
}

// payments adds what was paid and given back.
func (s sums) payments(currency string, payments []events.Payment) {
	for _, p := range payments {
		s.add("rounding", p.Rounding)
		name, tendered := string(p.Tender)+" "+currency, p.Tendered
		change := name
		if p.ChangeTender != "" {
			change = string(p.ChangeTender) + " " + currency
		}
		if p.Foreign != nil {
			name, tendered = string(p.Tender)+" "+p.Foreign.Currency, p.Foreign.Amount
		}
		s.add(name+" payments", 1)
		s.add(name+" tendered", tendered)
		s.add(name+" expected", tendered)
		s.add(change+" change", p.Change)
		s.add(change+" expected", -p.Change)
	}
}

// sumsOf are the sums of a report under the names that recount gives them.
func sumsOf(r *events.ShiftReport) sums {
	s, t := sums{}, r.Totals
	for name, m := range map[string]events.Money{
		"transactions": events.Money(t.Transactions), "customer sales": events.Money(t.CustomerSales), "voided": events.Money(t.Voided), "no sale": events.Money(t.NoSale),
		"sales": t.Sales, "returns": t.Returns, "gift cards": t.GiftCards, "deposits": t.Deposits, "discounts": t.Discounts, "tax": t.Tax, "rounding": t.Rounding, "income": t.Income, "expense": t.Expense,
	} {
		s.add(name, m)
	}
	for _, tax := range t.Taxes {
		s.add("tax "+tax.Code+" "+tax.Rate.String(), tax.Tax)
		s.add("base "+tax.Code+" "+tax.Rate.String(), tax.Base)
	}
	for _, a := range t.Accounts {
		s.add("income "+a.Account, a.Income)
		s.add("expense "+a.Account, a.Expense)
	}
	for _, of := range t.Tenders {
		name := string(of.Tender) + " " + of.Currency + " "
		for what, m := range map[string]events.Money{
			"payments": events.Money(of.Transactions), "tendered": of.Tendered, "change": of.Change, "starting": of.Starting, "added": of.Added,
			"removed": of.Removed, "safe": of.SafeDrop, "bank": of.BankDrop, "expected": of.Expected,
		} {
			s.add(name+what, m)
		}
	}
	return s
}

// checkZ proves a Z report from the postings of its shift: the trial balance is
// zero, and each account stands as the report says.
func (w *till) checkZ(entry *events.Entry, shift events.ShiftID) error {
	f, ok := entry.Fact.(*events.ShiftClosed)
	if !ok {
		return nil
	}
	if w.books.z++; f.Z != w.books.z {
		return fmt.Errorf("Z report %d, want %d", f.Z, w.books.z)
	}
	posted := map[string]events.Money{}
	var sum events.Money
	for _, e := range w.entries {
		p, ok := e.Fact.(events.Posted)
		if !ok || e.Shift != shift {
			continue
		}
		for _, posting := range p.Posts() {
			kind, _, _ := strings.Cut(posting.Account, ":")
			posted[kind] += posting.Amount
			sum += posting.Amount
		}
	}
	t := f.Report.Totals
	net := t.Sales + t.Returns
	if w.store.TaxIncluded {
		net -= t.Tax
	}
	foreign := false
	var tender, safe, bank, over events.Money
	for _, of := range t.Tenders {
		if of.Declared && of.Expected+of.OverShort != of.Counted || !of.Declared && of.OverShort != 0 {
			return fmt.Errorf("over or short of %+v", of)
		}
		switch {
		case of.Tender == "account" || of.Tender == "giftcard" || of.Tender == "loyalty":
			continue // what is owed, and stands in accounts of its own
		case of.Currency != f.Report.Currency:
			foreign = true
		}
		tender += of.Expected + of.OverShort
		safe += of.SafeDrop + of.Removed - of.Starting - of.Added
		bank += of.BankDrop
		over += of.OverShort
	}
	for kind, want := range map[string]events.Money{
		"tender": tender, "safe": safe, "bank": bank, "over_short": -over, "rounding": t.Rounding, "tax": -t.Tax,
		"income": -t.Income, "expense": t.Expense, "deposits": -t.Deposits,
	} {
		if posted[kind] != want && !(foreign && strings.Contains("tender over_short safe bank", kind)) {
			return fmt.Errorf("%d was posted to %s in the shift, and the Z report says %d", posted[kind], kind, want)
		}
	}
	if got := posted["sales"] + posted["returns"]; got != -net || sum != 0 {
		return fmt.Errorf("%d was posted to sales and returns, and the Z report says %d; the trial balance is %d", got, -net, sum)
	}
	return nil
}
