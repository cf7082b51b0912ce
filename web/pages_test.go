package web

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/posnode/posnode/events"
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

// What a page shows came from elsewhere, and is text.
func TestConnectionPageEscapes(t *testing.T) {
	var out strings.Builder
	status := register.Status{Warnings: []string{"<script>alert(1)</script>"}}
	status.Mode, status.HQ.Configured, status.Profile.ManualSwitch = events.Online, true, true
	status.Connection.Cause, status.Connection.Detail = "retail_server_error", "<b>gone</b>"
	require.NoError(t, pages.ExecuteTemplate(&out, "connection.html", status))
	require.NotContains(t, out.String(), "<script>alert")
	require.NotContains(t, out.String(), "<b>")
	require.Contains(t, out.String(), `<button id="switch" type="button">Disconnect</button>`)
}

// GET /v1/status has everything that a person or a monitor asks for, also of a register that stands alone.
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
