package register

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"github.com/posnode/posnode/embedded"
	"github.com/posnode/posnode/events"
	"github.com/posnode/posnode/internal/checkpoint"
	"github.com/posnode/posnode/ledger"
	"github.com/posnode/posnode/projections"
)

// turn begins a later epoch, as the owner does.
func (t *testTill) turn(epoch int, known events.Numbers) {
	t.t.Helper()
	keys, err := t.enrolling(events.CommandKey(ulid.Make().String()))
	require.NoError(t.t, err)
	require.NoError(t.t, t.Look(t.t.Context(), func(*ledger.State) { err = t.beginEpoch(t.t.Context(), epoch, known, keys) }))
	require.NoError(t.t, err)
}

// numbers copies what the next epoch would take over. A test that fails in a function given to Look ends the
// owner's goroutine, and then nothing is answered any more: so tests compare the copy.
func (t *testTill) numbers() (n events.Numbers) {
	t.t.Helper()
	require.NoError(t.t, t.Look(t.t.Context(), func(s *ledger.State) { n = s.Carried().Numbers }))
	return n
}

func (t *testTill) sell() events.ReceiptNumber {
	t.t.Helper()
	t.must(100, `{"product":"TEA"}`)
	return t.must(206, ``).Transaction.Receipt
}

func TestNumbersGoOnInTheNextEpoch(t *testing.T) {
	till := newTestTill(t)
	require.Equal(t, events.ReceiptNumber("s001-r01-1-000001"), till.sell())
	till.must(100, `{"product":"TEA"}`)
	suspended := till.must(503, ``).Transaction.ID
	till.sell()
	shift := till.View().Shift
	before := till.View().Head

	till.turn(2, events.Numbers{Z: 7, Receipts: 1})
	view := till.View()
	require.Equal(t, 2, view.Head.Epoch)
	require.Equal(t, uint64(1), view.Head.Sequence)
	require.Empty(t, view.Shift, "what was open stays behind")
	require.Nil(t, view.Staff)
	_, err := till.do("01J0000000000000000000000A", 100, `{"product":"TEA"}`)
	require.ErrorContains(t, err, "not_signed_on")
	record := till.identity.activation
	require.Contains(t, string(record), before.Hash.String(), "it names where the epoch before ended")
	require.Contains(t, string(record), string(shift))
	require.Contains(t, string(record), string(suspended))

	for range 2 { // the same after a restart
		till.must(700, `{"staff":"7","pin":"1"}`)
		till.reopen()
	}
	till.must(700, `{"staff":"7","pin":"1"}`)
	opened := till.must(1050, ``)
	require.Equal(t, opened.Entries[0].Sequence, till.View().Head.Sequence)
	require.Equal(t, events.ShiftID("s001-r01-2-s2"), till.View().Shift)
	require.Equal(t, events.ReceiptNumber("s001-r01-2-000003"), till.sell())
	numbers := till.numbers()
	require.Equal(t, 7, numbers.Z, "head office knew of more")
	require.Equal(t, []events.GrandTotal{{Currency: "GBP", Transactions: 3, Sales: 765}}, numbers.Grand, "the sums go on")
	require.NoError(t, till.Check(t.Context()))

	// A command of the epoch before is still known.
	body, err := till.offline.Journal(t.Context(), projections.Filter{Epoch: 1, Type: "sale.concluded.v1"})
	require.NoError(t, err)
	require.Len(t, body, 2)
	sold, err := events.Decode(body[0])
	require.NoError(t, err)
	again, err := till.do(string(sold.Command), 206, ``)
	require.NoError(t, err)
	require.True(t, again.Repeated)
	require.Equal(t, sold.Head.Hash, again.Entries[0].Hash)
}

func TestOfflineDatabaseOverSeveralEpochs(t *testing.T) {
	till := newTestTill(t)
	for epoch := 2; epoch <= 4; epoch++ {
		till.sell()
		till.turn(epoch, events.Numbers{})
		till.must(700, `{"staff":"7","pin":"1"}`)
		till.must(1050, ``)
	}
	till.sell()
	live, err := till.Offline(t.Context())
	require.NoError(t, err)
	all := func() (bodies []string) {
		for epoch := 1; epoch <= 4; epoch++ {
			of, err := live.Journal(t.Context(), projections.Filter{Epoch: epoch})
			require.NoError(t, err)
			for _, body := range of {
				bodies = append(bodies, string(body))
			}
		}
		return bodies
	}
	before := all()
	require.Contains(t, strings.Join(before, "\n"), "s001-r01-4-000004")

	require.NoError(t, till.Close())
	require.NoError(t, os.Remove(filepath.Join(till.dir, "offline.db")))
	till.open()
	live, err = till.Offline(t.Context())
	require.NoError(t, err)
	require.Equal(t, before, all(), "it is made again from the journals of all epochs")

	// A restart that finds it an epoch behind brings it up.
	require.NoError(t, live.Reset(t.Context()))
	require.NoError(t, till.project(t.Context(), events.Head{}, events.Head{Epoch: 2, Sequence: 2}))
	require.NoError(t, till.Close())
	till.open()
	live, err = till.Offline(t.Context())
	require.NoError(t, err)
	require.Equal(t, before, all())
}

// If we died between the new identity and the new journal, the next start is in the new epoch.
func TestDiedWhileTurning(t *testing.T) {
	till := newTestTill(t)
	till.sell()
	var carried *events.Carried
	require.NoError(t, till.Look(t.Context(), func(s *ledger.State) { carried = s.Carried() }))
	head := till.View().Head
	require.NoError(t, till.Close())
	private, public, err := checkpoint.GenerateKey("s001-r01")
	require.NoError(t, err)
	_, err = storeIdentity(till.dir, private, events.ActivationRecord{Register: till.cfg.Register, Epoch: 2, Key: public, Previous: &head, Carried: carried})
	require.NoError(t, err)
	till.open()
	require.Equal(t, 2, till.View().Head.Epoch)
	till.must(700, `{"staff":"7","pin":"1"}`)
	till.must(1050, ``)
	require.Equal(t, events.ReceiptNumber("s001-r01-2-000002"), till.sell())
}

// A damaged journal stays as it is; the next epoch sells.
func TestNextEpochAfterDamage(t *testing.T) {
	till := newTestTill(t)
	till.sell()
	till.noteDamage(&events.CorruptError{Sequence: 3, Kind: "altered"})
	_, err := till.do("01J0000000000000000000000B", 100, `{"product":"TEA"}`)
	require.ErrorContains(t, err, "journal_damaged")
	till.turn(2, events.Numbers{})
	till.must(700, `{"staff":"7","pin":"1"}`)
	till.must(1050, ``)
	till.sell()
}

// The journal of an earlier epoch is gone: the register says so and sells on.
func TestJournalOfAnEarlierEpochIsGone(t *testing.T) {
	till := newTestTill(t)
	till.sell()
	ended := till.View().Head
	till.turn(2, events.Numbers{})
	till.must(700, `{"staff":"7","pin":"1"}`)
	till.must(1050, ``)
	require.NoError(t, till.Close())
	require.NoError(t, os.RemoveAll(filepath.Join(till.dir, "jetstream", "$G", "streams", "JOURNAL_1")))
	till.reopen()
	want := fmt.Sprintf("The journal of epoch 1 is missing; it had %d entries.", ended.Sequence)
	status, err := till.Status(t.Context())
	require.NoError(t, err)
	require.Equal(t, []embedded.JournalFault{{Epoch: 1, What: want}}, status.Faults)
	require.Contains(t, status.Warnings, want)
	require.Nil(t, status.Damage)
	till.must(700, `{"staff":"7","pin":"1"}`)
	till.sell()
}
