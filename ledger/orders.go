package ledger

import (
	"cmp"
	"slices"

	"github.com/posnode/posnode/events"
)

// Order is a customer order, as head office knows it or as it was placed here.
type Order struct {
	ID           events.OrderID    `json:"order"`
	Store        events.StoreID    `json:"store"`  // where it is picked up
	Status       string            `json:"status"` // open, picked_up or cancelled
	Customer     events.CustomerID `json:"customer"`
	CustomerName string            `json:"customer_name"`
	Currency     string            `json:"currency"`
	TaxIncluded  bool              `json:"tax_included"`
	Lines        []events.Line     `json:"lines"`
	Discount     events.Money      `json:"total_discount,omitempty"`
	Deposit      events.Money      `json:"deposit"` // that was paid
	PickUpOn     string            `json:"pickup_on,omitempty"`
	AsOf         string            `json:"as_of,omitempty"` // RFC 3339: when head office said all this
}

// How an order can stand.
const (
	OrderOpen      = "open"
	OrderPickedUp  = "picked_up"
	OrderCancelled = "cancelled"
)

func (o Order) leads() []Query { return []Query{{"customer", string(o.Customer)}} }

// OrderSettings are how a store takes orders.
type OrderSettings struct {
	DepositPercent events.Percent `json:"deposit_percent,omitzero"` // of the total
	RoundTo        events.Money   `json:"round_to,omitempty"`       // to which the deposit is rounded, in minor units
}

// CartOrder is what makes a transaction a customer order, or the pick-up of one.
type CartOrder struct {
	// PickedUp is the order that is picked up, with its deposit; zero for an order that is being made.
	PickedUp events.PickUp `json:"picked_up,omitzero"`

	Percent  events.Percent `json:"percent,omitzero"`
	RoundTo  events.Money   `json:"round_to,omitempty"`
	Agreed   *events.Money  `json:"agreed,omitempty"` // the deposit instead of the percentage
	PickUpOn string         `json:"pickup_on,omitempty"`
}

// pickUp says whether the transaction picks an order up. What was ordered stands.
func (t *Transaction) pickUp() bool { return t.Order != nil && t.Order.PickedUp.Order != "" }

// deposit is what an order of that total asks for now.
func (o *CartOrder) deposit(total events.Money) events.Money {
	if o.Agreed != nil {
		return min(*o.Agreed, total)
	}
	return min(o.Percent.Of(total).RoundTo(o.RoundTo), total)
}

// elsewhere is the part of the total that is not paid in this transaction.
func (t *Transaction) elsewhere(total events.Money) events.Money {
	switch {
	case t.Order == nil:
		return 0
	case t.pickUp():
		return t.Order.PickedUp.Deposit
	}
	return total - t.Order.deposit(total)
}

func orderOperations() []*Operation {
	return []*Operation{
		{ID: 620, Name: "Create customer order", Group: "orders", Offline: Bounded, Gates: Gates{Shift: true, Cart: NeedCart},
			Params: []Parameter{{Name: "pickup_on", Kind: KindText, Max: 10, Doc: "the day of the pick-up, YYYY-MM-DD"}}, decide: beginOrder},
		{ID: 132, Name: "Deposit override", Group: "orders", Offline: Local, Gates: Gates{Shift: true, Cart: NeedCart},
			Params: []Parameter{{Name: "amount", Kind: KindAmount, Doc: "the deposit in minor units; the store's again if absent"}}, decide: overrideDeposit},
		{ID: 515, Name: "Recall order", Group: "orders", Offline: Bounded, begins: true, Gates: Gates{Shift: true, Cart: NoCart},
			Params: []Parameter{
				{Name: "order", Kind: KindText, Required: true, Max: 60, Doc: "number of the order"},
				{Name: "action", Kind: KindText, Max: 10, Doc: "pickup or cancel, which gives the deposit back; pickup if absent"},
			},
			asks: func(_ *State, in values) []Query { return []Query{{"order", in.text("order")}} }, decide: recallOrder},
	}
}

// beginOrder turns the transaction into a customer order (operation 620).
func beginOrder(d *deciding) (events.Requested, error) {
	t, settings, day := d.Transaction, d.Reference.Store.Orders, d.in.text("pickup_on")
	switch {
	case t.Order != nil:
		return nil, refuse("order_begun", "The transaction is an order already.")
	case t.Customer == nil:
		return nil, refuse("order_needs_customer", "An order is for a customer.").instead("Set the customer first.")
	case t.hasPayments():
		return nil, refuse("payments_taken", "The transaction has payments.").instead("Void them first.")
	case t.Totals.Lines == 0 || slices.ContainsFunc(t.Lines, func(l *Line) bool { return !l.Voided && !l.ordered() }):
		return nil, notOrdered()
	case day != "" && (!IsDate(day) || day < d.Date):
		return nil, refuseParameter("pickup_on", "must be a day from %s on, YYYY-MM-DD", d.Date)
	}
	order := &CartOrder{Percent: settings.DepositPercent, RoundTo: settings.RoundTo, PickUpOn: day}
	of, err := d.asOrder(order)
	return &events.OrderBegun{
		OfSale: of, Percent: order.Percent, RoundTo: order.RoundTo, Deposit: order.deposit(of.After.Total), PickUpOn: day,
	}, err
}

// ordered says whether a line can be part of an order: a product that is sold.
func (l *Line) ordered() bool { return l.Quantity.Sign() > 0 && l.GiftCard == nil }

func notOrdered() *Refusal {
	return refuse("order_needs_products", "An order is for products, and returns none.").instead("Do the rest in a transaction of its own.")
}

// asOrder is how the transaction stands as that order.
func (d *deciding) asOrder(order *CartOrder) (events.OfSale, error) {
	t := *d.Transaction
	t.Order = order
	return d.ofSale(&t, nil, t.totalsOf(t.Sums, t.Discount, t.all()))
}

// overrideDeposit replaces the deposit that the store asks for (operation 132).
func overrideDeposit(d *deciding) (events.Requested, error) {
	t := d.Transaction
	amount, given := d.in.amount("amount"), d.in.has("amount")
	switch {
	case t.Order == nil:
		return nil, refuse("not_an_order", "The transaction is not an order.").instead("Make it one first.")
	case t.pickUp():
		return nil, orderFixed(t)
	case amount < 0:
		return nil, refuseParameter("amount", "must not be negative")
	case amount > t.Totals.Total:
		return nil, refuse("deposit_too_large", "The order comes to %s.", t.Totals.Total.Decimal(t.Terms.Digits))
	}
	order := *t.Order
	order.Agreed = nil
	if given {
		order.Agreed = &amount
	}
	of, err := d.asOrder(&order)
	return &events.DepositOverridden{
		OfSale: of, Before: t.Order.deposit(t.Totals.Total), Deposit: order.deposit(of.After.Total), Cleared: !given,
	}, err
}

// orderFixed refuses what would change an order that is being picked up.
func orderFixed(t *Transaction) *Refusal {
	what := "picked up as it was ordered"
	if t.Order.PickedUp.Cancelled {
		what = "cancelled"
	}
	return refuse("order_fixed", "Order %s is being %s.", t.Order.PickedUp.Order, what).
		instead("Do it in a transaction of its own.")
}

// orderStands says whether the fact that was decided leaves an order as it may be. It
// looks at what the fact would change, so that it holds for every operation, whatever it is called.
func (d *deciding) orderStands(fact events.Requested) error {
	t := d.Transaction
	if t == nil || t.Order == nil {
		return nil
	}
	switch f := fact.(type) {
	case *events.SaleConcluded, *events.OrderPlaced, *events.SaleVoided:
		return nil
	case *events.LineAdded:
		if line := (Line{Line: f.Line}); !line.ordered() && !t.pickUp() {
			return notOrdered()
		}
	case *events.LineRestored:
		if !t.line(f.Line).ordered() {
			return notOrdered()
		}
	case *events.LineTurned:
		if f.Quantity.Sign() < 0 && !t.pickUp() {
			return notOrdered()
		}
	}
	f, ok := fact.(events.OfTransaction)
	if !ok || !t.pickUp() {
		return nil
	}
	before, after := t.Totals, f.Sale().After
	before.Paid, before.Due, after.Paid, after.Due = 0, 0, 0, 0
	if before != after {
		return orderFixed(t)
	}
	return nil
}

// recallOrder puts an order on a transaction, to be picked up or cancelled (operation 515).
func recallOrder(d *deciding) (events.Requested, error) {
	id, action := d.in.text("order"), cmp.Or(d.in.text("action"), "pickup")
	if action != "pickup" && action != "cancel" {
		return nil, refuseParameter("action", "must be pickup or cancel")
	}
	o, known := find[Order](d.Reference, "order", id)
	offline, store := d.Mode != events.Online, d.Reference.Store
	switch {
	case !known && offline:
		return nil, needsHQ("an order that is not among the open ones of this store").instead("Try again when the register is online.").miss()
	case !known:
		return nil, refuse("unknown_order", "There is no order %s.", id).miss()
	case o.Store != d.Register.Store && offline:
		return nil, needsHQ("an order of another store").instead("Pick it up at store " + string(o.Store) + ", or try again when the register is online.")
	case o.Status == OrderPickedUp:
		return nil, refuse("order_picked_up", "Order %s was picked up already.", o.ID)
	case o.Status != OrderOpen:
		return nil, refuse("order_closed", "Order %s is %s.", o.ID, o.Status)
	case o.Currency != store.Currency:
		return nil, refuse("order_currency_differs", "Order %s is in %s, and this store sells in %s.", o.ID, o.Currency, store.Currency)
	case slices.ContainsFunc(d.Suspended, func(t *Transaction) bool { return t.pickUp() && t.Order.PickedUp.Order == o.ID }):
		return nil, refuse("order_suspended", "Order %s is on a suspended transaction.", o.ID).instead("Recall that transaction.")
	}
	if action == "cancel" {
		if err := d.depositAllowed(o); err != nil {
			return nil, err
		}
		o.Lines, o.Discount = nil, 0
	}
	t, begins := d.cart()
	begins.TaxIncluded, t.Terms.TaxIncluded = o.TaxIncluded, o.TaxIncluded
	f := &events.OrderRecalled{PickUp: events.PickUp{Order: o.ID, Deposit: o.Deposit, Cancelled: action == "cancel"}, Discount: o.Discount, AsOf: o.AsOf, Lines: []events.Line{}}
	f.Customer = &events.SaleCustomer{Customer: o.Customer, Name: o.CustomerName}
	if c, known := find[Customer](d.Reference, "customer", string(o.Customer)); known {
		f.Customer = c.onCart()
	}
	t.Order = &CartOrder{PickedUp: f.PickUp}
	for i, line := range o.Lines {
		line.Number = i + 1
		f.Lines = append(f.Lines, line)
		t.replaceLine(&Line{Line: line})
	}
	var err error
	f.OfSale, err = d.ofSale(t, begins, t.totalsOf(t.Sums, Discount{Amount: o.Discount}, t.all()))
	return f, err
}

// depositAllowed says whether the employee may give back the deposit of an order: as much as they may return.
func (d *deciding) depositAllowed(o Order) error {
	limit := d.rights.TotalReturnAmount
	switch {
	case d.rights.Manager || o.Deposit == 0:
		return nil
	case limit == 0:
		return deny("%s may not give back deposits.", d.State.Staff.ID)
	case o.Deposit > limit:
		return refuse("total_return_too_large", "%s may give back at most %s on a transaction.", d.State.Staff.ID, limit.Decimal(d.Reference.Store.Digits)).
			instead("Ask a manager to approve it.")
	}
	return nil
}

// concludeOrder is the document of an order, made of that of a sale: nothing is
// sold yet, and what was paid is kept as a deposit.
func (d *deciding) concludeOrder(f *events.SaleConcluded) *events.OrderPlaced {
	n := d.Orders + 1
	placed := &events.OrderPlaced{SaleConcluded: *f, Placed: events.Placement{
		Order: events.OrderID(provisional("O", d.State, n)), Number: n,
		Deposit: f.After.Total - f.After.Elsewhere, PickUpOn: d.Transaction.Order.PickUpOn,
	}}
	placed.Sales, placed.Returns, placed.Points = 0, 0, nil
	placed.Postings = postings(&events.SaleConcluded{Terms: f.Terms, Payments: f.Payments})
	if placed.Placed.Deposit != 0 {
		placed.Postings = append(placed.Postings, events.Posting{Account: "deposits", Amount: -placed.Placed.Deposit})
	}
	slices.SortFunc(placed.Postings, func(a, b events.Posting) int { return cmp.Compare(a.Account, b.Account) })
	return placed
}

// OrderOf is the order that a document placed, as it can be picked up.
func OrderOf(store events.StoreID, f *events.OrderPlaced) Order {
	o := Order{
		ID: f.Placed.Order, Store: store, Status: OrderOpen, Customer: f.Customer.Customer, CustomerName: f.Customer.Name,
		Currency: f.Terms.Currency, TaxIncluded: f.Terms.TaxIncluded, Discount: f.After.Discount, Deposit: f.Placed.Deposit, PickUpOn: f.Placed.PickUpOn,
	}
	for _, line := range f.Lines {
		if !line.Voided {
			line.Linked = nil // the lines get other numbers, and stand as they were ordered
			o.Lines = append(o.Lines, line.Line)
		}
	}
	return o
}
