package hq

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/posnode/posnode/events"
)

// step is one entry in a chain: its hash, and the hash that it names.
type step struct{ prev, hash events.Digest }

// modelRuns cuts what is held into stretches that are chained and have no gap.
func modelRuns(held map[uint64]step) (out runs) {
	sequences := []uint64{}
	for sequence := range held {
		sequences = append(sequences, sequence)
	}
	slices.Sort(sequences)
	for _, sequence := range sequences {
		s := held[sequence]
		if n := len(out) - 1; n >= 0 && out[n].last+1 == sequence && out[n].hash == s.prev {
			out[n].last, out[n].hash = sequence, s.hash
			continue
		}
		out = append(out, run{first: sequence, last: sequence, prev: s.prev, hash: s.hash})
	}
	return out
}

// TestRuns adds and drops entries of two histories in any order. What is held is the same as if it had come in order.
func TestRuns(t *testing.T) {
	digest := func(history byte, sequence uint64) events.Digest { return events.Digest{history, byte(sequence)} }
	rapid.Check(t, func(rt *rapid.T) {
		held := map[uint64]step{}
		var rs runs
		for range rapid.IntRange(1, 60).Draw(rt, "steps") {
			sequence := rapid.Uint64Range(1, 12).Draw(rt, "sequence")
			if _, ok := held[sequence]; ok {
				require.True(rt, rs.holds(sequence))
				if own := held[sequence].hash; rapid.Bool().Draw(rt, "drop") && chained(held, sequence) {
					rs.drop(sequence, held[sequence].prev, own)
					delete(held, sequence)
				}
			} else {
				require.False(rt, rs.holds(sequence))
				history := rapid.SampledFrom([]byte{1, 1, 1, 2}).Draw(rt, "history")
				s := step{digest(history, sequence-1), digest(history, sequence)}
				held[sequence] = s
				rs.add(sequence, s.prev, s.hash)
			}
			want := modelRuns(held)
			require.True(rt, slices.Equal(want, rs), "want %v, got %v", want, rs)
			var reached uint64
			for sequence := range held {
				reached = max(reached, sequence)
			}
			require.Equal(rt, reached, rs.reached())
			missing := 0
			for sequence := uint64(1); sequence < reached; sequence++ {
				if _, ok := held[sequence]; !ok {
					missing++
				}
			}
			for _, hole := range rs.holes(3) {
				require.Equal(rt, 3, hole.Epoch)
				for sequence := hole.From; sequence <= hole.To; sequence++ {
					require.NotContains(rt, held, sequence)
					missing--
				}
			}
			require.Zero(rt, missing, "every hole is listed, and nothing else")
		}
	})
}

// chained says whether the neighbours of an entry are of its history, as drop wants it.
func chained(held map[uint64]step, sequence uint64) bool {
	s := held[sequence]
	before, hasBefore := held[sequence-1]
	after, hasAfter := held[sequence+1]
	return (!hasBefore || before.hash == s.prev) && (!hasAfter || after.prev == s.hash)
}
