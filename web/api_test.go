package web

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"image/png"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/posnode/posnode/events"
	"github.com/posnode/posnode/internal/checkpoint"
	"github.com/posnode/posnode/ledger"
	"github.com/posnode/posnode/receipts"
)

var update = flag.Bool("update", false, "write generated files anew")

// TestJournalByteForByte shows that the API returns the stored bytes of an entry, and does not
// encode them again.
func TestJournalByteForByte(t *testing.T) {
	s := newShop(t)
	s.sell()
	s.must(100, `{"product":"OPEN","price":"1.50","description":"<b> & é"}`)
	stored := s.bodies()
	require.Equal(t, string(append(bytes.Join(stored, []byte("\n")), '\n')), string(s.get("/v1/journal?limit=1000", "Accept", ndjson)))
	require.Equal(t, "["+string(bytes.Join(stored, []byte(",\n")))+"]\n", string(s.get("/v1/journal?limit=1000")))

	var entries []json.RawMessage
	require.NoError(t, json.Unmarshal(s.get("/v1/journal?limit=1000"), &entries))
	chain := events.Chain{}
	for i, raw := range entries {
		e, err := events.Decode(raw)
		require.NoError(t, err)
		require.NoError(t, chain.Next(uint64(i+1), e))
	}
	require.Equal(t, s.View().Head, chain.Head)

	for query, want := range map[string]int{
		"from=3": len(stored) - 2, "limit=2": 2, "type=sale.concluded.v1": 1, "transaction=s001-r01-1-1": 3, "type=no.such_fact.v1": 0,
		"from=1000": 0, "from=3&limit=1": 1,
	} {
		var got []json.RawMessage
		require.NoError(t, json.Unmarshal(s.get("/v1/journal?"+query), &got))
		require.Len(t, got, want, query)
	}
}

// TestEveryErrorIsAProblem shows that every error is a problem of one form with a stable code.
func TestEveryErrorIsAProblem(t *testing.T) {
	s := newShop(t)
	key, plain := newKey(), []string{"Idempotency-Key", newKey(), "Content-Type", "application/json"}
	for _, c := range []struct {
		method, path, body string
		headers            []string
		status             int
		code               string
	}{
		{"POST", "/v1/operations/100", `{"product":"GHOST"}`, plain, 422, "unknown_product"},
		{"POST", "/v1/operations/100", `{`, plain, 400, "malformed_input"},
		{"POST", "/v1/operations/100", `{"product":"TEA","colour":"red"}`, plain, 422, "invalid_parameter"},
		{"POST", "/v1/operations/100", `{"product":"` + strings.Repeat("x", ledger.MaxInput) + `"}`, plain, 413, "input_too_large"},
		{"POST", "/v1/operations/100", `{"product":"` + strings.Repeat("x", 10*ledger.MaxInput) + `"}`, plain, 413, "input_too_large"},
		{"POST", "/v1/operations/100", `{}`, []string{"Content-Type", "application/json"}, 422, "invalid_parameter"},
		{"POST", "/v1/operations/100", `{}`, []string{"Idempotency-Key", "1", "Content-Type", "application/json"}, 400, "malformed_key"},
		{"POST", "/v1/operations/100", `{}`, []string{"Idempotency-Key", strings.ToLower(key), "Content-Type", "application/json"}, 400, "malformed_key"},
		{"POST", "/v1/operations/100", `product=TEA`, []string{"Idempotency-Key", key, "Content-Type", "application/x-www-form-urlencoded"}, 415, "unsupported_media_type"},
		{"POST", "/v1/operations/100", `{"product":"TEA"}`, []string{"Idempotency-Key", key}, 415, "unsupported_media_type"},
		{"POST", "/v1/operations/100", `{"product":"TEA"}`, append([]string{"Authorization", "Bearer nobody"}, plain...), 401, "not_signed_on"},
		{"POST", "/v1/operations/200", ``, plain, 409, "no_transaction"},
		{"POST", "/v1/operations/99999", `{}`, plain, 404, "unknown_operation"},
		{"POST", "/v1/operations/x", `{}`, plain, 404, "unknown_operation"},
		{"GET", "/v1/operations/100", ``, nil, 405, "method_not_allowed"},
		{"DELETE", "/v1/journal", ``, nil, 405, "method_not_allowed"},
		{"GET", "/v1/nothing", ``, nil, 404, "not_found"},
		{"GET", "/", ``, nil, 404, "not_found"},
		{"GET", "/v1/journal?limit=0", ``, nil, 422, "invalid_parameter"},
		{"GET", "/v1/journal?limit=many", ``, nil, 422, "invalid_parameter"},
		{"GET", "/v1/journal?from=-1", ``, nil, 422, "invalid_parameter"},
		{"GET", "/v1/transactions/s001-r01-1-99", ``, nil, 404, "not_found"},
		{"GET", "/v1/receipts/none", ``, nil, 404, "not_found"},
		{"GET", "/v1/receipts/none/qr.png", ``, nil, 404, "not_found"},
		{"GET", "/v1/reports/gossip", ``, nil, 404, "unknown_report"},
		{"GET", "/v1/reports/days?from=yesterday", ``, nil, 422, "invalid_parameter"},
		{"GET", "/v1/status", ``, []string{"Host", "shop.example"}, 421, "host_not_local"},
		{"GET", "/v1/status", ``, []string{"Host", "127.0.0.1.example:8085"}, 421, "host_not_local"},
		{"GET", "/v1/status", ``, []string{"Host", "10.0.0.1"}, 421, "host_not_local"},
		{"POST", "/v1/operations/100", `{"product":"TEA"}`, append([]string{"Origin", "https://shop.example"}, plain...), 403, "cross_origin"},
		{"POST", "/v1/operations/100", `{"product":"TEA"}`, append([]string{"Sec-Fetch-Site", "cross-site"}, plain...), 403, "cross_origin"},
	} {
		before := s.View().Head
		w := s.send(c.method, c.path, c.body, c.headers...)
		name := fmt.Sprintf("%s %s %.60s: %s", c.method, c.path, c.body, w.Body)
		require.Equal(t, c.status, w.Code, name)
		require.Equal(t, "application/problem+json", w.Header().Get("Content-Type"), name)
		var p Problem
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &p), name)
		require.Equal(t, c.code, p.Code, name)
		require.Equal(t, c.status, p.Status, name)
		require.NotEmpty(t, p.Title, name)
		require.NotEmpty(t, p.Detail, name)
		require.Equal(t, events.Offline, p.Mode, name)
		if strings.HasPrefix(c.path, "/v1/operations/100") && c.method == "POST" && c.code != "cross_origin" {
			require.Equal(t, 100, p.Operation, name)
		}
		require.Equal(t, before, s.View().Head, "nothing was recorded: %s", name)
	}
	for _, host := range []string{"localhost", "LOCALHOST:1", "127.0.0.1:8085", "127.1.2.3", "[::1]:8085"} {
		s.get("/v1/status", "Host", host)
	}
}

// TestReceipts shows that a receipt is printed from its entry and is always the same. Copies are
// counted.
func TestReceipts(t *testing.T) {
	s := newShop(t)
	number := s.sell()
	require.Equal(t, "s001/0001", number, "a number can hold what a path cannot")
	path := "/v1/receipts/" + strings.ReplaceAll(number, "/", "%2F")
	text := string(s.get(path, "Accept", "text/plain"))
	require.Contains(t, text, "Corner Shop")
	require.Contains(t, text, "TOTAL GBP")
	require.Equal(t, text, string(s.get("/v1/transactions/s001-r01-1-1", "Accept", "text/plain, */*;q=0.1")))

	var doc struct {
		Transaction string
		Status      string
		Document    struct{ Receipt string }
	}
	require.NoError(t, json.Unmarshal(s.get(path), &doc))
	require.Equal(t, []string{"s001-r01-1-1", "concluded", number}, []string{doc.Transaction, doc.Status, doc.Document.Receipt})

	first := s.must(115, `{"print":"copy","receipt":"`+number+`"}`)
	require.True(t, strings.HasSuffix(first.Print, text), "%s", first.Print)
	require.Contains(t, first.Print, "COPY 1")
	require.Contains(t, s.must(115, `{"print":"copy","receipt":"`+number+`"}`).Print, "COPY 2")
	gift := s.must(115, `{"print":"gift","receipt":"`+number+`"}`).Print
	require.Contains(t, gift, "GIFT RECEIPT")
	require.NotContains(t, gift, "7.95")

	// The address of the shop changes, but the receipt does not.
	_, err := s.Reference().Import(t.Context(), strings.NewReader(strings.Replace(strings.SplitN(shopRecords, "\n", 2)[0], "1 High Street", "2 Low Street", 1)), time.Now(), false)
	require.NoError(t, err)
	require.Equal(t, text, string(s.get(path, "Accept", "text/plain")))
	s.must(100, `{"product":"MUG"}`)
	s.must(500, ``)
	void := string(s.get("/v1/receipts/s001%2F0002", "Accept", "text/plain"))
	require.Contains(t, void, "VOIDED")
	require.Contains(t, void, "2 Low Street")

	// The QR code holds the checkpoint that covers the sale itself.
	raw := s.get(path + "/qr.png")
	_, err = png.Decode(bytes.NewReader(raw))
	require.NoError(t, err)
	var entry *events.Entry
	for _, b := range s.bodies() {
		if e, err := events.Decode(b); err == nil && e.Type == "sale.concluded.v1" {
			entry = e
		}
	}
	note, err := s.CheckpointAt(t.Context(), entry.Head)
	require.NoError(t, err)
	want, err := receipts.QR(note)
	require.NoError(t, err)
	require.True(t, bytes.Equal(want, raw))
	activation, err := events.Decode(s.bodies()[0])
	require.NoError(t, err)
	var record events.ActivationRecord
	require.NoError(t, json.Unmarshal([]byte(activation.Fact.(*events.RegisterActivated).Record), &record))
	signed, err := checkpoint.Open(note, record.Key)
	require.NoError(t, err)
	require.Equal(t, checkpoint.Checkpoint{Origin: "s001-r01/1", Size: entry.Head.Sequence, Hash: entry.Head.Hash}, signed)
}

// TestSlips shows that a printed slip that is not a transaction is found by the number on it.
func TestSlips(t *testing.T) {
	s := newShop(t)
	drop := s.must(1212, `{"amounts":[{"tender":"cash","amount":1500}],"bag":"B-17"}`)
	number := events.EntryNumber(s.View().Register, s.View().Head)
	require.Contains(t, drop.Print, "No. "+number)
	require.Contains(t, drop.Print, "Bag B-17")
	require.Contains(t, drop.Print, "15.00")
	for _, path := range []string{"/v1/transactions/", "/v1/receipts/"} {
		w := s.send("GET", path+number, "", "Accept", "text/plain")
		require.Equal(t, 200, w.Code)
		require.Equal(t, drop.Print, w.Body.String())
		require.Equal(t, string(s.bodies()[s.View().Head.Sequence-1]), string(s.get(path+number)), "as stored")
	}
	for _, other := range []string{"s001-r01-1-e1", "s001-r01-1-e999", "s001-r01-2-e1", "s002-r01-1-e" + fmt.Sprint(s.View().Head.Sequence), "s001-r01-1-e01"} {
		require.Equal(t, 404, s.send("GET", "/v1/receipts/"+other, "").Code, other)
	}
	for op, body := range map[int]string{1201: `{"amount":500}`, 1210: `{"amount":500}`, 1211: `{"amounts":[{"tender":"cash","amount":500}]}`, 1052: `{"counts":[{"tender":"cash","amount":500}]}`} {
		require.Contains(t, s.must(op, body).Print, "Signature", op)
	}
}

func TestReports(t *testing.T) {
	s := newShop(t)
	s.sell()
	for _, name := range ledger.Reports {
		var report struct {
			Report string
			AsOf   events.Head `json:"as_of"`
			Rows   []map[string]any
		}
		require.NoError(t, json.Unmarshal(s.get("/v1/reports/"+name), &report))
		require.Equal(t, name, report.Report)
		require.Equal(t, s.View().Head, report.AsOf, name)
		require.NotEmpty(t, report.Rows, name)
		require.NoError(t, json.Unmarshal(s.get("/v1/reports/"+name+"?to=2000-01-01"), &report))
		require.Empty(t, report.Rows, name)

		viewed := s.must(1003, `{"report":"`+name+`"}`)
		require.NotNil(t, viewed.Report, name)
		require.Equal(t, name, viewed.Report.Report)
		require.NotEmpty(t, viewed.Report.Rows)
	}
	var days struct{ Rows []struct{ Net, Total int } }
	require.NoError(t, json.Unmarshal(s.get("/v1/reports/days"), &days))
	require.Equal(t, 1305, days.Rows[0].Total)
	var balance struct{ Rows []struct{ Amount int } }
	require.NoError(t, json.Unmarshal(s.get("/v1/reports/trial-balance"), &balance))
	sum := 0
	for _, row := range balance.Rows {
		sum += row.Amount
	}
	require.Zero(t, sum)
}

// TestReportsAreForSome shows that both ways to a report need a permission that names it.
func TestReportsAreForSome(t *testing.T) {
	s := openShop(t)
	require.Equal(t, 401, s.send("GET", "/v1/reports/days", "").Code, "nobody is signed on")
	s.token = s.must(700, `{"staff":"9","pin":"3"}`).Token
	s.get("/v1/reports/days")
	s.must(1003, `{"report":"days"}`)
	w := s.send("GET", "/v1/reports/tenders", "")
	require.Equal(t, 403, w.Code)
	require.Contains(t, w.Body.String(), "permission_denied")
	require.Equal(t, "permission_denied", s.do(1003, newKey(), `{"report":"tenders"}`).Code)
	require.Equal(t, 404, s.send("GET", "/v1/reports/gossip", "").Code)
	require.Equal(t, 401, s.send("GET", "/v1/reports/days", "", "Authorization", "Bearer nobody").Code)
	s.must(703, ``)
	require.Equal(t, 401, s.send("GET", "/v1/reports/days", "").Code, "locked")
}

func TestMetrics(t *testing.T) {
	s := newShop(t)
	s.sell()
	s.do(100, newKey(), `{"product":"GHOST"}`)
	text := string(s.get("/metrics"))
	for _, line := range []string{
		`posnode_operations_total{operation="100",outcome="done"} 2`, `posnode_operations_total{operation="100",outcome="unknown_product"} 1`,
		`posnode_operations_total{operation="206",outcome="done"} 1`, `posnode_online 0`, `posnode_link_up 0`,
		`posnode_operation_seconds_count 5`, fmt.Sprintf("posnode_journal_entries %d", s.View().Head.Sequence), "posnode_offline_database_sequence", "posnode_unsent_entries",
	} {
		require.Contains(t, text, line)
	}
	require.Equal(t, "ok\n", string(s.get("/healthz")))
	require.Equal(t, "ready\n", string(s.get("/readyz")))
}

// TestSessionByCookie shows that the cookie of a browser carries its session until the log off.
func TestSessionByCookie(t *testing.T) {
	s := openShop(t)
	w := s.send("POST", "/v1/operations/700", `{"staff":"7","pin":"1"}`, "Idempotency-Key", newKey(), "Content-Type", "application/json")
	require.Equal(t, 200, w.Code)
	cookie := w.Result().Cookies()[0]
	require.True(t, cookie.HttpOnly)
	require.Equal(t, http.SameSiteStrictMode, cookie.SameSite)
	send := func(operation int) int {
		return s.send("POST", fmt.Sprintf("/v1/operations/%d", operation), ``, "Idempotency-Key", newKey(), "Cookie", cookie.Name+"="+cookie.Value).Code
	}
	require.Equal(t, 200, send(1050))
	require.Equal(t, 200, send(701))
	require.Equal(t, 401, send(1200))
}

// TestEvents shows that a client gets the status first, then each entry, byte for byte.
func TestEvents(t *testing.T) {
	s := newShop(t)
	server := httptest.NewServer(s.api)
	t.Cleanup(server.Close)
	next := s.follow(server.URL, s.token)
	event, _, data := next()
	require.Equal(t, "status", event)
	require.Contains(t, data, `"mode":"offline"`)
	s.must(100, `{"product":"TEA"}`)
	event, id, data := next()
	all := s.bodies()
	require.Equal(t, []string{"entry", fmt.Sprint(len(all)), string(all[len(all)-1])}, []string{event, id, data})
}

// follow reads the events for a client with that token, one by one.
func (s *shop) follow(url, token string) (next func() (event, id, data string)) {
	req, err := http.NewRequestWithContext(s.t.(interface{ Context() context.Context }).Context(), http.MethodGet, url+"/v1/events", nil)
	require.NoError(s.t, err)
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := http.DefaultClient.Do(req)
	require.NoError(s.t, err)
	s.t.Cleanup(func() { _ = resp.Body.Close() })
	require.Equal(s.t, "text/event-stream", resp.Header.Get("Content-Type"))
	lines := bufio.NewReader(resp.Body)
	return func() (event, id, data string) {
		for {
			line, err := lines.ReadString('\n')
			require.NoError(s.t, err)
			switch name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": "); name {
			case "event":
				event = value
			case "id":
				id = value
			case "data":
				data = value
			case "":
				return event, id, data
			}
		}
	}
}

// TestTwoClientsAtOnce shows that one client waits for the other. Both are answered, and nothing is
// recorded twice.
func TestTwoClientsAtOnce(t *testing.T) {
	s := newShop(t)
	before := s.View().Head.Sequence
	const each = 40
	shared := make([]string, each)
	for i := range shared {
		shared[i] = newKey()
	}
	var wait sync.WaitGroup
	var sequences [2][]uint64
	for client := range 2 {
		wait.Go(func() {
			for i := range each {
				s.must(100, `{"product":"TEA"}`)
				// Both also send one command with the same key. The first to arrive is carried out,
				// and both get its answer.
				r := s.do(100, shared[i], `{"product":"MUG"}`)
				if r.Status == 200 {
					sequences[client] = append(sequences[client], r.Entries[0].Sequence)
				}
			}
		})
	}
	wait.Wait()
	require.Len(t, sequences[0], each)
	require.Equal(t, sequences[0], sequences[1])
	require.Equal(t, before+3*each, s.View().Head.Sequence)
	require.NoError(t, s.Check(t.Context()))
}

// TestOpenAPI shows that every operation of the catalogue has its path and its parameters.
func TestOpenAPI(t *testing.T) {
	s := openShop(t)
	var doc struct {
		OpenAPI    string
		Components struct {
			SecuritySchemes map[string]struct{ Type, Scheme, In, Name string }
		}
		Paths map[string]map[string]struct {
			Security    []map[string][]string
			Parameters  []struct{ Name string }
			RequestBody struct {
				Content map[string]struct {
					Schema struct {
						Properties map[string]struct {
							Type, Description string
							MaxLength         int
						}
						Required []string
					}
				}
			}
		}
	}
	require.NoError(t, json.Unmarshal(s.get("/openapi.json"), &doc))
	require.True(t, strings.HasPrefix(doc.OpenAPI, "3.1"), doc.OpenAPI)
	require.Len(t, doc.Paths["/v1/reports/{name}"]["get"].Security, 2)
	require.Equal(t, "bearer", doc.Components.SecuritySchemes["bearer"].Scheme)
	require.Equal(t, sessionCookie, doc.Components.SecuritySchemes["cookie"].Name)
	require.Equal(t, "cookie", doc.Components.SecuritySchemes["cookie"].In)
	for _, op := range ledger.Catalogue() {
		path, ok := doc.Paths[fmt.Sprintf("/v1/operations/%d", op.ID)]["post"]
		require.True(t, ok, "operation %d", op.ID)
		require.Equal(t, op.Gates.Open, len(path.Security) == 0, "operation %d is for whoever is signed on", op.ID)
		for _, one := range path.Security {
			for scheme := range one {
				require.Contains(t, doc.Components.SecuritySchemes, scheme)
			}
		}
		require.Len(t, path.Parameters, 2, "the idempotency key and the content type; how a session is shown is said by its scheme")
		schema := path.RequestBody.Content["application/json"].Schema
		require.Len(t, schema.Properties, len(op.Params), "operation %d", op.ID)
		var required []string
		for _, p := range op.Params {
			got, ok := schema.Properties[p.Name]
			require.True(t, ok, "operation %d: %s", op.ID, p.Name)
			require.Equal(t, p.Doc, got.Description)
			if p.Kind == ledger.KindText {
				require.Equal(t, p.Max, got.MaxLength, "operation %d: %s", op.ID, p.Name)
			}
			if p.Required {
				required = append(required, p.Name)
			}
		}
		require.ElementsMatch(t, required, schema.Required)
	}
	for _, path := range []string{
		"/v1/operations", "/v1/status", "/v1/transaction", "/v1/journal", "/v1/transactions/{id}", "/v1/receipts/{number}", "/v1/receipts/{number}/qr.png",
		"/v1/reports/{name}", "/v1/events", "/healthz", "/readyz", "/metrics",
	} {
		require.Contains(t, doc.Paths, path)
	}
}
