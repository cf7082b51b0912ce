// Command posnode is one binary for three users: a register, head office, and an
// auditor; see README.md. This package wires the others together and holds no rule.
//
// Exit codes: 0 fine, 1 failed, 2 usage, 3 integrity, 4 a derived file differs from a sound journal.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"

	"github.com/posnode/posnode/events"
	"github.com/posnode/posnode/register"
)

// stdio holds the streams that a command reads and writes. A test can replace them.
type stdio struct {
	in       io.Reader
	out, err io.Writer
}

// cli is every command and flag. Each flag can also be set as POSNODE_<FLAG>.
type cli struct {
	Demo       demoCmd       `cmd:"" help:"Head office and two registers on this machine: a day of sales, with the link cut in the middle."`
	Register   registerCmd   `cmd:"" help:"Run a till: its journal, its offline database, its API on loopback."`
	HQ         hqCmd         `cmd:"" name:"hq" help:"Run head office, which receives the journals of all registers."`
	Status     statusCmd     `cmd:"" help:"How a running register stands with head office: its mode and why, what is unsent, how old its data is."`
	Audit      auditCmd      `cmd:"" help:"Verify, show and report what a journal holds."`
	Schemas    schemasCmd    `cmd:"" help:"Print the JSON Schema of an entry, with those of all facts inside."`
	Operations operationsCmd `cmd:"" help:"List every operation and what it needs offline."`
	PIN        pinCmd        `cmd:"" name:"pin" help:"Read a PIN from standard input and print the hash that stands in the reference data."`
	Bench      benchCmd      `cmd:"" help:"Measure this machine, each figure beside its floor."`

	Config  kong.ConfigFlag  `placeholder:"FILE" help:"YAML file with values for flags."`
	Version kong.VersionFlag `help:"Print the version."`
}

// Exit codes.
const (
	exitFine      = 0
	exitFailed    = 1
	exitUsage     = 2
	exitIntegrity = 3
	exitDerived   = 4
)

// errIntegrity means that a check ran to its end and found damage. The damage has been reported.
var errIntegrity = errors.New("the journal is damaged")

// errDerived means that the journal is sound and a file beside it is not. That has been reported.
var errDerived = hinted{errors.New("the journal is sound, but a file beside it is not as it should be"), "each finding says what to do; no entry is affected"}

// registerName reads "s001-r01" from a flag.
type registerName struct{ events.Register }

// UnmarshalText parses the value of a flag.
func (n *registerName) UnmarshalText(b []byte) (err error) {
	n.Register, err = events.ParseRegister(string(b))
	return err
}

// printJSON writes v as JSON for a program. It is indented so that a person can read it, too.
func printJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// hinted is an error with a hint on how to go on.
type hinted struct {
	error
	hint string
}

func (h hinted) Unwrap() error { return h.error }

func main() {
	// Whatever the program creates is for its own account: files 0600, directories 0700. The
	// server and SQLite, which create files of their own, ask for more.
	syscall.Umask(0o077)
	os.Exit(run(os.Args[1:], stdio{os.Stdin, os.Stdout, os.Stderr}))
}

// run is main for a test: it returns the exit code instead of exiting.
func run(args []string, std stdio) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	std.out, std.err = &interruptible{ctx: ctx, out: std.out}, &interruptible{ctx: ctx, out: std.err}
	var c cli
	exited := false
	parser, err := kong.New(&c,
		kong.Name("posnode"),
		kong.Description("The offline-first transaction ledger for shops."),
		kong.DefaultEnvars("POSNODE"),
		kong.Configuration(loadConfig),
		kong.Vars{"version": version()},
		kong.Writers(std.out, std.err),
		kong.Exit(func(int) { exited = true }),
		kong.BindTo(ctx, (*context.Context)(nil)),
		kong.Bind(std),
	)
	if err != nil {
		panic(err) // the command structs are wrong: a bug
	}
	parsed, err := parser.Parse(args)
	if exited {
		return exitFine // --help or --version has printed its text
	}
	if err != nil {
		printError(std.err, err)
		return exitUsage
	}
	if err := parsed.Run(); err != nil {
		printError(std.err, err)
		return exitCode(err)
	}
	return exitFine
}

// printError prints an error for a person, with its hint if it has one.
func printError(w io.Writer, err error) {
	fmt.Fprintf(w, "posnode: error: %v\n", err)
	if h, ok := errors.AsType[hinted](err); ok {
		fmt.Fprintf(w, "posnode: hint: %s\n", h.hint)
	}
}

func exitCode(err error) int {
	if _, corrupt := errors.AsType[*events.CorruptError](err); corrupt || errors.Is(err, errIntegrity) || errors.Is(err, register.ErrIdentity) {
		return exitIntegrity
	}
	if errors.Is(err, errDerived) {
		return exitDerived
	}
	return exitFailed
}
