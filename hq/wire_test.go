package hq

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"github.com/posnode/posnode/embedded"
	"github.com/posnode/posnode/events"
)

// soon bounds what comes by itself.
const soon = 3 * time.Minute

// wire is a register's node in the hands of someone who has its credentials: the entries are written by the
// test, and the node's journal and its right to repair carry what the test wants.
type wire struct {
	*writer
	o    *office
	node *embedded.RegisterNode
}

// newWire links a register to an office and has the office receive its journal.
func newWire(o *office, w *writer) *wire {
	o.leaf = strings.TrimPrefix(o.LeafURL(), "nats-leaf://") // the same after a restart
	dir := o.t.TempDir()
	raw, err := Enroll(o.dir, w.register)
	require.NoError(o.t, err)
	require.NoError(o.t, os.WriteFile(filepath.Join(dir, "creds"), raw, 0o600))
	node, err := embedded.StartRegister(o.t.Context(), embedded.RegisterConfig{
		Dir: dir, Register: w.register, Epoch: 1, HQ: o.LeafURL(), Creds: filepath.Join(dir, "creds"), Logger: slog.New(slog.DiscardHandler),
	})
	require.NoError(o.t, err)
	o.t.Cleanup(func() { require.NoError(o.t, node.Close()) })
	linked := &wire{w, o, node}
	linked.announce(events.Head{Epoch: 1})
	return linked
}

// announce says how far the journal goes, and returns what head office says to that.
func (w *wire) announce(head events.Head) (ack events.Acknowledgement) {
	w.t.Helper()
	question, err := json.Marshal(events.Announcement{Head: head, Time: w.o.at})
	require.NoError(w.t, err)
	require.Eventually(w.t, func() bool {
		ctx, cancel := context.WithTimeout(w.t.Context(), time.Second)
		defer cancel()
		answer, err := w.node.Ask(ctx, "announce", question)
		if err == nil {
			err = json.Unmarshal(answer, &ack)
		}
		return err == nil
	}, soon, 20*time.Millisecond)
	return ack
}

// journal writes bodies to the node's journal, as its next entries whatever they are.
func (w *wire) journal(entries ...embedded.Received) {
	w.t.Helper()
	last, err := w.node.Journal().Last(w.t.Context())
	require.NoError(w.t, err)
	for _, r := range entries {
		m := r.Message
		m.ID = ulid.Make().String() // what is replayed under its own is dropped on the way
		m.Sequence, m.Subject = last+1, fmt.Sprintf("pos.%s.%s.sale.line_added", w.register.Store, w.register.ID)
		require.NoError(w.t, w.node.Journal().Append(w.t.Context(), last, m))
		last++
	}
}

// repair sends a body once more as the entry in a place.
func (w *wire) repair(sequence uint64, r embedded.Received) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), soon)
	defer cancel()
	require.NoError(w.t, w.node.Repair(ctx, 1, []events.Message{{Sequence: sequence, Body: r.Message.Body}}))
}

// verified waits until head office vouches for the journal up to a head.
func (w *wire) verified(sequence uint64) {
	w.t.Helper()
	var head events.Head
	require.Eventually(w.t, func() bool {
		var err error
		head, err = w.o.db.head(w.t.Context(), embedded.JournalName{Register: w.register, Epoch: 1})
		require.NoError(w.t, err)
		return head.Sequence >= sequence
	}, soon, 10*time.Millisecond, "%v", head)
	require.Equal(w.t, sequence, head.Sequence)
}

// found waits until the open findings are so many, and returns them as "kind place: got".
func (o *office) found(n int) (all []string) {
	o.t.Helper()
	require.Eventually(o.t, func() bool {
		open, err := o.db.findings(o.t.Context(), `WHERE resolved = '' ORDER BY sequence, kind`)
		require.NoError(o.t, err)
		all = nil
		for _, f := range open {
			all = append(all, fmt.Sprintf("%s %d: %s", f.Kind, f.Sequence, f.Got))
		}
		return len(all) == n
	}, soon, 10*time.Millisecond, "want %d", n)
	return all
}

func (o *office) concluded() (n int) {
	days, err := o.Days(o.t.Context())
	require.NoError(o.t, err)
	for _, d := range days {
		n += d.Concluded
	}
	return n
}

// An old, valid entry that a register sends again counts once, keeps nothing behind it from going on, and shows for what it is: by its
// own journal, which is sent again or has it in a new place; as a repair, in its place or another; and the same of another register's.
func TestReplayedOnTheWire(t *testing.T) {
	t.Parallel()
	o := newOfficeAt(t, "127.0.0.1:0")
	w := newWire(o, newWriter(t))
	other := newWriter(t)
	other.register = till2
	all, others := w.sales(3), other.sales(1) // 17 entries, and 7
	w.journal(all[:10]...)
	w.verified(10)

	// Its consumer is set back, so that the journal is delivered from the first entry.
	_, err := w.node.Conn().Request("$JS.API.CONSUMER.RESET.JOURNAL_1.hq", []byte(`{"seq":1}`), 10*time.Second)
	require.NoError(t, err)
	w.journal(all[10:12]...)
	w.verified(12)
	last, err := o.node.Last(t.Context(), o.node.ShardOf(w.register))
	require.NoError(t, err)
	require.EqualValues(t, 12, last, "head office's server has dropped what it had")

	// The journal has an old entry in a new place. What is behind it is held, and the true one comes another way.
	w.journal(all[3])
	w.journal(all[13:]...)
	require.Equal(t, []string{fmt.Sprintf("forged 13: entry 4 of s001-r01-1, %s", events.Hash(all[3].Message.Body)), "gap 13: "}, o.found(2))
	require.Eventually(t, func() bool { return o.concluded() == 3 }, soon, 10*time.Millisecond, "what is behind it counts")
	w.repair(13, all[12])
	w.verified(17)
	o.found(0)

	// As repairs, in their own places and in the next.
	w.repair(4, all[3])
	w.repair(17, all[16])
	w.repair(18, all[3])
	require.Equal(t, []string{fmt.Sprintf("forged 18: entry 4 of s001-r01-1, %s", events.Hash(all[3].Message.Body))}, o.found(1))
	journals, err := o.Journals(t.Context())
	require.NoError(t, err)
	require.Equal(t, 2, journals[0].Repeated)

	// Another register's, as one's own.
	w.journal(others[4])
	w.repair(19, others[5])
	require.Equal(t, []string{
		fmt.Sprintf("forged 18: entry 4 of s001-r01-1, %s", events.Hash(all[3].Message.Body)),
		fmt.Sprintf("forged 18: entry 5 of s001-r02-1, %s", events.Hash(others[4].Message.Body)),
		fmt.Sprintf("forged 19: entry 6 of s001-r02-1, %s", events.Hash(others[5].Message.Body)),
	}, o.found(3))
	next := w.write(&events.ModeChanged{From: events.Online, To: events.Offline, Cause: "timeout"}, "")
	w.repair(18, next)
	w.journal(w.write(&events.ModeChanged{From: events.Offline, To: events.Online, Cause: "reconnected"}, ""))
	w.verified(19)
	o.found(0)

	require.Equal(t, 3, o.concluded())
	journals, err = o.Journals(t.Context())
	require.NoError(t, err)
	require.Len(t, journals, 1, "and nothing of it is the other's")
	require.Equal(t, w.head, journals[0].Head)
}

// Someone with a register's credentials, and not its key, is first with an entry for its next place: the register's own is
// verified all the same, also where it can only be told from the other when a gap is filled.
func TestForgedFirstOnTheWire(t *testing.T) {
	t.Parallel()
	o := newOfficeAt(t, "127.0.0.1:0")
	w := newWire(o, newWriter(t))
	evil := newWriter(t)
	all, forged := w.sales(4), evil.sales(4) // 22 entries
	w.journal(all[:10]...)
	w.verified(10)
	w.repair(11, forged[10])
	require.Contains(t, o.found(1)[0], "chain 11: ")
	w.journal(all[10:14]...)
	w.verified(14)
	require.Equal(t, []string{"fork 11: " + events.Hash(forged[10].Message.Body).String()}, o.found(1), "it stays a finding")

	w.repair(18, forged[17])
	o.found(2)               // and the gap before it
	w.repair(20, all[19])    // held behind it
	w.repair(18, all[17])    // nobody can tell yet
	w.repair(19, all[18])    //
	w.journal(all[14:17]...) // now everybody can, and head office asks for it once more
	w.verified(17)
	ack := w.announce(events.Head{Epoch: 1, Sequence: 17, Hash: events.Hash(all[16].Message.Body)})
	require.Nil(t, ack.Frozen)
	require.Equal(t, []events.Range{{Epoch: 1, From: 18, To: 18}}, ack.Missing)
	w.journal(all[17:]...)
	w.verified(22)
	for _, finding := range o.found(2) {
		require.Contains(t, finding, "fork 1")
	}
	require.Equal(t, 4, o.concluded())
}

// A register that sends without end what it was asked for or not fills its share and no more. The operator sees that, its
// journal arrives as before, and what another has to send once more is taken.
func TestShareOfRepairs(t *testing.T) {
	t.Parallel()
	o := newOfficeAt(t, "127.0.0.1:0")
	require.NoError(t, o.Close())
	o.share = 1 << 20
	o.reopen()
	hostile := newWire(o, newWriter(t))
	other := newWriter(t)
	other.register = till2
	honest := newWire(o, other)
	refused := func() (err error) {
		require.Eventually(t, func() bool { // after a restart the link takes a moment
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			err = hostile.node.Repair(ctx, 1, []events.Message{{Sequence: 1, Body: make([]byte, 200_000)}})
			return err != nil && strings.Contains(err.Error(), embedded.RepairsFull)
		}, soon, 10*time.Millisecond, "%v", &err)
		return err
	}
	for n := range 4 { // one or two more, by how far they are read
		hostile.repair(uint64(n+2), embedded.Received{Message: events.Message{Body: make([]byte, 200_000)}})
	}
	require.Error(t, refused())
	stored := func() (bytes int64) {
		last, err := o.node.Last(t.Context(), embedded.Repairs)
		require.NoError(t, err)
		require.NoError(t, o.node.Stored(t.Context(), embedded.Repairs, 1, last, func(r embedded.Received) error {
			bytes += int64(len(r.Message.Body))
			return nil
		}))
		return bytes
	}
	filled := stored()
	require.LessOrEqual(t, filled, o.share+200_000)

	all := honest.sales(2)
	honest.journal(all[:5]...)
	honest.journal(embedded.Received{Message: events.Message{Body: []byte("no entry")}})
	honest.journal(all[6:]...)
	honest.verified(5)
	require.Eventually(t, func() bool { return len(honest.announce(events.Head{Epoch: 1}).Missing) == 1 }, soon, 10*time.Millisecond)
	honest.repair(6, all[5])
	honest.verified(12)

	of := hostile.sales(1)
	hostile.journal(of[:3]...)
	hostile.journal(embedded.Received{Message: events.Message{Body: []byte("no entry")}})
	hostile.journal(of[4:]...)
	hostile.verified(3)
	ack := hostile.announce(events.Head{Epoch: 1})
	require.Empty(t, ack.Missing, "what would not be taken is not asked for")
	require.Contains(t, fmt.Sprint(ack.Findings), "repairs_full", "the register is told")

	id := func() int64 {
		found, err := o.db.findings(t.Context(), `WHERE kind = 'repairs_full' AND register = 's001-r01'`)
		require.NoError(t, err)
		require.Len(t, found, 1)
		require.Equal(t, "at most 1048576 bytes of entries sent once more", found[0].Want)
		return found[0].ID
	}
	require.NoError(t, o.Accept(t.Context(), id(), "ann", "a broken till"))
	for _, suffix := range []string{"", "-wal", "-shm"} { // counted anew, from the stream
		require.NoError(t, o.Close())
		require.NoError(t, os.RemoveAll(filepath.Join(o.dir, "hq.db"+suffix)))
	}
	o.reopen()
	require.Error(t, refused())
	require.Equal(t, filled+int64(len(all[5].Message.Body)), stored())
	id()
	status, err := o.Registers(t.Context())
	require.NoError(t, err)
	require.Len(t, status, 2)
}
