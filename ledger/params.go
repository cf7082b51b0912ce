package ledger

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/posnode/posnode/events"
)

// Kind is the type of a parameter.
type Kind string

// The kinds of parameter. Amounts are integers of minor units; exact decimals
// may come as a JSON string or as a number.
const (
	KindText     Kind = "text"     // a string of at most Max characters, no control characters
	KindQuantity Kind = "quantity" // exact decimal
	KindPrice    Kind = "price"    // exact decimal in major units
	KindPercent  Kind = "percent"  // exact decimal
	KindAmount   Kind = "amount"   // integer of minor units
	KindNumber   Kind = "number"   // integer from 0 to Max
	KindFlag     Kind = "flag"     // true or false
)

// Parameter describes one parameter of an operation.
type Parameter struct {
	Name     string `json:"name"`
	Kind     Kind   `json:"kind"`
	Required bool   `json:"required,omitempty"`
	Max      int    `json:"max,omitempty"` // characters of a text, value of a number
	Doc      string `json:"doc"`
	Free     bool   `json:"free,omitempty"`   // free text, in which no card number may stand
	Secret   bool   `json:"secret,omitempty"` // never stored, logged or hashed as it is
}

// Input is a command's parameters as its client sent them: a JSON object, read
// but not yet checked against an operation.
type Input struct {
	fields map[string]any // string, json.Number, bool, ...
}

// MaxInput is the largest parameter object in bytes.
const MaxInput = 64 << 10

// ParseInput reads the JSON object of a command's parameters. Nothing at all is an empty object.
func ParseInput(body []byte) (Input, error) {
	if len(body) > MaxInput {
		return Input{}, &Refusal{Code: "input_too_large", Why: fmt.Sprintf("The request is larger than %d bytes.", MaxInput)}
	}
	if !utf8.Valid(body) {
		return Input{}, &Refusal{Code: "malformed_input", Why: "The request is not valid UTF-8."}
	}
	fields := map[string]any{}
	if len(bytes.TrimSpace(body)) > 0 {
		dec := json.NewDecoder(bytes.NewReader(body))
		dec.UseNumber()
		if err := dec.Decode(&fields); err != nil || fields == nil {
			return Input{}, &Refusal{Code: "malformed_input", Why: "The request is not a JSON object."}
		}
		if _, err := dec.Token(); err != io.EOF {
			return Input{}, &Refusal{Code: "malformed_input", Why: "The request holds more than one JSON object."}
		}
	}
	return Input{fields}, nil
}

// digest is by what a repeated command is told from another: the operation and
// the canonical JSON of its parameters, names sorted, without the secret ones,
// which a journal must not help anyone to guess.
func (in Input) digest(op *Operation) string {
	open := map[string]any{}
	for name, v := range in.fields {
		open[name] = v
	}
	for _, p := range op.Params {
		if p.Secret {
			delete(open, p.Name)
		}
	}
	canonical, err := json.Marshal(open)
	if err != nil {
		panic(err) // a decoded JSON object always encodes
	}
	sum := sha256.Sum256(append(strconv.AppendInt(nil, int64(op.ID), 10), canonical...))
	return hex.EncodeToString(sum[:16])
}

// Text is the raw string under name, "" where there is none: for what the
// register must look at before the ledger checks it, such as a PIN.
func (in Input) Text(name string) string {
	s, _ := in.fields[name].(string)
	return s
}

// approver is the staff number of the manager who is to approve the command. It is
// looked up, and recorded where it is refused, before the parameters are checked: what
// the parameter could not hold is none.
func (in Input) approver() string {
	id, err := approvalParams[0].readText(in.Text("approver"))
	if err != nil {
		return ""
	}
	return id
}

// note is what the cashier adds to the reason of that name.
func (in Input) note(reason string) string { return strings.TrimSpace(in.Text(reason + "_note")) }

// values are parameters checked against their operation.
type values map[string]any

// check reads the input as the operation's parameters say.
func (in Input) check(params []Parameter) (values, *Refusal) {
	known := map[string]bool{}
	out := values{}
	for _, p := range params {
		known[p.Name] = true
		raw, given := in.fields[p.Name]
		if !given || raw == nil {
			if p.Required {
				return nil, refuseParameter(p.Name, "is missing")
			}
			continue
		}
		v, err := p.read(raw)
		if refusal, ok := err.(*Refusal); ok {
			return nil, refusal
		}
		if err != nil {
			return nil, refuseParameter(p.Name, "%v", err)
		}
		out[p.Name] = v
	}
	for _, name := range slices.Sorted(maps.Keys(in.fields)) {
		if !known[name] {
			return nil, refuseParameter(fmt.Sprintf("%.40s", name), "is not a parameter of this operation")
		}
	}
	return out, nil
}

// read turns one JSON value into the parameter's type.
func (p Parameter) read(raw any) (any, error) {
	switch p.Kind {
	case KindText:
		s, ok := raw.(string)
		if !ok {
			return nil, fmt.Errorf("want a text")
		}
		return p.readText(s)
	case KindCounts:
		return readCounts(raw, p.Max)
	case KindFlag:
		b, ok := raw.(bool)
		if !ok {
			return nil, fmt.Errorf("want true or false")
		}
		return b, nil
	case KindAmount, KindNumber:
		n, ok := raw.(json.Number)
		if !ok {
			return nil, fmt.Errorf("want a whole number")
		}
		v, err := strconv.ParseInt(string(n), 10, 64)
		if err != nil {
			return nil, fmt.Errorf("want a whole number, not %.40s", n)
		}
		if p.Kind == KindAmount {
			if v > int64(events.MaxMoney) || v < -int64(events.MaxMoney) {
				return nil, fmt.Errorf("%d is beyond the largest amount", v)
			}
			return events.Money(v), nil
		}
		if v < 0 || v > int64(p.Max) {
			return nil, fmt.Errorf("want a number from 0 to %d, not %d", p.Max, v)
		}
		return int(v), nil
	}
	s, ok := raw.(string)
	if n, number := raw.(json.Number); number {
		s, ok = string(n), true
	}
	if !ok {
		return nil, fmt.Errorf("want a decimal number")
	}
	switch p.Kind {
	case KindQuantity:
		return events.ParseQuantity(s)
	case KindPrice:
		return events.ParsePrice(s)
	case KindPercent:
		return events.ParsePercent(s)
	}
	panic("parameter " + p.Name + " has no kind")
}

func (p Parameter) readText(s string) (string, error) {
	s = strings.TrimSpace(s)
	if n := utf8.RuneCountInString(s); n > p.Max {
		return "", fmt.Errorf("is %d characters long, more than %d", n, p.Max)
	}
	if s == "" && p.Required {
		return "", fmt.Errorf("is empty")
	}
	if strings.ContainsFunc(s, unicode.IsControl) {
		return "", fmt.Errorf("has a control character")
	}
	if !p.Secret && !lookedUp[p.Name] {
		if err := NoCardNumber(p.Name, s); err != nil {
			return "", err
		}
	}
	return s, nil
}

// lookedUp are the parameters with numbers that are not stored unless the reference data or this
// register know them. Some of these may look like a payment card's. Every other text passes [NoCardNumber].
var lookedUp = map[string]bool{"barcode": true, "card": true, "customer": true, "order": true, "product": true, "receipt": true}

// NoCardNumber refuses a text that holds the number of a payment card: it must not be stored.
// Its error is nil or a *[Refusal] that names the field.
func NoCardNumber(field, text string) error {
	if !holdsCardNumber(text) {
		return nil
	}
	return &Refusal{
		Code: "card_number_in_text", Why: field + ": the number of a payment card stands in it, which must not be stored.",
		Parameter: field, Instead: "Leave the number out.",
	}
}

// IsDate says whether s is written as a date, YYYY-MM-DD. Whether that month has such a day
// nobody needs to know: the period of one that it has not holds nothing.
func IsDate(s string) bool {
	return len(s) == 10 && s[4] == '-' && s[7] == '-' && strings.Trim(s[:4]+s[5:7]+s[8:], "0123456789") == "" &&
		s[5:7] >= "01" && s[5:7] <= "12" && s[8:] >= "01" && s[8:] <= "31"
}

// checkDates says whether both ends of a period are dates, or absent. Its error is nil or a *Refusal.
func checkDates(from, to string) error {
	for _, p := range []struct{ name, date string }{{"from", from}, {"to", to}} {
		if p.date != "" && !IsDate(p.date) {
			return refuseParameter(p.name, "want a date as YYYY-MM-DD")
		}
	}
	if from != "" && to != "" && from > to {
		return refuseParameter("to", "is before from")
	}
	return nil
}

// has says whether the client gave the parameter.
func (v values) has(name string) bool { _, ok := v[name]; return ok }

func (v values) flag(name string) bool                { b, _ := v[name].(bool); return b }
func (v values) text(name string) string              { s, _ := v[name].(string); return s }
func (v values) number(name string) int               { n, _ := v[name].(int); return n }
func (v values) amount(name string) events.Money      { m, _ := v[name].(events.Money); return m }
func (v values) percent(name string) events.Percent   { p, _ := v[name].(events.Percent); return p }
func (v values) price(name string) events.Price       { p, _ := v[name].(events.Price); return p }
func (v values) quantity(name string) events.Quantity { q, _ := v[name].(events.Quantity); return q }
