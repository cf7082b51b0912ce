package logtest

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/posnode/posnode/events"
	"github.com/posnode/posnode/ledger"
)

func TestMemory(t *testing.T) {
	Run(t, func(*testing.T) ledger.Log { return new(Memory) })
}

func TestMemoryFaults(t *testing.T) {
	for _, fault := range Faults {
		t.Run(fault.Name, func(t *testing.T) {
			log, messages := new(Memory), Messages(t, 3)
			log.Fail(2, fault)
			require.NoError(t, log.Append(t.Context(), 0, messages[0]))
			err := log.Append(t.Context(), 1, messages[1])
			require.ErrorIs(t, err, ErrFault)
			require.NotErrorIs(t, err, events.ErrConflict)
			require.NotErrorIs(t, err, events.ErrFull)
			if fault.Stored {
				requireLast(t, log, 2)
			} else {
				requireLast(t, log, 1)
				require.NoError(t, log.Append(t.Context(), 1, messages[1]), "one append fails, not the next")
			}
			require.NoError(t, log.Append(t.Context(), 2, messages[2]))
			Check(t, log)
		})
	}
}

func TestMemoryFull(t *testing.T) {
	log, messages := new(Memory), Messages(t, 1)
	log.SetFull(true)
	require.ErrorIs(t, log.Append(t.Context(), 0, messages[0]), events.ErrFull)
	requireLast(t, log, 0)
	log.SetFull(false)
	require.NoError(t, log.Append(t.Context(), 0, messages[0]))
	Check(t, log)
}

func TestMemoryDamage(t *testing.T) {
	log := new(Memory)
	fill(t, log, Messages(t, 3))
	log.Alter(2, func(body []byte) []byte { return bytes.Replace(body, []byte("Ann"), []byte("Bob"), 1) })
	require.Contains(t, string(read(t, log, 2)[0].Body), "Bob")
	log.Lose(2)
	seen := 0
	err := log.Read(t.Context(), 1, func(events.Message) error { seen++; return nil })
	var corrupt *events.CorruptError
	require.ErrorAs(t, err, &corrupt)
	require.Equal(t, uint64(2), corrupt.Sequence)
	require.Equal(t, 1, seen, "what comes before the gap is read")
	require.Len(t, read(t, log, 3), 1)
}
