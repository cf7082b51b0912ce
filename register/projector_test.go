package register

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/posnode/posnode/events"
)

// TestWaitForAnEntry: who waits for an entry is answered once the offline database holds it, or is in a later epoch:
// nothing of the epoch before is applied any more.
func TestWaitForAnEntry(t *testing.T) {
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	at := func(epoch int, sequence uint64) events.Head { return events.Head{Epoch: epoch, Sequence: sequence} }
	for _, c := range []struct {
		applied, waited events.Head
		there           bool
	}{
		{at(1, 5), at(1, 4), true},
		{at(1, 5), at(1, 5), true},
		{at(1, 5), at(1, 6), false},
		{at(2, 1), at(1, 5), true},
		{at(2, 9), at(3, 1), false},
		{at(1, 0), at(1, 1), false},
	} {
		p := &projector{applied: c.applied, changed: make(chan struct{})}
		err := p.waitFor(gone, c.waited)
		if c.there {
			require.NoError(t, err, "%v applied, %v waited for", c.applied, c.waited)
		} else {
			require.ErrorIs(t, err, context.Canceled, "%v applied, %v waited for", c.applied, c.waited)
		}
	}
}
