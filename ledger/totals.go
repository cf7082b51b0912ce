package ledger

import (
	"cmp"
	"iter"
	"math/bits"
	"slices"

	"github.com/posnode/posnode/events"
)

// Discount is the discount on a whole transaction: an amount or a percentage.
type Discount struct {
	Amount  events.Money   `json:"amount,omitempty"`
	Percent events.Percent `json:"percent,omitzero"`
}

// None says that there is no discount.
func (d Discount) None() bool { return d.Amount == 0 && d.Percent.IsZero() }

// sums are what the live lines of a transaction add up to before a total
// discount. They are kept up to date line by line, so that a line costs the same
// on a cart of a thousand as on an empty one.
type sums struct {
	Lines        int          `json:"lines"`
	Net          events.Money `json:"net"`
	Discountable events.Money `json:"discountable"` // net of the sold lines that a total discount may touch
	Tax          events.Money `json:"tax"`
	Returned     events.Money `json:"returned,omitempty"` // of the returned lines, positive
	Text         int          `json:"text"`               // bytes of text on all lines, voided ones too: they stand in the document
}

// plus adds line with a sign of 1, or takes it away with -1; of a voided line only its text counts.
func (s sums) plus(line *Line, sign events.Money, taxIncluded bool) sums {
	s.Text += int(sign) * (len(line.Description) + len(line.Comment) + len(line.Serial) + len(line.Barcode))
	if line.Voided {
		return s
	}
	s.Lines += int(sign)
	amount := line.Amount()
	s.Net += sign * amount
	if line.discountable() {
		s.Discountable += sign * amount
	}
	if line.Quantity.Sign() < 0 {
		s.Returned -= sign * amount
	}
	s.Tax += sign * taxSum(amount, line.Taxes, taxIncluded)
	return s
}

// discountable says whether a total discount touches the line: never one that is
// returned, because what was paid for it stands on another document.
func (l *Line) discountable() bool {
	return !l.Voided && !l.NotDiscountable && l.Quantity.Sign() > 0 && l.Amount() > 0
}

// totalsOf is how a transaction stands whose live lines add up to s. The lines
// themselves are walked only where there is a total discount to spread.
func (t *Transaction) totalsOf(s sums, discount Discount, lines iter.Seq[*Line]) events.Totals {
	out := events.Totals{Lines: s.Lines, Subtotal: s.Net, Discount: discount.on(s.Discountable), Tax: s.Tax, Paid: t.paid()}
	if out.Discount != 0 {
		out.Tax = 0
		live := slices.Collect(lines)
		for i, share := range spreadDiscount(out.Discount, live) {
			if !live[i].Voided {
				out.Tax += taxSum(live[i].Amount()-share, live[i].Taxes, t.Terms.TaxIncluded)
			}
		}
	}
	out.Total = out.Subtotal - out.Discount
	if !t.Terms.TaxIncluded {
		out.Total += out.Tax
	}
	out.Elsewhere = t.elsewhere(out.Total)
	out.Due = out.Total - out.Elsewhere - out.Paid
	return out
}

// on is the discount in money on lines worth discountable: never more than they are worth.
func (d Discount) on(discountable events.Money) events.Money {
	if !d.Percent.IsZero() {
		return d.Percent.Of(discountable)
	}
	return min(d.Amount, discountable)
}

// spreadDiscount gives each line its share of a total discount, in proportion to what
// its own discounts leave of it.
func spreadDiscount(discount events.Money, lines []*Line) []events.Money {
	weights := make([]events.Money, len(lines))
	for i, line := range lines {
		if line.discountable() {
			weights[i] = line.Amount()
		}
	}
	return spread(discount, weights)
}

// spread divides amount over weights by largest remainder: each share is the
// exact one rounded down, and the units that are left go to the shares that lost
// most by it, the earlier first. The shares always sum to amount. Weights must not be negative.
func spread(amount events.Money, weights []events.Money) []events.Money {
	shares := make([]events.Money, len(weights))
	var total events.Money
	for _, w := range weights {
		total += w
	}
	if amount == 0 || total == 0 {
		return shares
	}
	sign := events.Money(1)
	if amount < 0 {
		sign, amount = -1, -amount
	}
	type rest struct {
		index     int
		remainder events.Money
	}
	var rests []rest
	left := amount
	for i, w := range weights {
		if w == 0 {
			continue
		}
		q, r := divide(amount, w, total)
		shares[i] = sign * q
		left -= q
		rests = append(rests, rest{i, r})
	}
	slices.SortStableFunc(rests, func(a, b rest) int { return cmp.Compare(b.remainder, a.remainder) })
	for _, r := range rests[:left] {
		shares[r.index] += sign
	}
	return shares
}

// divide is amount x weight / total, rounded down, and what is left. The product may exceed 64 bits.
func divide(amount, weight, total events.Money) (quotient, remainder events.Money) {
	hi, lo := bits.Mul64(uint64(amount), uint64(weight))
	q, r := bits.Div64(hi, lo, uint64(total))
	return events.Money(q), events.Money(r)
}

// taxSum is the tax on net at all rates together, rounded once for the line. With
// taxIncluded, net holds the tax.
func taxSum(net events.Money, rates []events.TaxRate, taxIncluded bool) events.Money {
	var millionths int64
	for _, r := range rates {
		millionths += r.Rate.Millionths()
	}
	if millionths == 0 {
		return 0
	}
	if taxIncluded {
		return net.MulDiv(millionths, 1_000_000+millionths)
	}
	return net.MulDiv(millionths, 1_000_000)
}

// taxShares divides a line's tax over its rates.
func taxShares(tax events.Money, rates []events.TaxRate) []events.Money {
	weights := make([]events.Money, len(rates))
	for i, r := range rates {
		weights[i] = events.Money(r.Rate.Millionths())
	}
	return spread(tax, weights)
}
