package ledger

import (
	"slices"

	"github.com/posnode/posnode/events"
)

// Product is one item of the range. What is not there does not restrict it.
type Product struct {
	ID               events.ProductID `json:"product"`
	Description      string           `json:"description"`
	Unit             string           `json:"unit,omitempty"` // its own, such as kg, of price and quantity
	Price            events.Price     `json:"price"`
	KeyPrice         bool             `json:"key_price,omitempty"`         // the cashier may key the price in
	MinPrice         *events.Price    `json:"min_price,omitempty"`         // that may be keyed in
	MaxPrice         *events.Price    `json:"max_price,omitempty"`         // that may be keyed in
	ZeroPrice        bool             `json:"zero_price,omitempty"`        // may be sold for nothing
	PriceOverride    string           `json:"price_override,omitempty"`    // which way its price may be overridden: higher, lower, none; "" for both
	QuantityDecimals int              `json:"quantity_decimals,omitempty"` // of its unit
	// Quantity is "required" where it must be keyed or weighed, "fixed" where a line is always one unit.
	Quantity        string           `json:"quantity,omitempty"`
	Serial          string           `json:"serial,omitempty"`           // its pieces have serial numbers: "required" to sell one, or "optional"
	CommentRequired bool             `json:"comment_required,omitempty"` // is sold with a comment only
	Blocked         bool             `json:"blocked,omitempty"`          // not for sale
	From            string           `json:"from,omitempty"`             // first business date on which it is for sale
	To              string           `json:"to,omitempty"`               // last one
	NotDiscountable bool             `json:"not_discountable,omitempty"`
	Taxes           []events.TaxRate `json:"taxes,omitempty"`
	Units           []Unit           `json:"units,omitempty"` // besides its own
	Variants        []Variant        `json:"variants,omitempty"`
	Prices          []GroupPrice     `json:"prices,omitempty"` // besides Price
	Offers          []Offer          `json:"offers,omitempty"`
	// Linked are products that are added with it, each on a line of its own, and voided with it.
	Linked []LinkedProduct `json:"linked,omitempty"`
	// Changes are those of the price, at their times.
	Changes []PriceChange `json:"price_changes,omitempty"`
}

// PriceChange is the price of a product, or of one of its variants or units, from an
// instant on, in the place of the one before. The last of those whose time has come counts.
type PriceChange struct {
	At      events.Instant `json:"at"`
	Variant string         `json:"variant,omitempty"`
	Unit    string         `json:"unit,omitempty"` // one besides the product's own
	Price   events.Price   `json:"price"`
}

// changed is the price that the changes up to a time have made of one, by Unix time.
// The time is that of the command: a register decides by its own clock, and the fact holds the price.
func (p Product) changed(price *events.Price, variant, unit string, at int64) *events.Price {
	last := -1
	for i, c := range p.Changes {
		if c.Variant == variant && c.Unit == unit && int64(c.At) <= at && (last < 0 || c.At >= p.Changes[last].At) {
			last = i
		}
	}
	if last >= 0 {
		return &p.Changes[last].Price
	}
	return price
}

// LinkedProduct is what comes with a product, such as the deposit on its bottle.
type LinkedProduct struct {
	Product  events.ProductID `json:"product"`
	Variant  string           `json:"variant,omitempty"`
	Quantity events.Quantity  `json:"quantity,omitzero"` // for one of the product in its own unit; 1 if absent
}

// MaxLinked is how many products can be linked to one.
const MaxLinked = 10

func (p Product) leads() (all []Query) {
	for _, l := range p.Linked {
		all = append(all, Query{"product", string(l.Product)})
	}
	return all
}

// unsound says whether the record holds what no product can have: pricing takes
// for granted that prices, rates and quantities are not negative.
func (p Product) unsound() bool {
	return p.Price.Sign() < 0 ||
		slices.ContainsFunc(p.Taxes, func(r events.TaxRate) bool { return r.Rate.Sign() < 0 }) ||
		slices.ContainsFunc(p.Units, func(u Unit) bool { return u.Factor.Sign() <= 0 || u.Price != nil && u.Price.Sign() < 0 }) ||
		slices.ContainsFunc(p.Variants, func(v Variant) bool { return v.Price != nil && v.Price.Sign() < 0 }) ||
		len(p.Linked) > MaxLinked || slices.ContainsFunc(p.Linked, func(l LinkedProduct) bool { return l.Quantity.Sign() < 0 }) ||
		slices.ContainsFunc(p.Prices, func(g GroupPrice) bool { return g.Price.Sign() < 0 }) ||
		slices.ContainsFunc(p.Changes, func(c PriceChange) bool { return c.Price.Sign() < 0 }) ||
		slices.ContainsFunc(p.Offers, func(o Offer) bool {
			return o.Percent.Sign() < 0 || o.Percent.Millionths() > 1_000_000 || o.AmountOff.Sign() < 0
		})
}

// productOf is the product of a line, as the reference data has it now, if it does.
func (d *deciding) productOf(line *Line) (Product, bool) {
	p, ok := find[Product](d.Reference, "product", string(line.Product))
	if !ok || p.unsound() {
		return Product{}, false
	}
	return p, true
}

// Unit is a unit that a product is sold in besides its own.
type Unit struct {
	Unit     string          `json:"unit"`
	Factor   events.Quantity `json:"factor"` // of the product's own unit in one
	Decimals int             `json:"quantity_decimals,omitempty"`
	Price    *events.Price   `json:"price,omitempty"` // of one; the product's times Factor where there is none
}

// Variant is one of the forms of a product, such as a size. A product that has any is sold as one of them.
type Variant struct {
	ID          string        `json:"variant"`
	Description string        `json:"description"`
	Price       *events.Price `json:"price,omitempty"` // the product's where there is none
	Blocked     bool          `json:"blocked,omitempty"`
}

// Validity is for whom and when a price or an offer is.
type Validity struct {
	Group string `json:"group,omitempty"` // the price group; "" for everyone
	From  string `json:"from,omitempty"`  // first business date
	To    string `json:"to,omitempty"`    // last one
}

// GroupPrice is a price besides a product's own.
type GroupPrice struct {
	Validity
	Unit        string          `json:"unit,omitempty"`        // that it is of; "" for the product's own
	MinQuantity events.Quantity `json:"min_quantity,omitzero"` // of the line
	Price       events.Price    `json:"price"`
}

// Offer is a periodic discount: a percentage, or an amount off each unit. With a
// minimal quantity it is a quantity break, for which all lines of the product count together.
type Offer struct {
	ID   string `json:"offer"`
	Name string `json:"name"`
	Validity
	MinQuantity events.Quantity `json:"min_quantity,omitzero"`
	Percent     events.Percent  `json:"percent,omitzero"`    // either this
	AmountOff   events.Price    `json:"amount_off,omitzero"` // or this, in major units
}

// Barcode says what a code on a package stands for.
type Barcode struct {
	Code     string           `json:"barcode"`
	Product  events.ProductID `json:"product"`
	Variant  string           `json:"variant,omitempty"`
	Unit     string           `json:"unit,omitempty"`
	Quantity events.Quantity  `json:"quantity,omitzero"` // 1 if absent
}

// maxHits is how many products a search records.
const maxHits = 50

func productOperations() []*Operation {
	return []*Operation{
		{ID: 101, Name: "Price check", Group: "products", Offline: Local, asks: askProduct, decide: checkPrice,
			Params: []Parameter{productParam, barcodeParam, variantParam, unitParam}},
		{ID: 108, Name: "Product search", Group: "products", Offline: Local, decide: searchProducts,
			Params: []Parameter{{Name: "text", Kind: KindText, Required: true, Max: 100, Doc: "item number, or words of the description"}},
			asks:   func(_ *State, in values) []Query { return []Query{{"product_search", in.text("text")}} }},
		{ID: 922, Name: "View product details", Group: "products", Offline: Local, asks: askLineOrProduct, decide: viewProduct,
			Params: []Parameter{productParam, barcodeParam, {Name: "line", Kind: KindNumber, Max: MaxLines, Doc: "number of a line, instead of a product"}}},
	}
}

// checkPrice says what one unit of a product costs everyone, and this customer (operation 101).
func checkPrice(d *deciding) (events.Requested, error) {
	found, err := d.product()
	if err != nil {
		return nil, err
	}
	t, _ := d.cart()
	line := found.line(1)
	base, err := d.basePrice(found.Product, &line.Line)
	if err != nil {
		return nil, err
	}
	if err := d.readPrice(t, found.Product, line); err != nil {
		return nil, err
	}
	if line.Gross, err = d.gross(t, line.Price, line.Quantity); err != nil {
		return nil, err
	}
	f := &events.PriceChecked{
		Product: line.Product, Variant: line.Variant, Unit: line.Unit, Description: line.Description, Currency: t.Terms.Currency,
		Base: base, Price: line.Price, PriceGroup: line.PriceGroup, Groups: t.PriceGroups,
	}
	if line.offered() {
		f.Offer = bestOffer(d.offers(t, found.Product), line, line.Quantity, t.Terms.Digits)
	}
	return f, nil
}

// searchProducts records what was asked and found (operation 108).
func searchProducts(d *deciding) (events.Requested, error) {
	text := d.in.text("text")
	hits, _ := find[Hits](d.Reference, "product_search", text)
	f := &events.ProductsSearched{Text: text, Products: []events.ProductID{}}
	for _, hit := range hits[:min(len(hits), maxHits)] {
		if p, ok := hit.(Product); ok {
			f.Products = append(f.Products, p.ID)
		}
	}
	return f, nil
}

func askLineOrProduct(s *State, in values) []Query {
	if in.has("line") {
		return askLine(s, in)
	}
	return askProduct(s, in)
}

// viewProduct shows what is known of a product, also of one that is not for sale (operation 922).
func viewProduct(d *deciding) (events.Requested, error) {
	id := d.in.text("product")
	switch {
	case d.in.has("line"):
		if d.Transaction == nil {
			return nil, refuse("no_transaction", "There is no transaction in progress.")
		}
		line, err := d.selected()
		if err != nil {
			return nil, err
		}
		id = string(line.Product)
	case d.in.has("barcode"):
		b, _ := find[Barcode](d.Reference, "barcode", d.in.text("barcode"))
		id = string(b.Product)
	case id == "":
		return nil, refuseParameter("product", "is missing")
	}
	p, ok := find[Product](d.Reference, "product", id)
	if !ok {
		return nil, refuse("unknown_product", "There is no product %s.", id).instead("Search for it, or key another number.")
	}
	f := &events.ProductViewed{
		Product: p.ID, Description: p.Description, Unit: p.Unit, QuantityDecimals: p.QuantityDecimals,
		Currency: d.Reference.Store.Currency, Price: *p.changed(&p.Price, "", "", d.At), Taxes: p.Taxes, Blocked: p.Blocked,
	}
	for _, v := range p.Variants {
		f.Variants = append(f.Variants, v.ID)
	}
	for _, u := range p.Units {
		f.Units = append(f.Units, u.Unit)
	}
	return f, nil
}
