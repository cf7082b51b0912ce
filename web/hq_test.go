package web_test

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/posnode/posnode/hq"
	"github.com/posnode/posnode/web"
)

// Nobody without the token learns or changes anything at head office.
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
