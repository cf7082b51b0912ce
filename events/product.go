package events

// productFacts are inquiries: someone looked, and nothing changed.
var productFacts = []func() Fact{
	func() Fact { return new(PriceChecked) },
	func() Fact { return new(ProductViewed) },
	func() Fact { return new(ProductsSearched) },
}

// PriceChecked records an inquiry for the price of one unit of a product, for everyone and for the
// customer of the transaction in progress (operation 101).
type PriceChecked struct {
	Asked
	Product     ProductID `json:"product"`
	Variant     string    `json:"variant,omitempty"`
	Unit        string    `json:"unit,omitempty"`
	Description string    `json:"description"`
	Currency    string    `json:"currency"` // ISO 4217
	Base        Price     `json:"base"`     // for everyone, without dates and groups
	Price       Price     `json:"price"`    // for this customer today
	PriceGroup  string    `json:"price_group,omitempty"`
	// Offer is the periodic discount that one unit would get.
	Offer *OfferApplied `json:"offer,omitempty"`
	// Groups are the price groups that it was asked for.
	Groups []string `json:"groups,omitempty"`
}

func (*PriceChecked) Type() string    { return "product.price_checked.v1" }
func (f *PriceChecked) About() string { return string(f.Product) }

// ProductViewed says that someone looked at the details of a product (operation 922).
type ProductViewed struct {
	Asked
	Product          ProductID `json:"product"`
	Description      string    `json:"description"`
	Unit             string    `json:"unit,omitempty"`
	QuantityDecimals int       `json:"quantity_decimals,omitempty"`
	Currency         string    `json:"currency"` // ISO 4217
	Price            Price     `json:"price"`
	Taxes            []TaxRate `json:"taxes,omitempty"`
	Variants         []string  `json:"variants,omitempty"`
	Units            []string  `json:"units,omitempty"` // that it is sold in besides its own
	Blocked          bool      `json:"blocked,omitempty"`
}

func (*ProductViewed) Type() string    { return "product.viewed.v1" }
func (f *ProductViewed) About() string { return string(f.Product) }

// ProductsSearched says that someone searched the products, and which were found (operation 108).
type ProductsSearched struct {
	Asked
	Text     string      `json:"text"`
	Products []ProductID `json:"products"` // the first of them
}

func (*ProductsSearched) Type() string  { return "product.searched.v1" }
func (*ProductsSearched) About() string { return "products" }
