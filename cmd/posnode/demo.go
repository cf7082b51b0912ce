package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"

	"github.com/posnode/posnode/events"
	"github.com/posnode/posnode/hq"
	"github.com/posnode/posnode/ledger"
	"github.com/posnode/posnode/register"
	"github.com/posnode/posnode/replay"
	"github.com/posnode/posnode/web"
)

// demoCmd shows the main job from end to end.
type demoCmd struct {
	Sales  []string `type:"existingfile" placeholder:"FILE" help:"Real invoices instead of the built-in shop, .csv or .csv.gz; repeatable."`
	Strict bool     `help:"End at the first line of a file that cannot be read."`
	Data   string   `type:"path" placeholder:"DIR" help:"Keep the data directories here; a temporary directory if absent."`
	Serve  bool     `help:"Stay up afterwards, and print the addresses."`
	JSON   bool     `name:"json" help:"Print the summary as one JSON object."`
}

// Run runs the demo: sell, cut the link, sell on, restore the link, compare.
func (c *demoCmd) Run(ctx context.Context, std stdio) (err error) {
	bad := []unreadable{}
	invoices, shop, err := c.invoices(&bad)
	if err != nil {
		return err
	}
	for _, u := range bad {
		fmt.Fprintf(std.err, "posnode: warning: %v\n", u)
	}
	dir := c.Data
	if dir == "" {
		if dir, err = os.MkdirTemp("", "posnode-demo-"); err != nil {
			return err
		}
		defer os.RemoveAll(dir)
	}
	began := time.Now()
	d, err := openDemo(ctx, dir, shop, newLogger(std.err))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.close()) }()
	d.progress = newProgress(std.err, len(invoices))
	if err := d.sell(ctx, invoices); err != nil {
		return err
	}
	if err := d.waitForHQ(ctx); err != nil {
		return err
	}
	s, err := d.summarize(ctx, len(invoices))
	if err != nil {
		return err
	}
	s.Unreadable, s.Seconds = bad, time.Since(began).Round(time.Millisecond).Seconds()
	if c.JSON {
		err = printJSON(std.out, s)
	} else {
		s.print(std.out)
	}
	if err != nil || !c.Serve {
		return errors.Join(err, s.verdict())
	}
	return d.serve(ctx, std)
}

// invoices returns the invoices that the demo sells, and the reference data of a shop that sells
// their products.
func (c *demoCmd) invoices(bad *[]unreadable) (all []*invoice, shop []byte, err error) {
	if len(c.Sales) == 0 {
		return builtInInvoices(), shopData, nil
	}
	for _, path := range c.Sales {
		invoices, err := readInvoices(path, func(u unreadable) { *bad = append(*bad, u) })
		if err != nil {
			return nil, nil, err
		}
		all = append(all, invoices...)
	}
	if c.Strict && len(*bad) > 0 {
		return nil, nil, fmt.Errorf("%w (%d lines cannot be read)", (*bad)[0], len(*bad))
	}
	return all, keyedShop(all), nil
}

// demo is a head office and its registers in one process.
type demo struct {
	hq       *hq.HQ
	tills    []*till
	progress func()
}

// till is one register with its cashier.
type till struct {
	*register.Register
	dir     string
	refused []refusedLine
}

// refusedLine is an invoice line that a till refused, with the reason.
type refusedLine struct {
	Invoice string `json:"invoice"`
	Line    int    `json:"line"` // of the file
	Code    string `json:"code"`
	Reason  string `json:"reason"`
}

var demoRegisters = []events.Register{{Store: "s001", ID: "r01"}, {Store: "s001", ID: "r02"}}

// openDemo starts head office and the registers. It signs a cashier on at each register and opens a
// shift.
func openDemo(ctx context.Context, dir string, shop []byte, log *slog.Logger) (d *demo, err error) {
	d = &demo{}
	defer func() {
		if err != nil {
			err = errors.Join(err, d.close())
		}
	}()
	d.hq, err = hq.Open(ctx, hq.Config{Dir: filepath.Join(dir, "hq"), ListenLeaf: "127.0.0.1:0", Clock: time.Now, Logger: log})
	if err != nil {
		return d, err
	}
	// Head office imports the shop. The registers receive it over the link, as every register does.
	if report, err := d.hq.Import(ctx, bytes.NewReader(shop), hq.ImportOptions{}); err != nil {
		return d, fmt.Errorf("%w: %v", err, report.Problems)
	}
	for _, name := range demoRegisters {
		t := &till{dir: filepath.Join(dir, name.String())}
		creds := filepath.Join(dir, name.String()+".creds")
		raw, err := hq.Enroll(filepath.Join(dir, "hq"), name)
		if err != nil {
			return d, err
		}
		if err := os.WriteFile(creds, raw, 0o600); err != nil {
			return d, err
		}
		t.Register, err = register.Open(ctx, register.Config{
			Dir: t.dir, Register: name, HQ: d.hq.LeafURL(), Creds: creds,
			Reconnect: 50 * time.Millisecond, Zone: time.Local, Clock: time.Now, Logger: log,
		})
		if err != nil {
			return d, err
		}
		d.tills = append(d.tills, t)
	}
	for _, t := range d.tills {
		if err := waitFor(ctx, "the shop's data from head office", func() bool { _, err := t.Reference().Store(ctx); return err == nil }); err != nil {
			return d, err
		}
		if err := t.open(ctx); err != nil {
			return d, err
		}
	}
	return d, nil
}

func (d *demo) close() error {
	var errs []error
	for _, t := range d.tills {
		errs = append(errs, t.Close())
	}
	if d.hq != nil {
		errs = append(errs, d.hq.Close())
	}
	return errors.Join(errs...)
}

// sell deals the invoices to the registers in turn. Each register's link is cut in the middle of
// its middle invoice, and restored after three quarters of its invoices.
func (d *demo) sell(ctx context.Context, invoices []*invoice) error {
	var wait sync.WaitGroup
	errs := make([]error, len(d.tills))
	for i, t := range d.tills {
		var mine []*invoice
		for n := i; n < len(invoices); n += len(d.tills) {
			mine = append(mine, invoices[n])
		}
		wait.Go(func() { errs[i] = t.sell(ctx, mine, d.progress) })
	}
	wait.Wait()
	return errors.Join(errs...)
}

func (t *till) sell(ctx context.Context, invoices []*invoice, progress func()) error {
	for i, inv := range invoices {
		middle := func() error { return nil }
		if i == len(invoices)/2 {
			middle = func() error { return t.SetLink(false) }
		}
		if i == len(invoices)*3/4 {
			if err := t.restoreLink(ctx); err != nil {
				return err
			}
		}
		if err := t.sellInvoice(ctx, inv, middle); err != nil {
			return fmt.Errorf("invoice %s: %w", inv.number, err)
		}
		progress()
	}
	// With very few invoices the loop may not have restored the link.
	return t.restoreLink(ctx)
}

// restoreLink allows the link again and waits until it is up.
func (t *till) restoreLink(ctx context.Context) error {
	if err := t.SetLink(true); err != nil {
		return err
	}
	return waitFor(ctx, "the link to head office", t.Linked)
}

// sellInvoice sells and returns an invoice's lines and takes the money. If the till refuses a line,
// the invoice is voided and the line is listed.
func (t *till) sellInvoice(ctx context.Context, inv *invoice, middle func() error) error {
	for i, line := range inv.lines {
		if i == len(inv.lines)/2 {
			if err := middle(); err != nil {
				return err
			}
		}
		operation, quantity := 100, line.quantity
		if quantity.Sign() < 0 {
			operation, quantity = 109, quantity.Neg()
		}
		params := map[string]any{"product": line.product, "quantity": quantity}
		if line.keyed {
			params["price"], params["description"] = line.price, shorten(line.description, 120)
		}
		_, err := t.do(ctx, operation, params)
		if refusal, ok := errors.AsType[*ledger.Refusal](err); ok {
			t.refused = append(t.refused, refusedLine{inv.number, line.at, refusal.Code, refusal.Why})
			if i > 0 {
				_, err = t.do(ctx, 500, nil)
				return err
			}
			return nil
		}
		if err != nil {
			return err
		}
	}
	_, err := t.do(ctx, 206, nil)
	if refusal, ok := errors.AsType[*ledger.Refusal](err); ok && refusal.Code == "nothing_due" {
		_, err = t.do(ctx, 139, nil)
	}
	return err
}

// shorten cuts s to at most n characters.
func shorten(s string, n int) string {
	if r := []rune(s); len(r) > n {
		return string(r[:n])
	}
	return s
}

// open signs the cashier on and opens a shift with its float.
func (t *till) open(ctx context.Context) error {
	for _, step := range []struct {
		operation int
		params    map[string]any
	}{
		{700, map[string]any{"staff": demoStaff, "pin": demoPIN}},
		{1050, nil},
		{1200, map[string]any{"amount": 10000}},
	} {
		if _, err := t.do(ctx, step.operation, step.params); err != nil {
			return fmt.Errorf("operation %d: %w", step.operation, err)
		}
	}
	return nil
}

// do carries out one operation as a client does, with a new idempotency key.
func (t *till) do(ctx context.Context, operation int, params map[string]any) (ledger.Answer, error) {
	if params == nil {
		params = map[string]any{}
	}
	body, err := json.Marshal(params)
	if err != nil {
		return ledger.Answer{}, err
	}
	return t.Do(ctx, register.Request{Operation: operation, Key: events.CommandKey(ulid.Make().String()), Body: body, Staff: demoStaff})
}

// waitForHQ returns when head office has verified every entry of every register.
func (d *demo) waitForHQ(ctx context.Context) error {
	var failed error
	err := waitFor(ctx, "every entry at head office", func() bool {
		journals, err := d.hq.Journals(ctx)
		if err != nil {
			failed = err
			return true
		}
		at := map[string]uint64{}
		for _, j := range journals {
			at[j.Register] = j.Head.Sequence
		}
		for _, t := range d.tills {
			if v := t.View(); at[v.Register.String()] < v.Head.Sequence {
				return false
			}
		}
		return true
	})
	return errors.Join(err, failed)
}

// waitFor polls until done, or gives up after two minutes.
func waitFor(ctx context.Context, what string, done func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	for !done() {
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for %s: %w", what, ctx.Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
	return nil
}

// summary is the output of the demo. Its JSON form is a contract.
type summary struct {
	Registers   int           `json:"registers"`
	Invoices    int           `json:"invoices"`
	Concluded   int           `json:"concluded"`
	Refused     []refusedLine `json:"refused"`
	Unreadable  []unreadable  `json:"unreadable"`
	Entries     int           `json:"entries"`
	EntriesAtHQ int           `json:"entries_at_hq"`
	Lost        int           `json:"lost"`
	Duplicated  int           `json:"duplicated"`
	Sales       string        `json:"sales"`
	Returns     string        `json:"returns"`
	Net         string        `json:"net"`
	ModeChanges int           `json:"mode_changes"`
	ChainOK     bool          `json:"chain_ok"`
	Seconds     float64       `json:"seconds"`

	offlineSales int // concluded while offline
	currency     string
}

// summarize compares the registers' journals with the entries that head office received, entry by
// entry. It also verifies every hash chain.
func (d *demo) summarize(ctx context.Context, invoices int) (*summary, error) {
	s := &summary{Registers: len(d.tills), Invoices: invoices, Refused: []refusedLine{}, Unreadable: []unreadable{}, ChainOK: true}
	received, err := d.received(ctx)
	if err != nil {
		return nil, err
	}
	for _, t := range d.tills {
		s.Refused = append(s.Refused, t.refused...)
		if err := s.compare(ctx, t, received); err != nil {
			return nil, err
		}
	}
	for _, n := range received {
		s.EntriesAtHQ++
		s.Duplicated += n - 1
	}
	findings, err := d.hq.Findings(ctx)
	if err != nil {
		return nil, err
	}
	s.ChainOK = s.ChainOK && len(findings) == 0
	return s, s.addDays(ctx, d.hq)
}

// received counts how often each entry arrived, by its hash.
func (d *demo) received(ctx context.Context) (map[events.Digest]int, error) {
	counts := map[events.Digest]int{}
	err := d.hq.Received(ctx, func(m events.Message) { counts[events.Hash(m.Body)]++ })
	return counts, err
}

// compare adds one register's journal to the summary.
func (s *summary) compare(ctx context.Context, t *till, received map[events.Digest]int) error {
	source := t.Journal()
	err := source.Read(ctx, 1, func(m events.Message) error {
		s.Entries++
		if received[events.Hash(m.Body)] == 0 {
			s.Lost++
		}
		entry, err := events.Decode(m.Body)
		if err != nil {
			return err
		}
		switch entry.Fact.(type) {
		case *events.ModeChanged:
			s.ModeChanges++
		case *events.SaleConcluded:
			if entry.Mode == events.Offline {
				s.offlineSales++
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	report, err := replay.Verify(ctx, journalSource{source}, replay.Options{})
	s.ChainOK = s.ChainOK && len(report.Findings) == 0
	return err
}

// addDays adds the sums of the days. It takes them from head office's books, not from the
// registers.
func (s *summary) addDays(ctx context.Context, h *hq.HQ) error {
	days, err := h.Days(ctx)
	if err != nil {
		return err
	}
	var sales, returns events.Money
	for _, day := range days {
		s.Concluded += day.Concluded
		sales += day.Sales
		returns += day.Returns
		s.currency = day.Currency
	}
	s.Sales, s.Returns, s.Net = sales.Decimal(2), returns.Decimal(2), (sales + returns).Decimal(2)
	return nil
}

// verdict returns an error if an entry is lost or duplicated, or if a chain is broken.
func (s *summary) verdict() error {
	if s.Lost != 0 || s.Duplicated != 0 || !s.ChainOK {
		return errIntegrity
	}
	return nil
}

func (s *summary) print(w io.Writer) {
	fmt.Fprintf(w, "\n%d registers sold %d of %d invoices", s.Registers, s.Concluded, s.Invoices)
	fmt.Fprintf(w, ", %d of them with the link to head office cut.\n\n", s.offlineSales)
	for _, row := range [][2]string{
		{"sales", s.Sales}, {"returns", s.Returns}, {"net", s.Net},
	} {
		fmt.Fprintf(w, "  %-20s %15s %s\n", row[0], row[1], s.currency)
	}
	fmt.Fprintln(w)
	fmt.Fprintf(w, "  %-20s %15d\n", "entries recorded", s.Entries)
	fmt.Fprintf(w, "  %-20s %15d\n", "at head office", s.EntriesAtHQ)
	fmt.Fprintf(w, "  %-20s %15d\n", "lost", s.Lost)
	fmt.Fprintf(w, "  %-20s %15d\n", "twice", s.Duplicated)
	fmt.Fprintf(w, "  %-20s %15s\n", "hash chains", map[bool]string{true: "sound", false: "BROKEN"}[s.ChainOK])
	fmt.Fprintf(w, "  %-20s %15d\n", "mode changes", s.ModeChanges)
	fmt.Fprintf(w, "  %-20s %14.1fs\n", "took", s.Seconds)
	if len(s.Refused) > 0 {
		fmt.Fprintf(w, "\n%d invoices were refused:\n", len(s.Refused))
	}
	for _, r := range s.Refused {
		fmt.Fprintf(w, "  %s (line %d): %s\n", r.Invoice, r.Line, r.Reason)
	}
	fmt.Fprintln(w)
}

// serve serves the pages and APIs of head office and of the registers until ctx ends.
func (d *demo) serve(ctx context.Context, std stdio) error {
	ctx, stop := context.WithCancel(ctx) // if one cannot be served, all stop
	defer stop()
	var wait sync.WaitGroup
	errs := make([]error, 1+len(d.tills))
	for i := range errs {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		var handler http.Handler
		if log := newLogger(std.err); i == 0 {
			token := rand.Text()
			handler = web.HQ(d.hq, token, log)
			fmt.Fprintf(std.out, "head office:       http://%s/ (token %s)\n", listener.Addr(), token)
		} else {
			handler = web.Register(d.tills[i-1].Register, log, false)
			fmt.Fprintf(std.out, "register %s: http://%s/connection\n", d.tills[i-1].View().Register, listener.Addr())
		}
		wait.Go(func() { errs[i] = serve(ctx, listener, handler) })
	}
	fmt.Fprintf(std.out, "Staff %s signs on with PIN %s. Each address has an API, described at /openapi.json. Ctrl-C ends the demo.\n", demoStaff, demoPIN)
	wait.Wait()
	return errors.Join(errs...)
}

// newProgress returns a function that advances a progress bar. If w is no terminal, the function
// does nothing.
func newProgress(w io.Writer, total int) func() {
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return func() {}
	}
	bar := progressbar.NewOptions(total, progressbar.OptionSetWriter(w), progressbar.OptionSetDescription("selling"), progressbar.OptionClearOnFinish())
	var mu sync.Mutex
	return func() {
		mu.Lock()
		defer mu.Unlock()
		_ = bar.Add(1)
	}
}
