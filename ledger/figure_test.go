package ledger

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/posnode/posnode/events"
)

// TestFigureCountsEachMovementOnce: a figure holds a movement, or the register adds it: by the moment that the figure was
// made, or by the entries that it names, and by those that head office has put to it since.
func TestFigureCountsEachMovementOnce(t *testing.T) {
	till := events.Register{Store: "s001", ID: "r01"}
	place := func(epoch int, sequence uint64) events.Place { return events.Place{Epoch: epoch, Sequence: sequence} }
	included := func(epoch int, sequence uint64) Included {
		return Included{Register: "r01", Epoch: epoch, Sequence: sequence}
	}
	elsewhere := included(1, 99)
	elsewhere.Store = "s002"
	here := included(1, 5)
	here.Store = "s001"
	noon := Figure{AsOf: "2026-03-02T12:00:00Z"}
	named := Figure{AsOf: noon.AsOf, Included: []Included{included(2, 5), included(4, 5), {Register: "r02", Epoch: 9, Sequence: 9}}}
	for _, c := range []struct {
		what   string
		figure Figure
		at     events.Place
		moment string
		held   bool
	}{
		{"before it was made", noon, place(1, 7), "2026-03-02T11:59:59.999999999Z", true},
		{"at that moment", noon, place(1, 7), "2026-03-02T12:00:00Z", true},
		{"at that moment, with decimals", noon, place(1, 7), "2026-03-02T12:00:00.000000000Z", true},
		{"after it", noon, place(1, 7), "2026-03-02T12:00:00.000000001Z", false},
		{"never dated", Figure{}, place(1, 7), "2026-03-02T12:00:00Z", false},

		{"before the entry that it names", named, place(2, 4), "2026-03-02T13:00:00Z", true},
		{"the entry that it names", named, place(2, 5), "2026-03-02T13:00:00Z", true},
		{"behind it, whatever the moment", named, place(2, 6), "2026-03-02T11:00:00Z", false},
		{"the epoch before, which is over", named, place(1, 99), "2026-03-02T13:00:00Z", true},
		{"an epoch between", named, place(3, 99), "2026-03-02T13:00:00Z", true},
		{"the last epoch", named, place(4, 5), "2026-03-02T13:00:00Z", true},
		{"behind the last", named, place(4, 6), "2026-03-02T11:00:00Z", false},
		{"a later epoch", named, place(5, 1), "2026-03-02T11:00:00Z", false},

		{"a register of this name in another store", Figure{AsOf: noon.AsOf, Included: []Included{elsewhere}}, place(1, 7), "2026-03-02T13:00:00Z", false},
		{"this one, with its store", Figure{AsOf: noon.AsOf, Included: []Included{here}}, place(1, 5), "2026-03-02T13:00:00Z", true},

		{"put to it since", Figure{AsOf: noon.AsOf, Through: []events.Place{place(1, 3), place(2, 7)}}, place(2, 7), "2026-03-02T13:00:00Z", true},
		{"not yet", Figure{AsOf: noon.AsOf, Through: []events.Place{place(1, 3), place(2, 7)}}, place(2, 8), "2026-03-02T13:00:00Z", false},
		{"of an epoch that is not named", Figure{AsOf: noon.AsOf, Through: []events.Place{place(2, 7)}}, place(1, 1), "2026-03-02T13:00:00Z", false},
		{"not put to it, but in it", Figure{AsOf: noon.AsOf, Through: []events.Place{place(1, 3)}}, place(1, 4), "2026-03-02T12:00:00Z", true},
	} {
		require.Equal(t, c.held, c.figure.Counted(till, c.at, c.moment), c.what)
	}
}
