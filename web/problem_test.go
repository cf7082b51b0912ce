package web

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/posnode/posnode/events"
	"github.com/posnode/posnode/ledger"
	"github.com/posnode/posnode/register"
)

// TestProblemOfAnError shows that a client can tell three errors apart: a refusal, a command that
// was not begun, and a command with an unknown outcome. Only the last is to be repeated with the
// same key.
func TestProblemOfAnError(t *testing.T) {
	s := openShop(t)
	a := &registerAPI{register: s.Register, log: slog.New(slog.DiscardHandler)}
	for _, c := range []struct {
		err  error
		want Problem
	}{
		{&ledger.Refusal{Code: "no_shift", Why: "W", Instead: "I"}, Problem{Status: 409, Code: "no_shift", Detail: "W", Instead: "I"}},
		{fmt.Errorf("wrapped: %w", &ledger.Refusal{Code: "invalid_parameter", Why: "W", Parameter: "line"}), Problem{Status: 422, Code: "invalid_parameter", Detail: "W", Parameter: "line"}},
		{fmt.Errorf("%w: %w", register.ErrNotBegun, context.Canceled), Problem{Status: 409, Code: "not_begun", Detail: "The register was busy; nothing was done."}},
		{errors.New("disk"), Problem{Status: 409, Code: "outcome_unknown", Detail: "The register cannot say whether this was recorded.", Instead: "Repeat it with the same idempotency key."}},
	} {
		c.want.Title, c.want.Operation, c.want.Mode = http.StatusText(c.want.Status), 100, events.Offline
		require.Equal(t, &c.want, a.problem(100, c.err))
	}
	for code, want := range map[string]int{
		"not_signed_on": 401, "sign_on_refused": 401, "staff_locked_out": 401, "register_locked": 401,
		"permission_denied": 403, "override_refused": 403, "override_by_same": 403, "override_locked_out": 403, "gift_card_pin_wrong": 403, "gift_card_locked_out": 403, "too_many_misses": 403,
		"unknown_operation": 404, "malformed_input": 400, "input_too_large": 413,
		"invalid_parameter": 422, "unknown_product": 422, "price_negative": 422, "unknown_receipt": 422, "unknown_report": 422,
		"no_shift": 409, "a code that is new": 409,
	} {
		require.Equal(t, want, status(code), code)
	}
}

// TestProblemOfHTTP shows that errors of HTTP itself have a stable code. An internal error reveals
// no details.
func TestProblemOfHTTP(t *testing.T) {
	for status, code := range map[int]string{
		400: "malformed_request", 404: "not_found", 405: "method_not_allowed", 406: "not_acceptable", 408: "request_timeout", 413: "input_too_large",
		415: "unsupported_media_type", 422: "invalid_parameter", 418: "malformed_request", 500: "internal", 503: "internal",
	} {
		require.Equal(t, code, (&Problem{Status: status}).complete(nil, nil).Code)
	}
	require.Equal(t, "mine", (&Problem{Status: 404, Code: "mine"}).complete(nil, nil).Code)
	s := openShop(t)
	a := &registerAPI{register: s.Register, log: slog.New(slog.DiscardHandler)}
	p := (&Problem{Status: 500, Detail: "open /secret/path: no such file"}).complete(a, nil)
	require.Equal(t, []string{"internal", "The register could not answer."}, []string{p.Code, p.Detail})
}
