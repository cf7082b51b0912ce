package events

import "fmt"

// cartFacts are about whom a transaction is for, and where it is put meanwhile.
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

// Attached is whom a transaction is for. It stands on the cart and on its document.
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
	InvoiceAccount  CustomerID `json:"invoice_account,omitempty"` // whose account is charged, if not their own
	CreditLimit     Money      `json:"credit_limit,omitempty"`    // 0 for none
	Balance         Money      `json:"balance,omitempty"`         // owed
	AsOf            string     `json:"as_of,omitempty"`           // RFC 3339: when head office said so
}

// SaleLoyalty is the loyalty card of a transaction.
type SaleLoyalty struct {
	Card        CardNumber `json:"card"`
	Customer    CustomerID `json:"holder,omitempty"`       // whose card it is, "" for nobody's
	Points      int64      `json:"points_known,omitempty"` // on the card as head office last said
	PointsAsOf  string     `json:"points_as_of,omitempty"` // RFC 3339
	PriceGroups []string   `json:"price_groups,omitempty"`
}

// Affiliation is a group of people, such as the staff or the students, who are sold to on terms of their own.
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
	Customer CustomerID `json:"customer"` // who was taken off
}

func (*SaleCustomerCleared) Type() string { return "sale.customer_cleared.v1" }

// LoyaltyCardAdded says that a loyalty card was shown, and what came with it (operation 117).
type LoyaltyCardAdded struct {
	Asked
	OfSale
	Card SaleLoyalty `json:"loyalty"`
	// Customer is whose card it is, where the transaction had no customer before.
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

// SaleSuspended says that the transaction was set aside. It sells nothing and takes
// no receipt number meanwhile (operation 503).
type SaleSuspended struct {
	Asked
	OfSale
	Terms Terms `json:"terms,omitzero"`
	// Held is the transaction as it was set aside, so that another register of the store can go on with it.
	Held *HeldSale `json:"held,omitempty"`
	Printed
}

func (*SaleSuspended) Type() string { return "sale.suspended.v1" }

// SaleRecalled says that a suspended transaction goes on, under its own id (operation 504).
type SaleRecalled struct {
	Asked
	OfSale
	// Dropped are the lines whose product is not sold any more. They are voided.
	Dropped     []int  `json:"dropped,omitempty"`
	Reservation string `json:"reservation,omitempty"` // head office's grant, where the register asked for one
}

func (*SaleRecalled) Type() string { return "sale.recalled.v1" }

// HeldSale is what a transaction that was set aside holds.
type HeldSale struct {
	Lines    []HeldLine `json:"lines"`
	Discount Money      `json:"total_discount,omitempty"`        // either this
	Percent  Percent    `json:"total_discount_percent,omitzero"` // or this
	Attached
	TaxOverride *HeldTax   `json:"tax_override,omitempty"` // of the lines that follow
	Comment     string     `json:"comment,omitempty"`
	Order       *HeldOrder `json:"order,omitempty"`
}

// HeldLine is a line of a transaction that was set aside.
type HeldLine struct {
	Line
	Voided bool `json:"voided,omitempty"`
}

// HeldTax is what all lines of a transaction that was set aside are taxed with, see [TaxOverridden].
type HeldTax struct {
	Override string    `json:"override"`
	Name     string    `json:"name"`
	Taxes    []TaxRate `json:"taxes,omitempty"`
}

// HeldOrder is what makes a transaction that was set aside an order, see [OrderBegun] and [DepositOverridden], or
// the pick-up of one, see [OrderRecalled].
type HeldOrder struct {
	PickedUp PickUp  `json:"picked_up,omitzero"`
	Percent  Percent `json:"percent,omitzero"`
	RoundTo  Money   `json:"round_to,omitempty"`
	Agreed   *Money  `json:"agreed,omitempty"`
	PickUpOn string  `json:"pickup_on,omitempty"`
}

// Suspension names one time that a transaction was set aside.
type Suspension struct {
	Transaction TransactionID `json:"transaction"`
	Register    string        `json:"suspended_by"` // store-register
	Head        Head          `json:"head"`         // of its journal, with the entry that says so
}

// Key names the suspension where head office reserves it: it can be recalled once.
func (s Suspension) Key() string { return fmt.Sprintf("%s/%d", s.Transaction, s.Head.Sequence) }

// SaleTakenOver says that a transaction that another register of the store suspended goes on
// here, under an id of its own (operation 504). Head office has granted it to no other.
type SaleTakenOver struct {
	Asked
	OfSale
	From Suspension `json:"from"`
	Held HeldSale   `json:"held"` // as it was suspended
	// Dropped are the lines whose product is not sold any more. They are voided.
	Dropped     []int  `json:"dropped,omitempty"`
	Reservation string `json:"reservation"` // head office's grant
}

func (*SaleTakenOver) Type() string { return "sale.taken_over.v1" }

// SaleHandedOver says that a transaction that was suspended here goes on at another register,
// and waits here no more. Head office has said so, having verified that register's [SaleTakenOver].
type SaleHandedOver struct {
	Transaction TransactionID `json:"transaction"` // as it is called here
	Suspended   uint64        `json:"suspended"`   // sequence of the entry by which it was set aside
	To          string        `json:"to"`          // store-register
	Into        TransactionID `json:"into"`        // as it is called there
}

func (*SaleHandedOver) Type() string    { return "sale.handed_over.v1" }
func (f *SaleHandedOver) About() string { return string(f.Transaction) }

// PointsLine is what a document does to the points of a loyalty card. They are posted at head office.
type PointsLine struct {
	Card   CardNumber `json:"card"`
	Kind   string     `json:"kind"`   // earned
	Points int64      `json:"points"` // negative where a return takes them back
	Amount Money      `json:"amount"` // that they are for
}
