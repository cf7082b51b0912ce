package replay

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/posnode/posnode/events"
)

// checkReport compares an X or Z report with what the documents of its shift add
// up to, before it is applied: sums by the ledger's own Apply, and a Z report by the postings.
func (b *books) checkReport(entry *events.Entry) {
	var id events.ShiftID
	var report events.ShiftReport
	switch f := entry.Fact.(type) {
	case *events.XPrinted:
		id, report = f.Shift, f.Report
	case *events.ShiftClosed:
		id, report = f.Shift, f.Report
		b.checkZ(f)
	default:
		return
	}
	if b.missed && !b.seen[id] {
		return
	}
	want, known := b.state.ReportOf(id)
	if !known {
		return // that it cannot follow is said by apply
	}
	if b.missed {
		want.Grand = report.Grand // what came before was missed
	}
	if w, g := asText(want), asText(report); w != g {
		b.add(KindTotals, clipped(w, g), clipped(g, w), "the documents of the shift add up to something else than the report says")
	}
}

// checkZ checks that a Z report is provable from what was posted. That its number follows the last one apply has checked.
func (b *books) checkZ(f *events.ShiftClosed) {
	if b.missed && !b.seen[f.Shift] {
		return
	}
	posted := map[string]events.Money{}
	for account, amount := range b.posted[f.Shift] {
		kind, _, _ := strings.Cut(account, ":")
		posted[kind] += amount
	}
	for _, p := range f.Postings {
		kind, _, _ := strings.Cut(p.Account, ":")
		posted[kind] += p.Amount
	}
	t := f.Report.Totals
	var bank events.Money
	for _, of := range t.Tenders {
		if of.Currency == f.Report.Currency {
			bank += of.BankDrop
		} else if of.BankDrop != 0 {
			return // in another currency: its value stands in the postings alone
		}
	}
	for kind, want := range map[string]events.Money{"tax": -t.Tax, "rounding": t.Rounding, "income": -t.Income, "expense": t.Expense, "bank": bank} {
		if posted[kind] != want {
			b.add(KindPostings, fmt.Sprintf("%s %d as the Z report says", kind, want), posted[kind], "what the shift's documents posted is not what its Z report says")
		}
	}
}

// post keeps what a shift's documents have posted, until it is closed.
func (b *books) post(entry *events.Entry) {
	f, ok := entry.Fact.(events.Posted)
	if !ok {
		return
	}
	shift := entry.Shift
	if of, ok := entry.Fact.(events.OfShift); ok {
		shift = of.OfShift()
	}
	if _, closed := entry.Fact.(*events.ShiftClosed); closed {
		delete(b.posted, shift)
		return
	}
	if b.posted == nil {
		b.posted = map[events.ShiftID]map[string]events.Money{}
	}
	if b.posted[shift] == nil {
		b.posted[shift] = map[string]events.Money{}
	}
	for _, p := range f.Posts() {
		b.posted[shift][p.Account] += p.Amount
	}
}

func asText(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// clipped is a from where it differs from b, with what stands before it on the same way.
func clipped(a, b string) string {
	at := 0
	for at < len(a) && at < len(b) && a[at] == b[at] {
		at++
	}
	return a[max(0, at-40):min(len(a), at+40)]
}
