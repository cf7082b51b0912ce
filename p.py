p='property_test.go'; s=open(p).read()
s=s.replace('''	if rapid.IntRange(0, 2).Draw(t, "likely") > 0 {
		input = drawLikely(t, w, op, likely[op.ID])''','''	if traces := likely[op.ID]; len(traces) > 0 && rapid.IntRange(0, 2).Draw(t, "likely") > 0 {
		input = drawLikely(t, w, op, traces)''')
open(p,'w').write(s)
p='gates_test.go'; s=open(p).read()
s=s.replace('''	g := &guarded{s: s, store: guardedStore()}
	for line := range strings.Lines(strings.TrimSpace(body)) {
		g.given = append(g.given, readStep(strings.TrimSpace(line)))
	}
	last := len(g.given) - 1
	g.step, g.given = g.given[last], g.given[:last]
	g.op = ledger.Find(g.step.op)
	require.NotNil(t, g.op, "operation %d", g.step.op)

''','''	var trace []step
	for line := range strings.Lines(strings.TrimSpace(body)) {
		trace = append(trace, readStep(strings.TrimSpace(line)))
	}
	g := newGuarded(t, trace)
''')
s=s.replace('''	try := func(name string, h hindrance) (code string) {
		text, code := g.try(h)
''','''	try := func(name string, h hindrance) (code string) {
		text, code := g.try(h, s.observe)
''')
s=s.replace('''text, code := g.try(both)''','''text, code := g.try(both, s.observe)''')
s=s.replace('''// try carries the operation out with a hindrance, and says what came of it, and the code of its refusal.
func (g *guarded) try(h hindrance) (text, code string) {
	w := g.prepared(h)
	params''','''// observer is told what a command found and what came of it.
type observer func(ledger.Command, circumstances, *events.Entry, error)

// try carries the operation out with a hindrance, and says what came of it, and the code of its refusal.
func (g *guarded) try(h hindrance, observe observer) (text, code string) {
	w := g.prepared(h)
	c, was := g.command(w, h), w.circumstances()
	a, err := w.do(c)
	if err == nil {
		_, err = ledger.AnswerOf(a.entry)
	}
	observe(c, was, a.entry, err)
	if refusal := (*ledger.Refusal)(nil); errors.As(err, &refusal) {
		return "refused " + refusal.Error(), refusal.Code
	}
	text, _, _ = strings.Cut(render(a.entry.Fact, w.store.Digits), "\\n")
	if a.entry.Approver != "" {
		text += ", approved by " + string(a.entry.Approver)
	}
	return text, ""
}

// command is the operation at a register that was prepared for it.
func (g *guarded) command(w *till, h hindrance) ledger.Command {
	params''')
a=s.index('''	was := w.circumstances()
	a, err := w.do(c)
	if err == nil {
		_, err = ledger.AnswerOf(a.entry)
	}
	g.s.observe'''); b=s.index("// staff is who works at the register")
s=s[:a]+'''	return c
}

'''+s[b:]
s=s.replace('''type guarded struct {
	s     *scenario
	store ledger.Store
''','''type guarded struct {
	store ledger.Store
''')
s=s.replace('''func readStep(line''','''func newGuarded(t require.TestingT, trace []step) *guarded {
	last := len(trace) - 1
	g := &guarded{store: guardedStore(), given: trace[:last], step: trace[last], op: ledger.Find(trace[last].op)}
	require.NotNil(t, g.op, "operation %d", trace[last].op)
	return g
}

func readStep(line''')
s+='''
// TestOrderOfGates: everything is wrong at once, and put right one by one: what refuses
// is always the first that is left in the order of the gates, then the operation's own checks, then the reason.
func TestOrderOfGates(t *testing.T) {
	tea := step{100, map[string]any{"product": "TEA"}}
	all := hindrance{nobody: true, locked: true, forbidden: true, approver: "0000", drawer: true, noShift: true, offline: true, noReason: true}
	type mended struct {
		mend func(*hindrance)
		want string
	}
	begin := []mended{
		{func(*hindrance) {}, "not_signed_on"},
		{func(h *hindrance) { h.nobody = false }, "register_locked"},
		{func(h *hindrance) { h.locked = false }, "override_refused"},
		{func(h *hindrance) { h.approver = "" }, "permission_denied"},
		{func(h *hindrance) { h.forbidden = false }, "drawer_open"},
		{func(h *hindrance) { h.drawer = false }, "no_shift"},
	}
	for _, c := range []struct {
		trace []step
		wrong func(*hindrance)
		rest  []mended
	}{
		{[]step{tea, {207, map[string]any{"card": "no such card"}}}, func(h *hindrance) { h.without, h.noCart = "card", true }, []mended{
			{func(h *hindrance) { h.noShift = false }, "no_transaction"},
			{func(h *hindrance) { h.noCart = false }, "operation_unsupported_offline"},
			{func(h *hindrance) { h.offline, h.pending = false, true }, "card_pending"},
			{func(h *hindrance) { h.pending = false }, "invalid_parameter"},
			{func(h *hindrance) { h.without = "" }, "unknown_loyalty_card"},
		}},
		{[]step{{1054, nil}}, func(*hindrance) {}, []mended{
			{func(h *hindrance) { h.noShift, h.inCart = false, true }, "transaction_in_progress"},
			{func(h *hindrance) { h.inCart = false }, "operation_unsupported_offline"},
			{func(h *hindrance) { h.offline = false }, ""},
		}},
		{[]step{tea, {102, map[string]any{"line": 2}}}, func(h *hindrance) { h.without, h.noCart = "line", true }, []mended{
			{func(h *hindrance) { h.noShift = false }, "no_transaction"},
			{func(h *hindrance) { h.noCart, h.pending = false, true }, "card_pending"},
			{func(h *hindrance) { h.pending = false }, "invalid_parameter"},
			{func(h *hindrance) { h.without = "" }, "no_such_line"},
		}},
		{[]step{tea, {102, map[string]any{"line": 1}}}, func(h *hindrance) { h.noCart = true }, []mended{
			{func(h *hindrance) { h.noShift = false }, "no_transaction"},
			{func(h *hindrance) { h.noCart = false }, "reason_required"},
			{func(h *hindrance) { h.reason = true }, ""},
		}},
	} {
		g, h := newGuarded(t, c.trace), all
		c.wrong(&h)
		for _, m := range append(slices.Clone(begin), c.rest...) {
			m.mend(&h)
			text, code := g.try(h, func(ledger.Command, circumstances, *events.Entry, error) {})
			require.Equal(t, m.want, code, "operation %d with %+v: %s", g.op.ID, h, text)
		}
	}
}

// TestEveryOperationOnce: the same command under the same key gets the same answer and does
// nothing, also after a restart, when the register is locked, and where it is not
// possible any more; under the same key anything else is refused.
func TestEveryOperationOnce(t *testing.T) {
	walked := map[int]bool{}
	for _, trace := range gateTraces(t) {
		g := newGuarded(t, trace)
		w := g.prepared(hindrance{})
		c := g.command(w, hindrance{})
		first, err := w.do(c)
		if err != nil {
			require.True(t, onlyAtHQ[g.op.ID], "operation %d: %v", g.op.ID, err)
			continue
		}
		walked[g.op.ID] = true
		answer, err := ledger.AnswerOf(first.entry)
		require.NoError(t, err)

		if w.state.Staff != nil && !w.state.Staff.Locked {
			must(w.do(w.command(703, "")))
		}
		w.restart()
		before := w.snapshot()
		c = w.complete(c)
		c.DrawerOpen, c.LinkDown = true, true
		again, err := ledger.Decide(w.state, c)
		require.NoError(t, err, "operation %d", g.op.ID)
		require.Equal(t, ledger.Decision{Repeated: first.entry.Head.Sequence}, again, "operation %d", g.op.ID)
		told, err := ledger.AnswerOf(must(events.Decode(w.bodies[again.Repeated-1])))
		require.NoError(t, err)
		require.Equal(t, answer, told, "operation %d", g.op.ID)

		other := c
		other.Input = must(ledger.ParseInput([]byte(`{"something":"else"}`)))
		_, err = ledger.Decide(w.state, other)
		require.ErrorContains(t, err, "command_reused", "operation %d", g.op.ID)
		other = c
		other.Operation = 100 + 9*(g.op.ID%2)
		if other.Operation != g.op.ID {
			_, err = ledger.Decide(w.state, other)
			require.ErrorContains(t, err, "command_reused", "operation %d", g.op.ID)
		}
		require.Equal(t, string(before), string(w.snapshot()))
	}
	for _, op := range ledger.Catalogue() {
		require.True(t, walked[op.ID] || onlyAtHQ[op.ID], "operation %d", op.ID)
	}
}
'''
s=s.replace('''	"strings"

	"github''','''	"strings"
	"testing"

	"github''',1)
open(p,'w').write(s)
