package embedded

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nkeys"

	"github.com/posnode/posnode/events"
)

// The fleet is a set that only grows. Its members are the journals that HQ receives and the
// credentials that are revoked. Each member is a subject of the stream FLEET, so two instances that
// add at the same time add two members. The shards' sources and the account's revocations are made
// from the set. An instance that has changed them reads the set again afterwards. If two instances
// change them at once, the older view may be applied last; its instance then sees that and repairs
// it. If an instance dies in between, the next start or another instance's watch repairs it.

const (
	fleetStream    = "FLEET"
	journalMember  = "fleet.journal." // <register>.<epoch>
	revokedMember  = "fleet.revoked." // <user's public key>.<Unix seconds>; credentials signed until then are void
	fleetMembers   = "fleet.>"
	reconcileTries = 100 // tries against other instances that change the same stream at the same time
)

func fleetConfig(replicas int) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name:              fleetStream,
		Description:       "the journals that head office receives, and the credentials that are revoked",
		Subjects:          []string{fleetMembers},
		Retention:         jetstream.LimitsPolicy,
		Storage:           jetstream.FileStorage,
		Replicas:          replicas,
		MaxMsgs:           -1,
		MaxBytes:          -1,
		MaxMsgsPerSubject: 1,
		MaxMsgSize:        1 << 10,
		Discard:           jetstream.DiscardOld,
		Duplicates:        2 * time.Minute,
		DenyDelete:        true,
		DenyPurge:         true,
	}
}

func memberOf(j JournalName) string {
	return journalMember + j.Register.String() + "." + strconv.Itoa(j.Epoch)
}

// memberJournal is the inverse of memberOf.
func memberJournal(subject string) (JournalName, error) {
	name, epoch, _ := strings.Cut(strings.TrimPrefix(subject, journalMember), ".")
	r, err := events.ParseRegister(name)
	if err != nil {
		return JournalName{}, fmt.Errorf("member %s: %w", subject, err)
	}
	n, err := strconv.Atoi(epoch)
	if err = errors.Join(err, validEpoch(n)); err != nil {
		return JournalName{}, fmt.Errorf("member %s: %w", subject, err)
	}
	return JournalName{Register: r, Epoch: n}, nil
}

// memberRevoked reads a revoked user from a member: the user's public key, and the time up to which
// its credentials are void.
func memberRevoked(subject string) (user string, until time.Time, err error) {
	user, at, _ := strings.Cut(strings.TrimPrefix(subject, revokedMember), ".")
	if !nkeys.IsValidPublicUserKey(user) {
		return "", time.Time{}, fmt.Errorf("member %s: not the public key of a user", subject)
	}
	seconds, err := strconv.ParseInt(at, 10, 64)
	if err != nil {
		return "", time.Time{}, fmt.Errorf("member %s: %w", subject, err)
	}
	return user, time.Unix(seconds, 0), nil
}

// Malformed returns the members of the fleet that head office cannot read, in order. Head office
// ignores them, so that no stored member keeps it from starting.
func (h *HQNode) Malformed(ctx context.Context) ([]string, error) {
	members, err := h.members(ctx, strings.TrimSuffix(fleetMembers, ">"))
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(members, func(m string) bool {
		var err error
		switch {
		case strings.HasPrefix(m, journalMember):
			_, err = memberJournal(m)
		case strings.HasPrefix(m, revokedMember):
			_, _, err = memberRevoked(m)
		default:
			return false
		}
		return err == nil
	}), nil
}

// members returns the subjects under prefix that are in the set.
func (h *HQNode) members(ctx context.Context, prefix string) ([]string, error) {
	info, err := h.fleet.Info(ctx, jetstream.WithSubjectFilter(prefix+">"))
	if err != nil {
		return nil, fmt.Errorf("read the fleet: %w", err)
	}
	return slices.Sorted(maps.Keys(info.State.Subjects)), nil
}

// join adds a member to the set. Adding it again changes nothing.
func (h *HQNode) join(ctx context.Context, member string) error {
	if _, err := h.js.Publish(ctx, member, nil, jetstream.WithExpectStream(fleetStream)); err != nil {
		return fmt.Errorf("add %s to the fleet: %w", member, err)
	}
	return nil
}

// openFleet opens the set and the shards, makes them if they are new, and brings their settings up
// to date.
func (h *HQNode) openFleet(ctx context.Context) (err error) {
	if h.fleet, err = h.js.CreateOrUpdateStream(ctx, fleetConfig(h.cfg.replicas())); err != nil {
		return fmt.Errorf("open the fleet: %w", err)
	}
	for _, shard := range h.Shards() {
		if err := h.openShard(ctx, shard); err != nil {
			return fmt.Errorf("open shard %s: %w", shard, err)
		}
	}
	return nil
}

func (h *HQNode) openShard(ctx context.Context, shard string) error {
	stream, err := h.js.Stream(ctx, shard)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		stream, err = h.js.CreateStream(ctx, shardConfig(shard, h.cfg.replicas(), nil))
	}
	if errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) { // another instance has just made it and added sources
		stream, err = h.js.Stream(ctx, shard)
	}
	if err != nil {
		return err
	}
	known, err := h.learn(ctx)
	if err != nil {
		return err
	}
	// A store of a version before the set has its journals in the shards alone.
	for _, s := range stream.CachedInfo().Config.Sources {
		j, err := sourceJournal(s)
		if err != nil {
			return err
		}
		if !slices.Contains(known, j) {
			if err := h.join(ctx, memberOf(j)); err != nil {
				return err
			}
		}
	}
	cfg := stream.CachedInfo().Config
	if want := shardConfig(shard, h.cfg.replicas(), cfg.Sources); cfg.Replicas != want.Replicas || cfg.Duplicates != want.Duplicates {
		if _, err := h.js.UpdateStream(ctx, want); err != nil {
			return err
		}
	}
	return h.reconcile(ctx, shard)
}

// learn reads the journals from the set.
func (h *HQNode) learn(ctx context.Context) ([]JournalName, error) {
	members, err := h.members(ctx, journalMember)
	if err != nil {
		return nil, err
	}
	var known []JournalName
	for _, m := range members {
		if j, err := memberJournal(m); err == nil { // else Malformed names it
			known = append(known, j)
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, j := range known {
		h.journals[sourceName(j)] = j
	}
	return known, nil
}

// AddJournal makes HQ receive a journal from its first entry. It changes nothing if HQ does so
// already. The register need not be reachable, or have begun the journal: HQ goes on trying.
func (h *HQNode) AddJournal(ctx context.Context, r events.Register, epoch int) error {
	j := JournalName{r, epoch}
	if err := errors.Join(r.Validate(), validEpoch(epoch)); err != nil {
		return fmt.Errorf("add journal: %w", err)
	}
	h.mu.Lock()
	h.journals[sourceName(j)] = j // before its first entry can arrive
	h.mu.Unlock()
	// If we died here, the journal is not added. The caller has no answer and asks again.
	if err := h.join(ctx, memberOf(j)); err != nil {
		return fmt.Errorf("add journal %s: %w", j, err)
	}
	// If we died here, the journal is in the set and has no source. Any instance makes that.
	if err := h.reconcile(ctx, shardOf(r)); err != nil {
		return fmt.Errorf("add journal %s: %w", j, err)
	}
	return nil
}

// addingEvery is the pause before HQ tries an unreached register again. A try is cheap, because the
// server itself answers that nobody listens.
const addingEvery = time.Second

// keepAdding makes the missing sources of journals until ctx ends: their registers could not be
// reached before. Each register is tried by itself, so a slow one delays no other.
func (h *HQNode) keepAdding(ctx context.Context) {
	var trying sync.WaitGroup
	defer trying.Wait()
	tick := time.NewTicker(addingEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for _, shard := range h.waitingShards() {
			unreached, err := h.unreachedOf(ctx, shard)
			if err != nil && ctx.Err() == nil {
				h.log.Warn("journals could not be added", "shard", shard, "error", err)
			}
			for _, j := range unreached {
				trying.Go(func() { h.tryAgain(ctx, shard, j) })
			}
		}
	}
}

// waitingShards returns the shards of the journals in h.unreached.
func (h *HQNode) waitingShards() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	shards := map[string]bool{}
	for j := range h.unreached {
		shards[shardOf(j.Register)] = true
	}
	return slices.Sorted(maps.Keys(shards))
}

// unreachedOf returns the journals of a shard to try again now, and marks each as being tried.
// Journals that another instance has added meanwhile are not among them.
func (h *HQNode) unreachedOf(ctx context.Context, shard string) (again []JournalName, err error) {
	missing, _, err := h.missing(ctx, shard)
	if err != nil {
		return nil, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for j, trying := range h.unreached {
		switch {
		case shardOf(j.Register) != shard || trying:
		case !slices.Contains(missing, j):
			delete(h.unreached, j)
		default:
			h.unreached[j] = true
			again = append(again, j)
		}
	}
	return again, nil
}

// tryAgain adds a journal if its register, which was not reached before, answers now.
func (h *HQNode) tryAgain(ctx context.Context, shard string, j JournalName) {
	reached := h.fromTheBeginning(ctx, []JournalName{j})
	if len(reached) == 0 {
		return
	}
	if err := h.reconcile(ctx, shard); err != nil && ctx.Err() == nil {
		h.log.Warn("a journal could not be added", "journal", j, "error", err)
	}
}

// reconcile makes a source for each journal in the set that has none yet, if its register can be
// reached. It ends when a reading of the set after its own last change shows nothing to do. It does
// not wait for registers that were not reached before: keepAdding does that.
func (h *HQNode) reconcile(ctx context.Context, shard string) error {
	adding := &h.adding[shardIndex(shard)]
	adding.Lock()
	defer adding.Unlock()
	for range reconcileTries {
		missing, sources, err := h.missing(ctx, shard)
		if err != nil {
			return err
		}
		h.mu.Lock()
		missing = slices.DeleteFunc(missing, func(j JournalName) bool { _, unreached := h.unreached[j]; return unreached })
		h.mu.Unlock()
		ready := h.fromTheBeginning(ctx, missing)
		if len(ready) == 0 {
			return nil
		}
		for _, j := range ready {
			sources = append(sources, source(j))
		}
		if _, err := h.js.UpdateStream(ctx, shardConfig(shard, h.cfg.replicas(), sources)); err != nil {
			return err
		}
	}
	return fmt.Errorf("%s: other instances of head office were changing it %d times", shard, reconcileTries)
}

// missing returns the journals in the set for which a shard has no source, and the sources that it
// has.
func (h *HQNode) missing(ctx context.Context, shard string) ([]JournalName, []*jetstream.StreamSource, error) {
	known, err := h.learn(ctx)
	if err != nil {
		return nil, nil, err
	}
	stream, err := h.js.Stream(ctx, shard)
	if err != nil {
		return nil, nil, err
	}
	sources := stream.CachedInfo().Config.Sources
	return missingSources(sources, shard, known), sources, nil
}

// fromTheBeginning resets the consumers of journals that are new here to their first entry. It
// returns the journals of the registers that answered. Another store of head office may have moved
// such a consumer forward. Without the reset a source would begin there and never receive the
// entries before.
func (h *HQNode) fromTheBeginning(ctx context.Context, missing []JournalName) []JournalName {
	var (
		all   sync.WaitGroup
		mu    sync.Mutex
		ready []JournalName
	)
	for _, j := range missing {
		all.Go(func() {
			err := h.resetConsumer(ctx, j, 1)
			h.noteReached(j, err == nil)
			if err != nil {
				h.log.Debug("a journal that is new here has to wait", "journal", j, "error", err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			ready = append(ready, j)
		})
	}
	all.Wait()
	return ready
}

// noteReached records whether the register of a journal without a source was reached.
func (h *HQNode) noteReached(j JournalName, reached bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if delete(h.unreached, j); !reached {
		h.unreached[j] = false
	}
}

// missingSources returns the known journals of a shard for which it has no source.
func missingSources(sources []*jetstream.StreamSource, shard string, known []JournalName) (missing []JournalName) {
	has := map[JournalName]bool{}
	for _, s := range sources {
		if j, err := sourceJournal(s); err == nil {
			has[j] = true
		}
	}
	for _, j := range known {
		if shardOf(j.Register) == shard && !has[j] {
			missing = append(missing, j)
		}
	}
	return missing
}

// MaxEpoch bounds the epochs of a register. A register can announce any epoch, and each costs head
// office a source, or a try every second to make one.
const MaxEpoch = 1000

func validEpoch(epoch int) error {
	if epoch < 1 || epoch > MaxEpoch {
		return fmt.Errorf("epoch %d: epochs count from 1 to %d", epoch, MaxEpoch)
	}
	return nil
}

// Journals lists the journals that HQ receives, in order.
func (h *HQNode) Journals() []JournalName {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.SortedFunc(maps.Values(h.journals), func(a, b JournalName) int {
		if a.Register != b.Register {
			return compare(a.Register.String(), b.Register.String())
		}
		return a.Epoch - b.Epoch
	})
}

func compare(a, b string) int {
	if a < b {
		return -1
	}
	return 1
}

// Shards names HQ's streams, for Receive.
func (h *HQNode) Shards() []string { return shardNames() }

func shardNames() []string {
	var names []string
	for i := range shards {
		names = append(names, shardPrefix+strconv.Itoa(i))
	}
	return names
}

// shardIndex returns the number of a shard.
func shardIndex(shard string) int { return slices.Index(shardNames(), shard) }

// shardOf returns the shard of all journals of a register. It depends on the register's name alone.
func shardOf(r events.Register) string {
	sum := fnv.New32a()
	_, _ = sum.Write([]byte(r.String()))
	return shardPrefix + strconv.Itoa(int(sum.Sum32()%shards))
}

// sourceName returns the first field of the header Nats-Stream-Source that HQ's server writes on
// each entry of j: stream, hash of the register's API prefix, hash of the consumer. HQ's server
// makes it from its own configuration, so a register cannot choose it. The hash is the server's
// (getHash in its events.go); TestReplication fails if it ever changes.
func sourceName(j JournalName) string {
	return journalName(j.Epoch) + ":" + serverHash(apiPrefix(j.Register)) + ":C=" + serverHash(hqConsumer)
}

func serverHash(s string) string {
	const digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	sum := sha256.Sum256([]byte(s))
	out := make([]byte, 8)
	for i := range out {
		out[i] = digits[int(sum[i])%len(digits)]
	}
	return string(out)
}
