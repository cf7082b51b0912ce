package register

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/posnode/posnode/events"
	"github.com/posnode/posnode/internal/checkpoint"
)

// TestAnnouncedHeadIsSigned shows that a register signs the head that it announces, with the key of its epoch.
func TestAnnouncedHeadIsSigned(t *testing.T) {
	till := newTestTill(t)
	check := func() {
		t.Helper()
		_, question, err := till.announcement(t.Context())
		require.NoError(t, err)
		var a events.Announcement
		require.NoError(t, json.Unmarshal(question, &a))
		require.Equal(t, till.View().Head, a.Head)
		signed, err := checkpoint.Open(a.Checkpoint, till.identity.public)
		require.NoError(t, err)
		require.Equal(t, checkpoint.Checkpoint{Origin: fmt.Sprintf("s001-r01/%d", a.Epoch), Size: a.Sequence, Hash: a.Hash}, signed)
	}
	check()
	till.sell()
	require.Len(t, till.concluded, 1, "the next announcement does not wait for its time")
	check()
	till.turn(2, events.Numbers{})
	check()
	ended, err := till.signedHead(events.Head{Epoch: 1, Sequence: 5})
	require.NoError(t, err)
	require.Empty(t, ended, "the key of an epoch that has ended is gone")
}
