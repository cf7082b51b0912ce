package checkpoint_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/posnode/posnode/internal/checkpoint"
)

func TestSignedCheckpointOpensWithItsKeyAlone(t *testing.T) {
	private, public, err := checkpoint.GenerateKey("s001-r01")
	require.NoError(t, err)
	signer, err := checkpoint.NewSigner(private)
	require.NoError(t, err)
	want := checkpoint.Checkpoint{Origin: "s001-r01/1", Size: 41, Hash: [32]byte{1, 2, 3}}
	signed, err := signer.Sign(want)
	require.NoError(t, err)

	got, err := checkpoint.Open(signed, public)
	require.NoError(t, err)
	require.Equal(t, want, got)

	_, otherPublic, err := checkpoint.GenerateKey("s001-r01")
	require.NoError(t, err)
	_, err = checkpoint.Open(signed, otherPublic)
	require.Error(t, err)
	_, err = checkpoint.Open(strings.Replace(signed, "\n41\n", "\n40\n", 1), public)
	require.Error(t, err)
}
