package register

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/posnode/posnode/events"
	"github.com/posnode/posnode/ledger"
	"github.com/posnode/posnode/projections"
)

// finder answers a query that the reference data does not answer alone.
type finder func(ctx context.Context, r *Register, q ledger.Query) (record any, found bool, err error)

// finders are the kinds of query to which this register's own facts belong, which
// head office may not have seen yet. A kind that is not here is answered by the reference data.
var finders = map[string]finder{
	"customer":        findCustomer,
	"customer_search": searchCustomers,
	"receipt":         findReceipt,
	"order":           findOrder,
	"stock":           findStock,
	"journal":         findJournal,
	"printed":         findPrinted,
}

// find is the record that answers one query.
func (r *Register) find(ctx context.Context, q ledger.Query) (any, bool, error) {
	if q.Key == "" {
		return nil, false, nil // a parameter that was not given
	}
	if own := finders[q.Kind]; own != nil {
		if err := r.caughtUp(ctx); err != nil {
			return nil, false, err
		}
		record, found, err := own(ctx, r, q)
		if errors.Is(err, projections.ErrDamaged) {
			r.projector.noteDamage()
			err = errStalled
		}
		return record, found, err
	}
	if kind, search := strings.CutSuffix(q.Kind, "_search"); search {
		hits, err := r.reference.Search(ctx, kind, q.Key, ledger.MaxHits+1)
		return ledger.Hits(hits), len(hits) > 0, err
	}
	return r.reference.Find(ctx, q)
}

// ownWait is how long a query waits for the offline database, which follows the journal.
const ownWait = 5 * time.Second

// caughtUp waits until the offline database holds what was done a moment ago.
func (r *Register) caughtUp(ctx context.Context) error {
	waiting, cancel := context.WithTimeout(ctx, ownWait)
	defer cancel()
	if r.projector.waitFor(waiting, r.state.Head) != nil {
		return errStalled
	}
	return nil
}

// findReceipt is a document of this register with what came back of it.
func findReceipt(ctx context.Context, r *Register, q ledger.Query) (any, bool, error) {
	sold, err := r.offline.Sold(ctx, events.ReceiptNumber(q.Key))
	if err != nil || sold == nil {
		return nil, false, err
	}
	return *sold, true, nil
}

// findCustomer is a customer as head office knows them, with what was changed here since.
func findCustomer(ctx context.Context, r *Register, q ledger.Query) (any, bool, error) {
	record, known, err := r.reference.Find(ctx, q)
	if err != nil {
		return nil, false, err
	}
	c, _ := record.(ledger.Customer)
	own, err := r.offline.OwnCustomer(ctx, events.CustomerID(q.Key))
	if err != nil || own == nil {
		return c, known, err
	}
	return withOwn(c, own), true, nil
}

// withOwn is a customer with what was changed here after head office last spoke of them.
func withOwn(c ledger.Customer, own *projections.OwnCustomer) ledger.Customer {
	c.ID = own.ID
	if own.Time > sortable(c.AsOf) {
		c.CustomerDetails = own.Details
	}
	return c
}

// entryTime is how the times of entries are written.
const entryTime = "2006-01-02T15:04:05.000000000Z"

// sortable is a time as those of entries are written, so that the two compare as text.
func sortable(at string) string {
	t, err := time.Parse(time.RFC3339, at)
	if err != nil {
		return ""
	}
	return t.UTC().Format(entryTime)
}

// searchCustomers puts the customers who were changed here in the place of those of head office, and before them.
func searchCustomers(ctx context.Context, r *Register, q ledger.Query) (any, bool, error) {
	own, err := r.offline.SearchOwnCustomers(ctx, q.Key, ledger.MaxHits+1)
	if err != nil {
		return nil, false, err
	}
	hits, seen := ledger.Hits{}, map[events.CustomerID]bool{}
	for i := range own {
		// As it is found by its number: head office may have spoken since.
		c, _, err := findCustomer(ctx, r, ledger.Query{Kind: "customer", Key: string(own[i].ID)})
		if err != nil {
			return nil, false, err
		}
		hits, seen[own[i].ID] = append(hits, c), true
	}
	records, err := r.reference.Search(ctx, "customer", q.Key, ledger.MaxHits+1)
	if err != nil {
		return nil, false, err
	}
	for _, record := range records {
		c, _ := record.(ledger.Customer)
		if seen[c.ID] {
			continue
		}
		changed, _, err := findCustomer(ctx, r, ledger.Query{Kind: "customer", Key: string(c.ID)})
		if err != nil {
			return nil, false, err
		}
		hits = append(hits, changed)
	}
	return hits, len(hits) > 0, nil
}

// findOrder is an order of head office's or one that was placed here. What was picked up here is picked up.
func findOrder(ctx context.Context, r *Register, q ledger.Query) (any, bool, error) {
	record, known, err := r.reference.Find(ctx, q)
	if err != nil {
		return nil, false, err
	}
	own, err := r.offline.OwnOrder(ctx, events.OrderID(q.Key))
	if err != nil || own == nil {
		return record, known, err
	}
	o, _ := record.(ledger.Order)
	if !known && own.Placed != nil {
		o, known = *own.Placed, true
	}
	if own.Status == ledger.OrderPickedUp {
		o.Status = ledger.OrderPickedUp
	}
	return o, known, nil
}

// findStock is what head office says of a product's stock, with what was sold here since.
func findStock(ctx context.Context, r *Register, q ledger.Query) (any, bool, error) {
	record, known, err := r.reference.Find(ctx, q)
	s, _ := record.(ledger.Stock)
	if err != nil || !known || s.Store != "" {
		return s, known, err
	}
	after := events.Head{}
	for _, i := range s.Included {
		if i.Register == r.cfg.Register.ID {
			after = events.Head{Epoch: i.Epoch, Sequence: i.Sequence}
		}
	}
	s.Moved, err = r.offline.Moved(ctx, s.Product, after, sortable(s.AsOf))
	return s, true, err
}
