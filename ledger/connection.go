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
		{ID: 707, Name: "Activate device", Group: "device", Offline: Refused, Gates: Gates{Cart: NoCart}, decide: onlyAtHQ},
		{ID: 708, Name: "Inactivate device", Group: "device", Offline: Refused, Gates: Gates{Cart: NoCart}, decide: onlyAtHQ},
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

// onlyAtHQ is an operation that head office decides: the register has no say in
// which registers there are (operations 707, 708).
func onlyAtHQ(d *deciding) (events.Requested, error) {
	return nil, refuse("realtime_service_unavailable", "%s needs head office's Real-time Service, which does not answer.", d.op.Name).
		instead("Try again later.")
}
