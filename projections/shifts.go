package projections

import (
	"database/sql"
	"errors"
	"fmt"

	"github.com/posnode/posnode/events"
)

// shiftsView holds one row for each shift: the business date and currency of every sum.
var shiftsView = view{
	name: "shifts",
	keys: 1,
	schema: `
CREATE TABLE shifts (
	shift    TEXT PRIMARY KEY,
	number   INTEGER NOT NULL,
	staff    TEXT NOT NULL,    -- who opened it
	date     TEXT NOT NULL,    -- business date, YYYY-MM-DD
	currency TEXT NOT NULL,    -- of every amount of the shift
	digits   INTEGER NOT NULL, -- of its minor unit
	opened   TEXT NOT NULL     -- time of the entry
) WITHOUT ROWID;
CREATE INDEX shifts_date ON shifts (date)`,
	folds: []fold{on(addShift)},
}

func addShift(b *batch, e *events.Entry, f *events.ShiftOpened) error {
	return b.exec("INSERT INTO shifts VALUES (?, ?, ?, ?, ?, ?, ?)",
		string(f.Shift), f.Number, string(f.Staff), f.BusinessDate, f.Currency, f.Digits, e.Envelope.Time)
}

// shift holds the parts of a shift that a fold needs.
type shift struct {
	id       events.ShiftID
	currency string
	digits   int
}

// find looks a shift up. A sum by shift needs a shift that was opened.
func (b *batch) find(id events.ShiftID) (shift, error) {
	if b.shift.id == id && id != "" {
		return b.shift, nil
	}
	s, err := b.statement("SELECT shift, currency, digits FROM shifts WHERE shift = ?")
	if err != nil {
		return shift{}, err
	}
	var found shift
	err = s.QueryRow(string(id)).Scan(&found.id, &found.currency, &found.digits)
	if errors.Is(err, sql.ErrNoRows) {
		return shift{}, fmt.Errorf("shift %q was never opened", id)
	}
	if err != nil {
		return shift{}, err
	}
	b.shift = found
	return found, nil
}

// findFor looks a shift up for amounts in a currency. They are summed by shift,
// and a sum of two currencies means nothing.
func (b *batch) findFor(id events.ShiftID, currency string, digits int) error {
	s, err := b.find(id)
	if err == nil && (s.currency != currency || s.digits != digits) {
		err = fmt.Errorf("amounts in %s with %d digits, but shift %s is in %s with %d", currency, digits, id, s.currency, s.digits)
	}
	return err
}
