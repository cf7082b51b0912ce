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

// startReader signs on with a reader's credentials. The channel yields the server's refusals.
func startReader(t *testing.T, url, dir, name string, options ...nats.Option) (*nats.Conn, <-chan error) {
	refused := make(chan error, 100)
	nc, err := nats.Connect(url, append(options, nats.UserCredentials(readerCreds(t, dir, name)), nats.CustomInboxPrefix("_INBOX."+name),
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

// ask sends a request with many answers and collects them up to the last.
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

	nc, refused := startReader(t, h.ClientURL(), dir, "books-2")
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

// TestRightsOfAReader shows that every attempt to do more than read is refused. It also checks that
// an attempt that was not refused would be noticed.
func TestRightsOfAReader(t *testing.T) {
	t.Parallel()
	h, dir := startHQForReaders(t)
	requireReaderRights(t, h, h.ClientURL(), dir, h.LeafURL(), "")
}

// TestRightsOfAReaderOnACluster shows that stock servers refuse the same attempts.
func TestRightsOfAReaderOnACluster(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	url := c.urls()[0]
	requireReaderRights(t, c.hq(url), url, filepath.Join(c.dir, HQFolder), c.leaf(0), c.ca(), nats.RootCAs(c.ca()))
}

// requireReaderRights tries everything that a reader must not do, at the server with these URLs.
func requireReaderRights(t *testing.T, h *HQNode, url, dir, leaf, ca string, more ...nats.Option) {
	n := startRegister(t, t.TempDir(), linked(r01, leaf, enroll(t, h, r01, 1)), func(c *RegisterConfig) { c.CA = ca })
	appendEntries(t, n.Journal(), 0, 3)
	requireAtHQ(t, h, JournalName{r01, 1}, 3)
	requireAcked(t, n, 3)
	fillStreams(t, h)
	shard := shardOf(r01)
	atHQ, atRegister := everyStream(t, h.js), everyStream(t, n.Journal().js)
	full := everything(t, h)
	heard, err := full.SubscribeSync(">")
	require.NoError(t, err)
	require.NoError(t, full.Flush())
	evil, refused := startReader(t, url, dir, "evil", more...)
	requireRefused := func(t *testing.T, subject string) {
		t.Helper()
		require.NoError(t, evil.Flush())
		select {
		case err := <-refused:
			require.ErrorContains(t, err, "Permissions Violation")
			// The server removes its own domain from a subject before it checks it.
			require.ErrorContains(t, err, fmt.Sprintf("%q", strings.Replace(subject, "$JS.hq.", "$JS.", 1)))
		case <-time.After(soon):
			t.Fatalf("%s was not refused", subject)
		}
	}
	t.Run("publish", func(t *testing.T) {
		for _, c := range append(forbidden(), []try{
			{"$JS.API.DIRECT.GET.REFERENCE_1", `{"seq":1}`}, // content of a stream that is not for readers
			{"$JS.API.DIRECT.GET.HQ", `{"seq":1}`},
			{"$JS.API.DIRECT.GET.MARKS", `{"seq":1}`},
			{"$JS.API.DIRECT.GET.FLEET", `{"seq":1}`},
			{"_INBOX.books.1", "{}"}, // another reader's
		}...) {
			require.NoError(t, evil.PublishRequest(c.subject, "_INBOX.evil.answer", []byte(c.payload)))
			requireRefused(t, c.subject)
		}
	})
	var overhearing []*nats.Subscription
	for _, subject := range append(overheard(), "_INBOX.books.>", "_R_.>", "$JS.API.DIRECT.GET."+shard) {
		t.Run("subscribe to "+subject, func(t *testing.T) {
			sub, err := evil.SubscribeSync(subject)
			require.NoError(t, err) // the refusal comes later
			overhearing = append(overhearing, sub)
			requireRefused(t, subject)
		})
	}
	// The reader sends an allowed question with the reply subject of a register's entries. The
	// answer stays in the readers' account.
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
		clone := startRegister(t, t.TempDir(), linked(r02, leaf, creds), func(c *RegisterConfig) { c.CA = ca })
		require.Never(t, func() bool { return clone.Link().Connected }, 2500*time.Millisecond, 10*time.Millisecond)
	})

	// Its earlier questions are answered before this one, so every message has arrived by now.
	require.Len(t, ask(t, evil, "$JS.API.DIRECT.GET."+shard, `{"seq":1,"batch":3}`), 3)
	require.NoError(t, full.Publish("sentinel", nil))
	for {
		m, err := heard.NextMsgWithContext(t.Context())
		require.NoError(t, err)
		if m.Subject == "sentinel" {
			break
		}
		for _, prefix := range []string{"pos.", "ref.", "mark.", "fleet.", "repair.", "down.", "$O.", "JOURNALS_", "$JS.API.STREAM.", "$JS.API.CONSUMER.", "$JS.s001-r01.", "$SYS.", "$SRV."} {
			require.False(t, strings.HasPrefix(m.Subject, prefix), "%s arrived: %s", m.Subject, m.Data)
		}
		// The register appends nothing meanwhile. It sends heartbeats only, and they are empty. The
		// message that ends an abandoned request of head office is empty, too.
		for _, prefix := range []string{"up.", "_INBOX"} {
			require.False(t, strings.HasPrefix(m.Subject, prefix) && len(m.Data) > 0, "%s arrived: %s", m.Subject, m.Data)
		}
	}
	require.NoError(t, heard.Unsubscribe())
	require.Equal(t, atHQ, everyStream(t, h.js), "nothing changed at head office")
	require.Equal(t, atRegister, everyStream(t, n.Journal().js), "nor at the register")

	// Messages for others pass by. The reader hears the answer to its own question alone.
	for _, subject := range append(passingBy(), "_INBOX.books.1") {
		require.NoError(t, full.Publish(subject, []byte("secret")))
	}
	appendEntries(t, n.Journal(), 3, 6)
	requireAtHQ(t, h, JournalName{r01, 1}, 6)
	require.Len(t, ask(t, evil, "$JS.API.DIRECT.GET."+shard, `{"seq":4,"batch":3}`), 3)
	for _, sub := range overhearing {
		pending, _, err := sub.Pending()
		require.NoError(t, err)
		require.Zero(t, pending, "it hears %s", sub.Subject)
	}
}

// TestKeysOfAnOlderHQ shows that registers stay enrolled if the keys are of a version without
// readers. Readers can be enrolled once head office has made their keys.
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
	nc, _ := startReader(t, h.ClientURL(), dir, "books")
	require.Len(t, ask(t, nc, "$JS.API.DIRECT.GET."+shardOf(r01), `{"seq":1,"batch":10}`), 3)
	require.NoError(t, h.Close())

	h, err = StartHQ(t.Context(), HQConfig{Dir: dir, Listen: "127.0.0.1:0"})
	require.NoError(t, err)
	defer func() { require.NoError(t, h.Close()) }()
	startReader(t, h.ClientURL(), dir, "books")
	for _, name := range []string{"", "*", ">", "a.b", "Books", strings.Repeat("a", 33), "-", "a b", "a\nb"} {
		_, err := EnrollReader(dir, name)
		require.Error(t, err, "%q", name)
	}
}
