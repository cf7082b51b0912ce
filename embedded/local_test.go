package embedded

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
)

func startLocal(t *testing.T) *RegisterNode {
	n := startRegister(t, t.TempDir(), func(c *RegisterConfig) { c.Listen = "127.0.0.1:0" })
	_, err := n.ReferenceCopy(t.Context(), "REFERENCE_1@then")
	require.NoError(t, err)
	appendEntries(t, n.Journal(), 0, 5)
	return n
}

// TestLocalReader reads the journal and hears new entries as a program on the till, in every
// possible way.
func TestLocalReader(t *testing.T) {
	t.Parallel()
	n := startLocal(t)
	nc, err := nats.Connect(n.ClientURL())
	require.NoError(t, err)
	defer nc.Close()
	js, err := jetstream.New(nc)
	require.NoError(t, err)
	stream, err := js.Stream(t.Context(), "JOURNAL_1")
	require.NoError(t, err)
	require.EqualValues(t, 5, stream.CachedInfo().State.LastSeq)
	m, err := stream.GetMsg(t.Context(), 2) // direct
	require.NoError(t, err)
	require.True(t, strings.HasPrefix(string(m.Data), entryMark(2)))
	m, err = stream.GetLastMsgForSubject(t.Context(), "pos.s001.r01.sale.concluded")
	require.NoError(t, err)
	require.EqualValues(t, 5, m.Sequence)
	_, err = stream.GetMsg(t.Context(), 99)
	require.ErrorIs(t, err, jetstream.ErrMsgNotFound)
	_, err = js.AccountInfo(t.Context())
	require.NoError(t, err)
	var names []string
	list := js.StreamNames(t.Context())
	for name := range list.Name() {
		names = append(names, name)
	}
	require.NoError(t, list.Err())
	require.Equal(t, []string{"JOURNAL_1", "REFERENCE_1"}, names)
	inDomain, err := jetstream.NewWithDomain(nc, "s001-r01")
	require.NoError(t, err)
	_, err = inDomain.Stream(t.Context(), "JOURNAL_1")
	require.NoError(t, err)
	for _, api := range []string{"$JS.API.", "$JS.s001-r01.API."} {
		require.Len(t, ask(t, nc, api+"DIRECT.GET.JOURNAL_1", `{"seq":1,"batch":500}`), 5)
		require.Len(t, ask(t, nc, api+"DIRECT.GET.JOURNAL_1", `{"seq":2,"batch":3}`), 3)
		require.Len(t, ask(t, nc, api+"DIRECT.GET.JOURNAL_1", `{"multi_last":["pos.>"]}`), 1)
		raw, err := nc.Request(api+"STREAM.MSG.GET.JOURNAL_1", []byte(`{"seq":3}`), soon)
		require.NoError(t, err)
		require.Contains(t, string(raw.Data), `"seq":3`)
	}

	live, err := nc.SubscribeSync("pos.s001.r01.>")
	require.NoError(t, err)
	require.NoError(t, nc.Flush())
	appendEntries(t, n.Journal(), 5, 7)
	for i := range uint64(2) {
		m, err := live.NextMsg(soon)
		require.NoError(t, err)
		require.True(t, strings.HasPrefix(string(m.Data), entryMark(6+i)))
		require.NotEmpty(t, m.Header.Get(nats.MsgIdHdr))
		require.Empty(t, m.Reply)
	}
	require.NoError(t, n.BeginEpoch(t.Context(), 2)) // also an epoch that begins while it reads
	appendEntries(t, n.Journal(), 0, 1)
	require.Len(t, ask(t, nc, "$JS.API.DIRECT.GET.JOURNAL_2", `{"seq":1,"batch":500}`), 1)
}

// TestRightsOfALocalReader shows that a program on the till, which needs no credentials, cannot
// publish to the register's server. It cannot choose a reply subject there either.
func TestRightsOfALocalReader(t *testing.T) {
	t.Parallel()
	n := startLocal(t)
	streams := everyStream(t, n.Journal().js)
	evil := dialClient(t, n.ClientURL(), "", nil)

	questions := []string{"$JS.API.INFO", "$JS.API.STREAM.NAMES", "$JS.API.STREAM.LIST", "$JS.API.STREAM.INFO.JOURNAL_1", "$JS.API.STREAM.INFO.EVIL",
		"$JS.API.STREAM.MSG.GET.JOURNAL_1", "$JS.API.DIRECT.GET.JOURNAL_1", "$JS.API.DIRECT.GET.JOURNAL_1.pos.s001.r01.sale.concluded",
		"$JS.s001-r01.API.INFO", "$JS.s001-r01.API.DIRECT.GET.JOURNAL_1"}
	replies := []string{"pos.s001.r01.sale.concluded", "pos.s001.r01.evil", "ref.all.evil", "ref.committed", "up.s001-r01.1", "up.s001-r01.ask.inactivate", "down.s001-r01.reply.evil",
		"$JS.API.STREAM.DELETE.JOURNAL_1", "$JS.s001-r01.API.STREAM.DELETE.JOURNAL_1", "$JS.API.STREAM.PURGE.JOURNAL_1", "$JS.API.CONSUMER.DELETE.JOURNAL_1.hq", "$JS.API.CONSUMER.RESET.JOURNAL_1.hq",
		"$JS.FC.s001-r01.x.JOURNAL_1.hq.x", "JOURNAL_1", "_INBOX_s001-r01.evil", "_INBOX.pos.s001.>", "_INBOX.*", "_INBOX.", "_INBOX", "evil"}
	for _, question := range questions {
		for _, reply := range replies {
			for _, payload := range []string{"", `{"seq":1}`, `{"seq":1,"batch":3}`, "junk"} {
				refused := evil.request(question, reply, payload)
				if strings.HasPrefix(reply, "$JS.") { // the local server refuses these itself
					require.Contains(t, refused, "Permissions Violation for Publish with Reply")
					continue
				}
				require.Empty(t, refused, "%s with the reply %s", question, reply)
			}
		}
	}
	for _, c := range append(forbidden(), triesAtStream("$JS.API.", "REFERENCE_1")...) {
		if strings.Contains(c.subject, "STREAM.INFO.") || strings.HasSuffix(c.subject, "API.INFO") || strings.HasSuffix(c.subject, "STREAM.NAMES") || strings.HasSuffix(c.subject, "STREAM.LIST") ||
			strings.Contains(c.subject, ".pos.>") || strings.HasSuffix(c.subject, "DIRECT.GET.JOURNAL_1.1") || strings.HasSuffix(c.subject, "MSG.GET.JOURNAL_1") {
			continue // this is allowed, or is no valid subject
		}
		require.Contains(t, evil.request(c.subject, "_INBOX.evil", c.payload), "Permissions Violation for Publish", c.subject)
	}
	for _, subject := range []string{">", "*.>", "up.>", "down.>", "ref.>", "pos.>", "pos.s002.>", "$JS.>", "$SYS.>", "_INBOX_s001-r01.>", "_INBOX_local.>", "_R_.>"} {
		require.Contains(t, evil.subscribe(subject), "Permissions Violation for Subscription", subject)
	}

	// Its own questions are answered, after everything before them.
	require.Empty(t, evil.subscribe("_INBOX.evil.>"))
	evil.send("PUB $JS.API.DIRECT.GET.JOURNAL_1 _INBOX.evil.last 9\r\n{\"seq\":5}\r\n")
	subject, body := evil.message()
	require.Equal(t, "_INBOX.evil.last", subject)
	require.Contains(t, body, entryMark(5))
	require.Equal(t, streams, everyStream(t, n.Journal().js), "nothing changed at the register")
	appendEntries(t, n.Journal(), 5, 8) // and the register goes on writing
	requireEntries(t, n.Journal(), 8)

	// More questions than are answered at a time.
	for i := range 4 * maxLocalAsked {
		evil.send("PUB $JS.API.STREAM.INFO.JOURNAL_1 _INBOX.evil.%d 0\r\n\r\n", i)
	}
	for range 4 * maxLocalAsked {
		_, body := evil.message()
		require.True(t, json.Valid([]byte(body)), body)
	}
}

// TestListensOnLoopbackAlone shows that no other machine can read along.
func TestListensOnLoopbackAlone(t *testing.T) {
	t.Parallel()
	for _, addr := range []string{"0.0.0.0:0", ":0", "[::]:0", "10.0.0.1:0", "192.0.2.7:4222", "example.com:4222", "127.0.0.1.example.com:4222", "[fe80::1]:4222", "127.0.0.1", "localhost", "x"} {
		cfg := RegisterConfig{Dir: t.TempDir(), Register: r01, Epoch: 1, Listen: addr}
		_, err := StartRegister(t.Context(), cfg)
		require.ErrorContains(t, err, fmt.Sprintf("listen address %q", addr))
	}
	for addr, want := range map[string]string{"127.0.0.1:1": "127.0.0.1", "127.1.2.3:1": "127.1.2.3", "localhost:1": "127.0.0.1", "[::1]:1": "::1"} {
		host, port, err := loopbackListen(addr)
		require.NoError(t, err)
		require.Equal(t, want, host)
		require.Equal(t, 1, port)
	}
}
