package events

// hqVerifyFacts record the decisions of head office about the journals that it receives.
var hqVerifyFacts = []func() Fact{
	func() Fact { return new(RegisterQuarantined) },
	func() Fact { return new(CompletenessCertified) },
	func() Fact { return new(PeriodClosed) },
	func() Fact { return new(FindingAccepted) },
}

// RegisterQuarantined says that head office has found an epoch of a register to have two histories.
// The register sells no more in it. All recorded entries are kept, and nothing is overwritten.
type RegisterQuarantined struct {
	Of       Register `json:"of"`
	Epoch    int      `json:"epoch"`
	Kind     string   `json:"kind"`     // rolled_back, forked or cloned
	Sequence uint64   `json:"sequence"` // where it showed
	Want     string   `json:"want"`     // the history that head office holds
	Got      string   `json:"got"`      // the history that the register has
}

func (*RegisterQuarantined) Type() string    { return "register.quarantined.v1" }
func (f *RegisterQuarantined) About() string { return f.Of.String() }

// CompletenessCertified is head office's statement that it holds and has verified all
// that a register recorded on a business day.
type CompletenessCertified struct {
	Of           Register     `json:"of"`
	BusinessDate string       `json:"business_date"` // YYYY-MM-DD
	Covered      []Covered    `json:"covered"`       // empty on a day without a shift
	Shifts       []ShiftID    `json:"shifts"`        // of that date, all closed, or ended with their epoch
	Sums         []PeriodSums `json:"sums"`          // by currency
	Without      []Excluded   `json:"without,omitempty"`
	// Note is the certificate itself: a note signed by head office. See docs/format.md.
	Note string `json:"note"`
}

// Excluded is a finding that a person has accepted: what is certified is certified without it.
type Excluded struct {
	Range
	Kind string `json:"kind"`
	Got  string `json:"got"` // of a branch the hash of its first entry
	Why  string `json:"why"`
	Who  string `json:"who,omitempty"`
}

// Covered is a range of a register's entries, its last one by its hash, which vouches for all before it.
type Covered struct {
	Range
	Hash Digest `json:"hash"`
}

func (*CompletenessCertified) Type() string    { return "completeness.certified.v2" }
func (f *CompletenessCertified) About() string { return f.Of.String() }

// PeriodClosed says that head office holds complete and verified journals of all
// registers for some business days. They are not summed up again.
type PeriodClosed struct {
	From         string         `json:"from"` // first business date, YYYY-MM-DD
	To           string         `json:"to"`   // last
	Registers    []PeriodTotals `json:"registers"`
	LeftOut      []LeftOut      `json:"left_out,omitempty"`
	Certificates int            `json:"certificates"` // one for each register and day
	// Digest is over the certificates' notes, in the order of register and day, one after the other.
	Digest Digest `json:"digest"`
}

// PeriodTotals are the sales of one register in a period.
type PeriodTotals struct {
	Of      Register     `json:"of"`
	Sums    []PeriodSums `json:"sums"` // by currency
	Without []Excluded   `json:"without,omitempty"`
}

// PeriodSums are sums in one currency, in minor units.
type PeriodSums struct {
	Currency     string `json:"currency"` // ISO 4217
	Transactions int    `json:"transactions"`
	Sales        Money  `json:"sales"`
	Returns      Money  `json:"returns"` // negative
	Tax          Money  `json:"tax"`
}

func (*PeriodClosed) Type() string    { return "period.closed.v2" }
func (f *PeriodClosed) About() string { return f.From + ".." + f.To }

// LeftOut is a register that a person has left out of a period, and why: its journal can
// never be complete, as when the till was destroyed with entries that nobody else had.
type LeftOut struct {
	Of  Register `json:"of"`
	Why string   `json:"why"`
}

// FindingAccepted says that a person has looked into a finding, and that it stands no longer in the
// way of closing a period. The finding itself does not change.
type FindingAccepted struct {
	Of       Register `json:"of"`
	Epoch    int      `json:"epoch"`
	Sequence uint64   `json:"sequence"`
	Kind     string   `json:"kind"`
	// Through is the last entry that the finding is about, absent for one. A branch that has grown since is not accepted.
	Through uint64 `json:"through,omitempty"`
	Got     string `json:"got"` // as the finding has it
	Why     string `json:"why"`
	Who     string `json:"who,omitempty"` // accepted it; absent in facts of a former version
}

func (*FindingAccepted) Type() string    { return "finding.accepted.v2" }
func (f *FindingAccepted) About() string { return f.Of.String() }
