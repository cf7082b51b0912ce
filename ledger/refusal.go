package ledger

import "fmt"

// Refusal is a rule that says no. Nothing was stored and nothing has changed.
type Refusal struct {
	Code      string // stable, snake_case: clients build on it
	Why       string // one sentence for the cashier
	Parameter string // the parameter that broke a rule, if one did
	Instead   string // what could be done instead, if anything
	// security refusals are recorded: who asked for what they may not do.
	security bool
	// missed refusals are of a number that nobody has, or that was only tried: they are counted.
	missed bool
}

func (r *Refusal) Error() string { return r.Code + ": " + r.Why }

// refuse makes a refusal whose sentence is formatted.
func refuse(code, why string, args ...any) *Refusal {
	return &Refusal{Code: code, Why: fmt.Sprintf(why, args...)}
}

// refuseParameter makes a refusal that names the parameter that broke a rule.
func refuseParameter(name, why string, args ...any) *Refusal {
	return &Refusal{Code: "invalid_parameter", Parameter: name, Why: name + ": " + fmt.Sprintf(why, args...)}
}

// needsHQ refuses the part of an operation that only head office can do.
func needsHQ(what string, args ...any) *Refusal {
	return refuse("realtime_service_unavailable", "Head office cannot be reached, and is needed for "+what+".", args...)
}

// payOtherwise is what to do where head office is needed for a payment.
const payOtherwise = "Take another way to pay, or try again when the register is online."

// instead says what could be done instead.
func (r *Refusal) instead(what string) *Refusal {
	r.Instead = what
	return r
}

// askManager is what to do where a permission is wanting.
const askManager = "Ask a manager to approve it."

// miss marks the refusal of a number that may have been guessed.
func (r *Refusal) miss() *Refusal {
	r.missed = true
	return r
}

// deny makes a refusal for want of a permission, which is recorded.
func deny(why string, args ...any) *Refusal {
	r := refuse("permission_denied", why, args...).instead(askManager)
	r.security = true
	return r
}
