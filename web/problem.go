package web

import (
	"context"
	"errors"
	"log/slog"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/posnode/posnode/events"
	"github.com/posnode/posnode/ledger"
)

// Problem is an RFC 9457 problem.
type Problem struct {
	Title     string      `json:"title"`
	Status    int         `json:"status"`
	Detail    string      `json:"detail"`              // one sentence for the cashier
	Code      string      `json:"code"`                // stable
	Operation int         `json:"operation,omitempty"` // that was refused
	Mode      events.Mode `json:"mode,omitempty"`
	Parameter string      `json:"parameter,omitempty"` // that broke a rule
	Instead   string      `json:"instead,omitempty"`   // what could be done
}

func (p *Problem) Error() string { return p.Code + ": " + p.Detail }

// GetStatus is the HTTP status.
func (p *Problem) GetStatus() int { return p.Status }

// ContentType is that of RFC 9457.
func (p *Problem) ContentType(string) string { return "application/problem+json" }

// useProblems makes the API's own errors, such as an unreadable header, problems of the same form.
func useProblems() {
	huma.NewError = func(status int, detail string, errs ...error) huma.StatusError {
		for _, err := range errs {
			if err != nil {
				detail += ": " + err.Error()
			}
		}
		return &Problem{Title: http.StatusText(status), Status: status, Detail: detail, Code: "malformed_request"}
	}
}

// status is the HTTP status of a refusal: 401 and 403 for who asks, 400 for a
// request that cannot be read, 409 where the state of the register is against
// it, 422 where the request itself breaks a rule.
func status(code string) int {
	switch code {
	case "not_signed_on", "sign_on_refused", "staff_locked_out", "register_locked":
		return http.StatusUnauthorized
	case "permission_denied", "override_refused", "override_by_same", "override_locked_out":
		return http.StatusForbidden
	case "unknown_operation":
		return http.StatusNotFound
	case "malformed_input":
		return http.StatusBadRequest
	case "input_too_large":
		return http.StatusRequestEntityTooLarge
	case "invalid_parameter", "unknown_product", "price_negative":
		return http.StatusUnprocessableEntity
	}
	return http.StatusConflict
}

// problem turns an error of an operation into what the client is told.
func problem(operation int, mode events.Mode, err error) *Problem {
	p := &Problem{Operation: operation, Mode: mode}
	switch refusal, ok := errors.AsType[*ledger.Refusal](err); {
	case ok:
		p.Status, p.Code, p.Detail, p.Parameter, p.Instead = status(refusal.Code), refusal.Code, refusal.Why, refusal.Parameter, refusal.Instead
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		p.Status, p.Code, p.Detail = http.StatusConflict, "not_begun", "The register was busy; nothing was done."
	default:
		slog.Error("operation ended in an unknown outcome", "operation", operation, "error", err)
		p.Status, p.Code, p.Detail = http.StatusConflict, "outcome_unknown", "The register cannot say whether this was recorded."
		p.Instead = "Repeat it with the same idempotency key."
	}
	p.Title = http.StatusText(p.Status)
	return p
}
