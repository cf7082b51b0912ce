package replay_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/posnode/posnode/events"
	"github.com/posnode/posnode/ledger"
	"github.com/posnode/posnode/replay"
)

// week is a journal of 2 epochs. The sequences of the first:
//
//	1 activation  2-4 opening  5-7 sale  8-10 sale  11-13 sale
func week(t testing.TB) *till {
	w := newTill(t).open().sale().sale().sale()
	w.activate(2, &w.state.Head)
	return w.open().sale()
}

// wholeDay carries out every operation that this till has.
func wholeDay(t testing.TB) *till {
	return newTill(t).open().sale().day(
		100, `{"product":"TEA","quantity":"3"}`, 100, `{"product":"BOOK"}`, 102, `{"line":1}`, 102, `{"line":1}`,
		105, `{"line":1,"quantity":"5"}`, 106, `{"line":2}`, 303, `{"percent":"10"}`, 200, `{"amount":300}`, 211, `{"payment":1}`,
		200, `{"amount":500}`, 206, `{}`,
		100, `{"product":"TEA"}`, 500, `{}`,
		109, `{"product":"BOOK"}`, 206, `{}`,
		100, `{"product":"BOOK"}`, 302, `{"amount":999}`, 139, `{}`,
		1201, `{"amount":500}`, 1210, `{"amount":300}`, 1211, `{"amounts":[{"tender":"cash","amount":1000}]}`,
		1212, `{"amounts":[{"tender":"cash","amount":2000}],"bag":"B-1"}`, 517, `{"account":"KEYS","amount":700}`, 518, `{"account":"WINDOWS","amount":200}`,
		1000, `{}`, 1056, `{}`, 1054, `{}`,
		700, `{"staff":"7"}`, 1050, `{}`, 1200, `{"amount":5000}`, 100, `{"product":"TEA"}`, 703, `{}`, 700, `{"staff":"7"}`, 206, `{}`, 1053, `{}`,
		700, `{"staff":"7"}`, 918, `{}`, 1051, `{"shift":"s001-r01-1-s1"}`, 920, `{"action":"in"}`, 921, `{}`,
		1052, `{"counts":[{"tender":"cash","amount":5200}],"shift":"s001-r01-1-s2"}`, 1055, `{"shift":"s001-r01-1-s2"}`,
		1052, `{"counts":[{"tender":"cash","amount":8000}]}`, 1055, `{}`,
		700, `{"staff":"7"}`, 1057, `{}`, 701, `{}`,
	)
}

// everyTender pays with every tender.
func everyTender(t testing.TB) *till {
	return newTill(t).tenders().open().day(
		512, `{"card":"6005","amount":2000}`, 519, `{"card":"6001","amount":500}`, 102, `{"line":2}`, 100, `{"product":"TEA","quantity":"4"}`,
		203, `{"currency":"EUR","amount":1000}`, 201, `{"amount":300}`).card(false).day(201, `{"amount":300}`).card(true).day(
		211, `{"payment":2}`).card(true).day(201, `{"amount":400}`).card(true).day(204, `{"amount":5000,"check":"1"}`,
		100, `{"product":"BOOK"}`, 214, `{"card":"6001","amount":200}`, 214, `{"card":"6005","amount":700}`, 520, `{"card":"6005"}`,
		203, `{"currency":"EUR","amount":1000}`,
		109, `{"product":"BOOK"}`, 214, `{"card":"6001","amount":-500}`, 201, `{}`).card(true)
}

// TestForgedReports shows that an X or Z report is a finding if it does not follow from its shift.
// A gap in the Z numbers is a finding too.
func TestForgedReports(t *testing.T) {
	z := func(change func(*events.ShiftClosed)) func(events.Fact) {
		return func(f events.Fact) {
			if f, ok := f.(*events.ShiftClosed); ok {
				change(f)
			}
		}
	}
	for _, test := range []struct {
		name  string
		forge func(events.Fact)
		found []string
	}{
		{"nothing", func(events.Fact) {}, []string{}},
		{"sales of a Z report", z(func(f *events.ShiftClosed) { f.Report.Totals.Sales++ }), []string{"1/11 totals"}},
		{"tax of a Z report", z(func(f *events.ShiftClosed) { f.Report.Totals.Tax++ }), []string{"1/11 postings", "1/11 totals"}},
		{"what was counted", z(func(f *events.ShiftClosed) { f.Report.Totals.Tenders[0].Counted++ }), []string{"1/11 totals"}},
		{"where it begins", z(func(f *events.ShiftClosed) { f.Report.First++ }), []string{"1/11 totals"}},
		{"grand totals", z(func(f *events.ShiftClosed) { f.Report.Grand[0].Sales-- }), []string{"1/11 totals"}},
		{"a Z number left out", z(func(f *events.ShiftClosed) { f.Z++ }), []string{"1/11 impossible"}},
		{"postings that do not balance", z(func(f *events.ShiftClosed) { f.Postings[0].Amount++ }), []string{"1/11 postings"}},
		{"an X report", func(f events.Fact) {
			if f, ok := f.(*events.XPrinted); ok {
				f.Report.Totals.Transactions++
			}
		}, []string{"1/10 totals"}},
		{"another shift", func(f events.Fact) {
			if f, ok := f.(*events.XPrinted); ok {
				f.Shift = "s001-r01-1-s9"
			}
		}, []string{"1/10 impossible"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newTill(t).open().sale().day(1052, `{"counts":[{"tender":"cash","amount":10000}]}`, 1201, `{"amount":100}`)
			w.forge = test.forge
			w.day(1056, `{}`, 1055, `{}`)
			w.forge = nil
			require.Equal(t, test.found, told(verify(t, lines(w.bodies), replay.Options{}).Findings))
		})
	}
	// The report of a shift with missing entries is not checked. The report of the next shift is.
	w := newTill(t).open().sale().day(1055, `{}`, 700, `{"staff":"7"}`, 1050, `{}`).sale().day(1055, `{}`)
	bodies := slices.Delete(slices.Clone(w.bodies), 6, 7)
	require.Equal(t, []string{"1/7 gap"}, told(verify(t, lines(bodies), replay.Options{}).Findings))
}

func TestSoundJournalHasNoFindings(t *testing.T) {
	for name, w := range map[string]*till{"two epochs": week(t), "every operation": wholeDay(t), "every tender": everyTender(t)} {
		t.Run(name, func(t *testing.T) {
			r := verify(t, lines(w.bodies), replay.Options{Heads: []events.Head{w.state.Head}, Keys: []string{w.public}})
			require.Empty(t, r.Findings)
			require.Equal(t, len(w.bodies), r.Entries)
			require.Equal(t, s001r01, r.Register)
			require.Equal(t, w.state.Head, r.Heads[len(r.Heads)-1])
			require.Equal(t, w.public, r.Keys[0])
		})
	}
}

func TestStoresDifferInTerms(t *testing.T) {
	w := newTill(t)
	w.store.TaxIncluded, w.store.Currency = false, "USD"
	require.Empty(t, verify(t, lines(w.open().sale().bodies), replay.Options{}).Findings)

	w = newTill(t)
	cash := w.store.Tenders["cash"]
	cash.RoundTo = 5
	w.store.Tenders["cash"] = cash
	require.Empty(t, verify(t, lines(w.open().sale().bodies), replay.Options{}).Findings)
}

// alter replaces the first old by new in entry n, counted from 1.
func alter(t testing.TB, bodies [][]byte, n int, old, new string) [][]byte {
	bodies = slices.Clone(bodies)
	require.Contains(t, string(bodies[n-1]), old)
	bodies[n-1] = bytes.Replace(bodies[n-1], []byte(old), []byte(new), 1)
	return bodies
}

// TestDamage lists the kinds of damage to a bundle, each with exactly its findings.
func TestDamage(t *testing.T) {
	sound := week(t).bodies
	without := func(from, to int) [][]byte { return slices.Delete(slices.Clone(sound), from-1, to) }
	moved := func(order ...int) [][]byte {
		bodies := slices.Clone(sound)
		first := slices.Min(order)
		for i, n := range order {
			bodies[first-1+i] = sound[n-1]
		}
		return bodies
	}
	for _, test := range []struct {
		name   string
		bodies [][]byte
		found  []string
	}{
		{"text altered", alter(t, sound, 5, `"Tea"`, `"Pea"`), []string{"1/6 chain", "1/7 lines"}},
		{"amount altered", alter(t, sound, 5, `"gross":500`, `"gross":400`), []string{"1/5 totals", "1/6 chain", "1/7 lines"}},
		{"staff altered", alter(t, sound, 8, `"staff":"7"`, `"staff":"8"`), []string{"1/9 chain"}},
		{"prevhash altered", alter(t, sound, 8, `"prevhash":"`+string(prevhash(t, sound[7])[:4]), `"prevhash":"0000`), []string{"1/8 chain", "1/9 chain"}},
		{"sequence altered", alter(t, sound, 8, `"sequence":"8"`, `"sequence":"9"`), []string{"1/8 sequence", "1/9 chain"}},
		{"sequence far off", alter(t, sound, 8, `"sequence":"8"`, `"sequence":"18446744073709551615"`), []string{"1/8 sequence", "1/9 chain"}},
		{"sequence of the first", alter(t, sound, 8, `"sequence":"8"`, `"sequence":"1"`), []string{"1/8 sequence", "1/9 chain"}},
		{"epoch altered", alter(t, sound, 8, `"epoch":1`, `"epoch":2`), []string{"1/8 epoch", "1/9 chain"}},
		{"register altered", alter(t, sound, 8, `registers/r01`, `registers/r02`), []string{"1/8 register", "1/9 chain"}},
		{"id raised", alter(t, sound, 8, `"id":"0`, `"id":"1`), []string{"1/9 chain", "1/9 id"}},
		{"key altered", alter(t, sound, 1, `+A`, `+B`), []string{"1/1 chain", "1/2 chain", "1/7 checkpoint"}},
		{"undecodable", alter(t, sound, 8, `"specversion"`, `"specversioN"`), []string{"1/8 undecodable", "1/9 chain"}},
		{"first undecodable", alter(t, sound, 1, `"specversion"`, `"specversioN"`), []string{"1/1 undecodable", "1/2 chain"}},
		{"unknown fact", alter(t, sound, 8, `line_added.v1`, `line_added.v2`), []string{"1/8 undecodable", "1/9 chain"}},
		{"torn in two", slices.Concat(sound[:7], [][]byte{sound[7][:100], sound[7][100:]}, sound[8:]), []string{"1/8 undecodable", "1/9 undecodable"}},
		{"two in one", slices.Concat(sound[:7], [][]byte{slices.Concat(sound[7], []byte(" "), sound[8])}, sound[9:]), []string{"1/8 undecodable", "1/9 gap"}},
		{"blank line", slices.Insert(slices.Clone(sound), 7, []byte{}), []string{"1/8 undecodable"}},
		{"missing", without(8, 8), []string{"1/8 gap"}},
		{"many missing", without(3, 9), []string{"1/3 gap"}},
		{"first missing", without(1, 1), []string{"1/1 gap"}},
		{"tail of an epoch missing", without(12, 13), []string{"1/12 truncated"}},
		{"an epoch missing", without(1, 13), []string{"1/13 truncated"}},
		{"swapped", moved(9, 8), []string{"1/8 order"}},
		{"swapped far", moved(10, 6, 7, 8, 9, 5), []string{"1/5 order"}},
		{"block moved", moved(8, 9, 10, 5, 6, 7), []string{"1/5 order"}},
		{"twice", slices.Insert(slices.Clone(sound), 8, sound[7]), []string{"1/8 duplicate"}},
		{"block twice", slices.Insert(slices.Clone(sound), 10, sound[4:10]...), []string{"1/5 duplicate"}},
		{"epochs in the wrong order", slices.Concat(sound[13:], sound[:13]), []string{"1/1 order"}},
		{"nothing", nil, []string{"0/0 truncated"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := verify(t, lines(test.bodies), replay.Options{})
			require.Equal(t, test.found, told(r.Findings), "%v", r.Findings)
		})
	}
}

func prevhash(t testing.TB, body []byte) string {
	e, err := events.Decode(body)
	require.NoError(t, err)
	return e.PrevHash.String()
}

// TestDamageInStream lists the same for a stream, which knows the place of each entry.
func TestDamageInStream(t *testing.T) {
	sound := newTill(t).open().sale().sale().sale().bodies
	for _, test := range []struct {
		name  string
		src   stream
		found []string
	}{
		{"sound", stream{bodies: sound}, []string{}},
		{"lost", stream{sound, map[uint64]bool{8: true, 9: true}}, []string{"1/8 gap"}},
		{"end lost", stream{sound, map[uint64]bool{12: true, 13: true}}, []string{"1/12 gap"}},
		{"swapped", stream{bodies: slices.Concat(sound[:7], [][]byte{sound[8], sound[7]}, sound[9:])}, []string{"1/8 sequence", "1/9 sequence", "1/9 id", "1/10 chain", "1/10 lines"}},
		{"undecodable", stream{bodies: alter(t, sound, 8, "1.0", "1.1")}, []string{"1/8 undecodable", "1/9 chain"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := verify(t, test.src, replay.Options{})
			require.Equal(t, test.found, told(r.Findings), "%v", r.Findings)
		})
	}
}

func TestSubjectOfAnotherFact(t *testing.T) {
	w := newTill(t)
	r := verify(t, readFunc(func(yield func(int, events.Message) error) error {
		return yield(1, events.Message{Sequence: 1, Subject: "pos.s001.r01.sale.voided", Body: w.bodies[0]})
	}), replay.Options{})
	require.Equal(t, []string{"1/1 subject"}, told(r.Findings))
}

// TestTailNeedsAHead shows that only a head from elsewhere, or the true key, reveals a lost or
// forged tail.
func TestTailNeedsAHead(t *testing.T) {
	w := newTill(t).open().sale().sale()
	for name, damaged := range map[string][][]byte{
		"truncated": w.bodies[:8],
		"altered":   alter(t, w.bodies, 10, `"staff":"7"`, `"staff":"8"`),
	} {
		t.Run(name, func(t *testing.T) {
			require.Empty(t, verify(t, lines(damaged), replay.Options{}).Findings)
			found := told(verify(t, lines(damaged), replay.Options{Heads: []events.Head{w.state.Head}}).Findings)
			if name == "truncated" {
				require.Equal(t, []string{"1/9 truncated"}, found)
			} else {
				require.Equal(t, []string{"1/10 head"}, found)
			}
		})
	}
	t.Run("another history", func(t *testing.T) {
		early := w.state.Head
		other := newTill(t).open().sale().sale().sale()
		require.Equal(t, []string{"1/10 head"}, told(verify(t, lines(other.bodies), replay.Options{Heads: []events.Head{early}}).Findings))
		require.Equal(t, []string{"1/1 key"}, told(verify(t, lines(other.bodies), replay.Options{Keys: []string{w.public}}).Findings))
	})
}

// TestForgedTail forges entries as a thief could. The thief has everything except the register's
// key.
func TestForgedTail(t *testing.T) {
	thief := func(t *testing.T) *till {
		w := newTill(t).open().sale()
		w.forge = func(events.Fact) {}
		return w
	}
	t.Run("without checkpoints", func(t *testing.T) {
		w := thief(t)
		w.forge = func(f events.Fact) {
			if f, ok := f.(events.Checkpointed); ok {
				f.Sign().Checkpoint = ""
			}
		}
		r := verify(t, lines(w.sale().sale().sale().bodies), replay.Options{})
		require.Equal(t, []string{"1/10 checkpoint"}, told(r.Findings), "what follows from one forgery is one finding")
		require.Contains(t, r.Findings[0].Hint, "3 in a row, up to entry 16")
	})
	t.Run("signed with another key", func(t *testing.T) {
		w := thief(t)
		w.private = newTill(t).private
		require.Equal(t, []string{"1/10 checkpoint"}, told(verify(t, lines(w.sale().sale().bodies), replay.Options{}).Findings))
	})
	t.Run("with the checkpoints of the true one", func(t *testing.T) {
		w := newTill(t).open().sale()
		true10 := *w
		note := ""
		true10.bodies = slices.Clone(w.bodies)
		true10.sale()
		note = must(events.Decode(true10.bodies[9])).Fact.(events.Checkpointed).Sign().Checkpoint
		w = newTill(t)
		w.forge = func(f events.Fact) {
			if f, ok := f.(events.Checkpointed); ok {
				f.Sign().Checkpoint = note
			}
		}
		r := verify(t, lines(w.open().sale().bodies), replay.Options{})
		require.Equal(t, []string{"1/7 checkpoint"}, told(r.Findings))
	})
}

// TestForgedBooks forges facts in entries with a sound chain and valid signatures. A register with
// a bug, or a thief with its key, would write such entries.
func TestForgedBooks(t *testing.T) {
	concluded := func(change func(*events.SaleConcluded)) func(events.Fact) {
		return func(f events.Fact) {
			if f, ok := f.(*events.SaleConcluded); ok {
				change(f)
			}
		}
	}
	for _, test := range []struct {
		name  string
		forge func(events.Fact)
		found []string
	}{
		{"nothing", func(events.Fact) {}, []string{}},
		{"total", concluded(func(f *events.SaleConcluded) { f.After.Total++ }), []string{"1/7 totals"}},
		{"sales", concluded(func(f *events.SaleConcluded) { f.Sales++ }), []string{"1/7 totals"}},
		{"posting", concluded(func(f *events.SaleConcluded) { f.Postings[0].Amount++ }), []string{"1/7 postings"}},
		{"tender posting", concluded(func(f *events.SaleConcluded) {
			f.Postings = append(f.Postings, events.Posting{Account: "tender:cash", Amount: -1}, events.Posting{Account: "safe", Amount: 1})
		}), []string{"1/7 postings"}},
		{"tax table", concluded(func(f *events.SaleConcluded) { f.Taxes[0].Base++ }), []string{"1/7 taxes"}},
		{"change", concluded(func(f *events.SaleConcluded) { f.Payments[0].Change++ }), []string{"1/7 payments", "1/7 postings"}},
		{"line left out", concluded(func(f *events.SaleConcluded) { f.Lines = f.Lines[:1] }), []string{"1/7 totals", "1/7 totals", "1/7 taxes", "1/7 lines"}},
		{"line never entered", concluded(func(f *events.SaleConcluded) { f.Lines[0].Product = "PEA" }), []string{"1/7 lines"}},
		{"receipt", concluded(func(f *events.SaleConcluded) { f.Receipt += "1" }), []string{"1/10 receipt"}},
		{"running total", func(f events.Fact) {
			if f, ok := f.(*events.LineAdded); ok && f.Line.Number == 1 {
				f.After.Due++
			}
		}, []string{"1/5 totals"}},
		{"line number", func(f events.Fact) {
			if f, ok := f.(*events.LineAdded); ok && f.Line.Number == 2 {
				f.Line.Number = 3
			}
		}, []string{"1/6 impossible"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newTill(t).open()
			w.forge = test.forge
			w.sale()
			w.forge = nil
			w.state.Transaction = nil
			r := verify(t, lines(w.sale().bodies), replay.Options{})
			require.Equal(t, test.found, told(r.Findings), "%v", r.Findings)
		})
	}
}

// TestNumbersBeyondArithmetic verifies entries with numbers that no register would write. They must
// not make the program panic.
func TestNumbersBeyondArithmetic(t *testing.T) {
	w := newTill(t).open()
	begins := events.OfSale{Transaction: "s001-r01-1-1", Begins: &events.Terms{Number: 1}}
	for _, fact := range []events.Fact{
		&events.LineAdded{OfSale: begins, Line: events.Line{Number: 1, Gross: 1 << 62, Taxes: []events.TaxRate{{Rate: must(events.ParsePercent("-1000"))}}}},
		&events.SaleConcluded{OfSale: begins, Lines: []events.ConcludedLine{{Tax: []events.Money{1, 2}}}},
	} {
		m, _, err := events.Seal(s001r01, w.state.Head, events.Circumstances{ID: w.id(0), Mode: events.Offline}, fact)
		require.NoError(t, err)
		require.NotEmpty(t, verify(t, lines(append(slices.Clone(w.bodies), m.Body)), replay.Options{}).Findings)
	}
}

func TestReceiptNumbersHaveNoGap(t *testing.T) {
	for _, mask := range []string{"", "{store}{register}{####}", "{yyyy}{mm}{dd}{##}", "{#}/{epoch}"} {
		t.Run(mask, func(t *testing.T) {
			w := newTill(t)
			w.store.ReceiptMask = mask
			w.open()
			for range 12 {
				w.sale()
			}
			require.Empty(t, verify(t, lines(w.bodies), replay.Options{}).Findings)
			w.state.Receipts["sale"]++ // the register forgets one
			w.sale().sale()
			require.Equal(t, []string{"1/43 receipt"}, told(verify(t, lines(w.bodies), replay.Options{}).Findings))
		})
	}
}

func TestCommandCarriedOutTwice(t *testing.T) {
	w := newTill(t).open()
	first := must(events.Decode(w.bodies[2]))
	w.forge = func(events.Fact) {}
	w.append(&events.StaffLoggedOff{Staff: "7"}, ledger.Command{Key: first.Command})
	require.Equal(t, []string{"1/5 command"}, told(verify(t, lines(w.bodies), replay.Options{}).Findings))
}

func TestFindingsAreReadable(t *testing.T) {
	sound := week(t).bodies
	for _, n := range []int{5, 7} {
		r := verify(t, lines(alter(t, sound, n, `"Tea"`, `"`+strings.Repeat("Pea", 1000)+`"`)), replay.Options{})
		require.NotEmpty(t, r.Findings)
		for _, f := range r.Findings {
			require.Less(t, len(f.String()), 800)
		}
	}
}
