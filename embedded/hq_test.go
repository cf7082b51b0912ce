package embedded

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/posnode/posnode/events"
)

// soon bounds the waits of the tests. Links and sources take up to 5 s to come back, and the
// machine may be busy.
const soon = 60 * time.Second

func startHQ(t testing.TB, dir, leaf string) *HQNode {
	h, err := StartHQ(t.Context(), HQConfig{Dir: dir, ListenLeaf: leaf})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, h.Close()) })
	return h
}

// enroll stores a register's credentials and adds its journal.
func enroll(t testing.TB, h *HQNode, r events.Register, epoch int) (creds string) {
	data, err := h.Enroll(r)
	require.NoError(t, err)
	creds = filepath.Join(t.TempDir(), "hq.creds")
	require.NoError(t, os.WriteFile(creds, data, 0o600))
	require.NoError(t, h.AddJournal(t.Context(), r, epoch))
	return creds
}

func linked(r events.Register, hq, creds string) func(*RegisterConfig) {
	return func(c *RegisterConfig) { c.Register, c.HQ, c.Creds = r, hq, creds }
}

// received collects a shard's entries from its first to entry `last` of journal j.
func received(t testing.TB, h *HQNode, j JournalName, last uint64) []Received {
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	var all []Received
	err := h.Receive(ctx, shardOf(j.Register), 1, func(r Received) error {
		if r.Journal == j {
			all = append(all, r)
		}
		if r.Journal == j && r.Message.Sequence >= last {
			return errStop
		}
		return nil
	})
	require.ErrorIs(t, err, errStop, "received %d of %d", len(all), last)
	return all
}

// requireAtHQ checks that HQ has entries 1..last of a journal, in order, each once.
func requireAtHQ(t testing.TB, h *HQNode, j JournalName, last uint64) {
	all := received(t, h, j, last)
	for i, r := range all {
		require.EqualValues(t, i+1, r.Message.Sequence)
		require.True(t, strings.HasPrefix(string(r.Message.Body), entryMark(r.Message.Sequence)))
	}
	require.Len(t, all, int(last))
}

func requireAcked(t testing.TB, n *RegisterNode, last uint64) {
	require.Eventually(t, func() bool {
		acked, err := n.AckedByHQ(t.Context())
		return err == nil && acked == last
	}, soon, 20*time.Millisecond)
}

func TestReplication(t *testing.T) {
	t.Parallel()
	h := startHQ(t, t.TempDir(), "127.0.0.1:0")
	one := startRegister(t, t.TempDir(), linked(r01, h.LeafURL(), enroll(t, h, r01, 1)))
	two := startRegister(t, t.TempDir(), linked(r02, h.LeafURL(), enroll(t, h, r02, 1)))
	require.NoError(t, h.AddJournal(t.Context(), r01, 1), "adding again changes nothing")
	require.Equal(t, []JournalName{{r01, 1}, {r02, 1}}, h.Journals())

	sent := entry(1)
	require.NoError(t, one.Journal().Append(t.Context(), 0, sent))
	appendEntries(t, one.Journal(), 1, 300)
	for n := range uint64(200) {
		m := entry(n + 1)
		m.Subject = "pos.s001.r02.sale.concluded"
		require.NoError(t, two.Journal().Append(t.Context(), n, m))
	}
	requireAtHQ(t, h, JournalName{r01, 1}, 300)
	requireAtHQ(t, h, JournalName{r02, 1}, 200)
	requireAcked(t, one, 300)
	requireAcked(t, two, 200)

	first := received(t, h, JournalName{r01, 1}, 1)[0]
	require.Equal(t, sent, first.Message, "subject, id, sequence and bytes as at the register")
	require.WithinDuration(t, time.Now(), first.ArrivedAt, time.Hour)
	require.Equal(t, shardOf(r01), first.Shard)

	require.True(t, one.Link().Connected)
	require.Len(t, h.Links(), 2)
	for _, shard := range h.Shards() {
		stream, err := h.js.Stream(t.Context(), shard)
		require.NoError(t, err)
		require.NotContains(t, strings.Join(stream.CachedInfo().Config.Subjects, " "), ">", "HQ captures nothing live")
	}
}

func TestReceiveGoesOnFromAPosition(t *testing.T) {
	h := startHQ(t, t.TempDir(), "127.0.0.1:0")
	n := startRegister(t, t.TempDir(), linked(r01, h.LeafURL(), enroll(t, h, r01, 1)))
	appendEntries(t, n.Journal(), 0, 20)
	position := received(t, h, JournalName{r01, 1}, 20)[9].ShardSequence

	ctx, cancel := context.WithCancel(t.Context())
	next := uint64(11)
	err := h.Receive(ctx, shardOf(r01), position+1, func(r Received) error {
		require.Equal(t, next, r.Message.Sequence)
		if next == 20 { // the rest comes live
			appendEntries(t, n.Journal(), 20, 21)
		}
		if next == 21 {
			cancel()
		}
		next++
		return nil
	})
	require.ErrorIs(t, err, context.Canceled)
	require.EqualValues(t, 22, next)
}

func TestSetLink(t *testing.T) {
	t.Parallel()
	h := startHQ(t, t.TempDir(), "127.0.0.1:0")
	n := startRegister(t, t.TempDir(), linked(r01, h.LeafURL(), enroll(t, h, r01, 1)))
	connected := func(want bool) {
		require.Eventually(t, func() bool { return n.Link().Connected == want && (len(h.Links()) == 1) == want }, soon, 10*time.Millisecond)
	}
	last := uint64(0)
	for range 5 {
		connected(true)
		since := n.Link().Since
		require.NoError(t, n.SetLink(false))
		connected(false)
		require.False(t, n.Link().Enabled)
		require.True(t, n.Link().Since.After(since))
		appendEntries(t, n.Journal(), last, last+10)
		last += 10
		require.NoError(t, n.SetLink(false), "cutting again changes nothing")
		require.NoError(t, n.SetLink(true))
		require.True(t, n.Link().Enabled)
		require.NoError(t, n.SetLink(true))
	}
	connected(true)
	requireAtHQ(t, h, JournalName{r01, 1}, last)
	require.Zero(t, n.Conn().Stats().Reconnects, "the node's own connection never notices")
	require.Error(t, startRegister(t, t.TempDir()).SetLink(true), "no HQ")
}

// TestSourceStandsAfterTheLinkIsBack shows that replication goes on after the link is back.
// Otherwise a till would look connected and not replicate.
func TestSourceStandsAfterTheLinkIsBack(t *testing.T) {
	t.Parallel()
	h := startHQ(t, t.TempDir(), "127.0.0.1:0")
	proxy := startProxy(t, h.LeafURL())
	n := startRegister(t, t.TempDir(), linked(r01, proxy.url(), enroll(t, h, r01, 1)))
	appendEntries(t, n.Journal(), 0, 5)
	requireAcked(t, n, 5)
	proxy.cut()
	require.Eventually(t, func() bool { return !n.Link().Connected }, soon, 10*time.Millisecond)
	appendEntries(t, n.Journal(), 5, 10)
	proxy.restore()
	start := time.Now()
	requireAtHQ(t, h, JournalName{r01, 1}, 10)
	t.Logf("link restored, everything at HQ after %v", time.Since(start))
}

// TestReplicationSurvives cuts the link, restarts HQ and restarts the register at random while the
// register appends. In the end HQ must have every entry, in order, once.
func TestReplicationSurvives(t *testing.T) {
	t.Parallel()
	seed := time.Now().UnixNano()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(uint64(seed), 0))

	hqDir, dir := t.TempDir(), t.TempDir()
	h := startHQ(t, hqDir, "127.0.0.1:0")
	leaf := strings.TrimPrefix(h.LeafURL(), "nats-leaf://")
	proxy := startProxy(t, h.LeafURL())
	link := linked(r01, proxy.url(), enroll(t, h, r01, 1))
	n := startRegister(t, dir, link)

	last := uint64(0)
	// sell appends entries while during runs.
	sell := func(during func()) {
		from, to := last, last+50+random.Uint64N(300)
		done := make(chan error)
		go func() { done <- appendAll(t.Context(), n.Journal(), from, to) }()
		during()
		require.NoError(t, <-done)
		last = to
	}
	// If a source has stored nothing yet, nats-server 2.15.2 goes on behind the ack floor of the
	// register's consumer. HQ may not have stored the entries up to there. So HQ can miss entries
	// if it stops in the middle of the very first ones. Verification detects that gap and has it
	// repaired. This test is about the source alone, so the first entries arrive undisturbed.
	sell(func() {})
	requireAtHQ(t, h, JournalName{r01, 1}, last)
	for _, fault := range random.Perm(9) {
		switch fault % 3 {
		case 0:
			sell(proxy.cut)
			sell(proxy.restore)
		case 1:
			sell(func() { require.NoError(t, h.Close()) })
			sell(func() { h = startHQ(t, hqDir, leaf) })
			require.Equal(t, []JournalName{{r01, 1}}, h.Journals())
		case 2:
			sell(func() {})
			require.NoError(t, n.Close())
			n = startRegister(t, dir, link)
		}
	}
	requireAtHQ(t, h, JournalName{r01, 1}, last)
	requireAcked(t, n, last)
	requireEntries(t, n.Journal(), last)
}

func TestEpochsReplicateSideBySide(t *testing.T) {
	h := startHQ(t, t.TempDir(), "127.0.0.1:0")
	creds, dir := enroll(t, h, r01, 1), t.TempDir()
	n := startRegister(t, dir, linked(r01, h.LeafURL(), creds), func(c *RegisterConfig) { c.HQ = "" })
	appendEntries(t, n.Journal(), 0, 30) // HQ has not seen them when the epoch is closed
	require.NoError(t, n.Close())
	require.NoError(t, h.AddJournal(t.Context(), r01, 2))
	n = startRegister(t, dir, linked(r01, h.LeafURL(), creds), func(c *RegisterConfig) { c.Epoch = 2 })
	appendEntries(t, n.Journal(), 0, 20)
	requireAtHQ(t, h, JournalName{r01, 2}, 20)
	requireAtHQ(t, h, JournalName{r01, 1}, 30)
}

// TestSourceThatRepeatsItself puts HQ's resume point back, so that its stream requests entries
// again that it holds. Their ids must keep them out.
func TestSourceThatRepeatsItself(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	h := startHQ(t, dir, "127.0.0.1:0")
	leaf := strings.TrimPrefix(h.LeafURL(), "nats-leaf://")
	n := startRegister(t, t.TempDir(), linked(r01, h.LeafURL(), enroll(t, h, r01, 1)))
	appendEntries(t, n.Journal(), 0, 100)
	requireAtHQ(t, h, JournalName{r01, 1}, 100)
	require.NoError(t, h.Close())

	// sources.db: 17 bytes of header, then length and name of the source, its last
	// sequence (one byte up to 127), and more.
	files, err := filepath.Glob(filepath.Join(dir, storeName, "*", "streams", shardOf(r01), "sources.db"))
	require.NoError(t, err)
	require.Len(t, files, 1)
	data, err := os.ReadFile(files[0])
	require.NoError(t, err)
	sequence := 17 + 1 + int(data[17])
	require.EqualValues(t, 100, data[sequence])
	data[sequence] = 50
	require.NoError(t, os.WriteFile(files[0], data, 0o600))

	h = startHQ(t, dir, leaf)
	appendEntries(t, n.Journal(), 100, 120)
	requireAtHQ(t, h, JournalName{r01, 1}, 120)
}

func TestUnknownCredentialsGetNoLink(t *testing.T) {
	t.Parallel()
	h := startHQ(t, t.TempDir(), "127.0.0.1:0")
	other := startHQ(t, t.TempDir(), "")
	for name, creds := range map[string]string{"none": "", "of another HQ": enroll(t, other, r01, 1)} {
		t.Run(name, func(t *testing.T) {
			n := startRegister(t, t.TempDir(), linked(r01, h.LeafURL(), creds))
			tried := n.server.Load().NumLeafNodes // the link is refused at once, and dialled again every second or two
			require.Never(t, func() bool { return tried() > 0 || n.Link().Connected }, 2500*time.Millisecond, 10*time.Millisecond)
			appendEntries(t, n.Journal(), 0, 1)
		})
	}
}

// TestRightsOfARegister attacks HQ with a register's credentials. It speaks the leaf protocol on a
// bare socket, because a server would obey the rules.
func TestRightsOfARegister(t *testing.T) {
	t.Parallel()
	h := startHQ(t, t.TempDir(), "127.0.0.1:0")
	requireRights(t, h, h.LeafURL(), "")
}

// TestRightsOfARegisterOnACluster shows that stock servers refuse the same attempts.
func TestRightsOfARegisterOnACluster(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	requireRights(t, c.hq(c.urls()[0]), c.leaf(0), c.ca())
}

// requireRights tries everything that a register must not do, at the server with this leaf URL.
func requireRights(t *testing.T, h *HQNode, leaf, ca string) {
	victim := startRegister(t, t.TempDir(), linked(r01, leaf, enroll(t, h, r01, 1)), func(c *RegisterConfig) { c.CA = ca })
	appendEntries(t, victim.Journal(), 0, 3)
	requireAtHQ(t, h, JournalName{r01, 1}, 3)
	fillStreams(t, h)
	creds := enroll(t, h, r02, 1)
	full := everything(t, h)

	t.Run("publish", func(t *testing.T) {
		atHQ, atVictim := everyStream(t, h.js), everyStream(t, victim.Journal().js)
		heard, err := full.SubscribeSync(">")
		require.NoError(t, err)
		require.NoError(t, full.Flush())
		const answer = "up.s001-r02.answer"
		for _, try := range forbidden() {
			evil := dialLeaf(t, leaf, ca, creds)
			evil.send("LMSG %s %s %d\r\n%s\r\n", try.subject, answer, len(try.payload), try.payload)
			require.False(t, evil.ping(), "HQ hangs up on who publishes to %s", try.subject)
		}
		evil := dialLeaf(t, leaf, ca, creds)
		evil.send("LMSG up.s001-r02.sentinel 4\r\nevil\r\n")
		require.True(t, evil.ping())
		for {
			m, err := heard.NextMsgWithContext(t.Context())
			require.NoError(t, err)
			if m.Subject == "up.s001-r02.sentinel" {
				break
			}
			require.NotEqual(t, answer, m.Reply, "%s arrived", m.Subject)
			require.NotEqual(t, answer, m.Subject, "HQ answered %s", m.Data)
		}
		require.NoError(t, heard.Unsubscribe())
		require.Equal(t, atHQ, everyStream(t, h.js), "nothing changed at head office")
		require.Equal(t, atVictim, everyStream(t, victim.Journal().js), "nor at the other register")
	})

	// HQ hangs up on few of these. A subscription that is wider than a register's rights stays
	// open, and only the register's own messages come through. So each time the test sends messages
	// that the subscription matches. They must not arrive.
	for _, subject := range overheard() {
		t.Run("subscribe to "+subject, func(t *testing.T) {
			caught := slices.DeleteFunc(passingBy(), func(s string) bool { return !server.SubjectMatchesFilter(s, subject) })
			require.NotEmpty(t, caught, "nothing that this would hear is sent")
			evil := dialLeaf(t, leaf, ca, creds)
			const own = "$JS.FC.s001-r02.x.JOURNAL_1.hq.sentinel"
			evil.send("LS+ %s\r\n", own)
			require.True(t, evil.ping())
			evil.send("LS+ %s\r\n", subject)
			if !evil.ping() {
				return // HQ hung up
			}
			heard, err := full.SubscribeSync(subject) // a connection with the right hears them
			require.NoError(t, err)
			for _, s := range caught {
				require.NoError(t, full.Publish(s, []byte("secret")))
			}
			for _, s := range caught {
				for m := (&nats.Msg{}); m.Subject != s || string(m.Data) != "secret"; {
					m, err = heard.NextMsg(soon)
					require.NoError(t, err, "%s did not pass by", s)
				}
			}
			require.NoError(t, heard.Unsubscribe())
			last, err := victim.Journal().Last(t.Context())
			require.NoError(t, err)
			appendEntries(t, victim.Journal(), last, last+2)
			requireAtHQ(t, h, JournalName{r01, 1}, last+2) // HQ has handled the messages before these entries
			require.NoError(t, full.Publish(own, nil))
			for heard := ""; heard != own; {
				heard = evil.nextSubject()
				require.True(t, slices.ContainsFunc([]string{"$JS.s001-r02.API.CONSUMER.RESET.>", "$JS.FC.s001-r02.>", "down.s001-r02.>"},
					func(allowed string) bool { return server.SubjectMatchesFilter(heard, allowed) }), "%s is not its own", heard)
			}
		})
	}

	t.Run("as a client", func(t *testing.T) {
		open, err := StartHQ(t.Context(), HQConfig{Dir: t.TempDir(), Listen: "127.0.0.1:0"})
		require.NoError(t, err)
		defer func() { require.NoError(t, open.Close()) }()
		_, err = nats.Connect(open.ClientURL(), nats.UserCredentials(enroll(t, open, r02, 1)))
		require.ErrorIs(t, err, nats.ErrAuthorization)
	})

	last, err := victim.Journal().Last(t.Context())
	require.NoError(t, err)
	requireEntries(t, victim.Journal(), last)
	requireAtHQ(t, h, JournalName{r01, 1}, last)
}

// try is a message that nobody but head office may send.
type try struct{ subject, payload string }

// forbidden returns messages that neither a reader nor the register r02 may publish. They go to
// subjects of head office and of r01.
func forbidden() (all []try) {
	for _, subject := range []string{
		"pos.s001.r01.sale.concluded", "pos.s001.r02.sale.concluded", "pos.hq.hq.x.y", "up.s001-r01.1", "up.s001-r01.ask.announce", "up.s001-r01.repair", "repair.s001-r01", "repair.s001-r02",
		"mark.s001-r01.1", "mark.s001-r02.1", "ref.s001.product.1", "ref.all.product.1", "ref.committed",
		"up.s001-r01.ask.reference", "down.s001-r01.reply.x", "$O.REFERENCE_IMPORTS.C.x", "$O.REFERENCE_IMPORTS.M.x", "$KV.x.y", "_INBOX_hq.x", "_INBOX.x",
		"$JS.FC.s001-r01.x.JOURNAL_1.hq.x", "$JSC.R.s001-r01.x.JOURNAL_1.hq.x", "$SYS.REQ.SERVER.PING", "$SYS.REQ.ACCOUNT.PING.CONNZ", "$SRV.PING",
		"fleet.journal.s001-r01.2", "fleet.revoked.x.1", "$SYS.REQ.CLAIMS.UPDATE", "$SYS.REQ.ACCOUNT.x.CLAIMS.LOOKUP", "up.s001-r01.reset.x",
		"$JS.API.INFO", "$JS.API.STREAM.NAMES", "$JS.API.STREAM.LIST", "$JS.hq.API.STREAM.NAMES", "$JS.API.META.LEADER.STEPDOWN",
		"$JS.s001-r01.API.STREAM.NAMES", "$JS.s001-r01.API.STREAM.MSG.GET.REFERENCE_1", "$JS.s001-r01.API.CONSUMER.RESET.JOURNAL_1.hq", "$JS.s001-r01.API.DIRECT.GET.JOURNAL_1.1",
		"JOURNALS_0", "JOURNALS_1", "JOURNALS_2", "JOURNALS_3", // directly into a stream, as a source does
	} {
		all = append(all, try{subject, "{}"})
	}
	for _, stream := range []string{"JOURNALS_0", "JOURNALS_1", "JOURNALS_2", "JOURNALS_3", "HQ", "MARKS", "FLEET", "REPAIRS", "REFERENCE_1", "OBJ_REFERENCE_IMPORTS"} {
		for _, api := range []string{"$JS.API.", "$JS.hq.API."} {
			all = append(all, triesAtStream(api, stream)...)
		}
	}
	return append(all, triesAtStream("$JS.s001-r01.API.", "JOURNAL_1")...)
}

// triesAtStream returns requests that would change a stream, remove something from it, or have it
// delivered to a wrong subject.
func triesAtStream(api, stream string) (all []try) {
	push := fmt.Sprintf(`{"stream_name":%q,"config":{"name":"evil","durable_name":"evil","deliver_subject":"up.s001-r01.1","ack_policy":"none"}}`, stream)
	for _, t := range []try{
		{"STREAM.CREATE.EVIL", `{"name":"EVIL","subjects":["evil.>"],"storage":"file"}`},
		{"STREAM.CREATE." + stream, fmt.Sprintf(`{"name":%q,"subjects":["evil.>"],"storage":"file"}`, stream)},
		{"STREAM.UPDATE." + stream, fmt.Sprintf(`{"name":%q,"subjects":["evil.>"],"storage":"file","max_msgs":1}`, stream)},
		{"STREAM.PURGE." + stream, ""},
		{"STREAM.DELETE." + stream, ""},
		{"STREAM.MSG.DELETE." + stream, `{"seq":1}`},
		{"STREAM.MSG.GET." + stream, `{"seq":1}`},
		{"STREAM.INFO." + stream, ""},
		{"STREAM.SNAPSHOT." + stream, `{"deliver_subject":"up.s001-r02.answer"}`},
		{"STREAM.RESTORE." + stream, "{}"},
		{"STREAM.LEADER.STEPDOWN." + stream, ""},
		{"STREAM.PEER.REMOVE." + stream, `{"peer":"n1"}`},
		{"CONSUMER.CREATE." + stream, push},
		{"CONSUMER.CREATE." + stream + ".evil", push},
		{"CONSUMER.CREATE." + stream + ".evil.pos.>", push},
		{"CONSUMER.DURABLE.CREATE." + stream + ".evil", push},
		{"CONSUMER.DELETE." + stream + ".hq", ""},
		{"CONSUMER.RESET." + stream + ".hq", `{"seq":1}`},
		{"DIRECT.GET." + stream + ".pos.>", ""},
	} {
		all = append(all, try{api + t.subject, t.payload})
	}
	return all
}

// overheard returns subjects that neither a reader nor the register r02 may hear. passingBy has a
// message for each.
func overheard() []string {
	return []string{
		">", "*.>", "up.>", "up.s001-r01.1", "up.s001-r01.>", "up.s001-r01.ask.reference", "up.s001-r01.reset.>", "down.>", "down.*.>", "down.s001-r01.>", "pos.>", "pos.hq.>",
		"ref.>", "ref.all.>", "ref.s001.>", "fleet.>", "mark.>", "repair.>", "$O.>", "$KV.>", "_INBOX_hq.>", "_INBOX.>", "$SYS.>", "$SRV.>",
		"$JS.>", "$JS.FC.>", "$JS.FC.s001-r01.>", "$JS.API.>", "$JS.s001-r01.API.>", "$JS.s001-r01.API.CONSUMER.RESET.>", "$JSC.R.>",
	}
}

// passingBy returns subjects of head office's traffic for others.
func passingBy() []string {
	return []string{
		"up.s001-r01.1", "up.s001-r01.ask.reference", "up.s001-r01.reset.x", "down.s001-r01.reply.x", "pos.s001.r01.sale.concluded", "pos.hq.hq.x.y",
		"ref.all.product.1", "ref.s001.product.1", "fleet.journal.s001-r01.1", "mark.s001-r01.1", "repair.s001-r01", "$O.REFERENCE_IMPORTS.C.x", "$KV.x.y", "_INBOX_hq.x", "_INBOX.x", "$SYS.ACCOUNT.x.CONNECT", "$SRV.PING",
		"$JS.FC.s001-r01.x.JOURNAL_1.hq.x", "$JS.API.STREAM.NAMES", "$JS.s001-r01.API.STREAM.INFO.JOURNAL_1", "$JS.s001-r01.API.CONSUMER.RESET.JOURNAL_1.x", "$JSC.R.s001-r01.x.JOURNAL_1.hq.x",
	}
}

// fillStreams stores a message in every stream of head office that a register has not filled. So
// the test detects a removal from any stream.
func fillStreams(t *testing.T, h *HQNode) {
	js, err := jetstream.New(everything(t, h))
	require.NoError(t, err)
	for _, subject := range []string{"pos.hq.hq.x.y", "mark.s001-r09.1", "repair.s001-r09", "ref.all.product.1", "$O.REFERENCE_IMPORTS.C.x"} {
		_, err := js.Publish(t.Context(), subject, []byte("{}"))
		require.NoError(t, err)
	}
}

// kept is the configuration and the content of a stream.
type kept struct {
	config      jetstream.StreamConfig
	first, last uint64
	entries     uint64
	consumers   string
}

func everyStream(t *testing.T, js jetstream.JetStream) map[string]kept {
	all := map[string]kept{}
	streams := js.ListStreams(t.Context())
	for info := range streams.Info() {
		stream, err := js.Stream(t.Context(), info.Config.Name)
		require.NoError(t, err)
		var consumers []string
		names := stream.ConsumerNames(t.Context())
		for name := range names.Name() {
			consumers = append(consumers, name)
		}
		require.NoError(t, names.Err())
		slices.Sort(consumers)
		all[info.Config.Name] = kept{info.Config, info.State.FirstSeq, info.State.LastSeq, info.State.Msgs, fmt.Sprint(consumers)}
	}
	require.NoError(t, streams.Err())
	return all
}

// rawLeaf speaks the leaf protocol by hand.
type rawLeaf struct {
	t    *testing.T
	conn net.Conn
	in   *bufio.Reader
}

// dialLeaf signs on at HQ with a register's credentials.
func dialLeaf(t *testing.T, leafURL, ca, creds string) *rawLeaf {
	l := tryLeaf(t, leafURL, ca, creds)
	require.True(t, l.ping())
	return l
}

// tryLeaf tries to sign on and does not check the result.
func tryLeaf(t *testing.T, leafURL, ca, creds string) *rawLeaf {
	var conn net.Conn
	u, err := url.Parse(leafURL)
	require.NoError(t, err)
	if u.Scheme == "tls" {
		config, err := clientTLS(ca)
		require.NoError(t, err)
		conn, err = tls.Dial("tcp", u.Host, config)
		require.NoError(t, err)
	} else {
		conn, err = net.Dial("tcp", u.Host)
		require.NoError(t, err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	require.NoError(t, conn.SetDeadline(time.Now().Add(soon)))
	l := &rawLeaf{t: t, conn: conn, in: bufio.NewReader(conn)}
	var info struct{ Nonce string }
	require.NoError(t, json.Unmarshal([]byte(strings.TrimPrefix(l.line(), "INFO ")), &info))

	data, err := os.ReadFile(creds)
	require.NoError(t, err)
	token, sig := signedNonce(t, data, info.Nonce)
	connect, err := json.Marshal(map[string]any{
		"jwt": token, "sig": sig, "server_id": "NEVIL", "name": "evil", "version": "2.15.3", "headers": true, "protocol": 1,
	})
	require.NoError(t, err)
	l.send("CONNECT %s\r\n", connect)
	return l
}

// signedNonce signs a server's nonce with the key of credentials.
func signedNonce(t *testing.T, creds []byte, nonce string) (token, sig string) {
	token, err := jwt.ParseDecoratedJWT(creds)
	require.NoError(t, err)
	kp, err := jwt.ParseDecoratedNKey(creds)
	require.NoError(t, err)
	raw, err := kp.Sign([]byte(nonce))
	require.NoError(t, err)
	return token, base64.RawURLEncoding.EncodeToString(raw)
}

func (l *rawLeaf) send(format string, args ...any) {
	_, err := fmt.Fprintf(l.conn, format, args...)
	require.NoError(l.t, err)
}

func (l *rawLeaf) line() string {
	line, err := l.in.ReadString('\n')
	require.NoError(l.t, err)
	return strings.TrimRight(line, "\r\n")
}

// ping waits until HQ has handled everything sent before, and reports whether the connection is
// still up.
func (l *rawLeaf) ping() bool {
	_, _ = l.conn.Write([]byte("PING\r\n"))
	for {
		line, err := l.in.ReadString('\n')
		if err != nil || line == "PONG\r\n" {
			return err == nil
		}
	}
}

// nextSubject returns the subject of the next message from HQ.
func (l *rawLeaf) nextSubject() string {
	for {
		fields := strings.Fields(l.line())
		if len(fields) > 1 && (fields[0] == "LMSG" || fields[0] == "HMSG") {
			return fields[1]
		}
	}
}

func TestJournalStaysInItsNode(t *testing.T) {
	// A live publish must not travel beside the replication, even to an HQ that asks for it.
	h := startHQ(t, t.TempDir(), "127.0.0.1:0")
	full := everything(t, h)
	heard, err := full.SubscribeSync("pos.>")
	require.NoError(t, err)
	n := startRegister(t, t.TempDir(), linked(r01, h.LeafURL(), enroll(t, h, r01, 1)))
	appendEntries(t, n.Journal(), 0, 10)
	requireAtHQ(t, h, JournalName{r01, 1}, 10)
	require.NoError(t, full.Publish("pos.s001.r01.sale.concluded", []byte("by HQ")))
	require.NoError(t, full.Flush())
	appendEntries(t, n.Journal(), 10, 20)
	requireAtHQ(t, h, JournalName{r01, 1}, 20)
	requireEntries(t, n.Journal(), 20)
	m, err := heard.NextMsgWithContext(t.Context())
	require.NoError(t, err)
	require.Equal(t, "by HQ", string(m.Data))
	_, err = heard.NextMsg(time.Millisecond)
	require.ErrorIs(t, err, nats.ErrTimeout, "nothing else")
}

func TestKeysAreMadeOnceAndPrivate(t *testing.T) {
	dir := t.TempDir()
	h := startHQ(t, dir, "127.0.0.1:0")
	leaf := strings.TrimPrefix(h.LeafURL(), "nats-leaf://")
	creds := enroll(t, h, r01, 1)
	info, err := os.Stat(filepath.Join(dir, keysName))
	require.NoError(t, err)
	require.EqualValues(t, 0o600, info.Mode().Perm())
	_, err = StartHQ(t.Context(), HQConfig{Dir: dir})
	require.ErrorIs(t, err, ErrInUse)
	require.NoError(t, h.Close())

	h = startHQ(t, dir, leaf)
	n := startRegister(t, t.TempDir(), linked(r01, h.LeafURL(), creds))
	appendEntries(t, n.Journal(), 0, 1)
	requireAtHQ(t, h, JournalName{r01, 1}, 1)

	bad := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(bad, keysName), []byte("{}"), 0o600))
	_, err = StartHQ(t.Context(), HQConfig{Dir: bad})
	require.ErrorContains(t, err, "keys.json")
}

// proxy is a connection that the test can cut.
type proxy struct {
	t        testing.TB
	target   string
	listener net.Listener

	mu        sync.Mutex
	down      bool
	swallowed atomic.Bool // data gets lost without an error
	conns     []net.Conn
}

func startProxy(t testing.TB, leafURL string) *proxy {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	p := &proxy{t: t, target: strings.TrimPrefix(strings.TrimPrefix(leafURL, "nats-leaf://"), "tls://"), listener: l}
	go p.run()
	t.Cleanup(func() {
		p.cut()
		_ = l.Close()
	})
	return p
}

func (p *proxy) url() string { return "nats-leaf://" + p.listener.Addr().String() }

func (p *proxy) run() {
	for {
		in, err := p.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err == nil {
			p.join(in)
		}
	}
}

func (p *proxy) join(in net.Conn) {
	out, err := net.Dial("tcp", p.target)
	p.mu.Lock()
	defer p.mu.Unlock()
	if err != nil || p.down {
		_ = in.Close()
		if err == nil {
			_ = out.Close()
		}
		return
	}
	p.conns = append(p.conns, in, out)
	for _, pair := range [][2]net.Conn{{in, out}, {out, in}} {
		go func() {
			_, _ = io.Copy(lossy{pair[0], &p.swallowed}, pair[1])
			_ = pair[0].Close()
			_ = pair[1].Close()
		}()
	}
}

// lossy is a connection that can lose all data.
type lossy struct {
	net.Conn
	swallowed *atomic.Bool
}

func (l lossy) Write(p []byte) (int, error) {
	if l.swallowed.Load() {
		return len(p), nil
	}
	return l.Conn.Write(p)
}

func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.down = true
	for _, c := range p.conns {
		_ = c.Close()
	}
	p.conns = nil
}

func (p *proxy) restore() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.down = false
}
