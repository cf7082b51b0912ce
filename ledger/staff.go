package ledger

import (
	"fmt"
	"strings"

	"github.com/posnode/posnode/events"
)

const logOnOperation = 700

func staffOperations() []*Operation {
	return []*Operation{
		{ID: logOnOperation, Name: "Log on", Group: "staff", Offline: Local, Gates: Gates{Open: true},
			Params: []Parameter{
				{Name: "staff", Kind: KindText, Required: true, Max: 20, Doc: "staff number"},
				{Name: "pin", Kind: KindText, Max: 40, Secret: true, Doc: "the staff member's PIN"},
			},
			asks:   func(_ *State, in values) []Query { return []Query{{"staff", in.text("staff")}} },
			decide: logOn},
		{ID: 701, Name: "Log off", Group: "staff", Offline: Local, Gates: Gates{AnyStaff: true, Cart: NoCart}, decide: logOff},
		{ID: 703, Name: "Lock register", Group: "staff", Offline: Local, Gates: Gates{AnyStaff: true}, decide: lockRegister},
		{ID: 920, Name: "Time clock", Group: "staff", Offline: Bounded,
			Params: []Parameter{{Name: "action", Kind: KindText, Required: true, Max: 20, Doc: "in, out, break_work or break_lunch"}},
			decide: clock},
		{ID: 921, Name: "View time clock entries", Group: "staff", Offline: Bounded,
			Params: []Parameter{
				{Name: "staff", Kind: KindText, Max: 20, Doc: "whose; everyone's if absent"},
				{Name: "from", Kind: KindText, Max: 10, Doc: "first day, YYYY-MM-DD"},
				{Name: "to", Kind: KindText, Max: 10, Doc: "last day, YYYY-MM-DD"},
			},
			decide: viewTimeEntries},
	}
}

// logOn signs a member of staff on, unlocks the register that they locked, or
// refuses (operation 700).
func logOn(d *deciding) (events.Requested, error) {
	id := events.StaffID(d.in.text("staff"))
	on := d.State.Staff
	if on != nil && on.ID != id {
		return nil, refuse("another_signed_on", "%s is signed on at this register.", on.ID).instead("Log off first.")
	}
	if d.isLockedOut(id) {
		return nil, refuseLockedOut()
	}
	member, known := find[StaffMember](d.Reference, "staff", string(id))
	if !known || member.Blocked || !d.PINMatches {
		failed, entry := d.failed(d.Failures[id], d.Untold[SignsOn])
		if !entry {
			return nil, refuseSignOn()
		}
		return &events.SignOnRefused{Staff: id, Code: "sign_on_refused", Failed: failed}, nil
	}
	untold := d.Untold[SignsOn].Wrong + d.Untold[SignsOn].Refused
	if on != nil && on.Locked {
		return &events.RegisterUnlocked{Staff: id, Refused: untold}, nil
	}
	return &events.StaffLoggedOn{Staff: id, Name: member.Name, Rights: member.rights(), Refused: untold}, nil
}

// refuseSignOn is one refusal for every reason: who tries numbers learns nothing from it.
func refuseSignOn() *Refusal {
	return refuse("sign_on_refused", "The staff number or the PIN is wrong.")
}

// refuseLockedOut is for a member of staff with too many wrong PINs.
func refuseLockedOut() *Refusal {
	return refuse("staff_locked_out", "There were too many wrong PINs.").instead("Wait a few minutes, or ask someone else to sign on.")
}

// isLockedOut says whether wrong PINs keep a staff number out.
func (d *deciding) isLockedOut(id events.StaffID) bool { return d.Failures[id].LockedUntil > d.At }

// logOff signs the member of staff off; the shift stays open (operation 701).
func logOff(d *deciding) (events.Requested, error) {
	return &events.StaffLoggedOff{Staff: d.State.Staff.ID}, nil
}

// lockRegister keeps everyone out until the same member of staff logs on again (operation 703).
func lockRegister(d *deciding) (events.Requested, error) {
	return &events.RegisterLocked{Staff: d.State.Staff.ID}, nil
}

// atWork is how someone stands at the time clock who works; on a break it is the break's name.
const atWork = "in"

// clock records that the member of staff comes, goes or takes a break (operation 920).
func clock(d *deciding) (events.Requested, error) {
	id := d.State.Staff.ID
	stands, in := d.Clock[id]
	action := d.in.text("action")
	switch pause, isBreak := strings.CutPrefix(action, "break_"); {
	case action == "in":
		if stands == atWork {
			return nil, refuse("clocked_in_already", "%s has clocked in already.", id)
		}
		return &events.ClockedIn{Staff: id, From: stands}, nil
	case action != "out" && !(isBreak && (pause == "work" || pause == "lunch")):
		return nil, refuseParameter("action", "must be in, out, break_work or break_lunch")
	case !in:
		return nil, refuse("not_clocked_in", "%s has not clocked in.", id).instead("Clock in first.")
	case action == "out":
		return &events.ClockedOut{Staff: id}, nil
	case stands != atWork:
		return nil, refuse("on_break_already", "%s is on a break.", id).instead("Clock in to end it.")
	default:
		return &events.BreakBegun{Staff: id, Break: pause}, nil
	}
}

// viewTimeEntries records that someone looks at the time clock's entries, which the offline database lists (operation 921).
func viewTimeEntries(d *deciding) (events.Requested, error) {
	f := &events.TimeEntriesViewed{Of: events.StaffID(d.in.text("staff")), From: d.in.text("from"), To: d.in.text("to")}
	return f, checkDates(f.From, f.To)
}

// applyStaff folds a fact about who works at the register.
func (s *State) applyStaff(fact events.Fact) error {
	switch f := fact.(type) {
	case *events.StaffLoggedOn:
		s.Staff = &Staff{ID: f.Staff, Name: f.Name, Rights: f.Rights}
		delete(s.Failures, f.Staff)
	case *events.StaffLoggedOff:
		s.Staff = nil
	case *events.RegisterLocked, *events.RegisterUnlocked:
		if s.Staff == nil {
			return fmt.Errorf("nobody is signed on")
		}
		_, s.Staff.Locked = fact.(*events.RegisterLocked)
		delete(s.Failures, s.Staff.ID)
	case *events.SignOnRefused:
		countFailure(&s.Failures, f.Staff, f.Failed)
	case *events.PermissionRefused:
		countFailure(&s.Failures, f.Approver, f.Failed)
	case *events.ClockedIn:
		s.setClock(f.Staff, atWork)
	case *events.ClockedOut:
		delete(s.Clock, f.Staff)
	case *events.BreakBegun:
		s.setClock(f.Staff, f.Break)
	case *events.TimeEntriesViewed, *events.ShiftsListed:
	default:
		return fmt.Errorf("fact %s has no place in the state", fact.Type())
	}
	return nil
}

func (s *State) setClock(id events.StaffID, stands string) {
	if s.Clock == nil {
		s.Clock = map[events.StaffID]string{}
	}
	s.Clock[id] = stands
}
