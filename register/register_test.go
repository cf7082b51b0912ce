package register

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"github.com/posnode/posnode/events"
	"github.com/posnode/posnode/ledger"
	"github.com/posnode/posnode/projections"
)

const shop = `{"kind":"store","key":"store","record":{"currency":"GBP","digits":2,"max_quantity":"100","tenders":{"cash":{"id":"cash","name":"Cash","kind":"cash","over_paid":true,"refund":true}}}}
{"kind":"staff","key":"7","record":{"staff":"7","name":"Sam","pin":%q,"groups":[{"manager":true}]}}
{"kind":"staff","key":"8","record":{"staff":"8","name":"Kim","pin":%q,"groups":[{"operations":[100,206,1050]}]}}
{"kind":"product","key":"TEA","record":{"product":"TEA","description":"Tea","price":"2.55"}}
`

// testTill is a register that can be closed and opened again, with a clock of its own.
type testTill struct {
	*Register
	t   *testing.T
	dir string
	now time.Time
}

func newTestTill(t *testing.T) *testTill {
	till := &testTill{t: t, dir: t.TempDir(), now: time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)}
	till.open()
	t.Cleanup(func() { require.NoError(t, till.Close()) })
	report, err := till.Reference().Import(t.Context(), strings.NewReader(fmt.Sprintf(shop, HashPIN("1"), HashPIN("2"))), till.now, false)
	require.NoError(t, err, "%v", report.Problems)
	till.must(700, `{"staff":"7","pin":"1"}`)
	till.must(1050, ``)
	return till
}

func (t *testTill) open() {
	var err error
	t.Register, err = Open(t.t.Context(), Config{
		Dir: t.dir, Register: events.Register{Store: "s001", ID: "r01"}, Zone: time.UTC,
		Clock: func() time.Time { return t.now }, Logger: slog.New(slog.DiscardHandler),
	})
	require.NoError(t.t, err)
}

func (t *testTill) reopen() {
	require.NoError(t.t, t.Close())
	t.open()
}

func (t *testTill) do(key string, operation int, params string) (ledger.Answer, error) {
	return t.Do(t.t.Context(), Request{Operation: operation, Key: events.CommandKey(key), Body: []byte(params), Staff: "7"})
}

func (t *testTill) must(operation int, params string) ledger.Answer {
	t.t.Helper()
	a, err := t.do(ulid.Make().String(), operation, params)
	require.NoError(t.t, err, "operation %d", operation)
	return a
}

// faulty is a journal whose next append goes wrong, in one of two flavours.
type faulty struct {
	journal
	fail   bool
	stored bool
}

var errLost = errors.New("connection lost")

func (f *faulty) Append(ctx context.Context, after uint64, m events.Message) error {
	if !f.fail {
		return f.journal.Append(ctx, after, m)
	}
	f.fail = false
	if f.stored {
		if err := f.journal.Append(ctx, after, m); err != nil {
			return err
		}
	}
	return errLost
}

func TestUnknownOutcomeOfAnAppend(t *testing.T) {
	t.Run("stored", func(t *testing.T) {
		till := newTestTill(t)
		till.Register.journal = &faulty{journal: till.Register.journal, fail: true, stored: true}
		before := till.View().Head.Sequence
		a := till.must(100, `{"product":"TEA"}`)
		require.Equal(t, before+1, a.Entries[0].Sequence, "it was stored, so it is answered")
		require.NoError(t, till.Check(t.Context()))
	})
	t.Run("not stored", func(t *testing.T) {
		till := newTestTill(t)
		till.Register.journal = &faulty{journal: till.Register.journal, fail: true}
		before := till.View().Head
		key := ulid.Make().String()
		_, err := till.do(key, 100, `{"product":"TEA"}`)
		require.ErrorIs(t, err, errLost)
		require.Equal(t, before, till.View().Head)
		a, err := till.do(key, 100, `{"product":"TEA"}`)
		require.NoError(t, err, "the same command again")
		require.Equal(t, before.Sequence+1, a.Entries[0].Sequence)
		require.NoError(t, till.Check(t.Context()))
	})
}

func TestClockAnHourBack(t *testing.T) {
	till := newTestTill(t)
	first := till.must(100, `{"product":"TEA"}`)
	till.now = till.now.Add(-time.Hour)
	second := till.must(100, `{"product":"TEA"}`)
	till.reopen()
	till.must(700, `{"staff":"7","pin":"1"}`)
	third := till.must(100, `{"product":"TEA"}`)
	require.Less(t, first.Entries[0].ID, second.Entries[0].ID)
	require.Less(t, second.Entries[0].ID, third.Entries[0].ID, "also across a restart")
	require.NoError(t, till.Check(t.Context()))
}

// TestReconnectAfterTheClockWentBack: the interval between two attempts is over at its end, and counts for nothing once
// the clock stands before the last attempt.
func TestReconnectAfterTheClockWentBack(t *testing.T) {
	attempt := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	now := attempt
	r := &Register{cfg: Config{Clock: func() time.Time { return now }, Reconnect: 20 * time.Second}}
	require.True(t, r.due(ledger.Profile{}), "there was no attempt yet")
	r.contact.note(attempt, errLost)
	for _, c := range []struct {
		since time.Duration
		due   bool
	}{{0, false}, {time.Second, false}, {time.Minute - 1, false}, {time.Minute, true}, {time.Hour, true}, {-1, true}, {-time.Hour, true}} {
		now = attempt.Add(c.since)
		require.Equal(t, c.due, r.due(ledger.Profile{Switching: ledger.Switching{ReconnectSeconds: 60}}), "%s after the attempt", c.since)
	}
	now = attempt.Add(20 * time.Second)
	require.True(t, r.due(ledger.Profile{}), "the register's own interval, where the profile names none")
	now = now.Add(-1)
	require.False(t, r.due(ledger.Profile{}))
}

func TestRepeatedCommand(t *testing.T) {
	till := newTestTill(t)
	key := ulid.Make().String()
	first, err := till.do(key, 100, `{"product":"TEA"}`)
	require.NoError(t, err)
	for range ledger.RecentCommands + 10 { // until the state has forgotten it, and only the offline database knows
		till.must(105, `{"line":1,"quantity":"2"}`)
	}
	head := till.View().Head
	for range 2 {
		again, err := till.do(key, 100, `{ "product" : "TEA" }`)
		require.NoError(t, err)
		require.True(t, again.Repeated)
		again.Repeated = false
		require.Equal(t, first, again)
		_, err = till.do(key, 100, `{"product":"TEA","quantity":"2"}`)
		refusal, ok := errors.AsType[*ledger.Refusal](err)
		require.True(t, ok)
		require.Equal(t, "command_reused", refusal.Code)
		require.Equal(t, head, till.View().Head)
		till.reopen()
		till.must(700, `{"staff":"7","pin":"1"}`)
		head = till.View().Head
	}
}

// What is derived can be deleted: the next start makes it again.
func TestDerivedFilesAreMadeAgain(t *testing.T) {
	for _, files := range []string{"snapshot.json", "offline.db*", "*.json.new-*"} {
		t.Run(files, func(t *testing.T) {
			till := newTestTill(t)
			till.must(100, `{"product":"TEA","quantity":"3"}`)
			receipt := till.must(206, ``).Transaction.Receipt
			till.must(100, `{"product":"TEA"}`)
			head := till.View().Head
			require.NoError(t, till.Close())
			paths, err := filepath.Glob(filepath.Join(till.dir, files))
			require.NoError(t, err)
			for _, path := range paths {
				require.NoError(t, os.Remove(path))
			}
			till.open()
			require.Equal(t, head, till.View().Head)
			lines := 0
			require.NoError(t, till.Look(t.Context(), func(s *ledger.State) { lines = len(s.Transaction.Lines) }))
			require.Equal(t, 1, lines)
			db, err := till.Offline(t.Context())
			require.NoError(t, err)
			document, err := db.Receipt(t.Context(), receipt)
			require.NoError(t, err)
			require.NotNil(t, document)
		})
	}
}

// The offline database after any life equals one that is built from the journal alone.
func TestOfflineDatabaseEqualsARebuild(t *testing.T) {
	till := newTestTill(t)
	for n := range 30 {
		till.must(100, fmt.Sprintf(`{"product":"TEA","quantity":"%d"}`, n+1))
		if n%3 == 0 {
			till.reopen()
			till.must(700, `{"staff":"7","pin":"1"}`)
		}
		till.must(206, ``)
	}
	live, err := till.Offline(t.Context())
	require.NoError(t, err)
	rebuilt, err := projections.Open(filepath.Join(t.TempDir(), "rebuilt.db"))
	require.NoError(t, err)
	defer rebuilt.Close()
	batch := batcher{db: rebuilt}
	require.NoError(t, till.Journal().Read(t.Context(), 1, func(m events.Message) error {
		entry, err := decode(m)
		require.NoError(t, err)
		return batch.add(t.Context(), projections.Stored{Entry: entry, Body: m.Body})
	}))
	require.NoError(t, batch.flush(t.Context()))
	differences, err := projections.Differences(t.Context(), rebuilt, live)
	require.NoError(t, err)
	require.Empty(t, differences)
}

func TestManagerOverride(t *testing.T) {
	till := newTestTill(t)
	till.must(701, ``)
	do := func(params string) (ledger.Answer, error) {
		return till.Do(t.Context(), Request{Operation: 303, Key: events.CommandKey(ulid.Make().String()), Body: []byte(params), Staff: "8"})
	}
	_, err := till.Do(t.Context(), Request{Operation: 700, Key: events.CommandKey(ulid.Make().String()), Body: []byte(`{"staff":"8","pin":"2"}`)})
	require.NoError(t, err)
	_, err = till.Do(t.Context(), Request{Operation: 100, Key: events.CommandKey(ulid.Make().String()), Body: []byte(`{"product":"TEA"}`), Staff: "8"})
	require.NoError(t, err)

	for params, code := range map[string]string{
		`{"percent":"10"}`: "permission_denied",
		`{"percent":"10","approver":"7","approver_pin":"9"}`: "override_refused",
		`{"percent":"10","approver":"8","approver_pin":"2"}`: "override_by_same",
	} {
		before := till.View().Head.Sequence
		_, err := do(params)
		refusal, ok := errors.AsType[*ledger.Refusal](err)
		require.True(t, ok, "%v", err)
		require.Equal(t, code, refusal.Code)
		require.Equal(t, before+1, till.View().Head.Sequence, "it is recorded")
	}
	a, err := do(`{"percent":"10","approver":"7","approver_pin":"1"}`)
	require.NoError(t, err)
	m, err := till.Register.journal.Get(t.Context(), a.Entries[0].Sequence)
	require.NoError(t, err)
	entry, err := events.Decode(m.Body)
	require.NoError(t, err)
	require.Equal(t, []events.StaffID{"8", "7"}, []events.StaffID{entry.Staff, entry.Approver})
}

func TestSecondProcessIsRefused(t *testing.T) {
	till := newTestTill(t)
	_, err := Open(t.Context(), till.cfg)
	require.ErrorContains(t, err, "in use")
}

func TestOfflineDatabaseDamagedWhileSelling(t *testing.T) {
	till := newTestTill(t)
	till.must(100, `{"product":"TEA"}`)
	_, err := till.Offline(t.Context())
	require.NoError(t, err)
	for _, name := range []string{"offline.db", "offline.db-wal"} {
		path := filepath.Join(till.dir, name)
		info, err := os.Stat(path)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(path, []byte(strings.Repeat("damaged ", int(info.Size()/8))), 0o600))
	}
	require.Eventually(t, func() bool {
		_, err := till.do(ulid.Make().String(), 105, `{"line":1,"quantity":"2"}`)
		if err != nil {
			require.ErrorContains(t, err, "offline_database_stalled")
		}
		return err == nil
	}, 20*time.Second, 10*time.Millisecond)
	receipt := till.must(206, ``).Transaction.Receipt
	db, err := till.Offline(t.Context())
	require.NoError(t, err)
	document, err := db.Receipt(t.Context(), receipt)
	require.NoError(t, err)
	require.NotNil(t, document)
}

// Under the key of a log on that worked nobody can try PINs: the answer is the first one, and says that it opens no session.
func TestRepeatedLogOnOpensNoSession(t *testing.T) {
	till := newTestTill(t)
	key := ulid.Make().String()
	first, err := till.do(key, 700, `{"staff":"7","pin":"1"}`)
	require.NoError(t, err)
	require.False(t, first.Repeated)
	for _, pin := range []string{"1", "2"} {
		again, err := till.do(key, 700, fmt.Sprintf(`{"staff":"7","pin":%q}`, pin))
		require.NoError(t, err)
		require.True(t, again.Repeated)
		require.Equal(t, first.Entries, again.Entries)
	}
}

// late is a journal whose next append is stored only after it was given up, as on a disk that hangs.
type late struct {
	journal
	lose bool
	held func() error
}

func (f *late) Append(ctx context.Context, after uint64, m events.Message) error {
	if f.lose {
		f.lose = false
		f.held = func() error { return f.journal.Append(ctx, after, m) }
		return context.DeadlineExceeded
	}
	if held := f.held; held != nil {
		f.held = nil
		if err := held(); err != nil {
			return err
		}
	}
	return f.journal.Append(ctx, after, m)
}

func TestAppendThatIsStoredLate(t *testing.T) {
	till := newTestTill(t)
	till.Register.journal = &late{journal: till.Register.journal, lose: true}
	before := till.View().Head.Sequence
	key := ulid.Make().String()
	_, err := till.do(key, 100, `{"product":"TEA"}`)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	// Another command comes first, and finds that the one before was stored after all.
	_, err = till.do(ulid.Make().String(), 100, `{"product":"TEA","quantity":"2"}`)
	require.ErrorIs(t, err, events.ErrConflict)
	a, err := till.do(key, 100, `{"product":"TEA"}`)
	require.NoError(t, err)
	require.Equal(t, before+1, a.Entries[0].Sequence, "the same command gets the entry that was stored late")
	till.must(206, ``)
	require.Nil(t, till.Damage())
	require.NoError(t, till.Check(t.Context()))
}

// The owner never waits for the offline database, however many entries an operation appends.
func TestOfflineDatabaseThatStandsStill(t *testing.T) {
	till := newTestTill(t)
	require.NoError(t, till.projector.waitFor(t.Context(), till.View().Head))
	lock, err := sql.Open("sqlite", "file:"+till.dir+"/offline.db?_txlock=immediate")
	require.NoError(t, err)
	defer lock.Close()
	tx, err := lock.Begin()
	require.NoError(t, err)
	till.must(100, `{"product":"TEA"}`)
	for {
		if _, err = till.do(ulid.Make().String(), 501, `{"comment":"x"}`); err != nil {
			break
		}
	}
	require.ErrorContains(t, err, "offline_database_stalled")
	require.Less(t, len(till.projector.in), cap(till.projector.in), "there is room for what one operation can append")
	require.NoError(t, tx.Rollback())
	require.Eventually(t, func() bool {
		_, err := till.do(ulid.Make().String(), 501, `{"comment":"x"}`)
		return err == nil
	}, 20*time.Second, 10*time.Millisecond)
}

// TestClosedRegisterAnswers: whoever asks a register that was closed is told so, also
// with a context that never ends.
func TestClosedRegisterAnswers(t *testing.T) {
	till := newTestTill(t)
	require.NoError(t, till.Close())
	_, err := till.Do(context.Background(), Request{Operation: 101, Key: events.CommandKey(ulid.Make().String()), Body: []byte(`{"product":"TEA"}`), Staff: "7"})
	require.ErrorIs(t, err, ErrClosed)
	require.ErrorIs(t, err, ErrNotBegun)
	require.ErrorIs(t, till.Look(context.Background(), func(*ledger.State) { t.Error("there is no state to look at") }), ErrClosed)

	// A command that was prepared before the end is refused too.
	till.open()
	var waiting sync.WaitGroup
	for range 20 {
		waiting.Go(func() {
			_, err := till.Do(context.Background(), Request{Operation: 101, Key: events.CommandKey(ulid.Make().String()), Body: []byte(`{"product":"TEA"}`), Staff: "7"})
			if err != nil {
				require.ErrorIs(t, err, ErrClosed)
			}
		})
	}
	require.NoError(t, till.Close())
	waiting.Wait()
}

// TestGiftCardPIN: the PIN of a gift card is checked against its hash.
func TestGiftCardPIN(t *testing.T) {
	till := newTestTill(t)
	_, err := till.Reference().Import(t.Context(), strings.NewReader(fmt.Sprintf(`{"kind":"giftcard","key":"6101","record":{"number":"6101","balance":5000,"currency":"GBP","pin":%q}}`, HashPIN("4711"))), till.now, false)
	require.NoError(t, err)
	key := ulid.Make().String()
	_, err = till.do(key, 520, `{"card":"6101","card_pin":"0000"}`)
	refused(t, err, "gift_card_pin_wrong")
	_, err = till.do(key, 520, `{"card":"6101","card_pin":"4711"}`)
	refused(t, err, "gift_card_pin_wrong") // nobody tries PINs under an old key
	require.EqualValues(t, 5000, till.must(520, `{"card":"6101","card_pin":"4711"}`).Result.(*events.BalanceChecked).Available)
}
