package web

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/posnode/posnode/events"
	"github.com/posnode/posnode/ledger"
)

// recorded holds the refusals that are facts in the journal, such as security facts.
var recorded = map[string]bool{
	"sign_on_refused": true, "permission_denied": true, "override_refused": true, "override_by_same": true, "too_many_misses": true,
	"staff_locked_out": true, "override_locked_out": true, "recount_required": true, "card_declined": true,
}

// throw sends any body to an operation and checks the answer. It is never a 5xx, and a problem has
// its form. A refusal has not changed the cart. It has not changed the journal either, unless it is
// in recorded.
func (s *shop) throw(operation int, body []byte) {
	cart := func() string {
		var raw []byte
		require.NoError(s.t, s.Look(s.t.Context(), func(state *ledger.State) { raw, _ = json.Marshal(state.Transaction) }))
		return string(raw)
	}
	head, before := s.View().Head, cart()
	w := s.send("POST", fmt.Sprintf("/v1/operations/%d", operation), string(body), "Idempotency-Key", newKey(), "Content-Type", "application/json")
	told := fmt.Sprintf("operation %d with %.300q: %d %.300s", operation, body, w.Code, w.Body)
	require.Less(s.t, w.Code, 500, told)
	if w.Code == http.StatusOK {
		require.Greater(s.t, s.View().Head.Sequence, head.Sequence, told)
		return
	}
	var p Problem
	require.Equal(s.t, "application/problem+json", w.Header().Get("Content-Type"), told)
	require.NoError(s.t, json.Unmarshal(w.Body.Bytes(), &p), told)
	require.Regexp(s.t, `^[a-z][a-z0-9_]*$`, p.Code, told)
	require.NotContains(s.t, []string{"outcome_unknown", "internal"}, p.Code, told)
	require.NotEmpty(s.t, p.Detail, told)
	require.Equal(s.t, w.Code, p.Status, told)
	require.Equal(s.t, before, cart(), told)
	if !recorded[p.Code] {
		require.Equal(s.t, head, s.View().Head, told)
	}
}

// signOn signs the cashier on again after an operation signed them off, and opens a shift.
func (s *shop) signOn() {
	r := s.do(700, newKey(), `{"staff":"7","pin":"1"}`)
	if r.Token != "" {
		s.token = r.Token
	}
	s.do(1050, newKey(), ``)
}

// TestAnyBody sends random bodies to every operation in turn. Most of the bodies are nearly right.
// It does so with and without an open transaction, and each round keeps the cart of the round
// before.
func TestAnyBody(t *testing.T) {
	s := newShop(t)
	random := rand.New(rand.NewPCG(7, 11)) // the same sequence in every run
	operations := ledger.Catalogue()
	for round := range 8 * len(operations) {
		if round%7 == 0 {
			s.signOn()
			s.do(100, newKey(), `{"product":"TEA"}`)
		}
		// Each turn moves one operation further, so that no operation always comes just after the
		// sign-on.
		op := operations[(round+round/len(operations))%len(operations)]
		s.throw(op.ID, randomBody(random, op))
	}
	require.NoError(t, s.Check(t.Context()))
}

// randomBody returns a body, mostly an object of the operation's parameters with odd values.
func randomBody(random *rand.Rand, op *ledger.Operation) []byte {
	odd := []any{
		nil, true, false, 0, 1, -1, 2, 1e300, 9007199254740993, "", " ", "1", "-1", "0.0001", "1e9", "TEA", "MUG", "OPEN", "7", "8", "cash", "2026-03-02",
		"s001/0001", strings.Repeat("9", 40), strings.Repeat("x", 300), "\x00", "\u2028", "ß茶", []any{}, []any{1}, map[string]any{}, map[string]any{"a": 1},
		[]any{map[string]any{"tender": "cash", "amount": 1}}, "4111 1111 1111 1111", "days", "copy", json.Number("99999999999999999999"),
	}
	if random.IntN(12) == 0 {
		return []byte([]string{"", "null", "[]", "{", "{}{}", "\xff", `{"a":`, "0", `"x"`, strings.Repeat("[", 3000), `{"product":"TEA","product":"MUG"}`}[random.IntN(11)])
	}
	object := map[string]any{}
	for _, p := range op.Params {
		if p.Name == "approver" || p.Name == "approver_pin" || p.Name == "pin" {
			continue // each costs a PIN's hash
		}
		if p.Required || random.IntN(3) == 0 {
			object[p.Name] = odd[random.IntN(len(odd))]
		}
	}
	if random.IntN(10) == 0 {
		object["unknown"] = 1
	}
	body, err := json.Marshal(object)
	if err != nil {
		panic(err)
	}
	return body
}

// FuzzOperation sends bodies to a real register: go test ./web -fuzz FuzzOperation.
func FuzzOperation(f *testing.F) {
	for _, op := range ledger.Catalogue() {
		f.Add(op.ID, []byte(`{}`))
	}
	for _, body := range []string{`{"product":"TEA","quantity":"2"}`, `{"amount":100}`, `{"line":1}`, `{"product":"OPEN","price":"1.5","description":"<b>"}`, `null`, "\xff"} {
		f.Add(100, []byte(body))
		f.Add(200, []byte(body))
	}
	s := newShop(f)
	f.Fuzz(func(t *testing.T, operation int, body []byte) {
		s.t = t
		if s.View().Staff == nil || s.View().Shift == events.ShiftID("") {
			s.signOn()
		}
		s.throw(operation, body)
	})
}
