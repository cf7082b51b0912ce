package main

import (
	"context"

	"github.com/posnode/posnode/events"
	"github.com/posnode/posnode/ledger"
)

// journalSource lets an auditor read a running register's journal.
type journalSource struct{ ledger.Log }

// Read yields every entry, in the form of a [replay.Source].
func (s journalSource) Read(ctx context.Context, yield func(epoch int, m events.Message) error) error {
	return s.Log.Read(ctx, 1, func(m events.Message) error { return yield(0, m) })
}
