package ledger

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/posnode/posnode/events"
)

// Carried is what the epoch after this one takes over. It shares nothing with the state.
func (s *State) Carried() *events.Carried {
	c := &events.Carried{
		Numbers: events.Numbers{
			Transactions: s.Transactions, Shifts: s.Shifts, Receipts: s.Receipts[receiptSale], Customers: s.Customers,
			Orders: s.Orders, Counts: s.Counts, Z: s.Z, Grand: slices.Clone(s.Grand),
		},
		OfflineMoved: s.Moved.Offline, Clock: maps.Clone(s.Clock),
	}
	if m := s.Moved.Forgotten; m != nil {
		c.Forgotten = (*events.Movement)(m)
	}
	for _, m := range s.Moved.List {
		c.Movements = append(c.Movements, events.Movement(m))
	}
	for _, shift := range s.SetAside {
		c.Left = append(c.Left, shift.Shift)
	}
	if s.Shift != nil {
		c.Left = append(c.Left, s.Shift.Shift)
	}
	for _, t := range s.Suspended {
		c.Suspended = append(c.Suspended, t.ID)
	}
	if s.Transaction != nil {
		c.Suspended = append(c.Suspended, s.Transaction.ID)
	}
	return c
}

// begin takes over what the activation record says was carried.
func (s *State) begin(f *events.RegisterActivated) error {
	var record events.ActivationRecord
	if err := json.Unmarshal([]byte(f.Record), &record); err != nil {
		return fmt.Errorf("activation record: %w", err)
	}
	c := record.Carried
	if c == nil {
		return nil
	}
	s.Transactions, s.Shifts, s.Customers, s.Orders, s.Counts, s.Z = c.Transactions, c.Shifts, c.Customers, c.Orders, c.Counts, c.Z
	s.Receipts[receiptSale] = c.Receipts
	s.Grand, s.Clock = slices.Clone(c.Grand), maps.Clone(c.Clock)
	s.Moved = moved{Offline: c.OfflineMoved, Forgotten: (*movement)(c.Forgotten)}
	for _, m := range c.Movements {
		s.Moved.List = append(s.Moved.List, movement(m))
	}
	return nil
}
