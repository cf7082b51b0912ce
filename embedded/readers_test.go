package embedded

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"
)

// startReader signs on with a reader's credentials. What the server refuses comes out of the channel.
func startReader(t *testing.T, h *HQNode, dir, name string, options ...nats.Option) (*nats.Conn, <-chan error) {
	refused := make(chan error, 100)
	nc, err := nats.Connect(h.ClientURL(), append(options, nats.UserCredentials(readerCreds(t, dir, name)), nats.CustomInboxPrefix("_INBOX."+name),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { refused <- err }))...)
	require.NoError(t, err)
	t.Cleanup(nc.Close)
	return nc, refused
}

// readerCreds writes a reader's credentials to a file.
func readerCreds(t *testing.T, dir, name string) (creds string) {
	data, err := EnrollReader(dir, name)
	require.NoError(t, err)
	creds = filepath.Join(t.TempDir(), "reader.creds")
	require.NoError(t, os.WriteFile(creds, data, 0o600))
	return creds
}

// ask sends a request of many answers and collects them up to the one that ends them.
func ask(t *testing.T, nc *nats.Conn, subject, question string) (all []*nats.Msg) {
	inbox := nc.NewInbox()
	sub, err := nc.SubscribeSync(inbox)
	require.NoError(t, err)
	require.NoError(t, nc.PublishRequest(subject, inbox, []byte(question)))
	for {
		m, err := sub.NextMsg(soon)
		require.NoError(t, err)
		if status := m.Header.Get("Status"); status != "" {
			require.Contains(t, []string{"204", "404"}, status, "%v", m.Header)
			return all
		}
		all = append(all, m)
	}
}

func startHQForReaders(t *testing.T) (h *HQNode, dir string) {
	dir = t.TempDir()
	h, err := StartHQ(t.Context(), HQConfig{Dir: dir, Listen: "127.0.0.1:0", ListenLeaf: "127.0.0.1:0"})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, h.Close()) })
	return h, dir
}

func TestReader(t *testing.T) {
	t.Parallel()
	h, dir := startHQForReaders(t)
	n := startRegister(t, t.TempDir(), linked(r01, h.LeafURL(), enroll(t, h, r01, 1)))
	appendEntries(t, n.Journal(), 0, 300)
	requireAtHQ(t, h, JournalName{r01, 1}, 300)
	want := received(t, h, JournalName{r01, 1}, 300)

	nc, refused := startReader(t, h, dir, "books-2")
	get := "$JS.API.DIRECT.GET." + shardOf(r01)
	var got []*nats.Msg
	for {
		batch := ask(t, nc, get, fmt.Sprintf(`{"seq":%d,"batch":128}`, len(got)+1))
		if len(batch) == 0 {
			break
		}
		got = append(got, batch...)
	}
	require.Len(t, got, 300)
	for i, m := range got {
		require.Equal(t, string(want[i].Message.Body), string(m.Data))
		require.Equal(t, want[i].Message.ID, m.Header.Get("Nats-Msg-Id"))
		require.Equal(t, want[i].Message.Subject, m.Header.Get("Nats-Subject"))
		require.Equal(t, fmt.Sprint(want[i].ShardSequence), m.Header.Get("Nats-Sequence"))
		name, seq, err := parseSource(m.Header.Get("Nats-Stream-Source"))
		require.NoError(t, err)
		require.Equal(t, sourceName(JournalName{r01, 1}), name)
		require.EqualValues(t, i+1, seq)
	}
	require.Empty(t, refused)
}

// TestRightsOfAReader: every try to do more than read is refused, and had it not been,
// this would have seen it.
func TestRightsOfAReader(t *testing.T) {
	t.Parallel()
	h, dir := startHQForReaders(t)
	n := startRegister(t, t.TempDir(), linked(r01, h.LeafURL(), enroll(t, h, r01, 1)))
	appendEntries(t, n.Journal(), 0, 3)
	requireAtHQ(t, h, JournalName{r01, 1}, 3)
	shard := shardOf(r01)
	stream, err := h.js.Stream(t.Context(), shard)
	require.NoError(t, err)
	before := stream.CachedInfo()
	heard, err := h.Conn().SubscribeSync(">")
	require.NoError(t, err)
	require.NoError(t, h.Conn().Flush())
	evil, refused := startReader(t, h, dir, "evil")
	requireRefused := func(t *testing.T, subject string) {
		t.Helper()
		require.NoError(t, evil.Flush())
		select {
		case err := <-refused:
			require.ErrorContains(t, err, "Permissions Violation")
			// The server takes its own domain out of a subject before it looks.
			require.ErrorContains(t, err, fmt.Sprintf("%q", strings.Replace(subject, "$JS.hq.", "$JS.", 1)))
		case <-time.After(soon):
			t.Fatalf("%s was not refused", subject)
		}
	}
	push := fmt.Sprintf(`{"stream_name":%q,"config":{"name":"hq","deliver_subject":"up.s001-r01.1","ack_policy":"none"}}`, shard)
	pull := fmt.Sprintf(`{"stream_name":%q,"config":{"name":"mine","ack_policy":"none"}}`, shard)
	for _, c := range []struct{ name, subject, payload string }{
		{"an entry", "pos.s001.r01.sale.concluded", "{}"},
		{"an entry on its way from a register", "up.s001-r01.1", "{}"},
		{"an announcement", "up.s001-r01.ask.announce", "{}"},
		{"reference data", "ref.s001.product.1", "{}"},
		{"into a stream", shard, "{}"},
		{"delete the stream", "$JS.API.STREAM.DELETE." + shard, ""},
		{"delete the stream by its domain", "$JS.hq.API.STREAM.DELETE." + shard, ""},
		{"purge the stream", "$JS.API.STREAM.PURGE." + shard, ""},
		{"delete an entry", "$JS.API.STREAM.MSG.DELETE." + shard, `{"seq":1}`},
		{"change the stream", "$JS.API.STREAM.UPDATE." + shard, fmt.Sprintf(`{"name":%q}`, shard)},
		{"create a stream", "$JS.API.STREAM.CREATE.MINE", `{"name":"MINE","subjects":["pos.>"]}`},
		{"a snapshot", "$JS.API.STREAM.SNAPSHOT." + shard, `{"deliver_subject":"_INBOX.evil.x"}`},
		{"restore a stream", "$JS.API.STREAM.RESTORE." + shard, "{}"},
		{"the stream's state", "$JS.API.STREAM.INFO." + shard, ""},
		{"list the streams", "$JS.API.STREAM.NAMES", ""},
		{"another stream's content", "$JS.API.DIRECT.GET.REFERENCE", `{"seq":1}`},
		{"the last of a subject", "$JS.API.DIRECT.GET." + shard + ".pos.>", ""},
		{"a consumer that delivers to HQ as a register does", "$JS.API.CONSUMER.CREATE." + shard + ".hq", push},
		{"the same, the older way", "$JS.API.CONSUMER.CREATE." + shard, push},
		{"the same, the oldest way", "$JS.API.CONSUMER.DURABLE.CREATE." + shard + ".hq", push},
		{"a consumer of its own", "$JS.API.CONSUMER.CREATE." + shard + ".mine", pull},
		{"delete a consumer", "$JS.API.CONSUMER.DELETE." + shard + ".hq", ""},
		{"reset a register's consumer", "$JS.s001-r01.API.CONSUMER.RESET.JOURNAL_1.hq", ""},
		{"ask a register", "$JS.s001-r01.API.STREAM.INFO.JOURNAL_1", ""},
		{"delete a register's journal", "$JS.s001-r01.API.STREAM.DELETE.JOURNAL_1", ""},
		{"acknowledge to a register", "$JS.FC.s001-r01.x.JOURNAL_1.hq.x", ""},
		{"the account", "$JS.API.INFO", ""},
		{"the servers", "$SYS.REQ.SERVER.PING", ""},
		{"its account's connections", "$SYS.REQ.ACCOUNT.PING.CONNZ", ""},
		{"the services", "$SRV.PING", ""},
		{"another reader's inbox", "_INBOX.books.1", "{}"},
		{"HQ's inbox", "_INBOX_hq.x", "{}"},
	} {
		t.Run(c.name, func(t *testing.T) {
			require.NoError(t, evil.PublishRequest(c.subject, "_INBOX.evil.answer", []byte(c.payload)))
			requireRefused(t, c.subject)
		})
	}
	for _, subject := range []string{">", "pos.>", "up.>", "ref.>", "$JS.>", "$SYS.>", "_INBOX.>", "_INBOX.books.>", "_INBOX_hq.>", "_R_.>", "$JS.API.DIRECT.GET." + shard} {
		t.Run("subscribe to "+subject, func(t *testing.T) {
			_, err := evil.SubscribeSync(subject)
			require.NoError(t, err) // the refusal comes later
			requireRefused(t, subject)
		})
	}
	// What it may ask, with an answer that is to go where a register's entries go: it stays in the readers' account.
	for _, subject := range []string{"up.s001-r01.1", "up.s001-r01.ask.announce", "_INBOX_hq.x"} {
		t.Run("an answer to "+subject, func(t *testing.T) {
			require.NoError(t, evil.PublishRequest("$JS.API.DIRECT.GET."+shard, subject, []byte(`{"seq":1,"batch":3}`)))
			require.NoError(t, evil.Flush())
		})
	}
	t.Run("link as a register", func(t *testing.T) {
		data, err := EnrollReader(dir, "leaf")
		require.NoError(t, err)
		creds := filepath.Join(t.TempDir(), "leaf.creds")
		require.NoError(t, os.WriteFile(creds, data, 0o600))
		clone := startRegister(t, t.TempDir(), linked(r02, h.LeafURL(), creds))
		require.Never(t, func() bool { return clone.Link().Connected }, 2500*time.Millisecond, 10*time.Millisecond)
	})

	// Its questions are answered before this one, so that what could be heard has been.
	require.Len(t, ask(t, evil, "$JS.API.DIRECT.GET."+shard, `{"seq":1,"batch":3}`), 3)
	require.NoError(t, h.Conn().Publish("sentinel", nil))
	for {
		m, err := heard.NextMsgWithContext(t.Context())
		require.NoError(t, err)
		if m.Subject == "sentinel" {
			break
		}
		for _, prefix := range []string{"pos.", "ref.", "JOURNALS_", "_INBOX", "$JS.API.STREAM.", "$JS.API.CONSUMER.", "$JS.s001-r01.", "$SYS.", "$SRV."} {
			require.False(t, strings.HasPrefix(m.Subject, prefix), "%s arrived: %s", m.Subject, m.Data)
		}
		// The register is silent meanwhile: what comes from it are heartbeats, and they are empty.
		require.False(t, strings.HasPrefix(m.Subject, "up.") && len(m.Data) > 0, "%s arrived: %s", m.Subject, m.Data)
	}
	appendEntries(t, n.Journal(), 3, 6)
	requireAtHQ(t, h, JournalName{r01, 1}, 6)
	after, err := stream.Info(t.Context())
	require.NoError(t, err)
	require.Equal(t, before.Config, after.Config)
	require.EqualValues(t, 6, after.State.Msgs)
	for name := range stream.ConsumerNames(t.Context()).Name() {
		require.NotContains(t, []string{"hq", "mine"}, name)
	}
}

// TestKeysOfAnOlderHQ: what was enrolled before there were readers stays enrolled, and
// readers can be enrolled once head office has made itself their key.
func TestKeysOfAnOlderHQ(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	h := startHQ(t, dir, "127.0.0.1:0")
	leaf := strings.TrimPrefix(h.LeafURL(), "nats-leaf://")
	creds := enroll(t, h, r01, 1)
	require.NoError(t, h.Close())
	path := filepath.Join(dir, keysName)
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	var seeds map[string]string
	require.NoError(t, json.Unmarshal(data, &seeds))
	delete(seeds, "readers")
	delete(seeds, "reader")
	older, err := json.Marshal(seeds)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path, older, 0o600))

	_, err = EnrollReader(dir, "books")
	require.ErrorContains(t, err, "when it starts")
	_, err = Enroll(dir, r02)
	require.NoError(t, err, "a register needs no reader's key")
	data, err = os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, older, data, "who only signs makes no keys")

	h, err = StartHQ(t.Context(), HQConfig{Dir: dir, Listen: "127.0.0.1:0", ListenLeaf: leaf})
	require.NoError(t, err)
	n := startRegister(t, t.TempDir(), linked(r01, h.LeafURL(), creds))
	appendEntries(t, n.Journal(), 0, 3)
	requireAtHQ(t, h, JournalName{r01, 1}, 3)
	nc, _ := startReader(t, h, dir, "books")
	require.Len(t, ask(t, nc, "$JS.API.DIRECT.GET."+shardOf(r01), `{"seq":1,"batch":10}`), 3)
	require.NoError(t, h.Close())

	h, err = StartHQ(t.Context(), HQConfig{Dir: dir, Listen: "127.0.0.1:0"})
	require.NoError(t, err)
	defer func() { require.NoError(t, h.Close()) }()
	startReader(t, h, dir, "books")
	for _, name := range []string{"", "*", ">", "a.b", "Books", strings.Repeat("a", 33), "-", "a b", "a\nb"} {
		_, err := EnrollReader(dir, name)
		require.Error(t, err, "%q", name)
	}
}
