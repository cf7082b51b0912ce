package events

// orderFacts are about customer orders: products that are paid in part, and picked up later.
var orderFacts = []func() Fact{
	func() Fact { return new(OrderBegun) },
	func() Fact { return new(DepositOverridden) },
	func() Fact { return new(OrderPlaced) },
	func() Fact { return new(OrderRecalled) },
}

// OrderID is the retailer's order number, or a provisional one, O-<store>-<register>-<epoch>-<n>,
// while head office has not answered.
type OrderID string

// OrderBegun says that the transaction becomes a customer order: the deposit is due now, and the
// rest at the pick-up (operation 620).
type OrderBegun struct {
	Asked
	OfSale
	Percent  Percent `json:"percent,omitzero"`    // of the total, the deposit that the store asks for
	RoundTo  Money   `json:"round_to,omitempty"`  // to which the deposit is rounded
	Deposit  Money   `json:"deposit,omitempty"`   // as the transaction stands
	PickUpOn string  `json:"pickup_on,omitempty"` // YYYY-MM-DD
}

func (*OrderBegun) Type() string { return "order.begun.v1" }

// DepositOverridden says that a deposit was agreed on instead of the one that the
// store asks for, or that it is the store's again (operation 132).
type DepositOverridden struct {
	Asked
	OfSale
	Before  Money `json:"before"`
	Deposit Money `json:"deposit"`
	Cleared bool  `json:"cleared,omitempty"` // it is the store's again
}

func (*DepositOverridden) Type() string { return "order.deposit_overridden.v1" }

// OrderPlaced is the finished document of a customer order. It is like that of a sale, but nothing
// is sold yet: Sales and Returns are 0, and the payments are posted to the account deposits.
type OrderPlaced struct {
	SaleConcluded
	Placed Placement `json:"placed"`
}

func (*OrderPlaced) Type() string { return "order.placed.v1" }

// Placement is the number of an order and its agreed terms.
type Placement struct {
	Order    OrderID `json:"order"`
	Number   int     `json:"number"` // of the provisional number, of this register and epoch, from 1
	Deposit  Money   `json:"deposit"`
	PickUpOn string  `json:"pickup_on,omitempty"` // YYYY-MM-DD
}

// OrderRecalled says that an order is being picked up: its lines are on a
// transaction of their own, and the deposit is paid already; or that it is being
// cancelled: the transaction gives the deposit back and has no lines (operation 515).
type OrderRecalled struct {
	Asked
	OfSale
	PickUp   PickUp        `json:"picked_up"`
	Customer *SaleCustomer `json:"customer,omitempty"`
	Lines    []Line        `json:"lines"`
	Discount Money         `json:"total_discount,omitempty"` // on the whole order
	AsOf     string        `json:"as_of,omitempty"`          // RFC 3339: when head office last spoke of the order
}

func (*OrderRecalled) Type() string { return "order.recalled.v1" }

// PickUp is the order that a transaction picks up or cancels, with the earlier payments for it.
type PickUp struct {
	Order   OrderID `json:"order"`
	Deposit Money   `json:"deposit"`
	// Cancelled says that nothing is picked up: the deposit is given back, and the order ends.
	Cancelled   bool   `json:"cancelled,omitempty"`
	Reservation string `json:"reservation,omitempty"` // head office's grant, where the register asked for one
}
