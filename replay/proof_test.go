package replay_test

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/posnode/posnode/events"
	"github.com/posnode/posnode/internal/checkpoint"
	"github.com/posnode/posnode/ledger"
	"github.com/posnode/posnode/replay"
)

// TestNextActivationVouchesForTheEnd alters the last entry of an epoch. No entry of that epoch is
// chained to it, but the next activation names it.
func TestNextActivationVouchesForTheEnd(t *testing.T) {
	w := week(t)
	r := verify(t, lines(alter(t, w.bodies, 13, `"staff":"7"`, `"staff":"8"`)), replay.Options{})
	require.Equal(t, []string{"1/13 head"}, told(r.Findings))
	require.Contains(t, r.Findings[0].Hint, "the activation of epoch 2 names it")

	// Entries were added behind the end that the activation names.
	w = newTill(t).open().sale()
	previous := w.state.Head
	w.sale().activate(2, &previous)
	require.Equal(t, []string{"1/8 behind"}, told(verify(t, lines(w.bodies), replay.Options{}).Findings))

	w = newTill(t).open().sale()
	previous = w.state.Head
	w.do(100, `{"product":"TEA"}`)
	w.activate(2, &previous)
	require.Equal(t, []string{"1/8 behind"}, told(verify(t, lines(w.bodies), replay.Options{}).Findings), "one entry")
}

// TestDamageIsToldByPlace damages several places. Each place is a finding of its own, in order.
func TestDamageIsToldByPlace(t *testing.T) {
	sound := week(t).bodies
	register := func(bodies [][]byte, n int) [][]byte { return alter(t, bodies, n, `registers/r01`, `registers/r02`) }
	twice := func(at ...int) (bodies [][]byte) {
		for i, body := range sound {
			bodies = append(bodies, body)
			if slices.Contains(at, i+1) {
				bodies = append(bodies, body)
			}
		}
		return bodies
	}
	forged := func(skip int) [][]byte {
		w := newTill(t).open()
		n := 0
		w.forge = func(f events.Fact) {
			if f, ok := f.(events.Checkpointed); ok {
				if n++; n != skip {
					f.Sign().Checkpoint = "no note"
				}
			}
		}
		return w.sale().sale().sale().bodies
	}
	for _, test := range []struct {
		name   string
		bodies [][]byte
		found  []string
	}{
		{"two places", register(register(sound, 3), 9), []string{"1/3 register", "1/4 chain", "1/9 register", "1/10 chain"}},
		{"two in a row", register(register(sound, 8), 9), []string{"1/8 register", "1/10 chain"}},
		{"twice, two places", twice(5, 9), []string{"1/5 duplicate", "1/9 duplicate"}},
		{"twice, neighbours", twice(5, 6), []string{"1/5 duplicate"}},
		{"twice, next place of another epoch", twice(5, 19), []string{"1/5 duplicate", "2/6 duplicate"}},
		{"a signature, and then an entry", register(forged(3), 12), []string{"1/7 checkpoint", "1/12 register", "1/13 chain"}},
		{"last entry of an epoch missing", slices.Delete(slices.Clone(sound), 12, 13), []string{"1/13 truncated"}},
		{"two epochs", register(register(sound, 8), 17), []string{"1/8 register", "1/9 chain", "2/4 register", "2/5 chain"}},
		{"signatures with a true one between", forged(2), []string{"1/7 checkpoint", "1/13 checkpoint"}},
		{"signatures in a row", forged(3), []string{"1/7 checkpoint"}},
		// The end of the first epoch is checked last, but its finding is listed first.
		{"end of the first, and the second", register(slices.Delete(slices.Clone(sound), 11, 13), 15), []string{"1/12 truncated", "2/4 register", "2/5 chain"}},
		{"two holes", slices.Delete(slices.Delete(slices.Clone(sound), 8, 9), 4, 5), []string{"1/5 gap", "1/9 gap"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := verify(t, lines(test.bodies), replay.Options{})
			require.Equal(t, test.found, told(r.Findings), "%v", r.Findings)
		})
	}
	r := verify(t, lines(twice(5, 6, 7)), replay.Options{})
	require.Contains(t, r.Findings[0].Hint, "so for 3 in a row, up to entry 7")

	// A head known from elsewhere is one entry behind the end.
	w := newTill(t).open().sale()
	known := replay.Options{Heads: []events.Head{w.state.Head}}
	require.Equal(t, []string{"1/7 truncated"}, told(verify(t, lines(w.bodies[:6]), known).Findings))

	// Each epoch counts its signatures from one.
	w = newTill(t).open()
	forge := func(f events.Fact) {
		if f, ok := f.(events.Checkpointed); ok {
			f.Sign().Checkpoint = "no note"
		}
	}
	w.forge = forge
	w.sale()
	w.forge = nil
	w.activate(2, &w.state.Head)
	w.open().sale()
	w.forge = forge
	require.Equal(t, []string{"1/7 checkpoint", "2/10 checkpoint"}, told(verify(t, lines(w.sale().bodies), replay.Options{}).Findings))
}

// TestBytesThatWereWrittenSo chains an entry to bytes that are no entry.
func TestBytesThatWereWrittenSo(t *testing.T) {
	w := newTill(t).open()
	w.bodies = append(w.bodies, []byte("no entry"))
	w.state.Head.Sequence, w.state.Head.Hash = 5, events.Hash([]byte("no entry"))
	require.Equal(t, []string{"1/5 undecodable"}, told(verify(t, lines(w.sale().bodies), replay.Options{}).Findings))
}

// TestEntriesAreCounted shows that Entries counts stored bodies, also undecodable ones, and no
// missing ones.
func TestEntriesAreCounted(t *testing.T) {
	sound := newTill(t).open().sale().bodies
	require.Equal(t, 7, verify(t, stream{bodies: sound}, replay.Options{}).Entries)
	require.Equal(t, 5, verify(t, stream{sound, map[uint64]bool{6: true, 7: true}}, replay.Options{}).Entries)
	require.Equal(t, 8, verify(t, lines(append(slices.Clone(sound), []byte("x"))), replay.Options{}).Entries)
}

// TestEntryThatStandsBehind moves entries back after one of them was altered.
func TestEntryThatStandsBehind(t *testing.T) {
	sound := newTill(t).open().sale().sale().sale().bodies
	moved := func(bodies [][]byte, order ...int) [][]byte {
		out := slices.Clone(bodies)
		first := slices.Min(order)
		for i, n := range order {
			out[first-1+i] = bodies[n-1]
		}
		return out
	}
	altered := func(n int) [][]byte { return alter(t, sound, n, `"staff":"7"`, `"staff":"8"`) }
	for _, test := range []struct {
		name   string
		bodies [][]byte
		found  []string
	}{
		{"the last of them", moved(altered(8), 9, 8), []string{"1/8 order", "1/9 chain"}},
		{"the first of them", moved(altered(8), 11, 8, 9, 10), []string{"1/8 order", "1/9 chain"}},
		{"one in the middle", moved(altered(9), 11, 8, 9, 10), []string{"1/8 order", "1/10 chain"}},
		{"in reverse", moved(altered(9), 11, 10, 9, 8), []string{"1/8 order", "1/10 chain"}},
		{"not after what stands in front", moved(alter(t, sound, 8, `"prevhash":"`+string(prevhash(t, sound[7])[:4]), `"prevhash":"0000`), 10, 8, 9), []string{"1/8 chain", "1/8 order", "1/9 chain"}},
		{"none", moved(sound, 11, 8, 9, 10), []string{"1/8 order"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			found := told(verify(t, lines(test.bodies), replay.Options{}).Findings)
			slices.Sort(found)
			slices.Sort(test.found)
			require.Equal(t, test.found, found)
		})
	}
}

func TestIDsOnlyGrow(t *testing.T) {
	for name, back := range map[string]uint64{"equal": 1, "smaller": 2} {
		t.Run(name, func(t *testing.T) {
			w := newTill(t).open()
			w.forge = func(events.Fact) {} // the state may refuse the fact
			w.n -= back
			w.append(&events.StaffLoggedOff{Staff: "7"}, ledger.Command{})
			require.Equal(t, []string{"1/5 id"}, told(verify(t, lines(w.bodies), replay.Options{}).Findings))
		})
	}
}

// TestMessageID gives a stream's message another id or subject than its entry.
func TestMessageID(t *testing.T) {
	body := newTill(t).bodies[0]
	e := must(events.Decode(body))
	for id, found := range map[string][]string{e.ID: {}, "01KJPRZB000000000000000000": {"1/1 subject"}, "": {"1/1 subject"}} {
		src := readFunc(func(yield func(int, events.Message) error) error {
			return yield(1, events.Message{Sequence: 1, Subject: events.StreamSubject(e.Register, e.Type), ID: id, Body: body})
		})
		require.Equal(t, found, told(verify(t, src, replay.Options{}).Findings), "id %q", id)
	}
	src := readFunc(func(yield func(int, events.Message) error) error {
		return yield(1, events.Message{Sequence: 1, Subject: "pos.s001.r02.register.activated", ID: e.ID, Body: body})
	})
	require.Equal(t, []string{"1/1 subject"}, told(verify(t, src, replay.Options{}).Findings))
}

// TestActivationRecord begins an epoch with the record of another epoch or register.
func TestActivationRecord(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(*events.ActivationRecord)
		found  []string
	}{
		{"sound", func(*events.ActivationRecord) {}, []string{}},
		{"epoch", func(r *events.ActivationRecord) { r.Epoch = 2 }, []string{"1/1 activation"}},
		{"register", func(r *events.ActivationRecord) { r.Register.ID = "r02" }, []string{"1/1 activation"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newTill(t)
			w.bodies = nil
			activation := events.ActivationRecord{Register: s001r01, Epoch: 1, Key: w.public, Time: "2026-03-02T08:00:00Z"}
			test.change(&activation)
			record := must(json.Marshal(activation))
			w.state = ledger.NewState(s001r01, 1, events.Hash(record))
			w.append(&events.RegisterActivated{Record: string(record)}, ledger.Command{})
			require.Equal(t, test.found, told(verify(t, lines(w.bodies), replay.Options{}).Findings))
		})
	}
	t.Run("a second one", func(t *testing.T) {
		w := newTill(t).open()
		w.forge = func(events.Fact) {}
		first := must(events.Decode(w.bodies[0])).Fact.(*events.RegisterActivated)
		w.append(&events.RegisterActivated{Record: first.Record}, ledger.Command{})
		require.Contains(t, told(verify(t, lines(w.bodies), replay.Options{}).Findings), "1/5 activation")
	})
	t.Run("no record", func(t *testing.T) {
		w := newTill(t)
		w.bodies, w.state = nil, ledger.NewState(s001r01, 1, events.Hash([]byte("none")))
		w.forge = func(events.Fact) {}
		w.append(&events.RegisterActivated{Record: "none"}, ledger.Command{})
		require.Contains(t, told(verify(t, lines(w.bodies), replay.Options{}).Findings), "1/1 activation")
	})
}

// TestReportIsProvenByPostings forges the sum of each account in a Z report.
func TestReportIsProvenByPostings(t *testing.T) {
	for name, forge := range map[string]func(*events.ShiftTotals){
		"tax":      func(s *events.ShiftTotals) { s.Tax++ },
		"rounding": func(s *events.ShiftTotals) { s.Rounding++ },
		"income":   func(s *events.ShiftTotals) { s.Income++ },
		"expense":  func(s *events.ShiftTotals) { s.Expense++ },
		"bank":     func(s *events.ShiftTotals) { s.Tenders[0].BankDrop++ },
	} {
		t.Run(name, func(t *testing.T) {
			w := newTill(t)
			cash := w.store.Tenders["cash"]
			cash.RoundTo = 5
			w.store.Tenders["cash"] = cash
			w.open().sale().day(517, `{"account":"KEYS","amount":700}`, 518, `{"account":"WINDOWS","amount":200}`,
				1212, `{"amounts":[{"tender":"cash","amount":2000}],"bag":"B-1"}`)
			w.forge = func(f events.Fact) {
				if f, ok := f.(*events.ShiftClosed); ok {
					forge(&f.Report.Totals)
				}
			}
			w.day(1055, `{}`)
			require.Equal(t, []string{"1/11 postings", "1/11 totals"}, told(verify(t, lines(w.bodies), replay.Options{}).Findings))
		})
	}
}

// TestPaymentsThatWereNotTaken forges a document with payments that no entry before it holds.
func TestPaymentsThatWereNotTaken(t *testing.T) {
	parts := func(count int) func(events.Fact) {
		return func(f events.Fact) {
			if f, ok := f.(*events.SaleConcluded); ok {
				whole := f.Payments[len(f.Payments)-1]
				f.Payments = f.Payments[:len(f.Payments)-1]
				for range count - 1 {
					part := whole
					part.Number, part.Amount, part.Tendered, part.Change = len(f.Payments)+1, 10, 10, 0
					whole.Amount, whole.Tendered = whole.Amount-10, whole.Tendered-10
					f.Payments = append(f.Payments, part)
				}
				whole.Number = len(f.Payments) + 1
				f.Payments = append(f.Payments, whole)
			}
		}
	}
	for count, found := range map[int][]string{1: {}, 2: {"1/8 payments"}, 3: {"1/8 payments"}} {
		w := newTill(t).open().day(100, `{"product":"TEA","quantity":"2"}`, 100, `{"product":"BOOK"}`, 200, `{"amount":200}`)
		w.forge = parts(count)
		w.day(200, `{"amount":5000}`)
		require.Equal(t, found, told(verify(t, lines(w.bodies), replay.Options{}).Findings), "%d payments", count)
	}
	// A payment that was taken is not in the document.
	w := newTill(t).open().day(100, `{"product":"TEA","quantity":"2"}`, 200, `{"amount":200}`, 200, `{"amount":100}`)
	w.forge = func(f events.Fact) {
		if f, ok := f.(*events.SaleConcluded); ok {
			f.Payments = f.Payments[1:]
		}
	}
	w.day(200, `{"amount":5000}`)
	require.Contains(t, told(verify(t, lines(w.bodies), replay.Options{}).Findings), "1/8 payments")
}

// TestCheckpointOfAnother signs a false checkpoint with the register's own key.
func TestCheckpointOfAnother(t *testing.T) {
	for name, change := range map[string]func(*checkpoint.Checkpoint){
		"epoch":    func(c *checkpoint.Checkpoint) { c.Origin = "s001-r01/2" },
		"register": func(c *checkpoint.Checkpoint) { c.Origin = "s001-r02/1" },
		"size":     func(c *checkpoint.Checkpoint) { c.Size-- },
		"hash":     func(c *checkpoint.Checkpoint) { c.Hash[31]++ },
		"nothing":  func(*checkpoint.Checkpoint) {},
	} {
		t.Run(name, func(t *testing.T) {
			w := newTill(t).open()
			w.forge = func(f events.Fact) {
				if f, ok := f.(events.Checkpointed); ok {
					c := checkpoint.Checkpoint{Origin: "s001-r01/1", Size: w.state.Head.Sequence, Hash: w.state.Head.Hash}
					change(&c)
					f.Sign().Checkpoint = must(must(checkpoint.NewSigner(w.private)).Sign(c))
				}
			}
			found := told(verify(t, lines(w.sale().bodies), replay.Options{}).Findings)
			if name == "nothing" {
				require.Empty(t, found)
			} else {
				require.Equal(t, []string{"1/7 checkpoint"}, found)
			}
		})
	}
}

// TestSignedUpTo checks the last signed entry of each epoch in the report.
func TestSignedUpTo(t *testing.T) {
	w := week(t).day(100, `{"product":"TEA"}`)
	r := verify(t, lines(w.bodies), replay.Options{})
	require.Empty(t, r.Findings)
	require.Len(t, r.Signed, 2)
	require.Equal(t, events.Head{Epoch: 1, Sequence: 12, Hash: must(events.Decode(w.bodies[11])).Head.Hash}, r.Signed[0])
	require.Equal(t, events.Head{Epoch: 2, Sequence: 6, Hash: must(events.Decode(w.bodies[18])).Head.Hash}, r.Signed[1])

	r = verify(t, lines(newTill(t).open().bodies), replay.Options{})
	require.Equal(t, []events.Head{{Epoch: 1}}, r.Signed, "nothing is signed yet")
}

// TestFirstReceipt gives the first receipt of a journal another number than the first.
func TestFirstReceipt(t *testing.T) {
	carried := func(receipts int) *till {
		w := newTill(t)
		w.bodies = nil
		record := must(json.Marshal(events.ActivationRecord{
			Register: s001r01, Epoch: 1, Key: w.public, Time: "2026-03-02T08:00:00Z", Carried: &events.Carried{Numbers: events.Numbers{Receipts: receipts}},
		}))
		w.state = ledger.NewState(s001r01, 1, events.Hash(record))
		w.append(&events.RegisterActivated{Record: string(record)}, ledger.Command{})
		return w.open()
	}
	for _, test := range []struct {
		name  string
		till  *till
		skip  int
		found []string
	}{
		{"the first", newTill(t).open(), 0, []string{}},
		{"the second", newTill(t).open(), 1, []string{"1/7 receipt"}},
		{"after those of the epoch before", carried(41), 0, []string{}},
		{"one too far after them", carried(41), 1, []string{"1/7 receipt"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.till.store.ReceiptMask = "{####}"
			if test.skip > 0 {
				test.till.state.Receipts["sale"] += test.skip
			}
			require.Equal(t, test.found, told(verify(t, lines(test.till.sale().bodies), replay.Options{}).Findings))
		})
	}
}
