package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os/user"
	"slices"
	"strconv"
	"strings"

	"github.com/posnode/posnode/events"
	"github.com/posnode/posnode/hq"
	"github.com/posnode/posnode/web"
)

// post sends a POST request with a JSON body to the running head office.
func (c runningHQ) post(ctx context.Context, path string, in, out any) error {
	raw, err := json.Marshal(in)
	if err != nil {
		return err
	}
	return c.call(ctx, http.MethodPost, path, bytes.NewReader(raw), out)
}

type hqClosePeriodCmd struct {
	runningHQ
	From    string            `arg:"" placeholder:"FROM" help:"First business date, YYYY-MM-DD."`
	To      string            `arg:"" placeholder:"TO" help:"Last business date."`
	Without map[string]string `placeholder:"STORE-REGISTER=WHY" help:"Leave out a register that can never be complete, as when it was destroyed. Stands in the record. Repeatable."`
	JSON    bool              `name:"json" help:"Print the record as a JSON object."`
}

// Run closes the period, or returns an error that lists the missing days and registers.
func (c *hqClosePeriodCmd) Run(ctx context.Context, std stdio) error {
	var leftOut []events.LeftOut
	for name, why := range c.Without {
		r, err := events.ParseRegister(name)
		if err != nil {
			return fmt.Errorf("--without: %w", err)
		}
		leftOut = append(leftOut, events.LeftOut{Of: r, Why: why})
	}
	var closed events.PeriodClosed
	err := c.post(ctx, "/v1/periods", map[string]any{"from": c.From, "to": c.To, "left_out": leftOut}, &closed)
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(std.out, closed)
	}
	fmt.Fprintf(std.out, "%s to %s is closed: %d certificates, digest %s\n", closed.From, closed.To, closed.Certificates, closed.Digest)
	for _, r := range closed.Registers {
		for _, s := range r.Sums {
			fmt.Fprintf(std.out, "%s  %s  %d transactions  sales %d  returns %d  tax %d (minor units)\n", r.Of, s.Currency, s.Transactions, s.Sales, s.Returns, s.Tax)
		}
	}
	for _, r := range closed.Registers {
		printWithout(std.out, r.Of.String()+" is closed", r.Without)
	}
	for _, l := range closed.LeftOut {
		fmt.Fprintf(std.out, "%s is left out: %s\n", l.Of, l.Why)
	}
	return nil
}

// printWithout prints the accepted findings that a statement leaves out, one a line.
func printWithout(w io.Writer, what string, all []events.Excluded) {
	for _, e := range all {
		fmt.Fprintf(w, "%s without %s %s, %d entries, %s", what, e.Kind, e.Range, e.Len(), e.Got)
		if e.Why != "" {
			fmt.Fprintf(w, ": %s (%s)", e.Why, or(e.Who, "unknown"))
		}
		fmt.Fprintln(w)
	}
}

type hqCertificateCmd struct {
	runningHQ
	Name registerName `arg:"" placeholder:"STORE-REGISTER" help:"Which register."`
	Date string       `arg:"" placeholder:"DATE" help:"Business date, YYYY-MM-DD."`
}

// Run prints the certificate, or returns an error that lists the obstacles.
func (c *hqCertificateCmd) Run(ctx context.Context, std stdio) error {
	var out web.Certified
	if err := c.call(ctx, http.MethodGet, "/v1/certificates/"+c.Name.String()+"/"+c.Date, nil, &out); err != nil {
		return err
	}
	if out.Certificate == nil {
		var all []string
		for _, o := range out.Obstacles {
			all = append(all, o.String())
		}
		return errors.New("no certificate: " + strings.Join(all, "; "))
	}
	_, err := io.WriteString(std.out, out.Certificate.Note)
	return err
}

type hqAcceptFindingCmd struct {
	runningHQ
	ID  int64  `arg:"" help:"Number of the finding, as 'posnode hq findings' lists it."`
	Why string `arg:"" help:"What was found out about it."`
	Who string `placeholder:"NAME" help:"Who accepts it; the user of this machine if absent."`
}

// Run records the acceptance.
func (c *hqAcceptFindingCmd) Run(ctx context.Context, std stdio) error {
	if err := c.post(ctx, "/v1/findings/"+strconv.FormatInt(c.ID, 10)+"/accept", map[string]string{"why": c.Why, "who": operator(c.Who)}, nil); err != nil {
		return err
	}
	fmt.Fprintf(std.out, "finding %d is accepted\n", c.ID)
	return nil
}

// operator returns the name that was given, or else the name of the machine's user.
func operator(name string) string {
	if name != "" {
		return name
	}
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return ""
}

// hqFindingsCmd lists the findings of head office's verification.
type hqFindingsCmd struct {
	runningHQ
	All  bool `help:"Those too that are resolved or accepted."`
	JSON bool `name:"json" help:"Print JSON."`
}

// Run prints each finding as a paragraph, because its hashes are too long for a table.
func (c *hqFindingsCmd) Run(ctx context.Context, std stdio) error {
	var all []hq.Finding
	if err := c.call(ctx, http.MethodGet, "/v1/findings", nil, &all); err != nil {
		return err
	}
	if !c.All {
		all = slices.DeleteFunc(all, func(f hq.Finding) bool { return f.Resolved != "" })
	}
	if c.JSON {
		return printJSON(std.out, all)
	}
	for _, f := range all {
		fmt.Fprintf(std.out, "%d  %s  %s epoch %d %s  found %s\n", f.ID, f.Kind, f.Register, f.Epoch, place(f), f.Found)
		fmt.Fprintf(std.out, "   want  %s\n   got   %s\n", f.Want, or(f.Got, "nothing"))
		if f.Resolved != "" {
			fmt.Fprintf(std.out, "   %s, %s\n", f.How, f.Resolved)
		}
	}
	missing, err := c.printMissing(ctx, std.out)
	if err == nil && len(all) == 0 && !missing {
		fmt.Fprintln(std.out, "nothing is open")
	}
	return err
}

// printMissing names the registers of which something is missing that is no finding, for it may still be on its way.
func (c *hqFindingsCmd) printMissing(ctx context.Context, w io.Writer) (missing bool, err error) {
	var registers []hq.RegisterStatus
	if err := c.call(ctx, http.MethodGet, "/v1/registers", nil, &registers); err != nil {
		return false, err
	}
	for _, r := range registers {
		switch {
		case len(r.Missing) > 0:
			fmt.Fprintf(w, "%s: entries %v are missing\n", r.Register, r.Missing)
		case r.Announced > r.Verified:
			fmt.Fprintf(w, "%s: it has announced %d entries of epoch %d, and %d are verified\n", r.Register, r.Announced, r.Epoch, r.Verified)
		case r.Received == 0:
			fmt.Fprintf(w, "%s: nothing of epoch %d has come\n", r.Register, r.Epoch)
		default:
			continue
		}
		missing = true
	}
	return missing, nil
}

// place describes the entries that a finding is about.
func place(f hq.Finding) string {
	out := fmt.Sprintf("entry %d", f.Sequence)
	if f.Through > f.Sequence {
		out = fmt.Sprintf("entries %d..%d (%d)", f.Sequence, f.Through, f.Through-f.Sequence+1)
	}
	if f.Leaves != "" {
		out += fmt.Sprintf(", leaving after entry %d %s", f.Sequence-1, f.Leaves)
	}
	return out
}

type hqPublicKeyCmd struct{ runningHQ }

// Run prints the key.
func (c *hqPublicKeyCmd) Run(ctx context.Context, std stdio) error {
	var out struct{ Key string }
	if err := c.call(ctx, http.MethodGet, "/v1/key", nil, &out); err != nil {
		return err
	}
	fmt.Fprintln(std.out, out.Key)
	return nil
}

// auditCertificateCmd checks a certificate. It needs nothing but head office's public key.
type auditCertificateCmd struct {
	File    string `arg:"" type:"existingfile" help:"A certificate, as 'posnode hq certificate' prints it."`
	Key     string `required:"" placeholder:"KEY" help:"Head office's public key."`
	Journal string `placeholder:"PATH" help:"The register's journal, a bundle or the data directory of a stopped register: must have what is certified."`
}

// Run checks the signature, prints the content of the certificate, and compares it with a journal
// if one is given.
func (c *auditCertificateCmd) Run(ctx context.Context, std stdio) error {
	note, err := readGiven(c.File)
	if err != nil {
		return err
	}
	certificate, err := hq.OpenCertificate(string(note), c.Key)
	if err != nil {
		return err
	}
	fmt.Fprintf(std.out, "head office holds all that %s recorded on %s\n", certificate.Register, certificate.Date)
	verify := auditVerifyCmd{auditedArg: auditedArg{journalArg: journalArg{Path: c.Journal}}}
	for _, covered := range certificate.Covered {
		fmt.Fprintf(std.out, "entries %s, the last %s\n", covered.Range, covered.Hash)
		verify.Head = append(verify.Head, knownHeads{[]events.Head{{Epoch: covered.Epoch, Sequence: covered.To, Hash: covered.Hash}}})
	}
	for _, s := range certificate.Sums {
		fmt.Fprintf(std.out, "%s  %d transactions  sales %d  returns %d  tax %d (minor units)\n", s.Currency, s.Transactions, s.Sales, s.Returns, s.Tax)
	}
	printWithout(std.out, "certified", certificate.Without)
	if c.Journal == "" {
		return nil
	}
	return verify.Run(ctx, std)
}
