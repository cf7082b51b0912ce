package ledger_test

import (
	"bytes"
	"flag"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/posnode/posnode/events"
	"github.com/posnode/posnode/internal/checkpoint"
)

var update = flag.Bool("update", false, "write the sample journal and what docs/format.md quotes of it anew")

// TestSampleJournal: docs/sample.jsonl is what a till writes, whole and signed.
func TestSampleJournal(t *testing.T) {
	w := readyTill(stores()["standard"])
	for _, step := range []struct {
		op    int
		input string
	}{{100, `{"product":"TEA","quantity":"2"}`}, {100, `{"product":"APPLES","quantity":"1.255"}`}, {200, `{"amount":1000}`}} {
		must(w.do(w.command(step.op, step.input)))
	}
	want := append(bytes.Join(w.bodies, []byte("\n")), '\n')
	const file = "../docs/sample.jsonl"
	if *update {
		require.NoError(t, os.WriteFile(file, want, 0o644))
	}
	got, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, string(want), string(got), "run go test ./ledger -update")

	_, key := tillKey()
	var chain events.Chain
	for i, body := range bytes.Split(bytes.TrimSuffix(got, []byte("\n")), []byte("\n")) {
		e, err := events.Decode(body)
		require.NoError(t, err)
		if f, ok := e.Fact.(events.Checkpointed); ok {
			signed, err := checkpoint.Open(f.Sign().Checkpoint, key)
			require.NoError(t, err)
			require.Equal(t, checkpoint.Checkpoint{Origin: "s001-r01/1", Size: chain.Head.Sequence, Hash: chain.Head.Hash}, signed)
		}
		require.NoError(t, chain.Next(uint64(i+1), e))
	}
}

// TestFormatDocument runs every command that docs/format.md shows, in docs, and
// compares what it prints with what stands there: the blocks that begin with
// ```console, in which a line after "$ " is a command, and one after "> " goes on with it.
func TestFormatDocument(t *testing.T) {
	for _, tool := range []string{"bash", "jq", "sha256sum"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("%v", err)
		}
	}
	const file = "../docs/format.md"
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	var out strings.Builder
	commands := 0
	for i, part := range strings.Split(string(text), "```") {
		block, isConsole := strings.CutPrefix(part, "console\n")
		if i > 0 {
			out.WriteString("```")
		}
		if i%2 == 0 || !isConsole {
			out.WriteString(part)
			continue
		}
		out.WriteString("console\n")
		for _, session := range strings.Split("\n"+block, "\n$ ")[1:] {
			command, _, _ := strings.Cut(session, "\n")
			lines := strings.Split(session, "\n")
			for _, line := range lines[1:] {
				more, goesOn := strings.CutPrefix(line, "> ")
				if !goesOn {
					break
				}
				command += "\n" + more
			}
			run := exec.Command("bash", "-c", command)
			run.Dir = "../docs"
			printed, err := run.CombinedOutput()
			require.NoError(t, err, "%s\n%s", command, printed)
			commands++
			out.WriteString("$ " + strings.ReplaceAll(command, "\n", "\n> ") + "\n" + string(printed))
		}
	}
	if *update {
		require.NoError(t, os.WriteFile(file, []byte(out.String()), 0o644))
		text = []byte(out.String())
	}
	require.Greater(t, commands, 5)
	for limit, want := range map[string]int64{"body of an entry": events.MaxBody, "one amount": int64(events.MaxMoney)} {
		_, rest, _ := strings.Cut(string(text), "| "+limit+" | ")
		number, _, _ := strings.Cut(rest, " ")
		require.Equal(t, strconv.FormatInt(want, 10), strings.ReplaceAll(number, ",", ""), limit)
	}
	require.Equal(t, out.String(), string(text), "run go test ./ledger -update")
}
