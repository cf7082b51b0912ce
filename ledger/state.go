package ledger

import (
	"fmt"
	"iter"
	"slices"

	"github.com/posnode/posnode/events"
)

// State is what a register's journal adds up to, as far as a decision needs it.
// It is small whatever the length of the journal, and is what a snapshot holds.
// Its owner is one goroutine.
type State struct {
	Register events.Register `json:"register"`
	Head     events.Head     `json:"head"`    // of the last applied entry
	LastID   string          `json:"last_id"` // its ULID
	Mode     events.Mode     `json:"mode"`
	Staff    *Staff          `json:"staff,omitempty"` // who is signed on
	Shift    *Shift          `json:"shift,omitempty"` // the open one
	// Transaction is the one in progress, nil for none.
	Transaction  *Transaction   `json:"transaction,omitempty"`
	Transactions int            `json:"transactions"`        // begun so far; numbers go on over the epochs
	Shifts       int            `json:"shifts"`              // opened so far
	Receipts     map[string]int `json:"receipts"`            // last number of each type
	Suspended    []*Transaction `json:"suspended,omitempty"` // set aside, the first one first
	Customers    int            `json:"customers,omitempty"` // added so far
	Orders       int            `json:"orders,omitempty"`    // placed so far
	Count        *StockCount    `json:"count,omitempty"`     // the one that is not finished
	Counts       int            `json:"counts,omitempty"`    // begun so far
	Commands     recent         `json:"commands"`
	// Moved is what this register has moved on balances that HQ keeps, as far as HQ is not known to have counted it.
	Moved moved `json:"moved,omitzero"`
	// SetAside are the shifts that are suspended or blind-closed, in that order of time.
	SetAside []*Shift            `json:"set_aside,omitempty"`
	Z        int                 `json:"z"`                // number of the last Z report
	LastZ    *LastZ              `json:"last_z,omitempty"` // of this epoch; nil for none
	Grand    []events.GrandTotal `json:"grand,omitempty"`  // since the first epoch began, by currency
	// Device is how the register stands with head office: active or inactive; "" where that never activated it in this epoch.
	Device string `json:"device,omitempty"`
	// ManualOffline says that someone disconnected the register, which lasts until they connect it again.
	ManualOffline bool `json:"manual_offline,omitempty"`
	// Switched is the last change of mode, zero before the first.
	Switched Switched `json:"switched,omitzero"`
	// Failures are the wrong PINs in a row of those who had one.
	Failures map[events.StaffID]events.Failed `json:"failures,omitempty"`
	// CardFailures are the wrong PINs in a row of the gift cards that had one.
	CardFailures map[events.CardNumber]events.Failed `json:"card_failures,omitempty"`
	// Guessed is the last entry's word on numbers that were tried; zero for none.
	Guessed events.Guessed `json:"guessed,omitzero"`
	// Clock is how those stand who have clocked in: work, or the break that they take.
	Clock map[events.StaffID]string `json:"clock,omitempty"`
}

// Staff is who is signed on.
type Staff struct {
	ID   events.StaffID `json:"staff"`
	Name string         `json:"name,omitempty"`
	// Rights are those of the sign-on: a change to them counts from the next one.
	Rights events.Rights `json:"rights"`
	Locked bool          `json:"locked,omitempty"` // until the same member of staff is back
}

// Transaction is a sale in progress.
type Transaction struct {
	ID       events.TransactionID `json:"transaction"`
	Terms    events.Terms         `json:"terms"`
	Lines    []*Line              `json:"lines"`
	Discount Discount             `json:"discount"`
	Payments []*Payment           `json:"payments"`
	Totals   events.Totals        `json:"totals"`
	Sums     sums                 `json:"sums"`
	// Requests counts what the card terminal was asked; Requested is what it has not answered yet.
	Requests  int        `json:"requests,omitempty"`
	Requested *Requested `json:"requested,omitempty"`
	events.Attached
	PriceGroups []string                     `json:"price_groups,omitempty"` // of those whom it is for
	Products    map[events.ProductID]*onCart `json:"products,omitempty"`
	TaxOverride *TaxOverride                 `json:"tax_override,omitempty"` // of the lines that follow
	Comment     string                       `json:"comment,omitempty"`
	Order       *CartOrder                   `json:"order,omitempty"`
	Approved    events.Approved              `json:"approved,omitzero"` // the amounts that a manager approved for the whole transaction
	// SuspendedAt is the sequence of the entry that set it aside last; 0 for none.
	SuspendedAt uint64 `json:"suspended_at,omitempty"`
}

// Line is a line of a sale in progress.
type Line struct {
	events.Line
	Voided bool `json:"voided,omitempty"`
}

// Payment is a payment of a sale in progress.
type Payment struct {
	events.Payment
	Voided bool `json:"voided,omitempty"`
}

// NewState is the state before the first entry of a register's epoch. Its head
// holds the hash of the activation record.
func NewState(r events.Register, epoch int, activation events.Digest) *State {
	return &State{
		Register: r,
		Head:     events.Head{Epoch: epoch, Hash: activation},
		Mode:     events.Offline,
		Receipts: map[string]int{},
	}
}

// all yields the lines, with changed in the places of those that have their
// numbers, or at the end where there are none.
func (t *Transaction) all(changed ...*Line) iter.Seq[*Line] {
	return func(yield func(*Line) bool) {
		instead := make(map[int]*Line, len(changed))
		for _, line := range changed {
			instead[line.Number] = line
		}
		for _, line := range t.Lines {
			if other := instead[line.Number]; other != nil {
				line = other
			}
			if !yield(line) {
				return
			}
		}
		for _, line := range changed {
			if line.Number > len(t.Lines) && !yield(line) {
				return
			}
		}
	}
}

// line is the line with that number, or nil.
func (t *Transaction) line(number int) *Line {
	if number < 1 || number > len(t.Lines) {
		return nil
	}
	return t.Lines[number-1]
}

// paid is what the payments that were not voided settle.
func (t *Transaction) paid() (sum events.Money) {
	for _, p := range t.Payments {
		if !p.Voided {
			sum += p.Amount
		}
	}
	return sum
}

// replaceLine puts line in the place of the one with its number, or at the end.
func (t *Transaction) replaceLine(line *Line) {
	old := t.line(line.Number)
	t.index(old, line)
	if old != nil {
		t.Sums = t.Sums.plus(old, -1, t.Terms.TaxIncluded)
		t.Lines[line.Number-1] = line
	} else {
		t.Lines = append(t.Lines, line)
	}
	t.Sums = t.Sums.plus(line, 1, t.Terms.TaxIncluded)
}

// Apply folds the entry that follows the head into the state. It fails only
// where the entry cannot have been written after this state: the journal, or
// this program, is not what it should be.
func (s *State) Apply(e *events.Entry) (err error) {
	defer func() {
		// Hostile numbers in a forged fact can overflow where those that were decided cannot.
		if p := recover(); p != nil {
			err = &events.CorruptError{Sequence: e.Head.Sequence, Kind: "impossible", Want: "a fact that can follow", Got: e.Type, Hint: fmt.Sprint(p)}
		}
	}()
	chain := events.Chain{Register: s.Register, Head: s.Head}
	if err := chain.Next(e.Head.Sequence, e); err != nil {
		return err
	}
	// What a card terminal is asked answers no command: what it says does.
	if f, ok := e.Fact.(events.Requested); ok && e.Command != "" {
		s.Commands.add(Done{Key: e.Command, Sequence: e.Head.Sequence, Input: f.Request().Input})
	}
	if err := s.apply(e.Fact); err != nil {
		return &events.CorruptError{Sequence: e.Head.Sequence, Kind: "impossible", Want: "a fact that can follow", Got: e.Type, Hint: err.Error()}
	}
	if f, opened := e.Fact.(*events.ShiftOpened); opened && s.Shift.Shift == f.Shift {
		s.Shift.Opened = e.Envelope.Time
	}
	if f, suspended := e.Fact.(*events.SaleSuspended); suspended {
		s.Suspended[s.onHold(f.Transaction)].SuspendedAt = e.Head.Sequence
	}
	if f, ok := e.Fact.(*events.ModeChanged); ok {
		s.Switched = Switched{Cause: f.Cause, Detail: f.Detail, At: e.Envelope.Time}
	}
	delete(s.Failures, e.Approver)
	s.request(e)
	s.Moved.count(e)
	s.countCardPIN(e.Fact)
	s.Head, s.LastID = e.Head, e.ID
	return nil
}

func (s *State) apply(fact events.Fact) error {
	switch f := fact.(type) {
	case *events.RegisterActivated:
		return s.begin(f)
	case *events.DeviceActivated:
		s.Device = deviceActive
	case *events.DeviceInactivated:
		s.Device, s.Staff = deviceInactive, nil
	case *events.ModeChanged:
		s.Mode, s.ManualOffline = f.To, f.To == events.Offline && (f.Cause == manualCause || s.ManualOffline)
	case events.OfShift:
		return s.applyShift(f)
	case *events.PriceChecked, *events.ProductViewed, *events.ProductsSearched:
	case *events.ReceiptReprinted, *events.JournalShown, *events.ReportViewed:
	case *events.CustomerAdded:
		s.Customers = f.Number
	case *events.CustomerEdited, *events.SearchAnswered, *events.StockLookedUp:
	case *events.StockCounted, *events.StockCountCommitted, *events.StockCountDiscarded:
		s.applyStock(f)
	case *events.SaleHandedOver:
		return s.handOver(f)
	case events.OfTransaction:
		return s.applySale(f)
	case *events.BalanceChecked:
	case *events.GiftCardPINRefused:
		if f.Guessed != nil {
			s.Guessed = *f.Guessed
		}
	case *events.NumbersGuessed:
		s.Guessed = f.Guessed
	default:
		return s.applyStaff(fact)
	}
	return nil
}

// applySale folds a fact about a transaction.
func (s *State) applySale(fact events.OfTransaction) error {
	of := fact.Sale()
	if of.Begins != nil {
		if s.Transaction != nil {
			return fmt.Errorf("transaction %s is in progress", s.Transaction.ID)
		}
		s.Transaction = &Transaction{ID: of.Transaction, Terms: *of.Begins}
		s.Transactions = of.Begins.Number
	}
	switch fact.(type) {
	case *events.SaleRecalled, *events.SaleVoided:
		if s.Transaction == nil {
			s.Transaction = s.takeFromHold(of.Transaction)
		}
	}
	t := s.Transaction
	if t == nil || t.ID != of.Transaction {
		return fmt.Errorf("transaction %s is not in progress", of.Transaction)
	}
	if t.Requested != nil {
		switch fact.(type) {
		case *events.CardDeclined, *events.CardAbandoned, *events.PaymentTaken, *events.PaymentVoided, *events.SaleConcluded, *events.OrderPlaced:
		default:
			return fmt.Errorf("the terminal has not said what became of %s", t.Requested.Reference)
		}
	}
	t.Requested = nil // every fact of a transaction that waits for the terminal says what came of it
	if f, ok := fact.(*events.SaleTakenOver); ok {
		t.restore(&f.Held)
	}
	if of.Regrouped != nil {
		t.PriceGroups = of.Regrouped.Groups
	}
	t.approve(fact)
	for _, line := range of.Changed {
		old := t.line(line.Number)
		if old == nil {
			return fmt.Errorf("no line %d", line.Number)
		}
		t.replaceLine(&Line{Line: line, Voided: old.Voided})
	}
	switch f := fact.(type) {
	case *events.CardRequested:
		t.Requests++
	case *events.CardDeclined, *events.CardAbandoned:
	case *events.LineAdded:
		if f.Line.Number != len(t.Lines)+1 {
			return fmt.Errorf("line %d after %d lines", f.Line.Number, len(t.Lines))
		}
		t.replaceLine(&Line{Line: f.Line})
		for _, line := range f.Linked {
			if line.Number != len(t.Lines)+1 {
				return fmt.Errorf("line %d after %d lines", line.Number, len(t.Lines))
			}
			t.replaceLine(&Line{Line: line})
		}
	case *events.LineVoided:
		return t.setVoided(of, true, append([]int{f.Line}, f.Linked...))
	case *events.LineRestored:
		return t.setVoided(of, false, append([]int{f.Line}, f.Linked...))
	case events.LineChange:
		return t.changed(of, f.ChangedLine())
	case *events.TaxOverridden:
		t.TaxOverride = nil
		if f.Override != "" {
			t.TaxOverride = &TaxOverride{Override: f.Override, Name: f.Name, Taxes: f.Taxes}
		}
	case *events.SaleCommented:
		t.Comment = f.Comment
	case *events.TotalDiscountSet:
		t.Discount = Discount{Amount: f.Amount, Percent: f.Percent}
	case *events.PaymentTaken:
		t.Payments = append(t.Payments, &Payment{Payment: f.Payment})
	case *events.PaymentVoided:
		if f.Payment < 1 || f.Payment > len(t.Payments) {
			return fmt.Errorf("no payment %d", f.Payment)
		}
		t.Payments[f.Payment-1].Voided = true
	case *events.SaleVoided:
		s.Receipts[receiptSale]++
		s.Transaction = nil
		if s.Shift != nil {
			s.Shift.Totals.Voided++
		}
		return nil
	case *events.SaleConcluded:
		if s.Shift == nil {
			return fmt.Errorf("no shift is open")
		}
		s.Receipts[receiptSale]++
		s.Transaction = nil
		s.Shift.countSale(f)
		s.countGrand(f)
		return nil
	case *events.OrderPlaced:
		if s.Shift == nil {
			return fmt.Errorf("no shift is open")
		}
		s.Receipts[receiptSale]++
		s.Transaction, s.Orders = nil, f.Placed.Number
		s.Shift.Totals.Deposits += f.Placed.Deposit
		s.Shift.countPayments(f.Payments, f.Postings) // nothing is sold yet
		return nil
	default:
		return s.applyCart(fact)
	}
	t.Totals = of.After
	return nil
}

// changed notes the totals of a fact about one line, which must be among those that it changed.
func (t *Transaction) changed(of *events.OfSale, number int) error {
	if !slices.ContainsFunc(of.Changed, func(l events.Line) bool { return l.Number == number }) {
		return fmt.Errorf("line %d is not changed", number)
	}
	t.Totals = of.After
	return nil
}

// setVoided voids lines, or lets them count again, on copies, so that the sums see both.
func (t *Transaction) setVoided(of *events.OfSale, voided bool, numbers []int) error {
	for _, number := range numbers {
		old := t.line(number)
		if old == nil {
			return fmt.Errorf("no line %d", number)
		}
		line := *old
		line.Voided = voided
		t.replaceLine(&line)
	}
	t.Totals = of.After
	return nil
}
