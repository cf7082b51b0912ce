package receipts

import (
	"fmt"
	"strings"

	"github.com/posnode/posnode/events"
)

// startAmount is the slip of a start amount.
func (p *paper) startAmount(e *events.Entry, f *events.StartAmountDeclared) {
	p.slip(e, &f.Printed, "START AMOUNT", f.Shift, f.Comment)
	p.amount(&f.Printed, events.Count{Tender: f.Tender, Currency: f.Currency, Amount: f.Amount})
	p.sign(e, &f.Printed)
}

// floatAdded is the slip of cash that was put into the drawer.
func (p *paper) floatAdded(e *events.Entry, f *events.FloatAdded) {
	p.cash(e, "FLOAT ENTRY", &f.CashMoved)
}

// tenderRemoved is the slip of cash that was taken out of the drawer.
func (p *paper) tenderRemoved(e *events.Entry, f *events.TenderRemoved) {
	p.cash(e, "TENDER REMOVAL", &f.CashMoved)
}

// incomeTaken is the slip of cash that was taken for something that is not sold.
func (p *paper) incomeTaken(e *events.Entry, f *events.IncomeTaken) {
	p.cash(e, "INCOME", &f.CashMoved, f.Account+" "+f.Name)
}

// expensePaid is the slip of cash that the shop has spent.
func (p *paper) expensePaid(e *events.Entry, f *events.ExpensePaid) {
	p.cash(e, "EXPENSE", &f.CashMoved, f.Account+" "+f.Name)
}

// safeDropped is the slip that goes into the safe with the money.
func (p *paper) safeDropped(e *events.Entry, f *events.SafeDropped) {
	p.drop(e, "SAFE DROP", &f.Dropped)
}

// bankDropped is the slip that goes into the bag.
func (p *paper) bankDropped(e *events.Entry, f *events.BankDropped) {
	p.drop(e, "BANK DROP", &f.Dropped, "Bag "+f.Bag)
}

// declared is the slip of a count. It does not show the expected amount: the drawer is counted
// blind.
func (p *paper) declared(e *events.Entry, f *events.DrawerDeclared) {
	var about []string
	if f.Recount > 0 {
		about = append(about, fmt.Sprintf("Counted again, recount %d", f.Recount))
	}
	p.slip(e, &f.Printed, "TENDER DECLARATION", f.Shift, f.Comment, about...)
	for _, c := range f.Counts {
		p.amount(&f.Printed, c.Count)
	}
	p.sign(e, &f.Printed)
}

// cash is the slip of one amount of cash.
func (p *paper) cash(e *events.Entry, title string, m *events.CashMoved, about ...string) {
	p.slip(e, &m.Printed, title, m.Shift, m.Comment, about...)
	p.amount(&m.Printed, events.Count{Tender: m.Tender, Currency: m.Currency, Amount: m.Amount})
	p.sign(e, &m.Printed)
}

// drop is the slip of amounts that left the drawer for good.
func (p *paper) drop(e *events.Entry, title string, d *events.Dropped, about ...string) {
	p.slip(e, &d.Printed, title, d.Shift, d.Comment, about...)
	for _, c := range d.Amounts {
		p.amount(&d.Printed, c)
	}
	p.sign(e, &d.Printed)
}

// slip is the head of a slip, with the number under which it is found again.
func (p *paper) slip(e *events.Entry, printed *events.Printed, title string, shift events.ShiftID, comment string, about ...string) {
	about = append([]string{"No. " + events.EntryNumber(e.Register, e.Head), "Shift " + string(shift)}, about...)
	if comment != "" {
		about = append(about, comment)
	}
	p.head(e, printed, title, about...)
}

// amount is how much there is of one tender, and of which notes and coins.
func (p *paper) amount(printed *events.Printed, c events.Count) {
	p.row(tenderName(printed, c.Tender)+" "+c.Currency, inCurrency(printed, c.Currency, c.Amount))
	for _, d := range c.Denominations {
		p.row(fmt.Sprintf("  %d x %s", d.Count, inCurrency(printed, c.Currency, d.Value)), inCurrency(printed, c.Currency, d.Value*events.Money(d.Count))+"  ")
	}
}

// inCurrency is an amount with the digits that its currency had.
func inCurrency(printed *events.Printed, currency string, m events.Money) string {
	for _, c := range printed.Currencies {
		if c.Currency == currency {
			return m.Decimal(c.Digits)
		}
	}
	return fmt.Sprintf("%d minor units", m) // of an entry that does not say
}

// sign is the line for the signature of the person that handed over or counted the money; and the
// foot of every document.
func (p *paper) sign(e *events.Entry, printed *events.Printed) {
	p.line("")
	p.line("Signature " + strings.Repeat("_", Width-len("Signature ")))
	p.foot(e, printed)
}
