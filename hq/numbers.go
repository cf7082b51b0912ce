package hq

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/posnode/posnode/embedded"
	"github.com/posnode/posnode/events"
	"github.com/posnode/posnode/ledger"
	"github.com/posnode/posnode/projections"
)

// A register writes a customer down under a provisional number. Head office gives them a lasting one and sends both
// down as reference data, so that every register knows them, by either number, whether or not it can ask.

// mapCustomer gives a customer who was written down under a provisional number a lasting one.
func (h *HQ) mapCustomer(ctx context.Context, provisional events.CustomerID) error {
	_, err := h.record(ctx, func(ctx context.Context, tx *sql.Tx, _ events.Head) (events.Fact, error) {
		var already, count int
		err := tx.QueryRowContext(ctx, `SELECT count(*), coalesce(sum(provisional = ?), 0) FROM mapped`, string(provisional)).Scan(&count, &already)
		if err != nil || already > 0 {
			return nil, err
		}
		return &events.CustomerMapped{Provisional: provisional, Customer: events.CustomerID(fmt.Sprintf("HQ-%06d", count+1))}, nil
	})
	h.moreSettled() // the number is to be sent
	return err
}

// lasting is the lasting number of a customer, whichever is given.
func (d *database) lasting(ctx context.Context, customer string) (lasting string, err error) {
	err = d.db.QueryRowContext(ctx, `SELECT customer FROM mapped WHERE provisional = ?`, customer).Scan(&lasting)
	if errors.Is(err, sql.ErrNoRows) {
		return customer, nil
	}
	return lasting, err
}

// sendNumbers publishes lasting numbers, and with each the customer as they were written down. Where head office
// was never given reference data it sends none: registers that go by their own are not to lose it for a few customers.
func (h *HQ) sendNumbers(ctx context.Context, provisional []string) error {
	if feed, err := h.reference.Feed(ctx); err != nil || feed.Stream == "" {
		return err
	}
	var lines bytes.Buffer
	for _, p := range provisional {
		if err := h.numberLines(ctx, p, json.NewEncoder(&lines)); err != nil {
			return fmt.Errorf("send the number of %s: %w", p, err)
		}
	}
	if lines.Len() == 0 {
		return nil
	}
	// If we died in here, the next start looks at all of them again; what was sent is the same.
	report, err := h.Import(ctx, &lines, ImportOptions{})
	if !errors.Is(err, projections.ErrNotImported) {
		return err
	}
	if len(provisional) == 1 {
		h.cfg.Logger.Warn("a customer cannot be sent to registers", "provisional", provisional[0], "problems", report.Problems)
		return nil
	}
	for _, p := range provisional { // so that one that makes no sense holds up no other
		if err := h.sendNumbers(ctx, []string{p}); err != nil {
			return err
		}
	}
	return nil
}

// numberLines writes the lines of reference data that say a customer's lasting number. Who has imported another knows better.
func (h *HQ) numberLines(ctx context.Context, provisional string, to *json.Encoder) error {
	reference := h.reference.For(embedded.HeadOffice)
	if _, sent, err := reference.Find(ctx, ledger.Query{Kind: "customer_number", Key: provisional}); err != nil || sent {
		return err
	}
	lasting, err := h.db.lasting(ctx, provisional)
	if err != nil {
		return err
	}
	added, err := h.db.customer(ctx, events.CustomerID(provisional))
	if err != nil || added == nil {
		return err
	}
	asOf := ""
	if at, err := time.Parse(time.RFC3339, added.at); err == nil {
		asOf = at.UTC().Format(time.RFC3339Nano)
	}
	number := ledger.CustomerNumber{Provisional: events.CustomerID(provisional), Customer: events.CustomerID(lasting)}
	// What was written down up to now is in it; later edits by any register count on top.
	customer := ledger.Customer{ID: number.Customer, Provisional: number.Provisional, CustomerDetails: added.details, AsOf: asOf}
	for _, line := range []struct {
		kind, key string
		record    any
	}{{"customer", lasting, customer}, {"customer_number", provisional, number}} {
		record, err := json.Marshal(line.record)
		if err != nil {
			return err
		}
		if err := to.Encode(projections.Line{Kind: line.kind, Key: line.key, Record: record}); err != nil {
			return err
		}
	}
	return nil
}
