package projections

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/posnode/posnode/events"
)

// TestReports: a day with two shifts, from open to Z, as the views tell it.
func TestReports(t *testing.T) {
	w := newTill(t)
	store := testStore
	testStore.Profile.ShiftOperationsOffline = true
	t.Cleanup(func() { testStore = store })
	w.sell(2)
	w.do(1201, `{"amount":500}`)
	w.do(1210, `{"amount":300}`)
	w.do(1211, `{"amounts":[{"tender":"cash","amount":1000}]}`)
	w.do(1212, `{"amounts":[{"tender":"cash","amount":2000}],"bag":"B-1"}`)
	w.do(1000, ``)
	w.do(920, `{"action":"in"}`)
	w.do(920, `{"action":"break_lunch"}`)
	w.do(1056, ``)
	w.do(1053, ``)
	w.openDay()
	w.sell(1)
	w.do(1052, `{"counts":[{"tender":"cash","amount":7200}],"shift":"s001-r01-1-s1"}`)
	w.do(1055, `{"shift":"s001-r01-1-s1"}`)
	z := w.last()
	w.do(1057, ``)
	w.do(921, `{}`)
	w.do(918, ``)
	w.do(1054, ``)

	db := openDB(t)
	apply(t, db, w.journal)
	requireSame(t, db, w.journal)
	shifts, err := db.Shifts(background, Period{})
	require.NoError(t, err)
	require.Len(t, shifts, 2)
	require.Equal(t, []any{"closed", 1, "suspended", 0}, []any{shifts[0].Status, shifts[0].Z, shifts[1].Status, shifts[1].Z})

	reports, err := db.Reports(background, Period{Shift: "s001-r01-1-s1"})
	require.NoError(t, err)
	require.Len(t, reports, 2)
	require.Equal(t, []int{0, 1}, []int{reports[0].Z, reports[1].Z})
	closed := z.Entry.Fact.(*events.ShiftClosed)
	require.Equal(t, asJSON(t, closed.Report), asJSON(t, reports[1].Report))
	report, err := db.ZReport(background, 1)
	require.NoError(t, err)
	require.Equal(t, reports[1], *report)
	report, err = db.ZReport(background, 2)
	require.NoError(t, err)
	require.Nil(t, report)

	// The views add up to the Z report.
	cash := closed.Report.Totals.Tenders[0]
	drawers, err := db.Drawers(background, Period{Shift: closed.Shift})
	require.NoError(t, err)
	require.Len(t, drawers, 1)
	d := drawers[0]
	require.Equal(t, []events.Money{10000, 500, 300, 1000, 2000, 7200}, []events.Money{d.Starting, d.Added, d.Removed, d.SafeDrop, d.BankDrop, *d.Counted})
	tenders, err := db.Tenders(background, Period{Shift: closed.Shift})
	require.NoError(t, err)
	require.Equal(t, cash.Collected, tenders[0].Kept)
	require.Equal(t, cash.Expected, d.Starting+d.Added+tenders[0].Kept-d.Removed-d.SafeDrop-d.BankDrop)
	balance, err := db.TrialBalance(background, Period{Shift: closed.Shift})
	require.NoError(t, err)
	var sum events.Money
	for _, b := range balance {
		sum += b.Amount
		switch b.Account {
		case "tender:cash":
			require.Equal(t, cash.Counted, b.Amount)
		case "over_short":
			require.Equal(t, -cash.OverShort, b.Amount)
		}
	}
	require.Zero(t, sum)

	entries, err := db.TimeEntries(background, "7", "2026-03-02", "2026-03-02")
	require.NoError(t, err)
	require.Equal(t, []string{"break_lunch", "in"}, []string{entries[0].Action, entries[1].Action})
	entries, err = db.TimeEntries(background, "8", "", "")
	require.NoError(t, err)
	require.Empty(t, entries)
}
