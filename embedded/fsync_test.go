//go:build linux

package embedded

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestEntryIsSyncedBeforeItIsAcknowledged traces the system calls of a register's process. Between
// one acknowledgement and the next, the journal's block file must be written and then synced.
func TestEntryIsSyncedBeforeItIsAcknowledged(t *testing.T) {
	require.NoError(t, checkSynced(traceAppends(t, 50, false), 50))
}

// TestUnsyncedAcknowledgementIsNoticed runs without SyncAlways. The check must detect it.
func TestUnsyncedAcknowledgementIsNoticed(t *testing.T) {
	require.ErrorContains(t, checkSynced(traceAppends(t, 50, true), 50), "acknowledged before it was synced")
}

// traceAppends runs a process that appends entries under strace, and returns the trace.
func traceAppends(t *testing.T, entries int, unsynced bool) string {
	strace, err := exec.LookPath("strace")
	if err != nil {
		t.Skip("strace is not installed: apt-get install strace")
	}
	dir, trace := t.TempDir(), filepath.Join(t.TempDir(), "trace")
	cmd, out := startChild(t, entries, unsynced, dir, strace, "-f", "-y", "-s", "24", "-o", trace,
		"-e", "trace=write,pwrite64,pwritev,fsync,fdatasync,sync_file_range")
	var last string
	for out.Scan() {
		last = out.Text()
	}
	if err := cmd.Wait(); err != nil {
		if data, _ := os.ReadFile(trace); len(data) == 0 {
			t.Skipf("strace cannot trace here: %v", err)
		}
		t.Fatal(err)
	}
	require.Equal(t, "done", last)
	return trace
}

var (
	tracedCall  = regexp.MustCompile(`^(\d+) +(\w+)\(\d+<([^>]*)>(?:, "([^"]*)")?`)
	tracedAgain = regexp.MustCompile(`^(\d+) +<\.\.\. (\w+) resumed>`)
)

// checkSynced reads a trace. It returns an error for the first entry that was acknowledged before
// its block file was written and then synced.
func checkSynced(trace string, entries int) error {
	f, err := os.Open(trace)
	if err != nil {
		return err
	}
	defer f.Close()
	var written, synced bool
	pending := map[string]string{} // by thread: the file of a call that is not over
	next := 1
	// A call counts when it has ended, because an fsync that has only begun proves nothing.
	done := func(call, file string) {
		if !strings.HasSuffix(file, ".blk") {
			return
		}
		switch call {
		case "fsync", "fdatasync":
			synced = written
		default:
			written, synced = true, false
		}
	}
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		line := lines.Text()
		if m := tracedAgain.FindStringSubmatch(line); m != nil {
			done(m[2], pending[m[1]])
			continue
		}
		m := tracedCall.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		if strings.HasPrefix(m[4], "ack ") { // an acknowledgement counts when it begins
			if want := fmt.Sprintf(`ack %d\n`, next); m[4] != want {
				return fmt.Errorf("trace says %q, want %q", m[4], want)
			}
			if !synced {
				return fmt.Errorf("entry %d was acknowledged before it was synced (written: %t)", next, written)
			}
			written, synced = false, false
			next++
			continue
		}
		if strings.HasSuffix(line, "<unfinished ...>") {
			pending[m[1]] = m[3]
			continue
		}
		done(m[2], m[3])
	}
	if next != entries+1 {
		return fmt.Errorf("trace has %d acknowledgements, want %d", next-1, entries)
	}
	return lines.Err()
}
