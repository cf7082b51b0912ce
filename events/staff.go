package events

// staffFacts are about who works at the register.
var staffFacts = []func() Fact{
	func() Fact { return new(StaffLoggedOn) },
	func() Fact { return new(StaffLoggedOff) },
	func() Fact { return new(SignOnRefused) },
}

// StaffLoggedOn says that a member of staff signed on (operation 700).
type StaffLoggedOn struct {
	Asked
	Staff StaffID `json:"staff"`
	Name  string  `json:"name,omitempty"`
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

// SignOnRefused is a security fact: someone tried to sign on and was refused.
type SignOnRefused struct {
	Asked
	Staff StaffID `json:"staff"` // as given, known or not
	Code  string  `json:"code"`  // the refusal's code
}

func (*SignOnRefused) Type() string    { return "staff.sign_on_refused.v1" }
func (f *SignOnRefused) About() string { return string(f.Staff) }
