package replay_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"github.com/posnode/posnode/events"
	"github.com/posnode/posnode/internal/checkpoint"
	"github.com/posnode/posnode/ledger"
	"github.com/posnode/posnode/replay"
)

var s001r01 = events.Register{Store: "s001", ID: "r01"}

// till writes a journal as a register does, but in memory. Ids and times are the same in every run.
// Only the signing key is new.
type till struct {
	t       testing.TB
	state   *ledger.State
	private string
	public  string
	store   ledger.Store
	n       uint64 // ids made
	bodies  [][]byte
	forge   func(events.Fact) // changes a fact before it is sealed
}

func newTill(t testing.TB) *till {
	private, public, err := checkpoint.GenerateKey(s001r01.String())
	require.NoError(t, err)
	w := &till{t: t, private: private, public: public, store: ledger.Store{
		Currency: "GBP", Digits: 2, TaxIncluded: true, MaxQuantity: must(events.ParseQuantity("10000")),
		Tenders: map[string]ledger.Tender{"cash": {ID: "cash", Name: "Cash", Kind: "cash", OverPaid: true, Refund: true}},
		Cash:    ledger.Cash{Accounts: map[string]ledger.CashAccount{"KEYS": {Name: "Keys", Kind: "income"}, "WINDOWS": {Name: "Windows", Kind: "expense"}}},
		Profile: ledger.Profile{ShiftOperationsOffline: true},
	}}
	w.activate(1, nil)
	return w
}

// activate begins an epoch.
func (w *till) activate(epoch int, previous *events.Head) {
	record, err := json.Marshal(events.ActivationRecord{Register: s001r01, Epoch: epoch, Key: w.public, Time: "2026-03-02T08:00:00Z", Previous: previous})
	require.NoError(w.t, err)
	w.state = ledger.NewState(s001r01, epoch, events.Hash(record))
	w.append(&events.RegisterActivated{Record: string(record)}, ledger.Command{})
}

// day carries out pairs of an operation number and its input.
func (w *till) day(pairs ...any) *till {
	for i := 0; i < len(pairs); i += 2 {
		w.do(pairs[i].(int), pairs[i+1].(string))
	}
	return w
}

// open signs on, opens a shift and declares its start amount: three entries.
func (w *till) open() *till {
	return w.day(700, `{"staff":"7"}`, 1050, `{}`, 1200, `{"amount":10000}`)
}

// sale is three entries: two lines, and the payment that concludes it.
func (w *till) sale() *till {
	return w.day(100, `{"product":"TEA","quantity":"2"}`, 100, `{"product":"BOOK"}`, 200, `{"amount":5000}`)
}

func (w *till) do(op int, input string) {
	in, err := ledger.ParseInput([]byte(input))
	require.NoError(w.t, err)
	c := ledger.Command{Operation: op, Key: events.CommandKey(w.id(1).String()), Input: in, Staff: "7", Date: "2026-03-02", PINMatches: true}
	c.Reference = ledger.Reference{Store: w.store, Found: map[ledger.Query]any{}}
	for _, q := range ledger.Asks(w.state, c) {
		if record, ok := records[q]; ok {
			c.Reference.Found[q] = record
		}
	}
	d, err := ledger.Decide(w.state, c)
	require.NoError(w.t, err, "operation %d", op)
	if _, asked := d.Fact.(*events.CardRequested); asked {
		c.Key = "" // the entry with the terminal's answer has it
	}
	w.append(d.Fact, c)
}

func (w *till) id(kind byte) ulid.ULID {
	w.n++
	id := ulid.ULID{6: kind, 13: byte(w.n >> 16), 14: byte(w.n >> 8), 15: byte(w.n)}
	require.NoError(w.t, id.SetTime(1_772_438_400_000+w.n))
	return id
}

func (w *till) append(fact events.Fact, c ledger.Command) {
	if f, ok := fact.(events.Checkpointed); ok {
		f.Sign().Checkpoint = w.sign()
	}
	if w.forge != nil {
		w.forge(fact)
	}
	id := w.id(0)
	circumstances := events.Circumstances{
		ID: id, Time: ulid.Time(id.Time()).UTC(), Operation: c.Operation, Command: c.Key, Staff: c.Staff, Mode: w.state.Mode,
	}
	if f, ok := fact.(events.OfShift); ok {
		circumstances.Shift = f.OfShift()
	} else if w.state.Shift != nil {
		circumstances.Shift = w.state.Shift.Shift
	}
	m, entry, err := events.Seal(s001r01, w.state.Head, circumstances, fact)
	require.NoError(w.t, err)
	w.bodies = append(w.bodies, m.Body)
	if w.forge == nil {
		require.NoError(w.t, w.state.Apply(entry))
		return
	}
	_ = w.state.Apply(entry) // the state may refuse a forged fact
	w.state.Head = entry.Head
}

func (w *till) sign() string {
	s, err := checkpoint.NewSigner(w.private)
	require.NoError(w.t, err)
	note, err := s.Sign(checkpoint.Checkpoint{Origin: fmt.Sprintf("%s/%d", s001r01, w.state.Head.Epoch), Size: w.state.Head.Sequence, Hash: w.state.Head.Hash})
	require.NoError(w.t, err)
	return note
}

var records = func() map[ledger.Query]any {
	all := map[ledger.Query]any{{Kind: "staff", Key: "7"}: ledger.StaffMember{ID: "7", Name: "Ann", Groups: []events.Rights{{Manager: true}}}}
	standard := events.TaxRate{Code: "S", Rate: must(events.ParsePercent("20"))}
	for _, p := range []ledger.Product{
		{ID: "TEA", Description: "Tea", Price: must(events.ParsePrice("2.50")), Taxes: []events.TaxRate{standard}},
		{ID: "BOOK", Description: "Book", Price: must(events.ParsePrice("9.99")), Taxes: []events.TaxRate{{Code: "Z"}}},
	} {
		all[ledger.Query{Kind: "product", Key: string(p.ID)}] = p
	}
	all[ledger.Query{Kind: "giftcard", Key: "6001"}] = ledger.GiftCard{Number: "6001", Balance: 5000, Currency: "GBP"}
	all[ledger.Query{Kind: "giftcard", Key: "6005"}] = ledger.GiftCard{Number: "6005", Currency: "GBP", Blank: true}
	return all
}()

// tenders adds the tenders besides cash.
func (w *till) tenders() *till {
	for _, kind := range []string{"currency", "card", "check", "giftcard"} {
		w.store.Tenders[kind] = ledger.Tender{ID: events.TenderID(kind), Name: kind, Kind: kind, OverPaid: true, Refund: true}
	}
	w.store.Currencies = map[string]ledger.Currency{"EUR": {Digits: 2, Rate: must(events.ParseRate("0.8537"))}}
	w.store.Profile = ledger.Profile{GiftCardPerCard: 10000, GiftCardPerTransaction: 10000, GiftCardInAll: 100000}
	return w
}

// card settles the last request to the card terminal: approved or declined.
func (w *till) card(approved bool) *till {
	request := w.state.Transaction.Requested
	fact := ledger.Settle(w.state, ledger.Command{Date: "2026-03-02", Reference: ledger.Reference{Store: w.store}}, ledger.CardOutcome{Approved: approved, Scheme: "VISA"})
	w.append(fact, ledger.Command{Operation: request.Operation(), Key: request.Command, Staff: "7"})
	return w
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// lines is a journal as a bundle holds it: bodies in an order.
type lines [][]byte

func (l lines) Read(_ context.Context, yield func(int, events.Message) error) error {
	for _, body := range l {
		if err := yield(0, events.Message{Body: body}); err != nil {
			return err
		}
	}
	return nil
}

// stream is a journal as a stream holds it: each entry has a place, and some entries may be lost.
type stream struct {
	bodies [][]byte
	lost   map[uint64]bool
}

func (s stream) Read(_ context.Context, yield func(int, events.Message) error) error {
	for i, body := range s.bodies {
		m := events.Message{Sequence: uint64(i + 1), Body: body}
		if e, err := events.Decode(body); err == nil {
			m.Subject, m.ID = events.StreamSubject(e.Register, e.Type), e.ID
		}
		if !s.lost[m.Sequence] {
			if err := yield(1, m); err != nil {
				return err
			}
		} else if i == len(s.bodies)-1 {
			return yield(1, events.Message{Sequence: m.Sequence})
		}
	}
	return nil
}

// bundle writes bodies to a file as they are.
func bundle(t testing.TB, name string, bodies [][]byte) string {
	path := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(path, joined(bodies), 0o600))
	return path
}

func joined(bodies [][]byte) []byte {
	return append(bytes.Join(bodies, []byte("\n")), '\n')
}

// told returns each finding as a short text, "epoch/sequence kind".
func told(findings []replay.Finding) []string {
	all := []string{}
	for _, f := range findings {
		all = append(all, fmt.Sprintf("%d/%d %s", f.Epoch, f.Sequence, f.Kind))
	}
	return all
}

func verify(t testing.TB, src replay.Source, opts replay.Options) replay.Report {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	r, err := replay.Verify(ctx, src, opts)
	require.NoError(t, err)
	return r
}

// readFunc is a source made of a function.
type readFunc func(yield func(int, events.Message) error) error

func (f readFunc) Read(_ context.Context, yield func(int, events.Message) error) error {
	return f(yield)
}
