package hq

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/posnode/posnode/embedded"
	"github.com/posnode/posnode/events"
	"github.com/posnode/posnode/ledger"
)

// office is a head office that is fed by hand.
type office struct {
	*HQ
	t    *testing.T
	dir  string
	leaf string // where registers link to; "" for nowhere
	at   time.Time
	// share is what a register may send once more; 0 for the constant.
	share int64
}

func newOffice(t *testing.T) *office { return newOfficeAt(t, "") }

// newOfficeAt is one to which registers can link, where leaf is an address.
func newOfficeAt(t *testing.T, leaf string) *office {
	o := &office{t: t, dir: t.TempDir(), leaf: leaf, at: time.Date(2026, 3, 2, 20, 0, 0, 0, time.UTC)}
	o.reopen()
	t.Cleanup(func() { require.NoError(t, o.Close()) })
	return o
}

func (o *office) reopen() {
	var err error
	o.HQ, err = Open(o.t.Context(), Config{Dir: o.dir, ListenLeaf: o.leaf, share: o.share, Clock: func() time.Time { return o.at }, Logger: slog.New(slog.DiscardHandler)})
	require.NoError(o.t, err)
}

func (o *office) receive(batch ...embedded.Received) {
	o.t.Helper()
	require.NoError(o.t, o.db.take(o.t.Context(), batch, nil))
}

// announces is a register's word at a time of its own.
func (o *office) announces(w *writer, at time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	c := &contact{spoke: map[string]time.Time{}}
	c.hear(events.Announcement{Head: w.head, Time: at}, o.at)
	o.heard[w.register] = c
}

// day writes a shift of a date with sales, and its close.
func (w *writer) day(date string, number, sales int) (all []embedded.Received) {
	shift := events.ShiftID(fmt.Sprintf("%s-%d-s%d", w.register, w.head.Epoch, number))
	all = append(all, w.write(&events.ShiftOpened{Shift: shift, Number: number, Staff: "7", BusinessDate: date, Currency: "GBP", Digits: 2}, shift))
	for range sales {
		f := &events.SaleConcluded{}
		f.Terms.Currency, f.Sales, f.After.Tax = "GBP", 1000, 167
		all = append(all, w.write(f, shift))
	}
	return append(all, w.write(&events.ShiftClosed{InShift: events.InShift{Shift: shift}, Z: number}, shift))
}

// A register that was inactivated sells no more: nobody waits for another day of it. Activated again it is
// waited for as before.
func TestCertificateOfAnInactivatedRegister(t *testing.T) {
	o, w := newOffice(t), newWriter(t)
	obstacles := func(date string) int {
		_, obstacles, err := o.Certify(t.Context(), w.register, date)
		require.NoError(t, err)
		return len(obstacles)
	}
	out := func() bool {
		all, err := o.Registers(t.Context())
		require.NoError(t, err)
		require.Len(t, all, 1)
		return all[0].Inactivated
	}
	o.receive(w.activation())
	o.receive(w.day("2026-03-02", 1, 2)...)
	o.announces(w, o.at)
	require.Equal(t, 1, obstacles("2026-03-02"), "it may open another shift")
	inactivated := w.write(&events.DeviceInactivated{}, "")
	left := w.write(&events.ModeChanged{From: events.Online, To: events.Offline, Cause: "link_down"}, "")
	o.receive(left)
	require.Equal(t, 2, obstacles("2026-03-02"), "what it said last is missing")
	require.False(t, out())
	o.receive(inactivated)
	require.True(t, out())
	require.Zero(t, obstacles("2026-03-02"))
	require.Zero(t, obstacles("2026-03-20"))
	o.receive(w.write(&events.DeviceActivated{User: "U"}, ""))
	require.False(t, out())
	require.Equal(t, 1, obstacles("2026-03-21"))
}

// A day is certified when all of it is here, verified, closed and over, and the certificate needs nothing but the public key.
func TestCertificate(t *testing.T) {
	o, w := newOffice(t), newWriter(t)
	obstacles := func(date string) (kinds []string) {
		c, obstacles, err := o.Certify(t.Context(), w.register, date)
		require.NoError(t, err)
		require.Equal(t, c == nil, len(obstacles) > 0)
		for _, o := range obstacles {
			kinds = append(kinds, o.Kind)
		}
		return kinds
	}
	require.Equal(t, []string{"silent"}, obstacles("2026-03-02"), "nothing ever came")
	begin := w.activation()
	first := w.day("2026-03-02", 1, 3) // entries 2..6
	o.receive(begin)
	o.receive(first[:4]...)
	o.announces(w, o.at)
	require.Equal(t, []string{"open_shift", "gap"}, obstacles("2026-03-02"))
	o.receive(first[4])
	require.Equal(t, []string{"silent"}, obstacles("2026-03-02"), "another shift may be opened yet")
	o.announces(w, o.at.Add(24*time.Hour))
	require.Empty(t, obstacles("2026-03-02"))

	c, _, err := o.Certify(t.Context(), w.register, "2026-03-02")
	require.NoError(t, err)
	require.Equal(t, []events.Covered{{Range: events.Range{Epoch: 1, From: 1, To: 6}, Hash: w.head.Hash}}, c.Covered)
	read, err := OpenCertificate(c.Note, o.Key())
	require.NoError(t, err)
	require.Equal(t, &Certificate{
		Register: "s001-r01", Date: "2026-03-02", Covered: c.Covered, Sums: []events.PeriodSums{{Currency: "GBP", Transactions: 3, Sales: 3000, Tax: 501}},
	}, read)
	_, err = OpenCertificate(strings.Replace(c.Note, "3000", "2000", 1), o.Key())
	require.Error(t, err)
	_, err = OpenCertificate(c.Note, w.key)
	require.Error(t, err)

	// A gap of a later day is in nobody's way before it, and a day without a shift has no entries.
	third := w.day("2026-03-04", 2, 2) // entries 7..10
	o.receive(third[0], third[2], third[3])
	require.Empty(t, obstacles("2026-03-03"))
	empty, _, err := o.Certify(t.Context(), w.register, "2026-03-03")
	require.NoError(t, err)
	require.Empty(t, empty.Covered)
	o.announces(w, o.at.AddDate(0, 0, 5))
	require.Equal(t, []string{"open_shift", "gap", "gap"}, obstacles("2026-03-04"))
	o.receive(third[1])
	require.Empty(t, obstacles("2026-03-04"))
	last, _, err := o.Certify(t.Context(), w.register, "2026-03-04")
	require.NoError(t, err)
	require.Equal(t, events.Range{Epoch: 1, From: 7, To: 10}, last.Covered[0].Range, "days lie end to end")

	// It is said once, and the same ever after, also by a head office that lost its database.
	require.NoError(t, o.Close())
	require.NoError(t, os.Remove(filepath.Join(o.dir, "hq.db")))
	o.reopen()
	again, _, err := o.Certify(t.Context(), w.register, "2026-03-02")
	require.NoError(t, err)
	require.Equal(t, c.Note, again.Note)
}

// A period is closed when all registers are complete, refused with the names of those that are not, and closed once.
func TestClosePeriod(t *testing.T) {
	o, one, two := newOffice(t), newWriter(t), newWriter(t)
	two.register.ID = "r02"
	refused := func(from, to string, leftOut ...events.LeftOut) *ledger.Refusal {
		_, err := o.ClosePeriod(t.Context(), from, to, leftOut)
		var r *ledger.Refusal
		require.ErrorAs(t, err, &r)
		return r
	}
	o.receive(one.activation())
	o.receive(one.day("2026-03-02", 1, 3)...)
	o.receive(two.activation())
	o.receive(two.day("2026-03-02", 1, 2)...)
	o.announces(one, o.at.AddDate(0, 0, 2))
	r := refused("2026-03-01", "2026-03-03")
	require.Equal(t, "period_incomplete", r.Code)
	require.Contains(t, r.Why, "s001-r02 on 2026-03-02")
	require.NotContains(t, r.Why, "s001-r01")
	require.Equal(t, "invalid_parameter", refused("2026-03-03", "2026-03-01").Code)
	require.Equal(t, "invalid_parameter", refused("2026-03-00", "2026-03-01").Code)

	closed, err := o.ClosePeriod(t.Context(), "2026-02-28", "2026-02-28", []events.LeftOut{{Of: two.register, Why: "destroyed in a fire"}})
	require.NoError(t, err)
	require.Equal(t, 1, closed.Certificates)
	require.Len(t, closed.LeftOut, 1)

	o.announces(two, o.at.AddDate(0, 0, 2))
	closed, err = o.ClosePeriod(t.Context(), "2026-03-01", "2026-03-03", nil)
	require.NoError(t, err)
	require.Equal(t, 6, closed.Certificates)
	require.Equal(t, []events.PeriodTotals{
		{Of: one.register, Sums: []events.PeriodSums{{Currency: "GBP", Transactions: 3, Sales: 3000, Tax: 501}}},
		{Of: two.register, Sums: []events.PeriodSums{{Currency: "GBP", Transactions: 2, Sales: 2000, Tax: 334}}},
	}, closed.Registers)
	again, err := o.ClosePeriod(t.Context(), "2026-03-01", "2026-03-03", nil)
	require.NoError(t, err)
	require.Equal(t, closed, again)
	require.Equal(t, "period_overlaps", refused("2026-03-03", "2026-03-04").Code)
}

// A person can accept what was found, but not that something is missing, and it stays accepted when the database is made again.
func TestAccept(t *testing.T) {
	o, w, evil := newOffice(t), newWriter(t), newWriter(t)
	other := evil.sales(2)
	o.receive(w.activation())
	day := w.day("2026-03-02", 1, 3)
	fifth := day[3] // entry 5, as other[4] is
	o.receive(day...)
	o.receive(other[4])
	o.receive(w.write(&events.ShiftClosed{}, ""), w.write(&events.ShiftClosed{}, ""))
	w.write(&events.ShiftClosed{}, "")
	o.receive(w.write(&events.ShiftClosed{}, ""))
	found, err := o.Findings(t.Context())
	require.NoError(t, err)
	require.Len(t, found, 2)
	require.Equal(t, KindFork, found[0].Kind)
	require.Equal(t, KindGap, found[1].Kind)
	var r *ledger.Refusal
	require.ErrorAs(t, o.Accept(t.Context(), found[1].ID, "ann", "never mind"), &r)
	require.Equal(t, "finding_not_acceptable", r.Code)
	require.ErrorAs(t, o.Accept(t.Context(), 99, "ann", "never mind"), &r)
	require.Equal(t, "finding_unknown", r.Code)
	require.ErrorAs(t, o.Accept(t.Context(), found[0].ID, "ann", " "), &r)
	require.NoError(t, o.Accept(t.Context(), found[0].ID, "ann", "a test image"))
	require.NoError(t, o.Accept(t.Context(), found[0].ID, "ann", "again"))

	require.NoError(t, o.Close())
	require.NoError(t, os.Remove(filepath.Join(o.dir, "hq.db")))
	o.reopen()
	o.receive(fifth)
	o.receive(other[4])
	found, err = o.Findings(t.Context())
	require.NoError(t, err)
	for _, f := range found {
		if f.Kind == KindFork {
			require.Equal(t, "accepted", f.How)
		}
	}
	require.Contains(t, fmt.Sprint(found), KindFork)
}

// TestAcceptedStaysAccepted: what was accepted does not open again when the same is found again, and
// another finding beside it is not accepted with it.
func TestAcceptedStaysAccepted(t *testing.T) {
	o, w, evil := newOffice(t), newWriter(t), newWriter(t)
	other := evil.sales(2)
	o.receive(w.activation())
	o.receive(w.day("2026-03-02", 1, 3)...)
	o.receive(other[4])
	found := func() (open, accepted []string) {
		all, err := o.Findings(t.Context())
		require.NoError(t, err)
		for _, f := range all {
			place := fmt.Sprintf("%s %d", f.Kind, f.Sequence)
			if f.Resolved == "" {
				require.Empty(t, f.How)
				open = append(open, place)
			} else {
				require.Equal(t, "accepted", f.How)
				accepted = append(accepted, place)
			}
		}
		return open, accepted
	}
	all, err := o.Findings(t.Context())
	require.NoError(t, err)
	require.Len(t, all, 1)
	require.NoError(t, o.Accept(t.Context(), all[0].ID, "ann", "a test image"))
	for range 2 {
		// The same is found again, at another place of the shard.
		again := other[4]
		again.ShardSequence += 100
		o.receive(again)
		require.NoError(t, note(t.Context(), o.db.db, all[0]))
		open, accepted := found()
		require.Empty(t, open)
		require.Equal(t, []string{"fork 5"}, accepted)
	}
	third := newWriter(t).sales(2)
	o.receive(third[4])
	open, accepted := found()
	require.Equal(t, []string{"fork 5"}, open, "another entry in the same place is another finding")
	require.Equal(t, []string{"fork 5"}, accepted)
}
