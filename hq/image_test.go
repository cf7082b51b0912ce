package hq_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"github.com/posnode/posnode/embedded"
	"github.com/posnode/posnode/events"
	"github.com/posnode/posnode/hq"
	"github.com/posnode/posnode/ledger"
	"github.com/posnode/posnode/register"
	"github.com/posnode/posnode/replay"
)

// copied is the store of a stopped register as an auditor reads it.
type copied struct{ *embedded.Copy }

func (c copied) Read(ctx context.Context, yield func(int, events.Message) error) error {
	for _, epoch := range c.Epochs() {
		if err := c.Journal(epoch).Read(ctx, 1, func(m events.Message) error { return yield(epoch, m) }); err != nil {
			return err
		}
	}
	return nil
}

// numbers are the last numbers that a register has given.
func (f *fleet) numbers() (n events.Numbers) {
	require.NoError(f.t, f.till.Look(f.t.Context(), func(s *ledger.State) { n = s.Carried().Numbers }))
	return n
}

// "A disk image of yesterday put back under a register that HQ knows: found at first contact, quarantined,
// nothing overwritten; 707 begins a new epoch." The same for a clone, and for a till that was wiped.
func TestANewEpochAfterAnImageOfYesterday(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		kind   string
		breaks func(f *fleet, image string)
	}{
		"yesterday's image": {events.FrozenRolledBack, func(f *fleet, image string) {
			copyDir(f.t, image, filepath.Join(f.dir, "till"))
			f.openTillAlone()
			f.sell(1)
			f.closeTill()
			f.openTill()
		}},
		"yesterday's image, and a long day on it": {events.FrozenForked, func(f *fleet, image string) {
			copyDir(f.t, image, filepath.Join(f.dir, "till"))
			f.openTillAlone()
			f.sell(20)
			f.closeTill()
			f.openTill()
		}},
		"a clone": {events.FrozenCloned, func(f *fleet, image string) {
			copyDir(f.t, filepath.Join(f.dir, "till"), filepath.Join(f.dir, "clone"))
			f.openTill()
			clone, err := register.Open(f.t.Context(), f.tillConfig("clone", f.hq.LeafURL()))
			require.NoError(f.t, err)
			f.t.Cleanup(func() { require.NoError(f.t, clone.Close()) })
			require.Eventually(f.t, func() bool { return register.Frozen(clone.Damage()) }, soon, 50*time.Millisecond)
		}},
		"wiped": {events.FrozenRolledBack, func(f *fleet, _ string) {
			require.NoError(f.t, os.RemoveAll(filepath.Join(f.dir, "till")))
			f.openTill()
			f.bringReference()
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFleet(t)
			image := filepath.Join(f.dir, "image")
			f.sell(3)
			f.marked()
			f.closeTill()
			copyDir(t, filepath.Join(f.dir, "till"), image)
			f.openTill()
			f.sell(2)
			f.marked()
			f.eventually(1055, ``)
			f.do(700, `{"staff":"7","pin":"1"}`)
			f.do(1050, ``)
			f.sell(2)
			f.marked()
			before, sold, known := f.journalAtHQ(1), f.concluded(), f.numbers()
			held := f.stored()
			require.Equal(t, []int{7, 1, 2}, []int{known.Receipts, known.Z, known.Shifts})
			f.closeTill()

			c.breaks(f, image)
			f.frozenWithoutSelling()
			require.True(t, c.kind == events.FrozenCloned || c.kind == f.till.Damage().Kind && c.kind == f.status().Frozen.Kind, "%v", f.till.Damage())
			require.Equal(t, "register_frozen", f.refused(100, `{"product":"TEA"}`))
			wrong, numbers := f.journalOf(), known.AtLeast(f.numbers())
			require.Eventually(t, func() bool {
				stored := f.stored()
				for _, place := range wrong {
					if !stored[place] {
						return false
					}
				}
				return true
			}, soon, 100*time.Millisecond, "what was written on the wrong branch is kept")
			if c.kind != events.FrozenCloned { // one of the two went on where both were the same
				require.Equal(t, before, f.journalAtHQ(1), "nothing is overwritten")
			}
			before = f.journalAtHQ(1)

			code, err := f.hq.NewCode(t.Context(), f.name, time.Hour)
			require.NoError(t, err)
			f.eventually(707, fmt.Sprintf(`{"code":%q}`, code.Code))
			require.Equal(t, 2, f.till.View().Head.Epoch)
			require.Nil(t, f.till.Damage())
			f.do(700, `{"staff":"7","pin":"1"}`)
			f.do(1050, ``)
			f.sell(2)
			after := f.numbers()
			require.Equal(t, events.ShiftID(fmt.Sprintf("s001-r01-2-s%d", numbers.Shifts+1)), f.till.View().Shift)
			require.Equal(t, []int{numbers.Receipts + 2, numbers.Z}, []int{after.Receipts, after.Z}, "the numbers go on")
			require.Equal(t, numbers.Grand[0].Transactions+2, after.Grand[0].Transactions)
			require.Equal(t, numbers.Grand[0].Sales+510, after.Grand[0].Sales)

			require.Eventually(t, func() bool { return f.journalAtHQ(2) == f.till.View().Head }, soon, 50*time.Millisecond, "head office verifies the new epoch")
			require.Equal(t, before, f.journalAtHQ(1))
			require.Equal(t, sold+2, f.concluded(), "what was sold on the wrong branch does not count")
			require.Nil(t, f.status().Frozen)
			stored := f.stored()
			for place := range held {
				require.True(t, stored[place], "nothing is overwritten")
			}
			found, err := f.hq.Findings(t.Context())
			require.NoError(t, err)
			for _, one := range found {
				if one.Resolved != "" {
					continue // a gap for a moment, after which it came
				}
				require.Equal(t, 1, one.Epoch, "%v", one)
				require.Contains(t, []string{hq.KindRollback, hq.KindFork, hq.KindClone, hq.KindChain}, one.Kind)
			}

			f.closeTill()
			store, err := embedded.OpenCopy(t.Context(), filepath.Join(f.dir, "till"))
			require.NoError(t, err)
			report, err := replay.Verify(t.Context(), copied{store}, replay.Options{})
			require.NoError(t, errors.Join(err, store.Close()))
			require.Empty(t, report.Findings, "an auditor finds both epochs sound")
			f.openTill()
			f.do(700, `{"staff":"7","pin":"1"}`)
			f.sell(1)
		})
	}
}

// eventually does what head office may not be ready for yet.
func (f *fleet) eventually(operation int, params string) {
	f.t.Helper()
	var err error
	require.Eventually(f.t, func() bool {
		_, err = f.till.Do(f.t.Context(), register.Request{Operation: operation, Key: events.CommandKey(ulid.Make().String()), Body: []byte(params), Staff: "7"})
		return err == nil
	}, soon, 100*time.Millisecond, "operation %d: %v", operation, err)
}

func (f *fleet) refused(operation int, params string) string {
	f.t.Helper()
	_, err := f.till.Do(f.t.Context(), register.Request{Operation: operation, Key: events.CommandKey(ulid.Make().String()), Body: []byte(params), Staff: "7"})
	refusal, refused := errors.AsType[*ledger.Refusal](err)
	require.True(f.t, refused, "%v", err)
	return refusal.Code
}

// journalAtHQ is the verified head of an epoch.
func (f *fleet) journalAtHQ(epoch int) events.Head {
	journals, err := f.hq.Journals(f.t.Context())
	require.NoError(f.t, err)
	for _, j := range journals {
		if j.Head.Epoch == epoch {
			return j.Head
		}
	}
	return events.Head{}
}
