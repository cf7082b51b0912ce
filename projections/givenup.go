package projections

import (
	"context"

	"github.com/posnode/posnode/events"
	"github.com/posnode/posnode/ledger"
)

// givenUpView holds the commands with a card payment that was given up while the terminal did not
// answer. No entry carries their key as its own: the request had none, and the operation that gave
// it up has another.
var givenUpView = view{
	name: "given_up",
	keys: 1,
	schema: `
CREATE TABLE given_up (
	command TEXT PRIMARY KEY, -- idempotency key of what was given up
	at      INTEGER NOT NULL, -- of the entry that gave it up
	input   TEXT NOT NULL     -- of what was given up
) WITHOUT ROWID`,
	folds: []fold{on(func(b *batch, e *events.Entry, f *events.CardAbandoned) error {
		return b.exec("INSERT INTO given_up VALUES (?, ?, ?)", string(f.Command), place(e.Head), f.CommandInput)
	})},
}

// givenUp is a row of the view.
type givenUp struct {
	at    int64
	input string
}

func (g *givenUp) columns() []any { return []any{&g.at, &g.input} }

// givenUp is the command with that key, if it was given up; nil for any other.
func (db *DB) givenUp(ctx context.Context, key events.CommandKey) (*ledger.Done, error) {
	row, err := one(ctx, db, "given up commands", (*givenUp).columns, "SELECT at, input FROM given_up WHERE command = ?", string(key))
	if err != nil || row == nil {
		return nil, err
	}
	return &ledger.Done{Key: key, Sequence: uint64(row.at & maxSequence), Input: row.input, GivenUp: true}, nil
}
