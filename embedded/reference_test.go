package embedded

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"github.com/posnode/posnode/events"
)

// record is a message of reference data.
func record(i int, origin uint64, body string) ReferenceMessage {
	return ReferenceMessage{Subject: ReferenceSubject("all", "product", fmt.Sprintf("P%d", i)), Origin: origin, Body: []byte(body)}
}

// storedReference returns the content of a stream of reference data up to its last commit, and the
// sequence of that commit.
func storedReference(t *testing.T, r *Reference) (bodies []string, committed uint64) {
	committed, err := r.Committed(t.Context())
	require.NoError(t, err)
	require.NoError(t, r.Read(t.Context(), 1, committed, func(_ uint64, body []byte) error {
		bodies = append(bodies, string(body))
		return nil
	}))
	return bodies, committed
}

// publish appends messages at the end.
func publish(t *testing.T, r *Reference, messages ...ReferenceMessage) {
	last, err := r.Last(t.Context())
	require.NoError(t, err)
	_, err = r.Publish(t.Context(), last, messages)
	require.NoError(t, err)
}

func TestReferenceKeepsTheLastOfEach(t *testing.T) {
	h := startHQ(t, t.TempDir(), "")
	r := h.Reference()
	_, committed := storedReference(t, r)
	require.Zero(t, committed)

	var many []ReferenceMessage
	for i := range 2500 { // three batches of the server
		many = append(many, record(i, 0, "old"))
	}
	publish(t, r, append(many, ReferenceCommit(0, []byte("commit")))...)
	bodies, committed := storedReference(t, r)
	require.EqualValues(t, 2501, committed)
	require.Len(t, bodies, 2501)
	require.Equal(t, "commit", bodies[2500])

	publish(t, r, record(7, 0, "new"))
	bodies, again := storedReference(t, r)
	require.Equal(t, committed, again, "what has no commit is not there yet")
	require.Len(t, bodies, 2500, "and what it takes the place of is gone: a reader keeps what it has")
	publish(t, r, ReferenceCommit(0, []byte("second")))
	bodies, _ = storedReference(t, r)
	require.Equal(t, []string{"new", "second"}, bodies[2499:])

	last, err := r.Last(t.Context())
	require.NoError(t, err)
	for _, messages := range [][]ReferenceMessage{many, many[:1]} {
		stored, err := r.Publish(t.Context(), last-1, messages)
		require.ErrorIs(t, err, events.ErrConflict, "another was first")
		require.Zero(t, stored)
	}
	unchanged, _ := storedReference(t, r)
	require.Equal(t, bodies, unchanged)
}

func TestReferenceCopy(t *testing.T) {
	dir := t.TempDir()
	n := startRegister(t, dir, func(c *RegisterConfig) { c.Listen = "127.0.0.1:0" })
	none, err := n.ReferenceCopy(t.Context(), "")
	require.NoError(t, err)
	require.Nil(t, none)
	for _, wrong := range []string{"JOURNAL_1@x", "x", "@"} {
		_, err = n.ReferenceCopy(t.Context(), wrong)
		require.ErrorContains(t, err, "head office calls its stream")
	}
	c, err := n.ReferenceCopy(t.Context(), "REFERENCE_1@then")
	require.NoError(t, err)
	at, err := c.CopiedTo(t.Context())
	require.NoError(t, err)
	require.Zero(t, at)
	publish(t, c, record(1, 17, "secret"), record(2, 40, "b"))
	at, err = c.CopiedTo(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, 40, at)
	publish(t, c, ReferenceCommit(41, []byte("commit")))

	// A local reader sees journals, but no hash of a PIN.
	nc, err := nats.Connect(n.ClientURL(), nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}))
	require.NoError(t, err)
	defer nc.Close()
	for _, subject := range []string{"$JS.API.STREAM.MSG.GET.REFERENCE_1", "$JS.API.DIRECT.GET.REFERENCE_1", "$JS.API.DIRECT.GET.REFERENCE_1.ref.all.product.UDE"} {
		inbox, err := nc.SubscribeSync(nc.NewInbox())
		require.NoError(t, err)
		require.NoError(t, nc.PublishRequest(subject, inbox.Subject, []byte(`{"seq":1}`)))
		_, err = nc.Request("$JS.API.STREAM.INFO.JOURNAL_1", nil, soon) // allowed, and answered after the one above
		require.NoError(t, err)
		pending, _, err := inbox.Pending()
		require.NoError(t, err)
		require.Zero(t, pending, subject)
	}

	// The next start opens the copy without head office. A copy of another origin takes its place.
	require.NoError(t, n.Close())
	n = startRegister(t, dir)
	c, err = n.ReferenceCopy(t.Context(), "")
	require.NoError(t, err)
	require.Equal(t, "REFERENCE_1@then", c.Origin())
	bodies, _ := storedReference(t, c)
	require.Equal(t, []string{"secret", "b", "commit"}, bodies)
	for _, origin := range []string{"REFERENCE_1@now", "REFERENCE_2@later"} {
		c, err = n.ReferenceCopy(t.Context(), origin)
		require.NoError(t, err)
		_, committed := storedReference(t, c)
		require.Zero(t, committed)
		c, err = n.ReferenceCopy(t.Context(), "")
		require.NoError(t, err)
		require.Equal(t, origin, c.Origin())
	}
}

// TestStagedImports shows that a staged import is stored whole, so that any instance can finish it.
func TestStagedImports(t *testing.T) {
	h := startHQ(t, t.TempDir(), "")
	names, err := h.StagedImports(t.Context())
	require.NoError(t, err)
	require.Empty(t, names)
	content := strings.Repeat("line\n", 100_000)
	for _, name := range []string{"B", "A"} {
		require.NoError(t, h.StageImport(t.Context(), name, strings.NewReader(content)))
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.Error(t, h.StageImport(ctx, "C", strings.NewReader(content)))
	names, err = h.StagedImports(t.Context())
	require.NoError(t, err)
	require.Equal(t, []string{"A", "B"}, names)
	got, err := h.StagedImport(t.Context(), "A")
	require.NoError(t, err)
	require.Equal(t, content, string(got))
	require.NoError(t, h.DropImport(t.Context(), "A"))
	names, err = h.StagedImports(t.Context())
	require.NoError(t, err)
	require.Equal(t, []string{"B"}, names)
}

// TestReferenceOnACluster shows that on a cluster every instance sees a staged import at once, and
// none sees it once it is dropped.
func TestReferenceOnACluster(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	one, two := c.hq(), c.hq()
	for i := range 20 {
		at, other := one, two
		if i%2 == 1 {
			at, other = two, one
		}
		name := fmt.Sprintf("%03d", i)
		require.NoError(t, at.StageImport(t.Context(), name, strings.NewReader("content")))
		for _, h := range []*HQNode{at, other} {
			names, err := h.StagedImports(t.Context())
			require.NoError(t, err)
			require.Equal(t, []string{name}, names)
			content, err := h.StagedImport(t.Context(), name)
			require.NoError(t, err)
			require.Equal(t, "content", string(content))
		}
		var messages []ReferenceMessage
		for p := range 1200 {
			messages = append(messages, record(p, 0, name))
		}
		publish(t, other.Reference(), append(messages, ReferenceCommit(0, []byte(name)))...)
		require.NoError(t, at.DropImport(t.Context(), name))
		for _, h := range []*HQNode{at, other} {
			names, err := h.StagedImports(t.Context())
			require.NoError(t, err)
			require.Empty(t, names)
			require.Eventually(t, func() bool {
				bodies, _ := storedReference(t, h.Reference())
				return len(bodies) == 1201 && bodies[0] == name && bodies[1200] == name
			}, soon, 10*time.Millisecond)
		}
	}
}
