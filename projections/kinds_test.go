package projections

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/posnode/posnode/ledger"
)

// TestRecordsAtTheirLimits: of each rule for a record of reference data, the last value that it allows and the first that it does not.
func TestRecordsAtTheirLimits(t *testing.T) {
	product := func(format string) func(string) string {
		return func(value string) string {
			return `{"product":"X","description":"x","price":"1","unit":"pc",` + strings.ReplaceAll(format, "$", value) + `}`
		}
	}
	store := func(format string) func(string) string {
		return func(value string) string {
			return `{"currency":"GBP","max_quantity":"1",` + strings.ReplaceAll(format, "$", value) + `}`
		}
	}
	order := func(format string) func(string) string {
		return func(value string) string {
			return `{"order":"O","store":"s001","status":"open","customer":"C",` + strings.ReplaceAll(format, "$", value) + `}`
		}
	}
	list := func(n int, of string) string { return strings.TrimSuffix(strings.Repeat(of+",", n), ",") }
	line, linked := `{"line":1,"product":"X"}`, `{"product":"Y"}`
	for _, c := range []struct {
		kind         string
		record       func(string) string
		sound, wrong []string
	}{
		{"product", func(v string) string { return fmt.Sprintf(`{"product":"X","price":%q}`, v) }, []string{"0", "0.01"}, []string{"-0.01"}},
		{"product", product(`"quantity_decimals":$`), []string{"0", "4"}, []string{"-1", "5"}},
		{"product", product(`"taxes":[{"code":"S","rate":"$"}]`), []string{"0", "20"}, []string{"-0.1"}},
		{"product", product(`"linked":[$]`), []string{list(ledger.MaxLinked, linked)}, []string{list(ledger.MaxLinked+1, linked), `{"product":""}`, `{"product":"X"}`}},
		{"product", product(`"linked":[{"product":"Y","quantity":"$"}]`), []string{"0", "1"}, []string{"-1"}},
		{"product", product(`"units":[{"unit":"box","factor":"$"}]`), []string{"0.0001", "12"}, []string{"0", "-1"}},
		{"product", product(`"units":[{"unit":"$","factor":"1"}]`), []string{"box"}, []string{"", "pc"}},
		{"product", product(`"units":[{"unit":"box","factor":"1","quantity_decimals":$}]`), []string{"0", "4"}, []string{"-1", "5"}},
		{"product", product(`"units":[{"unit":"box","factor":"1","price":"$"}]`), []string{"0"}, []string{"-1"}},
		{"product", product(`"variants":[{"variant":"S","price":"$"}]`), []string{"0"}, []string{"-1"}},
		{"product", product(`"prices":[{"price":"$"}]`), []string{"0"}, []string{"-1"}},
		{"product", product(`"prices":[{"price":"1","min_quantity":"$"}]`), []string{"0"}, []string{"-1"}},
		{"product", product(`"offers":[{"offer":"O","percent":"$"}]`), []string{"0.1", "100"}, []string{"0", "-1", "100.0001"}},
		{"product", product(`"offers":[{"offer":"O","amount_off":"$"}]`), []string{"0.01"}, []string{"0", "-1"}},
		{"product", product(`"offers":[{"offer":"O","percent":"1","min_quantity":"$"}]`), []string{"0"}, []string{"-1"}},
		{"product", product(`"offers":[{"offer":"O",$}]`), []string{`"percent":"1"`}, []string{`"percent":"1","amount_off":"1"`}},
		{"barcode", func(v string) string { return fmt.Sprintf(`{"barcode":"1","product":"X","quantity":%q}`, v) }, []string{"0", "1"}, []string{"-1"}},
		{"store", store(`"digits":$`), []string{"0", "4"}, []string{"-1", "5"}},
		{"store", store(`"currencies":{"EUR":{"digits":$}}`), []string{"0", "4"}, []string{"-1", "5"}},
		{"store", store(`"currencies":{"$":{"digits":2}}`), []string{"EUR"}, []string{"EU", "EURO"}},
		{"store", store(`"sign_on":{"failures":$}`), []string{"0", "3"}, []string{"-1"}},
		{"store", store(`"sign_on":{"minutes":$}`), []string{"0", "1440"}, []string{"-1", "1441"}},
		{"store", store(`"line_tax_overrides":[{"override":"X","taxes":[{"code":"S","rate":"$"}]}]`), []string{"0"}, []string{"-1"}},
		{"store", store(`"tenders":{"cash":{"id":"cash","kind":"cash","round_to":$}}`), []string{"0", "5"}, []string{"-1"}},
		{"store", store(`"tenders":{"check":{"id":"check","kind":"check","change":"$"}}`), []string{"", "check"}, []string{"cash"}},
		{"store", store(`"tenders":{"card":{"id":"card","kind":"card","over_paid":$}}`), []string{"false"}, []string{"true"}},
		{"store", store(`"cash":{"accounts":{"A":{"kind":"$"}}}`), []string{"income", "expense"}, []string{"", "loss"}},
		{"order", order(`"lines":[$]`), []string{line, list(ledger.MaxLines, line)}, []string{"", list(ledger.MaxLines+1, line)}},
		{"order", order(`"lines":[` + line + `],"deposit":$`), []string{"0", "1"}, []string{"-1"}},
		{"order", order(`"lines":[` + line + `],"total_discount":$`), []string{"0", "1"}, []string{"-1"}},
		{"order", order(`"lines":[` + line + `],"as_of":"$"`), []string{"", "2026-03-02T12:00:00Z"}, []string{"2026-03-02", "2026-03-02T12:00:00+01:00"}},
	} {
		for _, value := range c.sound {
			_, _, err := kinds[c.kind].inspect([]byte(c.record(value)), true)
			require.NoError(t, err, "%s %.200s", c.kind, c.record(value))
		}
		for _, value := range c.wrong {
			_, _, err := kinds[c.kind].inspect([]byte(c.record(value)), true)
			require.Error(t, err, "%s %.200s", c.kind, c.record(value))
		}
	}
}
