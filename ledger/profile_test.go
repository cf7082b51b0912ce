package ledger_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/posnode/posnode/ledger"
)

// A profile with nonsense in it is refused with a reason; what it does not say is what is usual.
func TestProfileCheck(t *testing.T) {
	for want, s := range map[string]ledger.Switching{
		"timeout_ms 49":            {TimeoutMillis: 49},
		"timeout_ms 60001":         {TimeoutMillis: 60_001},
		"timeout_ms -1":            {TimeoutMillis: -1},
		"reconnect_seconds -1":     {ReconnectSeconds: -1},
		"reconnect_seconds 86401":  {ReconnectSeconds: 86_401},
		"version is longer":        {Version: strings.Repeat("v", 65)},
		"warn_unsent_entries -5":   {WarnUnsentEntries: -5},
		"warn_unsent_minutes -5":   {WarnUnsentMinutes: -5},
		"max_age_hours 1000000001": {MaxAgeHours: 1_000_000_001},
	} {
		require.ErrorContains(t, ledger.Profile{Switching: s}.Check(), want)
	}
	for _, negative := range []ledger.Profile{{GiftCardPerCard: -1}, {GiftCardPerTransaction: -1}, {GiftCardInAll: -1}, {AccountPerCustomer: -1}} {
		require.ErrorContains(t, negative.Check(), "negative")
	}
	require.NoError(t, ledger.Profile{}.Check())
	whole := ledger.Switching{Version: "v", TimeoutMillis: 50, ReconnectSeconds: 86_400, ForbidManualSwitch: true, WarnUnsentEntries: 1, WarnUnsentMinutes: 1, MaxAgeHours: 1}
	require.NoError(t, ledger.Profile{Switching: whole}.Check())
	most := ledger.Switching{Version: strings.Repeat("v", 64), TimeoutMillis: 60_000, WarnUnsentEntries: 1_000_000_000, WarnUnsentMinutes: 1_000_000_000, MaxAgeHours: 1_000_000_000}
	require.NoError(t, ledger.Profile{Switching: most, GiftCardPerCard: 1, GiftCardPerTransaction: 1, GiftCardInAll: 1, AccountPerCustomer: 1}.Check())
}
