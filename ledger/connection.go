package ledger

import "github.com/posnode/posnode/events"

// Switched is the last change of mode: when the register came into the mode that it is in, and why.
type Switched struct {
	Cause  string `json:"cause"`
	Detail string `json:"detail,omitempty"` // for a person
	At     string `json:"at"`               // time of the entry, RFC 3339
}

// switchOperation is Database connection status.
const switchOperation = 917

// manualCause is the cause of a change of mode that someone asked for.
const manualCause = "manual"

func connectionOperations() []*Operation {
	return []*Operation{
		// A register that is not activated has nobody who could sign on: the code is what lets it in.
		{ID: 707, Name: "Activate device", Group: "device", Offline: Refused, Gates: Gates{Open: true, Cart: NoCart},
			Params: []Parameter{{Name: "code", Kind: KindText, Required: true, Max: 40, Secret: true, Doc: "the activation code from head office"}}, decide: activate},
		{ID: 708, Name: "Inactivate device", Group: "device", Offline: Refused, Gates: Gates{Cart: NoCart},
			Params: []Parameter{{Name: "force", Kind: KindFlag, Doc: "also while entries have not reached head office, or a shift is not closed"}}, decide: inactivate},
		{ID: switchOperation, Name: "Database connection status", Group: "device", Offline: Local, decide: throwSwitch},
	}
}

// throwSwitch takes the register offline, or back (operation 917).
func throwSwitch(d *deciding) (events.Requested, error) {
	f := &events.ModeChanged{From: d.Mode, To: events.Offline, Cause: manualCause}
	if d.Transaction != nil {
		f.Transaction = d.Transaction.ID
	}
	f.Profile = d.Reference.Store.Profile.Version
	if d.Reference.Store.Profile.ForbidManualSwitch {
		return nil, refuse("manual_switch_forbidden", "The offline profile does not allow switching by hand.").
			instead("The register connects by itself at the beginning of a transaction.")
	}
	if d.Mode == events.Online {
		return f, nil
	}
	f.To = events.Online
	switch {
	case d.Transaction != nil:
		return nil, refuse("transaction_in_progress", "Complete the current transaction first.")
	case d.LinkDown:
		why := "Head office cannot be reached now."
		if d.WhyDown != "" {
			why = d.WhyDown
		}
		return nil, refuse("head_office_unreachable", "%s", why).instead("Go on offline: nothing is lost.")
	}
	return f, nil
}

// deviceActive and deviceInactive are how a register can stand that head office has activated.
const (
	deviceActive   = "active"
	deviceInactive = "inactive"
)

// activate asks head office to let the register in (operation 707). What head office
// answers is filled in by who asks it.
func activate(*deciding) (events.Requested, error) {
	return &events.DeviceActivated{}, nil
}

// inactivate asks head office not to let the register in any more (operation 708).
func inactivate(d *deciding) (events.Requested, error) {
	force := d.in.flag("force")
	switch {
	case d.Device == deviceInactive:
		return nil, refuse("device_inactive", "This register is not activated.")
	case d.Unsent > 0 && !force:
		return nil, refuse("entries_unsent", "%d entries have not reached head office.", d.Unsent).instead("Wait until they have, or force it: they stay here.")
	case (d.Shift != nil || len(d.SetAside) > 0) && !force:
		return nil, refuse("shift_not_closed", "A shift of this register is not closed.").instead("Close it, or force it.")
	}
	return &events.DeviceInactivated{Unsent: d.Unsent, Forced: force && d.Unsent > 0}, nil
}

// activated: a register that belongs to a head office sells only while that has let it in.
func (d *deciding) activated() error {
	sells := d.op.Gates.Shift || d.op.ID == 1050 || d.op.ID == 1051
	if sells && d.ShutOut(d.NeedsActivation) {
		return NotActivated()
	}
	return nil
}

// ShutOut says that head office has not let the register in, or has let it out;
// needsActivation as in [Command].
func (s *State) ShutOut(needsActivation bool) bool {
	return s.Device == deviceInactive || needsActivation && s.Device != deviceActive
}

// NotActivated is the refusal of a register that is shut out.
func NotActivated() *Refusal {
	return refuse("register_not_activated", "This register is not activated.").instead("Activate it with a code from head office (operation 707).")
}
