package web

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"github.com/posnode/posnode/events"
	"github.com/posnode/posnode/ledger"
	"github.com/posnode/posnode/projections"
)

// Report is a report on the offline database, which holds this register's journal only.
type Report struct {
	Report string      `json:"report"`
	AsOf   events.Head `json:"as_of" doc:"last entry in the offline database when the report was made; it may hold more"`
	Mode   events.Mode `json:"mode"`
	From   string      `json:"from,omitempty" doc:"first business date"`
	To     string      `json:"to,omitempty" doc:"last business date"`
	Shift  string      `json:"shift,omitempty"`
	Rows   any         `json:"rows"`
}

type reportInput struct {
	Session
	Name  string `path:"name" maxLength:"40"`
	From  string `query:"from" maxLength:"10" doc:"first business date, YYYY-MM-DD"`
	To    string `query:"to" maxLength:"10" doc:"last business date, YYYY-MM-DD"`
	Shift string `query:"shift" maxLength:"80"`
}

// reports holds the reports of operation 1003 by name.
var reports = map[string]func(context.Context, *projections.DB, projections.Period) (any, error){
	"days":          rows((*projections.DB).Days),
	"products":      rows((*projections.DB).Products),
	"shifts":        rows((*projections.DB).ShiftTotals),
	"tenders":       rows((*projections.DB).Tenders),
	"trial-balance": rows((*projections.DB).TrialBalance),
}

func rows[T any](read func(*projections.DB, context.Context, projections.Period) ([]T, error)) func(context.Context, *projections.DB, projections.Period) (any, error) {
	return func(ctx context.Context, db *projections.DB, p projections.Period) (any, error) {
		return read(db, ctx, p)
	}
}

func (a *registerAPI) report(ctx context.Context, in *reportInput) (*body[*Report], error) {
	if err := a.mayView(in.Session, in.Name); err != nil {
		return nil, err
	}
	if !slices.Contains(ledger.Reports, in.Name) {
		return nil, (&Problem{Status: http.StatusNotFound, Code: "unknown_report", Detail: "There is no such report.", Instead: "Choose one of " + strings.Join(ledger.Reports, ", ") + "."}).complete(a, nil)
	}
	for name, date := range map[string]string{"from": in.From, "to": in.To} {
		if date != "" && !ledger.IsDate(date) {
			return nil, (&Problem{Status: http.StatusUnprocessableEntity, Parameter: name, Detail: name + ": want a date as YYYY-MM-DD"}).complete(a, nil)
		}
	}
	r, err := a.makeReport(ctx, in)
	return &body[*Report]{r}, err
}

// mayView returns a problem if the client's session may not see a report. The rule is that of
// operation 1003, but nothing is recorded.
func (a *registerAPI) mayView(in Session, report string) error {
	if err := a.mayRead(in); err != nil || a.localReaders {
		return err
	}
	staff := a.register.View().Staff
	if staff == nil {
		return a.mayRead(in)
	}
	if slices.Contains(ledger.Reports, report) && !staff.Rights.MayView(report) {
		return a.problem(0, &ledger.Refusal{Code: "permission_denied", Why: "This report is not for " + string(staff.ID) + ".", Instead: "Use operation 1003 with a manager's approval."})
	}
	return nil
}

func (a *registerAPI) makeReport(ctx context.Context, in *reportInput) (*Report, error) {
	r := &Report{Report: in.Name, From: in.From, To: in.To, Shift: in.Shift, Mode: a.register.View().Mode}
	return r, a.offline(ctx, func(ctx context.Context, db *projections.DB) (err error) {
		if r.AsOf, err = db.Position(ctx); err != nil {
			return err
		}
		r.Rows, err = reports[in.Name](ctx, db, projections.Period{From: in.From, To: in.To, Shift: events.ShiftID(in.Shift)})
		return err
	})
}
