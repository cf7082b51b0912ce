package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/posnode/posnode/embedded"
	"github.com/posnode/posnode/events"
	"github.com/posnode/posnode/ledger"
	"github.com/posnode/posnode/projections"
	"github.com/posnode/posnode/replay"
)

// auditCmd groups the commands of an auditor. None of them writes to the files that it audits.
type auditCmd struct {
	Verify      auditVerifyCmd      `cmd:"" help:"Check everything that a journal says against everything else that it says, and report each finding. Exit code 3 for findings, 4 where the journal is sound and a file made from it is not."`
	Show        auditShowCmd        `cmd:"" help:"Print entries. Exit code 3 where the journal has findings."`
	Report      auditReportCmd      `cmd:"" help:"Print day totals, tenders, products sold and the trial balance, rebuilt from the journal."`
	At          auditAtCmd          `cmd:"" help:"Print the register's state, with its open transaction, as it was after one entry."`
	Export      auditExportCmd      `cmd:"" help:"Write a journal to a bundle."`
	Certificate auditCertificateCmd `cmd:"" help:"Check a certificate of head office, with its public key and perhaps with the journal."`
	Diff        auditDiffCmd        `cmd:"" help:"Find the first entry in which two journals differ, byte by byte; it verifies neither. Exit code 3 where they are two histories."`
}

// journalArg names a journal.
type journalArg struct {
	Path string `arg:"" help:"A bundle (.jsonl or .jsonl.zst), or the data directory of a stopped register."`
}

// audited is a journal that is open for an audit.
type audited struct {
	replay.Source
	dir      string             // the data directory, "" for a bundle
	register events.Register    // of a data directory
	skipped  []embedded.Skipped // files of its store that were not read
	close    func() error
}

func openAudited(ctx context.Context, path string) (audited, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return audited{}, fmt.Errorf("there is no journal at %s", path)
	}
	if err != nil {
		return audited{}, err
	}
	if !info.IsDir() {
		bundle, err := replay.OpenBundle(path)
		return audited{Source: bundle, close: func() error { return nil }}, err
	}
	store, err := embedded.OpenCopy(ctx, path)
	if errors.Is(err, embedded.ErrInUse) {
		return audited{}, hinted{err, "stop the node first, or audit a bundle"}
	}
	if err != nil {
		return audited{}, err
	}
	return audited{Source: storeSource{store}, dir: path, register: store.Register(), skipped: store.Skipped(), close: store.Close}, nil
}

// storeSource reads the journals of a store.
type storeSource struct{ *embedded.Copy }

// Read implements [replay.Source].
func (s storeSource) Read(ctx context.Context, yield func(int, events.Message) error) error {
	for _, epoch := range s.Epochs() {
		err := readAround(ctx, s.Journal(epoch), func(m events.Message) error { return yield(epoch, m) })
		if err != nil {
			return err
		}
	}
	return nil
}

// readAround reads a journal. It passes over each gap and goes on with the entry behind it.
func readAround(ctx context.Context, j *embedded.Journal, yield func(events.Message) error) error {
	for from := uint64(1); ; {
		err := j.Read(ctx, from, yield)
		gap, damaged := errors.AsType[*events.CorruptError](err)
		if !damaged || gap.Kind != replay.KindGap {
			return err
		}
		behind, more, err := j.Next(ctx, gap.Sequence+1)
		if err != nil {
			return err
		}
		if !more {
			last, err := j.Last(ctx)
			if err != nil {
				return err
			}
			return yield(events.Message{Sequence: last})
		}
		from = behind.Sequence
	}
}

type auditVerifyCmd struct {
	auditedArg
	JSON bool `name:"json" help:"Print a JSON object."`
}

// knownHeads are the heads that one --head names.
type knownHeads struct{ list []events.Head }

// UnmarshalText reads SEQ:HASH, EPOCH/SEQ:HASH, or the name of a file that holds a report.
func (k *knownHeads) UnmarshalText(b []byte) error {
	place, digest, ok := strings.Cut(string(b), ":")
	if !ok || len(digest) != 64 {
		return k.readFile(string(b))
	}
	h := events.Head{Epoch: 1}
	if epoch, sequence, ok := strings.Cut(place, "/"); ok {
		n, err := strconv.Atoi(epoch)
		if err != nil {
			return fmt.Errorf("epoch %q is not a number", epoch)
		}
		h.Epoch, place = n, sequence
	}
	var err error
	if h.Sequence, err = strconv.ParseUint(place, 10, 64); err != nil {
		return fmt.Errorf("sequence %q is not a number", place)
	}
	k.list = []events.Head{h}
	return k.list[0].Hash.UnmarshalText([]byte(digest))
}

func (k *knownHeads) readFile(path string) error {
	raw, err := readGiven(path)
	if err != nil {
		return err
	}
	var r replay.Report
	if err := json.Unmarshal(raw, &r); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if k.list = r.Heads; len(r.Heads) == 0 {
		return fmt.Errorf("%s names no heads", path)
	}
	return nil
}

// Run verifies the journal and the files beside it.
func (c *auditVerifyCmd) Run(ctx context.Context, std stdio) (err error) {
	j, err := openAudited(ctx, c.Path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, j.close()) }()
	v, err := c.verdict(ctx, j)
	if err != nil {
		return err
	}
	if c.JSON {
		err = printJSON(std.out, v)
	} else {
		err = v.print(std.out, c.Path)
	}
	return errors.Join(err, v.failure())
}

type auditShowCmd struct {
	auditedArg
	From        uint64               `placeholder:"SEQ" help:"First sequence, of each epoch."`
	Limit       int                  `placeholder:"N" help:"How many entries; 0 for all."`
	Type        string               `placeholder:"FACT" help:"Only facts of this stored name, such as sale.concluded.v1."`
	Transaction events.TransactionID `placeholder:"ID" help:"Only facts about this transaction."`
	JSON        bool                 `name:"json" help:"Print the entries exactly as stored, one per line."`
}

// Run prints the entries that pass the filters.
func (c *auditShowCmd) Run(ctx context.Context, std stdio) (err error) {
	j, err := openAudited(ctx, c.Path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, j.close()) }()
	report, err := c.verify(ctx, j)
	if err != nil {
		return err
	}
	told := std.out
	if c.JSON {
		told = std.err // standard output carries the stored entries and nothing else
	}
	unverified := sayUnverified(told, report)
	shown := 0
	tell := teller{w: std.out}
	err = replay.Show(ctx, j, func(body []byte, e *events.Entry, broken error) error {
		if e != nil {
			tell.learn(e.Fact)
		}
		if !c.wants(e) || c.JSON && body == nil {
			return nil
		}
		if c.JSON {
			_, err = fmt.Fprintf(std.out, "%s\n", body)
		} else {
			err = tell.entry(e, broken)
		}
		if shown++; err == nil && shown == c.Limit {
			return errShown
		}
		return err
	})
	if errors.Is(err, errShown) {
		err = nil
	}
	return errors.Join(err, unverified)
}

var errShown = errors.New("as many as were wanted")

// wants reports whether an entry passes the filters. A nil entry is one that cannot be decoded.
func (c *auditShowCmd) wants(e *events.Entry) bool {
	if e == nil {
		return c.From == 0 && c.Type == "" && c.Transaction == ""
	}
	return e.Head.Sequence >= c.From && (c.Type == "" || e.Type == c.Type) &&
		(c.Transaction == "" || e.Subject == string(c.Transaction))
}

// teller prints entries for a person.
type teller struct {
	w      io.Writer
	digits int // of the currency's minor unit
}

// learn remembers the number of digits of the currency. A fact states it once, and the facts after
// it do not repeat it.
func (t *teller) learn(fact events.Fact) {
	switch f := fact.(type) {
	case *events.ShiftOpened:
		t.digits = f.Digits
	case events.OfTransaction:
		if begins := f.Sale().Begins; begins != nil {
			t.digits = begins.Digits
		}
	}
}

func (t *teller) entry(e *events.Entry, broken error) error {
	if e == nil {
		_, err := fmt.Fprintf(t.w, "?\tundecodable: %v\n", broken)
		return err
	}
	_, err := fmt.Fprintf(t.w, "%d/%-7d %s  %-24s %-7s %s%s\n",
		e.Head.Epoch, e.Head.Sequence, e.Time.Format("2006-01-02 15:04:05.000"), e.Type, e.Mode, e.Subject, t.fact(e.Fact))
	return err
}

// fact returns the details of a fact for a printed line. The type and the subject of the entry are
// printed elsewhere.
func (t *teller) fact(fact events.Fact) string {
	money := func(m events.Money) string { return m.Decimal(t.digits) }
	switch f := fact.(type) {
	case *events.ModeChanged:
		return fmt.Sprintf(": %s to %s, %s", f.From, f.To, f.Cause)
	case *events.StaffLoggedOn:
		return ": " + f.Name
	case *events.SignOnRefused:
		return ": " + f.Code
	case *events.ShiftOpened:
		return fmt.Sprintf(": %s, staff %s", f.BusinessDate, f.Staff)
	case *events.StartAmountDeclared:
		return fmt.Sprintf(": %s %s", money(f.Amount), f.Tender)
	case *events.LineTurned:
		return fmt.Sprintf(": line %d, %s", f.Line, f.Quantity)
	case *events.FloatAdded:
		return fmt.Sprintf(": %s %s", money(f.Amount), f.Tender)
	case *events.TenderRemoved:
		return fmt.Sprintf(": %s %s", money(f.Amount), f.Tender)
	case *events.SafeDropped:
		return ": " + plural(len(f.Amounts), "amount")
	case *events.BankDropped:
		return fmt.Sprintf(": bag %s, %s", f.Bag, plural(len(f.Amounts), "amount"))
	case *events.GiftCardPINRefused:
		return ": " + f.Code
	case *events.NumbersGuessed:
		return fmt.Sprintf(": %s, %s", f.Code, plural(f.Misses, "number"))
	case *events.LineAdded:
		return fmt.Sprintf(": line %d, %s x %s %q at %s = %s", f.Line.Number, f.Line.Quantity, f.Line.Product, f.Line.Description, f.Line.Price, money(f.Line.Gross))
	case *events.CardRequested:
		return fmt.Sprintf(": %s %s as %s", f.Action, money(f.Payment.Amount), f.Reference)
	case *events.CardDeclined:
		return fmt.Sprintf(": %s, %s %s", f.Reference, f.Action, f.Response)
	case *events.CardAbandoned:
		return fmt.Sprintf(": %s of %s as %s, to be settled with the acquirer", f.Action, money(f.Amount), f.Reference)
	case *events.BalanceChecked:
		return fmt.Sprintf(": %s %s", money(f.Available), f.Currency)
	case *events.LineVoided:
		return fmt.Sprintf(": line %d", f.Line)
	case *events.LineRestored:
		return fmt.Sprintf(": line %d", f.Line)
	case *events.QuantitySet:
		return fmt.Sprintf(": line %d, %s", f.Line, f.Quantity)
	case *events.TotalDiscountSet:
		return ": " + money(f.After.Discount)
	case *events.PaymentTaken:
		return fmt.Sprintf(": %s %s, due %s", money(f.Payment.Amount), f.Payment.Tender, money(f.After.Due))
	case *events.PaymentVoided:
		return fmt.Sprintf(": payment %d, due %s", f.Payment, money(f.After.Due))
	case *events.SaleVoided:
		return fmt.Sprintf(": receipt %s", f.Receipt)
	case *events.SaleConcluded:
		return fmt.Sprintf(": receipt %s, %s, total %s", f.Receipt, plural(f.After.Lines, "line"), money(f.After.Total))
	}
	return ""
}

type auditReportCmd struct {
	auditedArg
	JSON bool `name:"json" help:"Print a JSON object."`
}

// audit is the output of 'audit report'.
type audit struct {
	// Verified is true if the journal has no finding. If it is false, the sums prove nothing.
	Verified bool                       `json:"verified"`
	Findings int                        `json:"findings"`
	AsOf     events.Head                `json:"as_of"`
	Days     []projections.Day          `json:"days"`
	Tenders  []projections.TenderTotal  `json:"tenders"`
	Products []projections.ProductTotal `json:"products"`
	Balance  []projections.Balance      `json:"trial_balance"`
}

// Run rebuilds the offline database from the journal and reports from it.
func (c *auditReportCmd) Run(ctx context.Context, std stdio) (err error) {
	j, err := openAudited(ctx, c.Path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, j.close()) }()
	report, err := c.verify(ctx, j)
	if err != nil {
		return err
	}
	var unverified error
	if !c.JSON {
		unverified = sayUnverified(std.out, report)
	} else if len(report.Findings) > 0 {
		unverified = errIntegrity
	}
	err = replay.WithRebuilt(ctx, j, events.Head{}, func(db *projections.DB) error {
		a, err := newAudit(ctx, db)
		if err != nil {
			return err
		}
		a.Verified, a.Findings = len(report.Findings) == 0, len(report.Findings)
		if c.JSON {
			return printJSON(std.out, a)
		}
		return a.print(std.out)
	})
	return errors.Join(err, unverified)
}

func newAudit(ctx context.Context, db *projections.DB) (a audit, err error) {
	all := projections.Period{}
	var errs [5]error
	a.AsOf, errs[0] = db.Position(ctx)
	a.Days, errs[1] = db.Days(ctx, all)
	a.Tenders, errs[2] = db.Tenders(ctx, all)
	a.Products, errs[3] = db.Products(ctx, all)
	a.Balance, errs[4] = db.TrialBalance(ctx, all)
	return a, errors.Join(errs[:]...)
}

func (a audit) print(w io.Writer) error {
	fmt.Fprintf(w, "as of entry %d of epoch %d, hash %s\n", a.AsOf.Sequence, a.AsOf.Epoch, a.AsOf.Hash)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "\nDAY\tCURRENCY\tCONCLUDED\tVOIDED\tSALES\tRETURNS\tNET\tDISCOUNTS\tTAX\tTOTAL\t")
	for _, d := range a.Days {
		fmt.Fprintf(t, "%s\t%s\t%d\t%d\t%s\t%s\t%s\t%s\t%s\t%s\t\n", d.Date, d.Currency, d.Concluded, d.Voided, d.Sales.Decimal(d.Digits),
			d.Returns.Decimal(d.Digits), d.Net.Decimal(d.Digits), d.Discounts.Decimal(d.Digits), d.Tax.Decimal(d.Digits), d.Total.Decimal(d.Digits))
	}
	t.Flush()
	fmt.Fprintln(t, "\nDAY\tTENDER\tCURRENCY\tPAYMENTS\tTENDERED\tCHANGE\tKEPT\t")
	for _, x := range a.Tenders {
		fmt.Fprintf(t, "%s\t%s\t%s\t%d\t%s\t%s\t%s\t\n", x.Date, x.Tender, x.Currency, x.Payments,
			x.Tendered.Decimal(x.Digits), x.Change.Decimal(x.Digits), x.Kept.Decimal(x.Digits))
	}
	t.Flush()
	fmt.Fprintln(t, "\nPRODUCT\tCURRENCY\tQUANTITY\tAMOUNT\t")
	for _, p := range a.Products {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t\n", p.Product, p.Currency, p.Quantity, p.Amount.Decimal(p.Digits))
	}
	t.Flush()
	fmt.Fprintln(t, "\nDAY\tACCOUNT\tCURRENCY\tDEBIT\tCREDIT\t")
	for _, b := range a.Balance {
		debit, credit := b.Amount.Decimal(b.Digits), ""
		if b.Amount < 0 {
			debit, credit = "", (-b.Amount).Decimal(b.Digits)
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t\n", b.Date, b.Account, b.Currency, debit, credit)
	}
	return t.Flush()
}

type auditAtCmd struct {
	auditedArg
	Sequence uint64 `arg:"" help:"The last entry that counts."`
	Epoch    int    `placeholder:"N" help:"Of which epoch; the newest if absent."`
}

// Run prints the state as a JSON object, because no other form shows all of it.
func (c *auditAtCmd) Run(ctx context.Context, std stdio) (err error) {
	j, err := openAudited(ctx, c.Path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, j.close()) }()
	report, err := c.verify(ctx, j)
	if err != nil {
		return err
	}
	s, err := replay.At(ctx, j, c.Epoch, c.Sequence)
	if err != nil {
		return err
	}
	err = printJSON(std.out, struct {
		// Verified is true if the whole journal has no finding, also behind the entry.
		Verified bool `json:"verified"`
		*ledger.State
		Commands any `json:"commands,omitempty"` // hides the idempotency keys of the state
	}{Verified: len(report.Findings) == 0, State: s})
	return errors.Join(err, sayUnverified(std.err, report))
}

type auditExportCmd struct {
	auditedArg
	File string `arg:"" help:"The bundle to write; compressed where its name ends in .zst. It must not exist."`
}

// Run writes the bundle. Of a damaged journal the bundle holds every entry that can be read.
func (c *auditExportCmd) Run(ctx context.Context, std stdio) (err error) {
	j, err := openAudited(ctx, c.Path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, j.close()) }()
	if err := replay.Export(ctx, c.File, j); err != nil {
		return fmt.Errorf("export to %s: %w", c.File, err)
	}
	fmt.Fprintf(std.out, "exported to %s\n", c.File)
	report, err := c.verify(ctx, j)
	if err != nil {
		return err
	}
	return sayUnverified(std.out, report)
}

type auditDiffCmd struct {
	A    string `arg:"" help:"A bundle or data directory."`
	B    string `arg:"" help:"Another one."`
	JSON bool   `name:"json" help:"Print the difference as a JSON object, null for none."`
}

// Run compares two journals. If one of them only ends earlier, that is a difference but no damage.
func (c *auditDiffCmd) Run(ctx context.Context, std stdio) (err error) {
	a, err := openAudited(ctx, c.A)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.close()) }()
	b, err := openAudited(ctx, c.B)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.close()) }()
	d, err := replay.Diff(ctx, a, b)
	if err != nil {
		return err
	}
	if err := c.print(std.out, d); err != nil {
		return err
	}
	if d != nil && d.A != nil && d.B != nil {
		return errIntegrity
	}
	return nil
}

func (c *auditDiffCmd) print(w io.Writer, d *replay.Difference) error {
	if c.JSON {
		return printJSON(w, d)
	}
	if d == nil {
		_, err := fmt.Fprintln(w, "the journals are the same")
		return err
	}
	same := fmt.Sprintf("up to entry %d of epoch %d", d.Sequence-1, d.Epoch)
	if d.Sequence == 1 {
		same = fmt.Sprintf("before epoch %d", d.Epoch)
	}
	fmt.Fprintf(w, "the journals are the same %s\n", same)
	for _, side := range []struct {
		path string
		head *events.Head
	}{{c.A, d.A}, {c.B, d.B}} {
		at := "ends there"
		switch {
		case side.head != nil && side.head.Epoch > d.Epoch:
			at = fmt.Sprintf("goes on with epoch %d, whose entry %d has hash %s", side.head.Epoch, side.head.Sequence, side.head.Hash)
		case side.head != nil:
			at = fmt.Sprintf("has entry %d with hash %s", side.head.Sequence, side.head.Hash)
		}
		if _, err := fmt.Fprintf(w, "  %s %s\n", side.path, at); err != nil {
			return err
		}
	}
	return nil
}
