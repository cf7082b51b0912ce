package ledger

import (
	"fmt"

	"github.com/posnode/posnode/events"
)

// Switching is the part of the offline profile that says when a register goes
// offline, when it tries to come back, and what it warns of. 0 is what is usual, or
// no limit.
type Switching struct {
	Version string `json:"version,omitempty"` // of the profile, for whoever reads a status or a fact
	// TimeoutMillis is how long all that one operation asks of the Retail Server may take.
	TimeoutMillis int `json:"timeout_ms,omitempty"`
	// ReconnectSeconds is how long after the last attempt the next one is made, at the beginning of a transaction.
	ReconnectSeconds int `json:"reconnect_seconds,omitempty"`
	// ForbidManualSwitch takes the switch, operation 917, from the staff.
	ForbidManualSwitch bool `json:"forbid_manual_switch,omitempty"`
	// What head office does not have yet is warned of from so many entries, or minutes of age, on.
	WarnUnsentEntries int `json:"warn_unsent_entries,omitempty"`
	WarnUnsentMinutes int `json:"warn_unsent_minutes,omitempty"`
	// MaxAgeHours is how old what head office said may be: older reference data is warned
	// of, and on an older balance nothing is decided offline.
	MaxAgeHours int `json:"max_age_hours,omitempty"`
}

// RegisterProfile is the offline profile of one register, in the place of its store's.
type RegisterProfile struct {
	Register events.RegisterID `json:"register"`
	Profile
}

// Bounds of what a profile may say.
const (
	minTimeoutMillis    = 50
	maxTimeoutMillis    = 60_000
	maxReconnectSeconds = 24 * 60 * 60
	maxWarning          = 1_000_000_000
	maxVersion          = 64 // bytes
)

// Check says what is nonsense in a profile: such a one is never taken over.
func (p Profile) Check() error {
	switch {
	case p.TimeoutMillis != 0 && (p.TimeoutMillis < minTimeoutMillis || p.TimeoutMillis > maxTimeoutMillis):
		return fmt.Errorf("timeout_ms %d is not from %d to %d", p.TimeoutMillis, minTimeoutMillis, maxTimeoutMillis)
	case p.ReconnectSeconds < 0 || p.ReconnectSeconds > maxReconnectSeconds:
		return fmt.Errorf("reconnect_seconds %d is not from 0 to %d", p.ReconnectSeconds, maxReconnectSeconds)
	case len(p.Version) > maxVersion:
		return fmt.Errorf("version is longer than %d bytes", maxVersion)
	case p.GiftCardPerCard < 0 || p.GiftCardPerTransaction < 0 || p.GiftCardInAll < 0 || p.AccountPerCustomer < 0:
		return fmt.Errorf("a limit of an amount is negative")
	}
	for name, n := range map[string]int{"warn_unsent_entries": p.WarnUnsentEntries, "warn_unsent_minutes": p.WarnUnsentMinutes, "max_age_hours": p.MaxAgeHours} {
		if n < 0 || n > maxWarning {
			return fmt.Errorf("%s %d is not from 0 to %d", name, n, maxWarning)
		}
	}
	return nil
}

// tooOld says whether what head office said at asOf, RFC 3339, is older than the profile
// allows. What it never dated has no age.
func (d *deciding) tooOld(asOf string) bool {
	hours := d.Reference.Store.Profile.MaxAgeHours
	said, dated := events.UnixSeconds(asOf)
	return hours > 0 && dated && d.At-said > int64(hours)*60*60
}
