package web_test

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/posnode/posnode/hq"
	"github.com/posnode/posnode/web"
)

// TestHeadOfficeNeedsItsToken shows that nobody reads or changes anything at head office without
// the token.
func TestHeadOfficeNeedsItsToken(t *testing.T) {
	log := slog.New(slog.DiscardHandler)
	h, err := hq.Open(t.Context(), hq.Config{Dir: t.TempDir(), Clock: time.Now, Logger: log})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, h.Close()) })
	api := web.HQ(h, "secret", log)
	get := func(path, token string) *httptest.ResponseRecorder {
		req := httptest.NewRequest(http.MethodGet, "http://localhost"+path, nil)
		if token != "" {
			req.Header.Set("Authorization", "Bearer "+token)
		}
		w := httptest.NewRecorder()
		api.ServeHTTP(w, req)
		return w
	}
	for _, path := range []string{"/v1/journals", "/v1/findings", "/v1/days", "/v1/registers", "/v1/exceptions"} {
		for _, wrong := range []string{"", "wrong"} {
			w := get(path, wrong)
			require.Equal(t, http.StatusUnauthorized, w.Code)
			require.Equal(t, "application/problem+json", w.Header().Get("Content-Type"))
			require.Contains(t, w.Body.String(), `"code":"not_signed_on"`)
		}
		w := get(path, "secret")
		require.Equal(t, http.StatusOK, w.Code)
		require.JSONEq(t, "[]", w.Body.String())
	}
	require.Equal(t, http.StatusNotFound, get("/v1/nothing", "secret").Code)
}

// TestOfficePage shows that the page shows nothing without a sign-on, and that it escapes all text.
func TestOfficePage(t *testing.T) {
	log := slog.New(slog.DiscardHandler)
	h, err := hq.Open(t.Context(), hq.Config{Dir: t.TempDir(), Clock: time.Now, Logger: log})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, h.Close()) })
	api := web.HQ(h, "secret", log)
	page := func(method, path, body, cookie string) *httptest.ResponseRecorder {
		req := httptest.NewRequest(method, "http://localhost"+path, strings.NewReader(body))
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		if cookie != "" {
			req.Header.Set("Cookie", cookie)
		}
		w := httptest.NewRecorder()
		api.ServeHTTP(w, req)
		return w
	}
	w := page(http.MethodGet, "/", "", "")
	require.Equal(t, http.StatusUnauthorized, w.Code)
	require.Contains(t, w.Body.String(), "Sign on")
	require.NotContains(t, w.Body.String(), "Registers")
	w = page(http.MethodPost, "/session", "token="+strings.Repeat("x", 1<<20), "")
	require.Equal(t, http.StatusUnauthorized, w.Code)
	w = page(http.MethodPost, "/session", "token=secret", "")
	require.Equal(t, http.StatusSeeOther, w.Code)
	cookie := w.Result().Cookies()[0]
	require.True(t, cookie.HttpOnly)
	w = page(http.MethodGet, "/", "", cookie.Name+"="+cookie.Value)
	require.Equal(t, http.StatusOK, w.Code)
	require.Contains(t, w.Body.String(), "<h1>Registers</h1>")
	require.Contains(t, w.Header().Get("Content-Security-Policy"), "default-src 'self'")
}
