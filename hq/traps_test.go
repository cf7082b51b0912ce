package hq_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"github.com/posnode/posnode/embedded"
	"github.com/posnode/posnode/events"
	"github.com/posnode/posnode/hq"
	"github.com/posnode/posnode/ledger"
	"github.com/posnode/posnode/projections"
	"github.com/posnode/posnode/register"
)

// sell concludes a sale of one line.
func (f *fleet) sell(n int) {
	f.t.Helper()
	for range n {
		f.do(100, `{"product":"TEA"}`)
		f.do(206, ``)
	}
}

// marked waits until the register keeps head office's mark of its last entry.
func (f *fleet) marked() {
	f.t.Helper()
	f.arrived()
	require.Eventually(f.t, func() bool {
		s, err := f.till.Status(f.t.Context())
		require.NoError(f.t, err)
		return s.HQ.Marked == s.Head.Sequence
	}, soon, 50*time.Millisecond)
}

func (f *fleet) openFindings() (kinds []string) {
	found, err := f.hq.Findings(f.t.Context())
	require.NoError(f.t, err)
	for _, one := range found {
		if one.Resolved == "" {
			kinds = append(kinds, one.Kind)
		}
	}
	return kinds
}

func (f *fleet) status() hq.RegisterStatus {
	all, err := f.hq.Registers(f.t.Context())
	require.NoError(f.t, err)
	require.Len(f.t, all, 1)
	return all[0]
}

// frozen waits until the register refuses to sell, and head office knows why.
func (f *fleet) frozen(kind string) {
	f.t.Helper()
	f.frozenWithoutSelling()
	_, err := f.till.Do(f.t.Context(), register.Request{Operation: 100, Key: events.CommandKey(ulid.Make().String()), Body: []byte(`{"product":"TEA"}`), Staff: "7"})
	refusal, refused := errors.AsType[*ledger.Refusal](err)
	require.True(f.t, refused, "%v", err)
	require.Equal(f.t, "register_frozen", refusal.Code)
	require.Equal(f.t, kind, f.till.Damage().Kind)
	require.Equal(f.t, kind, f.status().Frozen.Kind)
}

// concluded counts the sales that head office has in its books.
func (f *fleet) concluded() (n int) {
	days, err := f.hq.Days(f.t.Context())
	require.NoError(f.t, err)
	for _, d := range days {
		n += d.Concluded
	}
	return n
}

// stored are all different entries that head office holds the bytes of, by place and hash.
func (f *fleet) stored() map[string]bool {
	all := map[string]bool{}
	require.NoError(f.t, f.hq.Received(f.t.Context(), func(m events.Message) { all[fmt.Sprint(m.Sequence, events.Hash(m.Body))] = true }))
	return all
}

// storedOnDisk is what a head office that is closed holds in its streams, by place and hash: of a copy of them, without
// a link over which anything could come.
func (f *fleet) storedOnDisk() map[string]bool {
	dir := f.t.TempDir()
	copyDir(f.t, filepath.Join(f.dir, "hq"), dir)
	node, err := embedded.StartHQ(f.t.Context(), embedded.HQConfig{Dir: dir, Logger: f.log})
	require.NoError(f.t, err)
	defer func() { require.NoError(f.t, node.Close()) }()
	all := map[string]bool{}
	for _, shard := range node.Shards() {
		last, err := node.Last(f.t.Context(), shard)
		require.NoError(f.t, err)
		require.NoError(f.t, node.Stored(f.t.Context(), shard, 1, last, func(r embedded.Received) error {
			all[fmt.Sprint(r.Message.Sequence, events.Hash(r.Message.Body))] = true
			return nil
		}))
	}
	return all
}

func copyDir(t *testing.T, from, to string) {
	require.NoError(t, os.RemoveAll(to))
	require.NoError(t, os.CopyFS(to, os.DirFS(from)))
}

func (f *fleet) closeTill() { require.NoError(f.t, f.till.Close()) }

// journalOf are the places and hashes of what the till has itself.
func (f *fleet) journalOf() (all []string) {
	require.NoError(f.t, f.till.Journal().Read(f.t.Context(), 1, func(m events.Message) error {
		all = append(all, fmt.Sprint(m.Sequence, events.Hash(m.Body)))
		return nil
	}))
	return all
}

// A disk image of yesterday is put back, and the till sells before it has contact: it
// freezes at first contact, nothing is overwritten, and what it sold on the wrong branch is kept.
func TestRolledBack(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		sells int // on the wrong branch
		kind  string
	}{
		"at once":                      {0, events.FrozenRolledBack},
		"having sold less than before": {1, events.FrozenRolledBack},
		"having sold more than before": {9, events.FrozenForked},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFleet(t)
			till, image := filepath.Join(f.dir, "till"), filepath.Join(f.dir, "image")
			f.sell(3)
			f.marked()
			f.closeTill()
			copyDir(t, till, image)
			f.openTill()
			f.sell(4)
			f.marked()
			head, sold := f.till.View().Head, f.concluded()
			f.closeTill()
			copyDir(t, image, till)

			f.openTillAlone()
			f.sell(c.sells)
			wrong := f.journalOf()
			f.closeTill()
			f.openTill()
			f.frozen(c.kind)
			require.Eventually(t, func() bool {
				stored := f.stored()
				for _, place := range wrong {
					if !stored[place] {
						return false
					}
				}
				return true
			}, soon, 100*time.Millisecond, "the bytes of the wrong branch are kept")
			journals, err := f.hq.Journals(t.Context())
			require.NoError(t, err)
			require.Equal(t, head, journals[0].Head, "nothing is overwritten")
			require.Equal(t, sold, f.concluded(), "and the wrong branch does not count")
			if c.sells > 0 {
				require.Eventually(t, func() bool { return strings.Contains(fmt.Sprint(f.openFindings()), hq.KindFork) }, soon, 50*time.Millisecond)
			}
			f.closeTill()
			f.openTillAlone()
			require.True(t, register.Frozen(f.till.Damage()), "it stays frozen, without contact too")
		})
	}
}

// A till that was wiped and made again under its name is another one.
func TestWiped(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	f.sell(3)
	f.marked()
	sold := f.concluded()
	f.closeTill()
	require.NoError(t, os.RemoveAll(filepath.Join(f.dir, "till")))
	f.openTill()
	f.frozenWithoutSelling()
	require.Contains(t, f.openFindings(), hq.KindRollback)
	require.Equal(t, sold, f.concluded())
}

func (f *fleet) frozenWithoutSelling() {
	f.t.Helper()
	require.Eventually(f.t, func() bool { return register.Frozen(f.till.Damage()) && f.status().Frozen != nil }, soon, 50*time.Millisecond)
}

// Two tills with one identity: found although neither has sold anything that the other has not.
func TestCloned(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	f.sell(2)
	f.marked()
	f.closeTill()
	copyDir(t, filepath.Join(f.dir, "till"), filepath.Join(f.dir, "clone"))
	f.openTill()
	clone, err := register.Open(t.Context(), f.tillConfig("clone", f.hq.LeafURL()))
	require.NoError(t, err)
	defer func() { require.NoError(t, clone.Close()) }()
	require.Eventually(t, func() bool { return f.status().Frozen != nil }, soon, 100*time.Millisecond)
	// By their announcements, or by the first entry that each wrote when it found head office: whichever comes first.
	require.Contains(t, []string{events.FrozenCloned, events.FrozenForked}, f.status().Frozen.Kind)
	require.NotEmpty(t, f.openFindings())
	require.Eventually(t, func() bool { return register.Frozen(f.till.Damage()) && register.Frozen(clone.Damage()) }, soon, 100*time.Millisecond)
}

// hqBlocks are the files of the shard that holds the fleet's register.
func (f *fleet) hqShard() (dir string, block string) {
	blocks, err := filepath.Glob(filepath.Join(f.dir, "hq", "jetstream", "*", "streams", "JOURNALS_*", "msgs", "1.blk"))
	require.NoError(f.t, err)
	size := int64(0)
	for _, b := range blocks {
		info, err := os.Stat(b)
		require.NoError(f.t, err)
		if info.Size() > size {
			block, size = b, info.Size()
		}
	}
	require.NotEmpty(f.t, block)
	return filepath.Dir(filepath.Dir(block)), block
}

// Head office's stream loses its end: with its resume point or without, with its
// database or without, everything is there again, is counted once, and the loss was named.
func TestHQLosesItsEnd(t *testing.T) {
	t.Parallel()
	for _, resume := range []bool{true, false} {
		for _, database := range []bool{true, false} {
			t.Run(fmt.Sprintf("sources.db %t, hq.db %t", resume, database), func(t *testing.T) {
				t.Parallel()
				f := newFleet(t)
				f.sell(20)
				f.marked()
				want, sold := f.journalOf(), f.concluded()
				require.NoError(t, f.hq.Close())
				holds := f.storedOnDisk()
				for _, place := range want {
					require.True(t, holds[place], "%s", place)
				}
				stream, block := f.hqShard()
				info, err := os.Stat(block)
				require.NoError(t, err)
				require.NoError(t, os.Truncate(block, info.Size()/2))
				require.NoError(t, os.Remove(filepath.Join(filepath.Dir(block), "index.db")))
				if !resume {
					require.NoError(t, os.Remove(filepath.Join(stream, "sources.db")))
				}
				if !database {
					for _, suffix := range []string{"", "-wal", "-shm"} {
						require.NoError(t, errors.Join(ignoreMissing(os.Remove(filepath.Join(f.dir, "hq", "hq.db"+suffix)))))
					}
				}
				left := f.storedOnDisk()
				require.NotEmpty(t, left)
				require.Less(t, len(left), len(want), "something is lost")
				f.openHQ()
				f.sell(1)
				f.arrived()
				require.Eventually(t, func() bool {
					stored := f.stored()
					for _, place := range want {
						if !stored[place] {
							return false
						}
					}
					return true
				}, soon, 100*time.Millisecond)
				require.Equal(t, sold+1, f.concluded())
				require.Eventually(t, func() bool { return len(f.openFindings()) == 0 }, soon, 100*time.Millisecond)
				found, err := f.hq.Findings(t.Context())
				require.NoError(t, err)
				if resume {
					require.NotEmpty(t, found, "the loss was named")
				}
			})
		}
	}
}

func ignoreMissing(err error) error {
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

// One bit flips at head office. JetStream says nothing; the entry is missed, asked for, and there again.
func TestBitFlipsAtHQ(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	f.sell(20)
	f.marked()
	want := f.journalOf()
	require.NoError(t, f.hq.Close())
	_, block := f.hqShard()
	raw, err := os.ReadFile(block)
	require.NoError(t, err)
	at := len(raw)/2 + bytes.Index(raw[len(raw)/2:], []byte(`"sale.line_added.v1"`))
	raw[at+3] ^= 1
	require.NoError(t, os.WriteFile(block, raw, 0o600))
	f.openHQ()
	require.Eventually(t, func() bool {
		found, err := f.hq.Findings(t.Context())
		require.NoError(t, err)
		return len(found) == 1 && found[0].Kind == hq.KindLost && found[0].Resolved != ""
	}, soon, 100*time.Millisecond)
	stored := f.stored()
	for _, place := range want {
		require.True(t, stored[place])
	}
	require.Equal(t, 20, f.concluded())
}

// The last message of a shard cannot be read, and head office does not know it yet: the Retail Server answers
// all the same. The entry is missed as soon as its register is there, sent again, and held.
func TestLastOfAShardCannotBeRead(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	f.sell(5)
	f.marked()
	want, sold := f.journalOf(), f.concluded()
	f.closeTill() // before head office, so that nothing is written behind the last
	require.NoError(t, f.hq.Close())
	_, block := f.hqShard()
	raw, err := os.ReadFile(block)
	require.NoError(t, err)
	raw[bytes.LastIndex(raw, []byte(`"specversion"`))+3] ^= 1
	require.NoError(t, os.WriteFile(block, raw, 0o600))
	for _, suffix := range []string{"", "-wal", "-shm"} {
		require.NoError(t, ignoreMissing(os.Remove(filepath.Join(f.dir, "hq", "hq.db"+suffix))))
	}
	f.openHQ()
	other := f.hostile("r02")
	require.Eventually(t, func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := other.Ask(ctx, projections.HelloService, nil)
		return err == nil
	}, soon, 50*time.Millisecond, "the Retail Server answers")
	require.Equal(t, sold-1, f.concluded())

	f.openTill()
	require.Eventually(t, func() bool {
		stored := f.stored()
		for _, place := range want {
			if !stored[place] {
				return false
			}
		}
		return f.concluded() == sold && len(f.openFindings()) == 0
	}, soon, 100*time.Millisecond, "%v", f.openFindings())
	found, err := f.hq.Findings(t.Context())
	require.NoError(t, err)
	require.NotEmpty(t, found, "the loss was named")
	require.Equal(t, hq.KindHQBehind, found[0].Kind)
}

// What a register with valid credentials sends in place of true entries is quarantined, each
// for its reason, and what is behind goes on. What stands for another register never gets to it.
func TestForgedOnTheWire(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	f.sell(3)
	f.marked()
	var own []events.Message
	require.NoError(t, f.till.Journal().Read(t.Context(), 1, func(m events.Message) error { own = append(own, m); return nil }))
	last := own[len(own)-1].Sequence

	node := f.hostile("r02")
	send := func(sequence uint64, body []byte) {
		ctx, cancel := context.WithTimeout(t.Context(), soon)
		defer cancel()
		require.NoError(t, node.Repair(ctx, 1, []events.Message{{Sequence: sequence, Body: body}}))
	}
	send(1, []byte("no entry"))
	send(2, own[1].Body) // of the other register
	send(3, make([]byte, events.MaxBody+1))
	send(1<<62, []byte(`{"specversion":"1.0"}`))
	require.Eventually(t, func() bool {
		return fmt.Sprint(f.openFindings()) == fmt.Sprint([]string{hq.KindUndecodable, hq.KindForged, hq.KindOversized, hq.KindUndecodable})
	}, soon, 50*time.Millisecond, "%v", f.openFindings())
	f.sell(1)
	require.Eventually(t, func() bool {
		journals, err := f.hq.Journals(t.Context())
		require.NoError(t, err)
		return journals[0].Head == f.till.View().Head
	}, soon, 50*time.Millisecond)
	require.Greater(t, f.till.View().Head.Sequence, last)
	require.Equal(t, 4, f.concluded())
}

// hostile is a node with valid credentials that has no register on it: it sends and asks what the test wants.
func (f *fleet) hostile(id events.RegisterID) *embedded.RegisterNode {
	f.t.Helper()
	name := events.Register{Store: "s001", ID: id}
	dir := f.t.TempDir()
	raw, err := hq.Enroll(filepath.Join(f.dir, "hq"), name)
	require.NoError(f.t, err)
	require.NoError(f.t, os.WriteFile(filepath.Join(dir, "creds"), raw, 0o600))
	node, err := embedded.StartRegister(f.t.Context(), embedded.RegisterConfig{
		Dir: dir, Register: name, Epoch: 1, HQ: f.hq.LeafURL(), Creds: filepath.Join(dir, "creds"), Logger: f.log,
	})
	require.NoError(f.t, err)
	f.t.Cleanup(func() { require.NoError(f.t, node.Close()) })
	require.Eventually(f.t, func() bool { return node.Link().Connected }, soon, 10*time.Millisecond)
	return node
}

// sameShard is a register whose journal comes into the same stream of head office as another's.
func sameShard(as events.Register) events.RegisterID {
	shard := func(r events.Register) uint32 {
		sum := fnv.New32a()
		_, _ = sum.Write([]byte(r.String()))
		return sum.Sum32() % 4
	}
	for i := 2; ; i++ {
		if r := (events.Register{Store: as.Store, ID: events.RegisterID(fmt.Sprintf("r%02d", i))}); shard(r) == shard(as) {
			return r.ID
		}
	}
}

// What a register recorded has the message ids of what another sent before, by a forged message or a broken generator: head
// office's server drops it, as if it had it already. The gap is found and named, the register sends what was dropped
// once more, and both journals are whole, with nothing in them twice.
func TestCollidingMessageIDs(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	f.sell(3)
	f.marked()
	sent := f.till.View().Head.Sequence
	require.NoError(t, f.till.SetLink(false))
	f.sell(6)
	var ids []string // of what was not sent
	require.NoError(t, f.till.Journal().Read(t.Context(), sent+1, func(m events.Message) error { ids = append(ids, m.ID); return nil }))
	lost := []uint64{sent + 3, sent + 5, sent + 8} // the ids of these are the other's

	// The other sends the true entries of a register, under ids of the first.
	name := events.Register{Store: f.name.Store, ID: sameShard(f.name)}
	alone := f.tillConfig("alone", "")
	alone.Register, alone.Creds = name, ""
	source, err := register.Open(t.Context(), alone)
	require.NoError(t, err)
	own := f.till
	f.till = source
	f.bringReference()
	f.do(700, `{"staff":"7","pin":"1"}`)
	f.do(1050, ``)
	f.sell(2)
	f.till = own
	head := source.View().Head
	var messages []events.Message
	require.NoError(t, source.Journal().Read(t.Context(), 1, func(m events.Message) error { messages = append(messages, m); return nil }))
	require.NoError(t, source.Close())
	other := f.hostile(name.ID)
	for i, m := range messages {
		if i < len(lost) {
			m.ID = ids[lost[i]-sent-1]
		}
		require.NoError(t, other.Journal().Append(t.Context(), uint64(i), m))
	}
	question, err := json.Marshal(events.Announcement{Head: head, Time: time.Now(), Instance: "1"})
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	_, err = other.Ask(ctx, "announce", question)
	require.NoError(t, err)
	// whole is so when head office has verified a journal up to its end, and holds no entry more than once.
	whole := func(r events.Register, last uint64) bool {
		all, err := f.hq.Registers(t.Context())
		require.NoError(t, err)
		i := slices.IndexFunc(all, func(s hq.RegisterStatus) bool { return s.Register == r.String() })
		return i >= 0 && all[i].Verified == last && all[i].Received == last && len(all[i].Missing) == 0
	}
	require.Eventually(t, func() bool { return whole(name, head.Sequence) }, soon, 50*time.Millisecond, "the other's journal has come")

	require.NoError(t, f.till.SetLink(true))
	require.Eventually(t, func() bool {
		return whole(f.name, f.till.View().Head.Sequence) && len(f.openFindings()) == 0
	}, soon, 50*time.Millisecond)
	found, err := f.hq.Findings(t.Context())
	require.NoError(t, err)
	var named []uint64
	for _, gap := range found {
		require.Equal(t, []any{f.name.String(), hq.KindGap, gap.Through}, []any{gap.Register, gap.Kind, gap.Sequence})
		named = append(named, gap.Sequence)
	}
	require.ElementsMatch(t, lost, named, "what was dropped was missed, by name, and nothing else")
	stored := map[string]int{}
	require.NoError(t, f.hq.Received(t.Context(), func(m events.Message) { stored[string(m.Body)]++ }))
	for _, m := range messages {
		require.Equal(t, 1, stored[string(m.Body)], "entry %d of the other", m.Sequence)
	}
	require.NoError(t, f.till.Journal().Read(t.Context(), 1, func(m events.Message) error {
		require.Equal(t, 1, stored[string(m.Body)], "entry %d", m.Sequence)
		return nil
	}))
	require.True(t, whole(name, head.Sequence))
	require.Equal(t, 3+6+2, f.concluded())
	require.NoError(t, f.till.Check(t.Context()))
}

// A register that says nothing is known to be silent, and one that has come back is not.
func TestSilent(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	f.sell(1)
	f.marked()
	s := f.status()
	require.False(t, s.Silent)
	require.Equal(t, f.till.View().Head.Sequence, s.Verified)
	require.Equal(t, s.Verified, s.Received)
	require.Empty(t, s.Missing)
	require.Less(t, s.ClockDifference.Abs(), time.Minute)
	require.NoError(t, f.till.SetLink(false))
	require.Eventually(t, func() bool { return f.status().Silent }, time.Minute, 200*time.Millisecond, "within a minute")
	require.NoError(t, f.till.SetLink(true))
	require.Eventually(t, func() bool { return !f.status().Silent }, soon, 200*time.Millisecond)
}
