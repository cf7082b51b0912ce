package receipts

import (
	"fmt"

	"github.com/posnode/posnode/events"
)

// xReport is the sums of a shift before its end.
func (p *paper) xReport(e *events.Entry, f *events.XPrinted) {
	p.shiftReport(e, &f.Printed, "X REPORT", f.Shift, &f.Report)
}

// zReport prints the sums of a closed shift, with the counted amounts.
func (p *paper) zReport(e *events.Entry, f *events.ShiftClosed) {
	p.shiftReport(e, &f.Printed, fmt.Sprintf("Z REPORT %d", f.Z), f.Shift, &f.Report)
}

// shiftReport prints the common part of X and Z.
func (p *paper) shiftReport(e *events.Entry, printed *events.Printed, title string, shift events.ShiftID, r *events.ShiftReport) {
	t := &r.Totals
	money := func(m events.Money) string { return m.Decimal(r.Digits) }
	p.head(e, printed, title, "Shift "+string(shift)+", opened by "+string(r.Staff), "Business date "+r.BusinessDate, fmt.Sprintf("Entries %d to %d", r.First, r.Last))
	for _, c := range []struct {
		label string
		count int
	}{
		{"Transactions", t.Transactions}, {"With a customer", t.CustomerSales}, {"Voided", t.Voided}, {"Drawer opened without a sale", t.NoSale}, {"Suspended", t.Suspended},
	} {
		p.row(c.label, fmt.Sprint(c.count))
	}
	p.rule()
	for _, a := range []struct {
		label  string
		amount events.Money
	}{
		{"Sales " + r.Currency, t.Sales}, {"Returns", t.Returns}, {"Discounts", -t.Discounts}, {"Tax", t.Tax}, {"Rounding", t.Rounding},
		{"Charged to accounts", t.PaidToAccount}, {"Income", t.Income}, {"Expenses", -t.Expense},
	} {
		p.row(a.label, money(a.amount))
	}
	for _, a := range []struct {
		label  string
		amount events.Money
	}{{"Put on gift cards", t.GiftCards}, {"Deposits of orders", t.Deposits}} {
		if a.amount != 0 {
			p.row(a.label, money(a.amount))
		}
	}
	for _, tax := range t.Taxes {
		p.row(fmt.Sprintf("Tax %s %s%% on %s", tax.Code, tax.Rate, money(tax.Base)), money(tax.Tax))
	}
	for _, a := range t.Accounts {
		p.row(a.Name, money(a.Income-a.Expense))
	}
	for i := range t.Tenders {
		p.rule()
		p.tenderTotal(&t.Tenders[i], printed, r.Digits)
	}
	p.rule()
	for _, g := range r.Grand {
		p.row("Grand total "+g.Currency, (g.Sales + g.Returns).Decimal(r.Digits))
	}
	p.foot(e, printed)
}

// tenderTotal prints the movements of one tender in a shift.
func (p *paper) tenderTotal(t *events.TenderTotal, printed *events.Printed, digits int) {
	p.row(tenderName(printed, t.Tender)+" "+t.Currency, fmt.Sprintf("%d payments", t.Transactions))
	for _, a := range []struct {
		label  string
		amount events.Money
		always bool
	}{
		{"  Starting amount", t.Starting, false}, {"  Tendered", t.Tendered, true}, {"  Change", -t.Change, false}, {"  Added", t.Added, false},
		{"  Removed", -t.Removed, false}, {"  To the safe", -t.SafeDrop, false}, {"  To the bank", -t.BankDrop, false}, {"  Expected", t.Expected, true},
		{"  Counted", t.Counted, t.Declared}, {"  Over / short", t.OverShort, t.Declared},
	} {
		if a.always || a.amount != 0 {
			p.row(a.label, a.amount.Decimal(digits))
		}
	}
}
