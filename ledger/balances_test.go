package ledger

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/posnode/posnode/events"
)

// TestMovementsAreBounded: of too many movements the first is forgotten, and from then on no balance is relied on offline
// that may not hold it.
func TestMovementsAreBounded(t *testing.T) {
	at := func(minute int) string {
		return time.Date(2026, 3, 2, 8, minute, 0, 0, time.UTC).Format(time.RFC3339)
	}
	figure := func(asOf string) Figure { return Figure{AsOf: asOf} }
	s := NewState(events.Register{Store: "s001", ID: "r01"}, 1, events.Digest{})
	add := func(minute int) {
		n := len(s.Moved.List) + 1
		s.Moved.add(movement{Balance: fmt.Sprintf("giftcard %d", n), At: at(minute), Amount: 1, Epoch: 1, Sequence: uint64(n)})
	}
	add(30)
	add(20)
	add(40)
	for len(s.Moved.List) < maxMovements {
		add(50)
	}
	require.Nil(t, s.Moved.Forgotten, "there is room for as many")
	require.False(t, s.forgot(figure(at(0))))

	for _, c := range []struct {
		forgotten  int    // the minute up to which movements are forgotten
		next       string // the first that is remembered
		old, fresh int    // figures that do not hold it, and that do
	}{
		{30, "giftcard 2", 29, 30},
		{30, "giftcard 3", 29, 30}, // the clock had gone back: the later of both moments counts
		{40, "giftcard 4", 39, 40},
	} {
		add(50)
		require.Len(t, s.Moved.List, maxMovements)
		require.Equal(t, at(c.forgotten), s.Moved.Forgotten.At)
		require.Equal(t, c.next, s.Moved.List[0].Balance)
		require.True(t, s.forgot(figure(at(c.old))), "a figure of minute %d", c.old)
		require.False(t, s.forgot(figure(at(c.fresh))), "a figure of minute %d", c.fresh)
	}
}

// TestCardFailuresAreBounded: of too many cards with wrong PINs the one is forgotten that is locked out for the shortest time,
// and of equals the one with the smallest number; never the one that has just failed.
func TestCardFailuresAreBounded(t *testing.T) {
	s := NewState(events.Register{Store: "s001", ID: "r01"}, 1, events.Digest{})
	card := func(n int) events.CardNumber { return events.CardNumber(fmt.Sprintf("%06d", n)) }
	locked := map[int]int64{1: 900, 2: 300, 3: 0, 4: 0}
	for n := 1; n <= maxFailures; n++ {
		until, some := locked[n]
		if !some {
			until = 600
		}
		countFailure(&s.CardFailures, card(n), events.Failed{Failures: 3, LockedUntil: until})
	}
	require.Len(t, s.CardFailures, maxFailures)
	for _, forgotten := range []int{3, 4, 2, 5, 6} {
		require.Contains(t, s.CardFailures, card(forgotten))
		newest := card(900_000 - forgotten)
		countFailure(&s.CardFailures, newest, events.Failed{Failures: 1, LockedUntil: 700})
		require.Len(t, s.CardFailures, maxFailures)
		require.NotContains(t, s.CardFailures, card(forgotten))
		require.Contains(t, s.CardFailures, newest)
	}
	countFailure(&s.CardFailures, card(0), events.Failed{Failures: 1})
	require.Contains(t, s.CardFailures, card(0), "it has just failed")
}
