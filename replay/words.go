package replay

import (
	"fmt"
	"strings"

	"github.com/posnode/posnode/events"
)

// People read the fields Want and Got of a finding. So amounts are written with the digits of their
// currency.

func totalsText(t events.Totals, digits int) string {
	money := func(m events.Money) string { return m.Decimal(digits) }
	s := fmt.Sprintf("%s, subtotal %s, discount %s, tax %s, total %s", plural(t.Lines, "line"), money(t.Subtotal), money(t.Discount), money(t.Tax), money(t.Total))
	if t.Elsewhere != 0 {
		s += ", elsewhere " + money(t.Elsewhere)
	}
	return s + fmt.Sprintf(", paid %s, due %s", money(t.Paid), money(t.Due))
}

func paymentText(p events.Payment, digits int) string {
	money := func(m events.Money) string { return m.Decimal(digits) }
	s := fmt.Sprintf("payment %d of %s by %s, tendered %s", p.Number, money(p.Amount), p.Tender, money(p.Tendered))
	if p.Change != 0 {
		s += ", change " + money(p.Change)
	}
	if p.Rounding != 0 {
		s += ", rounding " + money(p.Rounding)
	}
	return s
}

func paymentsText(payments []events.Payment, digits int) string {
	all := make([]string, len(payments))
	for i, p := range payments {
		all[i] = paymentText(p, digits)
	}
	if len(all) == 0 {
		return "no payment"
	}
	return strings.Join(all, "; ")
}

func termsText(t events.Terms) string {
	tax := "without tax"
	if t.TaxIncluded {
		tax = "with tax"
	}
	return fmt.Sprintf("transaction %d in %s with %s, prices %s", t.Number, t.Currency, plural(t.Digits, "digit"), tax)
}

func plural(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprintf("%d %s", n, what)
}
