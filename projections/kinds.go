package projections

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/posnode/posnode/events"
	"github.com/posnode/posnode/ledger"
)

// StoreKey is the key of the one record of kind "store".
const StoreKey = "store"

// kind is one kind of reference data: how its records are read and checked.
type kind struct {
	// decode reads a record into its type, a value.
	decode func(record []byte) (any, error)
	// inspect is decode for a record that comes from outside: strict, with the key it must have and the text by which it is found.
	inspect func(record []byte) (key, text string, err error)
}

// kinds are all kinds of reference data. What is checked of a record is what the
// ledger takes for granted, not what a retailer may wish.
var kinds = map[string]kind{
	"product":  kindOf(inspectProduct),
	"staff":    kindOf(inspectStaff),
	"store":    kindOf(inspectStore),
	"customer": kindOf(inspectCustomer),
	"giftcard": kindOf(inspectGiftCard),
	"loyalty":  kindOf(inspectLoyaltyCard),
}

func kindOf[T any](inspect func(T) (key, text string, err error)) kind {
	return kind{
		decode: func(record []byte) (any, error) {
			var v T
			err := json.Unmarshal(record, &v)
			return v, err
		},
		inspect: func(record []byte) (key, text string, err error) {
			var v T
			dec := json.NewDecoder(bytes.NewReader(record))
			dec.DisallowUnknownFields()
			if err := dec.Decode(&v); err != nil {
				return "", "", err
			}
			return inspect(v)
		},
	}
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
	return string(p.ID), p.Description, err
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
	for id, tender := range s.Tenders {
		if string(tender.ID) != id || id == "" || tender.RoundTo < 0 {
			err = fmt.Errorf("tender %q: want its own id, and a round_to that is not negative", id)
		}
		if _, ok := s.Tenders[string(tender.Change)]; tender.Change != "" && !ok {
			err = fmt.Errorf("tender %q: its change would be given in %q, which is no tender of the store", id, tender.Change)
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
	if s.SignOn.Failures < 0 || s.SignOn.Minutes < 0 || s.SignOn.Minutes > 24*60 {
		err = fmt.Errorf("sign_on: want failures that are not negative, and minutes from 0 to a day")
	}
	return StoreKey, "", err
}

func inspectCustomer(c ledger.Customer) (key, text string, err error) {
	if c.CreditLimit < 0 {
		err = fmt.Errorf("credit_limit %d is negative", c.CreditLimit)
	}
	return string(c.ID), c.Name, err
}

func inspectGiftCard(c ledger.GiftCard) (key, text string, err error) {
	if len(c.Currency) != 3 {
		err = fmt.Errorf("currency %q is not an ISO 4217 code", c.Currency)
	}
	return string(c.Number), "", err
}

func inspectLoyaltyCard(c ledger.LoyaltyCard) (key, text string, err error) {
	return string(c.Number), "", nil
}
