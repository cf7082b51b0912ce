package ledger_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/posnode/posnode/events"
	"github.com/posnode/posnode/ledger"
)

// What the scenarios must show of each operation, and the command that shows most of it.
//
//	gates
//	OPERATION PARAMETERS
//	...
//
// The last line is the operation and the lines before it are what leads up to it, at a
// register in the reference shop with staff 7 signed on, a shift open and 100.00 in the
// drawer. It is carried out once as it is, and once for each thing that can stand in its way, every time
// at a new register. "As online" says that the same came of it as the first time.
// Then every two of what was in its way are tried together: the one that comes first in precedence must be what refuses it.

// precedence is the order of the gates, by what each refuses with.
var precedence = []string{
	"not_signed_on", "register_locked", "override_refused", "permission_denied", "drawer_open", "no_shift",
	"no_transaction", "transaction_in_progress", "operation_unsupported_offline", "card_pending", "invalid_parameter", "reason_required",
}

// unbounded are the operations that are bounded offline by nothing but what this register
// holds: they are written down here and done at head office, or answered from the offline database.
var unbounded = map[int]string{
	503: "set aside here, to be recalled here",
	612: "a provisional number", 623: "both edits are kept, the later wins", 620: "a provisional number",
	802: "posted at head office", 920: "posted at head office", 921: "what the offline database holds",
}

// required is what the scenarios must show of an operation, by what the catalogue says of it.
func required(op *ledger.Operation) (shows []string) {
	g := op.Gates
	show := func(when bool, what ...string) {
		if when {
			shows = append(shows, what...)
		}
	}
	show(true, "works online")
	show(op.Offline == ledger.Refused, "refused operation_unsupported_offline offline")
	show(op.Offline != ledger.Refused || op.Group == "shift", "works offline") // the shift operations as the profile lets them
	show(op.Offline == ledger.Bounded && unbounded[op.ID] == "", "refused realtime_service_unavailable offline")
	show(!g.Open, "refused not_signed_on", "refused register_locked")
	show(!g.Open && !g.AnyStaff, "refused permission_denied", "refused override_refused")
	show(!g.Open && !g.AnyStaff, "works approved")
	show(!g.Open && !g.DrawerOpen, "refused drawer_open")
	show(g.Open || g.DrawerOpen, "works with the drawer open")
	show(g.Shift, "refused no_shift")
	show(!g.Shift || g.ChosenShift, "works without an open shift")
	show(g.Cart == ledger.NeedCart, "refused no_transaction")
	show(g.Cart == ledger.NoCart, "refused transaction_in_progress")
	show(g.Cart == ledger.AnyCart, "works in a transaction", "works without a transaction")
	show(op.Sells() && g.Cart != ledger.NoCart && op.ID != 211, "refused card_pending") // 211 gives the request up
	for _, p := range op.Params {
		show(p.Required, "refused invalid_parameter "+p.Name)
	}
	show(op.Reason != "", "refused reason_required", "works with a reason")
	return shows
}

// shown notes what came of an operation.
func (c coverage) shown(op int, what string) {
	if c.shows[op] == nil {
		c.shows[op] = map[string]bool{}
	}
	c.shows[op][what] = true
}

// observe notes what came of c, which found the register as it was.
func (s *scenario) observe(c ledger.Command, was circumstances, entry *events.Entry, err error) {
	if refusal := (*ledger.Refusal)(nil); errors.As(err, &refusal) {
		s.seen.codes[refusal.Code] = true
		s.seen.shown(c.Operation, "refused "+refusal.Code)
		s.seen.shown(c.Operation, fmt.Sprintf("refused %s %s", refusal.Code, was.mode))
		if refusal.Parameter != "" {
			s.seen.shown(c.Operation, fmt.Sprintf("refused %s %s", refusal.Code, refusal.Parameter))
		}
		return
	}
	for what, so := range map[string]bool{
		string(was.mode): true, "approved": entry.Approver != "", "with the drawer open": c.DrawerOpen, "without an open shift": !was.shift,
		"in a transaction": was.cart, "without a transaction": !was.cart, "with a reason": c.Input.Text("reason") != "",
	} {
		if so {
			s.seen.shown(c.Operation, "works "+what)
		}
	}
}

// circumstances are what a command found.
type circumstances struct {
	mode        events.Mode
	shift, cart bool
}

func (w *till) circumstances() circumstances {
	return circumstances{w.state.Mode, w.state.Shift != nil, w.state.Transaction != nil}
}

// guarded is an operation whose gates are tried.
type guarded struct {
	store ledger.Store
	given []step
	step
	op    *ledger.Operation
	hasty bool // the till's checks were made before
}

type step struct {
	op     int
	params map[string]any
}

// hindrance is what stands in the way of an operation, or two of those.
type hindrance struct {
	nobody, locked, forbidden, drawer, noShift, noCart, inCart, offline, pending, noReason bool

	fresh    bool   // nobody was ever signed on
	without  string // the parameter that is left out
	approver string // the PIN of the manager who approves
	allowed  bool   // offline, as the profile allows
	reason   bool   // that is given
}

// guardedStore has every tender, accounts for income and expenses, and orders.
func guardedStore() ledger.Store {
	all := stores()
	s := all["tenders"]
	s.Cash.Accounts = all["cashless"].Cash.Accounts
	s.Orders = all["orders"].Orders
	return s
}

func newGuarded(t require.TestingT, trace []step) *guarded {
	last := len(trace) - 1
	g := &guarded{store: guardedStore(), given: trace[:last], step: trace[last], op: ledger.Find(trace[last].op)}
	require.NotNil(t, g.op, "operation %d", trace[last].op)
	return g
}

func readStep(line string) step {
	op, params, _ := strings.Cut(line, " ")
	one := step{op: must(strconv.Atoi(op)), params: map[string]any{}}
	if params != "" {
		if err := json.Unmarshal([]byte(params), &one.params); err != nil {
			panic(fmt.Sprintf("%s: %v", line, err))
		}
	}
	return one
}

// gates tries the gates of the operation in the last line of body.
func (s *scenario) gates(t require.TestingT, body string) string {
	var trace []step
	for line := range strings.Lines(strings.TrimSpace(body)) {
		trace = append(trace, readStep(strings.TrimSpace(line)))
	}
	g := newGuarded(t, trace)
	var out strings.Builder
	var stand []hindrance // in the order of the gates
	var codes []string
	online := ""
	try := func(name string, h hindrance) (code string) {
		text, code := g.try(h, s.observe)
		switch {
		case name == "online":
			online = text
		case text == online && code == "":
			text = "as online"
		case strings.HasPrefix(text, online+", ") && code == "":
			text = "as online" + strings.TrimPrefix(text, online)
		}
		fmt.Fprintf(&out, "%-24s %s\n", name, text)
		own := h.pending && g.op.ID == 211 // which asks about the terminal itself
		if slices.Contains(precedence, code) && !h.fresh && !own {
			stand, codes = append(stand, h), append(codes, code)
		}
		return code
	}
	try("online", hindrance{})
	if try("offline", hindrance{offline: true}) == "operation_unsupported_offline" {
		try("offline, if allowed", hindrance{offline: true, allowed: true})
	}
	try("nobody is signed on", hindrance{nobody: true, fresh: true})
	if !g.op.Gates.Open {
		try("another client", hindrance{nobody: true})
	}
	try("the register is locked", hindrance{locked: true})
	switch {
	case g.op.Gates.Open:
	case g.op.Gates.AnyStaff:
		try("without the permission", hindrance{forbidden: true})
	default:
		try("without the permission", hindrance{forbidden: true})
		try("a manager approves", hindrance{forbidden: true, approver: "5678"})
		try("with the wrong PIN", hindrance{approver: "0000"})
	}
	try("the drawer is open", hindrance{drawer: true})
	try("no shift is open", hindrance{noShift: true})
	if g.prepared(hindrance{}).state.Transaction != nil {
		try("no transaction", hindrance{noCart: true})
	} else {
		try("in a transaction", hindrance{inCart: true})
	}
	try("the terminal is silent", hindrance{pending: true})
	for _, p := range g.op.Params {
		if p.Required {
			try("without "+p.Name, hindrance{without: p.Name})
		}
	}
	if g.op.Reason != "" {
		try("without a reason", hindrance{noReason: true})
		try("with a reason", hindrance{noReason: true, reason: true})
	}
	g.hasty = true
	for i, a := range stand {
		for j, b := range stand[:i] {
			both := a.and(b)
			if both.noShift && (both.inCart || both.pending) || both.noCart && both.pending || a.without != "" && b.without != "" || codes[i] == codes[j] {
				continue // never both
			}
			first := precedence[min(slices.Index(precedence, codes[i]), slices.Index(precedence, codes[j]))]
			text, code := g.try(both, s.observe)
			require.Equal(t, first, code, "operation %d, where %s and %s are both in the way: %s", g.op.ID, codes[i], codes[j], text)
		}
	}
	return out.String()
}

func (h hindrance) and(o hindrance) hindrance {
	return hindrance{
		nobody: h.nobody || o.nobody, locked: h.locked || o.locked, forbidden: h.forbidden || o.forbidden, drawer: h.drawer || o.drawer,
		noShift: h.noShift || o.noShift, noCart: h.noCart || o.noCart, inCart: h.inCart || o.inCart, offline: h.offline || o.offline,
		pending: h.pending || o.pending, noReason: h.noReason || o.noReason, without: h.without + o.without, approver: h.approver + o.approver,
	}
}

// observer is told what a command found and what came of it.
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
	text, _, _ = strings.Cut(render(a.entry.Fact, w.store.Digits), "\n")
	if a.entry.Approver != "" {
		text += ", approved by " + string(a.entry.Approver)
	}
	return text, ""
}

// command is the operation at a register that was prepared for it.
func (g *guarded) command(w *till, h hindrance) ledger.Command {
	params := maps.Clone(g.params)
	delete(params, h.without)
	if h.approver != "" {
		params["approver"], params["approver_pin"] = "8", h.approver
	}
	if h.reason {
		params["reason"] = "WHY"
	}
	c := w.command(g.op.ID, string(must(json.Marshal(params))))
	c.Staff, c.DrawerOpen = g.staff(h), h.drawer
	if h.nobody {
		c.Staff = ""
	}
	return c
}

// staff is who works at the register: 7, a manager, or 12, who may do everything but this operation.
func (g *guarded) staff(h hindrance) events.StaffID {
	if h.forbidden {
		return "12"
	}
	return "7"
}

// prepared is a register where the operation is about to be carried out.
func (g *guarded) prepared(h hindrance) *till {
	w := newTill(g.store)
	w.hasty = g.hasty
	may := events.Rights{
		LineDiscountAmount: 1e6, TotalDiscountAmount: 1e6, LineReturnAmount: 1e6, TotalReturnAmount: 1e6,
		LineDiscountPercent: percent("100"), TotalDiscountPercent: percent("100"), PriceOverride: "both",
	}
	for _, op := range ledger.Catalogue() {
		if op.ID != g.op.ID {
			may.Operations = append(may.Operations, op.ID)
		}
	}
	w.records[ledger.Query{Kind: "staff", Key: "12"}] = ledger.StaffMember{ID: "12", Name: "Jo", Groups: []events.Rights{may}}
	if h.fresh {
		return w
	}
	w.connect(events.Online)
	run := func(op int, params map[string]any) {
		if w.state.Staff == nil && op != 700 {
			who := string(g.staff(h))
			must(w.do(w.command(700, fmt.Sprintf(`{"staff":%q,"pin":%q}`, who, pins[who]))))
		}
		params = maps.Clone(params)
		if op == g.op.ID && h.forbidden {
			params["approver"], params["approver_pin"] = "8", "5678"
		}
		c := w.command(op, string(must(json.Marshal(params))))
		c.Staff = g.staff(h)
		if _, err := w.do(c); err != nil {
			if silent := new(ledger.Refusal); !errors.As(err, &silent) || silent.Code != "terminal_unanswered" {
				panic(fmt.Sprintf("%d %v, before operation %d: %v", op, params, g.op.ID, err))
			}
		}
	}
	none := map[string]any{}
	signOn := func() {
		if w.state.Staff == nil && g.op.ID != 700 {
			who := string(g.staff(h))
			run(700, map[string]any{"staff": who, "pin": pins[who]})
		}
	}
	signOn()
	if !h.noShift {
		run(1050, none)
		if g.op.ID != 1200 {
			run(1200, map[string]any{"amount": 10000})
		}
		if !h.noCart {
			for _, one := range g.given {
				run(one.op, one.params)
			}
		}
	}
	if h.inCart || h.pending {
		if w.state.Shift == nil {
			run(1050, none)
		}
		run(100, map[string]any{"product": "TENNER"})
	}
	if h.pending {
		w.terminal = "lost"
		run(201, map[string]any{"amount": 1})
	}
	signOn()
	if h.locked {
		run(703, none)
	}
	if h.offline {
		w.connect(events.Offline)
	}
	w.store.Profile.ShiftOperationsOffline = h.allowed
	if h.noReason && g.op.Reason != "" {
		w.store.Reasons = map[string]ledger.Reasons{g.op.Reason: {Mandatory: true, Codes: []ledger.ReasonCode{{Code: "WHY", Text: "because"}}}}
	}
	return w
}

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
		{[]step{{1054, map[string]any{}}}, func(*hindrance) {}, []mended{
			{func(h *hindrance) { h.noShift, h.inCart = false, true }, "transaction_in_progress"},
			{func(h *hindrance) { h.inCart = false }, "operation_unsupported_offline"},
			{func(h *hindrance) { h.offline = false }, ""},
		}},
		{[]step{tea, {102, map[string]any{"line": 2}}}, func(h *hindrance) { h.without, h.noCart = "line", true }, []mended{
			{func(h *hindrance) { h.noShift = false }, "no_transaction"},
			{func(h *hindrance) { h.noCart, h.pending = false, true }, "card_pending"},
			{func(h *hindrance) { h.pending = false }, "invalid_parameter"},
			{func(h *hindrance) { h.without = "" }, "unknown_line"},
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
		require.NoError(t, err, "operation %d", g.op.ID)
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
		require.True(t, walked[op.ID], "operation %d", op.ID)
	}
}
