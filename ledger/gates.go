package ledger

import (
	"maps"
	"slices"
	"strings"

	"github.com/posnode/posnode/events"
)

// Gates are what must hold before an operation's own checks.
type Gates struct {
	Open       bool `json:"open,omitempty"`        // works without anyone signed on
	AnyStaff   bool `json:"any_staff,omitempty"`   // needs no permission of its own
	DrawerOpen bool `json:"drawer_open,omitempty"` // works while the drawer stands open
	Shift      bool `json:"shift,omitempty"`       // needs an open shift
	Cart       Cart `json:"cart,omitempty"`
	// ChosenShift says that a shift that the command names will do as well as an open one.
	ChosenShift bool `json:"chosen_shift,omitempty"`
}

// Cart is what an operation needs of the transaction in progress.
type Cart string

// What an operation can need of the transaction in progress.
const (
	AnyCart  Cart = ""       // with or without one
	NeedCart Cart = "needed" // only with one
	NoCart   Cart = "none"   // only without one
)

// signedOn: someone is signed on, and the client's session is theirs.
func (d *deciding) signedOn() error {
	if d.op.Gates.Open {
		return nil
	}
	if d.State.Staff == nil || d.State.Staff.ID != d.Command.Staff {
		return refuse("not_signed_on", "Nobody is signed on at this register.").instead("Sign on first.")
	}
	if d.State.Staff.Locked {
		return refuse("register_locked", "%s has locked this register.", d.State.Staff.ID).instead("Log on again as " + string(d.State.Staff.ID) + ".")
	}
	d.rights = d.State.Staff.Rights
	return nil
}

// permitted: their rights allow the operation, or a manager approves this one call.
// A manager who is named widens the rights also where the operation itself is
// allowed, for a limit may be what needs approval.
func (d *deciding) permitted() error {
	if d.op.Gates.Open || d.op.Gates.AnyStaff {
		return nil
	}
	if err := d.approve(); err != nil {
		return err
	}
	if !allows(d.rights, d.op.ID) {
		return deny("%s may not do this: %s.", d.State.Staff.ID, d.op.Name)
	}
	return nil
}

// approve widens the rights by those of the approver, if the command names one.
func (d *deciding) approve() error {
	id := d.Input.approver()
	if id == "" {
		return nil
	}
	override := func(code, why string) error {
		r := refuse(code, "%s", why)
		r.security = true
		return r
	}
	manager, known := find[StaffMember](d.Reference, "staff", id)
	switch {
	case events.StaffID(id) == d.State.Staff.ID:
		return override("override_by_same", "Someone else must approve it.")
	case d.isLockedOut(events.StaffID(id)):
		return refuse("override_locked_out", "There were too many wrong PINs of the approver.").instead(askManager)
	case !known || manager.Blocked || !d.ApproverMatches:
		var entry bool
		if d.wrongPIN, entry = d.failed(d.Failures[events.StaffID(id)], d.Untold[Approves]); !entry {
			return refuse("override_refused", "The approver's staff number or PIN is wrong.").instead(askManager)
		}
		return override("override_refused", "The approver's staff number or PIN is wrong.")
	}
	d.rights = merge(d.rights, manager.rights())
	d.approver = manager.ID
	return nil
}

// allows says whether rights include an operation.
func allows(r events.Rights, operation int) bool {
	_, found := slices.BinarySearch(r.Operations, operation)
	return r.Manager || found
}

// rights are a staff member's permission groups merged.
func (m StaffMember) rights() (merged events.Rights) {
	for _, group := range m.Groups {
		merged = merge(merged, group)
	}
	return merged
}

// merge joins two sets of rights: flags by or, limits by the largest.
func merge(a, b events.Rights) events.Rights {
	all := map[int]bool{}
	for _, op := range append(slices.Clone(a.Operations), b.Operations...) {
		all[op] = true
	}
	out := events.Rights{
		Manager:            a.Manager || b.Manager,
		Operations:         slices.Sorted(maps.Keys(all)),
		LineDiscountAmount: max(a.LineDiscountAmount, b.LineDiscountAmount), TotalDiscountAmount: max(a.TotalDiscountAmount, b.TotalDiscountAmount),
		LineReturnAmount: max(a.LineReturnAmount, b.LineReturnAmount), TotalReturnAmount: max(a.TotalReturnAmount, b.TotalReturnAmount),
		LineDiscountPercent: a.LineDiscountPercent, TotalDiscountPercent: a.TotalDiscountPercent, PriceOverride: a.PriceOverride,
	}
	if b.LineDiscountPercent.Cmp(a.LineDiscountPercent) > 0 {
		out.LineDiscountPercent = b.LineDiscountPercent
	}
	if b.TotalDiscountPercent.Cmp(a.TotalDiscountPercent) > 0 {
		out.TotalDiscountPercent = b.TotalDiscountPercent
	}
	if reports := slices.Concat(a.Reports, b.Reports); len(reports) > 0 {
		slices.Sort(reports)
		out.Reports = slices.Compact(reports)
	}
	switch {
	case a.PriceOverride == "":
		out.PriceOverride = b.PriceOverride
	case b.PriceOverride != "" && b.PriceOverride != a.PriceOverride:
		out.PriceOverride = "both"
	}
	return out
}

// drawerShut: the till is not worked with while its drawer stands open.
func (d *deciding) drawerShut() error {
	if d.DrawerOpen && !d.op.Gates.DrawerOpen && !d.op.Gates.Open {
		return refuse("drawer_open", "The cash drawer is open.").instead("Close the drawer.")
	}
	return nil
}

func (d *deciding) shiftOpen() error {
	chosen := d.op.Gates.ChosenShift && strings.TrimSpace(d.Input.Text("shift")) != ""
	if d.op.Gates.Shift && d.Shift == nil && !chosen {
		return refuse("no_shift", "No shift is open at this register.").instead("Open a shift first.")
	}
	return nil
}

func (d *deciding) cartFits() error {
	switch {
	case d.op.Gates.Cart == NeedCart && d.Transaction == nil:
		return refuse("no_transaction", "There is no transaction in progress.")
	case d.op.Gates.Cart == NoCart && d.Transaction != nil && !d.Frozen: // what a frozen journal holds stays behind
		return refuse("transaction_in_progress", "Complete the current transaction first.")
	}
	return nil
}

// online: what only HQ can decide waits for it. The offline profile may let the
// shift operations go on without it.
func (d *deciding) online() error {
	if d.op.ID == 707 && !d.LinkDown {
		return nil // the register may be offline for want of it
	}
	if d.op.Offline != Refused || d.Mode == events.Online || d.op.Group == "shift" && d.Reference.Store.Profile.ShiftOperationsOffline {
		return nil
	}
	return refuse("operation_unsupported_offline", "%s is not possible while head office cannot be reached.", d.op.Name).
		instead("Connect (operation 917), or try again when the register is online.")
}

// reasonsGiven: where the store wants a reason for what the operation does, or for a
// transaction that begins or ends with its fact, one of the codes is given.
func (d *deciding) reasonsGiven(fact events.Requested) (err error) {
	if d.reasons.Reason, err = d.reasonFor(d.op.Reason, "reason"); err != nil {
		return err
	}
	if f, ok := fact.(events.OfTransaction); ok && f.Sale().Begins != nil {
		if d.reasons.StartReason, err = d.reasonFor("start_of_transaction", "start_reason"); err != nil {
			return err
		}
	}
	if d.ends(fact) {
		d.reasons.EndReason, err = d.reasonFor("end_of_transaction", "end_reason")
	}
	return err
}

// ends says whether a fact concludes its transaction, or asks a card terminal for what will.
func (d *deciding) ends(fact events.Requested) bool {
	switch f := fact.(type) {
	case *events.SaleConcluded, *events.OrderPlaced:
		return true
	case *events.CardRequested:
		return f.Action == events.ChargeCard && f.Payment.Amount == d.Transaction.Totals.Due
	}
	return false
}

// reasonFor is the reason that the command gives under name for a trigger, nil for none.
func (d *deciding) reasonFor(trigger, name string) (*events.Reason, error) {
	wanted := d.Reference.Store.Reasons[trigger]
	code := d.Input.Text(name)
	if code == "" {
		if !wanted.Mandatory {
			return nil, nil
		}
		r := refuse("reason_required", "A reason is needed: %s.", strings.Join(wanted.names(), ", "))
		if name != "reason" {
			r.Instead = "Give it as " + name + "."
		}
		return nil, r
	}
	for _, known := range wanted.Codes {
		if known.Code != code {
			continue
		}
		reason := &events.Reason{Code: code, Text: known.Text, Note: d.Input.note(name)}
		if known.NoteRequired && reason.Note == "" {
			return nil, refuse("reason_note_required", "The reason %s needs a note.", known.Text)
		}
		return reason, nil
	}
	return nil, refuse("unknown_reason", "There is no reason %.40s here.", code)
}
