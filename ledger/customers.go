package ledger

import (
	"fmt"
	"slices"
	"strings"

	"github.com/posnode/posnode/events"
)

// Customer is one customer, as head office knows them or as they were written down here.
type Customer struct {
	ID events.CustomerID `json:"customer"`
	// Provisional is the number under which they were written down at a register, see [CustomerNumber]; "" for none.
	Provisional events.CustomerID `json:"provisional,omitempty"`
	events.CustomerDetails
	PriceGroups []string `json:"price_groups,omitempty"`
	// Blocked customers are not sold to.
	Blocked bool `json:"blocked,omitempty"`
	// AllowsOnAccount lets them pay later, up to CreditLimit (0 for none); Balance is what they owe.
	AllowsOnAccount bool         `json:"allows_on_account,omitempty"`
	CreditLimit     events.Money `json:"credit_limit,omitempty"`
	Balance         events.Money `json:"balance,omitempty"`
	// InvoiceAccount is whose account is charged, if not their own.
	InvoiceAccount events.CustomerID `json:"invoice_account,omitempty"`
	// AsOf, Included and Through are which movements Balance holds, see [Figure].
	AsOf     string         `json:"as_of,omitempty"` // RFC 3339 in UTC
	Included []Included     `json:"included,omitempty"`
	Through  []events.Place `json:"through,omitempty"`
}

// CustomerNumber says which lasting number a customer has who was written down under a provisional one
// (operation 612). Who asks for the provisional number is answered with the customer.
type CustomerNumber struct {
	Provisional events.CustomerID `json:"provisional"`
	Customer    events.CustomerID `json:"customer"`
}

// Numbers are all by which something may have been written down of them, with one that was asked for.
func (c Customer) Numbers(asked string) (all []events.CustomerID) {
	for _, id := range []events.CustomerID{events.CustomerID(asked), c.ID, c.Provisional} {
		if id != "" && !slices.Contains(all, id) {
			all = append(all, id)
		}
	}
	return all
}

func (c Customer) leads() []Query {
	if c.InvoiceAccount == "" {
		return nil
	}
	return []Query{{"customer", string(c.InvoiceAccount)}}
}

// onCart is the customer as a transaction keeps them.
func (c Customer) onCart() *events.SaleCustomer {
	return &events.SaleCustomer{
		Customer: c.ID, Name: c.Name, PriceGroups: c.PriceGroups, Blocked: c.Blocked, AllowsOnAccount: c.AllowsOnAccount,
		InvoiceAccount: c.InvoiceAccount, CreditLimit: c.CreditLimit, Balance: c.Balance, AsOf: c.AsOf,
	}
}

func customerOperations() []*Operation {
	shift := Gates{Shift: true}
	customer := Parameter{Name: "customer", Kind: KindText, Max: 40, Doc: "customer number"}
	required := customer
	required.Required = true
	return []*Operation{
		{ID: 602, Name: "Customer search", Group: "customers", Offline: Local, begins: true,
			Params: []Parameter{customer, {Name: "text", Kind: KindText, Max: 80, Doc: "number, name, phone or e-mail to search for"}},
			asks: func(s *State, in values) []Query {
				return askCart(s, Query{"customer", in.text("customer")}, Query{"customer_search", in.text("text")})
			},
			decide: searchOrSetCustomer},
		{ID: 603, Name: "Customer clear", Group: "customers", Offline: Local, Gates: Gates{Shift: true, Cart: NeedCart},
			asks: func(s *State, _ values) []Query { return askCart(s) }, decide: clearCustomer},
		{ID: 612, Name: "Customer add", Group: "customers", Offline: Bounded, Gates: shift, Params: detailParams(true), asks: askNamesakes, decide: addCustomer},
		{ID: 623, Name: "Edit customer", Group: "customers", Offline: Bounded, Gates: shift, Params: append([]Parameter{required}, detailParams(false)...),
			asks: func(_ *State, in values) []Query { return []Query{{"customer", in.text("customer")}} }, decide: editCustomer},
		{ID: 622, Name: "Search", Group: "customers", Offline: Local,
			Params: []Parameter{
				{Name: "in", Kind: KindText, Max: 20, Required: true, Doc: "item, customer, category, order or suspended"},
				{Name: "text", Kind: KindText, Max: 80, Required: true, Doc: "words, or beginnings of words, or a number"},
			},
			asks: func(_ *State, in values) []Query { return []Query{{searches[in.text("in")], in.text("text")}} },
			decide: func(d *deciding) (events.Requested, error) {
				return d.search(d.in.text("in"), d.in.text("text"))
			}},
	}
}

// searches are the kinds of query by what the parameter in calls them.
var searches = map[string]string{
	"item": "product_search", "customer": "customer_search", "category": "category_search", "order": "order_search",
	"suspended": "suspended_search",
}

// Hits are the records that a search led to, the best first. Asked for as KIND_search, with the text as the key.
type Hits []any

// Category is a group of products in the range.
type Category struct {
	ID   string `json:"category"`
	Name string `json:"name"`
}

// MaxHits is how many hits of a search are recorded. A search that gives one more has more.
const MaxHits = 20

// search records what a search found.
func (d *deciding) search(in, text string) (events.Requested, error) {
	kind, known := searches[in]
	if !known {
		return nil, refuseParameter("in", "must be item, customer, category, order or suspended")
	}
	hits, _ := find[Hits](d.Reference, kind, text)
	f := &events.SearchAnswered{In: in, Text: text, More: len(hits) > MaxHits}
	for _, record := range hits[:min(len(hits), MaxHits)] {
		f.Hits = append(f.Hits, hitOf(record))
	}
	return f, nil
}

func hitOf(record any) events.SearchHit {
	switch r := record.(type) {
	case Product:
		return events.SearchHit{Key: string(r.ID), Text: r.Description}
	case Customer:
		return events.SearchHit{Key: string(r.ID), Text: r.Name}
	case Category:
		return events.SearchHit{Key: r.ID, Text: r.Name}
	case Order:
		return events.SearchHit{Key: string(r.ID), Text: r.CustomerName}
	case Suspended:
		return events.SearchHit{Key: string(r.From.Transaction), Text: r.describe()}
	}
	panic(fmt.Sprintf("a search found a %T", record))
}

// searchOrSetCustomer searches the customers, or puts one on the transaction (operation 602).
func searchOrSetCustomer(d *deciding) (events.Requested, error) {
	id, text := d.in.text("customer"), d.in.text("text")
	switch {
	case (id == "") == (text == ""):
		return nil, refuseParameter("customer", "give either a customer, or a text to search for")
	case text != "":
		return d.search("customer", text)
	case d.Shift == nil:
		return nil, refuse("no_shift", "No shift is open at this register.").instead("Open a shift first.")
	}
	c, known := find[Customer](d.Reference, "customer", id)
	if !known {
		return nil, unknownCustomer(id)
	}
	if err := d.soldTo(c); err != nil {
		return nil, err
	}
	t, begins := d.cart()
	if err := customerFree(t); err != nil {
		return nil, err
	}
	if t.Loyalty != nil && t.Loyalty.Customer != "" && t.Loyalty.Customer != c.ID {
		return nil, cardOfAnother(t.Loyalty.Card, t.Loyalty.Customer)
	}
	to := t.Attached
	to.Customer = c.onCart()
	of, err := d.regroup(t, begins, priceGroups(to))
	return &events.SaleCustomerSet{OfSale: of, Customer: *to.Customer}, err
}

func unknownCustomer(id string) *Refusal {
	return refuse("unknown_customer", "There is no customer %s here.", id).instead("Search for them, or add them.").miss()
}

// soldTo says whether the shop sells to a customer.
func (d *deciding) soldTo(c Customer) error {
	if c.Blocked {
		return refuse("customer_blocked", "Customer %s is blocked.", c.ID)
	}
	if payer, known := find[Customer](d.Reference, "customer", string(c.InvoiceAccount)); known && payer.Blocked {
		return refuse("customer_blocked", "Customer %s is invoiced to %s, who is blocked.", c.ID, payer.ID)
	}
	return nil
}

// customerFree says whether the transaction may be for another customer, or for
// nobody. A payment may have been taken on the strength of who it is for.
func customerFree(t *Transaction) error {
	switch {
	case t.pickUp():
		return orderFixed(t)
	case t.Customer != nil && t.hasPayments():
		return refuse("payments_taken", "The transaction has payments.").instead("Void them first.")
	}
	return nil
}

// clearCustomer takes the customer off the transaction (operation 603).
func clearCustomer(d *deciding) (events.Requested, error) {
	t := d.Transaction
	if t.Customer == nil {
		return nil, refuse("no_customer", "The transaction has no customer.")
	}
	if err := customerFree(t); err != nil {
		return nil, err
	}
	if t.Order != nil {
		return nil, refuse("order_needs_customer", "An order is for a customer.").instead("Set another customer, or void the transaction.")
	}
	if t.Loyalty != nil && t.Loyalty.Customer == t.Customer.Customer {
		return nil, refuse("loyalty_card_pins_customer", "The loyalty card %s is the customer's.", t.Loyalty.Card).instead("Void the transaction, and begin another.")
	}
	to := t.Attached
	to.Customer = nil
	of, err := d.regroup(t, nil, priceGroups(to))
	return &events.SaleCustomerCleared{OfSale: of, Customer: t.Customer.Customer}, err
}

// detail is one field of a customer's details.
type detail struct {
	name string // of the parameter, and as it is stored
	max  int
	doc  string
	of   func(*events.CustomerDetails) *string
}

var details = []detail{
	{"kind", 20, "person or organisation; person if absent", func(c *events.CustomerDetails) *string { return &c.Kind }},
	{"name", 100, "as it stands on a document", func(c *events.CustomerDetails) *string { return &c.Name }},
	{"phone", 30, "phone number", func(c *events.CustomerDetails) *string { return &c.Phone }},
	{"email", 100, "e-mail address", func(c *events.CustomerDetails) *string { return &c.Email }},
	{"street", 100, "street and house", func(c *events.CustomerDetails) *string { return &c.Street }},
	{"postcode", 20, "post code", func(c *events.CustomerDetails) *string { return &c.Postcode }},
	{"city", 60, "city", func(c *events.CustomerDetails) *string { return &c.City }},
	{"country", 2, "ISO 3166 country, two capital letters", func(c *events.CustomerDetails) *string { return &c.Country }},
	{"customer_group", 20, "the retailer's group of customers", func(c *events.CustomerDetails) *string { return &c.Group }},
	{"currency", 3, "ISO 4217 currency, three capital letters", func(c *events.CustomerDetails) *string { return &c.Currency }},
	{"language", 20, "BCP 47 language, such as en-GB", func(c *events.CustomerDetails) *string { return &c.Language }},
	{"tax_number", 30, "tax number", func(c *events.CustomerDetails) *string { return &c.TaxNumber }},
}

func detailParams(add bool) (params []Parameter) {
	for _, field := range details {
		params = append(params, Parameter{Name: field.name, Kind: KindText, Max: field.max, Required: add && field.name == "name", Free: true, Doc: field.doc})
	}
	return params
}

// checkDetails says what is wrong with a customer's details.
func checkDetails(c *events.CustomerDetails) error {
	capitals := func(s string, n int) bool {
		return s == "" || len(s) == n && strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == ""
	}
	user, host, _ := strings.Cut(c.Email, "@")
	switch {
	case c.Kind != "person" && c.Kind != "organisation":
		return refuseParameter("kind", "must be person or organisation")
	case c.Name == "":
		return refuseParameter("name", "is empty")
	case c.Email != "" && (user == "" || host == "" || strings.ContainsAny(host, "@ ")):
		return refuseParameter("email", "is not an e-mail address")
	case !capitals(c.Country, 2):
		return refuseParameter("country", "must be two capital letters, such as GB")
	case !capitals(c.Currency, 3):
		return refuseParameter("currency", "must be three capital letters, such as GBP")
	}
	return nil
}

// askNamesakes looks for customers who can be reached under the same address: most likely they are the same.
func askNamesakes(_ *State, in values) []Query {
	return []Query{{"customer_search", in.text("email")}, {"customer_search", in.text("phone")}}
}

// addCustomer writes a customer down under a provisional number (operation 612).
func addCustomer(d *deciding) (events.Requested, error) {
	n := d.Customers + 1
	f := &events.CustomerAdded{Customer: events.CustomerID(provisional("P", d.State, n)), Number: n}
	for _, field := range details {
		*field.of(&f.Details) = d.in.text(field.name)
	}
	if f.Details.Kind == "" {
		f.Details.Kind = "person"
	}
	if err := checkDetails(&f.Details); err != nil {
		return nil, err
	}
	for _, text := range []string{f.Details.Email, f.Details.Phone} {
		hits, _ := find[Hits](d.Reference, "customer_search", text)
		for _, hit := range hits {
			c, _ := hit.(Customer)
			if text != "" && (strings.EqualFold(c.Email, text) || c.Phone == text) {
				return nil, refuse("customer_exists", "Customer %s, %s, has %s.", c.ID, c.Name, text).instead("Use that customer, or edit them.")
			}
		}
	}
	return f, nil
}

// provisional is a number that no other register gives, until head office gives the lasting one.
func provisional(kind string, s *State, n int) string {
	return fmt.Sprintf("%s-%s-%d-%d", kind, s.Register, s.Head.Epoch, n)
}

// editCustomer changes what is written down of a customer; an empty text takes a field away (operation 623).
func editCustomer(d *deciding) (events.Requested, error) {
	id := d.in.text("customer")
	c, known := find[Customer](d.Reference, "customer", id)
	if !known {
		return nil, unknownCustomer(id)
	}
	f := &events.CustomerEdited{Customer: c.ID, Details: c.CustomerDetails}
	for _, field := range details {
		at := field.of(&f.Details)
		if d.in.has(field.name) && *at != d.in.text(field.name) {
			f.Changes = append(f.Changes, events.FieldChange{Field: field.name, Old: *at, New: d.in.text(field.name)})
			*at = d.in.text(field.name)
		}
	}
	if len(f.Changes) == 0 {
		return nil, refuse("nothing_changed", "Nothing of customer %s would change.", c.ID)
	}
	return f, checkDetails(&f.Details)
}
