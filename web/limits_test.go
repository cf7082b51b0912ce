package web

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/stretchr/testify/require"

	"github.com/posnode/posnode/events"
	"github.com/posnode/posnode/hq"
	"github.com/posnode/posnode/ledger"
)

// shiftsOffline lets the store close its shifts while head office cannot be reached.
func (s *shop) shiftsOffline() {
	store := strings.Replace(strings.SplitN(shopRecords, "\n", 2)[0], `"digits":2,`, `"digits":2,"profile":{"shift_operations_offline":true},`, 1)
	report, err := s.Reference().Import(s.t.Context(), strings.NewReader(store), time.Now(), false)
	require.NoError(s.t, err, "%v", report.Problems)
}

// TestTokenAfterLogOff shows that a token ends with its sign-on, in every way that a sign-on can
// end. It stays invalid when the same member of staff signs on again.
func TestTokenAfterLogOff(t *testing.T) {
	s := openShop(t)
	s.shiftsOffline()
	signOn := func() string { return s.must(700, `{"staff":"7","pin":"1"}`).Token }
	old := signOn()
	for _, leave := range []struct {
		operation int
		body      string
	}{
		{701, ``},
		{1054, ``}, // the shift is suspended
		{1053, ``}, // it is blind-closed
		{1055, ``}, // it is closed
	} {
		s.token = old
		if leave.operation != 701 {
			s.must(1050, ``)
		}
		s.must(leave.operation, leave.body)
		s.token = signOn()
		s.must(108, `{"text":"tea"}`)
		fresh := s.token
		s.token = old
		r := s.do(108, newKey(), `{"text":"tea"}`)
		require.Equal(t, 401, r.Status, "after operation %d the token before it works again", leave.operation)
		require.Equal(t, "not_signed_on", r.Code)
		old = fresh
	}
}

// TestSessionsAreBounded shows that a new session removes the oldest one when there are too many.
func TestSessionsAreBounded(t *testing.T) {
	var s sessions
	var tokens []string
	for i := range 3 * maxSessions {
		tokens = append(tokens, s.begin(events.StaffID(strconv.Itoa(i))))
		require.LessOrEqual(t, len(s.staff), maxSessions)
		require.LessOrEqual(t, len(s.order), maxSessions)
	}
	for i, token := range tokens {
		want := events.StaffID("")
		if i >= 2*maxSessions {
			want = events.StaffID(strconv.Itoa(i))
		}
		require.Equal(t, want, s.of(token), "session %d", i)
	}
	s.end()
	require.Empty(t, s.of(tokens[len(tokens)-1]))
}

// endless is a body without an end. It counts the bytes that are read.
type endless struct{ read int }

func (e *endless) Read(b []byte) (int, error) {
	if e.read > 64*ledger.MaxInput {
		return 0, fmt.Errorf("%d bytes were read of a body that is too large", e.read)
	}
	for i := range b {
		b[i] = ' '
	}
	e.read += len(b)
	return len(b), nil
}

// TestBodyIsBounded shows that the API reads no more of a body than an operation may have.
func TestBodyIsBounded(t *testing.T) {
	s := newShop(t)
	body := &endless{}
	req := httptest.NewRequest("POST", "http://localhost:8085/v1/operations/100", body)
	req.Header.Set("Authorization", "Bearer "+s.token)
	req.Header.Set("Idempotency-Key", newKey())
	req.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	s.api.ServeHTTP(w, req)
	require.Equal(t, http.StatusRequestEntityTooLarge, w.Code, "%s", w.Body)
	var p Problem
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &p))
	require.Equal(t, "input_too_large", p.Code)
	require.LessOrEqual(t, body.read, 4*ledger.MaxInput)
}

// TestCopiesOfAZ shows that each reprint of a Z report has the next copy number, above the text of
// the original.
func TestCopiesOfAZ(t *testing.T) {
	s := newShop(t)
	s.shiftsOffline()
	s.sell()
	z := s.must(1055, ``).Print
	require.Contains(t, z, "Z REPORT 1")
	s.token = s.must(700, `{"staff":"7","pin":"1"}`).Token
	for copy := range 3 {
		require.Equal(t, fmt.Sprintf("*** COPY %d ***\n", copy+1)+z, s.must(1057, ``).Print)
	}
}

// oneRegister collects the metrics of one register at head office.
type oneRegister struct {
	status hq.RegisterStatus
	now    time.Time
}

func (o oneRegister) Describe(chan<- *prometheus.Desc)   {}
func (o oneRegister) Collect(c chan<- prometheus.Metric) { collectRegister(c, o.status, o.now) }

// TestMetricsOfARegister shows that missing entries are counted, and that ages are measured with
// head office's clock.
func TestMetricsOfARegister(t *testing.T) {
	now := time.Date(2026, 3, 3, 12, 0, 0, 0, time.UTC)
	registry := prometheus.NewRegistry()
	registry.MustRegister(oneRegister{hq.RegisterStatus{
		Register: "s001-r01", Announced: 40, Received: 30, Verified: 9, Open: 2, Silent: true, Frozen: &events.Freeze{}, Mode: events.Offline, Version: "1",
		Missing:         []events.Range{{Epoch: 1, From: 10, To: 19}, {Epoch: 2, From: 7, To: 7}, {Epoch: 2, From: 9, To: 12}},
		UnverifiedSince: now.Add(-time.Minute), LastContact: now.Add(-2 * time.Minute), Reference: now.Add(-time.Hour),
		ClockDifference: -3 * time.Second, Certified: "2026-03-02",
	}, now})
	server := httptest.NewServer(http.StripPrefix("/metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{})))
	defer server.Close()
	got := scrape(t, server.URL, "")
	for name, want := range map[string]float64{
		"announced_entries": 40, "received_entries": 30, "verified_entries": 9, "missing_entries": 10 + 1 + 4, "open_findings": 2, "silent": 1, "frozen": 1, "online": 0,
		"unverified_age_seconds": 60, "last_contact_age_seconds": 120, "reference_age_seconds": 3600, "clock_difference_seconds": -3,
		"certified_timestamp_seconds": float64(time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC).Unix()),
	} {
		require.Equal(t, want, got["posnode_hq_register_"+name+`{register="s001-r01"}`], name)
	}
}
