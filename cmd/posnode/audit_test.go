package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/posnode/posnode/events"
	"github.com/posnode/posnode/register"
)

// scriptCommands are the commands of the scripts besides posnode itself.
var scriptCommands = map[string]func(ts *testscript.TestScript, neg bool, args []string){
	"sell":        scriptSell,
	"hold":        scriptHold,
	"alter":       scriptAlter,
	"exits":       scriptExits,
	"fingerprint": scriptFingerprint,
}

// scriptSell sells N invoices at the register in a data directory, and makes the register if there
// is none: sell DIR N.
func scriptSell(ts *testscript.TestScript, _ bool, args []string) {
	t := openScriptTill(ts, args[0])
	invoices, err := strconv.Atoi(args[1])
	ts.Check(err)
	for _, inv := range builtInInvoices()[:invoices] {
		ts.Check(t.sellInvoice(context.Background(), inv, func() error { return nil }))
	}
	ts.Check(t.Close())
}

// scriptHold keeps a data directory in use until the script ends: hold DIR.
func scriptHold(ts *testscript.TestScript, _ bool, args []string) {
	t := openScriptTill(ts, args[0])
	ts.Defer(func() { ts.Check(t.Close()) })
}

func openScriptTill(ts *testscript.TestScript, dir string) *till {
	t := &till{dir: ts.MkAbs(dir)}
	var err error
	t.Register, err = register.Open(context.Background(), register.Config{
		Dir: t.dir, Register: events.Register{Store: "s001", ID: "r01"},
		Reconnect: time.Minute, Zone: time.UTC, Clock: time.Now, Logger: newLogger(os.Stderr),
	})
	ts.Check(err)
	if t.View().Head.Sequence > 1 {
		return t
	}
	_, err = t.Reference().Import(context.Background(), bytes.NewReader(shopData), time.Now(), false)
	ts.Check(err)
	ts.Check(t.open(context.Background()))
	return t
}

// scriptAlter replaces the n-th occurrence of a text, counted from 1, in a file,
// or every one with an n of 0: alter FILE N OLD NEW.
func scriptAlter(ts *testscript.TestScript, _ bool, args []string) {
	paths, err := filepath.Glob(ts.MkAbs(args[0]))
	if err != nil || len(paths) != 1 {
		ts.Fatalf("%s names %d files", args[0], len(paths))
	}
	content, err := os.ReadFile(paths[0])
	ts.Check(err)
	n, err := strconv.Atoi(args[1])
	ts.Check(err)
	parts := strings.Split(string(content), args[2])
	if len(parts) <= max(n, 1) {
		ts.Fatalf("%q occurs %d times", args[2], len(parts)-1)
	}
	for i := range parts[1:] {
		with := args[2]
		if n == 0 || n == i+1 {
			with = args[3]
		}
		parts[i] += with
	}
	ts.Check(os.WriteFile(paths[0], []byte(strings.Join(parts, "")), 0o600))
}

// scriptExits runs a program that must exit with a code: exits CODE PROGRAM ARGS...
func scriptExits(ts *testscript.TestScript, _ bool, args []string) {
	code := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		exit, ok := errors.AsType[*exec.ExitError](err)
		if !ok {
			ts.Check(err)
		}
		code = exit.ExitCode()
	}
	if fmt.Sprint(code) != args[0] {
		ts.Fatalf("exit code %d, want %s", code, args[0])
	}
}

// scriptFingerprint writes the name, size, time and content's hash of everything
// under a path to a file: fingerprint PATH FILE.
func scriptFingerprint(ts *testscript.TestScript, _ bool, args []string) {
	var out bytes.Buffer
	ts.Check(filepath.WalkDir(ts.MkAbs(args[0]), func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		var content []byte
		if info.Mode().IsRegular() {
			if content, err = os.ReadFile(path); err != nil {
				return err
			}
		}
		_, err = fmt.Fprintf(&out, "%s %d %v %v %x\n", path, info.Size(), info.Mode(), info.ModTime(), sha256.Sum256(content))
		return err
	}))
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), out.Bytes(), 0o600))
}
