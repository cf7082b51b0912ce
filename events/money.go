package events

import (
	"fmt"
	"math/bits"
	"strings"

	"github.com/shopspring/decimal"
)

// Money is an amount in minor units (pence, cents) of the currency that its
// document names. JSON: an integer.
type Money int64

// MaxMoney bounds every single amount, in minor units, so that the sum of
// anything that fits in one journal stays far inside an int64.
const MaxMoney Money = 1_000_000_000_000

// Decimal writes m with the digits of its currency: Money(1230).Decimal(2) is "12.30".
func (m Money) Decimal(digits int) string {
	return decimal.New(int64(m), -int32(digits)).StringFixed(int32(digits))
}

// MulDiv is m times num divided by den, rounded once, half away from zero.
// num must not be negative and den must be positive; the product may exceed 64 bits,
// the result must not.
func (m Money) MulDiv(num, den int64) Money {
	if num < 0 || den <= 0 {
		panic(fmt.Sprintf("amount times %d / %d", num, den)) // the result would be any number
	}
	negative := m < 0
	if negative {
		m = -m
	}
	hi, lo := bits.Mul64(uint64(m), uint64(num))
	lo, carry := bits.Add64(lo, uint64(den)/2, 0)
	q, _ := bits.Div64(hi+carry, lo, uint64(den))
	if negative {
		return -Money(q)
	}
	return Money(q)
}

// RoundTo is m rounded to the nearest multiple of unit, half away from zero. A unit of 0 or 1 changes nothing.
func (m Money) RoundTo(unit Money) Money {
	if unit <= 1 {
		return m
	}
	return m.MulDiv(1, int64(unit)) * unit
}

// ParseMoney reads an amount in major units, such as "12.30", with no more
// decimals than digits allows and no larger than [MaxMoney].
func ParseMoney(s string, digits int) (Money, error) {
	d, err := parseDecimal(s, int32(digits), decimal.New(int64(MaxMoney), -int32(digits)))
	if err != nil {
		return 0, err
	}
	return Money(d.Shift(int32(digits)).IntPart()), nil
}

// Quantity is how much of a product, in its unit: an exact decimal, negative for
// a return. JSON: a string such as "6" or "-0.125".
type Quantity struct{ d decimal.Decimal }

// Price is the price of one unit of a product, in major units of the currency: an exact decimal
// that may be finer than the currency's minor unit. JSON: a string such as "2.55".
type Price struct{ d decimal.Decimal }

// Percent is a rate such as "17.5" for 17.5 %: an exact decimal. JSON: a string.
type Percent struct{ d decimal.Decimal }

// Limits of the exact decimals. Percent goes up to 1000 because a tax can exceed the price it is levied on.
const (
	QuantityDecimals = 4
	PriceDecimals    = 6
	PercentDecimals  = 4
)

var (
	maxQuantity = decimal.New(10_000_000, 0)
	maxPrice    = decimal.New(1_000_000_000, 0)
	maxPercent  = decimal.New(1000, 0)
)

// ParseQuantity reads an exact decimal of at most 4 decimals between -10,000,000 and 10,000,000.
func ParseQuantity(s string) (Quantity, error) {
	d, err := parseDecimal(s, QuantityDecimals, maxQuantity)
	return Quantity{d}, err
}

// ParsePrice reads an exact decimal of at most 6 decimals between -1,000,000,000 and 1,000,000,000.
// Whether a negative price may be charged is for the ledger to say.
func ParsePrice(s string) (Price, error) {
	d, err := parseDecimal(s, PriceDecimals, maxPrice)
	return Price{d}, err
}

// ParsePercent reads an exact decimal of at most 4 decimals between -1000 and 1000.
func ParsePercent(s string) (Percent, error) {
	d, err := parseDecimal(s, PercentDecimals, maxPercent)
	return Percent{d}, err
}

// parseDecimal reads s in plain notation. It looks at the length first, so that
// a number of a megabyte costs nothing, and refuses exponents, which turn a few bytes into a huge number.
func parseDecimal(s string, decimals int32, limit decimal.Decimal) (decimal.Decimal, error) {
	if len(s) > 32 {
		return decimal.Decimal{}, fmt.Errorf("%.32s...: number is longer than 32 characters", s)
	}
	whole, fraction, dot := strings.Cut(strings.TrimPrefix(s, "-"), ".")
	if !digitsOnly(whole) || dot && !digitsOnly(fraction) {
		return decimal.Decimal{}, fmt.Errorf("%q is not a plain decimal number", s)
	}
	d, err := decimal.NewFromString(s)
	if err != nil {
		return decimal.Decimal{}, fmt.Errorf("%q is not a plain decimal number", s)
	}
	if d.Abs().GreaterThan(limit) {
		return decimal.Decimal{}, fmt.Errorf("%s is beyond the limit of %s", s, limit)
	}
	if fraction = strings.TrimRight(fraction, "0"); len(fraction) > int(decimals) {
		return decimal.Decimal{}, fmt.Errorf("%s has more than %d decimals", s, decimals)
	}
	// One value, one form: 6.0 and 6 must encode alike.
	return d.Truncate(int32(len(fraction))), nil
}

func digitsOnly(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}

// NewQuantity is the whole number n.
func NewQuantity(n int64) Quantity { return Quantity{decimal.New(n, 0)} }

// Sign is -1, 0 or 1.
func (q Quantity) Sign() int { return q.d.Sign() }

// Neg is -q.
func (q Quantity) Neg() Quantity { return Quantity{q.d.Neg()} }

// Add is q + r.
func (q Quantity) Add(r Quantity) Quantity { return Quantity{canonical(q.d.Add(r.d))} }

// Cmp is -1, 0 or 1 as q is less than, equal to or greater than r.
func (q Quantity) Cmp(r Quantity) int { return q.d.Cmp(r.d) }

// Sub is q - r.
func (q Quantity) Sub(r Quantity) Quantity { return q.Add(r.Neg()) }

// Times is q r's, rounded half away from zero to [QuantityDecimals].
func (q Quantity) Times(r Quantity) Quantity {
	return Quantity{canonical(q.d.Mul(r.d).Round(QuantityDecimals))}
}

// TenThousandths is q as a number of ten-thousandths: 1.5 is 15,000. [Money.MulDiv] takes it.
func (q Quantity) TenThousandths() int64 { return q.d.Shift(QuantityDecimals).IntPart() }

// Decimals is how many decimals q has: 3 for 0.125.
func (q Quantity) Decimals() int { return int(max(0, -q.d.Exponent())) }

// Decimal is q as a number to calculate with.
func (q Quantity) Decimal() decimal.Decimal { return q.d }

// Sign is -1, 0 or 1.
func (p Price) Sign() int { return p.d.Sign() }

// Cmp is -1, 0 or 1 as p is less than, equal to or greater than r.
func (p Price) Cmp(r Price) int { return p.d.Cmp(r.d) }

// Decimal is p as a number to calculate with.
func (p Price) Decimal() decimal.Decimal { return p.d }

// Times is the amount of q units at p each, in minor units of a currency with
// that many digits: the exact product rounded once, half away from zero.
// It fails where the amount is beyond [MaxMoney].
func (p Price) Times(q Quantity, digits int) (Money, error) {
	exact := p.d.Mul(q.d).Shift(int32(digits)).Round(0)
	if exact.Abs().GreaterThan(decimal.New(int64(MaxMoney), 0)) {
		return 0, fmt.Errorf("%s x %s is beyond the largest amount", q, p)
	}
	return Money(exact.IntPart()), nil
}

// Decimals is how many decimals p has: 2 for 2.55.
func (p Price) Decimals() int { return int(max(0, -p.d.Exponent())) }

// TimesUnits returns the price of a unit that holds q others at price p each, rounded half away
// from zero to [PriceDecimals]. It fails where that is beyond the largest price.
func (p Price) TimesUnits(q Quantity) (Price, error) {
	d := canonical(p.d.Mul(q.d).Round(PriceDecimals))
	if d.Abs().GreaterThan(maxPrice) {
		return Price{}, fmt.Errorf("%s x %s is beyond the largest price", q, p)
	}
	return Price{d}, nil
}

// Sign is -1, 0 or 1.
func (p Percent) Sign() int { return p.d.Sign() }

// Cmp is -1, 0 or 1 as p is less than, equal to or greater than r.
func (p Percent) Cmp(r Percent) int { return p.d.Cmp(r.d) }

// Millionths is the rate as a number of millionths: 17.5 % is 175,000. [Money.MulDiv] takes it.
func (p Percent) Millionths() int64 { return p.d.Shift(PercentDecimals).IntPart() }

// Of is p percent of m, rounded half away from zero. p must not be negative.
func (p Percent) Of(m Money) Money { return m.MulDiv(p.Millionths(), 1_000_000) }

func (q Quantity) String() string { return q.d.String() }
func (p Price) String() string    { return p.d.String() }
func (p Percent) String() string  { return p.d.String() }

// IsZero lets JSON omit an absent value.
func (q Quantity) IsZero() bool { return q.d.IsZero() }

// IsZero lets JSON omit an absent value.
func (p Price) IsZero() bool { return p.d.IsZero() }

// IsZero lets JSON omit an absent value.
func (p Percent) IsZero() bool { return p.d.IsZero() }

// MarshalText writes the one form of the value.
func (q Quantity) MarshalText() ([]byte, error) { return []byte(q.d.String()), nil }

// MarshalText writes the one form of the value.
func (p Price) MarshalText() ([]byte, error) { return []byte(p.d.String()), nil }

// MarshalText writes the one form of the value.
func (p Percent) MarshalText() ([]byte, error) { return []byte(p.d.String()), nil }

// UnmarshalText reads the forms that [ParseQuantity] accepts.
func (q *Quantity) UnmarshalText(b []byte) (err error) {
	*q, err = ParseQuantity(string(b))
	return err
}

// UnmarshalText reads the forms that [ParsePrice] accepts.
func (p *Price) UnmarshalText(b []byte) (err error) {
	*p, err = ParsePrice(string(b))
	return err
}

// UnmarshalText reads the forms that [ParsePercent] accepts.
func (p *Percent) UnmarshalText(b []byte) (err error) {
	*p, err = ParsePercent(string(b))
	return err
}

// canonical drops trailing zeros after the point, so that equal values have one form.
func canonical(d decimal.Decimal) decimal.Decimal {
	for d.Exponent() < 0 {
		shorter := d.Truncate(-d.Exponent() - 1)
		if !shorter.Equal(d) {
			return d
		}
		d = shorter
	}
	return d
}
