package web

import (
	"bufio"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/posnode/posnode/events"
	"github.com/posnode/posnode/hq"
	"github.com/posnode/posnode/register"
)

// "The status header of Retail Modern POS indicates the current connection status." And: "The Connection status
// page in Retail Modern POS shows the status of the last attempt to synchronize with the offline database."
func TestConnectionPage(t *testing.T) {
	s := newShop(t)
	page := string(s.get("/connection"))
	header := page[strings.Index(page, "<header"):strings.Index(page, "</header>")]
	require.Contains(t, header, `<span class="register">s001-r01</span>`)
	require.Contains(t, header, `<span id="mode" class="mode offline" role="status">offline</span>`)
	require.Contains(t, page, "Last attempt to synchronize</dt><dd>none since the start: never</dd>")
	require.Contains(t, page, "none: this register stands alone")
	require.Contains(t, page, "<tr><td>product</td><td>3</td><td>")
	require.NotContains(t, page, `id="switch"`, "there is nothing to connect to")
	for _, path := range []string{"/assets/page.css", "/assets/connection.js"} {
		require.Contains(t, page, `"`+path+`"`)
		require.NotEmpty(t, s.get(path))
	}
	for _, path := range []string{"/assets/nothing.js", "/assets/..%2fpages%2fconnection.html"} {
		w := httptest.NewRecorder()
		s.api.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "http://localhost"+path, nil))
		require.Equal(t, http.StatusNotFound, w.Code, path)
	}
}

// TestConnectionPageEscapes shows that the page escapes text from elsewhere.
func TestConnectionPageEscapes(t *testing.T) {
	var out strings.Builder
	status := register.Status{Warnings: []string{"<script>alert(1)</script>"}}
	status.Mode, status.HQ.Configured, status.Profile.ManualSwitch = events.Online, true, true
	status.Connection.Cause, status.Connection.Detail = "retail_server_error", "<b>gone</b>"
	require.NoError(t, pages.ExecuteTemplate(&out, "connection.html", connection{Status: status}))
	require.NotContains(t, out.String(), "<script>alert")
	require.NotContains(t, out.String(), "<b>")
	require.Contains(t, out.String(), `<button id="switch" type="button">Disconnect</button>`)
}

// TestConnectionPageShowsWhatHeadOfficeSays shows that the page has head office's mark and
// findings. It does not call a sound journal damaged if its epoch is over.
func TestConnectionPageShowsWhatHeadOfficeSays(t *testing.T) {
	status := register.Status{}
	status.Head.Sequence, status.HQ.Configured, status.HQ.Marked = 42, true, 40
	status.HQ.Contact = time.Date(2026, 3, 2, 9, 15, 0, 0, time.UTC)
	status.HQ.Findings = []string{"gap at 1/7: want entry 7, got entry 8"}
	page := func(kind string) string {
		status.Damage = &events.CorruptError{Sequence: 43, Kind: kind, Got: "head office holds 50 entries, and here are 42"}
		w := httptest.NewRecorder()
		require.NoError(t, writePage(w, http.StatusOK, "connection.html", connection{status, register.Frozen(status.Damage)}))
		return w.Body.String()
	}
	frozen := page(events.FrozenRolledBack)
	require.Contains(t, frozen, "40 of 42 entries, by its word of 2026-03-02 09:15:00 UTC")
	require.Contains(t, frozen, "gap at 1/7")
	require.Contains(t, frozen, "Head office knows another history of this register, so that it sells no more: head office holds 50 entries, and here are 42. Activate it anew")
	require.NotContains(t, frozen, "is damaged")
	require.Contains(t, page("hash"), "The journal is damaged at entry 43: this register sells no more.")
}

// TestOfficePageWritesMoney shows that the page writes amounts with the digits of their currency.
// The API has them in minor units.
func TestOfficePageWritesMoney(t *testing.T) {
	o := office{Days: []hq.Day{
		{Register: "s001-r01", Date: "2026-03-02", Currency: "GBP", Digits: 2, Concluded: 4, Sales: 123405, Returns: -2518, Tax: 7},
		{Register: "s002-r01", Date: "2026-03-02", Currency: "JPY", Concluded: 1, Sales: 1200},
		{Register: "s003-r01", Date: "2026-03-02", Currency: "KWD", Digits: 3, Concluded: 1, Sales: 1200},
	}}
	var out strings.Builder
	require.NoError(t, pages.ExecuteTemplate(&out, "office.html", o))
	number := func(values ...string) (row string) {
		for _, v := range values {
			row += `<td class="number">` + v + `</td>`
		}
		return row
	}
	for currency, row := range map[string]string{
		"GBP": number("4", "1234.05", "-25.18", "0.07"), "JPY": number("1", "1200", "0", "0"), "KWD": number("1", "1.200", "0.000", "0.000"),
	} {
		require.Contains(t, out.String(), row+"<td>"+currency+"</td>")
	}
	raw, err := json.Marshal(o.Days[0])
	require.NoError(t, err)
	require.JSONEq(t, `{"register":"s001-r01","date":"2026-03-02","currency":"GBP","concluded":4,"sales":123405,"returns":-2518,"tax":7}`, string(raw))
}

// TestStatus shows that GET /v1/status has everything for a person or a monitor, also for a
// register without head office.
func TestStatus(t *testing.T) {
	s := newShop(t)
	var status map[string]any
	require.NoError(t, json.Unmarshal(s.get("/v1/status"), &status))
	for _, field := range []string{"register", "head", "mode", "connection", "hq", "unsent", "offline_database", "reference", "reference_feed", "synchronised", "profile", "warnings", "time", "version"} {
		require.Contains(t, status, field)
	}
	require.Equal(t, "offline", status["mode"])
	require.EqualValues(t, 2000, status["profile"].(map[string]any)["timeout_ms"])
	require.Empty(t, status["warnings"])
}

// TestPlaintextLinkIsToldOf shows that a link without TLS is a warning in the status and on the
// page. This holds for the register and for head office.
func TestPlaintextLinkIsToldOf(t *testing.T) {
	log := slog.New(slog.DiscardHandler)
	dir := t.TempDir()
	office, err := hq.Open(t.Context(), hq.Config{Dir: dir, Listen: "0.0.0.0:0", ListenLeaf: "0.0.0.0:0", AllowPlaintext: true, Clock: time.Now, Logger: log})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, office.Close()) })
	get := func(h http.Handler, path string) string {
		req := httptest.NewRequest(http.MethodGet, "http://localhost"+path, nil)
		req.Header.Set("Authorization", "Bearer secret")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, req)
		require.Equal(t, http.StatusOK, w.Code)
		return w.Body.String()
	}
	api := HQ(office, "secret", log)
	require.Equal(t, 2, strings.Count(get(api, "/"), "is not encrypted"))
	require.Equal(t, 2, strings.Count(get(api, "/v1/status"), "is not encrypted"))

	name := events.Register{Store: "s001", ID: "r01"}
	raw, err := hq.Enroll(dir, name)
	require.NoError(t, err)
	creds := filepath.Join(t.TempDir(), "creds")
	require.NoError(t, os.WriteFile(creds, raw, 0o600))
	r, err := register.Open(t.Context(), register.Config{
		Dir: t.TempDir(), Register: name, HQ: "nats-leaf://192.0.2.1:7422", AllowPlaintext: true, Creds: creds, Zone: time.UTC, Clock: time.Now, Logger: log,
	})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, r.Close()) })
	api = Register(r, log, false)
	require.Contains(t, get(api, "/connection"), "plain text: not protected")
	require.Contains(t, get(api, "/connection"), "The link to head office is not encrypted")
	require.Contains(t, get(api, "/v1/status"), `"link_protection":"plain"`)
	require.Contains(t, get(api, "/v1/status"), "The link to head office is not encrypted")
}

// linkedShop returns a shop with a register linked to a head office.
func linkedShop(t *testing.T) *shop {
	s, _ := officeAndShop(t, time.Now)
	return s
}

// officeAndShop returns a head office with the given clock, and a shop with a register linked to
// it.
func officeAndShop(t *testing.T, clock func() time.Time) (*shop, *hq.HQ) {
	log := slog.New(slog.DiscardHandler)
	dir := t.TempDir()
	office, err := hq.Open(t.Context(), hq.Config{Dir: dir, ListenLeaf: "127.0.0.1:0", Clock: clock, Logger: log})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, office.Close()) })
	name := events.Register{Store: "s001", ID: "r01"}
	raw, err := hq.Enroll(dir, name)
	require.NoError(t, err)
	creds := filepath.Join(t.TempDir(), "creds")
	require.NoError(t, os.WriteFile(creds, raw, 0o600))
	r, err := register.Open(t.Context(), register.Config{
		Dir: t.TempDir(), Register: name, HQ: office.LeafURL(), Creds: creds, Reconnect: time.Minute, Zone: time.UTC, Clock: time.Now, Logger: log,
	})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, r.Close()) })
	records := strings.Replace(fmt.Sprintf(shopRecords, register.HashPIN("1"), register.HashPIN("2"), register.HashPIN("3")), `"digits":2,`,
		`"digits":2,"profile":{"version":"v7","timeout_ms":10000,"warn_unsent_entries":1},`, 1)
	report, err := r.Reference().Import(t.Context(), strings.NewReader(records), time.Now(), false)
	require.NoError(t, err, "%v", report.Problems)
	s := &shop{Register: r, t: t, api: Register(r, log, false)}
	require.Eventually(t, r.Linked, 30*time.Second, 10*time.Millisecond)
	s.token = s.must(700, `{"staff":"7","pin":"1"}`).Token
	s.must(1050, ``)
	return s, office
}

// "You can add a button to Retail Modern POS to manually switch between online and offline modes."
// The page follows the register: online, then offline with the reason, the next attempt and the
// number of unsent entries.
func TestConnectionPageOfALinkedRegister(t *testing.T) {
	s := linkedShop(t)
	page := string(s.get("/connection"))
	require.Contains(t, page, `class="mode online" role="status">online<`)
	require.Contains(t, page, `<code>answered</code>`)
	require.Contains(t, page, `<button id="switch" type="button">Disconnect</button>`)
	require.Contains(t, page, "offline profile v7")
	require.Contains(t, page, ", on this machine</dd>")

	// The event stream sends the change by itself.
	server := httptest.NewServer(s.api)
	defer server.Close()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+"/v1/events", nil)
	require.NoError(t, err)
	stream, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer stream.Body.Close()
	told := make(chan register.Status, 100)
	go func() {
		lines := bufio.NewScanner(stream.Body)
		lines.Buffer(nil, 1<<20)
		for name := ""; lines.Scan(); {
			if event, ok := strings.CutPrefix(lines.Text(), "event: "); ok {
				name = event
			}
			if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok && name == "status" {
				var status register.Status
				if json.Unmarshal([]byte(data), &status) == nil {
					told <- status
				}
			}
		}
		close(told)
	}()
	require.Equal(t, events.Online, (<-told).Mode)
	require.NoError(t, s.SetLink(false))
	offline := <-told
	require.Equal(t, events.Offline, offline.Mode, "nobody did anything at the till")
	require.Equal(t, "link_down", offline.Connection.Cause)
	require.False(t, offline.HQ.LinkUp)
	require.Equal(t, offline.HQ.Attempted.Add(time.Minute).UTC(), offline.HQ.NextAttempt)

	s.must(100, `{"product":"TEA"}`)
	var status register.Status
	require.NoError(t, json.Unmarshal(s.get("/v1/status"), &status))
	require.NotZero(t, status.Unsent.Entries)
	require.NotZero(t, status.Unsent.Bytes)
	require.NotZero(t, status.Unsent.Oldest)
	require.Contains(t, status.Warnings[0], "Head office does not have")
	require.NotNil(t, status.HQ.ClockAhead)
	page = string(s.get("/connection"))
	require.Contains(t, page, `class="mode offline" role="status">offline<`)
	require.Contains(t, page, "<code>link_down</code> The link to head office is down.")
	require.Contains(t, page, "at the beginning of a transaction, not before")
	require.Contains(t, page, `<p class="warning">Head office does not have`)
	require.Contains(t, page, `<button id="switch" type="button">Connect</button>`)
}
