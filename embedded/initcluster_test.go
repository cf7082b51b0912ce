package embedded

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestInitCluster(t *testing.T) {
	t.Parallel()
	three := []ClusterServer{{Host: "a.example"}, {Host: "b.example", MaxFile: "500GB"}, {Host: "10.0.0.3"}}
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
	for host, want := range map[string]string{"a.example": "max_file: 100GB", "b.example": "max_file: 500GB"} {
		conf, err := os.ReadFile(filepath.Join(dir, host, "nats-server.conf"))
		require.NoError(t, err)
		require.Contains(t, string(conf), want)
	}
	require.ErrorContains(t, InitCluster(dir, three), "is not empty")

	for want, servers := range map[string][]ClusterServer{
		"2 servers":                    three[:2],
		"a name of its own and a host": {{Host: "a.example"}, {Host: "a.example"}, {Host: "b.example"}},
		`server "x"`:                   {{Name: "x"}, {Host: "a"}, {Host: "b"}},
		`"hq"`:                         {{Host: "hq"}, {Host: "a"}, {Host: "b"}},
		`"a b"`:                        {{Host: "a b"}, {Host: "a"}, {Host: "b"}},
		`"../up"`:                      {{Host: "../up"}, {Host: "a"}, {Host: "b"}},
		`"0GB" is no size`:             {{Host: "a", MaxFile: "0GB"}},
		`"1GB }" is no size`:           {{Host: "a", MaxFile: "1GB }"}},
	} {
		other := filepath.Join(t.TempDir(), "new")
		require.ErrorContains(t, InitCluster(other, servers), want)
		require.NoDirExists(t, other)
	}
}
