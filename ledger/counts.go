package ledger

import (
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/posnode/posnode/events"
)

// KindCounts is a list of amounts by tender, each an object
//
//	{"tender": "cash", "currency": "GBP", "amount": 12050}
//	{"tender": "cash", "denominations": [{"value": 5000, "count": 2}, {"value": 50, "count": 41}]}
//
// with the store's currency if it names none, and in minor units.
const KindCounts Kind = "counts"

// maxDenominations bounds the denominations of one count.
const maxDenominations = 50

// readCounts reads a list of at most limit counts.
func readCounts(raw any, limit int) (any, error) {
	list, ok := raw.([]any)
	if !ok || len(list) == 0 || len(list) > limit {
		return nil, fmt.Errorf("want a list of 1 to %d counts", limit)
	}
	var counts []events.Count
	for i, v := range list {
		c, err := readCount(v)
		if err != nil {
			return nil, fmt.Errorf("count %d: %w", i+1, err)
		}
		for _, other := range counts {
			if other.Tender == c.Tender && other.Currency == c.Currency {
				return nil, fmt.Errorf("count %d: %s is counted twice", i+1, c.Tender)
			}
		}
		counts = append(counts, c)
	}
	return counts, nil
}

func readCount(raw any) (c events.Count, err error) {
	fields, err := object(raw, "tender", "currency", "amount", "denominations")
	if err != nil {
		return c, err
	}
	tender, err := Parameter{Required: true, Max: 40}.readText(text(fields["tender"]))
	if err != nil {
		return c, fmt.Errorf("tender: %w", err)
	}
	c.Tender, c.Currency = events.TenderID(tender), text(fields["currency"])
	if _, given := fields["currency"]; given && !isCurrency(c.Currency) {
		return c, fmt.Errorf("currency: want an ISO 4217 code")
	}
	_, hasAmount := fields["amount"]
	parts, hasParts := fields["denominations"]
	if hasAmount == hasParts {
		return c, fmt.Errorf("want either an amount or denominations")
	}
	if hasAmount {
		n, err := whole(fields["amount"], int64(events.MaxMoney))
		c.Amount = events.Money(n)
		return c, err
	}
	list, ok := parts.([]any)
	if !ok || len(list) == 0 || len(list) > maxDenominations {
		return c, fmt.Errorf("denominations: want a list of 1 to %d", maxDenominations)
	}
	for _, v := range list {
		d, err := readDenomination(v)
		if err != nil {
			return c, fmt.Errorf("denominations: %w", err)
		}
		c.Denominations = append(c.Denominations, d)
		if c.Amount += d.Value * events.Money(d.Count); c.Amount > events.MaxMoney {
			return c, fmt.Errorf("denominations come to more than the largest amount")
		}
	}
	return c, nil
}

func readDenomination(raw any) (d events.Denomination, err error) {
	fields, err := object(raw, "value", "count")
	if err != nil {
		return d, err
	}
	value, err := whole(fields["value"], 1_000_000_000)
	if err != nil || value == 0 {
		return d, fmt.Errorf("want a value above 0")
	}
	count, err := whole(fields["count"], 1_000_000)
	if err != nil {
		return d, fmt.Errorf("count: %w", err)
	}
	return events.Denomination{Value: events.Money(value), Count: int(count)}, nil
}

// object is a JSON object with no names but those.
func object(raw any, names ...string) (map[string]any, error) {
	fields, ok := raw.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("want an object")
	}
	known := 0
	for _, name := range names {
		if _, given := fields[name]; given {
			known++
		}
	}
	if known < len(fields) {
		return nil, fmt.Errorf("want no other names than %v", names)
	}
	return fields, nil
}

func text(raw any) string { s, _ := raw.(string); return s }

func whole(raw any, limit int64) (int64, error) {
	n, _ := raw.(json.Number)
	v, err := strconv.ParseInt(string(n), 10, 64)
	if err != nil || v < 0 || v > limit {
		return 0, fmt.Errorf("want a whole number from 0 to %d", limit)
	}
	return v, nil
}

// isCurrency says whether s has the form of an ISO 4217 code.
func isCurrency(s string) bool {
	for _, r := range s {
		if r < 'A' || r > 'Z' {
			return false
		}
	}
	return len(s) == 3
}

func (v values) counts(name string) []events.Count { c, _ := v[name].([]events.Count); return c }
