package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/posnode/posnode/embedded"
	"github.com/posnode/posnode/hq"
)

// hqCodeCmd makes an activation code.
type hqCodeCmd struct {
	runningHQ
	Name      registerName  `arg:"" placeholder:"STORE-REGISTER" help:"Which register, such as s001-r01."`
	Valid     time.Duration `default:"24h" help:"How long the code can be used; 720h at most."`
	Bootstrap string        `type:"path" placeholder:"FILE" help:"Where the credentials go by which a register that has none asks to be activated: 'posnode register --bootstrap FILE'."`
	JSON      bool          `name:"json" help:"Print JSON."`
}

// Run prints the code. The code is stored nowhere, so it can be printed only once.
func (c *hqCodeCmd) Run(ctx context.Context, std stdio) error {
	var code hq.Code
	in := strings.NewReader(fmt.Sprintf(`{"valid_seconds":%d}`, int(c.Valid.Seconds())))
	if err := c.call(ctx, http.MethodPost, "/v1/registers/"+c.Name.String()+"/code", in, &code); err != nil {
		return err
	}
	if c.Bootstrap != "" {
		if err := embedded.WriteFileDurably(c.Bootstrap, []byte(code.Bootstrap)); err != nil {
			return err
		}
	}
	if c.JSON {
		return json.NewEncoder(std.out).Encode(code)
	}
	fmt.Fprintf(std.out, "%s\nactivates %s once, until %s (operation 707)\n", code.Code, c.Name, code.Expires)
	return nil
}

// hqConfirmKeyCmd has head office believe a key again that it let in before it was put back from a backup.
type hqConfirmKeyCmd struct {
	runningHQ
	Name registerName `arg:"" placeholder:"STORE-REGISTER" help:"Which register, such as s001-r01."`
	Key  string       `arg:"" placeholder:"FINGERPRINT" help:"Of the register's key, as 'posnode status' shows it at the register."`
	Who  string       `placeholder:"NAME" help:"Who has compared it; the user of this machine if absent."`
}

// Run records it.
func (c *hqConfirmKeyCmd) Run(ctx context.Context, std stdio) error {
	var out struct{ Epoch int }
	if err := c.post(ctx, "/v1/registers/"+c.Name.String()+"/confirm-key", map[string]string{"key": c.Key, "who": operator(c.Who)}, &out); err != nil {
		return err
	}
	fmt.Fprintf(std.out, "the key of %s in epoch %d is confirmed\n", c.Name, out.Epoch)
	return nil
}

// hqRevokeCmd shuts a register out, whether it was activated or enrolled.
type hqRevokeCmd struct {
	runningHQ
	Name registerName `arg:"" placeholder:"STORE-REGISTER" help:"Which register, such as s001-r01."`
	Why  string       `help:"For whoever reads head office's journal."`
}

// Run revokes the register's credentials and warns of a name that head office has never heard from.
func (c *hqRevokeCmd) Run(ctx context.Context, std stdio) error {
	in, err := json.Marshal(map[string]string{"why": c.Why})
	if err == nil {
		err = c.call(ctx, http.MethodPost, "/v1/registers/"+c.Name.String()+"/revoke", strings.NewReader(string(in)), nil)
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(std.out, "%s may not link any more; a new code lets it in again\n", c.Name)
	var heard []hq.RegisterStatus
	if err := c.call(ctx, http.MethodGet, "/v1/registers", nil, &heard); err != nil {
		return err
	}
	if !slices.ContainsFunc(heard, func(r hq.RegisterStatus) bool { return r.Register == c.Name.String() }) {
		fmt.Fprintf(std.out, "head office has never heard from %s: is that its name?\n", c.Name)
	}
	return nil
}

// hqExceptionsCmd lists the exceptions: facts of registers that do not fit together, such as an
// overdrawn gift card.
type hqExceptionsCmd struct {
	runningHQ
	JSON bool `name:"json" help:"Print JSON."`
}

// Run prints the exceptions, each with the facts that it is about.
func (c *hqExceptionsCmd) Run(ctx context.Context, std stdio) error {
	all := []hq.Exception{}
	if err := c.call(ctx, http.MethodGet, "/v1/exceptions", nil, &all); err != nil {
		return err
	}
	if c.JSON {
		return json.NewEncoder(std.out).Encode(all)
	}
	for _, e := range all {
		fmt.Fprintf(std.out, "%s  %s  %s  %s\n", e.Found, e.Kind, e.Key, e.Detail)
		for _, f := range e.Facts {
			fmt.Fprintf(std.out, "  %s epoch %d entry %d  %s  %s  %d\n", f.Register, f.Epoch, f.Sequence, f.Transaction, f.Time, f.Amount)
		}
	}
	if len(all) == 0 {
		fmt.Fprintln(std.out, "everything fits together")
	}
	return nil
}
