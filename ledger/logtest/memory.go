package logtest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/posnode/posnode/events"
)

// ErrFault is the error of an append that was made to fail: to its caller, an unknown outcome.
var ErrFault = errors.New("fault injected")

// Fault is one way in which an append can fail without saying what became of the entry.
type Fault struct {
	Name   string
	Stored bool
}

// Faults are both ways. Whatever is tested with one must be tested with the other.
var Faults = []Fault{
	{Name: "failed and not stored", Stored: false},
	{Name: "failed but stored", Stored: true},
}

// Memory is a ledger.Log in memory whose faults are made to order. The zero value is empty and sound.
type Memory struct {
	mu       sync.Mutex
	messages []events.Message
	faults   map[int]Fault // by the number of appends from now
	full     bool
	lost     map[uint64]bool
}

// Fail makes the append fail that is the n-th from now, 1 for the next.
func (l *Memory) Fail(n int, f Fault) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.faults == nil {
		l.faults = map[int]Fault{}
	}
	l.faults[n] = f
}

// SetFull says whether there is room for another entry.
func (l *Memory) SetFull(full bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.full = full
}

// Lose makes an entry unreadable, as a broken block of a disk would.
func (l *Memory) Lose(sequence uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.lost == nil {
		l.lost = map[uint64]bool{}
	}
	l.lost[sequence] = true
}

// Alter changes the stored bytes of an entry, as nobody should.
func (l *Memory) Alter(sequence uint64, change func(body []byte) []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	m := &l.messages[sequence-1]
	m.Body = change(slices.Clone(m.Body))
}

// Append implements ledger.Log.
func (l *Memory) Append(ctx context.Context, after uint64, m events.Message) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	fault, failing := l.nextFault()
	switch {
	case m.Sequence != after+1:
		return fmt.Errorf("append after %d: entry says it is number %d", after, m.Sequence)
	case len(m.Body) > events.MaxBody:
		return fmt.Errorf("append after %d: entry of %d bytes is too large", after, len(m.Body))
	case after != uint64(len(l.messages)):
		return fmt.Errorf("append after %d: %w", after, events.ErrConflict)
	case l.full:
		return fmt.Errorf("append after %d: %w", after, events.ErrFull)
	}
	if !failing || fault.Stored {
		m.Body = slices.Clone(m.Body)
		l.messages = append(l.messages, m)
	}
	if failing {
		return fmt.Errorf("append after %d: %w", after, ErrFault)
	}
	return nil
}

// nextFault counts one append.
func (l *Memory) nextFault() (Fault, bool) {
	fault, failing := l.faults[1]
	later := map[int]Fault{}
	for n, f := range l.faults {
		if n > 1 {
			later[n-1] = f
		}
	}
	l.faults = later
	return fault, failing
}

// Last implements ledger.Log.
func (l *Memory) Last(ctx context.Context) (uint64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return uint64(len(l.messages)), ctx.Err()
}

// Read implements ledger.Log.
func (l *Memory) Read(ctx context.Context, from uint64, yield func(events.Message) error) error {
	last, err := l.Last(ctx)
	if err != nil {
		return err
	}
	for sequence := max(from, 1); sequence <= last; sequence++ {
		m, err := l.get(ctx, sequence)
		if err != nil {
			return err
		}
		if err := yield(m); err != nil {
			return err
		}
	}
	return nil
}

func (l *Memory) get(ctx context.Context, sequence uint64) (events.Message, error) {
	if err := ctx.Err(); err != nil {
		return events.Message{}, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.lost[sequence] {
		return events.Message{}, &events.CorruptError{Sequence: sequence, Kind: "gap", Want: fmt.Sprintf("entry %d", sequence), Got: "nothing readable"}
	}
	m := l.messages[sequence-1]
	m.Body = slices.Clone(m.Body)
	return m, nil
}
