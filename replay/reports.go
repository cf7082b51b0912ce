package replay

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/posnode/posnode/events"
)

// checkReport compares an X or Z report with the sums of its shift's documents, before the report
// is applied. The ledger's own Apply made the sums. A Z report is also compared with the postings.
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
		return // apply reports that the fact cannot follow
	}
	if b.missed {
		want.Grand = report.Grand // entries before are missing
	}
	if w, g := asText(want), asText(report); w != g {
		b.add(KindTotals, clipped(w, g), clipped(g, w), "the documents of the shift add up to something else than the report says")
	}
}

// checkZ compares a Z report with the postings of its shift. It does not check the Z number: apply
// does.
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
			return // in another currency: only the postings hold its value in the currency of the report
		}
	}
	for kind, want := range map[string]events.Money{"tax": -t.Tax, "rounding": t.Rounding, "income": -t.Income, "expense": t.Expense, "bank": bank} {
		if posted[kind] != want {
			b.add(KindPostings, fmt.Sprintf("%s %d as the Z report says", kind, want), posted[kind], "what the shift's documents posted is not what its Z report says")
		}
	}
}

// post sums the postings of a shift's documents until the shift is closed.
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

// clipped returns the part of a around the first difference from b: up to 40 bytes before it and 40
// from it on.
func clipped(a, b string) string {
	at := 0
	for at < len(a) && at < len(b) && a[at] == b[at] {
		at++
	}
	return a[max(0, at-40):min(len(a), at+40)]
}
