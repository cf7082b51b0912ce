package ledger_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/posnode/posnode/ledger"
)

// TestInputIsAnObject: what is not one JSON object is refused before anything looks at it.
func TestInputIsAnObject(t *testing.T) {
	for _, body := range []string{``, `{}`, ` {} `} {
		_, err := ledger.ParseInput([]byte(body))
		require.NoError(t, err, "%q", body)
	}
	for _, body := range []string{`null`, `[]`, `""`, `0`, `true`, `{`, `{}{}`, `{},`, `{} null`, "{\"a\":\"\xff\"}", "\xef\xbb\xbf{}"} {
		_, err := ledger.ParseInput([]byte(body))
		var refusal *ledger.Refusal
		require.True(t, errors.As(err, &refusal), "%q", body)
		require.Equal(t, "malformed_input", refusal.Code, "%q", body)
	}
}

// TestRefusalsAreTheSameEachTime: a decision has no randomness, and so neither has its refusal.
func TestRefusalsAreTheSameEachTime(t *testing.T) {
	w := readyTill(stores()["standard"])
	input := `{"product":"TEA"`
	for i := range 20 {
		input += fmt.Sprintf(`,"unknown%d":1`, i)
	}
	c := w.complete(w.command(100, input+"}"))
	_, first := ledger.Decide(w.state, c)
	require.Error(t, first)
	for range 20 {
		_, err := ledger.Decide(w.state, c)
		require.Equal(t, first, err)
	}
}

// TestOldCommands: a command that the state no longer remembers is known by what the
// offline database says of it.
func TestOldCommands(t *testing.T) {
	w := readyTill(stores()["standard"])
	w.hasty = true
	c := w.command(100, `{"product":"TEA"}`)
	first, err := w.do(c)
	require.NoError(t, err)
	done, known := w.state.Commands.Find(c.Key)
	require.True(t, known)
	for range ledger.RecentCommands - 1 {
		_, err := w.do(w.command(100, `{"product":"TEA"}`))
		require.NoError(t, err)
	}
	_, known = w.state.Commands.Find(c.Key)
	require.True(t, known, "the last %d are remembered", ledger.RecentCommands)
	_, err = w.do(w.command(100, `{"product":"TEA"}`))
	require.NoError(t, err)
	_, known = w.state.Commands.Find(c.Key)
	require.False(t, known, "and no more than that")
	w.restart()
	_, known = w.state.Commands.Find(c.Key)
	require.False(t, known)

	// Which is the oldest survives the restart: the next command pushes out exactly the second.
	second, third := w.entries[first.entry.Head.Sequence].Command, w.entries[first.entry.Head.Sequence+1].Command
	_, err = w.do(w.command(100, `{"product":"TEA"}`))
	require.NoError(t, err)
	_, known = w.state.Commands.Find(second)
	require.False(t, known)
	_, known = w.state.Commands.Find(third)
	require.True(t, known)

	c = w.complete(c)
	c.Prior = &done
	again, err := ledger.Decide(w.state, c)
	require.NoError(t, err)
	require.Equal(t, ledger.Decision{Repeated: first.entry.Head.Sequence}, again)
	c.Input, err = ledger.ParseInput([]byte(`{"product":"MUG"}`))
	require.NoError(t, err)
	_, err = ledger.Decide(w.state, c)
	require.ErrorContains(t, err, "command_reused")
}

// TestSecretsAreNotInTheJournal: the PIN is neither stored nor hashed, so that no journal helps anyone to guess it.
func TestSecretsAreNotInTheJournal(t *testing.T) {
	w := newTill(stores()["standard"])
	right, err := w.do(w.command(700, `{"staff":"7","pin":"1234"}`))
	require.NoError(t, err)
	wrong, err := w.do(w.command(700, `{"staff":"7","pin":"8765"}`))
	require.NoError(t, err)
	for _, body := range w.bodies[1:] {
		require.NotContains(t, string(body), `"1234"`)
		require.NotContains(t, string(body), `"8765"`)
		require.NotContains(t, string(body), `"pin"`)
	}
	input := func(a answer) string {
		text, ok := field[string](a.entry.Fact, "Input")
		require.True(t, ok)
		return text
	}
	require.Equal(t, input(right), input(wrong), "the digest of the input would give the PIN away")
}

// TestCatalogue: ids in order and once, and what a client can rely on.
func TestCatalogue(t *testing.T) {
	last := 0
	for _, op := range ledger.Catalogue() {
		require.Greater(t, op.ID, last)
		last = op.ID
		require.Same(t, op, ledger.Find(op.ID))
		require.NotEmpty(t, op.Name, op.ID)
		require.NotEmpty(t, op.Group, op.ID)
		require.Contains(t, []string{ledger.Local, ledger.Bounded, ledger.Refused}, op.Offline, "%d", op.ID)
		names := map[string]bool{}
		for _, p := range op.Params {
			require.Regexp(t, `^[a-z][a-z0-9_]*$`, p.Name, "%d", op.ID)
			require.False(t, names[p.Name], "%d: parameter %s twice", op.ID, p.Name)
			names[p.Name] = true
			require.NotEmpty(t, p.Doc, "%d %s", op.ID, p.Name)
			if p.Kind == ledger.KindText || p.Kind == ledger.KindNumber {
				require.Positive(t, p.Max, "%d %s: a text and a number have a limit", op.ID, p.Name)
			}
		}
	}
	require.Nil(t, ledger.Find(0))
	require.Nil(t, ledger.Find(1<<31))
}
