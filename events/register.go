package events

import "slices"

// registerFacts are about the register itself: its activation and its connection.
var registerFacts = []func() Fact{
	func() Fact { return new(RegisterActivated) },
	func() Fact { return new(ModeChanged) },
	func() Fact { return new(RegisterLocked) },
	func() Fact { return new(RegisterUnlocked) },
	func() Fact { return new(DeviceActivated) },
	func() Fact { return new(DeviceInactivated) },
}

// RegisterActivated is the first entry of every epoch. Its prevhash is the hash of Record.
type RegisterActivated struct {
	// Record is the activation record, a JSON document, exactly as it was hashed.
	Record string `json:"record"`
}

// ActivationRecord is the content of RegisterActivated.Record.
type ActivationRecord struct {
	Register
	Epoch int `json:"epoch"`
	// Key is the public key that checks the register's checkpoints, in the form of a signed note's verifier key.
	Key string `json:"key"`
	// Time is the register's clock at the activation, RFC 3339 in UTC.
	Time string `json:"time"`
	// Previous is where the epoch before this one ended, as far as the register knew. Absent for the first.
	Previous *Head `json:"previous,omitempty"`
	// Carried is the state taken over from the epochs before, so that the entries of this one can
	// be understood alone.
	Carried *Carried `json:"carried,omitempty"`
}

// Carried is the state that a new epoch takes over. Numbers continue, so that none is assigned
// twice. Nothing open is taken over: the epoch begins with nobody signed on, no shift and no
// transaction.
type Carried struct {
	Numbers
	// Movements are the last ones of the register on balances that HQ keeps.
	Movements []Movement `json:"movements,omitempty"`
	// Forgotten is the last movement that is not among them any more: a balance that does not hold it is of no use offline.
	Forgotten *Movement `json:"forgotten,omitempty"`
	// OfflineMoved is the sum moved on gift cards since the register was last online, without
	// signs.
	OfflineMoved Money `json:"offline_moved,omitempty"`
	// Clock is the state of the members of staff on the time clock: work, or the break that they
	// take.
	Clock map[StaffID]string `json:"clock,omitempty"`
	// Left are the shifts that the epoch before did not close, and Suspended the transactions that it did not end.
	Left      []ShiftID       `json:"left,omitempty"`
	Suspended []TransactionID `json:"suspended,omitempty"`
}

// Numbers are the last numbers that a register assigned in any epoch, and its sales in all of them.
type Numbers struct {
	Transactions int          `json:"transactions,omitempty"`
	Shifts       int          `json:"shifts,omitempty"`
	Receipts     int          `json:"receipts,omitempty"` // of the one type that sales, returns, orders and voided transactions share
	Customers    int          `json:"customers,omitempty"`
	Orders       int          `json:"orders,omitempty"`
	Counts       int          `json:"counts,omitempty"` // stock counts
	Z            int          `json:"z,omitempty"`
	Grand        []GrandTotal `json:"grand,omitempty"` // by currency
}

// Movement is the change of one document to one balance that head office keeps.
type Movement struct {
	Balance string `json:"balance"`          // "giftcard <number>", "customer <id>" or "loyalty <number>"
	At      string `json:"at"`               // time of the entry
	Amount  Money  `json:"amount"`           // of a loyalty card points
	Issued  bool   `json:"issued,omitempty"` // the card began with it
	// The entry that did it.
	Epoch    int    `json:"epoch"`
	Sequence uint64 `json:"sequence"`
}

// AtLeast is n with every number that is higher in m. The sums of a currency are those of the side
// that counted more documents.
func (n Numbers) AtLeast(m Numbers) Numbers {
	n.Transactions, n.Shifts, n.Customers = max(n.Transactions, m.Transactions), max(n.Shifts, m.Shifts), max(n.Customers, m.Customers)
	n.Orders, n.Counts, n.Z = max(n.Orders, m.Orders), max(n.Counts, m.Counts), max(n.Z, m.Z)
	n.Receipts = max(n.Receipts, m.Receipts)
	n.Grand = slices.Clone(n.Grand)
	for _, g := range m.Grand {
		at := slices.IndexFunc(n.Grand, func(have GrandTotal) bool { return have.Currency == g.Currency })
		switch {
		case at < 0:
			n.Grand = append(n.Grand, g)
		case g.Transactions > n.Grand[at].Transactions:
			n.Grand[at] = g
		}
	}
	return n
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
	Cause  string `json:"cause"`            // link_down, timeout, no_responders, retail_server_error, answer_untrusted, manual, reconnected, started
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

// RegisterLocked says that a member of staff locked the register (operation 703).
type RegisterLocked struct {
	Asked
	Staff StaffID `json:"staff"`
}

func (*RegisterLocked) Type() string    { return "register.locked.v1" }
func (f *RegisterLocked) About() string { return string(f.Staff) }

// RegisterUnlocked says that the member of staff unlocked the register again (operation 700).
type RegisterUnlocked struct {
	Asked
	Staff StaffID `json:"staff"`
	// Refused are tries with this number that were refused before and of which there is no entry.
	Refused int `json:"refused,omitempty"`
}

func (*RegisterUnlocked) Type() string    { return "register.unlocked.v1" }
func (f *RegisterUnlocked) About() string { return string(f.Staff) }
