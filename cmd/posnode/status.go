package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/posnode/posnode/embedded"
	"github.com/posnode/posnode/register"
	"github.com/posnode/posnode/web"
)

// statusCmd prints the status of a running register and of its link to head office.
type statusCmd struct {
	At   string `default:"http://127.0.0.1:8085" placeholder:"URL" help:"Where the register's API is; http://127.0.0.1:8085 if absent."`
	JSON bool   `name:"json" help:"Print what GET /v1/status answers."`
}

// maxStatus is the largest answer in bytes that is read. The server at that address may be no
// register.
const maxStatus = 8 << 20

// Run asks the register for its status and prints the answer.
func (c *statusCmd) Run(ctx context.Context, std stdio) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(c.At, "/")+"/v1/status", nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return hinted{fmt.Errorf("reach the register: %w", err), "is it running, and is --at its address?"}
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(resp.Body, maxStatus))
	if err != nil {
		return fmt.Errorf("read the register's status: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		var p web.Problem
		if json.Unmarshal(raw, &p) == nil && p.Code != "" {
			return hinted{&p, p.Instead}
		}
		return fmt.Errorf("the register answered %s", resp.Status)
	}
	var s register.Status
	if err := json.Unmarshal(raw, &s); err != nil {
		return fmt.Errorf("read the register's status: %w", err)
	}
	if c.JSON {
		return printJSON(std.out, json.RawMessage(raw))
	}
	return printStatus(std.out, &s)
}

// printStatus prints the status for a person.
func printStatus(w io.Writer, s *register.Status) error {
	out := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	row := func(name, format string, args ...any) {
		fmt.Fprintf(out, "%s\t%s\n", name, fmt.Sprintf(format, args...))
	}
	at := func(t time.Time) string {
		if t.IsZero() {
			return "never"
		}
		return t.UTC().Format(time.RFC3339)
	}
	row("register", "%s, version %s", s.Register, s.Version)
	row("key", "%s, of epoch %d", s.KeyFingerprint, s.Head.Epoch)
	row("mode", "%s", s.Mode)
	if s.Connection.Cause != "" {
		row("cause", "%s", strings.TrimSuffix(fmt.Sprintf("%s: %s", s.Connection.Cause, s.Connection.Detail), ": ")) // by hand there is no more to say
		row("since", "%s", s.Connection.At)
	}
	if s.Connection.Manual {
		row("disconnected", "by hand, until operation 917")
	}
	if s.HQ.Configured {
		link := "down"
		if s.HQ.LinkUp {
			link = "up"
		}
		row("retail server", "%s, link %s since %s", s.HQ.URL, link, at(s.HQ.Since))
		row("link protected by", "%s", protectionWords(s.HQ.Protection))
		row("last attempt", "%s %s %s", at(s.HQ.Attempted), s.HQ.Outcome, s.HQ.Detail)
		if !s.HQ.NextAttempt.IsZero() {
			row("next attempt", "at the beginning of a transaction, not before %s", at(s.HQ.NextAttempt))
		}
		if s.HQ.ClockAhead != nil {
			row("clock of head office", "%+.3f s", *s.HQ.ClockAhead)
		}
		row("head office", "version %s, heard of last %s: it has verified %d of %d entries", or(s.HQ.Version, "unknown"), at(s.HQ.Contact), s.HQ.Marked, s.Head.Sequence)
		for _, finding := range s.HQ.Findings {
			row("finding of head office", "%s", finding)
		}
		row("not yet at head office", "%d entries, %d bytes, oldest %s", s.Unsent.Entries, s.Unsent.Bytes, at(s.Unsent.Oldest))
		row("offline profile", "%s: time-out %d ms, reconnect after %d s", or(s.Profile.Version, "without a version"), s.Profile.TimeoutMillis, s.Profile.ReconnectSeconds)
	} else {
		row("retail server", "none: this register stands alone")
	}
	switch {
	case !s.HQ.Configured:
		row("reference data", "imported here, the newest %s", at(s.Synchronised.Current))
	case s.Synchronised.Attempted.IsZero():
		row("last synchronisation", "none yet; current as of %s", at(s.Synchronised.Current))
	default:
		row("last synchronisation", "%s: %s; current as of %s", at(s.Synchronised.Attempted), s.Synchronised.Result, at(s.Synchronised.Current))
	}
	for _, kind := range s.Reference {
		row("  "+kind.Kind, "%d as of %s", kind.Count, at(kind.Time))
	}
	row("offline database", "entry %d of %d", s.Offline.Sequence, s.Head.Sequence)
	for _, warning := range s.Warnings {
		row("warning", "%s", warning)
	}
	if s.Damage != nil {
		row("damage", "%v", s.Damage)
	}
	return out.Flush()
}

// protectionWords returns a link's protection in words for a person.
func protectionWords(p embedded.Protection) string {
	switch p {
	case embedded.ProtectedByTLS:
		return "TLS"
	case embedded.ProtectedByLoopback:
		return "staying on this machine"
	case embedded.Unprotected:
		return "nothing: it is plain text"
	}
	return "unknown" // the register is of an earlier version
}

func or(s, instead string) string {
	if s == "" {
		return instead
	}
	return s
}
