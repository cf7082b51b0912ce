package events

import "fmt"

// cartFacts attach customers and cards to a transaction, and suspend and recall it.
var cartFacts = []func() Fact{
	func() Fact { return new(SaleCustomerSet) },
	func() Fact { return new(SaleCustomerCleared) },
	func() Fact { return new(LoyaltyCardAdded) },
	func() Fact { return new(AffiliationsAdded) },
	func() Fact { return new(SaleSuspended) },
	func() Fact { return new(SaleRecalled) },
	func() Fact { return new(SaleTakenOver) },
	func() Fact { return new(SaleHandedOver) },
}

// Attached holds the customer, the loyalty card and the affiliations of a transaction. It stands on
// the cart and on its document.
type Attached struct {
	Customer     *SaleCustomer `json:"customer,omitempty"`
	Loyalty      *SaleLoyalty  `json:"loyalty,omitempty"`
	Affiliations []Affiliation `json:"affiliations,omitempty"`
}

// SaleCustomer is the customer of a transaction as they were known when they were put on it.
type SaleCustomer struct {
	Customer    CustomerID `json:"number"`
	Name        string     `json:"name"`
	PriceGroups []string   `json:"price_groups,omitempty"`
	// The account, as head office last said.
	Blocked         bool       `json:"blocked,omitempty"`
	AllowsOnAccount bool       `json:"allows_on_account,omitempty"`
	InvoiceAccount  CustomerID `json:"invoice_account,omitempty"` // the account that is charged instead of the customer's own
	CreditLimit     Money      `json:"credit_limit,omitempty"`    // 0 for none
	Balance         Money      `json:"balance,omitempty"`         // owed
	AsOf            string     `json:"as_of,omitempty"`           // RFC 3339: when head office said so
}

// SaleLoyalty is the loyalty card of a transaction.
type SaleLoyalty struct {
	Card        CardNumber `json:"card"`
	Customer    CustomerID `json:"holder,omitempty"`       // the holder of the card, "" for none
	Points      int64      `json:"points_known,omitempty"` // on the card as head office last said
	PointsAsOf  string     `json:"points_as_of,omitempty"` // RFC 3339
	PriceGroups []string   `json:"price_groups,omitempty"`
}

// Affiliation is a group of people with prices of its own, such as staff or students.
type Affiliation struct {
	ID          string   `json:"affiliation"`
	Name        string   `json:"name"`
	PriceGroups []string `json:"price_groups,omitempty"`
	// Loyalty says that it came with the loyalty card.
	Loyalty bool `json:"by_card,omitempty"`
}

// SaleCustomerSet says that the transaction is for a customer (operation 602).
type SaleCustomerSet struct {
	Asked
	OfSale
	Customer SaleCustomer `json:"customer"`
}

func (*SaleCustomerSet) Type() string { return "sale.customer_set.v1" }

// SaleCustomerCleared says that the transaction is for nobody in particular again (operation 603).
type SaleCustomerCleared struct {
	Asked
	OfSale
	Customer CustomerID `json:"customer"` // the customer that was removed
}

func (*SaleCustomerCleared) Type() string { return "sale.customer_cleared.v1" }

// LoyaltyCardAdded says that a loyalty card was added to the transaction, with its holder and
// affiliations (operation 117).
type LoyaltyCardAdded struct {
	Asked
	OfSale
	Card SaleLoyalty `json:"loyalty"`
	// Customer is the holder of the card, set where the transaction had no customer before.
	Customer     *SaleCustomer `json:"customer,omitempty"`
	Affiliations []Affiliation `json:"affiliations,omitempty"` // that came with it
}

func (*LoyaltyCardAdded) Type() string { return "sale.loyalty_card_added.v1" }

// AffiliationsAdded says that the transaction is for members of these (operations 134, 135).
type AffiliationsAdded struct {
	Asked
	OfSale
	Affiliations []Affiliation `json:"affiliations"`
}

func (*AffiliationsAdded) Type() string { return "sale.affiliations_added.v1" }

// SaleSuspended says that the transaction was suspended. A suspended transaction sells nothing and
// has no receipt number (operation 503).
type SaleSuspended struct {
	Asked
	OfSale
	Terms Terms `json:"terms,omitzero"`
	// Held is the content of the transaction, so that another register of the store can continue
	// it.
	Held *HeldSale `json:"held,omitempty"`
	Printed
}

func (*SaleSuspended) Type() string { return "sale.suspended.v1" }

// SaleRecalled says that a suspended transaction continues under its own id (operation 504).
type SaleRecalled struct {
	Asked
	OfSale
	// Dropped lists the lines with a product that is no longer sold. They are voided.
	Dropped     []int  `json:"dropped,omitempty"`
	Reservation string `json:"reservation,omitempty"` // head office's grant, where the register asked for one
}

func (*SaleRecalled) Type() string { return "sale.recalled.v1" }

// HeldSale is the content of a suspended transaction.
type HeldSale struct {
	Lines    []HeldLine `json:"lines"`
	Discount Money      `json:"total_discount,omitempty"`        // either this
	Percent  Percent    `json:"total_discount_percent,omitzero"` // or this
	Attached
	TaxOverride *HeldTax   `json:"tax_override,omitempty"` // of the lines that follow
	Comment     string     `json:"comment,omitempty"`
	Order       *HeldOrder `json:"order,omitempty"`
	Approved    *Approved  `json:"approved,omitempty"` // so far, for the whole transaction
}

// HeldLine is a line of a suspended transaction.
type HeldLine struct {
	Line
	Voided bool `json:"voided,omitempty"`
}

// HeldTax is the tax override on all lines of a suspended transaction, see [TaxOverridden].
type HeldTax struct {
	Override string    `json:"override"`
	Name     string    `json:"name"`
	Taxes    []TaxRate `json:"taxes,omitempty"`
}

// HeldOrder is set where a suspended transaction is an order, see [OrderBegun] and
// [DepositOverridden], or the pick-up of an order, see [OrderRecalled].
type HeldOrder struct {
	PickedUp PickUp  `json:"picked_up,omitzero"`
	Percent  Percent `json:"percent,omitzero"`
	RoundTo  Money   `json:"round_to,omitempty"`
	Agreed   *Money  `json:"agreed,omitempty"`
	PickUpOn string  `json:"pickup_on,omitempty"`
}

// Suspension identifies one suspension of one transaction.
type Suspension struct {
	Transaction TransactionID `json:"transaction"`
	Register    string        `json:"suspended_by"` // store-register
	Head        Head          `json:"head"`         // the entry of that register's journal that suspended it
}

// Key returns the name under which head office reserves the suspension. A suspension can be
// recalled once.
func (s Suspension) Key() string { return fmt.Sprintf("%s/%d", s.Transaction, s.Head.Sequence) }

// SaleTakenOver says that this register continues a transaction that another register of the store
// suspended, under a new id (operation 504). Head office has granted it to no other register.
type SaleTakenOver struct {
	Asked
	OfSale
	From Suspension `json:"from"`
	Held HeldSale   `json:"held"` // as it was suspended
	// Dropped lists the lines with a product that is no longer sold. They are voided.
	Dropped     []int  `json:"dropped,omitempty"`
	Reservation string `json:"reservation"` // head office's grant
}

func (*SaleTakenOver) Type() string { return "sale.taken_over.v1" }

// SaleHandedOver says that another register continues a transaction that was suspended here. It can
// no longer be recalled here. Head office said so after it verified the [SaleTakenOver] of that
// register.
type SaleHandedOver struct {
	Transaction TransactionID `json:"transaction"` // as it is called here
	Suspended   uint64        `json:"suspended"`   // sequence of the entry that suspended it
	To          string        `json:"to"`          // store-register
	Into        TransactionID `json:"into"`        // as it is called there
}

func (*SaleHandedOver) Type() string    { return "sale.handed_over.v1" }
func (f *SaleHandedOver) About() string { return string(f.Transaction) }

// PointsLine is the change that a document makes to the points of a loyalty card. Head office posts
// it.
type PointsLine struct {
	Card   CardNumber `json:"card"`
	Kind   string     `json:"kind"`   // earned
	Points int64      `json:"points"` // negative where a return takes them back
	Amount Money      `json:"amount"` // that they are for
}
