package ledger

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestCardNumbers: a payment card's number is known in free text however it is written, and nothing else is taken for one.
func TestCardNumbers(t *testing.T) {
	for _, text := range []string{
		"4111111111111111", "paid with 4111 1111 1111 1111, thanks", "4111-1111-1111-1111", "4111.1111.1111.1111", "4111 - 1111 - 1111 - 1111",
		"x4111111111111111x", "378282246310005", "3782 822463 10005", "5555555555554444", "2223003122003222", "6011111111111117",
		"3530111333300000", "30569309025904", "6200000000000005", "4222222222222", "４１１１１１１１１１１１１１１１", "٤١١١١١١١١١١١١١١١",
		"4111\u200b1111\u200b1111\u200b1111", "4\u200d1\u200d1\u200d1\u20601111\ufeff1111\u00ad1111", "4111\u034f1111\ufe0f1111\u28001111", "4111\u3164111\u115f111111111",
		"4\u03011\u03011\u030111111 1111 1111", "4111\u202e1111\u202c11111111", "4111\u2011111\u201411111\u22121111", "4111·1111•1111·1111",
		"𝟜𝟙𝟙𝟙𝟙𝟙𝟙𝟙𝟙𝟙𝟙𝟙𝟙𝟙𝟙𝟙", "④①①①①①①①①①①①①①①①", "⁴¹¹¹ ¹¹¹¹ ¹¹¹¹ ¹¹¹¹", "4\U000e0031111\U000e00311111 1111 1111",
		"call 12 4111 1111 1111 1111", "exp 12/29 4111/1111/1111/1111",
	} {
		require.True(t, holdsCardNumber(text), text)
	}
	for _, text := range []string{
		"", "tea for two", "4111111111111112", "4111 1111 1111", "1234567890123456", "0000000000000000", "9999999999999995",
		"4006381333931",       // a GTIN-13
		"01KJPB5X00EXAMP1EEX", // letters between
		"411111111111111122",  // 18 digits
		"s001-r01-1-000001",   // a receipt
		"tel. +44 20 7946 0958, order 2026-11-23-0042",
		"41111111111111111111111", // longer than any card
	} {
		require.False(t, holdsCardNumber(text), text)
	}
}

// TestCardSchemes: the first and the last numbers of every range that a scheme gives out are known, and their neighbours are not.
func TestCardSchemes(t *testing.T) {
	// number is one of n digits that begins so, with a last digit that checks the others.
	number := func(begin string, n int) string {
		begin += strings.Repeat("0", n-1-len(begin))
		for last := '0'; ; last++ {
			if luhn(begin + string(last)) {
				return begin + string(last)
			}
		}
	}
	for _, c := range []struct {
		begins []string
		digits []int // and no other from 13 to 19
	}{
		{[]string{"40", "49"}, []int{13, 16, 19}},
		{[]string{"51", "55", "2221", "2720"}, []int{16}},
		{[]string{"34", "37"}, []int{15}},
		{[]string{"300", "305", "36", "38", "39"}, []int{14, 15, 16, 17, 18, 19}},
		{[]string{"3528", "3589"}, []int{16, 17, 18, 19}},
		{[]string{"50", "56", "60", "62", "69"}, []int{13, 14, 15, 16, 17, 18, 19}},
		{[]string{"2220", "2721", "299", "306", "33", "3527", "3590", "70", "19"}, nil},
	} {
		for _, begin := range c.begins {
			for n := 13; n <= 19; n++ {
				card := number(begin, n)
				if n == 13 && gtin13(card) {
					continue // it could as well be a barcode's
				}
				require.Equal(t, slices.Contains(c.digits, n), holdsCardNumber(card), "%s, %d digits", card, n)
			}
		}
	}
	require.False(t, holdsCardNumber(number("50", 12)), "too short")
	require.True(t, holdsCardNumber("4111   1111   1111   1111"), "three between two groups")
	require.False(t, holdsCardNumber("4111    1111    1111    1111"), "four")
}

// TestNoTextTakesACardNumber: every text parameter of every operation refuses a payment card's
// number, however it is hidden, but those that are stored only where the number is known.
func TestNoTextTakesACardNumber(t *testing.T) {
	for _, op := range Catalogue() {
		for _, p := range op.Params {
			if p.Kind != KindText || p.Secret || p.Max < 17 || lookedUp[p.Name] {
				continue
			}
			for _, text := range []string{"4111111111111111", "4111\u200b111111111111"} {
				_, err := p.readText(text)
				refusal, _ := err.(*Refusal)
				require.NotNil(t, refusal, "operation %d: %s takes %q", op.ID, p.Name, text)
				require.Equal(t, "card_number_in_text", refusal.Code)
				require.Equal(t, p.Name, refusal.Parameter)
			}
		}
	}
}
