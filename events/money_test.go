package events

import (
	"encoding/json"
	"math/big"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// TestDecimals shows that one value has one form, and that only a plain decimal within the limits
// is accepted.
func TestDecimals(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"6", "6"}, {"6.0", "6"}, {"6.50", "6.5"}, {"0.125", "0.125"}, {"-0.125", "-0.125"}, {"006", "6"},
		{"0", "0"}, {"-0", "0"}, {"0.0000", "0"}, {"-0.0", "0"}, {"100", "100"}, {"1000000", "1000000"},
		{"10000000", "10000000"}, {"-10000000", "-10000000"}, {"10000000.0000", "10000000"}, {"0.00010000000", "0.0001"},
	} {
		q, err := ParseQuantity(c.in)
		require.NoError(t, err, c.in)
		require.Equal(t, c.want, q.String(), c.in)
		b, err := json.Marshal(q)
		require.NoError(t, err)
		require.Equal(t, `"`+c.want+`"`, string(b), c.in)
		var back Quantity
		require.NoError(t, json.Unmarshal(b, &back))
		require.Equal(t, q, back, "%s: equal values must be equal in memory too", c.in)
	}
	for _, in := range []string{
		"", "-", ".", "1.", ".5", "-.5", "+1", "--1", "1e3", "1E3", "1e999999999", "NaN", "Inf", "0x10", "1_000", "1,5", " 1", "1 ", "٣", "１",
		"1\x00", "0.00001", "10000000.0001", "-10000001", strings.Repeat("0", 33), strings.Repeat("9", 1<<20),
	} {
		q, err := ParseQuantity(in)
		require.Error(t, err, "%.40q", in)
		require.Less(t, len(err.Error()), 100, "%.40q", in)
		require.Zero(t, q, "%.40q", in)
	}
}

func TestLimitsOfDecimals(t *testing.T) {
	for _, c := range []struct {
		name  string
		parse func(string) error
		good  []string
		bad   []string
	}{
		{"price", func(s string) error { _, err := ParsePrice(s); return err },
			[]string{"1000000000", "-1000000000", "0.000001", "999999999.999999"},
			[]string{"1000000000.000001", "-1000000001", "0.0000001", strings.Repeat("1", 40)}},
		{"percent", func(s string) error { _, err := ParsePercent(s); return err },
			[]string{"1000", "-1000", "0.0001", "17.5"},
			[]string{"1000.0001", "-1001", "0.00001", "17.5 %"}},
		{"pounds", func(s string) error { _, err := ParseMoney(s, 2); return err },
			[]string{"10000000000.00", "-10000000000", "0.01", "12.30", "12.300"},
			[]string{"10000000000.01", "0.001", "1e2", ""}},
		{"yen", func(s string) error { _, err := ParseMoney(s, 0); return err },
			[]string{"1000000000000", "5", "5.0"},
			[]string{"1000000000001", "0.5"}},
		{"dinars", func(s string) error { _, err := ParseMoney(s, 3); return err },
			[]string{"1000000000.000", "0.001"},
			[]string{"1000000000.001", "0.0001"}},
	} {
		for _, s := range c.good {
			require.NoError(t, c.parse(s), "%s %s", c.name, s)
		}
		for _, s := range c.bad {
			require.Error(t, c.parse(s), "%s %s", c.name, s)
		}
	}
}

func TestMoney(t *testing.T) {
	for _, c := range []struct {
		m      Money
		digits int
		want   string
	}{{1230, 2, "12.30"}, {-5, 2, "-0.05"}, {0, 2, "0.00"}, {1230, 0, "1230"}, {1, 3, "0.001"}, {MaxMoney, 2, "10000000000.00"}} {
		require.Equal(t, c.want, c.m.Decimal(c.digits))
		back, err := ParseMoney(c.want, c.digits)
		require.NoError(t, err)
		require.Equal(t, c.m, back)
	}

	// Half away from zero, on both sides.
	for _, c := range []struct {
		m        Money
		num, den int64
		want     Money
	}{
		{5, 1, 2, 3}, {-5, 1, 2, -3}, {4, 1, 3, 1}, {5, 1, 3, 2}, {-4, 1, 3, -1}, {-5, 1, 3, -2}, {1, 1, 2, 1}, {-1, 1, 2, -1},
		{1, 1, 3, 0}, {0, 7, 3, 0}, {100, 0, 3, 0}, {1000, 200_000, 1_200_000, 167}, {1080, 50_000, 1_050_000, 51},
		{MaxMoney, 10_000_000, 1_000_000, 10 * MaxMoney}, // 1000 % of the largest amount
		{1<<63 - 1, 1<<63 - 1, 1<<63 - 1, 1<<63 - 1},
	} {
		require.Equal(t, c.want, c.m.MulDiv(c.num, c.den), "%d x %d / %d", c.m, c.num, c.den)
	}
	for _, c := range []struct{ num, den int64 }{{-1, 1}, {1, 0}, {1, -1}, {1 << 62, 1}} {
		require.Panics(t, func() { MaxMoney.MulDiv(c.num, c.den) }, "better no amount than any")
	}
	for _, c := range []struct{ m, unit, want Money }{
		{797, 5, 795}, {798, 5, 800}, {-797, 5, -795}, {-798, 5, -800}, {2, 5, 0}, {3, 5, 5}, {-2, 5, 0}, {-3, 5, -5},
		{50, 100, 100}, {-50, 100, -100}, {49, 100, 0}, {123, 1, 123}, {123, 0, 123}, {123, -5, 123},
	} {
		require.Equal(t, c.want, c.m.RoundTo(c.unit), "%d to %d", c.m, c.unit)
	}
	require.Equal(t, Money(175), sample(ParsePercent("17.5")).Of(1000))
	require.Equal(t, Money(-1), sample(ParsePercent("50")).Of(-1))
	require.Equal(t, int64(175_000), sample(ParsePercent("17.5")).Millionths())
	require.Equal(t, int64(1), sample(ParsePercent("0.0001")).Millionths())
}

func TestPriceTimesQuantity(t *testing.T) {
	for _, c := range []struct {
		price, quantity string
		digits          int
		want            Money
	}{
		{"2.55", "6", 2, 1530}, {"0.001", "1000", 2, 100}, {"0.001", "5", 2, 1}, {"0.001", "4", 2, 0}, {"0.001", "-5", 2, -1},
		{"3.49", "1.255", 2, 438}, {"2.5", "1", 0, 3}, {"2.5", "-1", 0, -3}, {"0.0005", "1", 3, 1}, {"-1.005", "1", 2, -101},
		{"1000000000", "10", 2, MaxMoney},
	} {
		m, err := sample(ParsePrice(c.price)).Times(sample(ParseQuantity(c.quantity)), c.digits)
		require.NoError(t, err)
		require.Equal(t, c.want, m, "%s x %s", c.price, c.quantity)
	}
	for _, c := range []struct{ price, quantity string }{{"1000000000", "10.0001"}, {"1000000000", "10000000"}, {"-1000000000", "10000000"}} {
		_, err := sample(ParsePrice(c.price)).Times(sample(ParseQuantity(c.quantity)), 2)
		require.Error(t, err, "%s x %s", c.price, c.quantity)
	}
}

// TestMoneyProperties compares the integer arithmetic with big numbers.
func TestMoneyProperties(t *testing.T) {
	big64 := func(n int64) *big.Int { return big.NewInt(n) }
	// roundedQuotient is n/d, half away from zero.
	roundedQuotient := func(n, d *big.Int) *big.Int {
		q, r := new(big.Int).QuoRem(new(big.Int).Abs(n), d, new(big.Int))
		if r.Lsh(r, 1).Cmp(d) >= 0 {
			q.Add(q, big64(1))
		}
		return q.Mul(q, big64(int64(n.Sign())))
	}
	t.Run("MulDiv", rapid.MakeCheck(func(t *rapid.T) {
		m := rapid.Int64Range(-1<<62, 1<<62).Draw(t, "m")
		num := rapid.Int64Range(0, 1<<62).Draw(t, "num")
		den := rapid.Int64Range(1, 1<<62).Draw(t, "den")
		want := roundedQuotient(new(big.Int).Mul(big64(m), big64(num)), big64(den))
		if !want.IsInt64() {
			t.Skip("the result is beyond 64 bits")
		}
		require.Equal(t, want.Int64(), int64(Money(m).MulDiv(num, den)))
	}))
	t.Run("RoundTo", rapid.MakeCheck(func(t *rapid.T) {
		m := Money(rapid.Int64Range(-int64(MaxMoney), int64(MaxMoney)).Draw(t, "m"))
		unit := Money(rapid.Int64Range(2, 10_000).Draw(t, "unit"))
		got := m.RoundTo(unit)
		require.Zero(t, got%unit)
		require.Equal(t, got, got.RoundTo(unit))
		require.Equal(t, -got, (-m).RoundTo(unit), "what is bought and brought back rounds alike")
		distance := max(m-got, got-m)
		require.LessOrEqual(t, 2*distance, unit)
		if 2*distance == unit {
			require.Greater(t, max(got, -got), max(m, -m), "a half goes away from zero")
		}
	}))
	t.Run("Times", rapid.MakeCheck(func(t *rapid.T) {
		units := rapid.Int64Range(-1_000_000_000_000, 1_000_000_000_000).Draw(t, "millionths of price")
		parts := rapid.Int64Range(-100_000_000, 100_000_000).Draw(t, "ten-thousandths of quantity")
		digits := rapid.IntRange(0, 3).Draw(t, "digits")
		price, quantity := sample(ParsePrice(Money(units).Decimal(6))), sample(ParseQuantity(Money(parts).Decimal(4)))
		exact := new(big.Int).Mul(big64(units), big64(parts))
		exact.Mul(exact, new(big.Int).Exp(big64(10), big64(int64(digits)), nil))
		want := roundedQuotient(exact, big64(10_000_000_000))
		got, err := price.Times(quantity, digits)
		if want.CmpAbs(big64(int64(MaxMoney))) > 0 {
			require.Error(t, err)
			return
		}
		require.NoError(t, err)
		require.Equal(t, want.Int64(), int64(got))
	}))
	t.Run("one form", rapid.MakeCheck(func(t *rapid.T) {
		n := rapid.Int64Range(-100_000_000_000, 100_000_000_000).Draw(t, "n")
		zeros := strings.Repeat("0", rapid.IntRange(0, 5).Draw(t, "zeros"))
		long, short := sample(ParseQuantity(Money(n).Decimal(4)+zeros)), sample(ParseQuantity(Money(n).Decimal(4)))
		require.Equal(t, short, long)
		require.False(t, strings.Contains(short.String(), ".") && strings.HasSuffix(short.String(), "0"), short.String())
		m := rapid.Int64Range(-100_000, 100_000).Draw(t, "m")
		sum := short.Add(sample(ParseQuantity(Money(m).Decimal(4))))
		want, err := ParseQuantity(Money(n + m).Decimal(4))
		if err == nil {
			require.Equal(t, want.String(), sum.String())
			require.Equal(t, 0, want.Cmp(sum))
			require.LessOrEqual(t, sum.Decimals(), QuantityDecimals)
		}
	}))
}
