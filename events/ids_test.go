package events

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestRegister(t *testing.T) {
	r, err := ParseRegister("s001-r01")
	require.NoError(t, err)
	require.Equal(t, Register{Store: "s001", ID: "r01"}, r)
	require.Equal(t, "s001-r01", r.String())
	require.Equal(t, "/stores/s001/registers/r01", r.Source())
	require.Equal(t, "pos.s001.r01.sale.line_added", StreamSubject(r, "sale.line_added.v1"))
	require.Equal(t, "pos.s001.r01.sale.line_added", StreamSubject(r, "sale.line_added.v12"), "no version in a subject")
	_, err = ParseRegister("a-b")
	require.NoError(t, err)
	_, err = ParseRegister(strings.Repeat("a", 16) + "-" + strings.Repeat("9", 16))
	require.NoError(t, err)

	// Each of these would be another subject, another file or another domain.
	for _, s := range []string{
		"", "-", "s001", "s001-", "-r01", "s001-r01-x", "S001-r01", "s001-r.1", "s001-*", "s001->", "s001-r 1", "s001-r01\n",
		"../etc-r01", "s001-r/1", "s001-é", "s\x00-r01", strings.Repeat("a", 17) + "-r01", "s001-" + strings.Repeat("a", 17),
	} {
		_, err := ParseRegister(s)
		require.Error(t, err, "%q", s)
	}
}

// TestEntryNumber shows that the number on paper leads back to its entry, and that an entry has no other number.
func TestEntryNumber(t *testing.T) {
	for number, want := range map[string]Head{
		"s001-r01-1-e41":                   {Epoch: 1, Sequence: 41},
		"s001-r01-12-e1":                   {Epoch: 12, Sequence: 1},
		"s001-r01-3-e18446744073709551615": {Epoch: 3, Sequence: 1<<64 - 1},
	} {
		r, at, ok := ParseEntryNumber(number)
		require.True(t, ok, number)
		require.Equal(t, Register{Store: "s001", ID: "r01"}, r)
		require.Equal(t, want, at)
		require.Equal(t, number, EntryNumber(r, at))
	}
	for _, s := range []string{
		"", "s001-r01-1-41", "s001-r01-1-e", "s001-r01-0-e1", "s001-r01--1-e1", "s001-r01-1-e041", "s001-r01-01-e41", "s001-r01-1-e-1", "s001-r01-1-e+1",
		"s001-r01-1-e18446744073709551616", "s001-r01-1-e41-1", "S001-r01-1-e41", "s001-r01-1-ea", "s001-r01-x-e41", "r01-1-e41",
	} {
		_, _, ok := ParseEntryNumber(s)
		require.False(t, ok, s)
	}
}

func TestParseCommandKey(t *testing.T) {
	key, err := ParseCommandKey("01KJPB5X00EXAMP1EEXAMP1E00")
	require.NoError(t, err)
	require.Equal(t, CommandKey("01KJPB5X00EXAMP1EEXAMP1E00"), key)
	for _, s := range []string{
		"", "1", "01kjpb5x00examp1eexamp1e00", "01KJPB5X00EXAMPLEEXAMPLE00", "81KJPB5X00EXAMP1EEXAMP1E00", "01KJPB5X00EXAMP1EEXAMP1E0",
		"01KJPB5X00EXAMP1EEXAMP1E000", " 1KJPB5X00EXAMP1EEXAMP1E00", "01KJPB5X00EXAMP1EEXAMP1E0\xff", strings.Repeat("0", 1<<20),
	} {
		_, err := ParseCommandKey(s)
		require.Error(t, err, "%.40q", s)
		require.Less(t, len(err.Error()), 300)
	}
}

func TestDigest(t *testing.T) {
	const empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" // sha256sum of nothing
	require.Equal(t, empty, Hash(nil).String())
	var d Digest
	require.NoError(t, d.UnmarshalText([]byte(empty)))
	require.Equal(t, Hash(nil), d)
	for _, s := range []string{"", empty[1:], empty + "0", strings.ToUpper(empty), strings.Replace(empty, "e", "g", 1)} {
		require.Error(t, new(Digest).UnmarshalText([]byte(s)), s)
	}
}
