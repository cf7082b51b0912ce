package ledger

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestCardNumbers: a payment card's number is known in free text however it is written, and nothing else is taken for one.
func TestCardNumbers(t *testing.T) {
	for _, text := range []string{
		"4111111111111111", "paid with 4111 1111 1111 1111, thanks", "4111-1111-1111-1111", "4111.1111.1111.1111", "4111 - 1111 - 1111 - 1111",
		"x4111111111111111x", "378282246310005", "3782 822463 10005", "5555555555554444", "2223003122003222", "6011111111111117",
		"3530111333300000", "30569309025904", "6200000000000005", "4222222222222", "４１１１１１１１１１１１１１１１", "٤١١١١١١١١١١١١١١١",
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
