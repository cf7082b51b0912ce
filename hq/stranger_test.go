package hq_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/stretchr/testify/require"

	"github.com/posnode/posnode/events"
	"github.com/posnode/posnode/internal/checkpoint"
	"github.com/posnode/posnode/ledger"
	"github.com/posnode/posnode/projections"
	"github.com/posnode/posnode/register"
)

// stranger is a server that takes every register's link, and answers what it asks as it likes.
type stranger struct {
	t    *testing.T
	leaf string
	sign func(register, service string, question, answer []byte) []byte
}

func newStranger(t *testing.T, sign func(register, service string, question, answer []byte) []byte) *stranger {
	s, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: server.RANDOM_PORT, NoSigs: true, NoLog: true, LeafNode: server.LeafNodeOpts{Host: "127.0.0.1", Port: server.RANDOM_PORT},
	})
	require.NoError(t, err)
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	require.True(t, s.ReadyForConnections(patience))
	v, err := s.Varz(nil)
	require.NoError(t, err)
	conn, err := net.Dial("tcp", s.Addr().String())
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	_, err = fmt.Fprint(conn, "CONNECT {\"verbose\":false}\r\nSUB up.*.ask.* 1\r\nPING\r\n")
	require.NoError(t, err)
	evil := &stranger{t, fmt.Sprintf("nats-leaf://127.0.0.1:%d", v.LeafNode.Port), sign}
	ready := make(chan struct{})
	go evil.serve(conn, ready)
	<-ready
	return evil
}

// serve speaks the protocol of NATS, as text.
func (s *stranger) serve(conn net.Conn, ready chan struct{}) {
	in := bufio.NewReader(conn)
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		fields := strings.Fields(line)
		switch {
		case len(fields) == 0:
		case fields[0] == "PONG":
			close(ready)
		case fields[0] == "PING":
			fmt.Fprint(conn, "PONG\r\n")
		case fields[0] == "MSG" && len(fields) == 5: // MSG subject sid reply size
			var size int
			_, _ = fmt.Sscan(fields[4], &size)
			question := make([]byte, size+2)
			for n := 0; n < len(question); {
				m, err := in.Read(question[n:])
				if err != nil {
					return
				}
				n += m
			}
			question = question[:size]
			names := strings.Split(fields[1], ".")
			answer := s.sign(names[1], names[3], question, s.answer(names[3], question))
			fmt.Fprintf(conn, "PUB %s %d\r\n%s\r\n", fields[3], len(answer), answer)
		}
	}
}

// answer sells at a cent, and knows a manager whom nobody hired.
func (s *stranger) answer(service string, question []byte) []byte {
	var q projections.Question
	_ = json.Unmarshal(question, &q)
	reply := projections.Reply{Time: time.Now()}
	for _, query := range q.Queries {
		result := projections.Result{Query: query}
		switch query.Kind {
		case "staff":
			result.Record = json.RawMessage(fmt.Sprintf(`{"staff":%q,"name":"Nobody","pin":%q,"groups":[{"manager":true}]}`, query.Key, samPIN()))
		case "product":
			result.Record = json.RawMessage(`{"product":"TEA","description":"Tea","price":"0.01"}`)
		}
		reply.Results = append(reply.Results, result)
	}
	var out any
	switch service {
	case projections.FindService:
		out = reply
	case projections.HelloService:
		out = projections.Greeting{Time: time.Now(), Profile: "1"}
	case "reference":
		out = projections.Page{Stream: "evil", Position: 1, Lines: []projections.Placed{{Sequence: 1, Line: projections.Line{
			Kind: "product", Key: "TEA", Record: json.RawMessage(`{"product":"TEA","description":"Tea","price":"0.01"}`),
		}}}, Commit: projections.Commit{Committed: map[string]time.Time{"product": time.Now()}}}
	case "announce":
		out = events.Acknowledgement{Key: "evil+00000000+AA", Frozen: &events.Freeze{Kind: events.FrozenCloned, Why: "because"}}
	default:
		return []byte(`{"answer":{}}`)
	}
	raw, _ := json.Marshal(out)
	return raw
}

// In place of head office someone else answers: no manager signs on whom nobody hired, nothing is sold at a
// cent, no reference data is taken in and nothing freezes. The register works offline, and says why.
func TestStrangerInPlaceOfHeadOffice(t *testing.T) {
	private, _, err := checkpoint.GenerateKey("hq")
	require.NoError(t, err)
	own, err := checkpoint.NewSigner(private)
	require.NoError(t, err)
	for name, sign := range map[string]func(asker, service string, question, answer []byte) []byte{
		"without a signature": func(_, _ string, _, answer []byte) []byte { return answer },
		"with a key of its own": func(asker, service string, question, answer []byte) []byte {
			r, _ := events.ParseRegister(asker)
			signature, _ := own.SignText(events.AnswerText(r, service, question, answer))
			raw, _ := events.SignedAnswer{Signature: signature, Answer: answer}.Encode()
			return raw
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			evil := newStranger(t, sign)
			o := openOffice(t, shopData(patience, false))
			name := events.Register{Store: "s001", ID: "r01"}
			// The register has never reached head office: it knows the key by its credentials.
			till := openTill(t, name, evil.leaf, creds(t, o.dir, name), shopData(patience, false))
			require.Eventually(t, till.Linked, patience, 5*time.Millisecond)
			require.Equal(t, "sign_on_refused", till.refused(700, `{"staff":"666","pin":"1"}`))
			till.mode(events.Offline)
			till.begin()
			till.do(100, `{"product":"TEA"}`)
			till.pass(time.Hour) // the next attempt to connect is due, and does not succeed
			require.EqualValues(t, 255, till.do(206, ``).Transaction.Total)
			till.do(100, `{"product":"TEA"}`)
			till.mode(events.Offline)
			require.EqualValues(t, 255, till.do(206, ``).Transaction.Total)
			require.Nil(t, till.Damage())
			s, err := till.Status(t.Context())
			require.NoError(t, err)
			require.Equal(t, "answer_untrusted", s.HQ.Outcome)
			require.Contains(t, fmt.Sprint(s.Warnings), "an answer came that head office did not sign")
			require.Empty(t, s.Feed.Stream)

			// Back at head office everything is as before.
			require.NoError(t, till.Close())
			till.config.HQ = o.LeafURL()
			till.open()
			require.Eventually(t, till.Linked, patience, 5*time.Millisecond)
			require.Eventually(t, func() bool {
				till.pass(time.Hour)
				till.do(100, `{"product":"TEA"}`)
				till.do(500, ``)
				return till.View().Mode == events.Online
			}, patience, 20*time.Millisecond)
			s, err = till.Status(t.Context())
			require.NoError(t, err)
			require.NotContains(t, fmt.Sprint(s.Warnings), "did not sign")

			// Online, and with the stranger again.
			require.NoError(t, till.Close())
			till.config.HQ = evil.leaf
			till.open()
			require.Equal(t, events.Offline, till.do(100, `{"product":"TEA"}`).Mode)
			require.Equal(t, "answer_untrusted", till.cause())
			require.EqualValues(t, 255, till.do(206, ``).Transaction.Total)
		})
	}
}

// An activation is answered by the head office that made the code, and by nobody else.
func TestStrangerActivatesNothing(t *testing.T) {
	evil := newStranger(t, func(_, _ string, _, answer []byte) []byte { return answer })
	o := openOffice(t, shopData(patience, false))
	name := events.Register{Store: "s001", ID: "r01"}
	code, err := o.NewCode(t.Context(), name, time.Hour)
	require.NoError(t, err)
	till := openTill(t, name, evil.leaf, "", shopData(patience, false), func(c *register.Config) { c.Bootstrap = written(t, code.Bootstrap) })
	require.Eventually(t, till.Linked, patience, 5*time.Millisecond)
	params := fmt.Sprintf(`{"code":%q}`, code.Code)
	_, err = till.try(707, params)
	var refusal *ledger.Refusal
	require.ErrorAs(t, err, &refusal)
	require.Equal(t, "realtime_service_unavailable", refusal.Code)
	require.Contains(t, refusal.Why, "head office did not sign")
	require.NoError(t, till.Close())
	till.config.HQ = o.LeafURL()
	till.open()
	require.Eventually(t, till.Linked, patience, 5*time.Millisecond)
	till.do(707, params)
}

// written is a file with a content.
func written(t *testing.T, content string) string {
	path := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
	return path
}

// At the first sign-on after a start the register finds head office only while it decides: the
// PIN is checked by the record on which it decides, and not by its own copy.
func TestFirstSignOnIsJudgedByOneSource(t *testing.T) {
	s := newScripted(t, true)
	till := s.till(t, patience).begin()
	changed := register.HashPIN("2")
	s.answer(&s.find, func(_ context.Context, _ events.Register, question []byte) ([]byte, error) {
		var q projections.Question
		if err := json.Unmarshal(question, &q); err != nil {
			return nil, err
		}
		var reply projections.Reply
		for _, query := range q.Queries {
			reply.Results = append(reply.Results, projections.Result{Query: query, NotKept: query.Kind != "staff",
				Record: json.RawMessage(fmt.Sprintf(`{"staff":%q,"name":"Sam","pin":%q,"groups":[{"manager":true}]}`, query.Key, changed))})
		}
		return json.Marshal(reply)
	})
	for _, first := range []struct{ pin, refused string }{{"1", "sign_on_refused"}, {"2", ""}} {
		till.do(701, ``)
		till.linked(false)
		require.Eventually(t, func() bool { return till.View().Mode == events.Offline }, patience, 5*time.Millisecond)
		require.NoError(t, till.Close())
		till.open()
		require.Eventually(t, till.Linked, patience, 5*time.Millisecond)
		params := fmt.Sprintf(`{"staff":"7","pin":%q}`, first.pin)
		if first.refused != "" {
			require.Equal(t, first.refused, till.refused(700, params), "the PIN was changed at head office")
			till.do(700, `{"staff":"7","pin":"2"}`)
		} else {
			till.do(700, params)
		}
		till.mode(events.Online)
	}
}
