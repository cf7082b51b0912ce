package ledger

import "github.com/posnode/posnode/events"

func staffOperations() []*Operation {
	return []*Operation{
		{ID: 700, Name: "Log on", Group: "staff", Offline: Local, Gates: Gates{Open: true},
			Params: []Parameter{
				{Name: "staff", Kind: KindText, Required: true, Max: 20, Doc: "staff number"},
				{Name: "pin", Kind: KindText, Max: 40, Secret: true, Doc: "the staff member's PIN"},
			},
			asks:   func(_ *State, in values) []Query { return []Query{{"staff", in.text("staff")}} },
			decide: logOn},
		{ID: 701, Name: "Log off", Group: "staff", Offline: Local, Gates: Gates{AnyStaff: true, Cart: NoCart}, decide: logOff},
	}
}

// logOn signs a member of staff on, or records that it was refused (operation 700).
func logOn(d *deciding) (events.Requested, error) {
	id := events.StaffID(d.in.text("staff"))
	if d.State.Staff != nil && d.State.Staff.ID != id {
		return nil, refuse("another_signed_on", "%s is signed on at this register.", d.State.Staff.ID).instead("Log off first.")
	}
	member, known := find[StaffMember](d.Reference, "staff", string(id))
	if !known || member.Blocked || !d.PINMatches {
		return &events.SignOnRefused{Staff: id, Code: refuseSignOn().Code}, nil
	}
	return &events.StaffLoggedOn{Staff: id, Name: member.Name, Rights: member.rights()}, nil
}

// refuseSignOn is one refusal for every reason: who tries numbers learns nothing from it.
func refuseSignOn() *Refusal {
	return refuse("sign_on_refused", "The staff number or the PIN is wrong.")
}

// logOff signs the member of staff off; the shift stays open (operation 701).
func logOff(d *deciding) (events.Requested, error) {
	return &events.StaffLoggedOff{Staff: d.State.Staff.ID}, nil
}
