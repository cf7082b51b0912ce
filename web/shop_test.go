package web

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"github.com/posnode/posnode/events"
	"github.com/posnode/posnode/register"
)

// shopRecords are the reference data of the tests. %q stands for the PINs of a manager, of a
// cashier, and of a cashier with permission for a report.
const shopRecords = `{"kind":"store","key":"store","record":{"currency":"GBP","digits":2,"tax_included":true,"receipt_mask":"{store}/{####}","max_quantity":"100","tenders":{"cash":{"id":"cash","name":"Cash","kind":"cash","over_paid":true}},"shop":{"name":"Corner Shop","lines":["1 High Street"],"footer":["Thank you"]}}}
{"kind":"staff","key":"7","record":{"staff":"7","name":"Sam","pin":%q,"groups":[{"manager":true}]}}
{"kind":"staff","key":"8","record":{"staff":"8","name":"Kim","pin":%q,"groups":[{"operations":[100,206,1050]}]}}
{"kind":"staff","key":"9","record":{"staff":"9","name":"Lou","pin":%q,"groups":[{"operations":[703,1003],"reports":["days"]}]}}
{"kind":"product","key":"TEA","record":{"product":"TEA","description":"Tea <süß> & \"rot\" \u2028 茶","price":"2.55","taxes":[{"code":"S","rate":"20"}]}}
{"kind":"product","key":"MUG","record":{"product":"MUG","description":"Mug","price":"7.95"}}
{"kind":"product","key":"OPEN","record":{"product":"OPEN","description":"Open","key_price":true,"price":"0"}}
`

// shop is a register with its API, and a client with a session.
type shop struct {
	*register.Register
	t     testing.TB
	api   http.Handler
	token string
}

// readers returns the paths of all data about people or sales. The last path is for a slip, the
// last entry.
func (s *shop) readers(transaction, receipt string) []string {
	receipt = strings.ReplaceAll(receipt, "/", "%2F")
	return []string{
		"/v1/journal", "/v1/transaction", "/v1/transactions/" + transaction, "/v1/receipts/" + receipt, "/v1/receipts/" + receipt + "/qr.png",
		"/v1/reports/days", "/v1/receipts/" + events.EntryNumber(s.View().Register, events.Head{Epoch: 1, Sequence: s.View().Head.Sequence}),
	}
}

// openShop opens a register with nobody signed on.
func openShop(t testing.TB) *shop {
	r, err := register.Open(t.Context(), register.Config{
		Dir: filepath.Join(t.TempDir(), "data"), Register: events.Register{Store: "s001", ID: "r01"}, Zone: time.UTC, Clock: time.Now, Logger: slog.New(slog.DiscardHandler),
	})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, r.Close()) })
	report, err := r.Reference().Import(t.Context(), strings.NewReader(fmt.Sprintf(shopRecords, register.HashPIN("1"), register.HashPIN("2"), register.HashPIN("3"))), time.Now(), false)
	require.NoError(t, err, "%v", report.Problems)
	return &shop{Register: r, t: t, api: Register(r, slog.New(slog.DiscardHandler), false)}
}

// newShop opens a register with the manager signed on and a shift open.
func newShop(t testing.TB) *shop {
	s := openShop(t)
	s.token = s.must(700, `{"staff":"7","pin":"1"}`).Token
	s.must(1050, ``)
	return s
}

// reply is the answer to an operation.
type reply struct {
	Status int
	Problem
	answered
}

type answered struct {
	Token   string
	Print   string
	Report  *Report
	Entries []struct {
		Sequence uint64
		Hash     string
	}
	Transaction struct {
		ID      string
		Due     int
		Receipt string
	}
}

// send sends a request as a client on this machine does.
func (s *shop) send(method, path, body string, headers ...string) *httptest.ResponseRecorder {
	req := httptest.NewRequest(method, "http://localhost:8085/", strings.NewReader(body))
	req.URL.Path, req.URL.RawPath, req.URL.RawQuery = "", "", ""
	u, err := req.URL.Parse(path)
	require.NoError(s.t, err)
	req.URL = u
	if s.token != "" {
		req.Header.Set("Authorization", "Bearer "+s.token)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
		if headers[i] == "Host" {
			req.Host = headers[i+1]
		}
	}
	w := httptest.NewRecorder()
	s.api.ServeHTTP(w, req)
	return w
}

func (s *shop) do(operation int, key, body string) (r reply) {
	w := s.send("POST", fmt.Sprintf("/v1/operations/%d", operation), body, "Idempotency-Key", key, "Content-Type", "application/json")
	require.NoError(s.t, json.Unmarshal(w.Body.Bytes(), &r.Problem), "%s", w.Body)
	if w.Code == http.StatusOK {
		require.NoError(s.t, json.Unmarshal(w.Body.Bytes(), &r.answered), "%s", w.Body)
	} else {
		require.Equal(s.t, "application/problem+json", w.Header().Get("Content-Type"), "%s", w.Body)
	}
	r.Status = w.Code
	return r
}

func newKey() string { return ulid.Make().String() }

func (s *shop) must(operation int, body string) reply {
	r := s.do(operation, newKey(), body)
	require.Equal(s.t, http.StatusOK, r.Status, "operation %d: %s", operation, r.Problem.Detail)
	return r
}

// get reads a path, which must answer with 200.
func (s *shop) get(path string, headers ...string) []byte {
	w := s.send("GET", path, "", headers...)
	require.Equal(s.t, http.StatusOK, w.Code, "%s: %s", path, w.Body)
	return w.Body.Bytes()
}

// bodies returns the entries as stored in the journal.
func (s *shop) bodies() (all [][]byte) {
	err := s.Journal().Read(s.t.Context(), 1, func(m events.Message) error {
		all = append(all, bytes.Clone(m.Body))
		return nil
	})
	if !errors.Is(err, io.EOF) {
		require.NoError(s.t, err)
	}
	return all
}

// sell concludes a sale and returns its receipt number.
func (s *shop) sell() string {
	s.must(100, `{"product":"TEA","quantity":"2"}`)
	s.must(100, `{"product":"MUG"}`)
	return s.must(206, ``).Transaction.Receipt
}

// golden compares got with a file, or writes the file if -update is set.
func golden(t *testing.T, file, got string) {
	if *update {
		require.NoError(t, os.WriteFile(file, []byte(got), 0o644))
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, string(want), got, "run go test ./web -update")
}
