package events

// shiftFacts are about shifts.
var shiftFacts = []func() Fact{
	func() Fact { return new(ShiftOpened) },
}

// ShiftOpened begins a shift at the register's drawer (operation 1050).
type ShiftOpened struct {
	Asked
	Shift        ShiftID `json:"shift"`
	Number       int     `json:"number"` // of this register and epoch, from 1
	Staff        StaffID `json:"staff"`
	BusinessDate string  `json:"business_date"` // YYYY-MM-DD
	Currency     string  `json:"currency"`      // ISO 4217, of every amount of the shift that names none
	Digits       int     `json:"digits"`        // of its minor unit
}

func (*ShiftOpened) Type() string    { return "shift.opened.v1" }
func (f *ShiftOpened) About() string { return string(f.Shift) }
