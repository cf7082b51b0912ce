package embedded

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/posnode/posnode/events"
	"github.com/posnode/posnode/internal/hostile"
)

// neighbour is another register whose journals come to the same shard.
func neighbour(of events.Register) events.Register {
	for n := 2; ; n++ {
		r := events.Register{Store: of.Store, ID: events.RegisterID(fmt.Sprintf("r%02d", n))}
		if shardOf(r) == shardOf(of) && r != of {
			return r
		}
	}
}

// forgedSources are blocks of headers by which a till tries to have its message taken for entry 6 of a journal. Its
// own server is a stock one and stores them.
func forgedSources(victim JournalName) map[string]string {
	source := sourceHeader + ": " + sourceName(victim) + " 6 > > pos.s001.r01.sale.line_added"
	twice := sourceHeader + sourceHeader // behind it, nats-server finds no key of that name
	return map[string]string{
		"behind a bare LF":                   "NATS/1.0\r\nX: a\n" + source + "\r\n\r\n",
		"and the block seems to end there":   "NATS/1.0\r\nX: a\n" + source + "\n\nY: b\r\n\r\n",
		"and the server's own is not a line": "NATS/1.0\r\nX: a\n" + source + "\nY: bcd",
		"a block without an end":             "NATS/1.0\n" + source + "\n\n\n",
		"a key that is not found":            "NATS/1.0\r\nX: " + twice + "\r\n" + source + "\r\n\r\n",
		"not found, and it ends there":       "NATS/1.0\r\nX: " + twice + "\r\n" + source + "\r\n\nY: b\r\n\r\n",
		"in the line of the status":          "NATS/1.0 100 Idle\n" + source + "\nNats-Last-Stream: 999999\n\nY: b\r\n\r\n",
		"under another spelling":             "NATS/1.0\r\nnats-stream-source: " + sourceName(victim) + " 6\r\n\r\n",
	}
}

// controls are blocks of headers with which a server ends or pauses a reading. The bodies are empty.
var controls = map[string]string{
	"idle":      "NATS/1.0 100 Idle Heartbeat\r\nNats-Last-Consumer: 1\r\nNats-Last-Stream: 999999\r\n\r\n",
	"status":    "NATS/1.0\r\nStatus: 100\r\nNats-Last-Stream: 999999\r\n\r\n",
	"stalled":   "NATS/1.0 100\r\nNats-Consumer-Stalled: $JS.API.STREAM.DELETE.JOURNALS_0\r\n\r\n",
	"gone":      "NATS/1.0 409 Consumer Deleted\r\n\r\n",
	"no answer": "NATS/1.0 503\r\n\r\n",
}

func TestHostileHeaders(t *testing.T) {
	t.Parallel()
	h := startHQ(t, t.TempDir(), "127.0.0.1:0")
	requireProvenance(t, h, h.LeafURL(), "")
}

func TestHostileHeadersOnACluster(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	requireProvenance(t, c.hq(), c.leafs(), c.ca())
}

// requireProvenance has a till write every kind of header into its own journal. None of it is taken for another
// register's, none is passed over or ends a reading, and each is known by where it came from.
func requireProvenance(t *testing.T, h *HQNode, leafs, ca string) {
	victim := JournalName{r01, 1}
	honest := startRegister(t, t.TempDir(), linked(r01, leafs, enroll(t, h, r01, 1)), func(c *RegisterConfig) { c.CA = ca })
	appendEntries(t, honest.Journal(), 0, 5)
	requireAtHQ(t, h, victim, 5)
	evil := JournalName{neighbour(r01), 1}
	till, err := hostile.Start(t.TempDir(), evil.Register.String(), leafs, enroll(t, h, evil.Register, 1), ca)
	require.NoError(t, err)
	t.Cleanup(till.Close)
	forged := map[uint64]string{}
	for what, block := range forgedSources(victim) {
		sequence, err := till.Store(block, "forged")
		require.NoError(t, err, what)
		forged[sequence] = what
	}
	for _, block := range controls {
		_, err := till.Store(block, "")
		require.NoError(t, err)
	}
	last, err := till.Store("NATS/1.0\r\nNats-Msg-Id: last\r\n\r\n", "honest")
	require.NoError(t, err)
	all := received(t, h, evil, last)
	require.Len(t, all, int(last), "every message of the hostile till is known as its own")
	for i, r := range all {
		require.EqualValues(t, i+1, r.Message.Sequence)
		if what, is := forged[r.Message.Sequence]; is {
			raw, err := h.rawHeader(t.Context(), r.Shard, r.ShardSequence)
			require.NoError(t, err)
			if strings.Contains(string(raw), sourceName(victim)) { // else its own server has taken it out
				require.NotEmpty(t, r.Refused, "%s: %q", what, raw)
			}
		}
	}
	require.Empty(t, all[last-1].Refused)

	appendEntries(t, honest.Journal(), 5, 10)
	requireAtHQ(t, h, victim, 10)
	end, err := h.Last(t.Context(), shardOf(r01))
	require.NoError(t, err)
	next, of := uint64(1), map[JournalName]int{}
	require.NoError(t, h.Stored(t.Context(), shardOf(r01), 1, end, func(r Received) error {
		require.Equal(t, next, r.ShardSequence, "nothing is passed over")
		next++
		of[r.Journal]++
		return nil
	}))
	require.Equal(t, end+1, next)
	require.Equal(t, map[JournalName]int{victim: 10, evil: len(forged) + len(controls) + 1}, of)
}

// TestSourceOfABlock is about blocks of headers as head office's server stores them, whatever the till's server is.
func TestSourceOfABlock(t *testing.T) {
	const own, other = sourceHeader + ": own 7 > > pos.s001.r02.x", sourceHeader + ": other 6 > > pos.s001.r01.x"
	for block, source := range map[string]string{
		"NATS/1.0\r\nNats-Msg-Id: 1\r\n" + own + "\r\n\r\n":                                   "",
		"NATS/1.0\r\n" + own + "\r\n\r\n":                                                     "",
		"NATS/1.0\r\nNats-Expected-Last-Sequence: 6\r\nNats-Msg-Id: 1\r\n" + own + "\r\n\r\n": "", // of an older version
		"NATS/1.0\r\n" + other + "\r\n" + own + "\r\n\r\n":                                    "own 7",
		"NATS/1.0\r\n" + other + "\n\n" + own + "\r\n\r\n":                                    "own 7",
		"NATS/1.0\r\n" + other + "\n" + own + "\r\n\r\n":                                      "own 7",
		"NATS/1.0\r\nX: a\n" + other + "\r\n\r\n" + own + "\r\n\r\n":                          "own 7",
		"NATS/1.0\r\n" + other + "\nX: " + own + "\r\n\r\n":                                   "own 7",
		"NATS/1.0\r\nX: " + own + "\r\n\r\n":                                                  "own 7",
		"NATS/1.0 100\r\n" + own + "\r\n\r\n":                                                 "own 7",
		"NATS/1.0\r\n: \r\n" + own + "\r\n\r\n":                                               "own 7",
		"NATS/1.0\r\nnats-stream-source: other 6 > > pos.s001.r01.x\r\n" + own + "\r\n\r\n":   "own 7",
		"NATS/1.0\r\n" + other + "\n\n":                                                       "none",
		"":                                                                                    "none",
	} {
		got, err := serverSource([]byte(block))
		switch source {
		case "": // an honest one
			require.NoError(t, err, "%q", block)
			require.True(t, strings.HasPrefix(got, "own 7 "), "%q", block)
		case "none":
			require.Error(t, err, "%q", block)
			require.Empty(t, got, "%q", block)
		default:
			require.Error(t, err, "%q", block)
			require.True(t, strings.HasPrefix(got, source+" "), "%q: %q", block, got)
		}
	}
}

// TestScanOfMany reads more small messages than nats.go keeps for a subscriber, while the reader is slow.
func TestScanOfMany(t *testing.T) {
	t.Parallel()
	h := startHQ(t, t.TempDir(), "127.0.0.1:0")
	const many = 80_000
	messages := make([]ReferenceMessage, many)
	for i := range messages {
		messages[i] = ReferenceMessage{Subject: ReferenceSubject("all", "product", fmt.Sprint(i)), Body: []byte("{}")}
	}
	_, err := h.Reference().Publish(t.Context(), 0, messages)
	require.NoError(t, err)
	read := uint64(0)
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	require.NoError(t, h.Reference().Read(ctx, 1, many, func(sequence uint64, _ []byte) error {
		if read++; read == 1 { // everything that the server may send is on the way before the second is looked at
			requireStill(t, h)
		}
		require.Equal(t, read, sequence)
		return nil
	}))
	require.EqualValues(t, many, read)
}

// requireStill waits until head office's connection receives nothing more.
func requireStill(t *testing.T, h *HQNode) {
	before, same := uint64(0), 0
	require.Eventually(t, func() bool {
		now := h.nc.Stats().InMsgs
		if same++; now != before {
			before, same = now, 0
		}
		return same > 10
	}, soon, soon/3000)
}
