package projections

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/posnode/posnode/events"
	"github.com/posnode/posnode/ledger"
)

// StoreKey is the key of the one record of kind "store".
const StoreKey = "store"

// kind is one kind of reference data: how its records are read and checked.
type kind struct {
	// decode reads a record into its type, a value.
	decode func(record []byte) (any, error)
	// inspect is decode for a record that comes from outside, with the key it must have and
	// the text by which it is found. A strict one refuses fields that this program does not know.
	inspect func(record []byte, strict bool) (key, text string, err error)
	// keyless says that the record does not say its own key.
	keyless bool
	// record is the zero value of the type, from which the fields are read.
	record any
}

// kinds are all kinds of reference data. A record is checked for the conditions that the ledger
// takes for granted, and for no wish of a retailer.
var kinds = map[string]kind{
	"barcode":         kindOf(inspectBarcode),
	"product":         kindOf(inspectProduct),
	"staff":           kindOf(inspectStaff),
	"store":           kindOf(inspectStore),
	"customer":        kindOf(inspectCustomer),
	"customer_number": kindOf(inspectCustomerNumber),
	"giftcard":        kindOf(inspectGiftCard),
	"loyalty":         kindOf(inspectLoyaltyCard),

	"affiliation": kindOf(func(a ledger.Affiliation) (key, text string, err error) { return a.ID, a.Name, nil }),
	"category":    kindOf(func(c ledger.Category) (key, text string, err error) { return c.ID, c.Name, nil }),
	"order":       kindOf(inspectOrder),
	"stock":       kindOf(inspectStock),
	"profile":     kindOf(func(p ledger.RegisterProfile) (key, text string, err error) { return string(p.Register), "", p.Check() }),
}

func inspectOrder(o ledger.Order) (key, text string, err error) {
	switch {
	case o.Store == "" || o.Customer == "" || len(o.Lines) == 0 || len(o.Lines) > ledger.MaxLines:
		err = fmt.Errorf("want a store, a customer and 1 to %d lines", ledger.MaxLines)
	case o.Status != ledger.OrderOpen && o.Status != ledger.OrderPickedUp && o.Status != ledger.OrderCancelled:
		err = fmt.Errorf("status %q is not open, picked_up or cancelled", o.Status)
	case o.Deposit < 0 || o.Discount < 0:
		err = errors.New("deposit and total_discount must not be negative")
	default:
		err = inspectTime(o.AsOf)
	}
	return string(o.ID), o.CustomerName, err
}

func inspectStock(s ledger.Stock) (key, text string, err error) {
	key = string(s.Product)
	if s.Store != "" {
		key = string(s.Store) + "/" + key
	}
	if err = inspectTime(s.AsOf); s.AsOf == "" {
		err = errors.New("want as_of")
	}
	return key, "", err
}

// inspectTime says whether s is a time in UTC, as it is compared with the times of entries, or nothing.
func inspectTime(s string) error {
	if t, err := time.Parse(time.RFC3339, s); s != "" && (err != nil || t.Location() != time.UTC) {
		return fmt.Errorf("time %q is not RFC 3339 in UTC", s)
	}
	return nil
}

func kindOf[T any](inspect func(T) (key, text string, err error)) kind {
	return kind{
		decode: func(record []byte) (any, error) {
			var v T
			err := json.Unmarshal(record, &v)
			return v, err
		},
		record: *new(T),
		inspect: func(record []byte, strict bool) (key, text string, err error) {
			var v T
			dec := json.NewDecoder(bytes.NewReader(record))
			if strict {
				dec.DisallowUnknownFields()
			}
			if err := dec.Decode(&v); err != nil {
				return "", "", err
			}
			return inspect(v)
		},
	}
}

func inspectBarcode(b ledger.Barcode) (key, text string, err error) {
	if b.Product == "" || b.Quantity.Sign() < 0 {
		err = fmt.Errorf("barcode of %q x %s: want a product, and a quantity that is not negative", b.Product, b.Quantity)
	}
	return b.Code, "", err
}

func inspectProduct(p ledger.Product) (key, text string, err error) {
	switch {
	case p.Price.Sign() < 0:
		err = fmt.Errorf("price %s is negative", p.Price)
	case p.QuantityDecimals < 0 || p.QuantityDecimals > events.QuantityDecimals:
		err = fmt.Errorf("quantity_decimals %d is not from 0 to %d", p.QuantityDecimals, events.QuantityDecimals)
	}
	for _, tax := range p.Taxes {
		if tax.Code == "" || tax.Rate.Sign() < 0 {
			err = fmt.Errorf("tax %q of %s: want a code, and a rate that is not negative", tax.Code, tax.Rate)
		}
	}
	if len(p.Linked) > ledger.MaxLinked {
		err = fmt.Errorf("%d linked products, more than %d", len(p.Linked), ledger.MaxLinked)
	}
	for _, l := range p.Linked {
		if l.Product == "" || l.Product == p.ID || l.Quantity.Sign() < 0 {
			err = fmt.Errorf("linked product %q: want another product, and a quantity that is not negative", l.Product)
		}
	}
	if err == nil {
		err = inspectPrices(p)
	}
	return string(p.ID), p.Description, err
}

// inspectPrices checks the prices of a product besides its own.
func inspectPrices(p ledger.Product) error {
	negative := func(price *events.Price) bool { return price != nil && price.Sign() < 0 }
	for _, u := range p.Units {
		if u.Unit == "" || u.Unit == p.Unit || u.Factor.Sign() <= 0 || u.Decimals < 0 || u.Decimals > events.QuantityDecimals || negative(u.Price) {
			return fmt.Errorf("unit %q: want another than the product's own, with a factor above 0, 0 to %d decimals and no negative price", u.Unit, events.QuantityDecimals)
		}
	}
	for _, v := range p.Variants {
		if v.ID == "" || negative(v.Price) {
			return fmt.Errorf("variant %q: want a name, and no negative price", v.ID)
		}
	}
	for _, g := range p.Prices {
		if g.Price.Sign() < 0 || g.MinQuantity.Sign() < 0 {
			return fmt.Errorf("price %s from %s on is negative", g.Price, g.MinQuantity)
		}
	}
	for _, c := range p.Changes {
		if c.Price.Sign() < 0 || c.At == 0 {
			return fmt.Errorf("price change to %s: want a time, and a price that is not negative", c.Price)
		}
	}
	for _, o := range p.Offers {
		if o.ID == "" || o.MinQuantity.Sign() < 0 || o.AmountOff.Sign() < 0 || o.Percent.Sign() < 0 || o.Percent.Millionths() > 1_000_000 || o.Percent.IsZero() == o.AmountOff.IsZero() {
			return fmt.Errorf("offer %q: want a name, and either a percentage up to 100 or an amount off, from a quantity that is not negative", o.ID)
		}
	}
	return nil
}

func inspectStaff(s ledger.StaffMember) (key, text string, err error) {
	return string(s.ID), s.Name, nil
}

func inspectStore(s ledger.Store) (key, text string, err error) {
	switch {
	case len(s.Currency) != 3:
		err = fmt.Errorf("currency %q is not an ISO 4217 code", s.Currency)
	case s.Digits < 0 || s.Digits > 4:
		err = fmt.Errorf("digits %d is not from 0 to 4", s.Digits)
	case s.MaxQuantity.Sign() <= 0:
		err = fmt.Errorf("max_quantity %s is not above 0", s.MaxQuantity)
	}
	for _, o := range append(slices.Clone(s.TransactionTaxOverrides), s.LineTaxOverrides...) {
		if o.Override == "" || slices.ContainsFunc(o.Taxes, func(r events.TaxRate) bool { return r.Code == "" || r.Rate.Sign() < 0 }) {
			err = fmt.Errorf("tax override %q: want a name, and taxes with a code and a rate that is not negative", o.Override)
		}
	}
	for id, tender := range s.Tenders {
		if string(tender.ID) != id || id == "" || tender.RoundTo < 0 {
			err = fmt.Errorf("tender %q: want its own id, and a round_to that is not negative", id)
		}
		if _, ok := s.Tenders[string(tender.Change)]; tender.Change != "" && !ok {
			err = fmt.Errorf("tender %q: its change would be given in %q, which is no tender of the store", id, tender.Change)
		}
		if above, ok := s.Tenders[string(tender.ChangeAbove)]; tender.ChangeAbove != "" && (!ok || above.Kind != "cash" && above.Kind != "check") || tender.ChangeThreshold < 0 {
			err = fmt.Errorf("tender %q: change above a threshold that is not negative is given in cash or checks of the store", id)
		}
		if tender.OverPaid && !tender.GivesChange() {
			err = fmt.Errorf("tender %q: %s gives no change", id, tender.Kind)
		}
	}
	for code, c := range s.Currencies {
		if len(code) != 3 || c.Digits < 0 || c.Digits > 4 || c.RoundTo < 0 {
			err = fmt.Errorf("currency %q: want an ISO 4217 code, digits from 0 to 4, and a round_to that is not negative", code)
		}
	}
	for id, account := range s.Cash.Accounts {
		if id == "" || account.Kind != "income" && account.Kind != "expense" {
			err = fmt.Errorf("account %q: want an id, and the kind income or expense", id)
		}
	}
	if e := s.Profile.Check(); e != nil {
		err = fmt.Errorf("profile: %w", e)
	}
	if s.SignOn.Failures < 0 || s.SignOn.Minutes < 0 || s.SignOn.Minutes > 24*60 {
		err = fmt.Errorf("sign_on: want failures that are not negative, and minutes from 0 to a day")
	}
	return StoreKey, "", err
}

func inspectCustomer(c ledger.Customer) (key, text string, err error) {
	if c.CreditLimit < 0 {
		err = fmt.Errorf("credit_limit %d is negative", c.CreditLimit)
	}
	return string(c.ID), strings.Join([]string{c.Name, c.Phone, c.Email, c.City}, " "), errors.Join(err, inspectTime(c.AsOf))
}

func inspectCustomerNumber(n ledger.CustomerNumber) (key, text string, err error) {
	if n.Customer == "" || n.Customer == n.Provisional {
		err = fmt.Errorf("customer %q: want another number than the provisional one", n.Customer)
	}
	return string(n.Provisional), "", err
}

func inspectGiftCard(c ledger.GiftCard) (key, text string, err error) {
	if len(c.Currency) != 3 {
		err = fmt.Errorf("currency %q is not an ISO 4217 code", c.Currency)
	}
	return string(c.Number), "", errors.Join(err, inspectTime(c.AsOf))
}

func inspectLoyaltyCard(c ledger.LoyaltyCard) (key, text string, err error) {
	return string(c.Number), "", inspectTime(c.AsOf)
}
