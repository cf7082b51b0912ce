package ledger_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/posnode/posnode/ledger"
)

// TestRandomShifts plays days of sales, drops, counts and reports over several
// shifts at once. After each X and Z report the till checks (invariants_shift_test.go)
// that it follows from the entries of its shift, and that every X and the rest
// since make the next report; at each Z, that the postings prove it and balance.
func TestRandomShifts(t *testing.T) {
	played := map[string]int{}
	rapid.Check(t, func(t *rapid.T) {
		w := readyTill(stores()[rapid.SampledFrom([]string{"counted", "summed"}).Draw(t, "store")])
		do := func(op int, input string, args ...any) {
			a, err := w.do(w.command(op, fmt.Sprintf(input, args...)))
			if err == nil {
				played[a.entry.Type]++
				return
			}
			refusal := (*ledger.Refusal)(nil)
			require.True(t, errors.As(err, &refusal))
			played[refusal.Code]++
		}
		amount := func(largest int) int { return 5 * rapid.IntRange(1, largest/5).Draw(t, "amount") }
		for range rapid.IntRange(30, 70).Draw(t, "steps") {
			shift := ""
			if n := len(w.state.SetAside); n > 0 && rapid.Bool().Draw(t, "another shift") {
				shift = fmt.Sprintf(`,"shift":%q`, w.state.SetAside[rapid.IntRange(0, n-1).Draw(t, "which")].Shift)
			}
			switch {
			case w.state.Staff == nil:
				do(700, `{"staff":"7","pin":"1234"}`)
				continue
			case w.state.Shift == nil && rapid.Bool().Draw(t, "open"):
				do(1050, `{}`)
				do(1200, `{"amount":%d}`, amount(10000))
				continue
			case w.state.Shift == nil && shift != "" && rapid.Bool().Draw(t, "resume"):
				do(1051, `{%s}`, shift[1:])
				continue
			}
			likely := []int{22, 23, 22, 19, 21, 4, 0, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 0, 1, 2, 3}
			if w.state.Transaction != nil {
				likely = []int{6, 0, 4, 5, 7, 8, 9, 10, 10, 11, 14, 23, 24}
			}
			switch rapid.SampledFrom(likely).Draw(t, "what") {
			case 0, 1, 2, 3:
				do(100, `{"product":%q,"quantity":%d}`, rapid.SampledFrom([]string{"TEA", "BOOK", "JUICE", "COAL"}).Draw(t, "product"), rapid.IntRange(1, 9).Draw(t, "quantity"))
			case 4:
				do(109, `{"product":"TEA"}`)
			case 5:
				do(303, `{"percent":%d}`, rapid.IntRange(0, 100).Draw(t, "percent"))
			case 6, 7, 8, 9:
				do(206, `{}`)
			case 10:
				do(200, `{"amount":%d}`, amount(10000))
			case 11:
				do(500, `{}`)
			case 12:
				do(1201, `{"amount":%d}`, amount(5000))
			case 13:
				do(1210, `{"amount":%d%s}`, amount(5000), shift)
			case 14:
				do(1211, `{"amounts":[{"tender":"cash","amount":%d}]%s}`, amount(5000), shift)
			case 15:
				do(1212, `{"amounts":[{"tender":"cash","amount":%d}],"bag":"B"%s}`, amount(5000), shift)
			case 16:
				do(517, `{"account":"KEYS","amount":%d}`, amount(2000))
			case 17:
				do(518, `{"account":"WINDOWS","amount":%d}`, amount(2000))
			case 18:
				do(1000, `{"reason":"CHANGE"}`)
			case 19, 20:
				do(1052, `{"counts":[{"tender":"cash","amount":%d}]%s}`, amount(12000), shift)
			case 21:
				do(1056, `{%s}`, shift[min(1, len(shift)):])
			case 22:
				do(1055, `{%s}`, shift[min(1, len(shift)):])
			case 23:
				do(rapid.SampledFrom([]int{1053, 1054}).Draw(t, "aside"), `{}`)
			case 24:
				w.restart()
			}
		}
		replayInParts(t, w)
	})
	for _, kind := range []string{
		"shift.x_printed.v1", "shift.closed.v1", "shift.suspended.v1", "shift.resumed.v1", "shift.blind_closed.v1", "drawer.declared.v1",
		"drawer.safe_dropped.v1", "drawer.bank_dropped.v1", "account.income_taken.v1", "account.expense_paid.v1", "sale.concluded.v1", "sale.voided.v1",
		"drawer.recount_asked.v1", "declaration_missing",
	} {
		require.Positive(t, played[kind], "the random shifts never came to %s: %v", kind, played)
	}
}

// TestShiftOperationsThatWait: the offline profile lets 1053 to 1057 go on without head office, and those alone.
func TestShiftOperationsThatWait(t *testing.T) {
	var waiting []int
	for _, op := range ledger.Catalogue() {
		if op.Group == "shift" && op.Offline == ledger.Refused {
			waiting = append(waiting, op.ID)
		}
	}
	require.Equal(t, []int{1053, 1054, 1055, 1056, 1057}, waiting)
}
