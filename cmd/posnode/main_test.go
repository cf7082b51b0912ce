package main

import (
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestMain lets the test binary be the program: a script, or a test that starts a
// process, calls it as posnode.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"posnode": main})
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{Dir: "testdata/script", Cmds: scriptCommands, RequireExplicitExec: true})
}
