package ledger_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/posnode/posnode/events"
	"github.com/posnode/posnode/ledger"
)

// TestRandomDays plays random commands on random stores: sensible ones, wrong
// ones, repeated ones, with restarts in between. What must hold after each is
// checked by the till (till_test.go: Decide changes nothing, what is sealed reads
// back, a repeated command changes nothing; invariants_test.go: money is
// conserved, every sum equals the one made from nothing, receipts are gapless); here are the
// properties of a whole journal. Operations come from the catalogue, and their parameters
// mostly from the traces of its gates, which every operation has: a new one is played as soon as it is there.
func TestRandomDays(t *testing.T) {
	all := stores()
	all["guarded"] = guardedStore()
	names := append(slices.Sorted(maps.Keys(all)), "tenders", "tenders", "tenders", "swiss", "swiss", "swiss")
	for range 20 {
		names = append(names, "guarded") // in which every operation can succeed
	}
	traces := gateTraces(t)
	likely := map[int][]step{} // parameters with which an operation was carried out in a trace
	for _, trace := range traces {
		last := trace[len(trace)-1]
		likely[last.op] = append(likely[last.op], last)
	}
	played := map[string]int{} // facts and refusals
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.SampledFrom(names).Draw(t, "store")
		w := readyTill(all[name])
		for range rapid.IntRange(40, 120).Draw(t, "steps") {
			w.terminal = rapid.SampledFrom([]string{"approve", "approve", "approve", "decline", "lost"}).Draw(t, "terminal")
			switch rapid.IntRange(0, 19).Draw(t, "what") {
			case 0:
				w.restart()
			case 1:
				repeatSome(t, w)
			case 2:
				w.connect(rapid.SampledFrom([]events.Mode{events.Online, events.Online, events.Offline}).Draw(t, "mode"))
			case 3:
				for _, one := range rapid.SampledFrom(traces).Draw(t, "trace") {
					play(t, w, ledger.Find(one.op), one.params, played)
				}
			default:
				playOne(t, w, likely, played)
			}
		}
		replayInParts(t, w)
	})
	var never []int
	for _, op := range ledger.Catalogue() {
		if played[fmt.Sprintf("operation %d", op.ID)] == 0 {
			never = append(never, op.ID)
		}
	}
	require.Less(t, len(never), len(ledger.Catalogue())/5, "a hundred random days carry out nearly every operation, and these never: %v", never)
	// What is rarer is in the traces; these never fail to come in a hundred days.
	for _, kind := range []string{
		"sale.concluded.v1", "sale.voided.v1", "sale.line_voided.v1", "sale.payment_taken.v1", "sale.total_discount_set.v1", "invalid_parameter",
	} {
		require.Positive(t, played[kind], "the random days never came to %s: %v", kind, played)
	}
}

// gateTraces are the steps of the traces in which the gates of an operation are tried, of
// which there is one at least for every operation.
func gateTraces(t require.TestingT) (all [][]step) {
	files, err := filepath.Glob("testdata/gates_*.txt")
	require.NoError(t, err)
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		for _, block := range strings.Split(string(text), "\ngates\n")[1:] {
			steps, _, _ := strings.Cut(block, "\n----\n")
			var trace []step
			for line := range strings.Lines(steps) {
				trace = append(trace, readStep(strings.TrimSpace(line)))
			}
			all = append(all, trace)
		}
	}
	return all
}

// playOne draws and carries out one command.
func playOne(t *rapid.T, w *till, likely map[int][]step, played map[string]int) {
	op := drawOperation(t, w)
	var input map[string]any
	if traces := likely[op.ID]; len(traces) > 0 && rapid.IntRange(0, 2).Draw(t, "likely") > 0 {
		input = drawLikely(t, w, op, traces)
	} else {
		input = drawInput(t, w, op)
	}
	play(t, w, op, input, played)
}

// play carries out one command.
func play(t *rapid.T, w *till, op *ledger.Operation, input map[string]any, played map[string]int) {
	c := w.command(op.ID, string(must(json.Marshal(input))))
	if staff := w.state.Staff; staff != nil {
		c.Staff = staff.ID
	}
	a, err := w.do(c)
	if err != nil {
		refusal := (*ledger.Refusal)(nil)
		require.True(t, errors.As(err, &refusal))
		played[refusal.Code]++
		return
	}
	played[a.entry.Type]++
	if _, err := ledger.AnswerOf(a.entry); err == nil {
		played[fmt.Sprintf("operation %d", op.ID)]++
	}
	for _, p := range concludedPayments(a.entry.Fact) {
		played["paid by "+string(p.Tender)]++
	}
	if f, ok := a.entry.Fact.(*events.LineAdded); ok && f.Line.Original != nil {
		played["a return by its receipt"]++
	}
	if _, err := ledger.AnswerOf(a.entry); err != nil {
		refusal := (*ledger.Refusal)(nil)
		require.True(t, errors.As(err, &refusal), "an answer is one, or a refusal")
	}
}

// drawOperation prefers what makes a day of sales go on.
func drawOperation(t *rapid.T, w *till) *ledger.Operation {
	likely := []int{
		100, 100, 100, 100, 100, 100, 109, 114, 102, 102, 102, 104, 105, 123, 128, 130, 300, 301, 200, 200, 200, 200, 302, 303, 211, 206, 206, 206, 206, 201, 203, 204, 214, 512, 519, 500,
		117, 134, 602, 503, 620, 132,
	}
	switch {
	case w.state.Staff == nil, w.state.Staff.Locked:
		likely = []int{700}
	case w.state.Shift == nil:
		likely = []int{1050, 1050, 1051, 1055, 1052}
	case w.state.Transaction == nil:
		likely = []int{
			100, 100, 100, 100, 100, 100, 109, 114, 512, 519, 520, 504, 515, 602, 612, 623, 802,
			517, 518, 1052, 1055, 1056, 1201, 1210, 1211, 1212, 1053, 1054,
		}
	}
	if rapid.IntRange(0, 2).Draw(t, "any operation") > 0 {
		return ledger.Find(rapid.SampledFrom(likely).Draw(t, "operation"))
	}
	for {
		op := rapid.SampledFrom(ledger.Catalogue()).Draw(t, "operation")
		g, is := op.Gates, w.circumstances()
		fits := (is.shift || !g.Shift) && (is.cart || g.Cart != ledger.NeedCart) && (!is.cart || g.Cart != ledger.NoCart) &&
			(is.mode == events.Online || op.Offline != ledger.Refused)
		if fits || rapid.IntRange(0, 4).Draw(t, "where it does not fit") == 0 {
			return op
		}
	}
}

// drawLikely has the parameters of a trace; what they name is drawn from what there is.
func drawLikely(t *rapid.T, w *till, op *ledger.Operation, traces []step) map[string]any {
	input := maps.Clone(rapid.SampledFrom(traces).Draw(t, "trace").params)
	for _, p := range op.Params {
		_, given := input[p.Name]
		switch p.Name {
		case "shift":
			given = given || w.state.Shift == nil
		case "line", "payment", "transaction", "receipt":
		case "order", "customer", "product", "amount", "counts", "amounts":
			given = given && rapid.Bool().Draw(t, p.Name+" drawn")
		default:
			given = false
		}
		if given {
			input[p.Name] = drawValue(t, w, op, p)
		}
	}
	return input
}

// drawInput gives each parameter a likely value mostly, a wild one at times, or none.
func drawInput(t *rapid.T, w *till, op *ledger.Operation) map[string]any {
	input := map[string]any{}
	for _, p := range op.Params {
		if slices.Contains([]string{"barcode", "variant", "unit", "serial", "price", "store"}, p.Name) && !p.Required && rapid.IntRange(0, 9).Draw(t, p.Name+" at all") > 0 {
			continue // most products have none of these, and refuse them
		}
		rare := strings.HasPrefix(p.Name, "approver") || strings.Contains(p.Name, "reason")
		if rare && rapid.IntRange(0, 9).Draw(t, p.Name+" wanted") > 0 {
			continue
		}
		given := p.Required || p.Name == "line" || p.Name == "amount" || p.Name == "product" || p.Name == "customer" || rapid.IntRange(0, 2).Draw(t, p.Name+" given") == 0
		if p.Name == "barcode" && input["product"] != nil || !given || rapid.IntRange(0, 49).Draw(t, p.Name+" left out") == 0 {
			continue
		}
		if rapid.IntRange(0, 29).Draw(t, p.Name+" wild") == 0 {
			input[p.Name] = rapid.SampledFrom(wild).Draw(t, p.Name)
			continue
		}
		input[p.Name] = drawValue(t, w, op, p)
	}
	if op.ID == 109 && rapid.IntRange(0, 3).Draw(t, "turn a line") == 0 {
		return map[string]any{"line": input["line"]}
	} else if op.ID == 109 {
		delete(input, "line")
	}
	if rapid.IntRange(0, 4).Draw(t, "untailored") > 0 {
		tailor(t, w, input)
	}
	return input
}

// tailor leaves out what the product does not have, and gives what it demands.
func tailor(t *rapid.T, w *till, input map[string]any) {
	id, _ := input["product"].(string)
	p, ok := w.records[ledger.Query{Kind: "product", Key: id}].(ledger.Product)
	if !ok {
		return
	}
	for name, has := range map[string]bool{
		"variant": len(p.Variants) > 0, "unit": len(p.Units) > 0, "serial": p.Serial != "", "price": p.KeyPrice, "description": p.KeyPrice, "comment": false,
	} {
		if !has {
			delete(input, name)
		}
	}
	if q, ok := input["quantity"].(string); ok && (q[:min(len(q), 1)] == "-" || p.QuantityDecimals == 0 && strings.Contains(q, ".")) {
		delete(input, "quantity")
	}
	if len(p.Variants) > 0 {
		input["variant"] = "S"
	}
	if p.Serial == "required" {
		input["serial"] = rapid.SampledFrom([]string{"A1", "A2", "A3"}).Draw(t, "serial that is demanded")
	}
	if p.Quantity == "required" {
		input["quantity"] = "0.5"
	}
	if p.CommentRequired {
		input["comment"], input["price"] = "a comment", "40"
	}
}

var wild = []any{
	nil, true, "", " ", "x", "\x00", strings.Repeat("9", 40), strings.Repeat("x", 5000), "-1", "1e9", 0, -1, 1 << 40, 1.5, -0.5,
	json.Number("1e999"), json.Number("9223372036854775808"), []int{1}, map[string]any{"a": map[string]any{}},
	"0.0001", "99999999.9999", "1000000000", int64(events.MaxMoney), -int64(events.MaxMoney),
}

func drawValue(t *rapid.T, w *till, op *ledger.Operation, p ledger.Parameter) any {
	lines, payments, due := 0, 0, 0
	if tr := w.state.Transaction; tr != nil {
		lines, payments, due = len(tr.Lines), len(tr.Payments), int(tr.Totals.Due)
	}
	// What is known of a parameter by its name.
	switch p.Name {
	case "product":
		return rapid.SampledFrom(recordKeys(w, "product")).Draw(t, p.Name)
	case "card":
		return rapid.SampledFrom(append(recordKeys(w, "giftcard"), recordKeys(w, "loyalty")...)).Draw(t, p.Name)
	case "currency":
		return rapid.SampledFrom([]string{"EUR", "JPY", "KWD", "GBP"}).Draw(t, p.Name)
	case "shift":
		return rapid.SampledFrom(shiftsOf(w)).Draw(t, p.Name)
	case "account":
		return rapid.SampledFrom([]string{"KEYS", "WINDOWS", "NIL"}).Draw(t, p.Name)
	case "action":
		if op.ID == 515 {
			return rapid.SampledFrom([]string{"pickup", "cancel", "NIL"}).Draw(t, p.Name)
		}
		return rapid.SampledFrom([]string{"in", "out", "break_work", "break_lunch", "dance"}).Draw(t, p.Name)
	case "staff":
		return rapid.SampledFrom(recordKeys(w, "staff")).Draw(t, p.Name)
	case "approver":
		return rapid.SampledFrom(recordKeys(w, "staff")).Draw(t, p.Name)
	case "pin", "approver_pin":
		return rapid.SampledFrom(slices.Sorted(maps.Values(pins))).Draw(t, p.Name)
	case "line":
		if op.ID == 114 {
			return rapid.IntRange(1, 4).Draw(t, p.Name)
		}
		if lines > 0 && op.ID == 102 {
			// Once more what was voided, if anything was.
			for _, l := range w.state.Transaction.Lines {
				if l.Voided && l.GiftCard == nil {
					return l.Number
				}
			}
		}
		return rapid.IntRange(1, lines+1).Draw(t, p.Name)
	case "customer", "order", "affiliation":
		return rapid.SampledFrom(recordKeys(w, p.Name)).Draw(t, p.Name)
	case "affiliations":
		return strings.Join(rapid.SliceOfN(rapid.SampledFrom(recordKeys(w, "affiliation")), 1, 2).Draw(t, p.Name), ",")
	case "transaction":
		return rapid.SampledFrom(append([]string{"s001-r01-1-1"}, onHold(w)...)).Draw(t, p.Name)
	case "in":
		return rapid.SampledFrom([]string{"item", "customer", "category", "order", "NIL"}).Draw(t, p.Name)
	case "finish":
		return rapid.SampledFrom([]string{"commit", "discard", "NIL"}).Draw(t, p.Name)
	case "pickup_on":
		return rapid.SampledFrom([]string{"2026-03-02", "2026-12-31", "2020-01-01"}).Draw(t, p.Name)
	case "barcode":
		return rapid.SampledFrom(recordKeys(w, "barcode")).Draw(t, p.Name)
	case "variant":
		return rapid.SampledFrom([]string{"S", "XL", "XS"}).Draw(t, p.Name)
	case "unit":
		return rapid.SampledFrom([]string{"pc", "box", "tray", "kg"}).Draw(t, p.Name)
	case "override":
		return rapid.SampledFrom([]string{"", "EXEMPT", "EXPORT", "REDUCED"}).Draw(t, p.Name)
	case "serial":
		return rapid.SampledFrom([]string{"A1", "A2"}).Draw(t, p.Name)
	case "receipt":
		return fmt.Sprintf("s001-r01-1-%06d", rapid.IntRange(1, w.state.Receipts["sale"]+1).Draw(t, p.Name))
	case "payment":
		return rapid.IntRange(1, payments+1).Draw(t, p.Name)
	}
	switch p.Kind {
	case ledger.KindCounts:
		count := map[string]any{"tender": rapid.SampledFrom([]string{"cash", "cash", "NIL"}).Draw(t, "tender")}
		if rapid.Bool().Draw(t, "by denominations") {
			count["denominations"] = []any{map[string]any{"value": 500, "count": rapid.IntRange(0, 30).Draw(t, "fives")}, map[string]any{"value": 5, "count": 7}}
		} else {
			count["amount"] = rapid.OneOf(rapid.IntRange(1, 2000), rapid.Just(expectedCash(w)), rapid.IntRange(8000, 12000)).Draw(t, "amount")
		}
		return []any{count}
	case ledger.KindAmount:
		return rapid.OneOf(rapid.Just(due), rapid.IntRange(-100, 2000), rapid.Just(due+due/2), rapid.Just(due/2), rapid.Just(due/10*5)).Draw(t, p.Name)
	case ledger.KindQuantity:
		return rapid.SampledFrom([]string{"1", "2", "3", "7", "-1", "-2", "0.5", "1.255", "0.001", "499", "10000"}).Draw(t, p.Name)
	case ledger.KindPrice:
		return rapid.SampledFrom([]string{"1", "0.001", "0.015", "2.55", "99.99", "0", "1000000"}).Draw(t, p.Name)
	case ledger.KindPercent:
		return rapid.SampledFrom([]string{"10", "33.3333", "0.0001", "50", "100", "0"}).Draw(t, p.Name)
	case ledger.KindNumber:
		return rapid.IntRange(0, p.Max).Draw(t, p.Name)
	case ledger.KindFlag:
		return rapid.Bool().Draw(t, p.Name)
	}
	return rapid.StringMatching(`[a-zA-Zäß ]{0,12}`).Draw(t, p.Name)
}

func onHold(w *till) (ids []string) {
	for _, t := range w.state.Suspended {
		ids = append(ids, string(t.ID))
	}
	return ids
}

// shiftsOf are the shifts that a command can name.
func shiftsOf(w *till) []string {
	ids := []string{"s001-r01-1-s1", "NIL"}
	for _, s := range w.state.SetAside {
		ids = append(ids, string(s.Shift), string(s.Shift), string(s.Shift))
	}
	return ids
}

func expectedCash(w *till) int {
	if w.state.Shift == nil {
		return 0
	}
	return int(max(0, w.state.Shift.Expected()["cash"]))
}

func recordKeys(w *till, kind string) (keys []string) {
	for q := range w.records {
		if q.Kind == kind {
			keys = append(keys, q.Key)
		}
	}
	slices.Sort(keys)
	return append(keys, "NIL")
}

// repeatSome sends an old command again, and its key with something else.
func repeatSome(t *rapid.T, w *till) {
	e := rapid.SampledFrom(w.entries).Draw(t, "entry")
	if _, ok := e.Fact.(events.Requested); !ok || e.Operation == 700 || e.Command == "" {
		return
	}
	first, firstErr := ledger.AnswerOf(e)
	before := w.snapshot()
	done, known := w.state.Commands.Find(e.Command)
	require.True(t, known)
	require.Equal(t, e.Head.Sequence, done.Sequence)

	c := w.command(e.Operation, `{"something":"else"}`)
	c.Key, c.Staff = e.Command, "no one"
	_, err := ledger.Decide(w.state, c)
	require.ErrorContains(t, err, "command_reused")
	c.Operation = 100 + 9*(e.Operation%2) // of another operation
	_, err = ledger.Decide(w.state, c)
	require.ErrorContains(t, err, "command_reused")

	again, againErr := ledger.AnswerOf(must(events.Decode(w.bodies[e.Head.Sequence-1])))
	require.Equal(t, first, again, "an answer follows from the entry alone")
	require.Equal(t, firstErr, againErr)
	require.Equal(t, string(before), string(w.snapshot()))
}

// replayInParts folds the journal up to somewhere, stores and reads the state, and folds
// the rest: it must come to the same state as never having stopped.
func replayInParts(t *rapid.T, w *till) {
	cut := rapid.IntRange(0, len(w.bodies)).Draw(t, "cut")
	record := w.entries[0].Fact.(*events.RegisterActivated).Record
	state := ledger.NewState(tillRegister, 1, events.Hash([]byte(record)))
	for i, body := range w.bodies {
		if i == cut {
			snapshot := must(json.Marshal(state))
			state = new(ledger.State)
			require.NoError(t, json.Unmarshal(snapshot, state))
		}
		require.NoError(t, state.Apply(must(events.Decode(body))), "entry %d", i+1)
	}
	require.Equal(t, string(w.snapshot()), string(must(json.Marshal(state))), "cut at %d of %d", cut, len(w.bodies))
}

// TestApplyRefusesWhatCannotFollow: an entry that is sound in itself and cannot have been
// written here is a corrupt journal, never a panic.
func TestApplyRefusesWhatCannotFollow(t *testing.T) {
	sale := func(op int, input string) func(w *till) {
		return func(w *till) { must(w.do(w.command(op, input))) }
	}
	tea, paid := sale(100, `{"product":"TEA"}`), sale(200, `{"amount":100}`)
	of := events.OfSale{Transaction: "s001-r01-1-1"}
	for _, c := range []struct {
		name  string
		steps []func(w *till)
		fact  events.Fact
	}{
		{"a line of no transaction", nil, &events.LineAdded{OfSale: of}},
		{"a line of another transaction", []func(*till){tea}, &events.LineAdded{OfSale: events.OfSale{Transaction: "s001-r01-1-2"}}},
		{"a second transaction", []func(*till){tea}, &events.LineAdded{OfSale: events.OfSale{Transaction: "s001-r01-1-2", Begins: &events.Terms{Number: 2}}}},
		{"a line left out", []func(*till){tea}, &events.LineAdded{OfSale: of, Line: events.Line{Number: 3}}},
		{"a line that is not there voided", []func(*till){tea}, &events.LineVoided{OfSale: of, Line: 2}},
		{"line 0 restored", []func(*till){tea}, &events.LineRestored{OfSale: of, Line: 0}},
		{"a quantity of no line", []func(*till){tea}, &events.QuantitySet{OfSale: of, Line: -1}},
		{"a payment that is not there voided", []func(*till){tea, paid}, &events.PaymentVoided{OfSale: of, Payment: 2}},
		{"payment 0 voided", []func(*till){tea, paid}, &events.PaymentVoided{OfSale: of, Payment: 0}},
		{"nothing concluded", nil, &events.SaleConcluded{OfSale: of}},
		{"nothing voided", nil, &events.SaleVoided{OfSale: of}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := readyTill(stores()["standard"])
			for _, step := range c.steps {
				step(w)
			}
			head := w.state.Head
			_, err := w.record(c.fact, ledger.Command{Key: w.newKey()}, "")
			var corrupt *events.CorruptError
			require.ErrorAs(t, err, &corrupt)
			require.Equal(t, "impossible", corrupt.Kind)
			require.Equal(t, head.Sequence+1, corrupt.Sequence)
			require.Equal(t, head, w.state.Head, "the head has not moved")
		})
	}
	t.Run("no shift", func(t *testing.T) {
		w := newTill(stores()["standard"])
		_, err := w.record(&events.StartAmountDeclared{}, ledger.Command{}, "")
		require.ErrorContains(t, err, "no shift is open")
	})
	t.Run("another chain", func(t *testing.T) {
		w, other := readyTill(stores()["standard"]), readyTill(stores()["standard"])
		tea(w)
		tea(other)
		sale(100, `{"product":"MUG"}`)(other)
		paid(other)
		require.Error(t, w.state.Apply(other.entries[len(other.entries)-1]), "a gap")
		sale(100, `{"product":"COAL"}`)(w)
		err := w.state.Apply(other.entries[len(other.entries)-1])
		require.ErrorContains(t, err, "chain")
	})
}

// onlyInHQsJournal are the facts of head office's own journal, which no register's may hold.
var onlyInHQsJournal = map[string]bool{"completeness.certified.v2": true, "finding.accepted.v2": true, "period.closed.v2": true, "register.quarantined.v1": true}

// TestEveryFactHasAPlaceInTheState: a fact that Apply does not know stops every register that replays it.
func TestEveryFactHasAPlaceInTheState(t *testing.T) {
	ofHeadOffice := []string{
		"activation.code_issued.v1", "activation.refused.v1", "register.enrolled.v1", "register.revoked.v1", "shift.confirmed.v1",
		"reservation.granted.v1", "exception.found.v1", "customer.mapped.v1", "register.key_confirmed.v1",
	}
	for _, name := range events.Facts.Types() {
		if slices.Contains(ofHeadOffice, name) {
			continue // no register records it
		}
		w := readyTill(stores()["standard"])
		must(w.do(w.command(100, `{"product":"TEA"}`)))
		fact := events.Facts.New(name)
		if f, ok := fact.(events.OfTransaction); ok {
			f.Sale().Transaction = w.state.Transaction.ID
		}
		_, err := w.record(fact, ledger.Command{Key: w.newKey()}, "")
		if onlyInHQsJournal[name] {
			require.ErrorContains(t, err, "has no place", name)
		} else if err != nil {
			require.NotContains(t, err.Error(), "has no place", name)
		}
	}
}
