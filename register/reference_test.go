package register

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"github.com/posnode/posnode/events"
	"github.com/posnode/posnode/ledger"
)

// A price that is known beforehand is paid from its instant on: by the register's clock
// in UTC, at midnight and in the night in which the store's clocks go forward.
func TestFuturePrice(t *testing.T) {
	for _, at := range []string{"2026-03-29T01:00:00Z", "2026-10-25T01:00:00Z", "2026-06-30T23:00:00Z", "2026-07-01T00:00:00Z"} {
		till := newTestTill(t)
		london, err := time.LoadLocation("Europe/London")
		require.NoError(t, err)
		till.cfg.Zone = london
		_, err = till.Reference().Import(t.Context(), strings.NewReader(fmt.Sprintf(
			`{"kind":"product","key":"TEA","record":{"product":"TEA","description":"Tea","price":"2","price_changes":[{"at":%q,"price":"3"}]}}`, at)), till.now, false)
		require.NoError(t, err)
		from, err := time.Parse(time.RFC3339, at)
		require.NoError(t, err)
		for _, c := range []struct {
			now   time.Time
			total events.Money
		}{{from.Add(-time.Nanosecond), 200}, {from, 500}} {
			till.now = c.now
			require.Equal(t, c.total, till.must(100, `{"product":"TEA"}`).Transaction.Totals.Total, "%s", c.now)
		}
	}
}

// A register without reference data refuses what needs any, and says in its status that there is none.
func TestNoReferenceData(t *testing.T) {
	till := &testTill{t: t, dir: t.TempDir(), now: time.Now()}
	till.open()
	t.Cleanup(func() { require.NoError(t, till.Close()) })
	for _, operation := range []int{100, 700, 1050, 206} {
		_, err := till.do(ulid.Make().String(), operation, `{}`)
		var refusal *ledger.Refusal
		require.ErrorAs(t, err, &refusal)
		require.Equal(t, "no_reference_data", refusal.Code)
		require.Contains(t, refusal.Instead, "--reference")
	}
	// What connects it is not in the way.
	_, err := till.do(ulid.Make().String(), 917, `{}`)
	require.NotContains(t, fmt.Sprint(err), "no_reference_data")
	status, err := till.Status(t.Context())
	require.NoError(t, err)
	require.Empty(t, status.Reference)
	require.Empty(t, status.Feed.Stream)
}
