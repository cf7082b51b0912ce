package main

import (
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestMain makes the test binary act as the program when it is called as posnode. Scripts, and
// tests that start processes, call it so.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"posnode": main})
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{Dir: "testdata/script", Cmds: scriptCommands, RequireExplicitExec: true})
}
