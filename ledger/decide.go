package ledger

import (
	"github.com/posnode/posnode/events"
)

// Command is what a client wants, with everything that deciding it needs.
type Command struct {
	Operation int
	Key       events.CommandKey
	Input     Input
	// Staff is who the client's session belongs to, "" for a client that has not signed on.
	Staff events.StaffID
	// Date is the business date, YYYY-MM-DD in the store's time zone.
	Date string
	// PINMatches says, for operation 700, that the PIN is the staff member's.
	PINMatches bool
	// Prior is what the offline database holds under Key, for a command older than the state remembers.
	Prior *Done
	// Reference answers what [Asks] asked.
	Reference Reference
}

// Decision is the outcome of a command that was not refused.
type Decision struct {
	Fact events.Fact // to be appended; nil for a command that was carried out before
	// Repeated is the sequence of the entry that records the command, where it was carried out before.
	Repeated uint64
}

// Asks is what the command needs of the reference data, before it is decided.
// It never fails: what is wrong with the command Decide says.
func Asks(c Command) []Query {
	op := Find(c.Operation)
	if op == nil || op.asks == nil {
		return nil
	}
	in, refusal := c.Input.check(op.Params)
	if refusal != nil {
		return nil
	}
	return op.asks(in)
}

// Decide answers a command with the fact that records it, or with a *[Refusal].
// It changes nothing.
func Decide(s *State, c Command) (Decision, error) {
	op := Find(c.Operation)
	if op == nil {
		return Decision{}, refuse("unknown_operation", "There is no operation %d.", c.Operation)
	}
	input := c.Input.digest(op)
	prior, known := s.Commands.Find(c.Key)
	if !known && c.Prior != nil {
		prior, known = *c.Prior, true
	}
	if known {
		if prior.Input != input {
			return Decision{}, refuse("command_reused", "This idempotency key was used for something else.").
				instead("Use a new key for a new command.")
		}
		if c.Operation == 700 && !c.PINMatches {
			// The answer opens a session, so that even a repeated command must prove itself.
			return Decision{}, refuseSignOn()
		}
		return Decision{Repeated: prior.Sequence}, nil
	}
	if err := op.Gates.check(s, c); err != nil {
		return Decision{}, err
	}
	in, refusal := c.Input.check(op.Params)
	if refusal != nil {
		return Decision{}, refusal
	}
	fact, err := op.decide(&deciding{State: s, Command: c, in: in})
	if err != nil {
		return Decision{}, err
	}
	fact.Request().Input = input
	return Decision{Fact: fact}, nil
}

// deciding is one command on its way to a fact.
type deciding struct {
	*State
	Command
	in values
}

// decider is the part of an operation that is its own. Its error is always a *Refusal.
type decider func(d *deciding) (events.Requested, error)

// Gates are what must hold before an operation's own checks, in the order in which they are checked.
type Gates struct {
	Open  bool `json:"open,omitempty"`  // works without anyone signed on
	Shift bool `json:"shift,omitempty"` // needs an open shift
	Cart  Cart `json:"cart,omitempty"`
}

// Cart is what an operation needs of the transaction in progress.
type Cart string

// What an operation can need of the transaction in progress.
const (
	AnyCart  Cart = ""       // with or without one
	NeedCart Cart = "needed" // only with one
	NoCart   Cart = "none"   // only without one
)

func (g Gates) check(s *State, c Command) error {
	if !g.Open && (s.Staff == nil || s.Staff.ID != c.Staff) {
		return refuse("not_signed_on", "Nobody is signed on at this register.").instead("Sign on first.")
	}
	if g.Shift && s.Shift == nil {
		return refuse("no_shift", "No shift is open at this register.").instead("Open a shift first.")
	}
	if g.Cart == NeedCart && s.Transaction == nil {
		return refuse("no_transaction", "There is no transaction in progress.")
	}
	if g.Cart == NoCart && s.Transaction != nil {
		return refuse("transaction_in_progress", "Complete the current transaction first.")
	}
	return nil
}
