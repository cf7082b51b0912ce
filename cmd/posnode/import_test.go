package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/posnode/posnode/events"
	"github.com/posnode/posnode/hq"
	"github.com/posnode/posnode/ledger"
	"github.com/posnode/posnode/projections"
)

const importedProducts = 5000

// priced returns reference data of importedProducts products, all at one price.
func priced(price int) string {
	var lines strings.Builder
	for i := range importedProducts {
		fmt.Fprintf(&lines, `{"kind":"product","key":"P%05d","record":{"product":"P%05d","description":"Lantern no %d","price":"%d"}}`+"\n", i, i, i, price)
	}
	return lines.String()
}

// onePrice returns the price that all products have in a database, 0 for no products. No process
// may have the database open.
func onePrice(t *testing.T, path string) string {
	r, err := projections.OpenReference(path)
	require.NoError(t, err)
	defer func() { require.NoError(t, r.Close()) }()
	prices := map[string]int{}
	for i := range importedProducts {
		record, found, err := r.Find(t.Context(), ledger.Query{Kind: "product", Key: fmt.Sprintf("P%05d", i)})
		require.NoError(t, err)
		p, _ := record.(ledger.Product)
		if found {
			prices[p.Price.String()]++
		}
	}
	require.LessOrEqual(t, len(prices), 1, "a part of an import is visible: %v", prices)
	for price, n := range prices {
		require.Equal(t, importedProducts, n)
		return price
	}
	return "0"
}

// TestRegisterKilledWhileItCopies kills a register again and again while it copies reference data
// into its database. The database always holds one whole import.
func TestRegisterKilledWhileItCopies(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	h, err := hq.Open(t.Context(), hq.Config{Dir: filepath.Join(dir, "hq"), ListenLeaf: "127.0.0.1:0", Clock: time.Now, Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	defer func() { require.NoError(t, h.Close()) }()
	creds, err := hq.Enroll(filepath.Join(dir, "hq"), events.Register{Store: "s001", ID: "r01"})
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "creds"), creds, 0o600))
	p := &process{t: t, dir: filepath.Join(dir, "till"), args: []string{"--hq", h.LeafURL(), "--creds", filepath.Join(dir, "creds")}}
	seen := map[string]bool{}
	for price := 1; price <= 3; price++ {
		_, err = h.Import(t.Context(), strings.NewReader(priced(price)), hq.ImportOptions{})
		require.NoError(t, err)
		for range 3 {
			p.start()
			timer := time.NewTimer(time.Duration(rand.IntN(3000)) * time.Millisecond)
			<-timer.C
			p.kill()
			seen[onePrice(t, filepath.Join(p.dir, "reference.db"))] = true
		}
	}
	t.Logf("found after kills: %v", seen)
	p.start()
	require.Eventually(t, func() bool {
		var status struct {
			Feed projections.Feed `json:"reference_feed"`
		}
		p.get("/v1/status", &status)
		at, err := h.Reference().Feed(context.Background())
		return err == nil && status.Feed.Confirmed.After(time.Now().Add(-5*time.Second)) && status.Feed.Stream == at.Stream
	}, time.Minute, 50*time.Millisecond)
	p.kill()
	require.Equal(t, "3", onePrice(t, filepath.Join(p.dir, "reference.db")))
}

// importingHQ is a running process of head office.
type importingHQ struct {
	t   *testing.T
	dir string
	cmd *exec.Cmd
}

func (h *importingHQ) start() {
	h.cmd = posnode("hq", "run", "--data", h.dir, "--http", "127.0.0.1:0", "--listen-leaf", "127.0.0.1:0")
	stderr := new(bytes.Buffer)
	h.cmd.Stderr = stderr
	out, err := h.cmd.StdoutPipe()
	require.NoError(h.t, err)
	require.NoError(h.t, h.cmd.Start())
	h.t.Cleanup(func() { _ = h.cmd.Process.Kill() })
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(h.t, err, "%s", stderr)
	require.Contains(h.t, line, "head office is up on ")
}

// TestHeadOfficeKilledWhileItImports kills head office in the middle of imports. Its next start
// finishes an import that was accepted. Of an import that was not accepted nothing is left.
func TestHeadOfficeKilledWhileItImports(t *testing.T) {
	t.Parallel()
	h := &importingHQ{t: t, dir: filepath.Join(t.TempDir(), "hq")}
	db := filepath.Join(h.dir, "reference.db")
	file := filepath.Join(t.TempDir(), "products.jsonl")
	last := "0"
	outcomes := map[string]int{}
	for price := 1; price <= 6; price++ {
		require.NoError(t, os.WriteFile(file, []byte(priced(price)), 0o600))
		h.start()
		client := posnode("hq", "import", "--data", h.dir, file)
		client.Stdout, client.Stderr = io.Discard, io.Discard
		require.NoError(t, client.Start())
		timer := time.NewTimer(time.Duration(rand.IntN(1500)) * time.Millisecond)
		<-timer.C
		_ = h.cmd.Process.Kill()
		_ = h.cmd.Wait()
		answered := client.Wait() == nil
		found := onePrice(t, db)
		h.start()
		_ = h.cmd.Process.Kill()
		_ = h.cmd.Wait()
		after := onePrice(t, db)
		wanted := fmt.Sprint(price)
		require.Contains(t, []string{last, wanted}, found)
		require.Contains(t, []string{found, wanted}, after)
		if answered {
			require.Equal(t, wanted, found, "an import that was answered is there")
		}
		outcomes[fmt.Sprintf("answered %v, then finished %v", answered, after != found)]++
		last = after
	}
	t.Logf("%v", outcomes)
}

// TestImportCommand imports on the command line: JSON lines, CSV tables, a dry run, and wrong
// lines.
func TestImportCommand(t *testing.T) {
	h := &importingHQ{t: t, dir: filepath.Join(t.TempDir(), "hq")}
	h.start()
	run := func(name, content string, args ...string) (string, bool) {
		file := filepath.Join(t.TempDir(), name)
		require.NoError(t, os.WriteFile(file, []byte(content), 0o600))
		out, err := posnode(append([]string{"hq", "import", "--data", h.dir, file}, args...)...).CombinedOutput()
		return strings.ReplaceAll(string(out), file, name), err == nil
	}
	out, ok := run("shop.jsonl", string(shopData), "--dry-run")
	require.True(t, ok, out)
	require.Contains(t, out, "dry run: ")
	out, ok = run("shop.jsonl", string(shopData))
	require.True(t, ok, out)
	require.Contains(t, out, "imported: ")
	out, ok = run("shop.jsonl", string(shopData))
	require.True(t, ok, out)
	require.Contains(t, out, " 0 stored, 0 deleted, ")
	out, ok = run("prices.csv", "product,price\nTEA-080,2.75\nTEA-LOOSE,4.20\n", "--csv", "prices")
	require.True(t, ok, out)
	require.Equal(t, "imported: 2 lines, 1 stored, 0 deleted, 1 unchanged, 0 wrong\n", out)
	out, ok = run("prices.csv", "product,price\nTEA-080,2.80\nNONE,1\nTEA-LOOSE,-1\n", "--csv", "prices")
	require.False(t, ok)
	require.Contains(t, out, "prices.csv:3: there is no product NONE")
	require.Contains(t, out, "prices.csv:4: product TEA-LOOSE: price -1 is negative")
	require.Contains(t, out, "nothing imported: 3 lines, 1 would be stored, 0 would be deleted, 0 unchanged, 2 wrong")
	out, ok = run("x.csv", "a\n1\n", "--csv", "nonsense")
	require.False(t, ok)
	require.Contains(t, out, "there is no table")
	require.NoError(t, h.cmd.Process.Signal(os.Interrupt))
	require.NoError(t, h.cmd.Wait())
	out, ok = run("shop.jsonl", string(shopData))
	require.False(t, ok)
	require.Contains(t, out, "is not running")
}
