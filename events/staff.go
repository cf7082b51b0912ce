package events

import "slices"

// staffFacts record sign-on, sign-off and the time clock.
var staffFacts = []func() Fact{
	func() Fact { return new(StaffLoggedOn) },
	func() Fact { return new(StaffLoggedOff) },
	func() Fact { return new(SignOnRefused) },
	func() Fact { return new(PermissionRefused) },
	func() Fact { return new(NumbersGuessed) },
	func() Fact { return new(ClockedIn) },
	func() Fact { return new(ClockedOut) },
	func() Fact { return new(BreakBegun) },
	func() Fact { return new(TimeEntriesViewed) },
}

// StaffLoggedOn says that a member of staff signed on (operation 700).
type StaffLoggedOn struct {
	Asked
	Staff StaffID `json:"staff"`
	Name  string  `json:"name,omitempty"`
	// Rights are the permissions of the member of staff until they sign off.
	Rights Rights `json:"rights"`
	// Refused are tries with this number that were refused before and of which there is no entry.
	Refused int `json:"refused,omitempty"`
}

// Rights are the permissions of a person: the permission groups of all their positions merged,
// flags by or, limits by the largest.
type Rights struct {
	Manager    bool  `json:"manager,omitempty"`    // everything, without a limit
	Operations []int `json:"operations,omitempty"` // ids of the operations, ascending
	// Limits: 0 is none at all, which is another refusal than too much.
	LineDiscountPercent  Percent `json:"line_discount_percent,omitzero"`
	LineDiscountAmount   Money   `json:"line_discount_amount,omitempty"` // minor units
	TotalDiscountPercent Percent `json:"total_discount_percent,omitzero"`
	TotalDiscountAmount  Money   `json:"total_discount_amount,omitempty"`
	LineReturnAmount     Money   `json:"line_return_amount,omitempty"`
	TotalReturnAmount    Money   `json:"total_return_amount,omitempty"`
	// PriceOverride is "", "higher", "lower" or "both": how a price may be changed.
	PriceOverride string `json:"price_override,omitempty"`
	// Reports are the names of those that may be viewed, besides the permission to view any (operation 1003).
	Reports []string `json:"reports,omitempty"`
}

// MayView says whether the rights include a report.
func (r Rights) MayView(report string) bool {
	return r.Manager || slices.Contains(r.Operations, 1003) && slices.Contains(r.Reports, report)
}

func (*StaffLoggedOn) Type() string    { return "staff.logged_on.v1" }
func (f *StaffLoggedOn) About() string { return string(f.Staff) }

// StaffLoggedOff says that the member of staff signed off; the shift stays open (operation 701).
type StaffLoggedOff struct {
	Asked
	Staff StaffID `json:"staff"`
}

func (*StaffLoggedOff) Type() string    { return "staff.logged_off.v1" }
func (f *StaffLoggedOff) About() string { return string(f.Staff) }

// Failed is embedded in a fact that records a wrong PIN of a staff number or a gift card. Of wrong
// PINs in a row the first is an entry, and the one that locks; the count tells of those between.
type Failed struct {
	Failures int `json:"failures,omitempty"` // in a row, with this one
	// LockedUntil is when the member of staff can sign on or approve again, in Unix
	// seconds of the register's clock, once there were too many.
	LockedUntil int64 `json:"locked_until,omitempty"`
	// Refused are tries while the number was locked out before, of which there is no entry.
	Refused int `json:"refused,omitempty"`
}

// SignOnRefused is a security fact: someone tried to sign on and was refused (operation 700).
type SignOnRefused struct {
	Asked
	Staff StaffID `json:"staff"` // as given, known or not
	Code  string  `json:"code"`  // the refusal's code
	Failed
}

func (*SignOnRefused) Type() string    { return "staff.sign_on_refused.v1" }
func (f *SignOnRefused) About() string { return string(f.Staff) }

// PermissionRefused is a security fact: someone asked for an operation that neither they nor the
// manager they called may do.
type PermissionRefused struct {
	Asked
	Staff    StaffID `json:"staff"`
	Approver StaffID `json:"approver,omitempty"` // the approver as given
	Code     string  `json:"code"`               // the refusal's
	Why      string  `json:"why"`
	Failed           // the approver's PIN
}

func (*PermissionRefused) Type() string    { return "staff.permission_refused.v1" }
func (f *PermissionRefused) About() string { return string(f.Staff) }

// Guessed counts tries of numbers that nobody has, and says how long the register waits.
type Guessed struct {
	Misses int `json:"misses"` // since the last entry that counted them, with this one
	Waits  int `json:"waits"`  // how often the register waited in a row; each wait is longer than the one before
	// WaitUntil is when such numbers are looked up again, in Unix seconds of the register's clock.
	WaitUntil int64 `json:"wait_until"`
}

// NumbersGuessed is a security fact, one for many tries: numbers of gift cards, loyalty cards, customers, receipts
// or orders were given that are not known. The numbers themselves are not kept.
type NumbersGuessed struct {
	Asked
	Staff StaffID `json:"staff"` // who is signed on
	Code  string  `json:"code"`  // the refusal of the last one
	Guessed
}

func (*NumbersGuessed) Type() string    { return "staff.numbers_guessed.v1" }
func (f *NumbersGuessed) About() string { return string(f.Staff) }

// ClockedIn says that a member of staff began to work, or came back from a break (operation 920).
type ClockedIn struct {
	Asked
	Staff StaffID `json:"staff"`
	From  string  `json:"from,omitempty"` // the break that ends, as in BreakBegun
}

func (*ClockedIn) Type() string    { return "staff.clocked_in.v1" }
func (f *ClockedIn) About() string { return string(f.Staff) }

// ClockedOut says that a member of staff stopped working for the day (operation 920).
type ClockedOut struct {
	Asked
	Staff StaffID `json:"staff"`
}

func (*ClockedOut) Type() string    { return "staff.clocked_out.v1" }
func (f *ClockedOut) About() string { return string(f.Staff) }

// BreakBegun says that a member of staff takes a break (operation 920).
type BreakBegun struct {
	Asked
	Staff StaffID `json:"staff"`
	Break string  `json:"break"` // work or lunch
}

func (*BreakBegun) Type() string    { return "staff.break_begun.v1" }
func (f *BreakBegun) About() string { return string(f.Staff) }

// TimeEntriesViewed says that someone looked at the time clock's entries (operation 921).
type TimeEntriesViewed struct {
	Asked
	Of   StaffID `json:"of,omitempty"`   // the member of staff; all where absent
	From string  `json:"from,omitempty"` // YYYY-MM-DD, inclusive, unbounded where absent
	To   string  `json:"to,omitempty"`
}

func (*TimeEntriesViewed) Type() string { return "staff.time_entries_viewed.v1" }

// About is empty of names: the register is the source of the entry.
func (*TimeEntriesViewed) About() string { return "time clock" }
