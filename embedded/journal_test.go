package embedded

import (
	"errors"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/posnode/posnode/events"
)

func TestAppendAndRead(t *testing.T) {
	j := startRegister(t, t.TempDir()).Journal()
	last, err := j.Last(t.Context())
	require.NoError(t, err)
	require.Zero(t, last)
	requireEntries(t, j, 0)

	appendEntries(t, j, 0, 100)
	requireEntries(t, j, 100)

	want := entry(101)
	require.NoError(t, j.Append(t.Context(), 100, want))
	got, err := j.Get(t.Context(), 101)
	require.NoError(t, err)
	require.Equal(t, want, got)

	var read []events.Message
	require.NoError(t, j.Read(t.Context(), 101, func(m events.Message) error { read = append(read, m); return nil }))
	require.Equal(t, []events.Message{want}, read)

	require.NoError(t, j.Read(t.Context(), 102, func(events.Message) error { return errors.New("nothing is there") }))
	_, err = j.Get(t.Context(), 102)
	require.ErrorContains(t, err, "ends at 101")
}

func TestReadEndsWithTheError(t *testing.T) {
	j := startRegister(t, t.TempDir()).Journal()
	appendEntries(t, j, 0, 10)
	want := errors.New("enough")
	seen := 0
	err := j.Read(t.Context(), 3, func(m events.Message) error {
		if seen++; m.Sequence == 5 {
			return want
		}
		return nil
	})
	require.Equal(t, want, err, "unchanged: it is the caller's own")
	require.Equal(t, 3, seen)
}

func TestReadLeavesNothingBehind(t *testing.T) {
	j := startRegister(t, t.TempDir()).Journal()
	appendEntries(t, j, 0, 3)
	for range 5 {
		requireEntries(t, j, 3)
	}
	info, err := j.stream.Info(t.Context())
	require.NoError(t, err)
	require.Equal(t, 1, info.State.Consumers, "only HQ's consumer stays")
}

func TestAppendRefuses(t *testing.T) {
	j := startRegister(t, t.TempDir()).Journal()
	appendEntries(t, j, 0, 5)
	stored, err := j.Get(t.Context(), 5)
	require.NoError(t, err)

	again := entry(6)
	again.ID = stored.ID
	large := sizedEntry(6, events.MaxBody+1)
	wrong := entry(9)
	nameless := entry(6)
	nameless.ID = ""
	for name, c := range map[string]struct {
		after uint64
		m     events.Message
		want  error
	}{
		"someone was first":             {4, entry(5), events.ErrConflict},
		"journal is shorter":            {6, entry(7), events.ErrConflict},
		"id is stored already":          {5, again, events.ErrConflict},
		"too large":                     {5, large, ErrTooLarge},
		"entry with another number":     {5, wrong, nil},
		"no id, so no safe replication": {5, nameless, nil},
	} {
		t.Run(name, func(t *testing.T) {
			err := j.Append(t.Context(), c.after, c.m)
			require.Error(t, err)
			require.ErrorContains(t, err, "append pos.s001.r01.sale.concluded after "+strconv.FormatUint(c.after, 10))
			if c.want != nil {
				require.ErrorIs(t, err, c.want)
			}
			requireEntries(t, j, 5)
		})
	}
	require.NoError(t, j.Append(t.Context(), 5, sizedEntry(6, events.MaxBody)), "the largest there may be")
}

func TestJournalCannotShrink(t *testing.T) {
	n := startRegister(t, t.TempDir())
	appendEntries(t, n.Journal(), 0, 5)
	require.Error(t, n.Journal().stream.Purge(t.Context()))
	require.Error(t, n.Journal().stream.DeleteMsg(t.Context(), 3))
	requireEntries(t, n.Journal(), 5)
}

func TestSecondProcessIsRefused(t *testing.T) {
	dir := t.TempDir()
	cmd, out := startChild(t, 0, false, dir)
	require.True(t, out.Scan(), "the child has its node")

	_, err := StartRegister(t.Context(), RegisterConfig{Dir: dir, Register: r01, Epoch: 1})
	require.ErrorIs(t, err, ErrInUse)
	require.ErrorContains(t, err, "data directory is in use by process "+strconv.Itoa(cmd.Process.Pid))
	_, err = OpenCopy(t.Context(), dir)
	require.ErrorIs(t, err, ErrInUse)

	require.NoError(t, cmd.Process.Kill())
	_ = cmd.Wait()
	startRegister(t, dir) // the lock ended with the process
}

func TestSecondNodeOfOneProcessIsRefused(t *testing.T) {
	dir := t.TempDir()
	n := startRegister(t, dir)
	_, err := StartRegister(t.Context(), RegisterConfig{Dir: dir, Register: r01, Epoch: 1})
	require.ErrorIs(t, err, ErrInUse)
	appendEntries(t, n.Journal(), 0, 1)
	require.NoError(t, n.Close())
	require.NoError(t, n.Close(), "closing twice is once")
	requireEntries(t, startRegister(t, dir).Journal(), 1)
}

func TestReopenAfterKill(t *testing.T) {
	dir := t.TempDir()
	acked := uint64(0)
	for range 3 {
		cmd, out := startChild(t, 0, false, dir)
		for stop := acked + 150; acked < stop && out.Scan(); {
			n, err := strconv.ParseUint(strings.TrimPrefix(out.Text(), "ack "), 10, 64)
			require.NoError(t, err)
			acked = n
		}
		require.NoError(t, cmd.Process.Kill())
		for out.Scan() { // the output that it wrote before it died
			n, err := strconv.ParseUint(strings.TrimPrefix(out.Text(), "ack "), 10, 64)
			require.NoError(t, err)
			acked = n
		}
		_ = cmd.Wait()

		n := startRegister(t, dir)
		last, err := n.Journal().Last(t.Context())
		require.NoError(t, err)
		require.GreaterOrEqual(t, last, acked, "every acknowledged entry is there")
		require.LessOrEqual(t, last, acked+1, "and at most the one that was on its way")
		requireEntries(t, n.Journal(), last)
		appendEntries(t, n.Journal(), last, last+1)
		acked = last + 1
		require.NoError(t, n.Close())
	}
}

func TestNewEpochClosesTheOldOne(t *testing.T) {
	dir := t.TempDir()
	n := startRegister(t, dir)
	appendEntries(t, n.Journal(), 0, 3)
	require.NoError(t, n.Close())

	n = startRegister(t, dir, func(c *RegisterConfig) { c.Epoch = 2 })
	requireEntries(t, n.Journal(), 0)
	appendEntries(t, n.Journal(), 0, 2)
	old, err := openJournal(t.Context(), n.nc, n.Journal().js, r01, 1)
	require.NoError(t, err)
	requireEntries(t, old, 3)
	_, err = n.Journal().js.Publish(t.Context(), "closed.JOURNAL_1", nil)
	require.Error(t, err, "sealed")
	require.NoError(t, n.Close())

	_, err = StartRegister(t.Context(), RegisterConfig{Dir: dir, Register: r01, Epoch: 1})
	require.ErrorContains(t, err, "already in epoch 2")
	_, err = StartRegister(t.Context(), RegisterConfig{Dir: dir, Register: r02, Epoch: 2})
	require.ErrorContains(t, err, "belongs to register s001-r01")

	requireEntries(t, startRegister(t, dir, func(c *RegisterConfig) { c.Epoch = 2 }).Journal(), 2)
}

func TestReaderOnTheLoopbackListenerCannotWrite(t *testing.T) {
	n := startRegister(t, t.TempDir(), func(c *RegisterConfig) { c.Listen = "127.0.0.1:0" })
	appendEntries(t, n.Journal(), 0, 3)
	nc, err := nats.Connect(n.ClientURL(), nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}))
	require.NoError(t, err)
	defer nc.Close()
	live, err := nc.SubscribeSync("pos.s001.r01.>")
	require.NoError(t, err)
	js, err := jetstream.New(nc)
	require.NoError(t, err)
	stream, err := js.Stream(t.Context(), "JOURNAL_1")
	require.NoError(t, err)
	m, err := stream.GetMsg(t.Context(), 2)
	require.NoError(t, err)
	require.Contains(t, string(m.Data), entryMark(2))

	require.NoError(t, nc.Publish("pos.s001.r01.sale.concluded", []byte("not by the till")))
	require.NoError(t, nc.Publish("up.s001-r01.1", []byte("not by the till")))
	require.NoError(t, nc.Publish("$JS.API.CONSUMER.DELETE.JOURNAL_1.hq", nil))
	require.NoError(t, nc.Flush())
	appendEntries(t, n.Journal(), 3, 4)
	requireEntries(t, n.Journal(), 4)
	heard, err := live.NextMsgWithContext(t.Context())
	require.NoError(t, err)
	require.Contains(t, string(heard.Data), entryMark(4))
	_, err = n.AckedByHQ(t.Context())
	require.NoError(t, err, "HQ's consumer is still there")
}

func TestConfigIsChecked(t *testing.T) {
	for name, change := range map[string]func(*RegisterConfig){
		"register":  func(c *RegisterConfig) { c.Register.ID = "R 1" },
		"epoch":     func(c *RegisterConfig) { c.Epoch = 0 },
		"directory": func(c *RegisterConfig) { c.Dir = "" },
		"listen":    func(c *RegisterConfig) { c.Listen = "here" },
		"port":      func(c *RegisterConfig) { c.Listen = "127.0.0.1:99999" },
		"hq":        func(c *RegisterConfig) { c.HQ = "somewhere" },
	} {
		t.Run(name, func(t *testing.T) {
			cfg := RegisterConfig{Dir: t.TempDir(), Register: r01, Epoch: 1}
			change(&cfg)
			_, err := StartRegister(t.Context(), cfg)
			require.Error(t, err)
		})
	}
	file := t.TempDir() + "/file"
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	_, err := StartRegister(t.Context(), RegisterConfig{Dir: file, Register: r01, Epoch: 1})
	require.Error(t, err)
}
