package register

import (
	"context"
	"encoding/json"
	"time"

	"github.com/posnode/posnode/events"
	"github.com/posnode/posnode/ledger"
)

// findJournal is the list that operation 115 shows.
func findJournal(ctx context.Context, r *Register, _ source, q ledger.Query) (any, bool, error) {
	var f events.JournalFilter
	if err := json.Unmarshal([]byte(q.Key), &f); err != nil {
		return nil, false, err
	}
	searching, cancel := context.WithTimeout(ctx, searchTime)
	defer cancel()
	shown, err := r.offline.Shown(searching, f)
	if err != nil && searching.Err() != nil {
		return nil, false, &ledger.Refusal{Code: "search_too_wide", Why: "There is too much to look through.", Instead: "Narrow it down by date."}
	}
	return shown, true, err
}

// searchTime is how long a list may take: nothing is sold meanwhile.
const searchTime = 2 * time.Second

// findPrinted is a document that was printed at this register.
func findPrinted(ctx context.Context, r *Register, _ source, q ledger.Query) (any, bool, error) {
	doc, err := r.offline.Printed(ctx, events.ReceiptNumber(q.Key))
	if err != nil || doc == nil {
		return nil, false, err
	}
	return *doc, true, nil
}
