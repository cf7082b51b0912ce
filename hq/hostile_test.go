package hq

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nkeys"
	"github.com/stretchr/testify/require"

	"github.com/posnode/posnode/embedded"
	"github.com/posnode/posnode/events"
	"github.com/posnode/posnode/ledger"
	"github.com/posnode/posnode/projections"
)

var (
	till1 = events.Register{Store: "s001", ID: "r01"}
	till2 = events.Register{Store: "s001", ID: "r02"}
)

// userKey is the public key of a new user.
func userKey(t *testing.T) string {
	kp, err := nkeys.CreateUser()
	require.NoError(t, err)
	public, err := kp.PublicKey()
	require.NoError(t, err)
	return public
}

// asks is a question for activation with a fresh code.
func (o *office) asks(r events.Register, request events.CommandKey, user string) events.AskActivate {
	code, err := o.NewCode(o.t.Context(), r, time.Hour)
	require.NoError(o.t, err)
	return events.AskActivate{Request: request, Code: code.Code, User: user, Key: "k", NextKey: "n", Head: events.Head{Epoch: 1, Sequence: 1}}
}

// Registers choose the keys of their commands: two that choose the same are two.
func TestSameRequestOfTwoRegisters(t *testing.T) {
	o := newOffice(t)
	for _, r := range []events.Register{till1, till2} {
		a, refusal, err := o.activate(t.Context(), r, o.asks(r, "activate-1", userKey(t)))
		require.NoError(t, err)
		require.Nil(t, refusal)
		require.Equal(t, 1, a.Epoch)
	}
	first, _, err := o.inactivate(t.Context(), till1, events.AskInactivate{Request: "inactivate-1"})
	require.NoError(t, err)
	second, _, err := o.inactivate(t.Context(), till2, events.AskInactivate{Request: "inactivate-1"})
	require.NoError(t, err)
	require.Greater(t, second.Recorded, first.Recorded, "the second is shut out as well")
	again, _, err := o.inactivate(t.Context(), till1, events.AskInactivate{Request: "inactivate-1"})
	require.NoError(t, err)
	require.Equal(t, first, again)
}

// A register that signs on with a key that is known already is not let in, and nothing that
// head office cannot take in reaches its own journal: it would stop every instance for ever.
func TestKnownUserStopsNobody(t *testing.T) {
	o := newOffice(t)
	user := userKey(t)
	_, _, err := o.activate(t.Context(), till1, o.asks(till1, "1", user))
	require.NoError(t, err)
	last, err := o.node.Own().Last(t.Context())
	require.NoError(t, err)
	_, _, err = o.activate(t.Context(), till1, o.asks(till1, "2", user))
	require.Error(t, err)
	now, err := o.node.Own().Last(t.Context())
	require.NoError(t, err)
	require.Equal(t, last+1, now, "only the code was recorded")
	_, refusal, err := o.activate(t.Context(), till2, o.asks(till2, "3", userKey(t)))
	require.NoError(t, err)
	require.Nil(t, refusal)
}

// An amount with which nobody can reckon is not reserved.
func TestReservationOfAnyAmount(t *testing.T) {
	o := newOffice(t)
	want := events.Reservation{ID: "1", Transaction: "t", Kind: events.ReserveOrder, Key: "O1", Amount: math.MaxInt64}
	_, _, err := o.reserve(t.Context(), till1, want)
	require.Error(t, err)
	want.Amount, want.Own = 0, math.MinInt64+1
	_, _, err = o.reserve(t.Context(), till1, want)
	require.Error(t, err)
}

// What a register that is shut out had reserved is free.
func TestRevokedRegisterReservesNothing(t *testing.T) {
	o := newOffice(t)
	_, _, err := o.activate(t.Context(), till1, o.asks(till1, "1", userKey(t)))
	require.NoError(t, err)
	order := func(r events.Register) *events.NotGranted {
		_, refusal, err := o.reserve(t.Context(), r, events.Reservation{ID: "1", Transaction: events.TransactionID(r.String()), Kind: events.ReserveOrder, Key: "O1"})
		require.NoError(t, err)
		return refusal
	}
	require.Nil(t, order(till1))
	require.Equal(t, "order_reserved", order(till2).Code)
	require.NoError(t, o.RevokeRegister(t.Context(), till1, "stolen"))
	require.Nil(t, order(till2))
}

// An epoch that is over is confirmed no further.
func TestQuarantinedIsNotConfirmed(t *testing.T) {
	o, w := newOffice(t), newWriter(t)
	o.receive(w.sales(1)...)
	ask := events.AskConfirm{Head: w.head}
	frozen, err := json.Marshal(events.Announcement{Head: w.head, Time: o.at, Frozen: &events.Freeze{Kind: events.FrozenCloned, Why: "two tills"}})
	require.NoError(t, err)
	_, err = o.acknowledge(t.Context(), w.register, frozen)
	require.NoError(t, err)
	_, refusal, err := o.confirm(t.Context(), w.register, ask)
	require.NoError(t, err)
	require.Equal(t, "register_frozen", refusal.Code)
}

// An epoch that is over moves nothing at head office, whatever the number of the transaction says and also where it
// was granted before; the next one does.
func TestQuarantinedReservesNothing(t *testing.T) {
	o := newOffice(t)
	reserve := func(id, transaction string) *events.NotGranted {
		_, refusal, err := o.reserve(t.Context(), till1, events.Reservation{ID: id, Transaction: events.TransactionID(transaction), Kind: events.ReserveOrder, Key: "O" + id})
		require.NoError(t, err)
		return refusal
	}
	recorded := func() uint64 {
		last, err := o.node.Own().Last(t.Context())
		require.NoError(t, err)
		return last
	}
	_, _, err := o.activate(t.Context(), till1, o.asks(till1, "1", userKey(t)))
	require.NoError(t, err)
	require.Nil(t, reserve("1", "s001-r01-1-1"))
	question, err := json.Marshal(events.Announcement{Head: events.Head{Epoch: 1, Sequence: 1}, Time: o.at, Frozen: &events.Freeze{Kind: events.FrozenCloned, Why: "two tills"}})
	require.NoError(t, err)
	_, err = o.acknowledge(t.Context(), till1, question)
	require.NoError(t, err)
	before := recorded()
	for id, transaction := range map[string]string{"1": "s001-r01-1-1", "2": "s001-r01-1-2", "3": "s001-r01-2-1", "4": "s001-r02-1-1", "5": "?"} {
		refusal := reserve(id, transaction)
		require.NotNil(t, refusal, transaction)
		require.Equal(t, "register_frozen", refusal.Code)
		require.Contains(t, refusal.Why, "two tills")
		require.Contains(t, refusal.Instead, "operation 707")
	}
	require.Equal(t, before, recorded(), "nothing is recorded")

	again := o.asks(till1, "2", userKey(t))
	again.Frozen = true
	a, refusal, err := o.activate(t.Context(), till1, again)
	require.NoError(t, err)
	require.Nil(t, refusal)
	require.Equal(t, 2, a.Epoch)
	require.Nil(t, reserve("6", "s001-r01-2-1"))
	require.Equal(t, "register_frozen", reserve("7", "s001-r01-1-3").Code, "the one before is still over")
}

// A gap that was filled stands in the way of no confirmation.
func TestConfirmedAfterGap(t *testing.T) {
	o, w := newOffice(t), newWriter(t)
	all := w.sales(4)
	o.receive(all[:5]...)
	o.receive(all[10:]...)
	o.receive(all[5:10]...)
	c, refusal, err := o.confirm(t.Context(), w.register, events.AskConfirm{Head: w.head})
	require.NoError(t, err)
	require.Nil(t, refusal)
	require.Equal(t, w.head, c.Head)
}

// begins is the first entry of the next epoch.
func (w *writer) begins(previous uint64, carried events.Numbers) embedded.Received {
	record, err := json.Marshal(events.ActivationRecord{
		Register: w.register, Epoch: w.head.Epoch + 1, Key: w.key, Time: w.at.Format(time.RFC3339),
		Previous: &events.Head{Epoch: w.head.Epoch, Sequence: previous, Hash: w.head.Hash}, Carried: &events.Carried{Numbers: carried},
	})
	require.NoError(w.t, err)
	return w.write(&events.RegisterActivated{Record: string(record)}, "")
}

func (b books) numbers(w *writer) events.Numbers {
	tx, err := b.db.BeginTx(b.t.Context(), nil)
	require.NoError(b.t, err)
	defer tx.Rollback()
	n, err := numbersOf(b.t.Context(), tx, w.register)
	require.NoError(b.t, err)
	return n
}

// What a register has sold in all its epochs is the same in whatever order they arrive.
func TestNumbersInAnyOrder(t *testing.T) {
	w := newWriter(t)
	first := w.sales(4)
	carried := events.Numbers{Shifts: 1, Receipts: 4, Grand: []events.GrandTotal{{Currency: "GBP", Transactions: 4, Sales: 4080, Tax: 680}}}
	second := []embedded.Received{w.begins(w.head.Sequence, carried), w.write(&events.ShiftOpened{Shift: "s2", Number: 2, BusinessDate: "2026-03-02"}, "s2")}
	concluded := &events.SaleConcluded{}
	concluded.Transaction, concluded.Terms.Currency, concluded.Sales, concluded.After.Tax = "x", "GBP", 1020, 170
	second = append(second, w.write(concluded, "s2"))
	want := events.Numbers{Shifts: 2, Receipts: 5, Grand: []events.GrandTotal{{Currency: "GBP", Transactions: 5, Sales: 5100, Tax: 850}}}

	inOrder := newBooks(t)
	inOrder.receive(first...)
	inOrder.receive(second...)
	require.Equal(t, want, inOrder.numbers(w))
	late := newBooks(t)
	late.receive(second...)
	late.receive(first...)
	require.Equal(t, want, late.numbers(w))
}

// However absurd what a register writes, what others write is read.
func TestAbsurdEntriesStopNobody(t *testing.T) {
	w, b := newWriter(t), newBooks(t)
	b.receive(w.sales(1)...)
	b.receive(w.begins(math.MaxUint64, events.Numbers{}))
	b.receive(w.write(&events.DeviceActivated{User: "U", Recorded: math.MaxUint64}, ""))
	require.Equal(t, w.head, b.headOf(w))
}

// An amount that no document comes to is a finding, and in nobody's sums.
func TestAbsurdAmounts(t *testing.T) {
	w, b := newWriter(t), newBooks(t)
	b.receive(w.sales(2)...)
	before, shift := b.days(), events.ShiftID(fmt.Sprintf("%s-%d-s1", w.register, w.head.Epoch))
	require.NotEmpty(t, before)
	for _, amount := range []events.Money{math.MaxInt64, math.MinInt64, maxSum + 1} {
		b.receive(w.write(&events.SaleConcluded{Sales: amount}, shift))
		b.receive(w.write(&events.SaleConcluded{Payments: []events.Payment{{Amount: amount}}}, shift))
	}
	require.Len(t, b.open(), 6)
	require.Equal(t, before, b.days())
	require.Equal(t, w.head, b.headOf(w), "the chain goes on")
}

// However many digits a register claims for its currency, an amount is written in a few characters.
func TestAbsurdDigits(t *testing.T) {
	w, b := newWriter(t), newBooks(t)
	b.receive(w.sales(1)...)
	shift := events.ShiftID(fmt.Sprintf("%s-%d-s1", w.register, w.head.Epoch))
	for currency, digits := range map[string]int{"XAA": math.MaxInt32, "XBB": -1} {
		f := &events.SaleConcluded{Sales: 1}
		f.Terms.Currency, f.Terms.Digits = currency, digits
		b.receive(w.write(f, shift))
	}
	written := map[string]string{}
	for _, day := range b.days() {
		written[day.Currency] = day.Sales.Decimal(day.Digits)
	}
	require.Equal(t, map[string]string{"GBP": "10.20", "XAA": "0.0001", "XBB": "1"}, written)
}

// Who asks while what is stored is still being read gets no answer rather than a wrong one.
func TestServesWhatItHasRead(t *testing.T) {
	o := newOfficeAt(t, "127.0.0.1:0")
	node := newWire(o, newWriter(t)).node
	const junk = 3000
	for range junk {
		require.NoError(t, o.node.Conn().Publish("repair.s001-r01", []byte("junk")))
	}
	require.Eventually(t, func() bool {
		at, err := o.db.position(t.Context(), embedded.Repairs)
		require.NoError(t, err)
		return at == junk
	}, time.Minute, 10*time.Millisecond)
	require.NoError(t, o.db.putBack(t.Context(), embedded.Repairs, 0))
	require.NoError(t, o.Close())
	o.reopen()
	require.Eventually(t, func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		_, err := node.Ask(ctx, projections.HelloService, nil)
		if err != nil {
			return false
		}
		require.True(t, o.level(till1), "what is stored has been read")
		return true
	}, time.Minute, time.Millisecond)
}

// An announcement that nobody could mean is not acted upon.
func TestAbsurdAnnouncements(t *testing.T) {
	o := newOffice(t)
	for name, announcement := range map[string]string{
		"no document":   `<html>`,
		"no epoch":      `{"sequence":1}`,
		"any epoch":     `{"epoch":100000,"sequence":1}`,
		"any sequence":  `{"epoch":1,"sequence":18446744073709551615}`,
		"any reason":    `{"epoch":1,"sequence":1,"frozen":{"kind":"tired"}}`,
		"long instance": fmt.Sprintf(`{"epoch":1,"sequence":1,"instance":%q}`, strings.Repeat("x", maxAnnouncement)),
	} {
		_, err := o.acknowledge(t.Context(), till1, []byte(announcement))
		require.Error(t, err, name)
		o.hear(t.Context(), till1, []byte(announcement))
	}
	require.Empty(t, o.heard)
	require.Empty(t, o.node.Journals())
	_, err := o.acknowledge(t.Context(), till1, []byte(`{"epoch":1,"sequence":0}`))
	require.NoError(t, err)
}

// Operations on shifts that cannot be confirmed yet keep no others from it.
func TestConfirmedBehindOthers(t *testing.T) {
	o, stuck, w := newOffice(t), newWriter(t), newWriter(t)
	all := stuck.sales(0)
	for range confirmed + 1 {
		all = append(all, stuck.write(&events.ShiftClosed{InShift: events.InShift{Shift: "s"}}, "s"))
	}
	o.receive(all[2:]...) // its beginning is missing
	w.register = till2
	o.receive(append(w.sales(0), w.write(&events.ShiftClosed{InShift: events.InShift{Shift: "s2"}}, "s2"))...)
	require.NoError(t, o.confirmLater(t.Context()))
	var n int
	require.NoError(t, o.db.db.QueryRowContext(t.Context(), `SELECT count(*) FROM confirmed WHERE register = ?`, till2.String()).Scan(&n))
	require.Equal(t, 1, n)
}

// meanwhile is an import that is read while something else happens.
type meanwhile struct {
	io.Reader
	happens func()
}

func (m *meanwhile) Read(p []byte) (int, error) {
	m.happens()
	m.happens = func() {}
	return m.Reader.Read(p)
}

// Of two instances that import at the same time one is asked to do it again: nobody sees a mixture.
func TestImportsAtTheSameTime(t *testing.T) {
	o := newOffice(t)
	category := func(name string) string {
		return fmt.Sprintf(`{"kind":"category","key":"A","record":{"category":"A","name":%q}}`, name)
	}
	other := func() {
		messages, err := messagesOf([]byte(`{"store":"all","kind":"category","key":"A","record":{"category":"A","name":"other"}}` + "\n" + `{}` + "\n"))
		require.NoError(t, err)
		last, err := o.node.Reference().Last(t.Context())
		require.NoError(t, err)
		_, err = o.node.Reference().Publish(t.Context(), last, messages)
		require.NoError(t, err)
	}
	_, err := o.Import(t.Context(), &meanwhile{strings.NewReader(category("mine")), other}, ImportOptions{})
	require.ErrorIs(t, err, events.ErrConflict)
	staged, err := o.node.StagedImports(t.Context())
	require.NoError(t, err)
	require.Empty(t, staged)
	_, err = o.Import(t.Context(), strings.NewReader(category("mine")), ImportOptions{})
	require.NoError(t, err)
}

// A fact of any kind that says nothing at all is taken in like others, wherever it stands.
func TestEmptyFactsStopNobody(t *testing.T) {
	w, b := newWriter(t), newBooks(t)
	b.receive(w.activation())
	for _, kind := range events.Facts.Types() {
		if fact := events.Facts.New(kind); kind != "register.activated.v1" {
			b.receive(w.write(fact, ""))
			require.Equal(t, w.head, b.headOf(w), kind)
		}
	}
	b.receive(w.write(&events.RegisterActivated{}, ""))
}

// A customer who cannot be sent to registers, and one whose number is no provisional one of its register's, hold up no other.
func TestCustomersThatCannotBeSent(t *testing.T) {
	o, w := newOffice(t), newWriter(t)
	_, err := o.Import(t.Context(), strings.NewReader(`{"kind":"customer","key":"C1","record":{"customer":"C1","kind":"person","name":"Ada"}}`), ImportOptions{})
	require.NoError(t, err)
	provisional := func(n int) events.CustomerID { return events.CustomerID(fmt.Sprintf("P-%s-1-%d", w.register, n)) }
	batch := []embedded.Received{w.activation()}
	for _, f := range []*events.CustomerAdded{
		{Customer: provisional(1), Number: 1, Details: events.CustomerDetails{Name: strings.Repeat("x", 70<<10)}},
		{Customer: "C1", Number: 2, Details: events.CustomerDetails{Name: "Not Ada"}},
		{Customer: "P-s001-r99-1-1", Number: 3, Details: events.CustomerDetails{Name: "Somebody else's"}},
		{Customer: provisional(4), Number: 4, Details: events.CustomerDetails{Name: "Grace"}},
	} {
		batch = append(batch, w.write(f, ""))
	}
	o.receive(batch...)
	o.moreSettled()
	find := func(number events.CustomerID) (c ledger.Customer) {
		record, _, err := o.reference.For(w.register).Find(t.Context(), ledger.Query{Kind: "customer", Key: string(number)})
		require.NoError(t, err)
		c, _ = record.(ledger.Customer)
		return c
	}
	require.Eventually(t, func() bool { return find(provisional(4)).Name == "Grace" }, time.Minute, 10*time.Millisecond)
	require.Equal(t, "Ada", find("C1").Name)
	require.Empty(t, find("P-s001-r99-1-1"))
	require.Empty(t, find(provisional(1)))
	require.Eventually(t, func() bool {
		var n int
		require.NoError(t, o.db.db.QueryRow(`SELECT count(*) FROM dirty`).Scan(&n))
		return n == 0
	}, time.Minute, 10*time.Millisecond, "it is not tried for ever")
}

// A register that was shut out is answered nothing, whichever server still lets it in; one that has a new code is.
func TestShutOutIsAnsweredNothing(t *testing.T) {
	o := newOffice(t)
	ask := func() error {
		_, err := o.unlessShutOut(o.greet)(t.Context(), till1, nil)
		return err
	}
	require.NoError(t, ask())
	require.NoError(t, o.RevokeRegister(t.Context(), till1, "stolen"))
	require.ErrorContains(t, ask(), "was shut out")
	_, err := o.unlessShutOut(o.greet)(t.Context(), till2, nil)
	require.NoError(t, err)
	_, refusal, err := o.activate(t.Context(), till1, o.asks(till1, "again", userKey(t)))
	require.NoError(t, err)
	require.Nil(t, refusal)
	require.NoError(t, ask())
}

// What a stranger wrote into the fleet, as a version could that answered anywhere, is a finding: head office starts, and
// an operator can accept it.
func TestMalformedMemberIsAFinding(t *testing.T) {
	o := newOffice(t)
	require.NoError(t, o.node.Conn().Publish("fleet.journal.x", []byte("{}")))
	require.NoError(t, o.node.Conn().Publish("fleet.revoked.x.1", []byte("{}")))
	require.NoError(t, o.node.Conn().Flush())
	restarted := func(wantOpen int) (all []Finding) {
		require.NoError(t, o.Close())
		o.reopen()
		all, err := o.Findings(t.Context())
		require.NoError(t, err)
		require.Len(t, all, 2)
		open := 0
		for _, f := range all {
			require.Equal(t, KindFleet, f.Kind)
			require.Contains(t, []string{"fleet.journal.x", "fleet.revoked.x.1"}, f.Got)
			if f.Resolved == "" {
				open++
			}
		}
		require.Equal(t, wantOpen, open)
		return all
	}
	first := restarted(2)[0]
	require.NoError(t, o.Accept(t.Context(), first.ID, "ann", "came with an answer"))
	require.Eventually(t, func() bool {
		all, err := o.Findings(t.Context())
		require.NoError(t, err)
		return all[0].Resolved != "" || all[1].Resolved != ""
	}, time.Minute, 10*time.Millisecond)
	restarted(1)
}

// A question that is empty or no JSON is refused by every service before anything else, and the greeting alone needs none.
func TestUnreadableQuestions(t *testing.T) {
	t.Parallel()
	o := newOfficeAt(t, "127.0.0.1:0")
	node := newWire(o, newWriter(t)).node
	for _, service := range []string{"activate", "inactivate", "reserve", "confirm", projections.FindService, "reference", "announce"} {
		for _, question := range []string{"", "x", "{", `{"a":1}{`, "\x00"} {
			require.Eventually(t, func() bool {
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				_, err := node.Ask(ctx, service, []byte(question))
				if errors.Is(err, embedded.ErrNobodyAnswers) || errors.Is(err, embedded.ErrLinkDown) {
					return false // its interest travels
				}
				require.ErrorContains(t, err, "the question is empty or cannot be read", "%s %q", service, question)
				return true
			}, time.Minute, 10*time.Millisecond)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	_, err := node.Ask(ctx, projections.HelloService, nil)
	require.NoError(t, err)
}
