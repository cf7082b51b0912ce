package events

import "fmt"

// PriceGroups are the price groups of a transaction, from its customer, loyalty card and
// affiliations. It gets their prices and offers besides those for everyone.
type PriceGroups struct {
	Groups []string `json:"groups"`
}

// Line is one line as it was sold or returned. Amounts are in minor units and
// negative for a return.
type Line struct {
	Number      int       `json:"line"` // in its transaction, from 1
	Product     ProductID `json:"product"`
	Variant     string    `json:"variant,omitempty"` // of the product
	Barcode     string    `json:"barcode,omitempty"` // as scanned
	Description string    `json:"description"`
	Quantity    Quantity  `json:"quantity"`
	Unit        string    `json:"unit,omitempty"` // of quantity and price; "" for the product's own
	// Factor is how many of the product's own unit are in one Unit, absent for that unit itself.
	Factor Quantity `json:"factor,omitzero"`
	// QuantityDecimals is how many decimals a quantity in the unit may have.
	QuantityDecimals int    `json:"quantity_decimals,omitempty"`
	Serial           string `json:"serial,omitempty"`
	Comment          string `json:"comment,omitempty"`

	Price      Price  `json:"price"`                 // of one unit, as charged
	PriceKeyed bool   `json:"price_keyed,omitempty"` // by the cashier, not the product's
	PriceGroup string `json:"price_group,omitempty"` // the group of the price; "" for everyone's
	// Overridden holds the price before it was overridden, and is absent where it was not.
	Overridden *OriginalPrice `json:"overridden,omitempty"`
	Gross      Money          `json:"gross"` // quantity x price, rounded half away from zero

	// Offer is the periodic discount on the line. Discount is the manual one on the rest. Original
	// is the discount of a line that is returned by its receipt.
	Offer    *OfferApplied        `json:"offer,omitempty"`
	Discount *LineDiscountApplied `json:"discount,omitempty"`
	Original *OriginalLine        `json:"original,omitempty"`
	// NotDiscountable keeps the line out of all discounts.
	NotDiscountable bool `json:"not_discountable,omitempty"`

	Taxes []TaxRate `json:"taxes,omitempty"`
	// TaxOverride says that Taxes are not the product's, and is absent where they are.
	TaxOverride *TaxOverride `json:"tax_override,omitempty"`
	// GiftCard is set on a line that sells no product but money on a card.
	GiftCard *GiftCardLine `json:"gift_card,omitempty"`
	// Linked is set on a line that was added with another, such as the deposit on a bottle.
	Linked *LinkedLine `json:"linked,omitempty"`
}

// LinkedLine says with which line another was added: it is voided and counted with that one.
type LinkedLine struct {
	To   int      `json:"to_line"`
	Each Quantity `json:"each"` // for one of that line's product, in its own unit
}

// Amount returns the amount of the line after its own discounts and before its share of a total
// discount. The subtotal of a transaction is the sum of these.
func (l *Line) Amount() Money {
	amount := l.Gross
	if l.Offer != nil {
		amount -= l.Offer.Amount
	}
	if l.Discount != nil {
		amount -= l.Discount.Amount
	}
	if l.Original != nil {
		amount -= l.Original.Discount
	}
	return amount
}

// OriginalPrice is the price of a line before it was overridden.
type OriginalPrice struct {
	Price Price `json:"price"`
	// Approved is how far the line may be from that price in all, in minor units, because a manager
	// approved it; absent where nobody was asked.
	Approved Money `json:"approved,omitempty"`
}

// OfferApplied is a periodic discount on a line, with the terms that it was given under.
type OfferApplied struct {
	Offer       string   `json:"offer"`
	Name        string   `json:"name"`
	Group       string   `json:"group,omitempty"`       // the price group that it is for; "" for everyone
	MinQuantity Quantity `json:"min_quantity,omitzero"` // of the product on the transaction
	Percent     Percent  `json:"percent,omitzero"`      // either this
	AmountOff   Price    `json:"amount_off,omitzero"`   // or this off each unit, in major units
	Amount      Money    `json:"discount_amount"`       // the discount on the line
}

// LineDiscountApplied is a cashier's discount on a line: an amount or a percentage. Amount is the
// discount on the line, with the sign of the line.
type LineDiscountApplied struct {
	Keyed   Money   `json:"keyed,omitempty"`  // either this, positive
	Percent Percent `json:"percent,omitzero"` // or this
	Amount  Money   `json:"discount_amount"`
	// Approved is up to how much a manager approved the discount on the line, in minor units;
	// absent where nobody was asked.
	Approved Money `json:"approved,omitempty"`
}

// OriginalLine is the sold line that a line returns, as it was known then. A return gives back the
// share of Paid for the returned part of Bought. All returns of the line together are exact to the
// minor unit: Paid x (Returned + quantity) / Bought, rounded, less GivenBack.
type OriginalLine struct {
	Transaction TransactionID `json:"transaction"`
	Receipt     ReceiptNumber `json:"receipt"`
	Line        int           `json:"line"`
	Bought      Quantity      `json:"bought"`
	Paid        Money         `json:"paid"`              // net of the sold line
	Returned    Quantity      `json:"returned,omitzero"` // by earlier documents
	GivenBack   Money         `json:"given_back,omitempty"`
	Discount    Money         `json:"discount_amount,omitempty"` // gross less the amount given back, negative
	Reservation string        `json:"reservation,omitempty"`     // head office's grant, where the register asked for one
}

// Key returns the name of the sold line under which head office reserves its returns.
func (o *OriginalLine) Key() string { return fmt.Sprintf("%s/%d", o.Receipt, o.Line) }

// TaxOverride is a choice from the store's list of other taxes.
type TaxOverride struct {
	Override string    `json:"override"`
	Name     string    `json:"name"`
	Instead  []TaxRate `json:"instead,omitempty"` // the taxes that it took the place of
	// Approved is up to which difference in tax a manager approved it on the line, in minor units;
	// absent where nobody was asked.
	Approved Money `json:"approved,omitempty"`
}

// LineChange is a fact about one line. Its change stands in [OfSale.Changed].
type LineChange interface {
	OfTransaction
	ChangedLine() int
}

// LineTurned says that a line that was sold is returned, or one that was returned is sold after all
// (operation 109). Lines that were added with it turn with it.
type LineTurned struct {
	Asked
	OfSale
	Line     int      `json:"line"`
	Quantity Quantity `json:"quantity"` // now
}

func (*LineTurned) Type() string       { return "sale.line_turned.v1" }
func (f *LineTurned) ChangedLine() int { return f.Line }

// LinePriceOverridden says that a line's unit price was replaced. Its discounts fall away with it (operation 104).
type LinePriceOverridden struct {
	Asked
	OfSale
	Line  int    `json:"line"`
	Level string `json:"level"` // which way the employee may: higher, lower or both
}

func (*LinePriceOverridden) Type() string       { return "sale.line_price_overridden.v1" }
func (f *LinePriceOverridden) ChangedLine() int { return f.Line }

// LineUnitChanged says that a line is counted in another unit, at that unit's price (operation 123).
type LineUnitChanged struct {
	Asked
	OfSale
	Line int    `json:"line"`
	Unit string `json:"unit"`
}

func (*LineUnitChanged) Type() string       { return "sale.line_unit_changed.v1" }
func (f *LineUnitChanged) ChangedLine() int { return f.Line }

// LineSerialSet says that a line was given the serial number of its one piece (operation 136).
type LineSerialSet struct {
	Asked
	OfSale
	Line   int    `json:"line"`
	Serial string `json:"serial"`
}

func (*LineSerialSet) Type() string       { return "sale.line_serial_set.v1" }
func (f *LineSerialSet) ChangedLine() int { return f.Line }

// LineCommented says that a line was given a comment, another, or none (operation 103).
type LineCommented struct {
	Asked
	OfSale
	Line    int    `json:"line"`
	Comment string `json:"comment,omitempty"`
}

func (*LineCommented) Type() string       { return "sale.line_commented.v1" }
func (f *LineCommented) ChangedLine() int { return f.Line }

// LineDiscountSet says that the cashier set, changed or cleared a discount on one
// line: an amount or a percentage, never both, none to clear it (operations 300, 301).
type LineDiscountSet struct {
	Asked
	OfSale
	Line    int     `json:"line"`
	Amount  Money   `json:"amount,omitempty"`
	Percent Percent `json:"percent,omitzero"`
}

func (*LineDiscountSet) Type() string       { return "sale.line_discount_set.v1" }
func (f *LineDiscountSet) ChangedLine() int { return f.Line }

// LineTaxOverridden says that a line is taxed otherwise than its product is, or
// with no override that it is taxed as its product again (operation 130).
type LineTaxOverridden struct {
	Asked
	OfSale
	Line     int    `json:"line"`
	Override string `json:"override,omitempty"`
}

func (*LineTaxOverridden) Type() string       { return "sale.line_tax_overridden.v1" }
func (f *LineTaxOverridden) ChangedLine() int { return f.Line }

// TaxOverridden says that all lines, and those that follow, are taxed otherwise than
// their products are, or with no override that they are taxed as them again (operation 128).
type TaxOverridden struct {
	Asked
	OfSale
	Override string    `json:"override,omitempty"`
	Name     string    `json:"name,omitempty"`
	Taxes    []TaxRate `json:"taxes,omitempty"` // none at all where the transaction is exempt
}

func (*TaxOverridden) Type() string { return "sale.tax_overridden.v1" }

// SaleCommented says that the transaction was given a comment, another, or none (operation 501).
type SaleCommented struct {
	Asked
	OfSale
	Comment string `json:"comment,omitempty"`
}

func (*SaleCommented) Type() string { return "sale.commented.v1" }
