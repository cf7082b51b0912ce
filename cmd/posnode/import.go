package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/posnode/posnode/web"
)

// hqImportCmd sends reference data to a running head office.
type hqImportCmd struct {
	runningHQ
	File   string `arg:"" type:"existingfile" placeholder:"FILE" help:"JSON lines of any kinds, or with --csv a CSV file with a header row."`
	CSV    string `name:"csv" placeholder:"TABLE" help:"What the rows of a CSV file are: a kind of record such as product, barcode, staff or stock, or prices, discounts, taxes, tenders or currencies."`
	Store  string `placeholder:"STORE" help:"The store that CSV rows are for; everybody if absent."`
	DryRun bool   `help:"Check and report, and import nothing."`
	JSON   bool   `help:"Print JSON."`
}

// Validate returns an error for a CSV file without --csv. Read as JSON lines, each of its lines
// would be wrong.
func (c *hqImportCmd) Validate() error {
	if c.CSV == "" && strings.EqualFold(filepath.Ext(c.File), ".csv") {
		return hinted{errors.New("a CSV file needs --csv TABLE"), "which table its rows are of: product, barcode, staff, prices and so on, see docs/reference.md"}
	}
	return nil
}

// Run imports the whole file or nothing.
func (c *hqImportCmd) Run(ctx context.Context, std stdio) error {
	f, err := os.Open(c.File)
	if err != nil {
		return err
	}
	defer f.Close()
	query := url.Values{"csv": {c.CSV}, "store": {c.Store}, "dry_run": {fmt.Sprint(c.DryRun)}}
	var done web.Imported

	if err := c.call(ctx, http.MethodPost, "/v1/reference?"+query.Encode(), f, &done); err != nil {
		return err
	}
	if c.JSON {
		if err := printJSON(std.out, done); err != nil {
			return err
		}
	} else {
		c.print(std, done)
	}
	if done.Why != "" {
		return fmt.Errorf("%s", done.Why)
	}
	return nil
}

func (c *hqImportCmd) print(std stdio, done web.Imported) {
	for _, p := range done.Problems {
		fmt.Fprintf(std.err, "posnode: %s:%d: %s\n", c.File, p.Line, p.What)
	}
	what, would := "nothing imported", "would be "
	switch {
	case done.Imported:
		what, would = "imported", ""
	case done.Why == "":
		what = "dry run"
	}
	fmt.Fprintf(std.out, "%s: %d lines, %d %sstored, %d %sdeleted, %d unchanged, %d wrong\n",
		what, done.Lines, done.Stored, would, done.Deleted, would, done.Unchanged, done.Wrong)
}
