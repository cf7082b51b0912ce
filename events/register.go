package events

// registerFacts are about the register itself: its activation and its connection.
var registerFacts = []func() Fact{
	func() Fact { return new(RegisterActivated) },
	func() Fact { return new(ModeChanged) },
	func() Fact { return new(RegisterLocked) },
	func() Fact { return new(RegisterUnlocked) },
}

// RegisterActivated is the first entry of every epoch. Its prevhash is the hash of Record.
type RegisterActivated struct {
	// Record is the activation record, a JSON document, exactly as it was hashed.
	Record string `json:"record"`
}

// ActivationRecord is what RegisterActivated.Record holds.
type ActivationRecord struct {
	Register
	Epoch int `json:"epoch"`
	// Key is the public key that checks the register's checkpoints, in the form of a signed note's verifier key.
	Key string `json:"key"`
	// Time is the register's clock at the activation, RFC 3339 in UTC.
	Time string `json:"time"`
	// Previous is where the epoch before this one ended, as far as the register knew. Absent for the first.
	Previous *Head `json:"previous,omitempty"`
}

func (*RegisterActivated) Type() string { return "register.activated.v1" }

// About is empty of names: the register is the source of the entry.
func (*RegisterActivated) About() string { return "register" }

// ModeChanged says that the register went offline or came back, and why: by itself, or
// because someone threw the switch (operation 917).
type ModeChanged struct {
	Asked
	From   Mode   `json:"from"`
	To     Mode   `json:"to"`
	Cause  string `json:"cause"`            // link_down, timeout, no_responders, retail_server_error, manual, reconnected, started
	Detail string `json:"detail,omitempty"` // for a person
	// Transaction is the one that was open, if any.
	Transaction TransactionID `json:"transaction,omitempty"`
	// Profile is the version of the offline profile that was followed, and TimeoutMillis
	// how long head office had to answer, where it did not.
	Profile       string `json:"profile,omitempty"`
	TimeoutMillis int    `json:"timeout_ms,omitempty"`
}

func (*ModeChanged) Type() string  { return "connection.mode_changed.v1" }
func (*ModeChanged) About() string { return "connection" }

// RegisterLocked says that the register waits for the member of staff who locked it (operation 703).
type RegisterLocked struct {
	Asked
	Staff StaffID `json:"staff"`
}

func (*RegisterLocked) Type() string    { return "register.locked.v1" }
func (f *RegisterLocked) About() string { return string(f.Staff) }

// RegisterUnlocked says that the member of staff who locked the register is back (operation 700).
type RegisterUnlocked struct {
	Asked
	Staff StaffID `json:"staff"`
}

func (*RegisterUnlocked) Type() string    { return "register.unlocked.v1" }
func (f *RegisterUnlocked) About() string { return string(f.Staff) }
