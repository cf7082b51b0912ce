package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/posnode/posnode/ledger"
)

// operationsCmd lists the catalogue.
type operationsCmd struct {
	JSON     bool `name:"json" xor:"form" help:"Print a JSON list."`
	Markdown bool `xor:"form" help:"Print docs/operations.md, with the parameters."`
}

// Run prints every operation with its needs.
func (c *operationsCmd) Run(std stdio) error {
	if c.JSON {
		type line struct {
			ID      int    `json:"id"`
			Name    string `json:"name"`
			Group   string `json:"group"`
			Offline string `json:"offline"`
		}
		lines := []line{}
		for _, op := range ledger.Catalogue() {
			lines = append(lines, line{op.ID, op.Name, op.Group, op.Offline})
		}
		return printJSON(std.out, lines)
	}
	if c.Markdown {
		return writeOperations(std.out)
	}
	w := tabwriter.NewWriter(std.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "ID\tOPERATION\tGROUP\tOFFLINE\tNEEDS")
	for _, op := range ledger.Catalogue() {
		fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%s\n", op.ID, op.Name, op.Group, op.Offline, needs(op))
	}
	return w.Flush()
}

// needs describes an operation's preconditions for a person. The register checks them before the
// operation's own checks.
func needs(op *ledger.Operation) string {
	var all []string
	switch {
	case op.Gates.Open:
		all = append(all, "nobody signed on")
	case op.Gates.AnyStaff:
		all = append(all, "sign-on")
	default:
		all = append(all, "permission")
	}
	if op.Gates.Shift {
		all = append(all, "open shift")
	}
	switch op.Gates.Cart {
	case ledger.NeedCart:
		all = append(all, "transaction")
	case ledger.NoCart:
		all = append(all, "no transaction")
	}
	if op.Gates.DrawerOpen {
		all = append(all, "(drawer may be open)")
	}
	if op.Reason != "" {
		all = append(all, "reason "+op.Reason)
	}
	return strings.Join(all, ", ")
}

const operationsHead = `# The operations of a register

Made by ` + "`posnode operations --markdown`" + ` from the catalogue in ` + "`ledger/`" + `, and compared with it by a test.
` + "`POST /v1/operations/{id}`" + ` with a JSON object of the parameters carries one out.

Offline is how it fares while head office cannot be reached: *local* is decided here with nothing missing, *bounded* within the
limits of the offline profile, *refused* waits for head office. Where a permission is needed, the parameters
` + "`approver` and `approver_pin`" + ` let a manager approve one call, and the amount that it comes to: what makes that larger asks again. Where a reason is named, ` + "`reason` and `reason_note`" + ` give it.
Where the store wants a reason for a transaction that begins (` + "`start_of_transaction`" + `) or ends (` + "`end_of_transaction`" + `), ` + "`start_reason` and `end_reason`" + `,
each with its note, give it to the operation that begins or concludes one. They are left out below. Required parameters are **bold**; a number behind a parameter is its largest value, or how many characters it may have.

`

// writeOperations writes docs/operations.md.
func writeOperations(w io.Writer) error {
	var out strings.Builder
	out.WriteString(operationsHead + "| Id | Operation | Group | Offline | Needs |\n|---|---|---|---|---|\n")
	for _, op := range ledger.Catalogue() {
		fmt.Fprintf(&out, "| [%d](#op-%d) | %s | %s | %s | %s |\n", op.ID, op.ID, op.Name, op.Group, op.Offline, needs(op))
	}
	out.WriteString("\n## Parameters\n")
	for _, op := range ledger.Catalogue() {
		fmt.Fprintf(&out, "\n<a id=\"op-%d\"></a>\n**%d %s**\n\n", op.ID, op.ID, op.Name)
		none := true
		for _, p := range op.Params {
			if strings.HasPrefix(p.Name, "approver") || strings.HasSuffix(strings.TrimSuffix(p.Name, "_note"), "reason") {
				continue
			}
			name := "`" + p.Name + "`"
			if p.Required {
				name = "**" + name + "**"
			}
			kind := string(p.Kind)
			if p.Max > 0 {
				kind += fmt.Sprintf(" %d", p.Max)
			}
			fmt.Fprintf(&out, "- %s (%s): %s\n", name, kind, p.Doc)
			none = false
		}
		if none {
			out.WriteString("None.\n")
		}
	}
	_, err := io.WriteString(w, out.String())
	return err
}
