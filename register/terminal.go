package register

import (
	"context"
	"errors"
	"time"

	"github.com/posnode/posnode/events"
	"github.com/posnode/posnode/ledger"
)

// Terminal is the card terminal at the till. Its answers hold no card number: what
// a terminal gives beyond scheme and last four digits is not even taken
// ([ledger.CardOutcome]). Any error of its methods says that the outcome is unknown.
type Terminal interface {
	// Authorize charges a card, or refunds to it where the amount is negative. A
	// reference is asked for once; asked for again, it gets its first outcome and nothing is charged.
	Authorize(ctx context.Context, request CardRequest) (ledger.CardOutcome, error)
	// Recover says what became of a reference. One that the terminal has never heard of
	// is declined with "not_received", and is from then on: what was still on its way charges nothing any more.
	Recover(ctx context.Context, reference string) (ledger.CardOutcome, error)
	// Void takes back what was charged under a reference. A second time it gets the first outcome.
	Void(ctx context.Context, reference string) (ledger.CardOutcome, error)
}

// CardRequest is what the terminal is to charge.
type CardRequest struct {
	Reference string       `json:"reference"`
	Amount    events.Money `json:"amount"`   // in minor units; negative for a refund
	Currency  string       `json:"currency"` // ISO 4217
	Digits    int          `json:"digits"`   // of its minor unit
}

// How long the till waits: for a customer who looks for a card, and for a terminal that only has to remember.
const (
	authorizeTimeout = 2 * time.Minute
	recoverTimeout   = 10 * time.Second
)

// settleCard asks the terminal for what waits in the state, and records what it
// says. again says that it was asked before, in this life or an earlier one.
//
//	requested | asked | answered | recorded
//
// If we die before "requested" is on disk, the terminal has heard nothing and the client's
// command is new. If we die anywhere after it, the state says so after the restart: the next operation
// that needs the drawer comes here first, and the terminal says whether it has charged, or
// never heard of it. Once "recorded" is on disk the same command gets that entry's answer.
// A void is the same, with [Terminal.Void] in the place of Recover.
func (r *Register) settleCard(ctx context.Context, again bool) (*events.Entry, error) {
	request := r.state.Transaction.Requested
	outcome, err := r.askTerminal(request, again)
	if err != nil && !again {
		// The answer may only have been lost on its way.
		again = true
		outcome, err = r.askTerminal(request, again)
	}
	if err != nil {
		r.cfg.Logger.Warn("the card terminal does not answer", "reference", request.Reference, "error", err)
		return nil, errTerminal(request)
	}
	outcome.Recovered = again
	now := r.cfg.Clock()
	local := now.In(r.cfg.Zone)
	_, ahead := local.Zone()
	c := ledger.Command{Date: local.Format(time.DateOnly), At: now.Unix(), Offset: ahead / 60}
	if c.Reference.Store, err = r.reference.Store(ctx); err != nil {
		return nil, err
	}
	return r.append(ctx, ledger.Settle(r.state, c, outcome), events.Circumstances{
		Operation: request.Operation(), Command: request.Command, Staff: request.Staff, Approver: request.Approver, Shift: request.Shift,
	})
}

func (r *Register) askTerminal(request *ledger.Requested, again bool) (ledger.CardOutcome, error) {
	timeout := authorizeTimeout
	if again {
		timeout = recoverTimeout
	}
	// Not ctx, which outlives the client: closing the till does not wait for a customer's
	// card, for the next start asks the terminal what became of it.
	ctx, cancel := context.WithTimeout(r.running, timeout)
	defer cancel()
	switch {
	case request.Action == events.VoidCard:
		return r.cfg.Terminal.Void(ctx, request.Reference)
	case again:
		return r.cfg.Terminal.Recover(ctx, request.Reference)
	}
	terms := r.state.Transaction.Terms
	return r.cfg.Terminal.Authorize(ctx, CardRequest{request.Reference, request.Payment.Tendered, terms.Currency, terms.Digits})
}

// recoverCard asks for an answer that was lost, before an operation that needs to know it.
// Where the terminal still says nothing, the ledger refuses what must wait.
func (r *Register) recoverCard(ctx context.Context, operation int) error {
	op := ledger.Find(operation)
	if op == nil || !op.Sells() || r.state.Transaction == nil || r.state.Transaction.Requested == nil {
		return nil
	}
	_, err := r.settleCard(ctx, true)
	if _, refused := errors.AsType[*ledger.Refusal](err); refused {
		return nil // the ledger refuses what may not pass the request by, and lets a manager give it up
	}
	return err
}

func errTerminal(request *ledger.Requested) error {
	return &ledger.Refusal{
		Code: "terminal_unanswered", Why: "The card terminal does not answer: it is not known what it did with " + request.Reference + ".",
		Instead: "Do the same again: the terminal is asked for its answer first, and charges nothing twice.",
	}
}
