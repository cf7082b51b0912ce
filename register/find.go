package register

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/posnode/posnode/events"
	"github.com/posnode/posnode/ledger"
	"github.com/posnode/posnode/projections"
)

// finder answers a query that the source does not answer alone.
type finder func(ctx context.Context, r *Register, from source, q ledger.Query) (record any, found bool, err error)

// finders are the kinds of query to which this register's own facts belong, which
// head office may not have seen yet. A kind that is not here is answered by the source.
var finders = map[string]finder{
	"customer":        findCustomer,
	"customer_search": searchCustomers,
	"receipt":         findReceipt,
	"order":           findOrder,
	"stock":           findStock,
	"journal":         findJournal,
	"printed":         findPrinted,
	// What waits here is in the state; a suspended transaction itself is asked for only where it waits elsewhere.
	"suspended_search": searchSuspended,
}

// ownKinds are answered by this register alone: what it did and what it printed itself.
var ownKinds = map[string]bool{"journal": true, "printed": true}

// find is what answers queries, and what the records that were found lead to.
func (r *Register) find(ctx context.Context, from source, queries []ledger.Query) (map[ledger.Query]any, error) {
	found, asked := make(map[ledger.Query]any, len(queries)), map[ledger.Query]bool{}
	for len(queries) > 0 {
		var round []ledger.Query
		for _, q := range queries {
			// No key is a parameter that was not given.
			if !asked[q] && q.Key != "" {
				asked[q] = true
				round = append(round, q)
			}
		}
		// All of a round at once: a question costs a round trip.
		ask := slices.DeleteFunc(slices.Clone(round), func(q ledger.Query) bool { return ownKinds[q.Kind] })
		if _, err := from.look(ctx, ask...); err != nil {
			return nil, err
		}
		queries = queries[:0:0]
		for _, q := range round {
			record, ok, err := r.findOne(ctx, from, q)
			if err != nil {
				return nil, err
			}
			if ok {
				found[q] = record
				queries = append(queries, ledger.Follow(record)...)
			}
		}
	}
	return found, nil
}

// findOne is the record that answers one query.
func (r *Register) findOne(ctx context.Context, from source, q ledger.Query) (any, bool, error) {
	own := finders[q.Kind]
	if own == nil {
		known, err := from.look(ctx, q)
		record := known[q].record
		return record, record != nil, err
	}
	if err := r.caughtUp(ctx); err != nil {
		return nil, false, err
	}
	record, found, err := own(ctx, r, from, q)
	if errors.Is(err, projections.ErrDamaged) {
		r.projector.noteDamage()
		err = errStalled
	}
	return record, found, err
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

// findReceipt is a document with what came back of it: of this register, or online of any.
func findReceipt(ctx context.Context, r *Register, from source, q ledger.Query) (any, bool, error) {
	known, err := from.look(ctx, q)
	if err != nil {
		return nil, false, err
	}
	own, err := r.offline.Sold(ctx, events.ReceiptNumber(q.Key))
	if err != nil {
		return nil, false, err
	}
	sold, there := known[q].record.(ledger.Sold)
	if own != nil && (!there || sold.Transaction != own.Transaction) {
		return *own, true, nil
	}
	if !there {
		return nil, false, nil
	}
	// What came back here after what head office has seen comes on top.
	sold.Lines = slices.Clone(sold.Lines)
	return sold, true, r.offline.AddReturned(ctx, &sold, known[q].included)
}

// findCustomer is a customer as the source knows them, with what was changed here since.
func findCustomer(ctx context.Context, r *Register, from source, q ledger.Query) (any, bool, error) {
	known, err := from.look(ctx, q)
	if err != nil {
		return nil, false, err
	}
	c, there := known[q].record.(ledger.Customer)
	own, err := r.offline.OwnCustomer(ctx, c.Numbers(q.Key)...)
	if err != nil || own == nil {
		return c, there, err
	}
	if !there {
		c.ID = own.ID
	}
	if own.Time > max(sortable(c.AsOf), known[q].edited) {
		c.CustomerDetails = own.Details
	}
	return c, true, nil
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

// searchCustomers puts the customers who were changed here in the place of those of the source, and before them.
func searchCustomers(ctx context.Context, r *Register, from source, q ledger.Query) (any, bool, error) {
	known, err := from.look(ctx, q)
	if err != nil {
		return nil, false, err
	}
	own, err := r.offline.SearchOwnCustomers(ctx, q.Key, ledger.MaxHits+1)
	if err != nil {
		return nil, false, err
	}
	var all []ledger.Query
	for i := range own {
		all = append(all, ledger.Query{Kind: "customer", Key: string(own[i].ID)})
	}
	others, _ := known[q].record.(ledger.Hits)
	for _, record := range others {
		c, _ := record.(ledger.Customer)
		if one := (ledger.Query{Kind: "customer", Key: string(c.ID)}); !slices.Contains(all, one) {
			all = append(all, one)
		}
	}
	if _, err := from.look(ctx, all...); err != nil {
		return nil, false, err
	}
	hits := ledger.Hits{}
	for _, one := range all {
		// As they are found by their number: there may be something newer on either side.
		found, _, err := findCustomer(ctx, r, from, one)
		if err != nil {
			return nil, false, err
		}
		c := found.(ledger.Customer)
		if !slices.ContainsFunc(hits, func(hit any) bool { return hit.(ledger.Customer).ID == c.ID }) { // by two of their numbers
			hits = append(hits, c)
		}
	}
	return hits, len(hits) > 0, nil
}

// searchSuspended puts the transactions that wait here before those that wait at other registers of the store.
func searchSuspended(ctx context.Context, r *Register, from source, q ledger.Query) (any, bool, error) {
	known, err := from.look(ctx, q)
	if err != nil {
		return nil, false, err
	}
	hits := ledger.Hits{}
	for _, one := range r.state.OnHold(q.Key) {
		hits = append(hits, one)
	}
	others, _ := known[q].record.(ledger.Hits)
	for _, record := range others {
		one, ok := record.(ledger.Suspended)
		// Of this epoch the register knows better; what waited in an earlier one is head office's to know.
		if own := one.From.Register == r.cfg.Register.String() && one.From.Head.Epoch == r.state.Head.Epoch; ok && !own {
			hits = append(hits, one)
		}
	}
	return hits, len(hits) > 0, nil
}

// findOrder is an order of the source's or one that was placed here. What was picked up or cancelled here is so.
func findOrder(ctx context.Context, r *Register, from source, q ledger.Query) (any, bool, error) {
	known, err := from.look(ctx, q)
	if err != nil {
		return nil, false, err
	}
	o, there := known[q].record.(ledger.Order)
	own, err := r.offline.OwnOrder(ctx, events.OrderID(q.Key))
	if err != nil || own == nil {
		return o, there, err
	}
	if !there && own.Placed != nil {
		o, there = *own.Placed, true
	}
	if own.Status != ledger.OrderOpen {
		o.Status = own.Status
	}
	return o, there, nil
}

// findStock is what the source says of a product's stock, with what was sold here since.
func findStock(ctx context.Context, r *Register, from source, q ledger.Query) (any, bool, error) {
	known, err := from.look(ctx, q)
	s, there := known[q].record.(ledger.Stock)
	if err != nil || !there || s.Store != "" {
		return s, there, err
	}
	f := s.Figure()
	s.Moved, err = r.offline.Moved(ctx, s.Product, f.Named(r.cfg.Register), sortable(f.AsOf), f.Through)
	return s, true, err
}
