package ledger

import (
	"slices"

	"github.com/posnode/posnode/events"
)

// Stock is how much there is of a product in a store, as head office last said.
type Stock struct {
	Product events.ProductID `json:"product"`
	Store   events.StoreID   `json:"store,omitempty"` // "" for the register's own
	OnHand  events.Quantity  `json:"on_hand"`
	AsOf    string           `json:"as_of"` // RFC 3339
	// Included and Through are which sales OnHand holds besides those up to AsOf, see [Figure].
	Included []Included     `json:"included,omitempty"`
	Through  []events.Place `json:"through,omitempty"`
	// Moved is what this register has sold less what it took back since. The register
	// fills it in; head office does not send it.
	Moved events.Quantity `json:"moved,omitzero"`
}

// Included is up to which entry of a register something knows.
type Included struct {
	Store    events.StoreID    `json:"store,omitempty"` // of the register; "" for any: the record is one store's
	Register events.RegisterID `json:"register"`
	Epoch    int               `json:"epoch"`
	Sequence uint64            `json:"sequence"`
}

// StockCount is a count that is not finished.
type StockCount struct {
	Number int                  `json:"number"`
	Lines  []events.CountedLine `json:"lines"` // each product once, in the order of counting
}

// set puts the quantity of a product in the count, in the place of an earlier one.
func (c *StockCount) set(line events.CountedLine) {
	if i := c.find(line.Product); i >= 0 {
		c.Lines[i] = line
		return
	}
	c.Lines = append(c.Lines, line)
}

func (c *StockCount) find(p events.ProductID) int {
	return slices.IndexFunc(c.Lines, func(l events.CountedLine) bool { return l.Product == p })
}

// maxCounted is how many products a count has where the store says nothing else.
const maxCounted = 1000

func stockOperations() []*Operation {
	return []*Operation{
		{ID: 801, Name: "Inventory lookup", Group: "stock", Offline: Bounded,
			Params: []Parameter{
				{Name: "product", Kind: KindText, Required: true, Max: 40, Doc: "item number"},
				{Name: "store", Kind: KindText, Max: 16, Doc: "another store; this one if absent"},
			},
			asks: func(s *State, in values) []Query {
				return []Query{{"product", in.text("product")}, {"stock", stockKey(s, in.text("product"), in.text("store"))}}
			},
			decide: lookUpStock},
		{ID: 802, Name: "Stock count", Group: "stock", Offline: Bounded, Gates: Gates{Shift: true},
			Params: []Parameter{
				{Name: "product", Kind: KindText, Max: 40, Doc: "item number of what was counted"},
				{Name: "quantity", Kind: KindQuantity, Doc: "how many units there are, 0 or more; takes the place of an earlier one"},
				{Name: "finish", Kind: KindText, Max: 10, Doc: "commit to send the count to head office, discard to give it up"},
			},
			asks: askProduct, decide: countStock},
	}
}

// stockKey is by what a stock record is found: the product alone for the own store.
func stockKey(s *State, product, store string) string {
	if store == "" || store == string(s.Register.Store) {
		return product
	}
	return store + "/" + product
}

// lookUpStock says how much there is of a product (operation 801).
func lookUpStock(d *deciding) (events.Requested, error) {
	product, store := d.in.text("product"), d.in.text("store")
	if _, known := find[Product](d.Reference, "product", product); !known {
		return nil, refuse("unknown_product", "There is no product %s.", product).instead("Search for it, or key another number.")
	}
	key, offline := stockKey(d.State, product, store), d.Mode != events.Online
	if key != product && offline {
		return nil, needsHQ("the stock of another store").instead("Look up this store's, or try again when the register is online.")
	}
	s, known := find[Stock](d.Reference, "stock", key)
	if !known && offline {
		return nil, needsHQ("a product whose stock was never sent here").instead("Try again when the register is online.")
	}
	if !known {
		return nil, refuse("unknown_stock", "There is no figure for the stock of %s.", product)
	}
	f := &events.StockLookedUp{Product: s.Product, Store: d.Register.Store, OnHand: s.OnHand, AsOf: s.AsOf, Moved: s.Moved, Available: s.OnHand.Add(s.Moved.Neg())}
	if key != product {
		f.Store = events.StoreID(store)
	}
	return f, nil
}

// countStock writes down what was counted, or finishes the count (operation 802).
func countStock(d *deciding) (events.Requested, error) {
	finish := d.in.text("finish")
	switch {
	case (finish == "") == (d.in.text("product") == ""):
		return nil, refuseParameter("product", "give either a product that was counted, or finish")
	case finish == "":
		return d.countProduct()
	case finish != "commit" && finish != "discard":
		return nil, refuseParameter("finish", "must be commit or discard")
	case d.Count == nil:
		return nil, refuse("no_count", "Nothing was counted.")
	case finish == "discard":
		return &events.StockCountDiscarded{Count: d.Count.Number}, nil
	}
	return &events.StockCountCommitted{Count: d.Count.Number, Lines: d.Count.Lines}, nil
}

func (d *deciding) countProduct() (events.Requested, error) {
	limit := d.Reference.Store.MaxCounted
	if limit == 0 {
		limit = maxCounted
	}
	id := d.in.text("product")
	p, known := find[Product](d.Reference, "product", id)
	if !known {
		return nil, refuse("unknown_product", "There is no product %s.", id).instead("Search for it, or key another number.")
	}
	q := d.in.quantity("quantity")
	count := d.Count
	if count == nil {
		count = &StockCount{Number: d.Counts + 1}
	}
	switch {
	case !d.in.has("quantity"):
		return nil, refuseParameter("quantity", "is missing")
	case q.Sign() < 0:
		return nil, refuseParameter("quantity", "must not be negative")
	case q.Decimals() > p.QuantityDecimals:
		return nil, refuseParameter("quantity", "%s has more decimals than the product's unit (%d)", q, p.QuantityDecimals)
	case count.find(p.ID) < 0 && len(count.Lines) >= limit:
		return nil, refuse("count_full", "A count can have %d products.", limit).instead("Commit this one, and begin another.")
	}
	return &events.StockCounted{Count: count.Number, Counted: events.CountedLine{Product: p.ID, Description: p.Description, Quantity: q}}, nil
}

// applyStock folds the facts of a stock count.
func (s *State) applyStock(fact events.Fact) {
	switch f := fact.(type) {
	case *events.StockCounted:
		if s.Count == nil {
			s.Count, s.Counts = &StockCount{Number: f.Count}, f.Count
		}
		s.Count.set(f.Counted)
	case *events.StockCountCommitted, *events.StockCountDiscarded:
		s.Count = nil
	}
}

// Figure is what OnHand holds.
func (s Stock) Figure() Figure { return Figure{s.AsOf, s.Included, s.Through} }
