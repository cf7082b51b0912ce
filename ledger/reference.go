package ledger

import (
	"slices"

	"github.com/posnode/posnode/events"
)

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

// Follow is what a record that was found leads to, such as a loyalty card to its holder.
// It belongs to the reference data of the same command.
func Follow(record any) []Query {
	switch r := record.(type) {
	case Barcode:
		return []Query{{"product", string(r.Product)}}
	case Product:
		return r.leads()
	case Customer:
		return r.leads()
	case LoyaltyCard:
		return r.leads()
	case Order:
		return r.leads()
	case Suspended:
		return r.leads()
	}
	return nil
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
	TransactionTaxOverrides []TaxOverride `json:"transaction_tax_overrides,omitempty"`
	LineTaxOverrides        []TaxOverride `json:"line_tax_overrides,omitempty"`
	// Tenders are the ways to pay, each under its kind: cash, currency, card, check, account, giftcard, loyalty.
	Tenders map[string]Tender `json:"tenders"`
	// Currencies are the foreign ones that can be paid in, by their ISO 4217 codes.
	Currencies map[string]Currency `json:"currencies,omitempty"`
	// Reasons are the reason codes by the trigger that asks for one, such as void_item.
	Reasons map[string]Reasons `json:"reasons,omitempty"`
	Profile Profile            `json:"profile,omitzero"`
	Shop    events.Shop        `json:"shop,omitzero"` // what is printed above and below a document
	Orders  OrderSettings      `json:"orders,omitzero"`
	Loyalty LoyaltyScheme      `json:"loyalty,omitzero"`
	// MaxSuspended and MaxCounted bound the suspended transactions of a register and
	// the products of a stock count; 0 for what is usual.
	MaxSuspended int    `json:"max_suspended,omitempty"`
	MaxCounted   int    `json:"max_counted,omitempty"`
	Cash         Cash   `json:"cash,omitzero"`
	SignOn       SignOn `json:"sign_on,omitzero"`
}

// Profile is the offline profile.
type Profile struct {
	// ShiftOperationsOffline lets 1053 to 1057 go on without HQ, where the law wants a Z report every day.
	ShiftOperationsOffline bool `json:"shift_operations_offline,omitempty"`
	// What may be moved on gift cards without HQ, in minor units; 0 is nothing: on one
	// card, in one transaction, and in all since the register was last online.
	GiftCardPerCard        events.Money `json:"gift_card_per_card,omitempty"`
	GiftCardPerTransaction events.Money `json:"gift_card_per_transaction,omitempty"`
	GiftCardInAll          events.Money `json:"gift_card_in_all,omitempty"`
	// AccountPerCustomer is what one customer may buy on account without HQ, in minor
	// units and within their credit limit; 0 is nothing.
	AccountPerCustomer events.Money `json:"account_per_customer,omitempty"`
	Switching
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

// Tender is a way to pay. Amounts are in minor units of the store's currency, without
// a sign: they bound payments and refunds alike. 0 is no limit.
type Tender struct {
	ID      events.TenderID `json:"id"`
	Name    string          `json:"name"`
	Kind    string          `json:"kind"`               // cash, currency, card, check, account, giftcard, loyalty
	RoundTo events.Money    `json:"round_to,omitempty"` // smallest coin in minor units; 0 or 1 for none
	// OverPaid says that it may be more than is due, and MaxOver by how much. The
	// change is given in the tender Change, cash if absent; only cash, currency and check give any.
	OverPaid bool            `json:"over_paid,omitempty"`
	MaxOver  events.Money    `json:"max_over,omitempty"`
	Change   events.TenderID `json:"change,omitempty"`
	// ChangeAbove is what change of more than ChangeThreshold is given in instead: no more coins than that leave the drawer.
	ChangeAbove     events.TenderID `json:"change_above,omitempty"`
	ChangeThreshold events.Money    `json:"change_threshold,omitempty"`
	// MustFinish says that it may not be less than is due, and MaxUnder by how much it may.
	MustFinish bool         `json:"must_finish,omitempty"`
	MaxUnder   events.Money `json:"max_under,omitempty"`
	// Refund says that the shop may pay by it.
	Refund   bool         `json:"refund,omitempty"`
	Min      events.Money `json:"min,omitempty"`       // of one payment
	Max      events.Money `json:"max,omitempty"`       // of one payment
	MaxTotal events.Money `json:"max_total,omitempty"` // of all payments of a transaction
	// PointValue is what a point of a loyalty card is worth, in major units; for the tender loyalty.
	PointValue events.Rate `json:"point_value,omitzero"`
	Counting   Counting    `json:"counting,omitzero"`
}

// GivesChange says whether more than is due can be taken by it at all.
func (t Tender) GivesChange() bool {
	return t.Kind == "cash" || t.Kind == "currency" || t.Kind == "check"
}

// Currency is a foreign currency that can be paid in.
type Currency struct {
	Digits  int          `json:"digits"`             // of its minor unit
	Rate    events.Rate  `json:"rate"`               // what one unit of it is worth in the store's currency
	RoundTo events.Money `json:"round_to,omitempty"` // smallest coin or note that is taken, in its minor units; 0 or 1 for any
}

// GiftCard is one gift card. Balance is in minor units of Currency.
type GiftCard struct {
	Number   events.CardNumber `json:"number"`
	Balance  events.Money      `json:"balance"`
	Currency string            `json:"currency"` // ISO 4217
	Blocked  bool              `json:"blocked,omitempty"`
	PIN      string            `json:"pin,omitempty"` // argon2id, PHC string format, of a card that has one
	// Blank says that the card is printed and not yet issued: only such a card can be issued offline.
	Blank bool `json:"blank,omitempty"`
	// AsOf, Included and Through are which movements Balance holds, see [Figure].
	AsOf     string         `json:"as_of,omitempty"` // RFC 3339 in UTC
	Included []Included     `json:"included,omitempty"`
	Through  []events.Place `json:"through,omitempty"`
}

// Cash says how a store handles the money in its drawers.
type Cash struct {
	// StartRequired keeps a shift from being closed without a declared start amount.
	StartRequired bool `json:"start_required,omitempty"`
	// SumDeclarations takes the sum of a shift's declarations as what was counted; otherwise the last one counts.
	SumDeclarations bool `json:"sum_declarations,omitempty"`
	// Denominations are the notes and coins of each currency in its minor units; a currency without any takes all.
	Denominations map[string][]events.Money `json:"denominations,omitempty"`
	// Accounts are what cash is taken for and paid for besides sales, by their ids.
	Accounts map[string]CashAccount `json:"accounts,omitempty"`
}

// CashAccount is an income or expense account.
type CashAccount struct {
	Name string `json:"name"`
	Kind string `json:"kind"` // income or expense
}

// SignOn says when a staff number, or a gift card, of which wrong PINs are given is locked out.
type SignOn struct {
	Failures int `json:"failures,omitempty"` // wrong PINs in a row; 0 for 5
	Minutes  int `json:"minutes,omitempty"`  // for how long; 0 for 5
}

// Counting says how a tender is counted at the end of a shift.
type Counting struct {
	// Required keeps a shift in which the tender was used from being closed before it is counted.
	Required bool `json:"required,omitempty"`
	// A count that differs from what is expected by more than MaxDifference, in minor
	// units, must be made again, MaxRecounts times at most; the one after that is accepted.
	MaxDifference events.Money `json:"max_difference,omitempty"`
	MaxRecounts   int          `json:"max_recounts,omitempty"`
}

// StaffMember is someone who may sign on.
type StaffMember struct {
	ID      events.StaffID `json:"staff"`
	Name    string         `json:"name"`
	PIN     string         `json:"pin,omitempty"` // argon2id, PHC string format
	Blocked bool           `json:"blocked,omitempty"`
	// Stores are where they work; everywhere if absent. No other store's registers get the record.
	Stores []events.StoreID `json:"stores,omitempty"`
	// Groups are the permission groups of all positions, which are merged.
	Groups []events.Rights `json:"groups"`
}

// WorksAt says whether the member of staff works in a store.
func (m StaffMember) WorksAt(store events.StoreID) bool {
	return len(m.Stores) == 0 || slices.Contains(m.Stores, store)
}
