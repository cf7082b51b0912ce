package main

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/posnode/posnode/register"
)

// posnode status says how a running register stands, to a person and as JSON; and that there is none.
func TestStatusCommand(t *testing.T) {
	p := newProcess(t)
	p.start()
	defer p.stop()
	out, err := posnode("status", "--at", p.url).CombinedOutput()
	require.NoError(t, err, "%s", out)
	for _, want := range []string{"register", "s001-r01", "mode", "offline", "none: this register stands alone", "imported here, the newest 2", "  product"} {
		require.Contains(t, string(out), want)
	}
	require.NotContains(t, string(out), "never")
	out, err = posnode("status", "--at", p.url, "--json").Output()
	require.NoError(t, err)
	var status register.Status
	require.NoError(t, json.Unmarshal(out, &status))
	require.Equal(t, "s001-r01", status.Register.String())

	out, err = posnode("status", "--at", "http://127.0.0.1:1").CombinedOutput()
	require.Error(t, err)
	require.Contains(t, string(out), "posnode: error: reach the register")
	require.Contains(t, string(out), "posnode: hint:")
	out, err = posnode("status", "--at", p.url+"/nowhere").CombinedOutput()
	require.Error(t, err)
	require.Contains(t, string(out), "There is nothing at this address.")
}
