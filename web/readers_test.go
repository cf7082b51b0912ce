package web

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/posnode/posnode/hq"
)

// TestReadingNeedsASession shows that data that names people needs the session of the staff member
// signed on. The entries of others need the permission to show the journal. With --local-readers
// every program on the machine may read. Open data names nobody.
func TestReadingNeedsASession(t *testing.T) {
	s := newShop(t)
	receipt := s.sell()
	s.must(1211, `{"amounts":[{"tender":"cash","amount":100}]}`)
	paths := s.readers("s001-r01-1-1", receipt)
	all := func(status int, code string) {
		t.Helper()
		for _, path := range paths {
			w := s.send("GET", path, "")
			require.Equal(t, status, w.Code, "%s: %s", path, w.Body)
			if code != "" {
				require.Contains(t, w.Body.String(), `"code":"`+code+`"`, path)
			}
		}
	}
	all(200, "")
	open := []string{"/v1/status", "/v1/operations", "/healthz", "/readyz", "/metrics", "/openapi.json", "/connection"}
	require.Contains(t, string(s.get("/v1/status")), "Sam", "a session sees who is signed on")
	manager := s.token
	for _, wrong := range []string{"", "nobody"} {
		s.token = wrong
		all(401, "not_signed_on")
		for _, path := range open {
			require.NotContains(t, string(s.get(path)), "Sam", path)
			require.NotContains(t, string(s.get(path)), `"staff":"7"`, path)
		}
	}

	s.api = Register(s.Register, slog.New(slog.DiscardHandler), true)
	all(200, "")
	require.Contains(t, string(s.get("/v1/status")), "Sam")
	s.api = Register(s.Register, slog.New(slog.DiscardHandler), false)

	// The sessions of the handler before are over. The manager signs on again and signs off.
	s.token = manager
	all(401, "not_signed_on")
	s.token = s.must(700, `{"staff":"7","pin":"1"}`).Token
	s.must(703, ``)
	all(401, "register_locked")
	s.token = s.must(700, `{"staff":"7","pin":"1"}`).Token
	s.must(701, ``)
	all(401, "not_signed_on")

	// A cashier sees their own sales and their open transaction, and nothing of others.
	s.token = s.must(700, `{"staff":"8","pin":"2"}`).Token
	own := s.sell()
	s.get("/v1/receipts/" + strings.ReplaceAll(own, "/", "%2F"))
	s.get("/v1/receipts/" + strings.ReplaceAll(own, "/", "%2F") + "/qr.png")
	s.get("/v1/transactions/s001-r01-1-2")
	s.get("/v1/transaction")
	for _, path := range paths {
		if path != "/v1/transaction" {
			require.Equal(t, 403, s.send("GET", path, "").Code, path)
		}
	}
}

// TestNumbersAreNotTried shows that tries without end leave one entry, and that no number is looked
// up meanwhile. The register sells on.
func TestNumbersAreNotTried(t *testing.T) {
	s := newShop(t)
	before := s.View().Head.Sequence
	codes := map[string]int{}
	for i := range 500 {
		r := s.do([]int{520, 512, 519, 117}[i%4], newKey(), fmt.Sprintf(`{"card":"%d"%s}`, 600000+i, []string{``, `,"amount":100`, `,"amount":100`, ``}[i%4]))
		require.NotEqual(t, 200, r.Status)
		codes[r.Code]++
	}
	require.Equal(t, 496, codes["too_many_misses"], "%v", codes)
	require.Equal(t, before+1, s.View().Head.Sequence)
	require.Contains(t, string(s.bodies()[before]), `"type":"staff.numbers_guessed.v1"`)
	require.NotContains(t, string(s.bodies()[before]), "60000", "the numbers are not kept")
	s.sell()
}

// TestEventsAreForASession shows that a client without a session gets only the status. With a
// session it gets the entries that its member of staff may read.
func TestEventsAreForASession(t *testing.T) {
	s, beat := newShop(t), eventBeat
	eventBeat = 20 * time.Millisecond
	server := httptest.NewServer(s.api)
	t.Cleanup(func() { server.Close(); eventBeat = beat })
	stranger, manager := s.follow(server.URL, ""), s.follow(server.URL, s.token)
	event, _, data := stranger()
	require.Equal(t, "status", event)
	require.NotContains(t, data, "Sam")
	event, _, data = manager()
	require.Equal(t, "status", event)
	require.Contains(t, data, "Sam")
	s.must(100, `{"product":"TEA"}`)
	for event != "entry" {
		event, _, data = manager()
	}
	require.Contains(t, data, "sale.line_added.v1")
	// The client without a session gets the new status, and not the sale.
	head := fmt.Sprintf(`"sequence":%d`, s.View().Head.Sequence)
	for told := false; !told; told = strings.Contains(data, head) {
		event, _, data = stranger()
		require.Equal(t, "status", event)
		require.NotContains(t, data, "Sam")
	}
}

// TestEventStreamsAreBounded shows the bounds in all and for one session. A client that leaves
// makes room.
func TestEventStreamsAreBounded(t *testing.T) {
	var s streams
	var leave []func()
	for i := range maxStreams {
		l, ok := s.enter(fmt.Sprint(i % (maxStreams / maxStreamsPerSession)))
		require.True(t, ok)
		leave = append(leave, l)
	}
	_, ok := s.enter("another")
	require.False(t, ok, "the register has enough")
	leave[0]()
	l, ok := s.enter("another")
	require.True(t, ok)
	l()
	leave[1]()
	_, ok = s.enter("2")
	require.False(t, ok, "the session has enough")

	shop := newShop(t)
	server := httptest.NewServer(shop.api)
	t.Cleanup(server.Close)
	for range maxStreamsPerSession {
		shop.follow(server.URL, shop.token)
	}
	w := shop.send("GET", "/v1/events", "")
	require.Equal(t, 429, w.Code)
	require.Contains(t, w.Body.String(), `"code":"too_many_streams"`)
	shop.follow(server.URL, "")
}

// TestSlowBodies shows that a slow body does not hold a connection, with or without a route that
// reads it.
func TestSlowBodies(t *testing.T) {
	patience := bodyPatience
	bodyPatience = 50 * time.Millisecond
	s := newShop(t)
	server := httptest.NewServer(s.api)
	t.Cleanup(func() { server.Close(); bodyPatience = patience })
	for _, path := range []string{"/v1/operations/100", "/v1/nothing", "/v1/operations/99999", "/healthz", "/v1/status"} {
		conn, err := net.Dial("tcp", server.Listener.Addr().String())
		require.NoError(t, err)
		_, err = fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nIdempotency-Key: %s\r\nContent-Length: 1000\r\n\r\n{", path, newKey())
		require.NoError(t, err)
		require.NoError(t, conn.SetReadDeadline(time.Now().Add(time.Minute)))
		_, err = io.ReadAll(conn)
		require.NoError(t, err, "%s: the connection is not ended", path)
		require.NoError(t, conn.Close())
	}
}

// TestHeadOfficeRefusesNamesThatAreNone shows that every path refuses a bad register name as a
// mistake of the client.
func TestHeadOfficeRefusesNamesThatAreNone(t *testing.T) {
	log := slog.New(slog.DiscardHandler)
	h, err := hq.Open(t.Context(), hq.Config{Dir: t.TempDir(), Clock: time.Now, Logger: log})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, h.Close()) })
	s := &shop{t: t, api: HQ(h, "secret", log), token: "secret"}
	for _, c := range [][]string{
		{"POST", "/v1/registers/%s/code", `{"valid_seconds":60}`}, {"POST", "/v1/registers/%s/revoke", `{"why":"stolen"}`},
		{"POST", "/v1/registers/%s/expect", ``}, {"GET", "/v1/certificates/%s/2026-03-02", ``},
	} {
		for _, name := range []string{"nobody", "S001-R01", "s001-", strings.Repeat("x", 33), "a.b-c", "%00"} {
			w := s.send(c[0], fmt.Sprintf(c[1], name), c[2], "Content-Type", "application/json")
			require.Equal(t, 422, w.Code, "%v %s: %s", c, name, w.Body)
			var p Problem
			require.NoError(t, json.Unmarshal(w.Body.Bytes(), &p))
			require.Equal(t, "invalid_parameter", p.Code)
			require.Contains(t, p.Detail, "register")
		}
	}
}
