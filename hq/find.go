package hq

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/posnode/posnode/events"
	"github.com/posnode/posnode/internal/build"
	"github.com/posnode/posnode/ledger"
	"github.com/posnode/posnode/projections"
)

// The Retail Server: it answers the data requests of registers, from head office's
// reference data and from what every register has done since, as far as that has arrived.

// Reference is head office's reference data, of all stores; its For gives the view of one register.
func (h *HQ) Reference() *projections.Reference { return h.reference }

// greet tells a register that head office is there and can read its database.
func (h *HQ) greet(ctx context.Context, r events.Register, _ []byte) ([]byte, error) {
	g := projections.Greeting{Time: h.cfg.Clock().UTC(), Version: build.Version()}
	if _, err := h.reference.Feed(ctx); err != nil { // what follows may be remembered
		return nil, err
	}
	record, found, err := h.reference.For(r).Find(ctx, ledger.Query{Kind: "profile", Key: string(r.ID)})
	if err == nil && found {
		g.Profile = record.(ledger.RegisterProfile).Version
	}
	if err == nil && !found {
		record, found, err = h.reference.For(r).Find(ctx, ledger.Query{Kind: "store", Key: projections.StoreKey})
	}
	if store, ok := record.(ledger.Store); ok && found {
		g.Profile = store.Profile.Version
	}
	if err != nil {
		return nil, err
	}
	return json.Marshal(g)
}

// find answers everything that one command of a register asks, and what the records
// that are found lead to, so that one question is enough.
func (h *HQ) find(ctx context.Context, r events.Register, question []byte) ([]byte, error) {
	var q projections.Question
	if err := json.Unmarshal(question, &q); err != nil {
		return nil, fmt.Errorf("read the question: %w", err)
	}
	if len(q.Queries) > projections.MaxQueries {
		return nil, fmt.Errorf("%d queries are more than %d", len(q.Queries), projections.MaxQueries)
	}
	reply := projections.Reply{Time: h.cfg.Clock().UTC(), Version: build.Version(), Results: []projections.Result{}}
	asked, size := map[ledger.Query]bool{}, 0
	for queries := q.Queries; len(queries) > 0 && size < projections.MaxReply; {
		next := queries[0]
		queries = queries[1:]
		if asked[next] {
			continue
		}
		asked[next] = true
		if len(next.Key) > projections.MaxQueryKey {
			return nil, fmt.Errorf("a key of %d bytes is longer than %d", len(next.Key), projections.MaxQueryKey)
		}
		a, err := h.lookUp(ctx, r, next)
		if err != nil {
			return nil, err
		}
		result, err := a.result(next)
		if err != nil {
			return nil, err
		}
		size += len(result.Record)
		for _, hit := range result.Hits {
			size += len(hit.Record)
		}
		reply.Results = append(reply.Results, result)
		if a.record != nil {
			queries = append(queries, ledger.Follow(a.record)...)
		}
	}
	return json.Marshal(reply)
}

// answer is what head office knows of one query.
type answer struct {
	record   any // nil for nothing
	hits     []answer
	key      string // of a hit
	notKept  bool
	edited   string
	included *events.Head
}

// result is the answer as it travels.
func (a answer) result(q ledger.Query) (out projections.Result, err error) {
	out = projections.Result{Query: q, NotKept: a.notKept, Edited: a.edited, Included: a.included}
	if a.record != nil {
		if out.Record, err = json.Marshal(a.record); err != nil {
			return out, err
		}
	}
	kind := strings.TrimSuffix(q.Kind, "_search")
	for _, hit := range a.hits {
		one, err := hit.result(ledger.Query{Kind: kind, Key: hit.key})
		if err != nil {
			return out, err
		}
		out.Hits = append(out.Hits, one)
	}
	return out, nil
}

// lookers are the kinds of query of which the registers' own facts tell something too.
// Every other kind is answered by the reference data alone.
var lookers = map[string]func(h *HQ, ctx context.Context, r events.Register, q ledger.Query) (answer, error){
	"customer":        (*HQ).lookUpCustomer,
	"giftcard":        (*HQ).lookUpBalance,
	"loyalty":         (*HQ).lookUpBalance,
	"customer_search": (*HQ).searchCustomers,
	"order":           (*HQ).lookUpOrder,
	"receipt":         (*HQ).lookUpReceipt,
	"stock":           (*HQ).lookUpStock,

	"suspended":        (*HQ).lookUpSuspended,
	"suspended_search": (*HQ).searchSuspended,
}

func (h *HQ) lookUp(ctx context.Context, r events.Register, q ledger.Query) (answer, error) {
	if own := lookers[q.Kind]; own != nil {
		return own(h, ctx, r, q)
	}
	if kind, search := strings.CutSuffix(q.Kind, "_search"); search {
		records, err := h.reference.For(r).Search(ctx, kind, q.Key, ledger.MaxHits+1)
		a := answer{}
		for _, record := range records {
			a.hits = append(a.hits, answer{record: record, key: keyOf(record)})
		}
		return h.orNotKept(ctx, a, kind, err)
	}
	return h.refer(ctx, r, q)
}

// refer is the answer of the reference data.
func (h *HQ) refer(ctx context.Context, r events.Register, q ledger.Query) (answer, error) {
	record, _, err := h.reference.For(r).Find(ctx, q)
	return h.orNotKept(ctx, answer{record: record}, q.Kind, err)
}

// orNotKept says of an answer without anything whether head office would know.
func (h *HQ) orNotKept(ctx context.Context, a answer, kind string, err error) (answer, error) {
	if err != nil || a.record != nil || len(a.hits) > 0 {
		return a, err
	}
	kept, err := h.reference.Keeps(ctx, kind)
	a.notKept = !kept
	return a, err
}

// keyOf is the key of a record that a search found.
func keyOf(record any) string {
	switch r := record.(type) {
	case ledger.Product:
		return string(r.ID)
	case ledger.Customer:
		return string(r.ID)
	case ledger.Category:
		return r.ID
	case ledger.Order:
		return string(r.ID)
	}
	return ""
}

// lookUpCustomer is a customer with what any register wrote down of them since.
func (h *HQ) lookUpCustomer(ctx context.Context, r events.Register, q ledger.Query) (answer, error) {
	a, err := h.refer(ctx, r, q)
	if err != nil {
		return a, err
	}
	c, known := a.record.(ledger.Customer)
	if known {
		if a.record, err = h.owed(ctx, r, c); err != nil {
			return a, err
		}
	}
	edit, err := h.db.customer(ctx, c.Numbers(q.Key)...)
	if err != nil || edit == nil {
		return a, err
	}
	return edit.on(a)
}

// on is an answer with what was written down at registers since head office last spoke of the customer, field by field.
func (e *customerEdit) on(a answer) (answer, error) {
	c, known := a.record.(ledger.Customer)
	if !known {
		c.ID, c.CustomerDetails, a.edited = e.id, e.details, e.at
	}
	for _, change := range e.changes {
		if !known || change.at <= sortable(c.AsOf) {
			continue
		}
		a.edited = change.at
		if err := setField(&c.CustomerDetails, change.field, change.new); err != nil {
			return a, err
		}
	}
	a.record, a.notKept = c, false
	return a, nil
}

// sortable is a time as those of entries are written, so that the two compare as text; "" before all.
func sortable(at string) string {
	t, err := time.Parse(time.RFC3339, at)
	if err != nil {
		return ""
	}
	return t.UTC().Format("2006-01-02T15:04:05.000000000Z")
}

// searchCustomers finds those whom registers wrote down as well, and before the others.
func (h *HQ) searchCustomers(ctx context.Context, r events.Register, q ledger.Query) (answer, error) {
	var a answer
	add := func(key string) error {
		if len(a.hits) > ledger.MaxHits {
			return nil
		}
		hit, err := h.lookUpCustomer(ctx, r, ledger.Query{Kind: "customer", Key: key})
		hit.key = keyOf(hit.record)
		if err == nil && !slices.ContainsFunc(a.hits, func(other answer) bool { return hit.key == other.key }) { // by two of their numbers
			a.hits = append(a.hits, hit)
		}
		return err
	}
	edited, err := h.db.searchCustomers(ctx, q.Key)
	if err != nil {
		return a, err
	}
	for _, id := range edited {
		if err := add(id); err != nil {
			return a, err
		}
	}
	records, err := h.reference.For(r).Search(ctx, "customer", q.Key, ledger.MaxHits+1)
	if err != nil {
		return a, err
	}
	for _, record := range records {
		if err := add(keyOf(record)); err != nil {
			return a, err
		}
	}
	return h.orNotKept(ctx, a, "customer", nil)
}

// lookUpOrder is an order, also one that was placed at a register, and picked up if any register says so.
func (h *HQ) lookUpOrder(ctx context.Context, r events.Register, q ledger.Query) (answer, error) {
	a, err := h.refer(ctx, r, q)
	if err != nil {
		return a, err
	}
	status, placed, err := h.db.order(ctx, q.Key)
	if err != nil || status == "" {
		return a, err
	}
	o, known := a.record.(ledger.Order)
	if !known && placed != nil {
		o, known = *placed, true
	}
	if status == ledger.OrderPickedUp {
		o.Status = ledger.OrderPickedUp
	}
	if known {
		a.record, a.notKept = o, false
	}
	return a, nil
}

// lookUpReceipt is a document of any register, with what came back of it anywhere.
func (h *HQ) lookUpReceipt(ctx context.Context, r events.Register, q ledger.Query) (answer, error) {
	sold, err := h.soldBy(ctx, r, q.Key)
	if err != nil || sold == nil {
		return answer{}, err
	}
	if err := h.db.addReturned(ctx, sold); err != nil {
		return answer{}, err
	}
	head, err := h.db.lastHead(ctx, r)
	return answer{record: *sold, included: &head}, err
}

// lookUpStock is what there is of a product in a store, less what its registers sold
// since the figure was made, as far as that has arrived.
func (h *HQ) lookUpStock(ctx context.Context, r events.Register, q ledger.Query) (answer, error) {
	a, err := h.refer(ctx, r, q)
	s, known := a.record.(ledger.Stock)
	if err != nil || !known {
		return a, err
	}
	store := r.Store
	if s.Store != "" {
		store = s.Store
	}
	has, err := seenOf(ctx, h.db.db, r)
	if err != nil {
		return a, err
	}
	s.Through = has.through
	sold, err := h.db.moved(ctx, store, s, r, has)
	s.OnHand = s.OnHand.Add(sold.Neg())
	a.record = s
	return a, err
}
