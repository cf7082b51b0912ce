package events

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestRate(t *testing.T) {
	for _, bad := range []string{"", "-1", "1e3", "0.123456789", "1000000001", "1,5"} {
		_, err := ParseRate(bad)
		require.Error(t, err, bad)
	}
	for _, c := range []struct {
		rate     string
		amount   Money
		from, to int
		want     Money
	}{
		{"0.8537", 2000, 2, 2, 1707},   // 17.074
		{"0.8537", -2000, 2, 2, -1707}, // money that goes back is worth the same
		{"0.005234", 1000, 0, 2, 523},  // 5.234
		{"2.5819", 1005, 3, 2, 259},    // 2.5948095
		{"191.0599", 523, 2, 0, 999},   // 999.24...
		{"0.5", 1, 2, 2, 1},            // half a cent goes away from zero
		{"0.5", -1, 2, 2, -1},
		{"0", 1_000_000, 2, 2, 0},
	} {
		got, err := sample(ParseRate(c.rate)).Convert(c.amount, c.from, c.to)
		require.NoError(t, err)
		require.Equal(t, c.want, got, "%d at %s", c.amount, c.rate)
	}
	_, err := sample(ParseRate("1.0001")).Convert(MaxMoney, 2, 2)
	require.ErrorContains(t, err, "largest amount")

	point := sample(ParseRate("0.015"))
	require.Equal(t, int64(667), point.Needed(1000, 2), "10.00 / 0.015 = 666.67")
	require.Equal(t, int64(1000), point.Needed(1500, 2), "exactly")
	require.Equal(t, int64(1), point.Needed(1, 2))
}

// TestMoves shows that the moves of a payment sum to its settled amount less the rounding, and that
// each is counted and posted under its tender.
func TestMoves(t *testing.T) {
	foreign := &Foreign{Currency: "EUR", Digits: 2, Amount: 2000, Rate: sample(ParseRate("0.8537"))}
	for _, c := range []struct {
		payment Payment
		want    []Move
	}{
		{Payment{Tender: "cash", Amount: 797, Tendered: 1000, Change: 205, Rounding: 2}, []Move{{"cash", "", 1000, 205, 795}}},
		{Payment{Tender: "check", Amount: 797, Tendered: 2000, Change: 1205, ChangeTender: "cash", Rounding: 2},
			[]Move{{"check", "", 2000, 0, 2000}, {"cash", "", 0, 1205, -1205}}},
		{Payment{Tender: "currency", Amount: 1590, Tendered: 1707, Change: 117, ChangeTender: "cash", Foreign: foreign},
			[]Move{{"currency", "EUR", 2000, 0, 1707}, {"cash", "", 0, 117, -117}}},
		{Payment{Tender: "giftcard", Amount: -500, Tendered: -500}, []Move{{"giftcard", "", -500, 0, -500}}},
	} {
		moves := c.payment.Moves()
		require.Equal(t, c.want, moves)
		var value Money
		for _, m := range moves {
			value += m.Value
		}
		require.Equal(t, c.payment.Amount-c.payment.Rounding, value)
	}
	require.Equal(t, TenderID("currency:EUR"), Move{Tender: "currency", Foreign: "EUR"}.Drawer())
	require.Equal(t, "tender:currency:EUR", Move{Tender: "currency", Foreign: "EUR"}.Account())
	for tender, account := range map[TenderID]string{"cash": "tender:cash", "giftcard": "giftcards", "account": "accounts", "loyalty": "loyalty"} {
		require.Equal(t, account, Move{Tender: tender}.Account())
	}
}
