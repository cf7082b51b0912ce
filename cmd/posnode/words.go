package main

import (
	"fmt"
	"strings"
)

// plural is a number of things: 1 entry, 2 entries.
func plural(n int, what string) string {
	if n != 1 {
		if stem, y := strings.CutSuffix(what, "y"); y {
			what = stem + "ie"
		}
		what += "s"
	}
	return fmt.Sprintf("%d %s", n, what)
}
