package checkpoint_test

import (
	"encoding/base64"
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

// TestNoteThatIsNoCheckpoint signs texts that are not the three lines of a checkpoint.
func TestNoteThatIsNoCheckpoint(t *testing.T) {
	private, public, err := checkpoint.GenerateKey("s001-r01")
	require.NoError(t, err)
	signer, err := checkpoint.NewSigner(private)
	require.NoError(t, err)
	hash := base64.StdEncoding.EncodeToString(make([]byte, 32))
	for text, sound := range map[string]bool{
		"s001-r01/1\n41\n" + hash + "\n":                                                true,
		"s001-r01/1\n41\n" + hash + "\nmore\n":                                          false,
		"s001-r01/1\n41\n" + hash + "\n\n":                                              false,
		"s001-r01/1\n41\n":                                                              false,
		"s001-r01/1\n-1\n" + hash + "\n":                                                false,
		"s001-r01/1\n41x\n" + hash + "\n":                                               false,
		"s001-r01/1\n\n" + hash + "\n":                                                  false,
		"s001-r01/1\n41\n" + hash[:40] + "\n":                                           false,
		"s001-r01/1\n41\n" + hash[:40] + "AAAAAAA\n":                                    false,
		"s001-r01/1\n41\n" + base64.StdEncoding.EncodeToString(make([]byte, 33)) + "\n": false,
		"s001-r01/1\n41\n" + base64.StdEncoding.EncodeToString(make([]byte, 31)) + "\n": false,
	} {
		signed, err := signer.SignText(text)
		require.NoError(t, err)
		got, err := checkpoint.Open(signed, public)
		if sound {
			require.NoError(t, err)
			require.Equal(t, checkpoint.Checkpoint{Origin: "s001-r01/1", Size: 41}, got)
		} else {
			require.Error(t, err, "%q", text)
		}
		opened, err := checkpoint.OpenText(signed, public)
		require.NoError(t, err)
		require.Equal(t, text, opened)
	}
	_, err = checkpoint.Open("", public)
	require.Error(t, err)
	signed, err := signer.Sign(checkpoint.Checkpoint{Origin: "s001-r01/1", Size: 41})
	require.NoError(t, err)
	_, err = checkpoint.Open(signed, "no key")
	require.Error(t, err)
}

func TestSignerKnowsItsPublicKey(t *testing.T) {
	private, public, err := checkpoint.GenerateKey("s001-r01")
	require.NoError(t, err)
	_, another, err := checkpoint.GenerateKey("s001-r01")
	require.NoError(t, err)
	signer, err := checkpoint.NewSigner(private)
	require.NoError(t, err)
	require.True(t, signer.Has(public))
	require.False(t, signer.Has(another))
	require.False(t, signer.Has(""))
	_, err = checkpoint.NewSigner("PRIVATE+KEY+none")
	require.Error(t, err)
}
