package main

import (
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/shopspring/decimal"
	"github.com/stretchr/testify/require"
)

// The date of the invoices that the test sells again, and the file that holds them.
const (
	realDay  = "2010-12-01"
	realFile = "online-retail-2010-12.csv.gz"
)

// realInvoices returns a day of invoices of a real shop. The data is not in the repository. Without
// it the test is skipped.
func realInvoices(t *testing.T) []*invoice {
	t.Helper()
	path := ""
	for _, dir := range []string{os.Getenv("POSNODE_SALES_DIR"), "../../../shared/data"} {
		if dir == "" {
			continue
		}
		if _, err := os.Stat(filepath.Join(dir, realFile)); err == nil {
			path = filepath.Join(dir, realFile)
			break
		}
	}
	if path == "" {
		t.Skipf("no %s in $POSNODE_SALES_DIR or ../shared/data", realFile)
	}
	f, err := os.Open(path)
	require.NoError(t, err)
	defer f.Close()
	z, err := gzip.NewReader(f)
	require.NoError(t, err)
	text, err := io.ReadAll(z)
	require.NoError(t, err)
	var day strings.Builder
	day.WriteString(strings.Join(invoiceColumns, ",") + "\n")
	for line := range strings.Lines(string(text)) {
		if strings.Contains(line, ","+realDay+" ") {
			day.WriteString(line)
		}
	}
	path = filepath.Join(t.TempDir(), "day.csv")
	require.NoError(t, os.WriteFile(path, []byte(day.String()), 0o600))
	all, err := readInvoices(path, func(u unreadable) { require.NoError(t, u) })
	require.NoError(t, err)
	return all
}

// money returns the sales and the returns of an invoice in pence. It computes them by another way
// than the ledger: the exact product of each line, rounded once, half away from zero.
func money(lines []invoiceLine) (sales, returns int64) {
	for _, line := range lines {
		pence := decimal.RequireFromString(line.quantity.String()).Mul(decimal.RequireFromString(line.price.String())).Shift(2).Round(0).IntPart()
		if line.quantity.Sign() < 0 {
			returns += pence
		} else {
			sales += pence
		}
	}
	return sales, returns
}

// TestRealDay sells a day of a real shop at two registers, through the public API, from the opening
// of the shift on. The reports must agree with the file to the penny.
func TestRealDay(t *testing.T) {
	invoices := realInvoices(t)
	require.Greater(t, len(invoices), 100)
	shop := filepath.Join(t.TempDir(), "shop.jsonl")
	// There is no head office here, so the shop's profile allows a shift to be closed offline.
	records := strings.Replace(string(keyedShop(invoices)), `"record":{"currency"`, `"record":{"profile":{"shift_operations_offline":true},"currency"`, 1)
	require.NoError(t, os.WriteFile(shop, []byte(records), 0o600))
	tills := make([]*process, 2)
	for i := range tills {
		tills[i] = &process{t: t, dir: filepath.Join(t.TempDir(), "data"), args: []string{"--reference", shop, "--name", fmt.Sprintf("s001-r%02d", i+1)}}
		tills[i].start()
		defer tills[i].kill()
		tills[i].openShift()
	}
	type sums struct {
		concluded      int
		sales, returns int64
	}
	want := make([]sums, len(tills))
	for i, inv := range invoices {
		p, w := tills[i%len(tills)], &want[i%len(tills)]
		for _, line := range inv.lines {
			operation, quantity := 100, line.quantity
			if quantity.Sign() < 0 {
				operation, quantity = 109, quantity.Neg()
			}
			params, err := json.Marshal(map[string]any{"product": line.product, "quantity": quantity, "price": line.price, "description": shorten(line.description, 120)})
			require.NoError(t, err)
			p.do(operation, string(params))
		}
		last, err := p.try(206, newKey(), ``)
		require.NoError(t, err)
		if last.Code == "nothing_due" {
			last = p.do(139, ``)
		}
		require.NotEmpty(t, last.Transaction.Receipt, "invoice %s: %s", inv.number, last.Detail)
		sales, returns := money(inv.lines)
		w.concluded, w.sales, w.returns = w.concluded+1, w.sales+sales, w.returns+returns
	}
	for i, p := range tills {
		var days struct {
			Rows []struct {
				Concluded int
				Sales     int64
				Returns   int64
				Net       int64
			}
		}
		p.get("/v1/reports/days", &days)
		require.Len(t, days.Rows, 1)
		day := days.Rows[0]
		require.Equal(t, want[i], sums{day.Concluded, day.Sales, day.Returns})
		require.Equal(t, want[i].sales+want[i].returns, day.Net)

		var balance struct {
			Rows []struct {
				Account string
				Amount  int64
			}
		}
		p.get("/v1/reports/trial-balance", &balance)
		sum, cash := int64(0), int64(0)
		for _, row := range balance.Rows {
			sum += row.Amount
			if row.Account == "tender:cash" {
				cash = row.Amount
			}
		}
		require.Zero(t, sum, "debits and credits balance")
		require.Equal(t, 10000+day.Net, cash, "what is in the drawer")

		// The drawer is counted to the penny, and the shift is closed with its Z report.
		p.do(1052, fmt.Sprintf(`{"counts":[{"tender":"cash","currency":"GBP","amount":%d}]}`, cash))
		closed := p.do(1055, ``)
		require.Zero(t, closed.Result.Report.Totals.Tenders[0].OverShort)
		require.Equal(t, cash, closed.Result.Report.Totals.Tenders[0].Counted)
		require.Equal(t, want[i], sums{closed.Result.Report.Totals.Transactions, closed.Result.Report.Totals.Sales, closed.Result.Report.Totals.Returns})
		require.Equal(t, 1, closed.Result.Z)
		require.Contains(t, closed.Print, "Z REPORT")
		p.stop()
		code, out := posnodeSays(t, "register", "--data", p.dir, "--name", fmt.Sprintf("s001-r%02d", i+1), "--check")
		require.Zero(t, code, out)
	}
	t.Logf("%d invoices: %+v", len(invoices), want)
}

// posnodeSays runs the program to its end.
func posnodeSays(t *testing.T, args ...string) (code int, out string) {
	t.Helper()
	cmd := posnode(args...)
	text, err := cmd.CombinedOutput()
	if err != nil {
		require.NotNil(t, cmd.ProcessState, "%v", err)
	}
	return cmd.ProcessState.ExitCode(), string(text)
}
