package ledger

import (
	"github.com/posnode/posnode/events"
)

// # Numbers that open value
//
// Whoever knows the number of a gift card, a loyalty card, a customer, a receipt or an order can pay, buy or take
// back with it. Such numbers can be tried one after the other. A register lets a few tries go by that lead to
// nothing, as a cashier mistypes; then it records one entry for all of them and looks up no such
// number for a while. Each further miss is recorded and waits twice as long, up to a
// quarter of an hour. An hour without a miss ends it.
//
// The count until the first entry is the register's, in memory: a refusal changes nothing. What
// follows an entry is in the state, so that a restart does not end a wait.
const (
	freeMisses     = 5 // that the first entry counts
	firstWait      = 10 * second
	longestWait    = 15 * minute
	quietAfterWait = 60 * minute
)

// Seconds in units of time: the ledger's clock is in seconds.
const (
	second = 1
	minute = 60 * second
)

// guessable are the parameters that hold such numbers.
var guessable = []string{"card", "customer", "order", "receipt"}

// CountMisses is how many misses no entry tells of, once a command had this outcome, where there were some before.
func CountMisses(before int, fact events.Fact, err error) int {
	if refusal, ok := err.(*Refusal); ok && refusal.missed {
		return before + 1
	}
	switch f := fact.(type) {
	case *events.NumbersGuessed:
		return 0
	case *events.GiftCardPINRefused:
		if f.Guessed != nil {
			return 0
		}
		return before + 1
	}
	return before
}

// mayLookUp refuses numbers while the register waits.
func (d *deciding) mayLookUp() error {
	// A wait that is longer than any is of a clock that has gone back since.
	if left := d.State.Guessed.WaitUntil - d.At; left <= 0 || left > longestWait {
		return nil
	}
	for _, name := range guessable {
		if d.in.has(name) {
			return refuseGuess(d.State.Guessed.Misses)
		}
	}
	return nil
}

// refuseGuess refuses while the register waits after so many misses.
func refuseGuess(misses int) *Refusal {
	r := refuse("too_many_misses", "%d numbers were given that nobody has.", misses)
	if misses == 1 {
		r = refuse("too_many_misses", "Another number was given that nobody has.")
	}
	return r.instead("Check the number, and try again in a while: no number is looked up until then.")
}

// guessed is the fact that records misses, where this refusal is one too many; else nil.
func (d *deciding) guessed(err error) events.Requested {
	refusal, ok := err.(*Refusal)
	if !ok || !refusal.missed {
		return nil
	}
	wait := d.oneTooMany()
	if wait == nil {
		return nil
	}
	return &events.NumbersGuessed{Staff: d.staffID(), Code: refusal.Code, Guessed: *wait}
}

// oneTooMany is how the register waits after one more miss, nil where it does not yet.
func (d *deciding) oneTooMany() *events.Guessed {
	last, misses := d.State.Guessed, d.Misses+1
	if last.WaitUntil == 0 || d.At >= last.WaitUntil+quietAfterWait {
		last.Waits = 0
	}
	if last.Waits == 0 && misses < freeMisses {
		return nil
	}
	wait := int64(longestWait)
	if last.Waits < 7 {
		wait = min(wait, firstWait<<last.Waits)
	}
	return &events.Guessed{Misses: misses, Waits: last.Waits + 1, WaitUntil: d.At + wait}
}
