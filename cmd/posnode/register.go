package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime/debug"
	"time"

	"github.com/posnode/posnode/embedded"
	"github.com/posnode/posnode/projections"
	"github.com/posnode/posnode/register"
	"github.com/posnode/posnode/web"
)

// registerMemory is the soft limit of a register's Go memory in bytes.
const registerMemory = 80 << 20

// registerCmd runs one till.
type registerCmd struct {
	Data         string        `required:"" type:"path" placeholder:"DIR" help:"Data directory, this register's alone."`
	Name         registerName  `required:"" placeholder:"STORE-REGISTER" help:"Which register this is, such as s001-r01."`
	Listen       string        `default:"127.0.0.1:8085" placeholder:"ADDR" help:"Where the API and the page listen; a loopback address, 127.0.0.1:8085 if absent."`
	Reference    string        `type:"existingfile" placeholder:"FILE" help:"Reference data to import first: JSON lines of products, staff and settings."`
	HQ           string        `name:"hq" placeholder:"URL" help:"Leaf URL of head office, such as tls://hq.example:7422. Several with commas between. Without it the register stands alone."`
	CA           string        `name:"ca" type:"existingfile" placeholder:"FILE" help:"Authority of head office's certificate, for a --hq that begins with tls://; the system's if absent."`
	Bootstrap    string        `type:"path" placeholder:"FILE" help:"Credentials from 'posnode hq code', by which the register asks to be activated; not needed once it is."`
	Creds        string        `type:"existingfile" placeholder:"FILE" help:"Credentials from 'posnode hq enroll'."`
	NATS         string        `name:"nats" placeholder:"ADDR" help:"Loopback address where NATS clients of the till may read along."`
	Reconnect    time.Duration `default:"5m" help:"How long to stay offline before the next attempt, at the beginning of a transaction."`
	Zone         string        `default:"Local" help:"Time zone of the store, such as Europe/London: the business date is the date there."`
	MaxBytes     int64         `help:"The journal's share of the disk, in bytes; 0 for 8 GiB or what the disk allows."`
	Plaintext    bool          `name:"allow-plaintext-link" help:"Link to head office on another machine without TLS, although anyone on the network between can read and change what travels."`
	LocalReaders bool          `name:"local-readers" help:"Let every program on this machine read documents, reports, the journal and its events without a session."`
	Check        bool          `help:"Check the whole journal, say what is wrong with it, and end: exit code 3 for damage."`
}

// Validate returns an error if the register could not reach head office with these flags.
func (c *registerCmd) Validate() error {
	if c.HQ == "" {
		return nil
	}
	protection, err := embedded.LinkProtection(c.HQ)
	if err != nil {
		return hinted{fmt.Errorf("--hq %s is no leaf URL", c.HQ), "it is like tls://hq.example:7422, or nats-leaf://127.0.0.1:7422 on one machine, as head office prints it"}
	}
	if protection == embedded.Unprotected && !c.Plaintext {
		return hinted{&embedded.PlaintextError{Address: "--hq " + c.HQ}, "use tls://host:port, with --cert and --key at head office; or a tunnel that ends on this machine; or say --allow-plaintext-link"}
	}
	// A register that was activated has credentials of its own, and needs neither flag.
	creds, err := embedded.Newest(c.Name.Register, embedded.CredentialsPath(c.Data), c.Creds, c.Bootstrap)
	_, begun := os.Stat(filepath.Join(c.Data, "jetstream"))
	switch {
	case creds == "" && begun == nil:
		return nil // a till that was at work: it sells, does not link, and says so
	case creds == "" && err != nil:
		return err
	case creds == "" && c.Bootstrap != "":
		return hinted{fmt.Errorf("--bootstrap %s: there is no such file", c.Bootstrap), "head office makes it: posnode hq code " + c.Name.String() + " --bootstrap FILE"}
	case creds == "":
		return hinted{errors.New("--hq needs --bootstrap or --creds"), "head office makes them: posnode hq code " + c.Name.String() + " --bootstrap FILE"}
	}
	return nil
}

func (c *registerCmd) config(log *slog.Logger) (register.Config, error) {
	zone, err := time.LoadLocation(c.Zone)
	return register.Config{
		Dir: c.Data, Register: c.Name.Register, HQ: c.HQ, AllowPlaintext: c.Plaintext, CA: c.CA, Creds: c.Creds, Bootstrap: c.Bootstrap, Listen: c.NATS, MaxBytes: c.MaxBytes,
		Reconnect: c.Reconnect, Zone: zone, Clock: time.Now, Logger: log,
	}, err
}

// Run serves until the context ends.
func (c *registerCmd) Run(ctx context.Context, std stdio) (err error) {
	config, err := c.config(newLogger(std.err))
	if err != nil {
		return err
	}
	if c.Check {
		return c.check(ctx, std)
	}
	// The machine of a till has other work to do, so the heap is collected sooner rather than
	// grown. This is no hard limit.
	debug.SetMemoryLimit(registerMemory)
	listener, err := listenLoopback(c.Listen)
	if err != nil {
		return err
	}
	r, err := register.Open(ctx, config)
	if errors.Is(err, register.ErrIdentity) {
		err = hinted{err, "put both files back from a copy of this directory; or keep the directory, start with an empty one and a new code ('posnode hq code " +
			c.Name.String() + "'), and activate the register anew (operation 707)"}
	}
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	if c.Reference != "" {
		if err := importReference(ctx, r, c.Reference, std); err != nil {
			return errors.Join(err, listener.Close())
		}
	}
	fmt.Fprintf(std.out, "register %s is up on http://%s\n", c.Name, listener.Addr())
	if r.WaitsForActivation() {
		fmt.Fprintln(std.out, "it waits for its activation: operation 707, with the code that head office made")
	}
	if damage := r.Damage(); damage != nil {
		fmt.Fprintf(std.err, "posnode: warning: %v; this register can be read, and sells no more\n", damage)
	}
	return serve(ctx, listener, web.Register(r, config.Logger, c.LocalReaders))
}

// check verifies the journal of a stopped register as an auditor does. It reads a copy, because the
// node's own start cuts off the entries behind a damaged one.
func (c *registerCmd) check(ctx context.Context, std stdio) error {
	return (&auditVerifyCmd{auditedArg: auditedArg{journalArg: journalArg{Path: c.Data}}}).Run(ctx, std)
}

func importReference(ctx context.Context, r *register.Register, path string, std stdio) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	report, err := r.Reference().Import(ctx, f, time.Now(), false)
	if errors.Is(err, projections.ErrFromHeadOffice) {
		fmt.Fprintf(std.err, "posnode: warning: %s is not imported: %v\n", path, projections.ErrFromHeadOffice)
		return nil
	}
	for _, e := range report.Problems {
		fmt.Fprintf(std.err, "posnode: %s:%d: %s\n", path, e.Line, e.What)
	}
	return err
}

// listenLoopback listens on a loopback address, so that only this machine can reach it. The API
// trusts the person at the till.
func listenLoopback(addr string) (net.Listener, error) {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, fmt.Errorf("listen on %q: %w", addr, err)
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return nil, hinted{fmt.Errorf("listen on %q: not a loopback address", addr), "use 127.0.0.1 or localhost"}
	}
	return net.Listen("tcp", addr)
}

// serve answers requests until ctx ends. Requests that have begun may take 10 seconds more.
func serve(ctx context.Context, listener net.Listener, handler http.Handler) error {
	// The context of requests ends with ctx, so that event streams end.
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 32 << 10, BaseContext: func(net.Listener) context.Context { return ctx }}
	stopped := make(chan error, 1)
	go func() {
		<-ctx.Done()
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		stopped <- server.Shutdown(end)
	}()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return <-stopped
}

func newLogger(w io.Writer) *slog.Logger {
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: slog.LevelWarn}))
}
