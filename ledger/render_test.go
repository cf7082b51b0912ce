package ledger_test

import (
	"encoding"
	"fmt"
	"reflect"
	"strings"

	"github.com/posnode/posnode/events"
)

// A fact as a scenario shows it: its stored name, its fields by their JSON names
// without those that are zero, amounts in major units; then one line for each
// record in a list, and at the end how the transaction stands. A type that reads
// better otherwise has an entry in pretty.

func render(fact events.Fact, digits int) string {
	r := renderer{digits: digits}
	r.fields(reflect.ValueOf(fact).Elem())
	out := fact.Type() + r.inline.String()
	if f, ok := fact.(events.OfTransaction); ok {
		out += " | " + r.totals(f.Sale().After)
	}
	return out + r.lists.String()
}

type renderer struct {
	digits        int
	inline, lists strings.Builder
}

// hidden are the fields that a scenario shows otherwise, or not at all.
var hidden = map[string]bool{"input": true, "transaction": true, "after": true, "checkpoint": true, "record": true, "terms": true, "head": true, "tender_names": true, "currency_digits": true}

func (r *renderer) fields(v reflect.Value) {
	for i := range v.NumField() {
		f, value := v.Type().Field(i), v.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case f.Anonymous && name == "":
			r.fields(value)
		case hidden[name] || value.IsZero():
		case name == "begins":
			r.inline.WriteString(" (begins)")
		case value.Kind() == reflect.Slice && value.Type().Elem().Kind() != reflect.Struct:
			fmt.Fprintf(&r.inline, " %s %v", name, value.Interface())
		case value.Kind() == reflect.Slice:
			for i := range value.Len() {
				fmt.Fprintf(&r.lists, "\n  %s", r.value(strings.TrimSuffix(name, "s"), value.Index(i)))
			}
		default:
			fmt.Fprintf(&r.inline, " %s", r.value(name, value))
		}
	}
}

// value is a named value.
func (r *renderer) value(name string, v reflect.Value) string {
	if v.Kind() == reflect.Pointer {
		v = v.Elem()
	}
	if text, ok := r.pretty(v.Interface()); ok {
		return text
	}
	if _, scalar := v.Interface().(encoding.TextMarshaler); v.Kind() == reflect.Struct && !scalar {
		inner := renderer{digits: r.digits}
		inner.fields(v)
		return name + inner.inline.String() + strings.ReplaceAll(inner.lists.String(), "\n", "\n  ")
	}
	if m, ok := v.Interface().(events.Money); ok {
		return name + " " + m.Decimal(r.digits)
	}
	if v.Kind() == reflect.String && strings.Contains(v.String(), " ") {
		return fmt.Sprintf("%s %q", name, v.Interface())
	}
	return fmt.Sprintf("%s %v", name, v.Interface())
}

// pretty is how the types that stand in most scenarios are shown.
func (r *renderer) pretty(v any) (string, bool) {
	switch v := v.(type) {
	case events.Line:
		return r.line(v), true
	case events.ConcludedLine:
		s := r.line(v.Line)
		if v.Voided {
			return s + " voided", true
		}
		if v.TotalDiscount != 0 {
			s += " less " + v.TotalDiscount.Decimal(r.digits)
		}
		s += " net " + v.Net.Decimal(r.digits)
		for i, tax := range v.Tax {
			s += " tax " + v.Taxes[i].Code + " " + tax.Decimal(r.digits)
		}
		return s, true
	case events.Payment:
		s := fmt.Sprintf("payment %d %s %s", v.Number, v.Tender, v.Amount.Decimal(r.digits))
		for _, part := range []struct {
			name   string
			amount events.Money
			shown  bool
		}{{"tendered", v.Tendered, v.Tendered != v.Amount}, {"change", v.Change, v.Change != 0}, {"rounding", v.Rounding, v.Rounding != 0}} {
			if part.shown {
				s += " " + part.name + " " + part.amount.Decimal(r.digits)
			}
		}
		if v.ChangeTender != "" {
			s += " in " + string(v.ChangeTender)
		}
		if v.Check != "" {
			s += " check " + v.Check
		}
		inner := renderer{digits: r.digits}
		inner.optional("", v.Foreign)
		inner.optional("card", v.Card)
		inner.optional("on", v.Account)
		inner.optional("from", v.GiftCard)
		inner.optional("for", v.Loyalty)
		if v.Reservation != "" {
			inner.inline.WriteString(" reservation " + v.Reservation)
		}
		return s + inner.inline.String(), true
	case events.Foreign:
		return fmt.Sprintf("%s %s at %s", v.Currency, v.Amount.Decimal(v.Digits), v.Rate), true
	case events.TaxTotal:
		return fmt.Sprintf("tax %s %s%% of %s = %s", v.Code, v.Rate, v.Base.Decimal(r.digits), v.Tax.Decimal(r.digits)), true
	case events.Posting:
		side, amount := "debit ", v.Amount
		if amount < 0 {
			side, amount = "credit", -amount
		}
		return fmt.Sprintf("%s %s %s", side, v.Account, amount.Decimal(r.digits)), true
	}
	return "", false
}

// approved shows up to how much a manager approved something.
func (r *renderer) approved(m events.Money) string {
	if m == 0 {
		return ""
	}
	return fmt.Sprintf(" (%s approved)", m.Decimal(r.digits))
}

// optional shows what a payment's tender adds.
func (r *renderer) optional(name string, v any) {
	if value := reflect.ValueOf(v); !value.IsNil() {
		fmt.Fprintf(&r.inline, " %s", strings.TrimSpace(r.value(name, value)))
	}
}

func (r *renderer) line(v events.Line) string {
	product := string(v.Product)
	if v.Variant != "" {
		product += "/" + v.Variant
	}
	quantity := v.Quantity.String()
	if v.Unit != "" {
		quantity += " " + v.Unit
	}
	s := fmt.Sprintf("line %d %s %s x %s = %s", v.Number, product, quantity, v.Price, v.Gross.Decimal(r.digits))
	if v.PriceGroup != "" {
		s += " price of " + v.PriceGroup
	}
	if v.Overridden != nil {
		s += fmt.Sprintf(" overridden from %s", v.Overridden.Price) + r.approved(v.Overridden.Approved)
	}
	if v.Offer != nil {
		s += fmt.Sprintf(" offer %s %s", v.Offer.Offer, v.Offer.Amount.Decimal(r.digits))
	}
	if v.Discount != nil {
		s += fmt.Sprintf(" discount %s", v.Discount.Amount.Decimal(r.digits)) + r.approved(v.Discount.Approved)
	}
	if o := v.Original; o != nil {
		s += fmt.Sprintf(" of receipt %s line %d discounted %s", o.Receipt, o.Line, o.Discount.Decimal(r.digits))
		if o.Reservation != "" {
			s += " reservation " + o.Reservation
		}
	}
	for _, part := range [][2]string{{"barcode", v.Barcode}, {"serial", v.Serial}, {"comment", v.Comment}} {
		if part[1] != "" {
			s += fmt.Sprintf(" %s %q", part[0], part[1])
		}
	}
	if v.Linked != nil {
		s += fmt.Sprintf(" with line %d", v.Linked.To)
	}
	if v.TaxOverride != nil {
		s += " taxed " + v.TaxOverride.Override + r.approved(v.TaxOverride.Approved)
	}
	if v.PriceKeyed {
		s += fmt.Sprintf(" keyed %q", v.Description)
	}
	if v.GiftCard != nil {
		inner := renderer{digits: r.digits}
		inner.fields(reflect.ValueOf(v.GiftCard).Elem())
		s += " on" + inner.inline.String()
	}
	return s
}

func (r *renderer) totals(t events.Totals) string {
	s := fmt.Sprintf("lines %d", t.Lines)
	for _, part := range []struct {
		name   string
		amount events.Money
		shown  bool
	}{
		{"discount", t.Discount, t.Discount != 0},
		{"tax", t.Tax, true},
		{"total", t.Total, true},
		{"elsewhere", t.Elsewhere, t.Elsewhere != 0},
		{"paid", t.Paid, t.Paid != 0},
		{"due", t.Due, true},
	} {
		if part.shown {
			s += " " + part.name + " " + part.amount.Decimal(r.digits)
		}
	}
	return s
}
