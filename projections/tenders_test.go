package projections

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestTendersByWhatTheyMoved: change that was given in another tender counts there.
func TestTendersByWhatTheyMoved(t *testing.T) {
	w, db := newTill(t), openDB(t)
	w.do(100, `{"product":"MUG","price":"15.93"}`)
	w.do(203, `{"currency":"EUR","amount":2000}`) // 17.07: 1.14 back is 1.15 in coins
	w.do(100, `{"product":"MUG","price":"7.95"}`)
	w.do(204, `{"amount":2000,"check":"1"}`) // 12.05 back
	w.do(100, `{"product":"MUG","price":"7.97"}`)
	w.do(200, `{"amount":1000}`) // 7.95 in coins: 2.05 back
	apply(t, db, w.journal)

	got, err := db.Tenders(t.Context(), Period{})
	require.NoError(t, err)
	total := TenderTotal{Date: "2026-03-02", Currency: "GBP", Digits: 2}
	want := []TenderTotal{total, total, total}
	want[0].Tender, want[0].Payments, want[0].Tendered, want[0].Change, want[0].Kept = "cash", 1, 1000, 115+1205+205, 1000-115-1205-205
	want[1].Tender, want[1].Payments, want[1].Tendered, want[1].Kept = "check", 1, 2000, 2000
	want[2].Tender, want[2].Payments, want[2].Tendered, want[2].Kept = "currency:EUR", 1, 1707, 1707
	require.Equal(t, want, got)
}
