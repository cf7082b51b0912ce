package ledger

import "github.com/posnode/posnode/events"

// Query is one question to the reference data: which record of which kind.
type Query struct {
	Kind string `json:"kind"` // product, barcode, staff, ...
	Key  string `json:"key"`
}

// Reference is the reference data that came with a command: the store's
// settings, and the records that [Asks] named and that were found. A record
// that is not in Found does not exist.
type Reference struct {
	Store Store
	Found map[Query]any
}

// find is the record that answers q, if it was found.
func find[T any](r Reference, kind, key string) (T, bool) {
	record, ok := r.Found[Query{kind, key}].(T)
	return record, ok
}

// Store holds the settings of a store and its registers.
type Store struct {
	Currency    string          `json:"currency"`           // ISO 4217
	Digits      int             `json:"digits"`             // of its minor unit
	TaxIncluded bool            `json:"tax_included"`       // prices include tax
	ReceiptMask string          `json:"receipt_mask"`       // see [ReceiptNumber]
	MaxQuantity events.Quantity `json:"max_quantity"`       // of one line
	MaxPrice    events.Price    `json:"max_price,omitzero"` // that a cashier may give; 0 for any
	// The lists of other taxes to choose from, for a transaction and for a line.
	TransactionTaxOverrides []TaxOverride     `json:"transaction_tax_overrides,omitempty"`
	LineTaxOverrides        []TaxOverride     `json:"line_tax_overrides,omitempty"`
	Tenders                 map[string]Tender `json:"tenders"`
	// Reasons are the reason codes by the trigger that asks for one, such as void_item.
	Reasons map[string]Reasons `json:"reasons,omitempty"`
	Profile Profile            `json:"profile,omitzero"`
}

// Profile is the offline profile.
type Profile struct {
	// ShiftOperationsOffline lets 1053 to 1057 go on without HQ, where the law wants a Z report every day.
	ShiftOperationsOffline bool `json:"shift_operations_offline,omitempty"`
}

// Reasons are the reason codes of one trigger.
type Reasons struct {
	Mandatory bool         `json:"mandatory,omitempty"`
	Codes     []ReasonCode `json:"codes"`
}

// ReasonCode is one of them.
type ReasonCode struct {
	Code         string `json:"code"`
	Text         string `json:"text"`
	NoteRequired bool   `json:"note_required,omitempty"`
}

func (r Reasons) names() (all []string) {
	for _, c := range r.Codes {
		all = append(all, c.Code+" ("+c.Text+")")
	}
	return all
}

// Tender is a way to pay.
type Tender struct {
	ID       events.TenderID `json:"id"`
	Name     string          `json:"name"`
	Kind     string          `json:"kind"`               // cash
	RoundTo  events.Money    `json:"round_to,omitempty"` // smallest coin in minor units; 0 or 1 for none
	OverPaid bool            `json:"over_paid"`          // may be more than is due, with change
}

// StaffMember is someone who may sign on.
type StaffMember struct {
	ID      events.StaffID `json:"staff"`
	Name    string         `json:"name"`
	PIN     string         `json:"pin,omitempty"` // argon2id, PHC string format
	Blocked bool           `json:"blocked,omitempty"`
	// Groups are the permission groups of all positions, which are merged.
	Groups []events.Rights `json:"groups"`
}
