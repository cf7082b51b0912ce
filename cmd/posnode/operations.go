package main

import (
	"fmt"
	"text/tabwriter"

	"github.com/posnode/posnode/ledger"
)

// operationsCmd lists the catalogue.
type operationsCmd struct {
	JSON bool `name:"json" help:"Print a JSON list."`
}

// Run prints every operation with what it needs.
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
	w := tabwriter.NewWriter(std.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "ID\tOPERATION\tGROUP\tOFFLINE")
	for _, op := range ledger.Catalogue() {
		fmt.Fprintf(w, "%d\t%s\t%s\t%s\n", op.ID, op.Name, op.Group, op.Offline)
	}
	return w.Flush()
}
