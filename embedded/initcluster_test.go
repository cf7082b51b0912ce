package embedded

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestInitCluster(t *testing.T) {
	t.Parallel()
	three := []ClusterServer{{Host: "a.example"}, {Host: "b.example"}, {Host: "10.0.0.3"}}
	dir := filepath.Join(t.TempDir(), "new")
	require.NoError(t, InitCluster(dir, three))
	for _, name := range []string{
		"ca.pem", "ca.key", "hq/keys.json", "hq/hq.creds", "hq/ca.pem",
		"a.example/nats-server.conf", "b.example/server.key", "10.0.0.3/server.pem", "10.0.0.3/ca.pem",
	} {
		info, err := os.Stat(filepath.Join(dir, name))
		require.NoError(t, err)
		require.EqualValues(t, 0o600, info.Mode().Perm(), name)
	}
	require.ErrorContains(t, InitCluster(dir, three), "is not empty")

	for want, servers := range map[string][]ClusterServer{
		"2 servers":                    three[:2],
		"a name of its own and a host": {{Host: "a.example"}, {Host: "a.example"}, {Host: "b.example"}},
		`server "x"`:                   {{Name: "x"}, {Host: "a"}, {Host: "b"}},
		`"hq"`:                         {{Host: "hq"}, {Host: "a"}, {Host: "b"}},
		`"a b"`:                        {{Host: "a b"}, {Host: "a"}, {Host: "b"}},
		`"../up"`:                      {{Host: "../up"}, {Host: "a"}, {Host: "b"}},
	} {
		other := filepath.Join(t.TempDir(), "new")
		require.ErrorContains(t, InitCluster(other, servers), want)
		require.NoDirExists(t, other)
	}
}
