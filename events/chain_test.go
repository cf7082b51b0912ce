package events

import (
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"
)

// circumstances are those that an entry was sealed with.
func circumstances(e *Entry) Circumstances {
	return Circumstances{
		ID: ulid.MustParse(e.ID), Time: e.Time, Operation: e.Operation, Command: e.Command,
		Staff: e.Staff, Approver: e.Approver, Shift: e.Shift, Mode: e.Mode,
	}
}

// journal seals facts into a chain of their own:
//
//	record <- activated <- facts[0] <- facts[1] <- ...
func journal(t testing.TB, facts ...Fact) (bodies [][]byte) {
	head := Head{Epoch: 1, Hash: Hash([]byte(sampleRecord))}
	for i, fact := range append([]Fact{&RegisterActivated{Record: sampleRecord}}, facts...) {
		id := ulid.ULID{15: byte(i)}
		require.NoError(t, id.SetTime(1_772_438_400_000))
		c := Circumstances{ID: id, Time: time.Date(2026, 3, 2, 8, 0, i, 0, time.UTC), Mode: Online}
		m, e, err := Seal(sampleRegister, head, c, fact)
		require.NoError(t, err)
		bodies, head = append(bodies, m.Body), e.Head
	}
	return bodies
}

func TestChain(t *testing.T) {
	bodies := journal(t, &StaffLoggedOn{Staff: "7"}, &StaffLoggedOff{Staff: "7"})
	decode := func(body []byte) *Entry {
		e, err := Decode(body)
		require.NoError(t, err)
		return e
	}
	first, second, third := decode(bodies[0]), decode(bodies[1]), decode(bodies[2])
	require.Equal(t, Hash([]byte(sampleRecord)), first.PrevHash)
	require.Equal(t, Hash(bodies[0]), second.PrevHash)
	require.Equal(t, Hash(bodies[1]), third.PrevHash)

	var whole Chain
	for i, e := range []*Entry{first, second, third} {
		require.NoError(t, whole.Next(uint64(i+1), e))
	}
	require.Equal(t, Chain{sampleRegister, Head{1, 3, Hash(bodies[2])}}, whole)

	// altered is an entry that decodes and does not belong where it stands.
	altered := func(e *Entry, change func(r *Register, head *Head, fact *Fact)) *Entry {
		r, head, fact := e.Register, Head{e.Head.Epoch, e.Head.Sequence - 1, e.PrevHash}, e.Fact
		change(&r, &head, &fact)
		_, out, err := Seal(r, head, circumstances(e), fact)
		require.NoError(t, err)
		return out
	}
	for _, c := range []struct {
		name     string
		after    []*Entry
		sequence uint64
		entry    *Entry
		kind     string
	}{
		{"an entry is missing", []*Entry{first}, 3, third, "gap"},
		{"an entry comes twice", []*Entry{first, second}, 2, second, "gap"},
		{"the first is missing", nil, 2, second, "gap"},
		{"stored under another number", []*Entry{first}, 2, third, "sequence"},
		{"of another register", []*Entry{first}, 2, altered(second, func(r *Register, _ *Head, _ *Fact) { r.ID = "r02" }), "register"},
		{"of another store", []*Entry{first}, 2, altered(second, func(r *Register, _ *Head, _ *Fact) { r.Store = "s002" }), "register"},
		{"of another epoch", []*Entry{first}, 2, altered(second, func(_ *Register, h *Head, _ *Fact) { h.Epoch = 2 }), "epoch"},
		{"another entry came before", []*Entry{first, altered(second, func(_ *Register, _ *Head, f *Fact) { *f = &StaffLoggedOn{Staff: "8"} })}, 3, third, "chain"},
		{"the first is no activation", nil, 1, altered(second, func(_ *Register, h *Head, _ *Fact) { h.Sequence = 0 }), "activation"},
		{"another record was activated", nil, 1, altered(first, func(_ *Register, _ *Head, f *Fact) { *f = &RegisterActivated{Record: "{}"} }), "chain"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var chain Chain
			for i, e := range c.after {
				require.NoError(t, chain.Next(uint64(i+1), e))
			}
			before := chain
			err := chain.Next(c.sequence, c.entry)
			var corrupt *CorruptError
			require.ErrorAs(t, err, &corrupt)
			require.Equal(t, c.kind, corrupt.Kind, "%v", err)
			require.Equal(t, c.sequence, corrupt.Sequence)
			require.NotEqual(t, corrupt.Want, corrupt.Got)
			require.Equal(t, before, chain, "it must not have moved")
		})
	}

	// A chain that is known up to somewhere goes on from there.
	tail := Chain{Register: sampleRegister, Head: second.Head}
	require.NoError(t, tail.Next(3, third))
	require.Error(t, (&Chain{Register: sampleRegister, Head: first.Head}).Next(3, third))
}

// TestFirstEntryIsTheActivationThatWasExpected begins a chain of which the record is known.
func TestFirstEntryIsTheActivationThatWasExpected(t *testing.T) {
	first, err := Decode(journal(t)[0])
	require.NoError(t, err)
	known := Chain{Register: sampleRegister, Head: Head{Epoch: 1, Hash: Hash([]byte(sampleRecord))}}
	require.NoError(t, known.Next(1, first))
	require.Equal(t, first.Head, known.Head)

	other := Chain{Register: sampleRegister, Head: Head{Epoch: 1, Hash: Hash([]byte("another record"))}}
	before := other
	err = other.Next(1, first)
	corrupt := new(CorruptError)
	require.ErrorAs(t, err, &corrupt)
	require.Equal(t, "activation", corrupt.Kind)
	require.Equal(t, before, other, "it has not moved")
}
