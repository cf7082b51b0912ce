package files

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestSetAsideIsBounded shows that only the last few damaged files of a name are kept.
func TestSetAsideIsBounded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	for i := range keptAside + 3 {
		require.NoError(t, os.WriteFile(path, []byte{byte(i)}, 0o600))
		aside, err := SetAside(path)
		require.NoError(t, err)
		require.FileExists(t, aside)
		require.NoFileExists(t, path)
	}
	list, err := filepath.Glob(path + ".damaged-*")
	require.NoError(t, err)
	require.Len(t, list, keptAside)
	newest, err := os.ReadFile(list[len(list)-1])
	require.NoError(t, err)
	require.Equal(t, []byte{keptAside + 2}, newest)
}
