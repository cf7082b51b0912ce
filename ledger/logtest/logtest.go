// Package logtest holds what every ledger.Log must do, as tests, and [Memory], a
// log whose faults are made to order, for tests of what writes to one.
package logtest

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"github.com/posnode/posnode/events"
	"github.com/posnode/posnode/ledger"
)

// Register is whose journal the tests write: a log that is bound to one register is opened for it.
var Register = events.Register{Store: "s001", ID: "r01"}

// Run is the contract of a Log. Each test opens one that is empty; open closes it with t.Cleanup.
func Run(t *testing.T, open func(t *testing.T) ledger.Log) {
	for _, test := range []struct {
		name string
		run  func(t *testing.T, log ledger.Log)
	}{
		{"empty", testEmpty},
		{"append and read", testAppend},
		{"bytes", testBytes},
		{"conflict", testConflict},
		{"entry that names another place", testWrongSequence},
		{"entry twice", testTwice},
		{"too large", testTooLarge},
		{"read while it grows", testGrowing},
		{"reader that stops", testStop},
		{"cancelled", testCancelled},
		{"two writers", testTwoWriters},
	} {
		t.Run(test.name, func(t *testing.T) {
			log := open(t)
			test.run(t, log)
			Check(t, log)
		})
	}
}

// Messages seals the first n entries of [Register]'s first epoch.
func Messages(t testing.TB, n int) []events.Message {
	const record = `{"store":"s001","register":"r01","epoch":1,"key":"s001-r01+00000000+test","time":"2026-03-02T08:00:00Z"}`
	head := events.Head{Epoch: 1, Hash: events.Hash([]byte(record))}
	out := make([]events.Message, n)
	for i := range out {
		var fact events.Fact = &events.StaffLoggedOn{Staff: "7", Name: "Ann <é> \u2028"}
		if i == 0 {
			fact = &events.RegisterActivated{Record: record}
		}
		m, e, err := events.Seal(Register, head, circumstances(i), fact)
		require.NoError(t, err)
		out[i], head = m, e.Head
	}
	return out
}

// circumstances are those of entry i+1.
func circumstances(i int) events.Circumstances {
	id := ulid.ULID{14: byte(i >> 8), 15: byte(i)}
	at := time.Date(2026, 3, 2, 8, 0, i, 0, time.UTC)
	if err := id.SetTime(ulid.Timestamp(at)); err != nil {
		panic(err)
	}
	return events.Circumstances{ID: id, Time: at, Mode: events.Offline}
}

// Check says whether what a log holds is one whole chain from its first entry.
func Check(t testing.TB, log ledger.Log) {
	last, err := log.Last(t.Context())
	require.NoError(t, err)
	var chain events.Chain
	require.NoError(t, log.Read(t.Context(), 1, func(m events.Message) error {
		e, err := events.Decode(m.Body)
		require.NoError(t, err, "entry %d", m.Sequence)
		require.Equal(t, events.StreamSubject(e.Register, e.Type), m.Subject)
		require.Equal(t, e.ID, m.ID)
		return chain.Next(m.Sequence, e)
	}))
	require.Equal(t, last, chain.Head.Sequence)
}

// fill appends messages to an empty log.
func fill(t *testing.T, log ledger.Log, messages []events.Message) {
	for i, m := range messages {
		require.NoError(t, log.Append(t.Context(), uint64(i), m))
	}
}

// requireLast says whether a log ends where it should.
func requireLast(t *testing.T, log ledger.Log, want uint64) {
	t.Helper()
	last, err := log.Last(t.Context())
	require.NoError(t, err)
	require.Equal(t, want, last)
}

// read is what the log holds from a sequence on.
func read(t *testing.T, log ledger.Log, from uint64) (out []events.Message) {
	t.Helper()
	require.NoError(t, log.Read(t.Context(), from, func(m events.Message) error {
		out = append(out, m)
		return nil
	}))
	return out
}

func testEmpty(t *testing.T, log ledger.Log) {
	requireLast(t, log, 0)
	require.Empty(t, read(t, log, 1))
	require.Empty(t, read(t, log, 7))
}

func testAppend(t *testing.T, log ledger.Log) {
	messages := Messages(t, 300)
	for i, m := range messages {
		require.NoError(t, log.Append(t.Context(), uint64(i), m))
		if i%100 == 0 {
			requireLast(t, log, uint64(i+1))
		}
	}
	require.Equal(t, messages, read(t, log, 1), "all of it, in order, with no gap")
	require.Equal(t, messages[150:], read(t, log, 151))
	require.Equal(t, messages[299:], read(t, log, 300))
	require.Empty(t, read(t, log, 301), "from behind the end there is nothing")
	require.Equal(t, messages, read(t, log, 1), "reading takes nothing away")
}

// testBytes: the body is stored as it is, whatever it is, for its bytes are hashed.
func testBytes(t *testing.T, log ledger.Log) {
	messages := Messages(t, 2)
	// What JSON calls insignificant is significant to a hash.
	messages[0].Body = append(append([]byte(" \n\t"), messages[0].Body...), " \r\n"...)
	given := bytes.Clone(messages[0].Body)
	require.NoError(t, log.Append(t.Context(), 0, messages[0]))
	for i := range messages[0].Body {
		messages[0].Body[i] = 'x' // the caller's buffer is the caller's
	}
	got := read(t, log, 1)
	require.Len(t, got, 1)
	require.Equal(t, string(given), string(got[0].Body))
	for i := range got[0].Body {
		got[0].Body[i] = 'y'
	}
	require.Equal(t, string(given), string(read(t, log, 1)[0].Body), "and so is the reader's")
}

func testConflict(t *testing.T, log ledger.Log) {
	messages := Messages(t, 4)
	behind := messages[1]
	require.ErrorIs(t, log.Append(t.Context(), 1, behind), events.ErrConflict, "after an entry that is not there")
	requireLast(t, log, 0)
	fill(t, log, messages[:3])
	other, _, err := events.Seal(Register, events.Head{Epoch: 1, Sequence: 1}, circumstances(99), &events.StaffLoggedOff{Staff: "8"})
	require.NoError(t, err)
	require.ErrorIs(t, log.Append(t.Context(), 1, other), events.ErrConflict, "after an entry that is not the last any more")
	requireLast(t, log, 3)
	require.Equal(t, messages[:3], read(t, log, 1), "nothing was stored")
	require.NoError(t, log.Append(t.Context(), 3, messages[3]), "the one who has read again goes on")
}

func testWrongSequence(t *testing.T, log ledger.Log) {
	messages := Messages(t, 3)
	fill(t, log, messages[:1])
	require.Error(t, log.Append(t.Context(), 1, messages[2]))
	requireLast(t, log, 1)
}

// testTwice: an entry whose first append had an unknown outcome must not be stored twice by a second.
func testTwice(t *testing.T, log ledger.Log) {
	messages := Messages(t, 2)
	fill(t, log, messages)
	require.ErrorIs(t, log.Append(t.Context(), 1, messages[1]), events.ErrConflict)
	requireLast(t, log, 2)
}

func testTooLarge(t *testing.T, log ledger.Log) {
	messages := Messages(t, 1)
	fill(t, log, messages)
	head := events.Head{Epoch: 1, Sequence: 1, Hash: events.Hash(messages[0].Body)}
	seal := func(name string) (events.Message, error) {
		m, _, err := events.Seal(Register, head, circumstances(1), &events.StaffLoggedOn{Staff: "7", Name: name})
		return m, err
	}
	small, err := seal("x")
	require.NoError(t, err)
	largest, err := seal(strings.Repeat("x", events.MaxBody-len(small.Body)+1))
	require.NoError(t, err)
	require.Len(t, largest.Body, events.MaxBody)

	tooLarge := largest
	tooLarge.Body = append(bytes.Clone(largest.Body), ' ')
	require.Error(t, log.Append(t.Context(), 1, tooLarge))
	requireLast(t, log, 1)
	require.NoError(t, log.Append(t.Context(), 1, largest), "the log goes on, and takes the largest entry there is")
	require.Equal(t, largest, read(t, log, 2)[0])
}

// testGrowing: a reader ends at the entry that was last when it began.
func testGrowing(t *testing.T, log ledger.Log) {
	messages := Messages(t, 6)
	fill(t, log, messages[:3])
	var got []events.Message
	require.NoError(t, log.Read(t.Context(), 1, func(m events.Message) error {
		got = append(got, m)
		return log.Append(t.Context(), uint64(len(got))+2, messages[len(got)+2])
	}))
	require.Equal(t, messages[:3], got)
	require.Equal(t, messages, read(t, log, 1))
}

func testStop(t *testing.T, log ledger.Log) {
	fill(t, log, Messages(t, 5))
	stop := errors.New("stop")
	calls := 0
	require.ErrorIs(t, log.Read(t.Context(), 1, func(m events.Message) error {
		if calls++; m.Sequence == 2 {
			return stop
		}
		return nil
	}), stop)
	require.Equal(t, 2, calls, "nothing comes after the error")
}

func testCancelled(t *testing.T, log ledger.Log) {
	messages := Messages(t, 3)
	fill(t, log, messages[:2])
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.Error(t, log.Read(ctx, 1, func(events.Message) error { return nil }), "a part must not look like the whole")
	err := log.Append(ctx, 2, messages[2])
	require.Error(t, err)
	// The outcome is unknown: the entry is there whole, or not at all.
	last, err := log.Last(t.Context())
	require.NoError(t, err)
	require.Contains(t, []uint64{2, 3}, last)
	require.Equal(t, messages[:last], read(t, log, 1))
}

// testTwoWriters: of those who have read the same end, one is first and the others learn it.
func testTwoWriters(t *testing.T, log ledger.Log) {
	messages := Messages(t, 1)
	fill(t, log, messages)
	head := events.Head{Epoch: 1, Sequence: 1, Hash: events.Hash(messages[0].Body)}
	const writers = 8
	errs := make([]error, writers)
	var wg sync.WaitGroup
	for i := range writers {
		m, _, err := events.Seal(Register, head, circumstances(100+i), &events.StaffLoggedOn{Staff: "7"})
		require.NoError(t, err)
		wg.Go(func() { errs[i] = log.Append(t.Context(), 1, m) })
	}
	wg.Wait()
	first := 0
	for _, err := range errs {
		if err == nil {
			first++
			continue
		}
		require.ErrorIs(t, err, events.ErrConflict)
	}
	require.Equal(t, 1, first)
	requireLast(t, log, 2)
}
