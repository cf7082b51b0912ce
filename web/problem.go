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

// useProblems makes the errors of huma, such as an unreadable header, problems of
// the same form. The hook is one for the whole process, and is told by the request which register it is at.
var useProblems = sync.OnceFunc(func() {
	huma.NewErrorWithContext = func(ctx huma.Context, status int, detail string, errs ...error) huma.StatusError {
		p := &Problem{Status: status, Detail: detail}
		for _, err := range errs {
			if r, ok := errors.AsType[*ledger.Refusal](err); ok { // a rule that says no is no fault, wherever it was found
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

// codes are the codes of what HTTP itself refuses. They are stable.
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

// site is what answers requests: a register, or head office.
type site interface {
	// mode is the register's; head office has none.
	mode() events.Mode
	// fault takes note of what is nobody's fault but ours, and says what the client is told.
	fault(detail string) string
}

// complete fills in what every problem says.
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
		// Where the path names none, it is no operation of the till.
		_, _ = fmt.Sscanf(op.OperationID, "operation-%d", &p.Operation)
	}
	return p
}

// refused is what the client is told of a refusal.
func refused(r *ledger.Refusal) *Problem {
	return &Problem{Status: status(r.Code), Code: r.Code, Detail: r.Why, Parameter: r.Parameter, Instead: r.Instead}
}

// status is the HTTP status of a refusal: 401 and 403 for who asks, 400 for a
// request that cannot be read, 409 where the state of the register is against
// it, 422 where the request itself breaks a rule, 429 where it comes too soon.
func status(code string) int {
	switch code {
	case "not_signed_on", "sign_on_refused", "staff_locked_out", "register_locked":
		return http.StatusUnauthorized
	case "permission_denied", "override_refused", "override_by_same", "override_locked_out", "gift_card_pin_wrong", "gift_card_locked_out":
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

// problem turns an error of an operation into what the client is told.
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
