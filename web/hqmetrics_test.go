package web

import (
	"bufio"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// scrape reads the metrics of a head office over HTTP. It returns them by name and labels.
func scrape(t *testing.T, url, token string) map[string]float64 {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+"/metrics", nil)
	require.NoError(t, err)
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	require.Equal(t, http.StatusOK, resp.StatusCode)
	found := map[string]float64{}
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		if name, value, ok := strings.Cut(lines.Text(), " "); ok && name != "#" {
			found[name], err = strconv.ParseFloat(value, 64)
			require.NoError(t, err)
		}
	}
	require.NoError(t, lines.Err())
	return found
}

func TestHeadOfficeMetrics(t *testing.T) {
	var ahead atomic.Int64
	s, office := officeAndShop(t, func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) })
	server := httptest.NewServer(HQ(office, "secret", slog.New(slog.DiscardHandler)))
	defer server.Close()
	resp, err := http.Get(server.URL + "/metrics")
	require.NoError(t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.Equal(t, http.StatusUnauthorized, resp.StatusCode)
	require.Contains(t, string(body), `"code":"not_signed_on"`)

	s.sell()
	s.must(100, `{"product":"TEA"}`)
	of := func(name string) string { return "posnode_hq_register_" + name + `{register="s001-r01"}` }
	var m map[string]float64
	reaches := func(name string, value float64) {
		t.Helper()
		require.Eventually(t, func() bool { m = scrape(t, server.URL, "secret"); return m[name] == value }, time.Minute, 50*time.Millisecond, "%s: %v", name, &m)
	}
	all := float64(s.View().Head.Sequence)
	reaches(of("announced_entries"), all)
	reaches(of("verified_entries"), all)
	for name, want := range map[string]float64{
		of("received_entries"): all, of("missing_entries"): 0, of("unverified_age_seconds"): 0, of("silent"): 0, of("online"): 1, of("frozen"): 0, of("open_findings"): 0,
		"posnode_hq_answering": 1, "posnode_hq_exceptions_total": 0, "posnode_hq_quarantined_journals": 0,
		`posnode_hq_open_findings{kind="gap"}`: 0, `posnode_hq_open_findings{kind="clock"}`: 0,
	} {
		require.Contains(t, m, name)
		require.Equal(t, want, m[name], name)
	}
	require.Less(t, m[of("last_contact_age_seconds")], 15.0)
	require.InDelta(t, 0, m[of("clock_difference_seconds")], 60)
	require.NotContains(t, m, of("certified_timestamp_seconds"), "no day is certified")

	// Head office's clock is two days ahead, which is a finding. Then the register no longer makes
	// contact.
	ahead.Store(int64(48 * time.Hour))
	reaches(`posnode_hq_open_findings{kind="clock"}`, 1)
	reaches(of("open_findings"), 1)
	require.InDelta(t, -48*3600, m[of("clock_difference_seconds")], 60)
	require.NoError(t, s.SetLink(false))
	require.Eventually(t, func() bool { return !s.Linked() }, time.Minute, 10*time.Millisecond)
	ahead.Add(int64(time.Hour))
	reaches(of("silent"), 1)
	require.GreaterOrEqual(t, m[of("last_contact_age_seconds")], 15.0)
}
