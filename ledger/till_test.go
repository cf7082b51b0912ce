package ledger_test

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/posnode/posnode/events"
	"github.com/posnode/posnode/internal/checkpoint"
	"github.com/posnode/posnode/ledger"
)

// till is a register without a disk: it walks every command the whole way round,
// Decide -> Seal -> Decode -> Apply, with ids and times that are the same in every
// run, and checks after each step what must always hold (invariants_test.go).
type till struct {
	store   ledger.Store
	records map[ledger.Query]any
	state   *ledger.State
	untold  ledger.Untold
	// live is the state of a register that never restarts: it applies what Seal
	// returned, where state applies what Decode read.
	live    *ledger.State
	entries []*events.Entry
	bodies  [][]byte
	ids     uint64
	keys    uint64
	clock   time.Time
	signer  *checkpoint.Signer
	books   books
	// terminal is how the card terminal behaves (terminal_test.go), and charged what it has done.
	terminal string
	charged  map[string]bool
	// grants says that head office grants what is reserved of it, and granted counts how often it has.
	grants  bool
	granted int
	// hasty leaves out the checks that cost as much as the cart is long.
	hasty bool
	// counting says that the till counts the numbers that nobody has as a register does; misses are those of which no entry tells.
	counting bool
	misses   int
}

var tillRegister = events.Register{Store: "s001", ID: "r01"}

// newTill is an activated register with nobody signed on.
func newTill(store ledger.Store) *till {
	w := &till{store: store, records: shopRecords(), clock: time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC)}
	private, public := tillKey()
	w.signer = must(checkpoint.NewSigner(private))
	record := must(json.Marshal(events.ActivationRecord{Register: tillRegister, Epoch: 1, Key: public, Time: w.clock.Format(time.RFC3339)}))
	w.state = ledger.NewState(tillRegister, 1, events.Hash(record))
	w.untold = ledger.NewUntold(w.state)
	w.live = ledger.NewState(tillRegister, 1, events.Hash(record))
	if _, err := w.record(&events.RegisterActivated{Record: string(record)}, ledger.Command{}, ""); err != nil {
		panic(err)
	}
	return w
}

// readyTill has staff 7 signed on, a shift open, and 100.00 in the drawer.
func readyTill(store ledger.Store) *till {
	w := newTill(store)
	for _, step := range []struct {
		op    int
		input string
	}{{700, `{"staff":"7","pin":"1234"}`}, {1050, ``}, {1200, `{"amount":10000}`}} {
		if _, err := w.do(w.command(step.op, step.input)); err != nil {
			panic(fmt.Sprintf("operation %d: %v", step.op, err))
		}
	}
	return w
}

// command is one that staff 7 sends under a new key. Input that cannot be read makes it panic.
func (w *till) command(op int, input string) ledger.Command {
	in, err := ledger.ParseInput([]byte(input))
	if err != nil {
		panic(err)
	}
	return ledger.Command{Operation: op, Key: w.newKey(), Input: in, Staff: "7", Date: "2026-03-02"}
}

func (w *till) newKey() events.CommandKey {
	w.keys++
	return events.CommandKey(number(1, w.keys).String())
}

// number is the n-th ULID of a kind.
func number(kind, n uint64) ulid.ULID {
	id := ulid.ULID{6: byte(kind)}
	for i := range 8 {
		id[15-i] = byte(n >> (8 * i))
	}
	if err := id.SetTime(1_772_438_400_000 + n); err != nil { // 2026-03-02
		panic(err)
	}
	return id
}

// tillKey is the key pair of the till, the same in every run, in the encoding of signed notes.
func tillKey() (private, public string) {
	seed := sha256.Sum256([]byte("a key for tests, known to everyone"))
	key := ed25519.NewKeyFromSeed(seed[:])
	verifier := append([]byte{1}, key.Public().(ed25519.PublicKey)...) // 1 says Ed25519
	sum := sha256.Sum256(append([]byte(tillRegister.String()+"\n"), verifier...))
	id := fmt.Sprintf("%s+%x+", tillRegister, sum[:4])
	encode := base64.StdEncoding.EncodeToString
	return "PRIVATE+KEY+" + id + encode(append([]byte{1}, seed[:]...)), id + encode(verifier)
}

// answer is what became of a command that was not refused.
type answer struct {
	entry    *events.Entry
	repeated bool
	reserved *events.Reservation
}

// do decides a command and records its fact. Its error is a *ledger.Refusal;
// anything else that goes wrong is a defect, and panics.
func (w *till) do(c ledger.Command) (answer, error) {
	w.recoverCard()
	c = w.complete(c)
	var before []byte
	if !w.hasty {
		before = w.snapshot()
	}
	begins := ledger.Begins(w.state, c)
	decision, err := ledger.Decide(w.state, c)
	if w.counting {
		w.misses = ledger.CountMisses(w.misses, decision.Fact, err)
	}
	// Where a transaction begins a register tries to reconnect, before it decides: it must have seen it coming.
	if f, ok := decision.Fact.(events.OfTransaction); err == nil && ok && (f.Sale().Begins != nil) != begins {
		panic(fmt.Sprintf("operation %d: a transaction begins: %t, foreseen: %t", c.Operation, f.Sale().Begins != nil, begins))
	}
	if !w.hasty && string(before) != string(w.snapshot()) {
		panic(fmt.Sprintf("operation %d: Decide changed the state\nfrom %s\nto   %s", c.Operation, before, w.snapshot()))
	}
	if err != nil {
		refusal := (*ledger.Refusal)(nil)
		if !errors.As(err, &refusal) || refusal.Code == "" || refusal.Why == "" {
			panic(fmt.Sprintf("operation %d: %v is not a refusal with a code and a sentence", c.Operation, err))
		}
		w.untold.Refused(w.state, c, refusal.Code)
		return answer{}, err
	}
	if decision.Fact == nil {
		return answer{entry: w.entries[decision.Repeated-1], repeated: true}, nil
	}
	if request, ok := decision.Fact.(*events.CardRequested); ok {
		entry := w.askTerminal(request, c, decision.Approver)
		if entry == nil {
			return answer{}, &ledger.Refusal{Code: "terminal_unanswered", Why: "The terminal does not answer."}
		}
		w.repeats(c, entry)
		return answer{entry: entry}, nil
	}
	reserved := w.reserve(decision.Fact)
	entry, err := w.record(decision.Fact, c, decision.Approver)
	if err != nil {
		panic(fmt.Sprintf("operation %d: %v", c.Operation, err))
	}
	w.untold.Recorded(c, entry.Fact, decision.Approver)
	w.repeats(c, entry)
	return answer{entry: entry, reserved: reserved}, nil
}

// reserve asks head office for what a fact takes of it, as a register does before it records the fact.
func (w *till) reserve(fact events.Fact) *events.Reservation {
	if !w.grants || w.state.Mode != events.Online {
		return nil
	}
	want, granted := ledger.Reserves(w.state, fact)
	if want != nil {
		w.granted++
		granted(fmt.Sprintf("grant-%d", w.granted))
	}
	return want
}

// complete adds what a register adds to a command: the reference data, the clock, and whether the PINs are right.
func (w *till) complete(c ledger.Command) ledger.Command {
	c.Reference = ledger.Reference{Store: w.store, Found: map[ledger.Query]any{}}
	for queries := ledger.Asks(w.state, c); len(queries) > 0; queries = queries[1:] {
		if record, ok := w.find(queries[0]); ok {
			c.Reference.Found[queries[0]] = record
			queries = append(queries, ledger.Follow(record)...)
		}
	}
	pin, known := pins[c.Input.Text("staff")]
	c.PINMatches = known && pin == c.Input.Text("pin")
	pin, known = pins[c.Input.Text("approver")]
	c.ApproverMatches = known && pin == c.Input.Text("approver_pin")
	c.CardPINMatches = c.Input.Text("card_pin") == cardPINs[c.Input.Text("card")]
	c.At = w.clock.Unix()
	w.untold.Tell(&c)
	c.Misses = w.misses
	return c
}

// sold is a document of this till, with what was returned of it, added up from the whole journal.
func (w *till) sold(receipt string) (sold ledger.Sold, found bool) {
	for _, e := range w.entries {
		f, ok := e.Fact.(*events.SaleConcluded)
		if !ok {
			continue
		}
		if string(f.Receipt) == receipt {
			found, sold = true, ledger.Sold{Transaction: f.Transaction, Receipt: f.Receipt, Terms: f.Terms}
			for _, line := range f.Lines {
				sold.Lines = append(sold.Lines, ledger.SoldLine{ConcludedLine: line})
			}
		}
		for _, line := range f.Lines {
			if o := line.Original; o != nil && !line.Voided && string(o.Receipt) == receipt {
				of := &sold.Lines[o.Line-1]
				of.Returned, of.GivenBack = of.Returned.Sub(line.Quantity), of.GivenBack-line.Net
			}
		}
	}
	return sold, found
}

// record seals a fact, reads it back, and applies what was read.
func (w *till) record(fact events.Fact, c ledger.Command, approver events.StaffID) (*events.Entry, error) {
	w.ids++
	w.clock = w.clock.Add(time.Second)
	circumstances := events.Circumstances{
		ID: number(0, w.ids), Time: w.clock, Operation: c.Operation, Command: c.Key, Staff: c.Staff, Approver: approver, Mode: w.state.Mode,
	}
	if f, ok := fact.(events.OfShift); ok {
		circumstances.Shift = f.OfShift()
	} else if w.state.Shift != nil {
		circumstances.Shift = w.state.Shift.Shift
	}
	if f, ok := fact.(events.Checkpointed); ok {
		head := w.state.Head
		f.Sign().Checkpoint = must(w.signer.Sign(checkpoint.Checkpoint{
			Origin: fmt.Sprintf("%s/%d", tillRegister, head.Epoch), Size: head.Sequence, Hash: head.Hash,
		}))
	}
	m, sealed, err := events.Seal(w.state.Register, w.state.Head, circumstances, fact)
	if err != nil {
		return nil, err
	}
	entry, err := events.Decode(m.Body)
	if err != nil {
		return nil, fmt.Errorf("an entry was sealed that cannot be read: %w\n%s", err, m.Body)
	}
	if err := w.state.Apply(entry); err != nil {
		return nil, fmt.Errorf("%s: %w", m.Body, err)
	}
	if err := w.live.Apply(sealed); err != nil {
		return nil, fmt.Errorf("apply what was sealed: %s: %w", m.Body, err)
	}
	if !w.hasty {
		if live := must(json.Marshal(w.live)); string(live) != string(w.snapshot()) {
			return nil, fmt.Errorf("the state of what was sealed differs from that of what was read\nsealed %s\nread   %s", live, w.snapshot())
		}
	}
	if !w.hasty {
		if err := checkSchema(m.Body); err != nil {
			return nil, err
		}
	}
	w.keepOwn(entry.Fact)
	w.entries, w.bodies = append(w.entries, entry), append(w.bodies, m.Body)
	return entry, w.check(entry)
}

// repeats sends a command that was carried out once more: it must give the same entry, and nothing else.
func (w *till) repeats(c ledger.Command, entry *events.Entry) {
	again, err := ledger.Decide(w.state, c)
	if err != nil || again.Fact != nil || again.Repeated != entry.Head.Sequence {
		panic(fmt.Sprintf("operation %d, entry %d, sent again: %+v, %v", c.Operation, entry.Head.Sequence, again, err))
	}
}

// connect loses the link to head office, or gets it back.
func (w *till) connect(to events.Mode) {
	if w.state.Mode != to {
		must(w.record(&events.ModeChanged{From: w.state.Mode, To: to, Cause: "link"}, ledger.Command{}, ""))
	}
}

// restart goes on from a snapshot of the state, as a register does that was switched off and on.
func (w *till) restart() {
	snapshot := w.snapshot()
	state := new(ledger.State)
	if err := json.Unmarshal(snapshot, state); err != nil {
		panic(err)
	}
	w.state, w.untold = state, ledger.NewUntold(state)
	if again := w.snapshot(); string(again) != string(snapshot) {
		panic(fmt.Sprintf("a snapshot reads back as another state\nfrom %s\nto   %s", snapshot, again))
	}
}

func (w *till) snapshot() []byte {
	b, err := json.Marshal(w.state)
	if err != nil {
		panic(err)
	}
	return b
}
