package register

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"

	"github.com/posnode/posnode/embedded"
	"github.com/posnode/posnode/events"
	"github.com/posnode/posnode/internal/files"
	"github.com/posnode/posnode/ledger"
)

// SimulatedTerminal is a card terminal of nothing but a file, for a till without one. What
// it does depends on the last two digits of the amount:
//
//	51   declined
//	52   approved, and the answer is lost
//	53   nothing is charged, and no answer comes
//	else approved
//
// Its file is its memory: it survives the register and a power cut.
type SimulatedTerminal struct {
	path string
	mu   sync.Mutex
}

// NewSimulatedTerminal is the terminal whose memory is at path.
func NewSimulatedTerminal(path string) *SimulatedTerminal { return &SimulatedTerminal{path: path} }

// simulatedCharge is what the terminal remembers of a reference.
type simulatedCharge struct {
	Amount   events.Money `json:"amount"`
	Approved bool         `json:"approved,omitempty"`
	Voided   bool         `json:"voided,omitempty"`
	Response string       `json:"response,omitempty"`
}

func (c simulatedCharge) outcome() ledger.CardOutcome {
	o := ledger.CardOutcome{Approved: c.Approved && !c.Voided, Response: c.Response, Terminal: "SIM-1"}
	if o.Approved {
		o.Scheme, o.LastFour, o.Approval = "SIMULATED", "0000", "SIM001"
	}
	return o
}

var errNoAnswer = errors.New("no answer within the time limit")

// Authorize charges, unless the amount says otherwise.
func (t *SimulatedTerminal) Authorize(_ context.Context, request CardRequest) (ledger.CardOutcome, error) {
	cents := max(request.Amount, -request.Amount) % 100
	charge := simulatedCharge{Amount: request.Amount, Approved: cents != 51, Response: map[bool]string{true: "51"}[cents == 51]}
	if cents == 53 {
		return ledger.CardOutcome{}, errNoAnswer
	}
	charge, err := t.remember(request.Reference, func(known *simulatedCharge) simulatedCharge {
		if known != nil {
			return *known
		}
		return charge
	})
	if err == nil && cents == 52 {
		err = errNoAnswer
	}
	return charge.outcome(), err
}

// Recover says what became of a reference.
func (t *SimulatedTerminal) Recover(_ context.Context, reference string) (ledger.CardOutcome, error) {
	charge, err := t.remember(reference, func(known *simulatedCharge) simulatedCharge {
		if known != nil {
			return *known
		}
		return simulatedCharge{Response: "not_received"}
	})
	return charge.outcome(), err
}

// Void takes a charge back.
func (t *SimulatedTerminal) Void(_ context.Context, reference string) (ledger.CardOutcome, error) {
	charge, err := t.remember(reference, func(known *simulatedCharge) simulatedCharge {
		if known == nil || !known.Approved {
			return simulatedCharge{Response: "not_received"}
		}
		voided := *known
		voided.Voided = true
		return voided
	})
	return ledger.CardOutcome{Approved: charge.Voided, Response: charge.Response, Terminal: "SIM-1"}, err
}

// Charged is what the terminal has charged in all, less what it refunded and voided.
func (t *SimulatedTerminal) Charged() (sum events.Money, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	memory, err := t.read()
	for _, c := range memory {
		if c.Approved && !c.Voided {
			sum += c.Amount
		}
	}
	return sum, err
}

// remember replaces what is known of a reference, and returns when that is on disk.
func (t *SimulatedTerminal) remember(reference string, change func(known *simulatedCharge) simulatedCharge) (simulatedCharge, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	memory, err := t.read()
	if err != nil {
		return simulatedCharge{}, err
	}
	var known *simulatedCharge
	if c, ok := memory[reference]; ok {
		known = &c
	}
	charge := change(known)
	memory[reference] = charge
	raw, err := json.Marshal(memory)
	if err != nil {
		return charge, err
	}
	return charge, embedded.WriteFileDurably(t.path, raw)
}

func (t *SimulatedTerminal) read() (map[string]simulatedCharge, error) {
	memory := map[string]simulatedCharge{}
	raw, err := os.ReadFile(t.path)
	if errors.Is(err, fs.ErrNotExist) {
		return memory, nil
	}
	if err == nil {
		err = json.Unmarshal(raw, &memory)
	}
	if err != nil {
		// It only plays a terminal: what it has forgotten it says that it never received.
		if _, err := files.SetAside(t.path); err != nil {
			return nil, fmt.Errorf("the simulated terminal's memory %s: %w", t.path, err)
		}
		clear(memory)
	}
	return memory, nil
}
