package register

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/posnode/posnode/events"
	"github.com/posnode/posnode/ledger"
)

// cutTerminal kills its own process, as the power cut does, where cut says.
type cutTerminal struct {
	*SimulatedTerminal
	cut string
}

func (t cutTerminal) die(at string) {
	if t.cut == at {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {} // the signal is on its way
	}
}

func (t cutTerminal) Authorize(ctx context.Context, request CardRequest) (ledger.CardOutcome, error) {
	t.die("before the terminal hears of it")
	o, err := t.SimulatedTerminal.Authorize(ctx, request)
	t.die("before its answer is recorded")
	if t.cut == "before a recovered answer is recorded" {
		err = errNoAnswer
	}
	return o, err
}

func (t cutTerminal) Recover(ctx context.Context, reference string) (ledger.CardOutcome, error) {
	o, err := t.SimulatedTerminal.Recover(ctx, reference)
	t.die("before a recovered answer is recorded")
	return o, err
}

func (t cutTerminal) Void(ctx context.Context, reference string) (ledger.CardOutcome, error) {
	t.die("before the terminal hears of a void")
	o, err := t.SimulatedTerminal.Void(ctx, reference)
	t.die("before a void is recorded")
	return o, err
}

// silentTerminal never answers while it is silent.
type silentTerminal struct {
	*SimulatedTerminal
	silent bool
}

func (t *silentTerminal) Recover(ctx context.Context, reference string) (ledger.CardOutcome, error) {
	if t.silent {
		return ledger.CardOutcome{}, errNoAnswer
	}
	return t.SimulatedTerminal.Recover(ctx, reference)
}

const cardShop = `{"kind":"store","key":"store","record":{"currency":"GBP","digits":2,"tax_included":true,"max_quantity":"100","tenders":{"cash":{"id":"cash","name":"Cash","kind":"cash","over_paid":true,"refund":true},"card":{"id":"card","name":"Card","kind":"card","refund":true}}}}
{"kind":"product","key":"MUG","record":{"product":"MUG","description":"Mug","price":"7.95"}}
{"kind":"product","key":"M52","record":{"product":"M52","description":"Lost answer","price":"7.52"}}
{"kind":"product","key":"M51","record":{"product":"M51","description":"Declined","price":"7.51"}}
{"kind":"product","key":"M53","record":{"product":"M53","description":"No answer","price":"7.53"}}
`

// openTill is a register in dir with staff 7 signed on and a shift open, unless it was already.
func openTill(t testing.TB, dir string, terminal Terminal) *Register {
	r, err := Open(context.Background(), Config{
		Dir: dir, Register: events.Register{Store: "s001", ID: "r01"}, Terminal: terminal, Zone: time.UTC, Clock: time.Now, Logger: slog.New(slog.DiscardHandler),
	})
	require.NoError(t, err)
	if r.View().Staff != nil {
		return r
	}
	staff, err := json.Marshal(ledger.StaffMember{ID: "7", Name: "Ann", PIN: HashPIN("1234"), Groups: []events.Rights{{Manager: true}}})
	require.NoError(t, err)
	_, err = r.Reference().Import(context.Background(), strings.NewReader(cardShop+fmt.Sprintf(`{"kind":"staff","key":"7","record":%s}`, staff)), time.Now(), false)
	require.NoError(t, err)
	ask(t, r, 1, 700, `{"staff":"7","pin":"1234"}`)
	ask(t, r, 2, 1050, ``)
	return r
}

func do(r *Register, key, operation int, body string) (ledger.Answer, error) {
	return r.Do(context.Background(), Request{
		Operation: operation, Key: events.CommandKey(fmt.Sprintf("01KJPRZB00%016d", key)), Body: []byte(body), Staff: "7",
	})
}

func ask(t testing.TB, r *Register, key, operation int, body string) ledger.Answer {
	a, err := do(r, key, operation, body)
	require.NoError(t, err, "operation %d", operation)
	return a
}

func refused(t testing.TB, err error, code string) {
	refusal, ok := errors.AsType[*ledger.Refusal](err)
	require.True(t, ok, "%v is no refusal", err)
	require.Equal(t, code, refusal.Code, refusal.Why)
}

// TestCardSurvivesKill kills a register in the middle of a card payment, or of the void of
// one, wherever that could hurt, and starts another in its place: the customer is charged once, or not
// at all, and the journal says which.
func TestCardSurvivesKill(t *testing.T) {
	if cut := os.Getenv("POSNODE_CARD_CUT"); cut != "" {
		dir := os.Getenv("POSNODE_CARD_DIR")
		r := openTill(t, dir, cutTerminal{NewSimulatedTerminal(filepath.Join(dir, "terminal.json")), cut})
		ask(t, r, 3, 100, `{"product":"MUG"}`)
		ask(t, r, 4, 201, `{"amount":500}`)
		ask(t, r, 5, 211, `{"payment":1}`)
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL) // everything is recorded, and nobody hears of it
		select {}
	}
	for _, c := range []struct {
		cut     string
		payment string // what command 4, sent again, is answered with
		void    string // and command 5
		charged events.Money
	}{
		{"before the terminal hears of it", "card_declined", "unknown_payment", 0},
		{"before its answer is recorded", "sale.payment_taken.v1", "sale.payment_voided.v1", 500},
		{"before a recovered answer is recorded", "sale.payment_taken.v1", "sale.payment_voided.v1", 500},
		{"before the terminal hears of a void", "sale.payment_taken.v1", "sale.payment_voided.v1", 0},
		{"before a void is recorded", "sale.payment_taken.v1", "sale.payment_voided.v1", 0},
		{"at the end", "sale.payment_taken.v1", "sale.payment_voided.v1", 0},
	} {
		t.Run(c.cut, func(t *testing.T) {
			dir := t.TempDir()
			child := exec.Command(os.Args[0], "-test.run=^TestCardSurvivesKill$")
			child.Env = append(os.Environ(), "POSNODE_CARD_CUT="+c.cut, "POSNODE_CARD_DIR="+dir)
			out, err := child.CombinedOutput()
			exit, ok := errors.AsType[*exec.ExitError](err)
			require.True(t, ok && exit.Sys().(syscall.WaitStatus).Signal() == syscall.SIGKILL, "%v\n%s", err, out)

			terminal := NewSimulatedTerminal(filepath.Join(dir, "terminal.json"))
			r := openTill(t, dir, terminal)
			defer func() { require.NoError(t, r.Close()) }()
			outcome := func(key, operation int, body string) string {
				a, err := do(r, key, operation, body)
				if refusal, ok := errors.AsType[*ledger.Refusal](err); ok {
					return refusal.Code
				}
				require.NoError(t, err)
				return a.Entries[0].Type
			}
			require.Equal(t, c.payment, outcome(4, 201, `{"amount":500}`))
			charged, err := terminal.Charged()
			require.NoError(t, err)
			require.Equal(t, c.charged, charged)
			require.Equal(t, c.void, outcome(5, 211, `{"payment":1}`))

			// The sale goes on as if nothing had been.
			require.Equal(t, "sale.concluded.v1", outcome(6, 201, ``))
			charged, err = terminal.Charged()
			require.NoError(t, err)
			require.Equal(t, events.Money(795), charged, "the customer has paid once")
			require.NoError(t, r.Check(context.Background()))
			require.Nil(t, r.Damage())
		})
	}
}

// TestCardAnswers: the simulated terminal behaves as its amounts say.
func TestCardAnswers(t *testing.T) {
	dir := t.TempDir()
	terminal := &silentTerminal{NewSimulatedTerminal(filepath.Join(dir, "terminal.json")), false}
	r := openTill(t, dir, terminal)
	defer func() { require.NoError(t, r.Close()) }()

	ask(t, r, 3, 100, `{"product":"M51"}`)
	_, err := do(r, 4, 201, ``)
	refused(t, err, "card_declined")
	_, err = do(r, 4, 201, ``)
	refused(t, err, "card_declined")
	ask(t, r, 5, 206, ``)

	// The answer was lost, and asked for at once.
	ask(t, r, 6, 100, `{"product":"M52"}`)
	paid := ask(t, r, 7, 201, ``).Result.(*events.SaleConcluded).Payments[0]
	require.True(t, paid.Card.Recovered)
	require.Equal(t, "0000", paid.Card.LastFour)

	// The terminal stays silent: what would change the sale waits, what only looks does not.
	terminal.silent = true
	ask(t, r, 8, 100, `{"product":"M52"}`)
	_, err = do(r, 9, 201, ``)
	refused(t, err, "terminal_unanswered")
	_, err = do(r, 10, 206, ``)
	refused(t, err, "card_pending")
	_, err = do(r, 11, 500, ``)
	refused(t, err, "card_pending")
	// It speaks again: the payment is recorded before the next one is looked at.
	terminal.silent = false
	_, err = do(r, 12, 206, ``)
	refused(t, err, "no_transaction")
	require.Equal(t, "concluded", ask(t, r, 9, 201, ``).Transaction.Status)

	// It never heard of it: nothing is charged, and the sale can be paid otherwise.
	ask(t, r, 13, 100, `{"product":"M53"}`)
	_, err = do(r, 14, 201, ``)
	refused(t, err, "card_declined")
	ask(t, r, 15, 206, ``)
	charged, err := terminal.Charged()
	require.NoError(t, err)
	require.Equal(t, events.Money(2*752), charged)
}

// waitingTerminal waits for a customer who looks for a card.
type waitingTerminal struct {
	*SimulatedTerminal
	waiting chan struct{}
}

func (t waitingTerminal) Authorize(ctx context.Context, request CardRequest) (ledger.CardOutcome, error) {
	if _, err := t.SimulatedTerminal.Authorize(ctx, request); err != nil {
		return ledger.CardOutcome{}, err
	}
	close(t.waiting)
	<-ctx.Done()
	return ledger.CardOutcome{}, ctx.Err()
}

func (t waitingTerminal) Recover(ctx context.Context, reference string) (ledger.CardOutcome, error) {
	if err := ctx.Err(); err != nil {
		return ledger.CardOutcome{}, err
	}
	return t.SimulatedTerminal.Recover(ctx, reference)
}

// TestCloseWhileTheTerminalWaits: the till closes at once, and finds the payment when it is opened again.
func TestCloseWhileTheTerminalWaits(t *testing.T) {
	dir := t.TempDir()
	terminal := waitingTerminal{NewSimulatedTerminal(filepath.Join(dir, "terminal.json")), make(chan struct{})}
	r := openTill(t, dir, terminal)
	ask(t, r, 3, 100, `{"product":"MUG"}`)
	paid := make(chan error)
	go func() {
		_, err := do(r, 4, 201, ``)
		paid <- err
	}()
	<-terminal.waiting
	go func() { _ = r.Close() }()
	refused(t, <-paid, "terminal_unanswered")
	require.NoError(t, r.Close())

	r = openTill(t, dir, terminal)
	defer func() { require.NoError(t, r.Close()) }()
	require.Equal(t, "concluded", ask(t, r, 4, 201, ``).Transaction.Status)
}

// While the terminal has not answered, nothing that changes the transaction may pass its request by.
func TestNothingPassesAnUnansweredRequestBy(t *testing.T) {
	dir := t.TempDir()
	term := &silentTerminal{SimulatedTerminal: NewSimulatedTerminal(dir + "/t.json"), silent: true}
	r := openTill(t, dir, term)
	defer r.Close()
	_, err := r.Reference().Import(t.Context(), strings.NewReader(`{"kind":"customer","key":"C1","record":{"customer":"C1","name":"Ann"}}`), time.Now(), false)
	require.NoError(t, err)
	ask(t, r, 3, 100, `{"product":"M52"}`)
	_, err = do(r, 4, 201, ``)
	refused(t, err, "terminal_unanswered")
	_, err = do(r, 5, 206, ``)
	refused(t, err, "card_pending")
	_, err = do(r, 6, 602, `{"customer":"C1"}`)
	refused(t, err, "card_pending")
}

// TestGivenUpIsRemembered: a card payment that a manager gave up is never asked for again
// under its old key, however much was done and whatever was restarted since.
func TestGivenUpIsRemembered(t *testing.T) {
	dir := t.TempDir()
	terminal := &silentTerminal{SimulatedTerminal: NewSimulatedTerminal(filepath.Join(dir, "terminal.json")), silent: true}
	r := openTill(t, dir, terminal)
	ask(t, r, 3, 100, `{"product":"M52"}`)
	_, err := do(r, 4, 201, ``)
	refused(t, err, "terminal_unanswered")
	ask(t, r, 5, 211, `{"payment":1}`)
	terminal.silent = false
	_, err = do(r, 4, 201, ``)
	refused(t, err, "card_given_up")
	for key := 6; key < 6+ledger.RecentCommands; key++ {
		ask(t, r, key, 101, `{"product":"MUG"}`)
	}
	charged, err := terminal.Charged()
	require.NoError(t, err)
	again := func() {
		known := true
		require.NoError(t, r.Look(t.Context(), func(s *ledger.State) {
			_, known = s.Commands.Find(events.CommandKey(fmt.Sprintf("01KJPRZB00%016d", 4)))
		}))
		require.False(t, known, "the state alone would have forgotten it")
		_, err = do(r, 4, 201, ``)
		refused(t, err, "card_given_up")
		_, err = do(r, 4, 201, `{"amount":1}`)
		refused(t, err, "command_reused")
		now, err := terminal.Charged()
		require.NoError(t, err)
		require.Equal(t, charged, now)
	}
	again()
	require.NoError(t, r.Close())
	r = openTill(t, dir, terminal)
	defer func() { require.NoError(t, r.Close()) }()
	again()
}
