package embedded

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/posnode/posnode/events"
)

// stored writes credentials to a file.
func stored(t *testing.T, creds []byte) string {
	path := filepath.Join(t.TempDir(), "creds")
	require.NoError(t, os.WriteFile(path, creds, 0o600))
	return path
}

func requireLink(t *testing.T, n *RegisterNode, up bool) {
	t.Helper()
	require.Eventually(t, func() bool { return n.Link().Connected == up }, soon, 20*time.Millisecond)
}

func TestActivationOfALink(t *testing.T) {
	t.Parallel()
	h := startHQ(t, t.TempDir(), "127.0.0.1:0")
	bootstrap, first, err := h.Bootstrap(r01, time.Now().Add(time.Hour))
	require.NoError(t, err)
	key, err := NewUserKey()
	require.NoError(t, err)
	require.NoError(t, h.Answer(activateService, func(_ context.Context, r events.Register, question []byte) ([]byte, error) {
		require.Equal(t, r01, r)
		token, err := h.Admit(r, string(question))
		return []byte(token), err
	}))
	require.NoError(t, h.Answer("other", func(context.Context, events.Register, []byte) ([]byte, error) { return []byte("secret"), nil }))

	n := startRegister(t, t.TempDir(), linked(r01, h.LeafURL(), stored(t, bootstrap)))
	appendEntries(t, n.Journal(), 0, 5)
	requireLink(t, n, true)
	asked := func(service, question string) ([]byte, error) {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		return n.Ask(ctx, service, []byte(question))
	}
	require.NoError(t, h.AddJournal(t.Context(), r01, 1))
	_, err = asked("other", "x")
	require.Error(t, err, "it may ask for activation and nothing else")
	var token []byte
	require.Eventually(t, func() bool {
		token, err = asked(activateService, key.Public)
		return err == nil
	}, soon, 50*time.Millisecond)
	acked, err := n.AckedByHQ(t.Context())
	require.NoError(t, err)
	require.Zero(t, acked, "nothing of the journal has travelled")

	stranger, err := NewUserKey()
	require.NoError(t, err)
	_, err = stranger.Credentials(string(token))
	require.ErrorContains(t, err, "another key")
	creds, err := key.Credentials(string(token))
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "hq.creds")
	require.NoError(t, os.WriteFile(path, creds, 0o600))
	require.NoError(t, n.UseCredentials(path))
	requireAtHQ(t, h, JournalName{r01, 1}, 5)

	// After a revocation the link is closed and does not come back.
	for _, user := range []string{key.Public, first} {
		require.NoError(t, h.Revoke(t.Context(), user))
		revoked, err := h.IsRevoked(t.Context(), user)
		require.NoError(t, err)
		require.True(t, revoked)
	}
	requireLink(t, n, false)
	require.NoError(t, n.SetLink(false))
	require.NoError(t, n.SetLink(true))
	require.Never(t, func() bool { return len(h.Links()) > 0 }, 3*time.Second, 20*time.Millisecond)

	// A new key is admitted beside the old ones, in a file at the same path.
	again, err := NewUserKey()
	require.NoError(t, err)
	admitted, err := h.Admit(r01, again.Public)
	require.NoError(t, err)
	creds, err = again.Credentials(admitted)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path, creds, 0o600))
	require.NoError(t, n.UseCredentials(path))
	requireLink(t, n, true)
	appendEntries(t, n.Journal(), 5, 8)
	requireAtHQ(t, h, JournalName{r01, 1}, 8)
}

func TestNewestCredentials(t *testing.T) {
	h := startHQ(t, t.TempDir(), "127.0.0.1:0")
	creds, err := h.Enroll(r01)
	require.NoError(t, err)
	path := stored(t, creds)
	for want, paths := range map[string][]string{
		"":   {"", filepath.Join(t.TempDir(), "none")},
		path: {"", path, filepath.Join(t.TempDir(), "none")},
	} {
		got, err := Newest(r01, paths...)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	for _, useless := range []string{stored(t, []byte("nonsense")), stored(t, nil), t.TempDir()} {
		got, err := Newest(r01, useless, path)
		require.Error(t, err)
		require.Equal(t, path, got, "another can be used")
	}
	got, err := Newest(r02, path)
	require.ErrorContains(t, err, "s001-r01")
	require.Empty(t, got, "they are of another register")
}
