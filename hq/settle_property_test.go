package hq

import (
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/posnode/posnode/embedded"
	"github.com/posnode/posnode/events"
	"github.com/posnode/posnode/ledger"
)

// TestEveryMovementCountsOnce plays two registers and head office against one gift card: without a network, each
// with the functions that it decides by. Whatever was sent, lost, restored and imported, what a register holds
// available is what there is, but for what the other did that nobody could have told it, and what that has reserved.
func TestEveryMovementCountsOnce(t *testing.T) {
	played := map[string]int{}
	rapid.Check(t, func(t *rapid.T) {
		w := newCardWorld(t, played)
		defer func() { require.NoError(t, w.db.close()) }()
		for range rapid.IntRange(10, 40).Draw(t, "steps") {
			p := w.tills[rapid.IntRange(0, 1).Draw(t, "till")]
			what := rapid.SampledFrom([]string{"issue", "add", "pay", "pay", "hold", "end", "send", "send", "cut", "back", "replicate", "import", "restore", "keep", "rebuild"}).Draw(t, "what")
			played[what]++
			switch what {
			case "issue":
				w.sale(p, 512, fmt.Sprintf(`{"card":"6001","amount":%d}`, 100*rapid.IntRange(1, 50).Draw(t, "amount")), true)
			case "add":
				w.sale(p, 519, fmt.Sprintf(`{"card":"6001","amount":%d}`, 100*rapid.IntRange(1, 50).Draw(t, "amount")), true)
			case "pay", "hold":
				if p.state.Transaction == nil && w.do(p, 100, `{"product":"TENNER","quantity":"9"}`) == nil {
					w.sale(p, 214, fmt.Sprintf(`{"card":"6001","amount":%d}`, 100*rapid.IntRange(1, 50).Draw(t, "amount")), what == "pay")
				}
			case "end":
				if p.state.Transaction != nil {
					w.do(p, 206, ``)
				}
			case "send":
				w.send(p, rapid.IntRange(1, 20).Draw(t, "entries"))
			case "cut":
				w.mode(p, events.Offline)
			case "back":
				w.mode(p, events.Online)
			case "replicate":
				p.local, p.version = w.figure, w.version
			case "import":
				w.imports(rapid.Bool().Draw(t, "by name"))
			case "keep":
				p.keep()
			case "restore":
				if rapid.Bool().Draw(t, "all was sent") {
					w.send(p, len(p.unsent))
				}
				w.restore(p, rapid.IntRange(0, 2).Draw(t, "sales before anyone notices"))
			case "rebuild":
				w.rebuild()
			}
			w.check()
		}
	})
	for _, what := range []string{"granted", "refused gift_card_balance", "lost", "forked", "offline payment", "unsent when checked"} {
		require.Positive(t, played[what], "it never came to %s: %v", what, played)
	}
}

// cardWorld is two registers, head office, and what is really on the card.
type cardWorld struct {
	*rapid.T
	played  map[string]int
	db      *database
	tills   []*cardTill
	figure  ledger.GiftCard // in head office's reference data
	own     []*events.Entry // what head office recorded
	sent    []*events.Entry // what arrived there and was verified
	forks   []*events.Entry // that contradict those
	moves   []*cardMove     // that happened, whoever knows
	clock   time.Time
	ids     uint64
	offline bool // something was paid without head office
	version int  // of figure
}

type cardMove struct {
	till   *cardTill
	entry  *events.Entry
	place  events.Place
	amount events.Money
	lost   bool // by the register, not by head office: while it is offline nobody tells it
	here   bool // head office has it
	base   int  // the first figure that holds it
	branch bool // it was made on a copy that was put back, in the place of another entry perhaps
}

type cardTill struct {
	w       *cardWorld
	name    events.Register
	state   *ledger.State
	journal []*events.Entry // of all epochs, without what was lost
	unsent  []*events.Entry
	local   ledger.GiftCard // its copy of the figure
	version int
	kept    []byte // a copy of its directory
	keptAt  int
}

var cardShop = ledger.Store{Currency: "GBP", Digits: 2, MaxQuantity: events.NewQuantity(1000), Tenders: map[string]ledger.Tender{
	"cash": {ID: "cash", Name: "Cash", Kind: "cash", OverPaid: true, Refund: true}, "giftcard": {ID: "giftcard", Name: "Gift card", Kind: "giftcard"},
}, Profile: ledger.Profile{GiftCardPerCard: 1e6, GiftCardPerTransaction: 1e6, GiftCardInAll: 1e8}}

func newCardWorld(t *rapid.T, played map[string]int) *cardWorld {
	w := &cardWorld{T: t, played: played, clock: time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)}
	w.figure = ledger.GiftCard{Number: "6001", Currency: "GBP", Blank: true, AsOf: "2026-03-02T06:00:00Z"}
	w.open()
	for _, id := range []events.RegisterID{"r01", "r02"} {
		p := &cardTill{w: w, name: events.Register{Store: "s001", ID: id}, local: w.figure}
		w.tills = append(w.tills, p)
		w.activate(p, nil)
		w.mode(p, events.Online)
	}
	return w
}

func (w *cardWorld) open() {
	db, err := sql.Open("sqlite", ":memory:")
	require.NoError(w, err)
	db.SetMaxOpenConns(1) // each would have a memory of its own
	_, err = db.Exec(schema + keptSchema + activationSchema + settleSchema)
	require.NoError(w, err)
	w.db = &database{db: db}
}

// inDB does something in a transaction of head office's database.
func (w *cardWorld) inDB(do func(*sql.Tx) error) {
	tx, err := w.db.db.BeginTx(w.Context(), nil)
	require.NoError(w, err)
	require.NoError(w, do(tx))
	require.NoError(w, tx.Commit())
}

func (w *cardWorld) seal(r events.Register, head events.Head, c events.Circumstances, fact events.Fact) *events.Entry {
	w.ids++
	w.clock = w.clock.Add(time.Second)
	c.ID, c.Time = ulid.MustNew(ulid.Timestamp(w.clock), nil), w.clock
	_, e, err := events.Seal(r, head, c, fact)
	require.NoError(w, err)
	return e
}

// append records a fact at a register, and what it moves.
func (w *cardWorld) append(p *cardTill, c events.Circumstances, fact events.Fact) {
	before := len(p.state.Moved.List)
	if c.Mode = p.state.Mode; p.state.Shift != nil {
		c.Shift = p.state.Shift.Shift
	}
	e := w.seal(p.name, p.state.Head, c, fact)
	require.NoError(w, p.state.Apply(e))
	p.journal, p.unsent = append(p.journal, e), append(p.unsent, e)
	switch fact.(type) {
	case *events.RegisterActivated:
		return // what it carries was moved before
	case *events.PaymentTaken: // it moves when the sale is concluded, perhaps online
		w.offline = w.offline || p.state.Mode == events.Offline
	}
	for _, m := range p.state.Moved.List[before:] {
		w.moves = append(w.moves, &cardMove{till: p, place: events.Place{Epoch: m.Epoch, Sequence: m.Sequence}, amount: m.Amount, entry: e})
		if m.Amount < 0 && p.state.Mode == events.Offline {
			w.offline = true
			w.played["offline payment"]++
		}
	}
}

func (w *cardWorld) activate(p *cardTill, carried *events.Carried) {
	epoch := 1
	if p.state != nil {
		epoch = p.state.Head.Epoch + 1
	}
	record, err := json.Marshal(events.ActivationRecord{Register: p.name, Epoch: epoch, Time: "2026-03-02T08:00:00Z", Carried: carried})
	require.NoError(w, err)
	p.state = ledger.NewState(p.name, epoch, events.Hash(record))
	w.append(p, events.Circumstances{}, &events.RegisterActivated{Record: string(record)})
	require.NoError(w, w.do(p, 700, `{"staff":"7","pin":"1"}`))
	require.NoError(w, w.do(p, 1050, ``))
}

func (w *cardWorld) mode(p *cardTill, to events.Mode) {
	if p.state.Mode != to {
		w.append(p, events.Circumstances{}, &events.ModeChanged{From: p.state.Mode, To: to, Cause: "link"})
	}
}

// known is the card as the register is told of it.
func (w *cardWorld) known(p *cardTill) ledger.GiftCard {
	if p.state.Mode == events.Offline {
		return p.local
	}
	card, err := w.db.giftCard(w.Context(), p.name, w.figure)
	require.NoError(w, err)
	return card
}

func (w *cardWorld) command(p *cardTill, operation int, input string) ledger.Command {
	w.ids++
	in, err := ledger.ParseInput([]byte(input))
	require.NoError(w, err)
	return ledger.Command{
		Operation: operation, Key: events.CommandKey(fmt.Sprint(w.ids)), Input: in, Staff: "7", Date: "2026-03-02", PINMatches: true, At: w.clock.Unix(),
		Reference: ledger.Reference{Store: cardShop, Found: map[ledger.Query]any{
			{Kind: "staff", Key: "7"}:        ledger.StaffMember{ID: "7", Name: "Sam", PIN: "a hash", Groups: []events.Rights{{Manager: true}}},
			{Kind: "product", Key: "TENNER"}: ledger.Product{ID: "TENNER", Description: "Ten pounds", Price: tenner},
			{Kind: "giftcard", Key: "6001"}:  w.known(p),
		}},
	}
}

var tenner = func() events.Price { p, _ := events.ParsePrice("10"); return p }()

// do carries out an operation as a register and head office do.
func (w *cardWorld) do(p *cardTill, operation int, input string) error {
	c := w.command(p, operation, input)
	decision, err := ledger.Decide(p.state, c)
	if err != nil {
		return w.refused(err)
	}
	if want, granted := ledger.Reserves(p.state, decision.Fact); want != nil && p.state.Mode == events.Online {
		want.ID, want.Register = string(c.Key), p.name.String()
		b := base{kind: events.ReserveGiftCard, balance: w.figure.Balance, figure: w.figure.Figure(), exists: !w.figure.Blank}
		fact, refusal, err := b.grant(w.Context(), w.db.db, p.name, *want)
		require.NoError(w, err)
		if refusal != nil {
			return w.refused(&ledger.Refusal{Code: refusal.Code, Why: refusal.Why})
		}
		head := events.Head{Epoch: 1}
		if n := len(w.own); n > 0 {
			head = w.own[n-1].Head
		}
		w.own = append(w.own, w.seal(embedded.HeadOffice, head, events.Circumstances{Mode: events.Online}, fact))
		w.inDB(func(tx *sql.Tx) error { return foldSettled(w.Context(), tx, w.own[len(w.own)-1]) })
		granted(want.ID)
		w.played["granted"]++
	}
	w.append(p, events.Circumstances{Operation: operation, Command: c.Key, Staff: "7"}, decision.Fact)
	return nil
}

func (w *cardWorld) refused(err error) error {
	refusal, ok := errors.AsType[*ledger.Refusal](err)
	require.True(w, ok, "%v", err)
	w.played["refused "+refusal.Code]++
	return err
}

func (w *cardWorld) sale(p *cardTill, operation int, input string, conclude bool) {
	if w.do(p, operation, input) == nil && conclude {
		require.NoError(w, w.do(p, 206, ``))
	}
}

// send has head office verify what a register has not sent.
func (w *cardWorld) send(p *cardTill, n int) {
	for ; n > 0 && len(p.unsent) > 0; n-- {
		e := p.unsent[0]
		p.unsent = p.unsent[1:]
		if slices.ContainsFunc(w.sent, func(s *events.Entry) bool {
			return s.Register == e.Register && s.Head.Epoch == e.Head.Epoch && s.Head.Sequence == e.Head.Sequence
		}) {
			w.played["forked"]++
			w.finding(e)
			continue
		}
		if i := slices.IndexFunc(w.forks, func(f *events.Entry) bool { return f.Register == e.Register && f.Head.Epoch == e.Head.Epoch }); i >= 0 {
			continue // it does not follow from what is held
		}
		w.sent = append(w.sent, e)
		w.arrive(e)
		for _, m := range w.moves {
			m.here = m.here || m.entry == e
		}
	}
}

func (w *cardWorld) finding(e *events.Entry) {
	w.forks = append(w.forks, e)
	w.inDB(func(tx *sql.Tx) error {
		return note(w.Context(), tx, Finding{Register: e.Register.String(), Epoch: e.Head.Epoch, Sequence: e.Head.Sequence, Kind: KindFork, Got: e.Head.Hash.String()})
	})
}

func (w *cardWorld) arrive(e *events.Entry) {
	w.inDB(func(tx *sql.Tx) error {
		_, err := tx.Exec(`INSERT INTO journals (register, epoch, sequence) VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET sequence = excluded.sequence`, e.Register.String(), e.Head.Epoch, e.Head.Sequence)
		return errors.Join(err, settle(func(query string, args ...any) error {
			_, err := tx.Exec(query, args...)
			return err
		}, e))
	})
}

// imports gives head office a new figure that holds all that has arrived: by the names of the entries, or by
// time where that is true.
func (w *cardWorld) imports(byName bool) {
	for _, m := range w.moves {
		byName = byName || !m.here
	}
	if len(w.forks) > 0 {
		return // an entry that is nowhere is in no figure
	}
	f := ledger.GiftCard{Number: "6001", Currency: "GBP", Blank: true, AsOf: w.clock.Format(time.RFC3339)}
	w.clock = w.clock.Add(time.Second)
	w.version++
	for _, m := range w.moves {
		if m.here {
			f.Balance += m.amount
			f.Blank = false
			if m.base == 0 {
				m.base = w.version
			}
		}
	}
	for _, p := range w.tills {
		has, err := seenOf(w.Context(), w.db.db, p.name)
		require.NoError(w, err)
		for _, at := range has.through {
			if byName {
				f.Included = append(f.Included, ledger.Included{Store: "s001", Register: p.name.ID, Epoch: at.Epoch, Sequence: at.Sequence})
			}
		}
		if byName && len(has.through) == 0 {
			f.Included = append(f.Included, ledger.Included{Store: "s001", Register: p.name.ID})
		}
	}
	w.figure = f
}

func (p *cardTill) keep() {
	raw, err := json.Marshal(p.state)
	require.NoError(p.w, err)
	p.kept, p.keptAt = raw, len(p.journal)
}

// restore puts a register back to the copy of its directory. It sells on as if nothing had been, is found out,
// and begins a new epoch.
func (w *cardWorld) restore(p *cardTill, sales int) {
	if p.kept == nil {
		return
	}
	lost := p.journal[p.keptAt:]
	unsent := func(e *events.Entry) bool { return slices.Contains(p.unsent, e) }
	w.moves = slices.DeleteFunc(w.moves, func(m *cardMove) bool { return slices.Contains(lost, m.entry) && unsent(m.entry) })
	for _, m := range w.moves {
		m.lost = m.lost || slices.Contains(lost, m.entry)
	}
	w.played["lost"] += len(lost)
	p.unsent = slices.DeleteFunc(slices.Clone(p.unsent), func(e *events.Entry) bool { return slices.Contains(lost, e) })
	p.journal = slices.Clone(p.journal[:p.keptAt])
	p.state = new(ledger.State)
	require.NoError(w, json.Unmarshal(p.kept, p.state))
	p.kept = nil
	w.mode(p, events.Offline)
	before := len(w.moves)
	for range sales {
		w.sale(p, 519, `{"card":"6001","amount":700}`, true)
	}
	for _, m := range w.moves[before:] {
		m.branch = true
	}
	w.send(p, len(p.unsent)) // head office finds out
	w.activate(p, p.state.Carried())
}

// rebuild makes head office's database anew from what it keeps.
func (w *cardWorld) rebuild() {
	require.NoError(w, w.db.close())
	w.open()
	w.inDB(func(tx *sql.Tx) (err error) {
		for _, e := range w.own {
			err = errors.Join(err, foldSettled(w.Context(), tx, e))
		}
		return err
	})
	for _, e := range w.sent {
		w.arrive(e)
	}
	forks := w.forks
	w.forks = nil
	for _, e := range forks {
		w.finding(e)
	}
}

// check holds what each register would say is on the card against what there is.
func (w *cardWorld) check() {
	total := events.Money(0)
	for _, m := range w.moves {
		total += m.amount
	}
	if !w.offline {
		require.GreaterOrEqual(w, total, events.Money(0), "it was never paid with but online")
	}
	for _, p := range w.tills {
		decision, err := ledger.Decide(p.state, w.command(p, 520, `{"card":"6001"}`))
		if refusal, refused := errors.AsType[*ledger.Refusal](err); refused && refusal.Code == "unknown_gift_card" {
			continue
		}
		require.NoError(w, err)
		checked := decision.Fact.(*events.BalanceChecked)
		want := events.Money(0)
		if p.state.Mode == events.Offline {
			want = p.local.Balance
		} else {
			require.NoError(w, w.db.db.QueryRow(`SELECT -coalesce(sum(amount), 0) FROM reservations WHERE NOT ended AND kind = 'giftcard' AND register <> ?`, p.name.String()).Scan(&want))
		}
		for _, m := range w.moves {
			switch {
			case p.state.Mode == events.Online && (m.till == p || m.here):
				want += m.amount
			case p.state.Mode == events.Offline && m.branch && m.till == p && len(p.local.Figure().Named(p.name)) > 0 && p.local.Figure().Holds(p.name, m.place, ""):
				// A figure that names entries does not say of which branch: offline the register takes its own
				// for the one that is held (decision 0014). Head office tells them apart.
			case p.state.Mode == events.Offline && m.till == p && !m.lost && (m.base == 0 || m.base > p.version):
				want += m.amount
			}
			if m.till != p && !m.here {
				w.played["unsent when checked"]++
			}
		}
		require.Equal(w, want, checked.Available, "%s, %s: %+v of %+v", p.name, p.state.Mode, checked.KnownGiftCard, p.state.Moved)
	}
}
