package web

import (
	"errors"
	"fmt"
	"net/http"
	"sync"

	"github.com/danielgtaylor/huma/v2"

	"github.com/posnode/posnode/events"
	"github.com/posnode/posnode/ledger"
	"github.com/posnode/posnode/register"
)

// Problem is an RFC 9457 problem.
type Problem struct {
	Title     string      `json:"title"`
	Status    int         `json:"status"`
	Detail    string      `json:"detail"`              // one sentence for the cashier
	Code      string      `json:"code"`                // stable
	Operation int         `json:"operation,omitempty"` // number of the refused operation
	Mode      events.Mode `json:"mode,omitempty"`
	Parameter string      `json:"parameter,omitempty"` // name of the parameter that broke a rule
	Instead   string      `json:"instead,omitempty"`   // advice for the cashier
}

func (p *Problem) Error() string { return p.Code + ": " + p.Detail }

// GetStatus returns the HTTP status.
func (p *Problem) GetStatus() int { return p.Status }

// ContentType returns the media type of RFC 9457.
func (p *Problem) ContentType(string) string { return "application/problem+json" }

// useProblems turns the errors of huma, such as an unreadable header, into problems of the same
// form. The hook is global to the process. The context of the request holds its register or head
// office.
var useProblems = sync.OnceFunc(func() {
	huma.NewErrorWithContext = func(ctx huma.Context, status int, detail string, errs ...error) huma.StatusError {
		p := &Problem{Status: status, Detail: detail}
		for _, err := range errs {
			if r, ok := errors.AsType[*ledger.Refusal](err); ok { // a refusal by a rule is not a fault
				p = refused(r)
				break
			}
			if err != nil {
				p.Detail += ": " + err.Error()
			}
		}
		if ctx == nil {
			return p.complete(nil, nil)
		}
		at, _ := ctx.Context().Value(siteKey{}).(site)
		return p.complete(at, ctx.Operation())
	}
})

// codes are the codes for errors of HTTP itself. They are stable.
var codes = map[int]string{
	http.StatusBadRequest:            "malformed_request",
	http.StatusNotFound:              "not_found",
	http.StatusMethodNotAllowed:      "method_not_allowed",
	http.StatusNotAcceptable:         "not_acceptable",
	http.StatusRequestTimeout:        "request_timeout",
	http.StatusRequestEntityTooLarge: "input_too_large",
	http.StatusUnsupportedMediaType:  "unsupported_media_type",
	http.StatusUnprocessableEntity:   "invalid_parameter",
}

// site is the party that answers requests: a register, or head office.
type site interface {
	// mode returns the mode of the register. Head office has none.
	mode() events.Mode
	// fault logs an internal error, and returns the text for the client instead.
	fault(detail string) string
}

// complete fills in the fields that every problem has.
func (p *Problem) complete(at site, op *huma.Operation) *Problem {
	p.Title = http.StatusText(p.Status)
	if p.Code == "" {
		p.Code = codes[p.Status]
	}
	if p.Code == "" {
		p.Code = "malformed_request"
	}
	if p.Status >= http.StatusInternalServerError {
		p.Code = "internal"
		if at != nil {
			p.Detail = at.fault(p.Detail)
		}
	}
	if at != nil {
		p.Mode = at.mode()
	}
	if op != nil {
		// Only routes of operations have an id of this form. For any other route Operation is left
		// as it is.
		_, _ = fmt.Sscanf(op.OperationID, "operation-%d", &p.Operation)
	}
	return p
}

// refused returns the problem for a refusal.
func refused(r *ledger.Refusal) *Problem {
	return &Problem{Status: status(r.Code), Code: r.Code, Detail: r.Why, Parameter: r.Parameter, Instead: r.Instead}
}

// status returns the HTTP status of a refusal: 401 and 403 if the client may not do it, and 400 if
// the request cannot be read. It is 404 for an unknown operation, and 413 for a request that is too
// large. It is 422 if the request itself breaks a rule, and 429 if it comes too soon. It is 409 if
// the state of the register does not allow it.
func status(code string) int {
	switch code {
	case "not_signed_on", "sign_on_refused", "staff_locked_out", "register_locked":
		return http.StatusUnauthorized
	case "permission_denied", "override_refused", "override_by_same", "override_locked_out", "gift_card_pin_wrong", "gift_card_locked_out", "too_many_misses":
		return http.StatusForbidden
	case "pin_checks_busy", "pin_checks_throttled":
		return http.StatusTooManyRequests
	case "unknown_operation":
		return http.StatusNotFound
	case "malformed_input":
		return http.StatusBadRequest
	case "input_too_large":
		return http.StatusRequestEntityTooLarge
	case "invalid_parameter", "unknown_product", "price_negative", "unknown_receipt", "unknown_report":
		return http.StatusUnprocessableEntity
	}
	return http.StatusConflict
}

func (a *registerAPI) mode() events.Mode { return a.register.View().Mode }

func (a *registerAPI) fault(detail string) string {
	a.log.Error("a request was not answered", "error", detail)
	return "The register could not answer."
}

// problem returns the problem for an error of an operation.
func (a *registerAPI) problem(operation int, err error) *Problem {
	p := &Problem{Operation: operation}
	switch refusal, ok := errors.AsType[*ledger.Refusal](err); {
	case ok:
		p = refused(refusal)
		p.Operation = operation
	case errors.Is(err, register.ErrNotBegun):
		p.Status, p.Code, p.Detail = http.StatusConflict, "not_begun", "The register was busy; nothing was done."
	default:
		a.log.Error("operation ended in an unknown outcome", "operation", operation, "error", err)
		p.Status, p.Code, p.Detail = http.StatusConflict, "outcome_unknown", "The register cannot say whether this was recorded."
		p.Instead = "Repeat it with the same idempotency key."
	}
	return p.complete(a, nil)
}
