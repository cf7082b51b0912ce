package replay_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/posnode/posnode/events"
	"github.com/posnode/posnode/replay"
)

// TestDocumentIsWhatWasEntered changes one field of a concluded line. No sum depends on the field.
func TestDocumentIsWhatWasEntered(t *testing.T) {
	for name, change := range map[string]func(*events.ConcludedLine){
		"nothing":     func(*events.ConcludedLine) {},
		"number":      func(l *events.ConcludedLine) { l.Number = 9 },
		"product":     func(l *events.ConcludedLine) { l.Product = "PEA" },
		"description": func(l *events.ConcludedLine) { l.Description = "Pea" },
		"variant":     func(l *events.ConcludedLine) { l.Variant = "red" },
		"serial":      func(l *events.ConcludedLine) { l.Serial = "1" },
		"comment":     func(l *events.ConcludedLine) { l.Comment = "!" },
		"quantity":    func(l *events.ConcludedLine) { l.Quantity = must(events.ParseQuantity("3")) },
		"price":       func(l *events.ConcludedLine) { l.Price = must(events.ParsePrice("2.51")) },
		"gross and discount": func(l *events.ConcludedLine) {
			l.Gross, l.Discount = l.Gross+1, &events.LineDiscountApplied{Keyed: 1, Amount: 1}
		},
		"tax of no rate": func(l *events.ConcludedLine) { l.TaxOverride = &events.TaxOverride{Override: "X"} },
		"original":       func(l *events.ConcludedLine) { l.Original = &events.OriginalLine{Transaction: "s001-r01-1-9", Line: 1} },
		"linked":         func(l *events.ConcludedLine) { l.Linked = &events.LinkedLine{To: 2} },
	} {
		t.Run(name, func(t *testing.T) {
			w := newTill(t).open()
			w.forge = func(f events.Fact) {
				if f, ok := f.(*events.SaleConcluded); ok {
					change(&f.Lines[0])
				}
			}
			found := told(verify(t, lines(w.sale().bodies), replay.Options{}).Findings)
			if name == "nothing" {
				require.Empty(t, found)
			} else {
				require.Equal(t, []string{"1/7 lines"}, found)
			}
		})
	}
}

// TestForgedDocument changes fields of a document, most of them outside its lines.
func TestForgedDocument(t *testing.T) {
	for _, test := range []struct {
		name  string
		forge func(*events.SaleConcluded)
		found []string
	}{
		{"terms", func(f *events.SaleConcluded) { f.Terms.Number++ }, []string{"1/7 lines"}},
		{"a line voided", func(f *events.SaleConcluded) { f.Lines[1].Voided = true }, []string{"1/7 totals", "1/7 totals", "1/7 taxes", "1/7 lines"}},
		{"a line more", func(f *events.SaleConcluded) {
			more := f.Lines[0]
			more.Voided = true
			f.Lines = append(f.Lines, more)
		}, []string{"1/7 lines"}},
		{"returns", func(f *events.SaleConcluded) { f.Returns-- }, []string{"1/7 totals"}},
		{"gift cards", func(f *events.SaleConcluded) { f.GiftCards++ }, []string{"1/7 totals"}},
		{"net of a line", func(f *events.SaleConcluded) { f.Lines[0].Net++; f.Sales++ }, []string{"1/7 lines", "1/7 taxes"}},
		{"tax of a line", func(f *events.SaleConcluded) { f.Lines[0].Tax = append(f.Lines[0].Tax, 0) }, []string{"1/7 lines", "1/7 taxes"}},
		{"tax of the table", func(f *events.SaleConcluded) { f.Taxes[0].Tax++ }, []string{"1/7 taxes"}},
		{"rate of the table", func(f *events.SaleConcluded) { f.Taxes[0].Rate = must(events.ParsePercent("19")) }, []string{"1/7 taxes"}},
		{"code of the table", func(f *events.SaleConcluded) { f.Taxes[0].Code = "X" }, []string{"1/7 taxes"}},
		{"a rate more", func(f *events.SaleConcluded) {
			f.Taxes = append(f.Taxes, events.TaxTotal{TaxRate: events.TaxRate{Code: "X"}})
		}, []string{"1/7 taxes"}},
		{"discount", func(f *events.SaleConcluded) { f.After.Discount++; f.After.Total--; f.After.Due-- }, []string{"1/7 totals"}},
		{"something left due", func(f *events.SaleConcluded) {
			f.Payments[0].Amount -= 100
			f.Payments[0].Change += 100
			f.After.Paid -= 100
			f.After.Due += 100
		}, []string{"1/7 totals", "1/7 postings"}},
		{"rounding", func(f *events.SaleConcluded) { f.Payments[0].Rounding++ }, []string{"1/7 payments"}},
		{"less posted", func(f *events.SaleConcluded) { f.Postings[0].Amount-- }, nil},
		{"deposit", func(f *events.SaleConcluded) {
			f.Postings = append(f.Postings, events.Posting{Account: "deposits", Amount: 5}, events.Posting{Account: "sales", Amount: -5})
		}, []string{"1/7 postings"}},
		{"deposit, the other way", func(f *events.SaleConcluded) {
			f.Postings = append(f.Postings, events.Posting{Account: "deposits", Amount: -5}, events.Posting{Account: "sales", Amount: 5})
		}, []string{"1/7 postings"}},
		{"gift card posting", func(f *events.SaleConcluded) {
			f.Postings = append(f.Postings, events.Posting{Account: "giftcards", Amount: -5}, events.Posting{Account: "sales", Amount: 5})
		}, []string{"1/7 postings"}},
		{"tender posting", func(f *events.SaleConcluded) {
			f.Postings = append(f.Postings, events.Posting{Account: "tender:cash", Amount: 5}, events.Posting{Account: "sales", Amount: -5})
		}, []string{"1/7 postings"}},
		{"tender posting, the other way", func(f *events.SaleConcluded) {
			f.Postings = append(f.Postings, events.Posting{Account: "tender:cash", Amount: -5}, events.Posting{Account: "sales", Amount: 5})
		}, []string{"1/7 postings"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newTill(t).open()
			w.forge = func(f events.Fact) {
				if f, ok := f.(*events.SaleConcluded); ok {
					test.forge(f)
				}
			}
			found := told(verify(t, lines(w.sale().bodies), replay.Options{}).Findings)
			if test.found == nil {
				require.Contains(t, found, "1/7 postings")
				return
			}
			require.Equal(t, test.found, found)
		})
	}
}

// TestForgedVoid shows that the last totals and the receipt number of a voided transaction are
// checked.
func TestForgedVoid(t *testing.T) {
	for name, test := range map[string]struct {
		forge func(*events.SaleVoided)
		found string
	}{
		"totals": {func(f *events.SaleVoided) { f.After.Subtotal++ }, "1/6 totals"},
		"number": {func(f *events.SaleVoided) { f.Receipt += "7" }, "1/9 receipt"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newTill(t).open()
			w.forge = func(f events.Fact) {
				if f, ok := f.(*events.SaleVoided); ok {
					test.forge(f)
				}
			}
			w.day(100, `{"product":"TEA"}`, 500, `{}`)
			w.forge = nil
			w.state.Transaction = nil
			require.Equal(t, []string{test.found}, told(verify(t, lines(w.sale().bodies), replay.Options{}).Findings))
		})
	}
}

// TestRunningTotalsAreWrongOnce shows that an error in the totals is one finding, as long as it
// stays the same.
func TestRunningTotalsAreWrongOnce(t *testing.T) {
	off := func(by ...events.Money) []string {
		w := newTill(t).open()
		n := 0
		w.forge = func(f events.Fact) {
			if f, ok := f.(*events.LineAdded); ok {
				f.After.Subtotal += by[n]
				n++
			}
		}
		for range by {
			w.do(100, `{"product":"TEA"}`)
		}
		return told(verify(t, lines(w.bodies), replay.Options{}).Findings)
	}
	require.Equal(t, []string{"1/5 totals"}, off(1, 1, 1))
	require.Equal(t, []string{"1/5 totals", "1/7 totals"}, off(1, 1, 2))
	require.Equal(t, []string{"1/5 totals", "1/7 totals"}, off(1, 0, 1))
}

// TestPostingsOfAFloatBalance shows that the postings of a float must balance, too.
func TestPostingsOfAFloatBalance(t *testing.T) {
	for _, by := range []events.Money{1, -1} {
		w := newTill(t).open()
		w.forge = func(f events.Fact) {
			if f, ok := f.(*events.FloatAdded); ok {
				f.Postings[0].Amount += by
			}
		}
		require.Equal(t, []string{"1/5 postings"}, told(verify(t, lines(w.day(1201, `{"amount":500}`).bodies), replay.Options{}).Findings))
	}
}

// TestAnotherMask shows that the receipt numbers continue without a gap when the mask changes.
func TestAnotherMask(t *testing.T) {
	for skip, found := range map[int][]string{0: {}, 1: {"1/14 receipt"}} {
		w := newTill(t)
		w.store.ReceiptMask = "{####}"
		w.open().sale().sale()
		w.store.ReceiptMask = "R-{######}"
		w.state.Receipts["sale"] += skip
		w.do(100, `{"product":"TEA"}`)
		w.sale()
		require.Equal(t, found, told(verify(t, lines(w.bodies), replay.Options{}).Findings), "%d left out", skip)
	}
}

// TestReportBehindAGap shows that a complete shift is checked, even if entries of an earlier shift
// are missing.
func TestReportBehindAGap(t *testing.T) {
	w := newTill(t).open().sale().day(1055, `{}`, 700, `{"staff":"7"}`, 1050, `{}`).sale()
	w.forge = func(f events.Fact) {
		if f, ok := f.(*events.ShiftClosed); ok {
			f.Report.Totals.Sales++
		}
	}
	w.day(1055, `{}`)
	bodies := append(append(lines{}, w.bodies[:6]...), w.bodies[7:]...)
	require.Equal(t, []string{"1/7 gap", "1/14 totals"}, told(verify(t, bodies, replay.Options{}).Findings))
}
