package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/posnode/posnode/schemas"
)

// schemasCmd publishes the schemas.
type schemasCmd struct {
	Out string `type:"path" placeholder:"DIR" help:"Write one file for each type there, with entry.json, envelope.json and index.json, instead of one document to standard output."`
}

// Run writes one document to standard output, or one file for each type with --out.
func (c *schemasCmd) Run(std stdio) error {
	if c.Out == "" {
		_, err := std.out.Write(schemas.Whole())
		return err
	}
	if err := os.MkdirAll(c.Out, 0o755); err != nil {
		return err
	}
	count := 0
	for name, data := range schemas.All() {
		if err := os.WriteFile(filepath.Join(c.Out, name), data, 0o644); err != nil {
			return err
		}
		count++
	}
	fmt.Fprintf(std.out, "%d files are in %s\n", count, c.Out)
	return nil
}
