package events

// stockFacts are about how much there is of a product.
var stockFacts = []func() Fact{
	func() Fact { return new(StockLookedUp) },
	func() Fact { return new(StockCounted) },
	func() Fact { return new(StockCountCommitted) },
	func() Fact { return new(StockCountDiscarded) },
}

// StockLookedUp is an inquiry: how much of a product there is (operation 801).
type StockLookedUp struct {
	Asked
	Product ProductID `json:"product"`
	Store   StoreID   `json:"store"`
	OnHand  Quantity  `json:"on_hand"` // as head office last said
	AsOf    string    `json:"as_of"`   // RFC 3339: when that was
	// Moved is the quantity that this register has sold less returns since.
	Moved     Quantity `json:"moved"`
	Available Quantity `json:"available"` // on hand less moved
}

func (*StockLookedUp) Type() string    { return "stock.looked_up.v1" }
func (f *StockLookedUp) About() string { return string(f.Product) }

// StockCounted says that a product was counted. It is a draft until the count is
// committed; a product that is counted again has its last quantity (operation 802).
type StockCounted struct {
	Asked
	Count   int         `json:"count"` // of this register and epoch, from 1
	Counted CountedLine `json:"counted"`
}

func (*StockCounted) Type() string    { return "stock.counted.v1" }
func (f *StockCounted) About() string { return string(f.Counted.Product) }

// CountedLine is one product of a stock count.
type CountedLine struct {
	Product     ProductID `json:"product"`
	Description string    `json:"description"`
	Quantity    Quantity  `json:"quantity"`
}

// StockCountCommitted is a finished count, whole. It is posted at head office (operation 802).
type StockCountCommitted struct {
	Asked
	Count int           `json:"count"`
	Lines []CountedLine `json:"lines"`
}

func (*StockCountCommitted) Type() string  { return "stock.count_committed.v1" }
func (*StockCountCommitted) About() string { return "stock" }

// StockCountDiscarded says that a count was given up (operation 802).
type StockCountDiscarded struct {
	Asked
	Count int `json:"count"`
}

func (*StockCountDiscarded) Type() string  { return "stock.count_discarded.v1" }
func (*StockCountDiscarded) About() string { return "stock" }
