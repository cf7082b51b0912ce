package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"text/tabwriter"
	"time"

	"github.com/posnode/posnode/hq"
	"github.com/posnode/posnode/web"
)

// hqStatusCmd prints the state of every register as head office knows it.
type hqStatusCmd struct {
	runningHQ `embed:""`
	JSON      bool `name:"json" help:"Print what GET /v1/registers answers."`
}

// Run asks the running head office.
func (c *hqStatusCmd) Run(ctx context.Context, std stdio) error {
	var all []hq.RegisterStatus
	if err := c.call(ctx, http.MethodGet, "/v1/registers", nil, &all); err != nil {
		return err
	}
	if c.JSON {
		return printJSON(std.out, all)
	}
	var s web.HQStatus
	if err := c.call(ctx, http.MethodGet, "/v1/status", nil, &s); err != nil {
		return err
	}
	for _, warning := range s.Warnings {
		fmt.Fprintln(std.out, "warning:", warning)
	}
	return printRegisters(std.out, all)
}

func printRegisters(w io.Writer, all []hq.RegisterStatus) error {
	out := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(out, "REGISTER\tEPOCH\tMODE\tLAST CONTACT\tANNOUNCED\tRECEIVED\tVERIFIED\tMISSING\tFINDINGS\tREFERENCE DATA OF\tCLOCK\tVERSION")
	at := func(t time.Time) string {
		if t.IsZero() {
			return "never"
		}
		return t.UTC().Format(time.RFC3339)
	}
	for _, r := range all {
		mode, contact, missing := string(r.Mode), at(r.LastContact), "nothing"
		if r.Cause != "" {
			mode += " (" + r.Cause + ")"
		}
		if r.Inactivated {
			mode = "inactivated"
		}
		if r.Frozen != nil {
			mode = "frozen (" + r.Frozen.Kind + ")"
		}
		if r.Silent {
			contact += ", silent"
		}
		if len(r.Missing) > 0 {
			missing = fmt.Sprint(r.Missing)
		}
		fmt.Fprintf(out, "%s\t%d\t%s\t%s\t%d\t%d\t%d\t%s\t%d\t%s\t%s\t%s\n", r.Register, r.Epoch, or(mode, "unknown"), contact,
			r.Announced, r.Received, r.Verified, missing, r.Open, at(r.Reference), r.ClockDifference.Round(time.Millisecond), or(r.Version, "unknown"))
	}
	return out.Flush()
}
