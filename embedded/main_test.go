package embedded

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"github.com/posnode/posnode/events"
)

// childVar makes the test binary run as a register's process. Its value is "<entries> <unsynced>
// <directory>". The process prints "ack N" after each acknowledged append, and "done" when it has
// closed its node. With 0 entries it appends until it is killed.
const childVar = "POSNODE_EMBEDDED_CHILD"

func TestMain(m *testing.M) {
	if args := os.Getenv(childVar); args != "" {
		if err := child(strings.Fields(args)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	flag.Parse()
	if flag.Lookup("test.parallel").Value.String() == strconv.Itoa(runtime.GOMAXPROCS(0)) {
		_ = flag.Set("test.parallel", "4") // parallel tests here wait for servers more than they compute
	}
	code := m.Run()
	if builtStock {
		if binary, err := stockBinary(); err == nil {
			_ = os.RemoveAll(filepath.Dir(binary))
		}
	}
	os.Exit(code)
}

func child(args []string) error {
	entries, err := strconv.ParseUint(args[0], 10, 64)
	if err != nil {
		return err
	}
	ctx := context.Background()
	n, err := StartRegister(ctx, RegisterConfig{Dir: args[2], Register: r01, Epoch: 1, unsynced: args[1] == "true"})
	if err != nil {
		return err
	}
	after, err := n.Journal().Last(ctx)
	if err != nil {
		return err
	}
	for i := uint64(0); entries == 0 || i < entries; i++ {
		if err := n.Journal().Append(ctx, after, entry(after+1)); err != nil {
			return err
		}
		after++
		if _, err := fmt.Fprintf(os.Stdout, "ack %d\n", after); err != nil { // one write for each, so that strace shows it
			return err
		}
	}
	if err := n.Close(); err != nil {
		return err
	}
	_, err = fmt.Fprintln(os.Stdout, "done")
	return err
}

// startChild starts the test binary as a register's process, under a wrapper such as strace if one
// is given.
func startChild(t *testing.T, entries int, unsynced bool, dir string, wrapper ...string) (*exec.Cmd, *bufio.Scanner) {
	args := append(wrapper, os.Args[0])
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d %t %s", childVar, entries, unsynced, dir))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return cmd, bufio.NewScanner(out)
}

var (
	r01 = events.Register{Store: "s001", ID: "r01"}
	r02 = events.Register{Store: "s001", ID: "r02"}
)

// entry returns the nth entry of any test journal. Its body names n.
func entry(n uint64) events.Message { return sizedEntry(n, 600) }

func sizedEntry(n uint64, size int) events.Message {
	mark := entryMark(n)
	return events.Message{
		Subject:  "pos.s001.r01.sale.concluded",
		ID:       ulid.Make().String(),
		Sequence: n,
		Body:     []byte(mark + strings.Repeat(".", max(size-len(mark), 0))),
	}
}

func entryMark(n uint64) string { return fmt.Sprintf("<entry %06d>", n) }

// startRegister starts a node without a link that ends with the test.
func startRegister(t testing.TB, dir string, change ...func(*RegisterConfig)) *RegisterNode {
	cfg := RegisterConfig{Dir: dir, Register: r01, Epoch: 1}
	for _, c := range change {
		c(&cfg)
	}
	n, err := StartRegister(t.Context(), cfg)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, n.Close()) })
	return n
}

// appendEntries appends entries from+1 .. to.
func appendEntries(t testing.TB, j *Journal, from, to uint64) {
	require.NoError(t, appendAll(t.Context(), j, from, to))
}

func appendAll(ctx context.Context, j *Journal, from, to uint64) error {
	for n := from + 1; n <= to; n++ {
		if err := j.Append(ctx, n-1, entry(n)); err != nil {
			return err
		}
	}
	return nil
}

// requireEntries reads the whole journal and checks that it holds the entries 1 .. last.
func requireEntries(t testing.TB, j *Journal, last uint64) {
	got, err := j.Last(t.Context())
	require.NoError(t, err)
	require.Equal(t, last, got)
	next := uint64(1)
	require.NoError(t, j.Read(t.Context(), 1, func(m events.Message) error {
		require.Equal(t, next, m.Sequence)
		require.True(t, strings.HasPrefix(string(m.Body), entryMark(next)), "entry %d: %.20s", next, m.Body)
		next++
		return nil
	}))
	require.Equal(t, last+1, next)
}

// blockFiles returns the files that hold the entries of epoch 1, in order.
func blockFiles(t testing.TB, dir string) []string {
	files, err := filepath.Glob(filepath.Join(dir, storeName, "$G", "streams", "JOURNAL_1", "msgs", "*.blk"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	return files
}
