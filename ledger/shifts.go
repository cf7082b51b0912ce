package ledger

import (
	"fmt"

	"github.com/posnode/posnode/events"
)

func shiftOperations() []*Operation {
	open := Gates{Shift: true, Cart: NoCart}
	chosen := Gates{Shift: true, ChosenShift: true, Cart: NoCart}
	closing := Gates{Shift: true, ChosenShift: true, Cart: NoCart, DrawerOpen: true}
	return []*Operation{
		{ID: 918, Name: "Manage shifts", Group: "shift", Offline: Local, Gates: Gates{Cart: NoCart}, decide: listShifts},
		{ID: 1050, Name: "Open shift", Group: "shift", Offline: Local, Gates: Gates{Cart: NoCart}, decide: openShift},
		{ID: 1051, Name: "Resume shift", Group: "shift", Offline: Local, Gates: Gates{Cart: NoCart},
			Params: []Parameter{{Name: "shift", Kind: KindText, Required: true, Max: 60, Doc: "a suspended shift"}}, decide: resumeShift},
		// What stands from here to 1057 waits for head office, unless the offline profile lets it go on.
		{ID: 1053, Name: "Blind close shift", Group: "shift", Offline: Refused, Gates: Gates{Shift: true, Cart: NoCart, DrawerOpen: true}, decide: blindCloseShift},
		{ID: 1054, Name: "Suspend shift", Group: "shift", Offline: Refused, Gates: open, decide: suspendShift},
		{ID: 1055, Name: "Close shift", Group: "shift", Offline: Refused, Gates: closing, Params: []Parameter{shiftParam}, decide: closeShift},
		{ID: 1056, Name: "Print X", Group: "shift", Offline: Refused, Gates: chosen, Params: []Parameter{shiftParam}, decide: printX},
		{ID: 1057, Name: "Reprint Z", Group: "shift", Offline: Refused, Gates: Gates{Cart: NoCart, DrawerOpen: true}, decide: reprintZ},
	}
}

// openShift begins a shift (operation 1050).
func openShift(d *deciding) (events.Requested, error) {
	if err := d.noShiftOpen(); err != nil {
		return nil, err
	}
	store := d.Reference.Store
	n := d.Shifts + 1
	return &events.ShiftOpened{
		Shift:  events.ShiftID(fmt.Sprintf("%s-%d-s%d", d.Register, d.Head.Epoch, n)),
		Number: n, Staff: d.State.Staff.ID, BusinessDate: d.Date, Currency: store.Currency, Digits: store.Digits,
	}, nil
}

func (d *deciding) noShiftOpen() error {
	if d.Shift != nil {
		return refuse("shift_already_open", "Shift %s is open at this register.", d.Shift.Shift)
	}
	return nil
}

// resumeShift goes on with a suspended shift (operation 1051).
func resumeShift(d *deciding) (events.Requested, error) {
	if err := d.noShiftOpen(); err != nil {
		return nil, err
	}
	id := events.ShiftID(d.in.text("shift"))
	shift := d.unclosed(id)
	switch {
	case shift == nil:
		return nil, refuse("unknown_shift", "There is no shift %s that is not closed.", id).instead("List the shifts.")
	case shift.Status != shiftSuspended:
		return nil, refuse("shift_not_suspended", "Shift %s is blind-closed and cannot be resumed.", id).instead("Count and close it.")
	}
	return &events.ShiftResumed{InShift: events.InShift{Shift: id}, Staff: d.State.Staff.ID}, nil
}

// listShifts says which shifts are not closed (operation 918).
func listShifts(d *deciding) (events.Requested, error) {
	f := &events.ShiftsListed{Shifts: []events.ShiftStanding{}}
	add := func(s *Shift) {
		f.Shifts = append(f.Shifts, events.ShiftStanding{Shift: s.Shift, Status: s.Status, Staff: s.Staff, BusinessDate: s.BusinessDate})
	}
	for _, shift := range d.SetAside {
		add(shift)
	}
	if d.Shift != nil {
		add(d.Shift)
	}
	return f, nil
}

// setAside is what sets the open shift aside and signs its member of staff off.
func (d *deciding) setAside() (events.InShift, events.Leaving, error) {
	if len(d.SetAside) >= maxSetAside {
		return events.InShift{}, events.Leaving{}, refuse("too_many_shifts", "%d shifts are suspended or blind-closed.", maxSetAside).instead("Close one of them.")
	}
	return events.InShift{Shift: d.Shift.Shift}, events.Leaving{SignedOff: true}, nil
}

// blindCloseShift ends the selling of a shift that is counted and closed later (operation 1053).
func blindCloseShift(d *deciding) (events.Requested, error) {
	in, leaving, err := d.setAside()
	return &events.ShiftBlindClosed{InShift: in, Leaving: leaving}, err
}

// suspendShift sets the shift aside so that its drawer is free (operation 1054).
func suspendShift(d *deciding) (events.Requested, error) {
	in, leaving, err := d.setAside()
	return &events.ShiftSuspended{InShift: in, Leaving: leaving}, err
}

// closeShift ends a shift for good, with its Z report (operation 1055).
func closeShift(d *deciding) (events.Requested, error) {
	shift, err := d.chosenShift()
	if err != nil {
		return nil, err
	}
	if len(d.Suspended) > 0 {
		return nil, refuse("suspended_transactions", "%d transactions are suspended at this register.", len(d.Suspended)).instead("Recall or void them.")
	}
	if d.Reference.Store.Cash.StartRequired && !shift.Started {
		return nil, refuse("start_amount_missing", "The start amount of shift %s is not declared.", shift.Shift).instead("Declare it.")
	}
	sums := map[string]events.Money{}
	for _, t := range shift.Totals.Tenders {
		if d.Reference.Store.Tenders[string(t.Tender)].Counting.Required && !t.Declared {
			return nil, refuse("declaration_missing", "%s of shift %s is not counted.", t.Tender, shift.Shift).instead("Declare what is in the drawer.")
		}
		value := shift.valueOf(t.Tender, t.Currency, t.OverShort)
		sums[shift.account(t.Tender, t.Currency)] += value
		sums["over_short"] -= value
	}
	return &events.ShiftClosed{
		InShift: events.InShift{Shift: shift.Shift}, Z: d.Z + 1, Report: d.Report(shift), Postings: balanced(sums),
		// Who closes the shift that they work in goes home; who closes another one works on.
		Leaving: events.Leaving{SignedOff: shift == d.Shift},
	}, nil
}

// printX says what a shift adds up to so far (operation 1056).
func printX(d *deciding) (events.Requested, error) {
	shift, err := d.chosenShift()
	if err != nil {
		return nil, err
	}
	return &events.XPrinted{InShift: events.InShift{Shift: shift.Shift}, Report: d.Report(shift)}, nil
}

// reprintZ prints the last Z report once more (operation 1057).
func reprintZ(d *deciding) (events.Requested, error) {
	z := d.LastZ
	if z == nil {
		return nil, refuse("no_closed_shift", "No shift has been closed at this register.")
	}
	return &events.ZReprinted{InShift: events.InShift{Shift: z.Shift}, Z: z.Z, Copy: z.Copies + 1, Closed: z.Closed}, nil
}
