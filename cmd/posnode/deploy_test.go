package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/posnode/posnode/embedded"
	"github.com/posnode/posnode/hq"
)

// TestComposeFile shows that deploy/compose/compose.yaml names a Dockerfile that exists, and flags
// that the program knows.
func TestComposeFile(t *testing.T) {
	const dir = "../../deploy/compose"
	raw, err := os.ReadFile(filepath.Join(dir, "compose.yaml"))
	require.NoError(t, err)
	var compose struct {
		Services map[string]struct {
			Image   string
			Command []string
			Build   struct{ Context, Dockerfile string }
		}
	}
	require.NoError(t, yaml.Unmarshal(raw, &compose))
	require.Len(t, compose.Services, 5)
	made := filepath.Join(t.TempDir(), "cluster")
	require.NoError(t, hq.InitCluster(made, []embedded.ClusterServer{{Host: "n1"}, {Host: "n2"}, {Host: "n3"}}))
	for _, name := range []string{"hq1", "hq2"} {
		s := compose.Services[name]
		require.FileExists(t, filepath.Join(dir, s.Build.Context, s.Build.Dockerfile))
		require.Equal(t, "posnode", s.Command[0])
		for i, arg := range s.Command {
			s.Command[i] = strings.Replace(arg, "/data", filepath.Join(made, embedded.HQFolder), 1)
		}
		trace, err := kong.Trace(kong.Must(&cli{}, kong.Vars{"version": ""}), s.Command[1:])
		require.NoError(t, err)
		require.NoError(t, trace.Error)
		require.Equal(t, "hq run", trace.Command())
	}
}
