package ledger_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/posnode/posnode/events"
	"github.com/posnode/posnode/ledger"
)

// TestScenarios plays the traces in testdata. A trace is a list of
//
//	command
//	body
//	----
//	what came of it
//
// and `go test ./ledger -run Scenarios -rewrite` writes down what comes of it now, to be
// reviewed like prose. The commands:
//
//	shop [STORE]         a new register in that store of the reference shop (shop_test.go), nobody signed on
//	counting             the register counts numbers that nobody has
//	ready [STORE]        the same with staff 7 signed on, a shift open and 100.00 in the drawer
//	do op=N [staff=S] [key=K] [times=T] [long=PARAMETER:LENGTH] [quoted] [drawer] [down] [unsent=N] [unactivated] [frozen]
//	                     one operation for each line of the body, which is its parameters in JSON, and for none
//	                     one without parameters; times repeats it under new keys and shows the last; long adds a
//	                     text of that length; quoted bodies are Go strings, for bytes that no text file can hold.
//	                     Under the same key it is a command sent twice. Staff is who is signed on, if
//	                     it is left out; drawer says that the cash drawer stands open, and down that head office cannot be reached;
//	                     unsent counts the entries that it does not have, unactivated says that only an activation lets
//	                     the register in, and frozen that the journal takes no more entries
//	settings STORE       from here on the register has the settings of that store
//	shifts N             N shifts are opened and blind-closed
//	wait MINUTES         time passes; or seconds, written 59s
//	grants               from here on, while the register is online, head office grants what is reserved of it
//	mode online|offline  the switch was thrown
//	terminal approve|decline|lost  how the card terminal behaves from here; lost: it does as it is asked, and nobody hears of it
//	customer ID          is on the transaction in progress
//	blocked product=P    a product is not sold any more
//	restart              off and on again: from here the state is one that was read from a snapshot
//	stored               the last entry's fact as it is stored, with every field but its checkpoint and the digest of its input
//	state                who and what the register knows
//	gates                everything that can stand in the way of an operation (gates_test.go)
//
// Below the driver every command is decided, sealed, decoded, applied and sent
// again, and every invariant is checked (till_test.go, invariants_test.go).
func TestScenarios(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	seen := coverage{codes: map[string]bool{}, shows: map[int]map[string]bool{}}
	ran := 0
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			ran++
			s := &scenario{seen: seen}
			datadriven.RunTest(t, file, s.run)
		})
	}
	if ran < len(files) {
		return // -run chose some: what the others cover is not known
	}
	for _, op := range ledger.Catalogue() {
		for _, what := range required(op) {
			assert.True(t, seen.shows[op.ID][what], "no scenario in testdata shows of operation %d, %s: %s", op.ID, op.Name, what)
		}
	}
	for code, where := range refusalCodes(t) {
		require.True(t, seen.codes[code], "no scenario in testdata is refused with %s (%s)", code, where)
	}
}

// coverage is what the scenarios have shown.
type coverage struct {
	codes map[string]bool
	shows map[int]map[string]bool // of each operation, what required asks for
}

// signedOrHashed are the fields of a stored fact that change with every entry before it.
var signedOrHashed = regexp.MustCompile(`(?m)^\t"(input|checkpoint)": .*\n`)

type scenario struct {
	*till
	seen coverage
}

func (s *scenario) run(t *testing.T, d *datadriven.TestData) (out string) {
	defer func() {
		if defect := recover(); defect != nil {
			d.Fatalf(t, "%v", defect)
		}
	}()
	switch d.Cmd {
	case "shop", "ready":
		name := "standard"
		if len(d.CmdArgs) > 0 {
			name = d.CmdArgs[0].Key
		}
		store, ok := stores()[name]
		if !ok {
			d.Fatalf(t, "no store %s", name)
		}
		if s.till = newTill(store); d.Cmd == "ready" {
			s.till = readyTill(store)
		}
		return "ok"
	case "settings":
		s.store = stores()[d.CmdArgs[0].Key]
		return "ok"
	case "mode":
		to := events.Mode(d.CmdArgs[0].Key)
		entry, err := s.record(&events.ModeChanged{From: s.state.Mode, To: to, Cause: "manual"}, ledger.Command{}, "")
		require.NoError(t, err)
		return render(entry.Fact, s.store.Digits)
	case "counting":
		s.counting = true
		return "ok"
	case "terminal":
		s.terminal = d.CmdArgs[0].Key
		return "ok"
	case "customer":
		for _, state := range []*ledger.State{s.state, s.live} {
			state.Transaction.Customer = &events.SaleCustomer{Customer: events.CustomerID(d.CmdArgs[0].Key)}
		}
		return "ok"
	case "wait":
		unit, text := time.Minute, d.CmdArgs[0].Key
		if seconds, ok := strings.CutSuffix(text, "s"); ok {
			unit, text = time.Second, seconds
		}
		s.clock = s.clock.Add(time.Duration(must(strconv.Atoi(text))) * unit)
		return "ok"
	case "grants":
		s.grants = true
		return "ok"
	case "shifts":
		for range must(strconv.Atoi(d.CmdArgs[0].Key)) {
			for s.state.Staff == nil {
				must(s.do(s.command(700, `{"staff":"7","pin":"1234"}`)))
			}
			if s.state.Shift == nil {
				must(s.do(s.command(1050, ``)))
			}
			must(s.do(s.command(1053, ``)))
		}
		return "ok"
	case "gates":
		return s.gates(t, d.Input)
	case "restart":
		s.restart()
		return "ok"
	case "stored":
		var stored struct{ Data json.RawMessage }
		require.NoError(t, json.Unmarshal(s.bodies[len(s.bodies)-1], &stored))
		var out bytes.Buffer
		require.NoError(t, json.Indent(&out, stored.Data, "", "\t"))
		return signedOrHashed.ReplaceAllString(out.String(), "")
	case "state":
		return s.describe()
	case "blocked":
		q := ledger.Query{Kind: "product", Key: d.CmdArgs[0].Vals[0]}
		p := s.records[q].(ledger.Product)
		p.Blocked = true
		s.records[q] = p
		return "ok"
	case "do":
		var out strings.Builder
		for line := range strings.Lines(d.Input + "\n") {
			out.WriteString(s.operation(t, d, strings.TrimSuffix(line, "\n")) + "\n")
		}
		return out.String()
	}
	d.Fatalf(t, "unknown command %s", d.Cmd)
	return ""
}

// operation carries out one line of a do command, as often as it says.
func (s *scenario) operation(t *testing.T, d *datadriven.TestData, body string) string {
	c := ledger.Command{Staff: "7", Date: "2026-03-02"}
	if staff := s.state.Staff; staff != nil {
		c.Staff = staff.ID
	}
	times, key := 1, ""
	for _, arg := range d.CmdArgs {
		switch arg.Key {
		case "op":
			arg.Scan(t, 0, &c.Operation)
		case "staff":
			arg.Scan(t, 0, &c.Staff)
		case "key":
			arg.Scan(t, 0, &key)
		case "times":
			arg.Scan(t, 0, &times)
		case "long":
			name, n, _ := strings.Cut(arg.Vals[0], ":")
			body = fmt.Sprintf(`{"%s":"%s"}`, name, strings.Repeat("x", must(strconv.Atoi(n))))
		case "drawer":
			c.DrawerOpen = true
		case "down":
			c.LinkDown = true
		case "unactivated":
			c.NeedsActivation = true
		case "frozen":
			c.Frozen = true
		case "unsent":
			c.Unsent = must(strconv.ParseUint(arg.Vals[0], 10, 64))
		case "quoted":
			body = must(strconv.Unquote(body))
		default:
			d.Fatalf(t, "unknown argument %s", arg.Key)
		}
	}
	s.hasty = times > 1
	defer func() { s.hasty = false }()
	out := ""
	for range times {
		c.Key = events.CommandKey(key)
		if key == "" {
			c.Key = s.newKey()
		}
		out = s.once(c, body)
	}
	return out
}

// once carries out one command and says what came of it.
func (s *scenario) once(c ledger.Command, body string) string {
	var err error
	was := s.circumstances()
	if c.Input, err = ledger.ParseInput([]byte(body)); err != nil {
		return s.refused(c, was, err)
	}
	a, err := s.do(c)
	if err != nil {
		return s.refused(c, was, err)
	}
	told, err := ledger.AnswerOf(a.entry)
	out := render(a.entry.Fact, s.store.Digits)
	if a.entry.Approver != "" {
		out += fmt.Sprintf("\n  approved by %s", a.entry.Approver)
	}
	if a.reserved != nil {
		out += "\n  reserved " + string(must(json.Marshal(a.reserved)))
	}
	if a.repeated {
		out = fmt.Sprintf("repeated: entry %d", a.entry.Head.Sequence)
	}
	if err != nil {
		return out + "\n" + s.refused(c, was, err)
	}
	if !a.repeated {
		s.observe(c, was, a.entry, nil)
	}
	if told.Operation != c.Operation || told.Result != a.entry.Fact || len(told.Entries) != 1 || told.Entries[0].Hash != a.entry.Head.Hash {
		panic(fmt.Sprintf("answer %+v to entry %d", told, a.entry.Head.Sequence))
	}
	if told.Transaction != nil && told.Transaction.Status != "open" {
		out += fmt.Sprintf("\n  answered: %s is %s, receipt %s", told.Transaction.ID, told.Transaction.Status, told.Transaction.Receipt)
	}
	return out
}

func (s *scenario) refused(c ledger.Command, was circumstances, err error) string {
	refusal := (*ledger.Refusal)(nil)
	if !errors.As(err, &refusal) {
		panic(err)
	}
	s.observe(c, was, nil, err)
	out := "refused " + refusal.Error()
	if refusal.Instead != "" {
		out += " -> " + refusal.Instead
	}
	return out
}

// describe is what the register knows.
func (s *scenario) describe() string {
	var out strings.Builder
	state := s.state
	fmt.Fprintf(&out, "entries %d, %s", state.Head.Sequence, state.Mode)
	if state.Staff != nil {
		fmt.Fprintf(&out, ", staff %s %s", state.Staff.ID, state.Staff.Name)
	}
	for _, kind := range slices.Sorted(maps.Keys(state.Receipts)) {
		fmt.Fprintf(&out, ", %s receipts %d", kind, state.Receipts[kind])
	}
	out.WriteString("\n")
	if state.ManualOffline {
		out.WriteString("disconnected by hand\n")
	}
	for _, shift := range state.SetAside {
		fmt.Fprintf(&out, "shift %s is %s\n", shift.Shift, shift.Status)
	}
	if state.Shift != nil {
		fmt.Fprintf(&out, "shift %s of %s, started %v\n", state.Shift.Shift, state.Shift.BusinessDate, state.Shift.Started)
		for _, tender := range slices.Sorted(maps.Keys(state.Shift.Expected())) {
			fmt.Fprintf(&out, "  %s %s\n", tender, state.Shift.Expected()[tender].Decimal(s.store.Digits))
		}
	}
	if t := state.Transaction; t != nil {
		r := renderer{digits: t.Terms.Digits}
		fmt.Fprintf(&out, "transaction %s: %s\n", t.ID, r.totals(t.Totals))
		for _, line := range t.Lines {
			fmt.Fprintf(&out, "  %s%s\n", r.line(line.Line), ifVoided(line.Voided))
		}
		if t.Requested != nil {
			fmt.Fprintf(&out, "  the terminal was asked to %s %s\n", t.Requested.Action, t.Requested.Reference)
		}
		for _, p := range t.Payments {
			text, _ := r.pretty(p.Payment)
			fmt.Fprintf(&out, "  %s%s\n", text, ifVoided(p.Voided))
		}
	}
	for _, t := range state.Suspended {
		fmt.Fprintf(&out, "suspended %s: %s\n", t.ID, (&renderer{digits: t.Terms.Digits}).totals(t.Totals))
	}
	if state.Count != nil {
		fmt.Fprintf(&out, "count %d of %d products\n", state.Count.Number, len(state.Count.Lines))
	}
	return out.String()
}

func ifVoided(voided bool) string {
	if voided {
		return " voided"
	}
	return ""
}

// refusalCodes are the codes that the package's source can refuse with, and where:
// the first argument of refuse, what refuseParameter stands for, and every Code in a
// literal of a Refusal or of a fact that records one.
func refusalCodes(t *testing.T) map[string]token.Position {
	codes := map[string]token.Position{}
	files := token.NewFileSet()
	constants := map[string]string{}
	var sources []*ast.File
	names, err := fs.Glob(os.DirFS("."), "*.go")
	require.NoError(t, err)
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(files, name, nil, 0)
		require.NoError(t, err)
		sources = append(sources, file)
		ast.Inspect(file, func(n ast.Node) bool {
			if spec, ok := n.(*ast.ValueSpec); ok && len(spec.Names) == len(spec.Values) {
				for i := range spec.Names {
					if text, ok := literal(spec.Values[i]); ok {
						constants[spec.Names[i].Name] = text
					}
				}
			}
			return true
		})
	}
	add := func(e ast.Expr) {
		code, ok := literal(e)
		if name, isName := e.(*ast.Ident); !ok && isName {
			code, ok = constants[name.Name]
		}
		if selector, isField := e.(*ast.SelectorExpr); !ok && isField && selector.Sel.Name == "Code" {
			return // the code of a fact, which is a literal where the fact is made
		}
		if name, isName := e.(*ast.Ident); !ok && isName && name.Name == "code" {
			return // refuse itself
		}
		require.True(t, ok, "%s: cannot tell which code this is: write it as a literal", files.Position(e.Pos()))
		codes[code] = files.Position(e.Pos())
	}
	for _, file := range sources {
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.CallExpr:
				if name, ok := n.Fun.(*ast.Ident); ok && name.Name == "refuse" {
					add(n.Args[0])
				}
			case *ast.CompositeLit:
				for _, element := range n.Elts {
					if pair, ok := element.(*ast.KeyValueExpr); ok {
						if key, ok := pair.Key.(*ast.Ident); ok && key.Name == "Code" && refuses(n.Type) {
							add(pair.Value)
						}
					}
				}
			}
			return true
		})
	}
	require.Contains(t, codes, "invalid_parameter")
	return codes
}

// refuses says whether values of a literal's type hold refusal codes.
func refuses(literalType ast.Expr) bool {
	name := ""
	switch e := literalType.(type) {
	case *ast.Ident:
		name = e.Name
	case *ast.SelectorExpr:
		name = e.Sel.Name
	}
	return name == "Refusal" || strings.HasSuffix(name, "Refused")
}

func literal(e ast.Expr) (string, bool) {
	lit, ok := e.(*ast.BasicLit)
	if !ok || lit.Kind != token.STRING {
		return "", false
	}
	text, err := strconv.Unquote(lit.Value)
	return text, err == nil
}
