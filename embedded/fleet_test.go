package embedded

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"github.com/posnode/posnode/events"
)

// secondHQ starts another instance on the servers of h, with the same keys.
func secondHQ(t testing.TB, h *HQNode, urls ...string) *HQNode {
	dir := t.TempDir()
	keys, err := os.ReadFile(filepath.Join(h.cfg.Dir, keysName))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, keysName), keys, 0o600))
	second, err := StartHQ(t.Context(), HQConfig{Dir: dir, URLs: urls, CA: h.cfg.CA, Replicas: h.cfg.replicas()})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, second.Close()) })
	return second
}

// startListeningHQ starts a node with a server that a second node can use.
func startListeningHQ(t testing.TB) *HQNode {
	h, err := StartHQ(t.Context(), HQConfig{Dir: t.TempDir(), Listen: "127.0.0.1:0", ListenLeaf: "127.0.0.1:0"})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, h.Close()) })
	return h
}

// addAtOnce adds journals from several instances at the same time. It checks that every shard has
// all of its journals as sources.
func addAtOnce(t testing.TB, n int, nodes ...*HQNode) {
	// This answers in place of so many registers when head office resets their consumers.
	_, err := everything(t, nodes[0]).Subscribe("$JS.*.API.CONSUMER.RESET.>", func(m *nats.Msg) {
		_ = m.Respond([]byte("{}")) // a question that comes while the test ends needs no answer
	})
	require.NoError(t, err)
	var wait sync.WaitGroup
	errs := make(chan error, n)
	start := time.Now()
	for i := range n {
		r := nthRegister(i)
		wait.Go(func() { errs <- nodes[i%len(nodes)].AddJournal(t.Context(), r, 1) })
	}
	wait.Wait()
	close(errs)
	for err := range errs {
		require.NoError(t, err)
	}
	t.Logf("%d journals added by %d instances at once in %v", n, len(nodes), time.Since(start))
	found := 0
	for _, shard := range nodes[0].Shards() {
		stream, err := nodes[0].js.Stream(t.Context(), shard)
		require.NoError(t, err)
		found += len(stream.CachedInfo().Config.Sources)
	}
	require.Equal(t, n, found, "sources")
}

func nthRegister(i int) events.Register {
	return events.Register{Store: events.StoreID(fmt.Sprintf("s%03d", i/4)), ID: events.RegisterID(fmt.Sprintf("r%02d", i%4))}
}

func TestTwoInstancesAddJournalsAtOnce(t *testing.T) {
	t.Parallel()
	h := startListeningHQ(t)
	addAtOnce(t, 100, h, secondHQ(t, h, h.ClientURL()))
}

// TestTheOtherInstanceKnowsTheJournal shows that an instance knows the origin of entries of a
// journal that another instance added.
func TestTheOtherInstanceKnowsTheJournal(t *testing.T) {
	t.Parallel()
	h := startListeningHQ(t)
	second := secondHQ(t, h, h.ClientURL())
	n := startRegister(t, t.TempDir(), linked(r01, h.LeafURL(), enroll(t, h, r01, 1)))
	appendEntries(t, n.Journal(), 0, 20)
	requireAtHQ(t, second, JournalName{r01, 1}, 20)
	require.Equal(t, []JournalName{{r01, 1}}, second.Journals())
	require.Eventually(t, func() bool { return len(second.Links()) == 1 }, soon, 20*time.Millisecond)

	other := secondHQ(t, h, h.ClientURL())
	require.Equal(t, []JournalName{{r01, 1}}, other.Journals())
	requireAtHQ(t, other, JournalName{r01, 1}, 20)
}

// publicKey returns the user's public key of a credentials file.
func publicKey(t testing.TB, creds string) string {
	data, err := os.ReadFile(creds)
	require.NoError(t, err)
	token, err := jwt.ParseDecoratedJWT(data)
	require.NoError(t, err)
	user, err := jwt.DecodeUserClaims(token)
	require.NoError(t, err)
	return user.Subject
}

// requireRevocation links two registers and revokes one of them at the instance `at`. It checks
// that this one alone is cut off and stays out.
func requireRevocation(t testing.TB, at *HQNode, leaf func() string, enroll func(r events.Register) string, change ...func(*RegisterConfig)) (revoked *RegisterNode) {
	creds := enroll(r01)
	one := startRegister(t, t.TempDir(), append(change, linked(r01, leaf(), creds))...)
	two := startRegister(t, t.TempDir(), append(change, linked(r02, leaf(), enroll(r02)))...)
	up := func(n *RegisterNode) func() bool { return func() bool { return n.Link().Connected } }
	require.Eventually(t, up(one), soon, 10*time.Millisecond)
	require.Eventually(t, up(two), soon, 10*time.Millisecond)

	require.ErrorContains(t, at.Revoke(t.Context(), "nonsense"), "not the public key of a user")
	start := time.Now()
	user, err := at.EnrolledUser(r01)
	require.NoError(t, err)
	require.Equal(t, publicKey(t, creds), user)
	require.NoError(t, at.Revoke(t.Context(), user))
	require.Eventually(t, func() bool { return !one.Link().Connected }, soon, 10*time.Millisecond)
	t.Logf("the link was cut after %v", time.Since(start))
	require.Never(t, up(one), 2500*time.Millisecond, 50*time.Millisecond)
	require.True(t, two.Link().Connected)
	return one
}

func TestRevoke(t *testing.T) {
	t.Parallel()
	for _, shape := range []string{"by the node that runs the server", "by another instance"} {
		t.Run(shape, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			h, err := StartHQ(t.Context(), HQConfig{Dir: dir, Listen: "127.0.0.1:0", ListenLeaf: "127.0.0.1:0"})
			require.NoError(t, err)
			defer func() { require.NoError(t, h.Close()) }()
			at := h
			if strings.HasPrefix(shape, "by another") {
				at = secondHQ(t, h, h.ClientURL())
			}
			leaf := h.LeafURL()
			n := requireRevocation(t, at, h.LeafURL, func(r events.Register) string { return enroll(t, h, r, 1) })

			// The revocation survives a restart, also if the server's own copy of the account is
			// lost.
			for _, lose := range []bool{false, true} {
				require.NoError(t, h.Close())
				if lose {
					require.NoError(t, os.RemoveAll(filepath.Join(dir, accountsName)))
				}
				h = startHQ(t, dir, strings.TrimPrefix(leaf, "nats-leaf://"))
				require.Eventually(t, func() bool {
					return slices.ContainsFunc(h.Links(), func(l LeafLink) bool { return l.Register == r02 })
				}, soon, 20*time.Millisecond)
				require.Never(t, func() bool { return n.Link().Connected }, 2500*time.Millisecond, 50*time.Millisecond)
			}
		})
	}
}

func TestTwoRevocationsAtOnce(t *testing.T) {
	t.Parallel()
	h := startListeningHQ(t)
	second := secondHQ(t, h, h.ClientURL())
	var users []string
	for range 6 {
		_, public, err := newUser()
		require.NoError(t, err)
		users = append(users, public)
	}
	var wait sync.WaitGroup
	errs := make(chan error, len(users))
	for i, user := range users {
		wait.Go(func() { errs <- []*HQNode{h, second}[i%2].Revoke(t.Context(), user) })
	}
	wait.Wait()
	close(errs)
	for err := range errs {
		require.NoError(t, err)
	}
	public, err := h.keys.fleet.PublicKey()
	require.NoError(t, err)
	account, err := h.account(t.Context(), public)
	require.NoError(t, err)
	for _, user := range users {
		require.Contains(t, account.Revocations, user)
	}
}

// TestAddingARegisterTouchesOneStream shows that a new register adds a source to its own shard, and
// a member to the set. No other stream is made, changed or deleted. So the cost of one more
// register does not grow with the number of shards.
func TestAddingARegisterTouchesOneStream(t *testing.T) {
	t.Parallel()
	h := startHQ(t, t.TempDir(), "127.0.0.1:0")
	requireOneStreamTouched(t, h, h.LeafURL(), "")
}

func TestAddingARegisterTouchesOneStreamOfACluster(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	requireOneStreamTouched(t, c.hq(), c.leafs(), c.ca())
}

func requireOneStreamTouched(t *testing.T, h *HQNode, leaf, ca string) {
	const touched = "$JS.EVENT.ADVISORY.STREAM."
	full := everything(t, h)
	for i, r := range []events.Register{r01, r02, sameShard(t)} {
		data, err := h.Enroll(r)
		require.NoError(t, err)
		creds := filepath.Join(t.TempDir(), "creds")
		require.NoError(t, os.WriteFile(creds, data, 0o600))
		n := startRegister(t, t.TempDir(), linked(r, leaf, creds), func(c *RegisterConfig) { c.CA = ca })
		require.Eventually(t, func() bool { return n.Link().Connected }, soon, 10*time.Millisecond)
		appendTo(t, n, r, 1, func(uint64) string { return ulid.Make().String() })
		var heard []*nats.Subscription
		for _, action := range []string{"CREATED", "UPDATED", "DELETED"} {
			sub, err := full.SubscribeSync(touched + action + ".>")
			require.NoError(t, err)
			heard = append(heard, sub)
		}
		require.NoError(t, full.Flush())
		before := everyStream(t, h.js)
		require.NoError(t, h.AddJournal(t.Context(), r, 1))
		requireAtHQ(t, h, JournalName{r, 1}, 1)
		after := everyStream(t, h.js)

		// Collect the messages up to the last change, which the test makes itself.
		last := fmt.Sprintf("LAST_%d", i)
		_, err = h.js.CreateStream(t.Context(), jetstream.StreamConfig{Name: last, Subjects: []string{"last." + last}})
		require.NoError(t, err)
		m, err := heard[0].NextMsg(soon)
		require.NoError(t, err)
		require.Equal(t, touched+"CREATED."+last, m.Subject, "the first that was made")
		m, err = heard[1].NextMsg(soon)
		require.NoError(t, err)
		require.Equal(t, touched+"UPDATED."+shardOf(r), m.Subject)
		for _, sub := range heard {
			pending, _, err := sub.Pending()
			require.NoError(t, err)
			require.Zero(t, pending, "of %s", sub.Subject)
			require.NoError(t, sub.Unsubscribe())
		}
		require.Len(t, after, len(before))
		for name, was := range before {
			is := after[name]
			switch name {
			case shardOf(r):
				require.Len(t, is.config.Sources, len(was.config.Sources)+1)
				require.Equal(t, was.entries+1, is.entries)
			case fleetStream:
				require.Equal(t, was.config, is.config)
				require.Equal(t, was.entries+1, is.entries, "a member of the set")
			default:
				require.Equal(t, was, is, "%s", name)
			}
		}
	}
}
