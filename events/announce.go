package events

import (
	"fmt"
	"time"
)

// Announcement tells head office where a register's journal ends. The register sends it every few
// seconds while the link is up, and head office answers with an [Acknowledgement]. It is a message,
// not a fact.
type Announcement struct {
	Head
	Time time.Time `json:"time"` // the register's clock, with the offset of its store: its date there is the business date
	// Version of the register's program.
	Version string `json:"version,omitempty"`
	// Reference is up to when the register's reference data is known to be head office's.
	Reference time.Time `json:"reference,omitzero"`
	// Instance is made anew at every start: two that speak in turns are two tills with one identity.
	Instance string `json:"instance,omitempty"`
	// Mark is the last checkpoint of this epoch that head office signed, as the register keeps it.
	Mark string `json:"mark,omitempty"`
	// Checkpoint is the register's own signed checkpoint of Head: a note of C2SP form, by the key
	// of the epoch. It proves that the register wrote the entries up to there. "" from a register
	// of an earlier version or with an empty journal.
	Checkpoint string `json:"checkpoint,omitempty"`
	// Earlier are the ends of all epochs before this one of which the register knows entries, in order. A zero hash
	// is one that the register cannot read any more.
	Earlier []Head `json:"earlier,omitempty"`
	// Frozen says that the register has stopped selling in this epoch, and why.
	Frozen *Freeze `json:"frozen,omitempty"`
}

// Acknowledgement is head office's answer to an [Announcement].
type Acknowledgement struct {
	Time time.Time `json:"time"` // head office's clock
	Key  string    `json:"key"`  // head office's public key, of its marks
	// Mark is head office's signed checkpoint of the epoch. It covers all entries that head office
	// holds and has verified, from the first one on. It never signs two histories. "" for none yet.
	Mark string `json:"mark,omitempty"`
	// Missing are ranges that head office lacks and asks to have once more, of any epoch.
	Missing []Range `json:"missing,omitempty"`
	// Frozen says that this epoch is over: the register sells no more in it.
	Frozen *Freeze `json:"frozen,omitempty"`
	// HandedOver are transactions of this epoch that wait at the register and go on at another, at most a few.
	HandedOver []SaleHandedOver `json:"handed_over,omitempty"`
	// Findings are open findings of head office about the register's entries, at most a few.
	Findings []string `json:"findings,omitempty"`
}

// Range is some entries of one journal, From and To among them.
type Range struct {
	Epoch int    `json:"epoch"`
	From  uint64 `json:"from"`
	To    uint64 `json:"to"`
}

func (r Range) String() string { return fmt.Sprintf("%d/%d..%d", r.Epoch, r.From, r.To) }

// Len returns the number of entries in the range.
func (r Range) Len() uint64 { return r.To - r.From + 1 }

// Freeze says why an epoch of a register is over before its time.
type Freeze struct {
	Kind string `json:"kind"` // one of the Frozen constants
	Why  string `json:"why"`  // for a person
}

// Why an epoch is frozen.
const (
	FrozenRolledBack = "rolled_back" // head office holds more of it than the register: its disk was put back or wiped
	FrozenForked     = "forked"      // head office holds another history of it
	FrozenCloned     = "cloned"      // two tills run with one identity
)
