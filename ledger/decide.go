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
	Date  string // the business date, YYYY-MM-DD in the store's time zone
	At    int64  // the register's clock, Unix seconds
	// Offset is how far the store's clock is ahead of UTC, in minutes.
	Offset int
	// DrawerOpen says that the cash drawer stands open.
	DrawerOpen bool
	// PINMatches says, for operation 700, that the PIN is the staff member's.
	PINMatches bool
	// ApproverMatches says that the parameter approver_pin is the PIN of the staff member named by approver.
	ApproverMatches bool
	// CardPINMatches says that the parameter card_pin is the PIN of the gift card named by card.
	CardPINMatches bool
	// Untold is what PINs came to and no entry tells of, by the role in which the command gives one.
	Untold [roles]Tries
	// LinkDown says that head office cannot be reached, whatever the mode.
	LinkDown bool
	// NeedsActivation says that the register belongs to a head office and has nothing but an activation to be let in by.
	NeedsActivation bool
	// Frozen says that the journal takes no more entries: only a new epoch goes on, by operation 707.
	Frozen bool
	// Misses counts the tries of numbers that nobody has of which no entry tells yet, see [CountMisses].
	Misses int
	// Unsent counts the entries that head office is not known to have.
	Unsent uint64
	// WhyDown says, for operation 917, why head office cannot be reached.
	WhyDown string
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
	// Approver is the manager who approved it, if one did.
	Approver events.StaffID
}

// Asks is what the command needs of the reference data, before it is decided.
// It never fails: what is wrong with the command Decide says.
func Asks(s *State, c Command) (queries []Query) {
	if approver := c.Input.approver(); approver != "" {
		queries = append(queries, Query{"staff", approver})
	}
	op := Find(c.Operation)
	if op == nil || op.asks == nil {
		return queries
	}
	in, refusal := c.Input.check(op.Params)
	if refusal != nil {
		return queries
	}
	return append(queries, op.asks(s, in)...)
}

// Decide answers a command with the fact that records it, or with a *[Refusal].
// It changes nothing.
func Decide(s *State, c Command) (Decision, error) {
	op := Find(c.Operation)
	if op == nil {
		return Decision{}, refuse("unknown_operation", "There is no operation %d.", c.Operation)
	}
	input := c.Input.digest(op)
	if again, err := repeated(s, c, input); again != 0 || err != nil {
		return Decision{Repeated: again}, err
	}
	d := &deciding{State: s, Command: c, op: op}
	fact, err := d.decide()
	if refusal, ok := err.(*Refusal); ok && refusal.security {
		fact, err = &events.PermissionRefused{Staff: d.staffID(), Approver: events.StaffID(c.Input.approver()), Code: refusal.Code, Why: refusal.Why, Failed: d.wrongPIN}, nil
		d.approver = ""
	}
	if err != nil {
		return Decision{}, err
	}
	asked := fact.Request()
	*asked = d.reasons
	asked.Input = input
	if f, ok := fact.(events.Printable); ok {
		*f.Print() = d.printed(f)
	}
	return Decision{Fact: fact, Approver: d.approver}, nil
}

// Begins says whether the command, as far as its gates and its parameters tell, is the beginning of a transaction.
func Begins(s *State, c Command) bool {
	op := Find(c.Operation)
	if op == nil || !op.begins || s.Transaction != nil || !passes(s, c, op) {
		return false
	}
	in, refusal := c.Input.check(op.Params)
	switch {
	case refusal != nil:
		return false
	case op.ID == 602: // a search leaves everything as it was
		return in.text("customer") != ""
	case op.ID == 504: // what was suspended here goes on
		return s.onHold(events.TransactionID(in.text("transaction"))) < 0
	}
	return true
}

// Connects says whether the command is operation 917 that would take the register online, if head office answers.
func Connects(s *State, c Command) bool {
	op := Find(c.Operation)
	return op != nil && op.ID == switchOperation && s.Mode != events.Online && s.Transaction == nil &&
		!c.Reference.Store.Profile.ForbidManualSwitch && passes(s, c, op)
}

// passes says whether a command is new, and gets past the gates that do not depend on the mode.
func passes(s *State, c Command, op *Operation) bool {
	if again, err := repeated(s, c, c.Input.digest(op)); again != 0 || err != nil {
		return false
	}
	d := &deciding{State: s, Command: c, op: op}
	for _, gate := range []func(*deciding) error{(*deciding).signedOn, (*deciding).permitted, (*deciding).drawerShut, (*deciding).shiftOpen, (*deciding).cartFits} {
		if gate(d) != nil {
			return false
		}
	}
	return true
}

// repeated is the sequence of the entry that records a command that was carried out before, or 0.
func repeated(s *State, c Command, input string) (uint64, error) {
	prior, known := s.Commands.Find(c.Key)
	if !known && c.Prior != nil {
		prior, known = *c.Prior, true
	}
	switch {
	case !known:
		return 0, nil
	case prior.Input != input:
		return 0, refuse("command_reused", "This idempotency key was used for something else.").instead("Use a new key for a new command.")
	case prior.GivenUp:
		return 0, refuse("card_given_up", "This was given up while the card terminal did not answer.").instead("Use a new key for a new payment.")
	}
	return prior.Sequence, nil
}

// deciding is one command on its way to a fact.
type deciding struct {
	*State
	Command
	op       *Operation
	in       values
	rights   events.Rights // of who asks, widened by who approves
	approver events.StaffID
	reasons  events.Asked  // the reasons that were given
	wrongPIN events.Failed // the approver's
}

// decider is the part of an operation that is its own. Its error is always a *Refusal.
type decider func(d *deciding) (events.Requested, error)

// decide walks the command through the gates, then the operation's own checks, then the reason code.
func (d *deciding) decide() (events.Requested, error) {
	for _, gate := range []func(*deciding) error{(*deciding).signedOn, (*deciding).permitted, (*deciding).activated, (*deciding).drawerShut, (*deciding).shiftOpen, (*deciding).cartFits, (*deciding).online, (*deciding).terminalAnswered} {
		if err := gate(d); err != nil {
			return nil, err
		}
	}
	in, refusal := d.Input.check(d.op.Params)
	if refusal != nil {
		return nil, refusal
	}
	d.in = in
	if err := d.mayLookUp(); err != nil {
		return nil, err
	}
	fact, err := d.op.decide(d)
	if guessed := d.guessed(err); guessed != nil {
		return guessed, nil
	}
	if err == nil {
		err = d.orderStands(fact)
	}
	if err == nil {
		err = d.approvalStands(fact)
	}
	if err != nil {
		return nil, err
	}
	return fact, d.reasonsGiven(fact)
}

// staffID is who asks: who is signed on, or whom the client's session names.
func (d *deciding) staffID() events.StaffID {
	if d.State.Staff != nil {
		return d.State.Staff.ID
	}
	return d.Command.Staff
}
