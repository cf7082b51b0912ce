package ledger

import (
	"slices"

	"github.com/posnode/posnode/events"
)

// A wrong PIN is counted for the number that it was given with, whether or not anyone has that
// number, so that the answers tell nobody which numbers exist. Too many in a row lock the number out.
//
// Not every wrong PIN is an entry, for who tries thousands must not fill the journal: the first in a
// row is one, and the one that locks. Those between are counted in the register's memory, as [Untold], and so are
// tries while the number is locked out. A restart forgets them, and then the next wrong PIN locks: to restart gains nothing.

// Where the store's settings do not say, or say 0.
const (
	usualFailures = 5
	usualMinutes  = 5
)

// usual are the settings, with what is usual where they are 0. A PIN of four digits is worth
// nothing without a lock, so there is always one.
func (s SignOn) usual() SignOn {
	if s.Failures == 0 {
		s.Failures = usualFailures
	}
	if s.Minutes == 0 {
		s.Minutes = usualMinutes
	}
	return s
}

// Tries are what PINs of one number came to and no entry tells of yet.
type Tries struct {
	Wrong   int // wrong PINs in a row
	Refused int // tries while it was locked out
	// Forgotten says that a restart has forgotten how many were wrong.
	Forgotten bool
}

// failed counts one more wrong PIN of a number, and says whether that is an entry. After a
// lock-out the count begins again.
func (d *deciding) failed(before events.Failed, untold Tries) (f events.Failed, entry bool) {
	limit := d.Reference.Store.SignOn.usual()
	if before.LockedUntil != 0 {
		before = events.Failed{}
	}
	f = events.Failed{Failures: before.Failures + untold.Wrong + 1, Refused: untold.Refused}
	if untold.Forgotten {
		f.Failures = max(f.Failures, limit.Failures)
	}
	if f.Failures >= limit.Failures {
		f.LockedUntil = d.At + int64(limit.Minutes)*60
	}
	return f, before.Failures == 0 || f.LockedUntil != 0
}

// Roles in which a command gives a PIN.
const (
	SignsOn  = iota // operation 700
	Approves        // of the manager who approves the command
	Pays            // of a gift card
	roles
)

// GivenPIN is a PIN that a command gives.
type GivenPIN struct {
	Role  int
	Query Query  // whose it is said to be
	PIN   string // as given
}

// GivenPINs are the PINs that a command gives.
func GivenPINs(c Command) (all []GivenPIN) {
	add := func(role int, kind, key, pin string) {
		if key != "" && pin != "" {
			all = append(all, GivenPIN{role, Query{kind, key}, pin})
		}
	}
	op := Find(c.Operation)
	if op == nil {
		return nil
	}
	if op.ID == logOnOperation {
		add(SignsOn, "staff", c.Input.read(op, "staff"), c.Input.Text("pin"))
	}
	add(Approves, "staff", c.Input.read(op, "approver"), c.Input.Text("approver_pin"))
	if op.has(cardPINParam.Name) {
		add(Pays, "giftcard", c.Input.read(op, "card"), c.Input.Text("card_pin"))
	}
	return all
}

// read is a text as the operation's parameter of that name reads it; "" where it has none or
// the text breaks its rules.
func (in Input) read(op *Operation, name string) string {
	for _, p := range op.Params {
		if p.Name == name && p.Kind == KindText {
			text, err := p.readText(in.Text(name))
			if err == nil {
				return text
			}
		}
	}
	return ""
}

// has says whether the operation has a parameter of that name.
func (op *Operation) has(name string) bool {
	return slices.ContainsFunc(op.Params, func(p Parameter) bool { return p.Name == name })
}

// Judge notes whether the PIN that the command gives in a role is right.
func (c *Command) Judge(role int, matches bool) {
	switch role {
	case SignsOn:
		c.PINMatches = matches
	case Approves:
		c.ApproverMatches = matches
	case Pays:
		c.CardPINMatches = matches
	}
}

// LockedUntil is until when wrong PINs lock a member of staff or a gift card out, in Unix seconds;
// 0 for never.
func (s *State) LockedUntil(q Query) int64 {
	if q.Kind == "giftcard" {
		return s.CardFailures[events.CardNumber(q.Key)].LockedUntil
	}
	return s.Failures[events.StaffID(q.Key)].LockedUntil
}

// LockedOut are the numbers that wrong PINs lock out at a time, and until when, in Unix seconds.
func (s *State) LockedOut(at int64) map[Query]int64 {
	var all map[Query]int64
	add := func(kind, key string, f events.Failed) {
		if f.LockedUntil <= at {
			return
		}
		if all == nil {
			all = map[Query]int64{}
		}
		all[Query{kind, key}] = f.LockedUntil
	}
	for id, f := range s.Failures {
		add("staff", string(id), f)
	}
	for card, f := range s.CardFailures {
		add("giftcard", string(card), f)
	}
	return all
}

// Untold counts what PINs came to and no entry tells of. It is the register's memory: only one goroutine uses it.
type Untold map[Query]Tries

// NewUntold is what a register knows after a start in a state: of numbers that had a wrong PIN
// before, it has forgotten how many more there were.
func NewUntold(s *State) Untold {
	u := Untold{}
	for id, f := range s.Failures {
		if f.LockedUntil == 0 {
			u[Query{"staff", string(id)}] = Tries{Forgotten: true}
		}
	}
	for card, f := range s.CardFailures {
		if f.LockedUntil == 0 {
			u[Query{"giftcard", string(card)}] = Tries{Forgotten: true}
		}
	}
	return u
}

// Tell gives a command the counts that deciding it needs.
func (u Untold) Tell(c *Command) {
	for _, p := range GivenPINs(*c) {
		c.Untold[p.Role] = u[p.Query]
	}
}

// Refused counts what a command was refused for without an entry, and says whether a PIN was wrong.
func (u Untold) Refused(s *State, c Command, code string) (wrong bool) {
	for _, p := range GivenPINs(c) {
		t := u[p.Query]
		switch {
		case code == wrongPIN[p.Role]:
			wrong = true
			t.Wrong++
		case code == lockedOut[p.Role]:
			t.Refused++
		default:
			continue
		}
		// A number of which the state has let go, as it bounds them, begins anew.
		if _, kept := s.Failures[events.StaffID(p.Query.Key)]; p.Query.Kind == "staff" && !kept {
			continue
		}
		if _, kept := s.CardFailures[events.CardNumber(p.Query.Key)]; p.Query.Kind == "giftcard" && !kept {
			continue
		}
		u[p.Query] = t
	}
	return wrong
}

// Recorded forgets what the entry of a command tells, and says whether that is a wrong PIN.
func (u Untold) Recorded(c Command, fact events.Fact, approver events.StaffID) (wrong bool) {
	for _, p := range GivenPINs(c) {
		switch f := fact.(type) {
		case *events.SignOnRefused, *events.StaffLoggedOn, *events.RegisterUnlocked:
			if _, refused := f.(*events.SignOnRefused); p.Role == SignsOn {
				wrong = wrong || refused
				delete(u, p.Query)
			}
		case *events.PermissionRefused:
			if p.Role == Approves && f.Failures > 0 {
				wrong = true
				delete(u, p.Query)
			}
		case *events.GiftCardPINRefused:
			if p.Role == Pays {
				wrong = true
				delete(u, p.Query)
			}
		default:
			if p.Role == Pays || p.Role == Approves && approver == events.StaffID(p.Query.Key) {
				delete(u, p.Query)
			}
		}
	}
	return wrong
}

// wrongPIN and lockedOut are the codes of refusals, by the role of the PIN.
var (
	wrongPIN  = [roles]string{"sign_on_refused", "override_refused", "gift_card_pin_wrong"}
	lockedOut = [roles]string{"staff_locked_out", "override_locked_out", "gift_card_locked_out"}
)

// maxFailures bounds the numbers whose wrong PINs a state remembers, of staff and of gift cards.
const maxFailures = 1000

// countFailure keeps the wrong PINs of a number, in the place of those of another where there are too many.
func countFailure[K ~string](all *map[K]events.Failed, key K, f events.Failed) {
	if f.Failures == 0 {
		return
	}
	if *all == nil {
		*all = map[K]events.Failed{}
	}
	f.Refused = 0 // it is told
	if (*all)[key] = f; len(*all) <= maxFailures {
		return
	}
	least := key
	for other, g := range *all {
		if l := (*all)[least]; other != key && (least == key || g.LockedUntil < l.LockedUntil || g.LockedUntil == l.LockedUntil && other < least) {
			least = other
		}
	}
	delete(*all, least)
}
