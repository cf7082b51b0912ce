package embedded

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"github.com/posnode/posnode/events"
)

// everything opens a connection with all rights in the account of the fleet. No connection of the
// product has them.
func everything(t testing.TB, h *HQNode) *nats.Conn {
	user, err := freshUser("test", h.keys.fleet, jwt.Permissions{})
	require.NoError(t, err)
	var nc *nats.Conn
	if h.server != nil {
		nc, err = connect(h.server, "_INBOX_test", user)
	} else {
		nc, err = h.connectCluster("_INBOX_test", user)
	}
	require.NoError(t, err)
	t.Cleanup(nc.Close)
	return nc
}

func TestReplySubjects(t *testing.T) {
	t.Parallel()
	h := startHQ(t, t.TempDir(), "127.0.0.1:0")
	requireReplies(t, h, h.LeafURL(), "")
}

func TestReplySubjectsOnACluster(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	requireReplies(t, c.hq(c.urls()[0]), c.leaf(0), c.ca())
}

// outsideReplies returns reply subjects that r02 can name. No answer may reach them.
func outsideReplies() []string {
	all := []string{
		"fleet.journal.evil", "fleet.journal.s001-r09.1", "fleet.revoked.evil.1", "mark.evil.1", "repair.evil", "repair.s001-r01", "ref.evil.x", "ref.committed",
		"pos.hq.hq.evil.x", "pos.s001.r01.evil.x", "$O.REFERENCE_IMPORTS.M.evil", "JOURNALS_0",
		"up.s001-r01.ask.activate", "up.s001-r01.ask.echo", "up.s001-r01.repair", "up.s001-r01.1", "up.s001-r01.reset.evil", "up.s001-r02.ask.echo", "up.s001-r02.repair",
		"down.s001-r01.reply.evil", "down.s001-r01.evil", "down.s001-r02.evil", "down.s001-r02.reply", "down.s001-r02.replyx.evil", "down.s001-r02.reply.*", "down.s001-r02.reply.>",
		"down.s001-r02.reply.evil.", "down.s001-r02.reply..evil", "down.s001-r02.reply.$evil", "down.s001-r02.reply." + strings.Repeat("e", 65),
		"down.s001-r02.reply.e.v.i.l.evil", "down.*.reply.evil", "down.s001-r0*.reply.evil",
		"$JS.s001-r01.API.CONSUMER.RESET.JOURNAL_1.hq", "$JS.FC.s001-r01.evil.JOURNAL_1.hq.x", "$JSC.R.s001-r01.evil", "$SYS.REQ.SERVER.PING", "$SRV.PING", "_INBOX_hq.evil", "_INBOX.evil", "evil",
	}
	for _, stream := range []string{"JOURNALS_0", "JOURNALS_1", "JOURNALS_2", "JOURNALS_3", "HQ", "MARKS", "FLEET", "REPAIRS", "REFERENCE_1", "OBJ_REFERENCE_IMPORTS"} {
		for _, api := range []string{"$JS.API.", "$JS.hq.API."} {
			all = append(all, api+"STREAM.DELETE."+stream, api+"STREAM.PURGE."+stream, api+"STREAM.LEADER.STEPDOWN."+stream)
		}
	}
	return all
}

// requireReplies asks for answers on other parties' subjects, as a register and as the holder of an
// activation code.
func requireReplies(t *testing.T, h *HQNode, leaf, ca string) {
	withCA := func(c *RegisterConfig) { c.CA = ca }
	victim := startRegister(t, t.TempDir(), linked(r01, leaf, enroll(t, h, r01, 1)), withCA)
	appendEntries(t, victim.Journal(), 0, 3)
	requireAtHQ(t, h, JournalName{r01, 1}, 3)
	creds := enroll(t, h, r02, 1)
	node := startRegister(t, t.TempDir(), linked(r02, leaf, creds), withCA)
	require.NoError(t, node.Journal().Append(t.Context(), 0, under(sizedEntry(1, 100), "pos.s001.r02.sale.concluded")))
	requireAtHQ(t, h, JournalName{r02, 1}, 1)
	requireAcked(t, node, 1)
	require.NoError(t, node.Close())
	data, _, err := h.Bootstrap(r02, time.Now().Add(time.Hour))
	require.NoError(t, err)
	paper := filepath.Join(t.TempDir(), "paper.creds")
	require.NoError(t, os.WriteFile(paper, data, 0o600))
	fillStreams(t, h)

	calls := make(chan string, 10_000) // the questions that reached an answerer
	for _, service := range []string{"echo", activateService} {
		require.NoError(t, h.Answer(service, func(_ context.Context, r events.Register, question []byte) ([]byte, error) {
			calls <- fmt.Sprintf("%s %s %s", service, r, question)
			switch {
			case len(question) == 0:
				return nil, nil // an empty answer is a valid request to delete a stream
			case !json.Valid(question):
				return nil, fmt.Errorf("unreadable")
			}
			return question, nil
		}))
	}
	require.NoError(t, h.TakeRepairs(func(events.Register, int64) (bool, error) { return true, nil }))
	full := everything(t, h)
	heard, err := full.SubscribeSync(">")
	require.NoError(t, err)
	require.NoError(t, full.Flush())
	atHQ, atVictim := everyStream(t, h.js), everyStream(t, victim.Journal().js)

	for name, creds := range map[string]string{"register": creds, "paper": paper} {
		questions := []string{"up.s001-r02.ask.activate"}
		if name == "register" {
			questions = append(questions, "up.s001-r02.ask.echo", "up.s001-r02.ask.nobody", "up.s001-r02.repair", "up.s001-r02.1")
		}
		t.Run(name, func(t *testing.T) {
			evil := dialLeaf(t, leaf, ca, creds)
			// again dials anew if the server has hung up.
			again := func() {
				if !evil.ping() {
					evil = dialLeaf(t, leaf, ca, creds)
				}
			}
			for _, question := range questions {
				for _, reply := range outsideReplies() {
					for _, payload := range []string{"", "x", `{"seq":1}`} {
						evil.send("LMSG %s\r\n%s\r\n", leafArgs(question, reply, strconv.Itoa(len(payload))), payload)
					}
					again() // the server may hang up on a malformed reply subject
					for _, header := range []string{
						"NATS/1.0\r\nNats-Trace-Dest: " + reply + "\r\n\r\n",                          // a server reports the message to that subject
						"NATS/1.0 100 FlowControl Request\r\n\r\n",                                    // a source answers this on the reply subject
						"NATS/1.0 100 Idle Heartbeat\r\nNats-Consumer-Stalled: " + reply + "\r\n\r\n", // and this on the subject in the header
					} {
						reply := reply
						if strings.Contains(header, "Stalled") {
							reply = ""
						}
						evil.send("HMSG %s\r\n%s\r\n", leafArgs(question, reply, fmt.Sprintf("%d %d", len(header), len(header))), header)
						again()
					}
				}
			}
			// Its own subjects are served, after everything before them.
			evil.send("LS+ down.s001-r02.reply.*.*\r\n")
			require.True(t, evil.ping())
			require.Eventually(t, func() bool { // interest travels
				const text = `{"own":1}`
				evil.send("LMSG %s\r\n%s\r\n", leafArgs("up.s001-r02.ask.activate", "down.s001-r02.reply.evil.own", strconv.Itoa(len(text))), text)
				_ = evil.conn.SetReadDeadline(time.Now().Add(time.Second))
				for {
					line, err := evil.in.ReadString('\n')
					if err != nil {
						return false
					}
					if strings.HasPrefix(line, "LMSG down.s001-r02.reply.evil.own") {
						return true
					}
				}
			}, soon, 10*time.Millisecond)
		})
	}
	require.NoError(t, full.Publish("sentinel", nil))
	for {
		m, err := heard.NextMsgWithContext(t.Context())
		require.NoError(t, err)
		if m.Subject == "sentinel" {
			break
		}
		own := strings.HasPrefix(m.Subject, "up.s001-r02.") || strings.HasPrefix(m.Subject, "down.s001-r02.reply.evil.own") ||
			// A source answers any message that looks like flow control. A consumer accepts only
			// the answer to its last request.
			strings.HasPrefix(m.Subject, "$JS.FC.")
		require.False(t, !own && strings.Contains(m.Subject, "evil"), "%s arrived: %s %v", m.Subject, m.Data, m.Header)
		for _, prefix := range []string{"$JS.API.STREAM.DELETE", "$JS.API.STREAM.PURGE", "$JS.API.STREAM.LEADER", "fleet.", "mark.", "repair.", "ref.", "up.s001-r01.ask", "up.s001-r01.repair", "up.s001-r01.reset", "JOURNALS_0", "$SRV."} {
			require.False(t, strings.HasPrefix(m.Subject, prefix), "%s arrived: %s %v", m.Subject, m.Data, m.Header)
		}
	}
	require.Equal(t, atHQ, everyStream(t, h.js), "nothing changed at head office")
	require.Equal(t, atVictim, everyStream(t, victim.Journal().js), "nor at the other register")
	for len(calls) > 0 {
		require.Equal(t, `activate s001-r02 {"own":1}`, <-calls, "a question that may not be answered is not read")
	}

	// A repair is stored, answered by head office, and stored once.
	evil := dialLeaf(t, leaf, ca, creds)
	evil.send("LS+ down.s001-r02.reply.>\r\n")
	require.True(t, evil.ping())
	before := atHQ[Repairs].entries
	var ack struct {
		Stream    string
		Seq       uint64
		Duplicate bool
		Error     struct{ Code int }
	}
	for i, c := range []struct {
		payload   string
		code      int
		duplicate bool
	}{{"entry", 0, false}, {"entry", 0, true}, {"", 400, false}} {
		header := "NATS/1.0\r\nPosnode-Epoch: 1\r\nPosnode-Sequence: 7\r\n\r\n"
		reply := fmt.Sprintf("down.s001-r02.reply.repaired.%d", i)
		evil.send("HMSG %s\r\n%s%s\r\n", leafArgs("up.s001-r02.repair", reply, fmt.Sprintf("%d %d", len(header), len(header)+len(c.payload))), header, c.payload)
		ack.Duplicate = false
		require.NoError(t, json.Unmarshal([]byte(evil.answer(reply)), &ack))
		require.Equal(t, c.code, ack.Error.Code)
		require.Equal(t, c.duplicate, ack.Duplicate)
		require.Equal(t, Repairs, ack.Stream)
	}
	require.Equal(t, before+1, everyStream(t, h.js)[Repairs].entries)
	require.NoError(t, h.Answer("last", func(context.Context, events.Register, []byte) ([]byte, error) { return nil, nil }))
}

// leafArgs returns the arguments of a message on a leaf link. The message reaches a queue group
// only if it names the group.
func leafArgs(subject, reply, sizes string) string {
	group := ""
	switch {
	case strings.Contains(subject, ".ask."):
		group = answerGroup
	case strings.HasSuffix(subject, ".repair"):
		group = "repairs"
	}
	switch {
	case group != "" && reply != "":
		return fmt.Sprintf("%s + %s %s %s", subject, reply, group, sizes)
	case group != "":
		return fmt.Sprintf("%s | %s %s", subject, group, sizes)
	case reply != "":
		return fmt.Sprintf("%s %s %s", subject, reply, sizes)
	}
	return subject + " " + sizes
}

// answer waits for the message on a subject and returns its body.
func (l *rawLeaf) answer(subject string) string {
	for {
		line := l.line()
		if !strings.HasPrefix(line, "LMSG "+subject+" ") {
			continue
		}
		var size int
		_, err := fmt.Sscan(line[strings.LastIndexByte(line, ' '):], &size)
		require.NoError(l.t, err)
		body := make([]byte, size+2)
		_, err = io.ReadFull(l.in, body)
		require.NoError(l.t, err)
		return string(body[:size])
	}
}

// under returns the message with another subject.
func under(m events.Message, subject string) events.Message {
	m.Subject = subject
	return m
}

// TestMalformedMembers shows that head office works although the fleet holds malformed members. An
// older version let strangers write them.
func TestMalformedMembers(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	h := startHQ(t, dir, "127.0.0.1:0")
	creds := enroll(t, h, r01, 1)
	want := []string{"fleet.evil", "fleet.journal.s001-r01.0", "fleet.journal.s001-r01.x", "fleet.journal.x", "fleet.revoked.*.1", "fleet.revoked.U.1", "fleet.revoked.x.y"}
	full := everything(t, h)
	for _, m := range want {
		require.NoError(t, full.Publish(m, []byte("Permission denied")))
	}
	require.NoError(t, full.Flush())
	require.Eventually(t, func() bool {
		malformed, err := h.Malformed(t.Context())
		require.NoError(t, err)
		return len(malformed) == len(want)
	}, soon, 10*time.Millisecond)
	require.NoError(t, h.Revoke(t.Context(), publicKey(t, enroll(t, h, r02, 1))))
	require.NoError(t, h.Close())

	h = startHQ(t, dir, "127.0.0.1:0")
	malformed, err := h.Malformed(t.Context())
	require.NoError(t, err)
	require.Equal(t, want, malformed)
	require.Equal(t, []JournalName{{r01, 1}, {r02, 1}}, h.Journals())
	n := startRegister(t, t.TempDir(), linked(r01, h.LeafURL(), creds))
	appendEntries(t, n.Journal(), 0, 3)
	requireAtHQ(t, h, JournalName{r01, 1}, 3)
}

// TestRightsOfHeadOfficesConnections shows that the servers limit head office's connections to the
// rights that its work needs. So no fault in head office can publish elsewhere. The test uses the
// credentials of an instance without keys.
func TestRightsOfHeadOfficesConnections(t *testing.T) {
	t.Parallel()
	h, err := StartHQ(t.Context(), HQConfig{Dir: t.TempDir(), Listen: "127.0.0.1:0", ListenLeaf: "127.0.0.1:0"})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, h.Close()) })
	own, err := h.keys.ownCreds()
	require.NoError(t, err)
	answers, err := h.keys.answersCreds()
	require.NoError(t, err)
	requireOwnRights(t, h, h.ClientURL(), h.LeafURL(), "", own, answers)
}

func TestRightsOfHeadOfficesConnectionsOnACluster(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	own, err := os.ReadFile(filepath.Join(c.dir, HQFolder, hqCreds))
	require.NoError(t, err)
	answers, err := os.ReadFile(filepath.Join(c.dir, HQFolder, answersCreds))
	require.NoError(t, err)
	requireOwnRights(t, c.hq(c.urls()[0]), c.urls()[0], c.leaf(0), c.ca(), own, answers)
}

func requireOwnRights(t *testing.T, h *HQNode, client, leaf, ca string, own, answers []byte) {
	n := startRegister(t, t.TempDir(), linked(r01, leaf, enroll(t, h, r01, 1)), func(c *RegisterConfig) { c.CA = ca })
	appendEntries(t, n.Journal(), 0, 3)
	requireAtHQ(t, h, JournalName{r01, 1}, 3)
	fillStreams(t, h)
	atHQ, atRegister := everyStream(t, h.js), everyStream(t, n.Journal().js)
	for name, c := range map[string]struct {
		creds      []byte
		not        []string
		overheard  []string
		permitted  []string
		subscribes []string
	}{
		"answers": {
			creds: answers, permitted: []string{"down.s001-r01.reply.x"}, subscribes: []string{"up.*.ask.*", "up.*.repair"},
			not:       append(outsideReplies(), "$JS.API.STREAM.INFO.HQ", "fleet.journal.s001-r03.1", "mark.s001-r01.1", "repair.s001-r02", "down.s001-r01.x"),
			overheard: []string{">", "_INBOX_hq.>", "up.>", "down.>", "down.s001-r01.reply.>", "pos.>", "mark.>", "$JS.>", "up.s001-r01.1"},
		},
		"own": {
			creds: own, permitted: []string{"$JS.API.STREAM.INFO.HQ", "$JS.hq.API.STREAM.INFO.HQ"}, subscribes: []string{"_INBOX_hq.x"},
			overheard: []string{">", "up.>", "up.*.ask.*", "down.>", "pos.>", "mark.>", "fleet.>", "$JS.>", "$SYS.>"},
			not: []string{
				"$JS.API.STREAM.DELETE.JOURNALS_0", "$JS.hq.API.STREAM.DELETE.JOURNALS_0", "$JS.API.STREAM.PURGE.JOURNALS_0", "$JS.API.STREAM.PURGE.FLEET", "$JS.API.STREAM.MSG.DELETE.HQ", "$JS.API.STREAM.RESTORE.HQ",
				"$JS.API.STREAM.SNAPSHOT.HQ", "$JS.API.STREAM.PEER.REMOVE.HQ", "$JS.API.META.LEADER.STEPDOWN", "$JS.API.SERVER.REMOVE", "$JS.API.ACCOUNT.PURGE.x", "$JS.API.ACCOUNT.STREAM.MOVE.x.HQ",
				"up.s001-r01.ask.inactivate", "up.s001-r01.1", "up.s001-r01.repair", "down.s001-r01.reply.x", "pos.s001.r01.sale.concluded", "JOURNALS_0", "$SYS.REQ.SERVER.PING",
				"$JS.s001-r01.API.STREAM.DELETE.JOURNAL_1", "$JS.s001-r01.API.STREAM.UPDATE.JOURNAL_1", "$JS.s001-r01.API.CONSUMER.DELETE.JOURNAL_1.hq", "$JS.FC.s001-r01.x.JOURNAL_1.hq.x",
				"$JSC.R.s001-r01.x", "_INBOX.x", "_INBOX_hq.x", "evil",
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			evil := dialClient(t, client, ca, c.creds)
			for _, subject := range c.not {
				if strings.ContainsAny(subject, "*>") || strings.Contains(subject, "..") || strings.HasSuffix(subject, ".") {
					continue // no subject to publish to
				}
				if name == "answers" && strings.HasPrefix(subject, "down.") && strings.Contains(subject, ".reply.") {
					continue // head office itself checks the register in a reply subject
				}
				for _, payload := range []string{"", "{}"} {
					require.Contains(t, evil.publish(subject, payload), "Permissions Violation for Publish", subject)
				}
			}
			for _, subject := range c.overheard {
				require.Contains(t, evil.subscribe(subject), "Permissions Violation for Subscription", subject)
			}
			for _, subject := range c.permitted {
				require.Empty(t, evil.publish(subject, ""), subject)
			}
			for _, subject := range c.subscribes {
				require.Empty(t, evil.subscribe(subject), subject)
			}
		})
		t.Run(name+" as a leaf", func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "creds")
			require.NoError(t, os.WriteFile(path, c.creds, 0o600))
			require.False(t, tryLeaf(t, leaf, ca, path).ping())
		})
	}
	require.Equal(t, atHQ, everyStream(t, h.js), "nothing changed at head office")
	require.Equal(t, atRegister, everyStream(t, n.Journal().js), "nor at the register")
}

// rawClient speaks the protocol of clients by hand.
type rawClient struct {
	t    *testing.T
	conn net.Conn
	in   *bufio.Reader
	sid  int
}

// dialClient signs on with credentials, or with none.
func dialClient(t *testing.T, address, ca string, creds []byte) *rawClient {
	u, err := url.Parse(address)
	require.NoError(t, err)
	conn, err := net.Dial("tcp", u.Host)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	require.NoError(t, conn.SetDeadline(time.Now().Add(soon)))
	c := &rawClient{t: t, conn: conn, in: bufio.NewReader(conn)}
	line, err := c.in.ReadString('\n')
	require.NoError(t, err)
	var info struct{ Nonce string }
	require.NoError(t, json.Unmarshal([]byte(strings.TrimPrefix(line, "INFO ")), &info))
	if ca != "" {
		pem, err := os.ReadFile(ca)
		require.NoError(t, err)
		roots := x509.NewCertPool()
		require.True(t, roots.AppendCertsFromPEM(pem))
		c.conn = tls.Client(conn, &tls.Config{RootCAs: roots, ServerName: u.Hostname()})
		c.in = bufio.NewReader(c.conn)
	}
	options := map[string]any{"verbose": false, "pedantic": false, "headers": true, "no_responders": true, "protocol": 1, "name": "evil", "lang": "none", "version": "0"}
	if creds != nil {
		options["jwt"], options["sig"] = signedNonce(t, creds, info.Nonce)
	}
	connect, err := json.Marshal(options)
	require.NoError(t, err)
	c.send("CONNECT %s\r\n", connect)
	require.Empty(t, c.errors())
	return c
}

func (c *rawClient) send(format string, args ...any) {
	_, err := fmt.Fprintf(c.conn, format, args...)
	require.NoError(c.t, err)
}

// errors waits until the server has handled everything sent before, and returns its error lines.
func (c *rawClient) errors() (errors string) {
	c.send("PING\r\n")
	for {
		line, err := c.in.ReadString('\n')
		require.NoError(c.t, err, "after %s", errors)
		switch {
		case line == "PONG\r\n":
			return errors
		case strings.HasPrefix(line, "-ERR"):
			errors += line
		}
	}
}

func (c *rawClient) publish(subject, payload string) (errors string) {
	c.send("PUB %s %d\r\n%s\r\n", subject, len(payload), payload)
	return c.errors()
}

func (c *rawClient) request(subject, reply, payload string) (errors string) {
	c.send("PUB %s %s %d\r\n%s\r\n", subject, reply, len(payload), payload)
	return c.errors()
}

func (c *rawClient) subscribe(subject string) (errors string) {
	c.sid++
	c.send("SUB %s %d\r\n", subject, c.sid)
	return c.errors()
}

// message waits for the next message and returns its subject and body, headers included.
func (c *rawClient) message() (subject, body string) {
	for {
		line, err := c.in.ReadString('\n')
		require.NoError(c.t, err)
		fields := strings.Fields(line)
		if len(fields) < 4 || fields[0] != "MSG" && fields[0] != "HMSG" {
			continue
		}
		var size int
		_, err = fmt.Sscan(fields[len(fields)-1], &size)
		require.NoError(c.t, err)
		data := make([]byte, size+2)
		_, err = io.ReadFull(c.in, data)
		require.NoError(c.t, err)
		return fields[1], string(data[:size])
	}
}

// TestInstanceWithoutKeys shows that an instance with credentials and no keys answers as the others
// do. It runs on a cluster of this version, and on one that an older version initialised with
// credentials that have all rights.
func TestInstanceWithoutKeys(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	signer := c.hq()
	full := everything(t, signer)
	heard, err := full.SubscribeSync("mark.>")
	require.NoError(t, err)
	require.NoError(t, full.Flush())
	creds := enroll(t, signer, r02, 1)
	n := startRegister(t, t.TempDir(), linked(r02, "", creds), c.secured(c.leaf(0)))

	older := filepath.Join(t.TempDir(), "older")
	require.NoError(t, os.CopyFS(older, os.DirFS(filepath.Join(c.dir, HQFolder))))
	token, seed, err := user("hq", signer.keys.fleet, signer.keys.fleet, func(*jwt.UserClaims) {})
	require.NoError(t, err)
	all, err := jwt.FormatUserConfig(token, seed)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(older, hqCreds), all, 0o600))
	require.NoError(t, os.Remove(filepath.Join(older, answersCreds)))

	// answersAs starts an instance from a folder and asks it questions, one of them with a
	// forbidden reply subject. It returns the instance's directory and its log.
	answersAs := func(name, folder string, keys bool) (dir, says string) {
		dir = filepath.Join(t.TempDir(), name)
		require.NoError(t, os.CopyFS(dir, os.DirFS(folder)))
		if !keys {
			require.NoError(t, os.Remove(filepath.Join(dir, keysName)))
		}
		log := &logText{}
		h, err := StartHQ(t.Context(), HQConfig{Dir: dir, URLs: c.urls(), Creds: filepath.Join(dir, hqCreds), CA: filepath.Join(dir, caFile), Logger: log.logger()})
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, h.Close()) })
		require.Equal(t, keys, h.HasKeys())
		require.NoError(t, h.Answer(name, func(context.Context, events.Register, []byte) ([]byte, error) { return []byte(name), nil }))
		require.Eventually(t, func() bool {
			ctx, cancel := context.WithTimeout(t.Context(), soon)
			defer cancel()
			answer, err := n.Ask(ctx, name, []byte("?"))
			return err == nil && string(answer) == name
		}, soon, 10*time.Millisecond, name)
		evil := dialLeaf(t, c.leaf(0), c.ca(), creds)
		evil.send("LMSG %s\r\n?\r\n", leafArgs("up.s001-r02.ask."+name, "mark.evil.1", "1"))
		require.True(t, evil.ping())
		require.Eventually(t, func() bool { return strings.Contains(log.String(), "a question was refused") }, soon, 10*time.Millisecond)
		return dir, log.String()
	}
	const advice = "copy the file " + answersCreds
	_, says := answersAs("present", filepath.Join(c.dir, HQFolder), false)
	require.NotContains(t, says, advice)
	_, says = answersAs("older", older, false)
	require.Contains(t, says, advice)
	// An instance with keys makes the file. Instances with that file have the rights of this
	// version.
	made, says := answersAs("with-keys", older, true)
	require.NotContains(t, says, advice)
	_, says = answersAs("advised", made, false)
	require.NotContains(t, says, advice)
	pending, _, err := heard.Pending()
	require.NoError(t, err)
	require.Zero(t, pending)
}

// TestPaperHearsNoRegister shows that the holder of an activation code hears none of head office's
// answers to the register of that name.
func TestPaperHearsNoRegister(t *testing.T) {
	t.Parallel()
	h := startHQ(t, t.TempDir(), "127.0.0.1:0")
	requirePaperDeaf(t, h, h.LeafURL(), "")
}

func TestPaperHearsNoRegisterOnACluster(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	requirePaperDeaf(t, c.hq(c.urls()[0]), c.leaf(0), c.ca())
}

func requirePaperDeaf(t *testing.T, h *HQNode, leaf, ca string) {
	n := startRegister(t, t.TempDir(), linked(r02, leaf, enroll(t, h, r02, 1)), func(c *RegisterConfig) { c.CA = ca })
	data, _, err := h.Bootstrap(r02, time.Now().Add(time.Hour))
	require.NoError(t, err)
	paper := filepath.Join(t.TempDir(), "paper.creds")
	require.NoError(t, os.WriteFile(paper, data, 0o600))
	answer := func(context.Context, events.Register, []byte) ([]byte, error) { return []byte("secret"), nil }
	require.NoError(t, h.Answer("reference", answer))
	require.NoError(t, h.TakeRepairs(func(events.Register, int64) (bool, error) { return true, nil }))
	// The holder of the code subscribes to each subject on a connection of its own. The server may
	// refuse or narrow a wide subscription.
	var listening []*rawLeaf
	for _, subject := range []string{"down.s001-r02.reply.*.*", "down.s001-r02.reply.>", "down.s001-r02.reply.own.>", "down.s001-r02.>", "down.>", ">"} {
		evil := dialLeaf(t, leaf, ca, paper)
		evil.send("LS+ %s\r\n", subject)
		if evil.ping() {
			listening = append(listening, evil)
		}
	}
	require.NotEmpty(t, listening)
	require.Eventually(t, func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), soon)
		defer cancel()
		answer, err := n.Ask(ctx, "reference", []byte("?"))
		return err == nil && string(answer) == "secret"
	}, soon, 10*time.Millisecond)
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	require.NoError(t, n.Repair(ctx, 1, []events.Message{{Sequence: 1, Body: []byte("{}")}}))
	// The answer for the holder of the code comes after the others, and must be the first that it
	// hears.
	require.NoError(t, everything(t, h).Publish("down.s001-r02.reply.for.paper", []byte("own")))
	require.Equal(t, "down.s001-r02.reply.for.paper", listening[0].nextSubject())
	for _, evil := range listening[1:] {
		evil.send("PING\r\n")
		for line := ""; line != "PONG"; line = evil.line() {
			require.False(t, strings.HasPrefix(line, "LMSG down.s001-r02.reply.own") || strings.HasPrefix(line, "HMSG down.s001-r02.reply.own"), line)
		}
	}
}
