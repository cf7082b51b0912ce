package hq

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/stretchr/testify/require"

	"github.com/posnode/posnode/embedded"
	"github.com/posnode/posnode/events"
)

// rawTill speaks the protocol of leaf nodes by hand, with a register's credentials.
type rawTill struct {
	t    *testing.T
	conn net.Conn
	in   *bufio.Reader
}

func dialAsTill(o *office, r events.Register) *rawTill {
	creds, err := Enroll(o.dir, r)
	require.NoError(o.t, err)
	conn, err := net.Dial("tcp", strings.TrimPrefix(o.LeafURL(), "nats-leaf://"))
	require.NoError(o.t, err)
	o.t.Cleanup(func() { _ = conn.Close() })
	require.NoError(o.t, conn.SetDeadline(time.Now().Add(soon)))
	l := &rawTill{o.t, conn, bufio.NewReader(conn)}
	line, err := l.in.ReadString('\n')
	require.NoError(o.t, err)
	var info struct{ Nonce string }
	require.NoError(o.t, json.Unmarshal([]byte(strings.TrimPrefix(line, "INFO ")), &info))
	token, err := jwt.ParseDecoratedJWT(creds)
	require.NoError(o.t, err)
	key, err := jwt.ParseDecoratedNKey(creds)
	require.NoError(o.t, err)
	signature, err := key.Sign([]byte(info.Nonce))
	require.NoError(o.t, err)
	connect, err := json.Marshal(map[string]any{
		"jwt": token, "sig": base64.RawURLEncoding.EncodeToString(signature), "server_id": "NEVIL", "name": "evil", "version": "2.15.3", "headers": true, "protocol": 1,
	})
	require.NoError(o.t, err)
	l.send("CONNECT %s\r\n", connect)
	l.ping()
	return l
}

func (l *rawTill) send(format string, args ...any) {
	_, err := fmt.Fprintf(l.conn, format, args...)
	require.NoError(l.t, err)
}

// ping waits until head office's server has dealt with what was sent.
func (l *rawTill) ping() {
	l.send("PING\r\n")
	for line := ""; line != "PONG\r\n"; {
		var err error
		line, err = l.in.ReadString('\n')
		require.NoError(l.t, err)
	}
}

// A till announces a thousand epochs and answers nothing that head office asks it. Head office receives none of them but
// the first and one more, says so once, and hears of the other tills as if it were not there.
func TestFloodOfAnnouncedEpochs(t *testing.T) {
	t.Parallel()
	o := newOfficeAt(t, "127.0.0.1:0")
	evil := dialAsTill(o, till2)
	evil.send("LS+ $JS.%s.API.>\r\n", till2) // head office asks for its journal, and waits for an answer that never comes
	announce := func(epoch int) {
		payload := fmt.Sprintf(`{"epoch":%d,"sequence":1,"hash":%q,"time":%q}`, epoch, strings.Repeat("0", 64), o.at.Format(time.RFC3339))
		evil.send("LMSG up.%s.ask.announce down.%s.reply.x %d\r\n%s\r\n", till2, till2, len(payload), payload)
	}
	for epoch := range embedded.MaxEpoch {
		announce(epoch + 1)
		evil.ping() // so that none is replaced by the next before it is heard
	}
	w := newWire(o, newWriter(t))
	w.journal(w.sales(3)...)
	w.verified(17)
	received := 0
	for _, name := range o.node.Journals() {
		if name.Register == till2 {
			received++
		}
	}
	require.LessOrEqual(t, received, 2)
	require.Eventually(t, func() bool {
		announce(received + 1)
		announce(received + 2)
		received++
		o.mu.Lock()
		defer o.mu.Unlock()
		return o.heard[till2] != nil && o.heard[till2].refused > 0
	}, soon, 20*time.Millisecond)
}

// An epoch of which nothing has come is missing as soon as a later activation record names it, also where the record before
// it is not here: the chain is followed back to the first. What is missing is asked for and in the way of every certificate.
func TestChainOfEpochsIsFollowedBack(t *testing.T) {
	o, w := newOffice(t), newWriter(t)
	first := append([]embedded.Received{w.activation()}, w.day("2026-03-02", 1, 5)...)
	second := append([]embedded.Received{w.begins(w.head.Sequence, events.Numbers{})}, w.day("2026-03-02", 2, 1)...)
	third := append([]embedded.Received{w.begins(w.head.Sequence, events.Numbers{})}, w.day("2026-03-03", 3, 1)...)
	o.announces(w, o.at.Add(48*time.Hour))

	missing := func(want string) {
		t.Helper()
		missing, err := o.db.missing(t.Context(), w.register)
		require.NoError(t, err)
		require.Equal(t, want, fmt.Sprint(missing))
		for _, date := range []string{"2026-03-02", "2026-03-03"} {
			certificate, obstacles, err := o.Certify(t.Context(), w.register, date)
			require.NoError(t, err)
			require.Nil(t, certificate, date)
			require.Equal(t, "gap", obstacles[0].Kind, date)
		}
		_, err = o.ClosePeriod(t.Context(), "2026-03-02", "2026-03-03", nil)
		require.ErrorContains(t, err, "are missing")
	}
	o.receive(third...)
	missing("[2/1..4]")
	o.receive(second...)
	missing("[1/1..8]")
	o.receive(first[:3]...)
	missing("[1/4..8]")
	o.receive(first[3:]...)
	certificate, obstacles, err := o.Certify(t.Context(), w.register, "2026-03-02")
	require.NoError(t, err)
	require.Empty(t, obstacles)
	require.Equal(t, 6, certificate.Sums[0].Transactions)
	given, err := o.db.given(t.Context())
	require.NoError(t, err)
	require.Equal(t, []embedded.JournalName{{Register: w.register, Epoch: 1}, {Register: w.register, Epoch: 2}}, given, "both are received")
}

// The register's own word counts: an earlier epoch that it has announced with more entries, or with another last entry, than
// head office holds is certified by nobody, also after head office was restarted.
func TestAnnouncedEndsAreCompared(t *testing.T) {
	o, w := newOffice(t), newWriter(t)
	first := append([]embedded.Received{w.activation()}, w.day("2026-03-02", 1, 5)...)
	goesOn := *w
	more := goesOn.day("2026-03-02", 2, 1) // of which no activation record knows
	end := goesOn.head
	begins := w.begins(8, events.Numbers{})
	o.receive(first...)
	o.receive(append([]embedded.Received{begins}, w.day("2026-03-03", 3, 1)...)...)
	announce := func(end events.Head) {
		raw, err := json.Marshal(events.Announcement{Head: w.head, Time: o.at.Add(48 * time.Hour), Earlier: []events.Head{end}})
		require.NoError(t, err)
		o.hear(t.Context(), w.register, raw)
	}
	obstacle := func() string {
		t.Helper()
		_, obstacles, err := o.Certify(t.Context(), w.register, "2026-03-02")
		require.NoError(t, err)
		if len(obstacles) == 0 {
			return ""
		}
		return obstacles[0].What
	}
	announce(end)
	require.Equal(t, "entries 1/9..11 are missing", obstacle())
	require.NoError(t, o.Close())
	o.reopen()
	require.Equal(t, "entries 1/9..11 are missing", obstacle())
	announce(events.Head{Epoch: 1, Sequence: 8, Hash: events.Hash(first[7].Message.Body)})
	require.Equal(t, "entries 1/9..11 are missing", obstacle(), "nobody takes back what was recorded")
	o.receive(more...)
	require.Empty(t, obstacle())

	end.Hash[0]++
	announce(end)
	open, err := o.db.findings(t.Context(), `WHERE resolved = ''`)
	require.NoError(t, err)
	require.Len(t, open, 1)
	require.Equal(t, KindEnd, open[0].Kind)
	require.EqualValues(t, 11, open[0].Sequence)
}

// Of a register that announces faster than it is answered one announcement is answered at a time; others are answered meanwhile.
func TestOneAnswerAtATime(t *testing.T) {
	o := newOffice(t)
	announcement := []byte(`{"epoch":1,"sequence":0}`)
	require.True(t, o.beginAnswer(till1))
	_, err := o.acknowledge(t.Context(), till1, announcement)
	require.ErrorContains(t, err, "is being answered")
	_, err = o.acknowledge(t.Context(), till2, announcement)
	require.NoError(t, err)
	o.endAnswer(till1)
	for range 2 {
		_, err = o.acknowledge(t.Context(), till1, announcement)
		require.NoError(t, err)
	}
}
