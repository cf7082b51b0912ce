package ledger

import (
	"cmp"
	"fmt"
	"math/bits"
	"slices"
	"strings"

	"github.com/posnode/posnode/events"
)

// Shift is a shift that is not closed, and what it adds up to so far.
type Shift struct {
	events.ShiftOpened
	Status  string `json:"status"`  // open, suspended or blind_closed
	Opened  string `json:"opened"`  // time of the entry that opened it
	First   uint64 `json:"first"`   // sequence of that entry
	Started bool   `json:"started"` // its start amount is declared
	// Booked is what was posted to each tender's account, in the shift's currency.
	Booked   map[string]events.Money `json:"booked"`
	Recounts int                     `json:"recounts,omitempty"` // asked for since the last declaration
	Totals   events.ShiftTotals      `json:"totals"`
}

// How a shift that is not closed can stand.
const (
	shiftOpen        = "open"
	shiftSuspended   = "suspended"
	shiftBlindClosed = "blind_closed"
)

// maxSetAside bounds the shifts that are suspended or blind-closed at one time.
const maxSetAside = 20

// LastZ is the Z report that was made last.
type LastZ struct {
	Z      int            `json:"z"`
	Shift  events.ShiftID `json:"shift"`
	Closed uint64         `json:"closed"` // sequence of the entry that holds it
	Copies int            `json:"copies"` // printed since
}

// drawerKey names what is counted apart in a drawer: a tender, or a foreign currency of it.
func (s *Shift) drawerKey(tender events.TenderID, currency string) events.TenderID {
	if currency == s.Currency {
		return tender
	}
	return tender + ":" + events.TenderID(currency)
}

// account is what the money of one tender and currency in the drawer is posted to.
func (s *Shift) account(tender events.TenderID, currency string) string {
	return "tender:" + string(s.drawerKey(tender, currency))
}

// valueOf is an amount of a tender and currency in the shift's currency. What is
// in the drawer of a foreign currency is worth what was posted for it, so that to
// take all of it out leaves nothing; where there is none it is worth nothing here.
func (s *Shift) valueOf(tender events.TenderID, currency string, amount events.Money) events.Money {
	if currency == s.Currency {
		return amount
	}
	booked, expected := s.Booked[s.account(tender, currency)], s.total(tender, currency).Expected
	if expected <= 0 || booked <= 0 {
		return 0
	}
	if hi, _ := bits.Mul64(uint64(booked), uint64(abs(amount))); hi >= uint64(expected) {
		return 0 // more than there is money
	}
	if amount < 0 {
		return -booked.MulDiv(int64(-amount), int64(expected))
	}
	return booked.MulDiv(int64(amount), int64(expected))
}

// total is what became of one tender in one currency so far.
func (s *Shift) total(tender events.TenderID, currency string) events.TenderTotal {
	for _, t := range s.Totals.Tenders {
		if t.Tender == tender && t.Currency == currency {
			return t
		}
	}
	return events.TenderTotal{Tender: tender, Currency: currency}
}

// change changes what became of one tender in one currency, and what follows from it.
func (s *Shift) change(tender events.TenderID, currency string, change func(t *events.TenderTotal)) {
	at := slices.IndexFunc(s.Totals.Tenders, func(t events.TenderTotal) bool { return t.Tender == tender && t.Currency == currency })
	if at < 0 {
		at = len(s.Totals.Tenders)
		s.Totals.Tenders = append(s.Totals.Tenders, events.TenderTotal{Tender: tender, Currency: currency})
	}
	t := &s.Totals.Tenders[at]
	change(t)
	t.Collected = t.Tendered - t.Change
	t.Expected = t.Starting + t.Added + t.Collected - t.Removed - t.BankDrop - t.SafeDrop
	t.OverShort = 0
	if t.Declared {
		t.OverShort = t.Counted - t.Expected
	}
}

// Expected is what the drawer should hold of each tender, and of each foreign currency as "<tender>:<currency>".
func (s *Shift) Expected() map[events.TenderID]events.Money {
	all := map[events.TenderID]events.Money{}
	for _, t := range s.Totals.Tenders {
		all[s.drawerKey(t.Tender, t.Currency)] = t.Expected
	}
	return all
}

// post adds postings to what was booked to the tenders' accounts.
func (s *Shift) post(postings []events.Posting) {
	for _, p := range postings {
		if strings.HasPrefix(p.Account, "tender:") {
			s.Booked[p.Account] += p.Amount
		}
	}
}

// countSale adds what a concluded sale sold, and its payments.
func (s *Shift) countSale(f *events.SaleConcluded) {
	t := &s.Totals
	t.Transactions++
	if f.Customer != nil {
		t.CustomerSales++
	}
	t.Sales += f.Sales
	t.Returns += f.Returns
	t.GiftCards += f.GiftCards
	if f.Order != nil {
		t.Deposits -= f.Order.Deposit
	}
	t.Discounts += f.Discounts()
	t.Tax += f.After.Tax
	for _, tax := range f.Taxes {
		s.countTax(tax)
	}
	s.countPayments(f.Payments, f.Postings)
}

// countPayments adds the payments of a document, be it a sale or the deposit of an order.
func (s *Shift) countPayments(payments []events.Payment, postings []events.Posting) {
	for i := range payments {
		p := &payments[i]
		s.Totals.Rounding += p.Rounding
		if p.Tender == "account" {
			s.Totals.PaidToAccount += p.Amount
		}
		for n, m := range p.Moves() {
			s.change(m.Tender, cmp.Or(m.Foreign, s.Currency), func(t *events.TenderTotal) {
				t.Tendered += m.Tendered
				t.Change += m.Change
				if n == 0 {
					t.Transactions++
				}
			})
		}
	}
	s.post(postings)
}

func (s *Shift) countTax(tax events.TaxTotal) {
	for i := range s.Totals.Taxes {
		if t := &s.Totals.Taxes[i]; t.Code == tax.Code && t.Rate.Cmp(tax.Rate) == 0 {
			t.Base += tax.Base
			t.Tax += tax.Tax
			return
		}
	}
	s.Totals.Taxes = append(s.Totals.Taxes, tax)
}

func (s *Shift) countAccount(a events.CashAccount, income, expense events.Money) {
	s.Totals.Income += income
	s.Totals.Expense += expense
	s.change(a.Tender, a.Currency, func(t *events.TenderTotal) {
		t.Transactions++
		t.Tendered += income - expense
	})
	for i := range s.Totals.Accounts {
		if t := &s.Totals.Accounts[i]; t.Account == a.Account {
			t.Income += income
			t.Expense += expense
			return
		}
	}
	s.Totals.Accounts = append(s.Totals.Accounts, events.AccountTotal{Account: a.Account, Name: a.Name, Income: income, Expense: expense})
}

// countGrand adds a concluded sale to what the register has sold since its epoch began.
func (s *State) countGrand(f *events.SaleConcluded) {
	at := slices.IndexFunc(s.Grand, func(g events.GrandTotal) bool { return g.Currency == f.Terms.Currency })
	if at < 0 {
		at, s.Grand = len(s.Grand), append(s.Grand, events.GrandTotal{Currency: f.Terms.Currency})
	}
	g := &s.Grand[at]
	g.Transactions++
	g.Sales += f.Sales
	g.Returns += f.Returns
	g.Tax += f.After.Tax
}

// Report is what an X or Z report of the shift says now. It shares nothing with the state.
func (s *State) Report(shift *Shift) events.ShiftReport {
	totals := shift.Totals
	totals.Suspended = len(s.Suspended)
	totals.Taxes = append([]events.TaxTotal{}, totals.Taxes...)
	totals.Tenders = append([]events.TenderTotal{}, totals.Tenders...)
	totals.Accounts = slices.Clone(totals.Accounts)
	return events.ShiftReport{
		Number: shift.Number, Staff: shift.Staff, BusinessDate: shift.BusinessDate, Opened: shift.Opened,
		Currency: shift.Currency, Digits: shift.Digits, First: shift.First, Last: s.Head.Sequence,
		Totals: totals, Grand: append([]events.GrandTotal{}, s.Grand...),
	}
}

// unclosed is the shift with that id, if it is not closed; nil otherwise.
func (s *State) unclosed(id events.ShiftID) *Shift {
	if s.Shift != nil && s.Shift.Shift == id {
		return s.Shift
	}
	for _, shift := range s.SetAside {
		if shift.Shift == id {
			return shift
		}
	}
	return nil
}

// applyShift folds a fact about a shift.
func (s *State) applyShift(fact events.OfShift) error {
	switch f := fact.(type) {
	case *events.ShiftOpened:
		if s.Shift != nil {
			return fmt.Errorf("shift %s is open", s.Shift.Shift)
		}
		s.Shift = &Shift{
			ShiftOpened: *f, Status: shiftOpen, First: s.Head.Sequence + 1,
			Booked: map[string]events.Money{},
		}
		s.Shifts = f.Number
		return nil
	case *events.ZReprinted:
		if s.LastZ == nil || s.LastZ.Z != f.Z {
			return fmt.Errorf("Z report %d is not the last one", f.Z)
		}
		s.LastZ.Copies = f.Copy
		return nil
	}
	shift := s.unclosed(fact.OfShift())
	if shift == nil {
		return fmt.Errorf("no shift is open that is called %q", fact.OfShift())
	}
	if posted, ok := fact.(events.Posted); ok {
		shift.post(posted.Posts())
	}
	switch f := fact.(type) {
	case *events.StartAmountDeclared:
		shift.Started = true
		shift.change(f.Tender, f.Currency, func(t *events.TenderTotal) { t.Starting += f.Amount })
	case *events.FloatAdded:
		shift.change(f.Tender, f.Currency, func(t *events.TenderTotal) { t.Added += f.Amount })
	case *events.TenderRemoved:
		shift.change(f.Tender, f.Currency, func(t *events.TenderTotal) { t.Removed += f.Amount })
	case *events.SafeDropped:
		for _, a := range f.Amounts {
			shift.change(a.Tender, a.Currency, func(t *events.TenderTotal) { t.SafeDrop += a.Amount })
		}
	case *events.BankDropped:
		for _, a := range f.Amounts {
			shift.change(a.Tender, a.Currency, func(t *events.TenderTotal) { t.BankDrop += a.Amount })
		}
	case *events.DrawerDeclared:
		shift.Recounts = 0
		for _, c := range f.Counts {
			shift.change(c.Tender, c.Currency, func(t *events.TenderTotal) { t.Declared, t.Counted = true, c.Counted })
		}
	case *events.RecountAsked:
		shift.Recounts = f.Recount
	case *events.DrawerOpened:
		shift.Totals.NoSale++
	case *events.IncomeTaken:
		shift.countAccount(f.CashAccount, f.Amount, 0)
	case *events.ExpensePaid:
		shift.countAccount(f.CashAccount, 0, f.Amount)
	case *events.XPrinted:
	case *events.ShiftSuspended:
		return s.setAside(shift, shiftSuspended)
	case *events.ShiftBlindClosed:
		return s.setAside(shift, shiftBlindClosed)
	case *events.ShiftResumed:
		if s.Shift != nil || shift.Status != shiftSuspended {
			return fmt.Errorf("shift %s cannot be resumed", shift.Shift)
		}
		s.forget(shift)
		s.Shift, shift.Status = shift, shiftOpen
	case *events.ShiftClosed:
		if f.Z != s.Z+1 {
			return fmt.Errorf("Z report %d after %d", f.Z, s.Z)
		}
		s.Z, s.LastZ = f.Z, &LastZ{Z: f.Z, Shift: f.Shift, Closed: s.Head.Sequence + 1}
		s.forget(shift)
	default:
		return fmt.Errorf("fact %s has no place in a shift", fact.Type())
	}
	if leaving, ok := fact.(interface{ SignsOff() bool }); ok && leaving.SignsOff() {
		s.Staff = nil
	}
	return nil
}

// setAside frees the drawer of the open shift for another.
func (s *State) setAside(shift *Shift, status string) error {
	if s.Shift != shift {
		return fmt.Errorf("shift %s is not the open one", shift.Shift)
	}
	shift.Status, s.Shift, s.Staff = status, nil, nil
	s.SetAside = append(s.SetAside, shift)
	return nil
}

// forget takes a shift out of those that are not closed.
func (s *State) forget(shift *Shift) {
	if s.Shift == shift {
		s.Shift = nil
	}
	s.SetAside = slices.DeleteFunc(s.SetAside, func(other *Shift) bool { return other == shift })
}

// ReportOf is what an X or Z report of the shift with that id says now, if it is not closed.
func (s *State) ReportOf(id events.ShiftID) (events.ShiftReport, bool) {
	shift := s.unclosed(id)
	if shift == nil {
		return events.ShiftReport{}, false
	}
	return s.Report(shift), true
}
