package projections

import (
	"context"

	"github.com/posnode/posnode/events"
)

// timeClockView holds one row for each time that someone came, went or took a break.
var timeClockView = view{
	name: "time_clock",
	keys: 1,
	schema: `
CREATE TABLE time_clock (
	at     INTEGER PRIMARY KEY,
	staff  TEXT NOT NULL,
	action TEXT NOT NULL, -- in, out, break_work or break_lunch
	time   TEXT NOT NULL  -- of the entry
);
CREATE INDEX time_clock_time ON time_clock (time)`,
	folds: []fold{
		on(func(b *batch, e *events.Entry, f *events.ClockedIn) error { return b.clock(e, f.Staff, "in") }),
		on(func(b *batch, e *events.Entry, f *events.ClockedOut) error { return b.clock(e, f.Staff, "out") }),
		on(func(b *batch, e *events.Entry, f *events.BreakBegun) error {
			return b.clock(e, f.Staff, "break_"+f.Break)
		}),
	},
}

func (b *batch) clock(e *events.Entry, staff events.StaffID, action string) error {
	return b.exec("INSERT INTO time_clock VALUES (?, ?, ?, ?)", place(e.Head), string(staff), action, e.Envelope.Time)
}

// TimeEntry is one time that someone came, went or took a break.
type TimeEntry struct {
	Staff  events.StaffID `json:"staff"`
	Action string         `json:"action"` // in, out, break_work or break_lunch
	Time   string         `json:"time"`   // RFC 3339, nanoseconds, UTC
}

func (t *TimeEntry) columns() []any { return []any{&t.Staff, &t.Action, &t.Time} }

// MaxTimeEntries is how many rows [DB.TimeEntries] gives at most.
const MaxTimeEntries = 1000

// TimeEntries lists the time clock's entries of this register, the last first: of
// one member of staff or, for "", of all, on the days in UTC from one to another,
// YYYY-MM-DD, both inclusive, "" for no bound.
func (db *DB) TimeEntries(ctx context.Context, staff events.StaffID, from, to string) ([]TimeEntry, error) {
	return list(ctx, db, "time clock", (*TimeEntry).columns, `
		SELECT staff, action, time FROM time_clock
		WHERE (?1 = '' OR staff = ?1) AND (?2 = '' OR substr(time, 1, 10) >= ?2) AND (?3 = '' OR substr(time, 1, 10) <= ?3)
		ORDER BY at DESC LIMIT ?4`, string(staff), from, to, MaxTimeEntries)
}
