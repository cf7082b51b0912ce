package replay_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/posnode/posnode/events"
	"github.com/posnode/posnode/projections"
	"github.com/posnode/posnode/replay"
)

func TestAtIsTheStateOfThen(t *testing.T) {
	w := week(t)
	state, err := replay.At(t.Context(), lines(w.bodies), 1, 6)
	require.NoError(t, err)
	require.Equal(t, uint64(6), state.Head.Sequence)
	require.Len(t, state.Transaction.Lines, 2)
	require.Equal(t, events.Money(1499), state.Transaction.Totals.Due)

	newest, err := replay.At(t.Context(), lines(w.bodies), 0, 7)
	require.NoError(t, err)
	require.Equal(t, w.state.Head, newest.Head)
	require.Nil(t, newest.Transaction)

	for _, wrong := range []struct {
		epoch    int
		sequence uint64
	}{{0, 8}, {1, 14}, {3, 1}, {1, 0}, {0, 0}} {
		_, err := replay.At(t.Context(), lines(w.bodies), wrong.epoch, wrong.sequence)
		require.ErrorContains(t, err, "no entry", "%v", wrong)
	}
	_, err = replay.At(t.Context(), lines(alter(t, w.bodies, 5, "Tea", "Pea")), 1, 9)
	require.ErrorAs(t, err, new(*events.CorruptError))
	_, err = replay.At(t.Context(), lines(alter(t, w.bodies, 5, "Tea", "Pea")), 1, 5)
	require.NoError(t, err, "damage behind it is not looked at")
}

func TestDiffNamesTheFirstDifference(t *testing.T) {
	w := week(t)
	altered := alter(t, w.bodies, 5, "Tea", "Pea")
	for _, test := range []struct {
		name     string
		b        [][]byte
		epoch    int
		sequence uint64
	}{
		{"altered", altered, 1, 5},
		{"shorter", w.bodies[:12], 1, 13},
		{"an epoch shorter", w.bodies[:13], 2, 1},
		{"empty", nil, 1, 1},
		{"first", alter(t, w.bodies, 1, "s001", "s002"), 1, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			d, err := replay.Diff(t.Context(), lines(w.bodies), lines(test.b))
			require.NoError(t, err)
			require.Equal(t, test.epoch, d.Epoch)
			require.Equal(t, test.sequence, d.Sequence)
			require.NotNil(t, d.A)
			if test.name == "altered" {
				require.Equal(t, events.Hash(altered[4]), d.B.Hash)
			}
			back, err := replay.Diff(t.Context(), lines(test.b), lines(w.bodies))
			require.NoError(t, err)
			require.Equal(t, replay.Difference{Epoch: d.Epoch, Sequence: d.Sequence, A: d.B, B: d.A}, *back)
		})
	}
	d, err := replay.Diff(t.Context(), lines(w.bodies), lines(w.bodies))
	require.NoError(t, err)
	require.Nil(t, d)

	// A register was restored to the last entry but one of its first epoch, and began the next
	// epoch there.
	restored := slices.Concat(w.bodies[:12], w.bodies[13:])
	d, err = replay.Diff(t.Context(), lines(w.bodies), lines(restored))
	require.NoError(t, err)
	require.Equal(t, events.Head{Epoch: 1, Sequence: 13, Hash: events.Hash(w.bodies[12])}, *d.A)
	require.Equal(t, events.Head{Epoch: 2, Sequence: 1, Hash: events.Hash(w.bodies[13])}, *d.B)
	require.Equal(t, 1, d.Epoch)
	require.EqualValues(t, 13, d.Sequence)

	_, err = replay.At(t.Context(), lines(w.bodies), 0, 99)
	require.EqualError(t, err, fmt.Sprintf("there is no entry 99 in epoch 2, which ends at entry %d", len(w.bodies)-13))
}

func TestReadingErrorsAreNotFindings(t *testing.T) {
	broken := errors.New("disk on fire")
	src := readFunc(func(func(int, events.Message) error) error { return broken })
	_, err := replay.Verify(t.Context(), src, replay.Options{})
	require.ErrorIs(t, err, broken)
	_, err = replay.Diff(t.Context(), src, lines(nil))
	require.ErrorIs(t, err, broken)

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = replay.Verify(ctx, lines(week(t).bodies), replay.Options{})
	require.ErrorIs(t, err, context.Canceled)
}

// offlineDatabase folds bodies into an offline database and returns its path.
func offlineDatabase(t *testing.T, bodies [][]byte) string {
	path := filepath.Join(t.TempDir(), "offline.db")
	db, err := projections.Open(path)
	require.NoError(t, err)
	require.NoError(t, replay.Rebuild(t.Context(), lines(bodies), db, events.Head{}))
	require.NoError(t, db.Close())
	return path
}

func TestProjectionIsComparedWithAReplay(t *testing.T) {
	w := week(t)
	for _, test := range []struct {
		name    string
		offline [][]byte
		found   int
	}{
		{"the same", w.bodies, 0},
		{"behind", w.bodies[:9], 0},
		{"empty", nil, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			db, err := projections.OpenReadOnly(t.Context(), offlineDatabase(t, test.offline))
			require.NoError(t, err)
			defer db.Close()
			found, err := replay.Compare(t.Context(), lines(w.bodies), db)
			require.NoError(t, err)
			require.Len(t, found, test.found, "%v", found)
		})
	}
	t.Run("differs", func(t *testing.T) {
		other := newTill(t).open().sale().sale()
		db, err := projections.OpenReadOnly(t.Context(), offlineDatabase(t, slices.Clone(other.bodies)))
		require.NoError(t, err)
		defer db.Close()
		found, err := replay.Compare(t.Context(), lines(w.bodies), db)
		require.NoError(t, err)
		require.NotEmpty(t, found)
		require.Equal(t, replay.KindProjection, found[0].Kind)
	})
	t.Run("journal that cannot be folded", func(t *testing.T) {
		db, err := projections.OpenReadOnly(t.Context(), offlineDatabase(t, w.bodies))
		require.NoError(t, err)
		defer db.Close()
		_, err = replay.Compare(t.Context(), lines(alter(t, w.bodies, 5, "1.0", "1.1")), db)
		require.ErrorAs(t, err, new(*events.CorruptError))
	})
}
