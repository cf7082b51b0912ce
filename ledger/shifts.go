package ledger

import (
	"fmt"

	"github.com/posnode/posnode/events"
)

func shiftOperations() []*Operation {
	return []*Operation{
		{ID: 1050, Name: "Open shift", Group: "shift", Offline: Local, Gates: Gates{Cart: NoCart}, decide: openShift},
		{ID: 1200, Name: "Declare start amount", Group: "drawer", Offline: Local, Gates: Gates{Shift: true, Cart: NoCart},
			Params: []Parameter{
				{Name: "amount", Kind: KindAmount, Required: true, Doc: "cash in the drawer, in minor units"},
				commentParam,
			},
			decide: declareStart},
	}
}

// openShift begins a shift (operation 1050).
func openShift(d *deciding) (events.Requested, error) {
	if d.Shift != nil {
		return nil, refuse("shift_already_open", "Shift %s is open at this register.", d.Shift.Shift)
	}
	store := d.Reference.Store
	n := d.Shifts + 1
	return &events.ShiftOpened{
		Shift:  events.ShiftID(fmt.Sprintf("%s-%d-s%d", d.Register, d.Head.Epoch, n)),
		Number: n, Staff: d.State.Staff.ID, BusinessDate: d.Date, Currency: store.Currency, Digits: store.Digits,
	}, nil
}

// declareStart says how much cash the drawer holds at the start (operation 1200).
func declareStart(d *deciding) (events.Requested, error) {
	amount := d.in.amount("amount")
	switch {
	case d.Shift.Started:
		return nil, refuse("start_amount_declared", "The start amount of this shift is declared already.")
	case amount < 0:
		return nil, refuseParameter("amount", "must not be negative")
	}
	return &events.StartAmountDeclared{
		Shift: d.Shift.Shift, Tender: "cash", Amount: amount, Currency: d.Shift.Currency, Comment: d.in.text("comment"),
		Postings: []events.Posting{{Account: "tender:cash", Amount: amount}, {Account: "safe", Amount: -amount}},
	}, nil
}
