package main

import (
	"bytes"
	"flag"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write docs/operations.md anew")

// TestOperationsDocument shows that docs/operations.md agrees with the catalogue.
func TestOperationsDocument(t *testing.T) {
	const file = "../../docs/operations.md"
	var want bytes.Buffer
	require.NoError(t, writeOperations(&want))
	if *update {
		require.NoError(t, os.WriteFile(file, want.Bytes(), 0o644))
	}
	got, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, want.String(), string(got), "run go test ./cmd/posnode -run TestOperationsDocument -update")
}
