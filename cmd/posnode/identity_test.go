package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/posnode/posnode/internal/checkpoint"
)

// TestSwappedSigningKey shows that a register does not start with another key than that of its
// activation.
func TestSwappedSigningKey(t *testing.T) {
	t.Parallel()
	dir := soldDirectory(t)
	start := func() string {
		return ends(t, exitIntegrity, posnode("register", "--data", dir, "--name", "s001-r01", "--listen", "127.0.0.1:0"))
	}
	path := filepath.Join(dir, "identity.json")
	sound, err := os.ReadFile(path)
	require.NoError(t, err)
	before := tree(t, filepath.Join(dir, "jetstream"))

	var identity map[string]any
	require.NoError(t, json.Unmarshal(sound, &identity))
	identity["key"], _, err = checkpoint.GenerateKey("s001-r01")
	require.NoError(t, err)
	swapped, err := json.Marshal(identity)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path, swapped, 0o600))
	out := start()
	require.Contains(t, out, "identity.json does not fit its activation record")
	require.Contains(t, out, "activate the register anew (operation 707)")

	// The activation record is swapped as well, but the journal begins with another one.
	require.NoError(t, os.WriteFile(path, sound, 0o600))
	record, err := os.ReadFile(filepath.Join(dir, "activation-1.json"))
	require.NoError(t, err)
	for _, swap := range [][2]string{{`"epoch":1`, `"epoch":2`}, {`"id":"r01"`, `"id":"r02"`}, {`r01`, `r02`}} {
		if !strings.Contains(string(record), swap[0]) {
			continue
		}
		require.NoError(t, os.WriteFile(filepath.Join(dir, "activation-1.json"), []byte(strings.Replace(string(record), swap[0], swap[1], 1)), 0o600))
		require.Contains(t, start(), "identity.json does not fit its activation record")
	}
	require.Equal(t, before, tree(t, filepath.Join(dir, "jetstream")), "nothing was written to the journal")

	require.NoError(t, os.WriteFile(filepath.Join(dir, "activation-1.json"), record, 0o600))
	p := &process{t: t, dir: dir}
	p.start()
	p.stop()
}

// TestSwappedActivation swaps both files for another register's. They fit each other, but they do
// not fit the journal.
func TestSwappedActivation(t *testing.T) {
	t.Parallel()
	dir, other := soldDirectory(t), soldDirectory(t)
	for _, name := range []string{"identity.json", "activation-1.json"} {
		raw, err := os.ReadFile(filepath.Join(other, name))
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), raw, 0o600))
	}
	p := &process{t: t, dir: dir}
	p.start()
	var status struct {
		Damage *struct {
			Sequence uint64
			Kind     string
		} `json:"damage"`
	}
	require.Eventually(t, func() bool { p.get("/v1/status", &status); return status.Damage != nil }, time.Minute, 20*time.Millisecond)
	require.Equal(t, "activation", status.Damage.Kind)
	require.EqualValues(t, 1, status.Damage.Sequence)
	r, err := p.try(700, newKey(), `{"staff":"7","pin":"1357"}`)
	require.NoError(t, err)
	require.Equal(t, "journal_damaged", r.Code)
	p.stop()
}
