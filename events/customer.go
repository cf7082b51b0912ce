package events

// customerFacts are about customers themselves, apart from any sale.
var customerFacts = []func() Fact{
	func() Fact { return new(CustomerAdded) },
	func() Fact { return new(CustomerEdited) },
	func() Fact { return new(SearchAnswered) },
}

// CustomerDetails are the recorded details of a customer. An empty field is unknown.
type CustomerDetails struct {
	Kind      string `json:"kind"` // person or organisation
	Name      string `json:"name"`
	Phone     string `json:"phone,omitempty"`
	Email     string `json:"email,omitempty"`
	Street    string `json:"street,omitempty"`
	Postcode  string `json:"postcode,omitempty"`
	City      string `json:"city,omitempty"`
	Country   string `json:"country,omitempty"` // ISO 3166, two letters
	Group     string `json:"customer_group,omitempty"`
	Currency  string `json:"currency,omitempty"` // ISO 4217
	Language  string `json:"language,omitempty"` // BCP 47
	TaxNumber string `json:"tax_number,omitempty"`
}

// CustomerAdded says that a customer was recorded under a provisional number. Head office later
// assigns the final number (operation 612).
type CustomerAdded struct {
	Asked
	Customer CustomerID      `json:"customer"` // P-<store>-<register>-<epoch>-<n>
	Number   int             `json:"number"`   // n, of this register and epoch, from 1
	Details  CustomerDetails `json:"details"`
}

func (*CustomerAdded) Type() string    { return "customer.added.v1" }
func (f *CustomerAdded) About() string { return string(f.Customer) }

// CustomerEdited lists the changed fields of a customer one by one. So two edits of different
// fields are both kept, and of two edits of one field the later wins (operation 623).
type CustomerEdited struct {
	Asked
	Customer CustomerID      `json:"customer"`
	Changes  []FieldChange   `json:"changes"`
	Details  CustomerDetails `json:"details"` // with the changes
}

func (*CustomerEdited) Type() string    { return "customer.edited.v1" }
func (f *CustomerEdited) About() string { return string(f.Customer) }

// FieldChange is one field that was changed, as it was known here before and as it is now.
type FieldChange struct {
	Field string `json:"field"` // its stored name in CustomerDetails
	Old   string `json:"old"`
	New   string `json:"new"`
}

// SearchAnswered says that someone searched the records that this register holds (operations 622,
// 602).
type SearchAnswered struct {
	Asked
	In   string      `json:"searched"` // item, customer, category, order or suspended
	Text string      `json:"text"`
	Hits []SearchHit `json:"hits,omitempty"` // the best first
	More bool        `json:"more,omitempty"` // there were more than these
}

func (*SearchAnswered) Type() string    { return "search.answered.v1" }
func (f *SearchAnswered) About() string { return f.In }

// SearchHit is one record that a search led to.
type SearchHit struct {
	Key  string `json:"key"`
	Text string `json:"text,omitempty"` // its name or description
}
