package register

import (
	"errors"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"github.com/posnode/posnode/events"
	"github.com/posnode/posnode/ledger"
)

// signOn tries a PIN and returns the code of the refusal, "" for none.
func (t *testTill) signOn(staff, pin string) string {
	t.t.Helper()
	return t.code(700, fmt.Sprintf(`{"staff":%q,"pin":%q}`, staff, pin))
}

func (t *testTill) code(operation int, params string) string {
	t.t.Helper()
	_, err := t.do(ulid.Make().String(), operation, params)
	refusal, ok := errors.AsType[*ledger.Refusal](err)
	if !ok {
		require.NoError(t.t, err)
		return ""
	}
	return refusal.Code
}

// memory is what f allocates, in MiB: a PIN's hash takes 19.
func memory(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return (after.TotalAlloc - before.TotalAlloc) >> 20
}

func newSignedOff(t *testing.T) *testTill {
	till := newTestTill(t)
	till.must(701, ``)
	till.pins.left = 1000
	return till
}

// Nobody learns which staff numbers exist: not from the work that a wrong PIN makes, nor from the
// answers, nor from the lock.
func TestUnknownStaffIsAsKnown(t *testing.T) {
	till := newSignedOff(t)
	for _, staff := range []string{"8", "404"} {
		for n := range 5 {
			got := memory(func() { require.Equal(t, "sign_on_refused", till.signOn(staff, "0000")) })
			require.GreaterOrEqual(t, got, uint64(19), "%s, try %d", staff, n)
		}
		for range 20 {
			got := memory(func() { require.Equal(t, "staff_locked_out", till.signOn(staff, "2")) })
			require.Less(t, got, uint64(10), "nothing is hashed while it is locked")
		}
	}
	till.now = till.now.Add(5*time.Minute + time.Second)
	require.Equal(t, "sign_on_refused", till.signOn("404", "2"))
	require.Empty(t, till.signOn("8", "2"))
}

// Failed tries are two entries for each lock, however many there are; the next entry tells of the others.
func TestFailedTriesAreFewEntries(t *testing.T) {
	till := newSignedOff(t)
	before := till.View().Head.Sequence
	for range 1000 {
		till.signOn("8", "0000")
	}
	require.Equal(t, before+2, till.View().Head.Sequence)
	till.now = till.now.Add(6 * time.Minute)
	require.Empty(t, till.signOn("8", "2"))
	m, err := till.Journal().(journal).Get(t.Context(), till.View().Head.Sequence)
	require.NoError(t, err)
	entry, err := events.Decode(m.Body)
	require.NoError(t, err)
	require.Equal(t, 995, entry.Fact.(*events.StaffLoggedOn).Refused)
}

// To restart the register gains no tries: five wrong PINs in all lock, and the lock stays.
func TestRestartGainsNoTries(t *testing.T) {
	for restarts := range 5 { // after so many wrong PINs
		till := newSignedOff(t)
		wrong := 0
		try := func() string { wrong++; return till.signOn("8", "0000") }
		for range restarts {
			require.Equal(t, "sign_on_refused", try())
		}
		till.reopen()
		for wrong < 10 && try() == "sign_on_refused" {
			continue
		}
		require.LessOrEqual(t, wrong, 6, "five were checked, and one was locked out")
		till.reopen()
		require.Equal(t, "staff_locked_out", till.signOn("8", "2"))
	}
}

// An approver is locked out as who signs on is, known or not.
func TestApproverIsLockedOut(t *testing.T) {
	till := newTestTill(t)
	till.pins.left = 1000
	before := till.View().Head.Sequence
	for _, approver := range []string{"8", "404"} {
		params := fmt.Sprintf(`{"product":"TEA","approver":%q,"approver_pin":"0000"}`, approver)
		for range 5 {
			got := memory(func() { require.Equal(t, "override_refused", till.code(100, params)) })
			require.GreaterOrEqual(t, got, uint64(19))
		}
		for range 5 {
			got := memory(func() { require.Equal(t, "override_locked_out", till.code(100, params)) })
			require.Less(t, got, uint64(10))
		}
	}
	require.Equal(t, before+4, till.View().Head.Sequence)
}

// One PIN tried with every number is stopped too, and the right ones do not count.
func TestWrongPINsOfAllNumbersAreThrottled(t *testing.T) {
	till := newSignedOff(t)
	till.pins.left = pinsAtStart
	before := till.View().Head.Sequence
	throttled := 0
	for n := range 100 {
		if till.signOn(fmt.Sprint(1000+n), "1") == "pin_checks_throttled" {
			throttled++
		}
	}
	require.Positive(t, throttled)
	require.Equal(t, uint64(100-throttled), till.View().Head.Sequence-before)
	require.Equal(t, "pin_checks_throttled", till.signOn("7", "1"), "a right PIN waits as a wrong one")
	till.pins.left = 1
	for range 3 * pinsAtOnce {
		require.Empty(t, till.signOn("7", "1"))
	}
}

// PINs are checked a few at a time; who waits too long is refused, and nothing is done.
func TestPINChecksAreBounded(t *testing.T) {
	till := newSignedOff(t)
	before := till.View().Head.Sequence
	for range pinChecks {
		require.NoError(t, till.pins.wait(t.Context()))
	}
	got := memory(func() { require.Equal(t, "pin_checks_busy", till.signOn("7", "1")) })
	require.Less(t, got, uint64(10))
	require.Equal(t, before, till.View().Head.Sequence)
	for range pinChecks {
		till.pins.done()
	}
	require.Empty(t, till.signOn("7", "1"))
}
