package hq_test

import (
	"errors"
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
	"github.com/posnode/posnode/hq"
	"github.com/posnode/posnode/ledger"
	"github.com/posnode/posnode/register"
)

// soon bounds what comes back by itself; the server waits up to two minutes before it tries a source again.
const soon = 3 * time.Minute

// shopWorld is a head office and any number of registers.
type shopWorld struct {
	t   *testing.T
	dir string
	hq  *hq.HQ
	// ahead is how far head office's clock is ahead of ours.
	ahead time.Duration
	leaf  string
}

func newWorld(t *testing.T) *shopWorld {
	w := &shopWorld{t: t, dir: t.TempDir(), leaf: "127.0.0.1:0"}
	w.open()
	w.leaf = strings.TrimPrefix(w.hq.LeafURL(), "nats-leaf://")
	t.Cleanup(func() { require.NoError(t, w.hq.Close()) })
	return w
}

func (w *shopWorld) open() {
	var err error
	w.hq, err = hq.Open(w.t.Context(), hq.Config{
		Dir: filepath.Join(w.dir, "hq"), ListenLeaf: w.leaf, Logger: slog.New(slog.DiscardHandler),
		Clock: func() time.Time { return time.Now().Add(w.ahead) },
	})
	require.NoError(w.t, err)
}

// worldTill is a register of the world.
type worldTill struct {
	*register.Register
	w      *shopWorld
	name   events.Register
	dir    string
	config func(*register.Config)
}

// till opens a register that has the shop's data and nothing to link with but what config gives it.
func (w *shopWorld) till(id events.RegisterID, config func(*register.Config)) *worldTill {
	t := &worldTill{w: w, name: events.Register{Store: "s001", ID: id}, dir: filepath.Join(w.dir, string(id)), config: config}
	t.open()
	report, err := t.Reference().Import(w.t.Context(), strings.NewReader(fmt.Sprintf(shop, register.HashPIN("1"))), time.Now(), false)
	require.NoError(w.t, err, "%v", report.Problems)
	w.t.Cleanup(func() { require.NoError(w.t, t.Close()) })
	return t
}

func (t *worldTill) open() {
	cfg := register.Config{
		Dir: t.dir, Register: t.name, HQ: t.w.hq.LeafURL(), Zone: time.UTC, Clock: time.Now, Logger: slog.New(slog.DiscardHandler),
	}
	t.config(&cfg)
	var err error
	t.Register, err = register.Open(t.w.t.Context(), cfg)
	require.NoError(t.w.t, err)
}

func (t *worldTill) try(operation int, params string) (ledger.Answer, error) {
	return t.tryAs(ulid.Make().String(), operation, params)
}

func (t *worldTill) tryAs(key string, operation int, params string) (ledger.Answer, error) {
	return t.Do(t.w.t.Context(), register.Request{Operation: operation, Key: events.CommandKey(key), Body: []byte(params), Staff: "7"})
}

func (t *worldTill) must(operation int, params string) ledger.Answer {
	t.w.t.Helper()
	a, err := t.try(operation, params)
	require.NoError(t.w.t, err, "operation %d", operation)
	return a
}

func (t *worldTill) refused(code string, operation int, params string) {
	t.w.t.Helper()
	_, err := t.try(operation, params)
	refusal, ok := err.(*ledger.Refusal)
	require.True(t.w.t, ok, "%v", err)
	require.Equal(t.w.t, code, refusal.Code, refusal.Why)
}

func (t *worldTill) linked(up bool) {
	t.w.t.Helper()
	require.Eventually(t.w.t, func() bool { return t.Linked() == up }, soon, 10*time.Millisecond)
}

// online connects by hand, where the register is not online already.
func (t *worldTill) online() {
	t.w.t.Helper()
	if t.View().Mode == events.Offline {
		t.must(917, ``)
	}
}

// arrived waits until head office has verified everything that the register recorded.
func (t *worldTill) arrived() {
	t.w.t.Helper()
	require.Eventually(t.w.t, func() bool {
		journals, err := t.w.hq.Journals(t.w.t.Context())
		require.NoError(t.w.t, err)
		for _, j := range journals {
			if j.Register == t.name.String() && j.Head == t.View().Head {
				return true
			}
		}
		return false
	}, soon, 20*time.Millisecond)
}

// begin signs on and opens a shift.
func (t *worldTill) begin() {
	t.w.t.Helper()
	t.must(700, `{"staff":"7","pin":"1"}`)
	t.must(1050, ``)
}

func (t *worldTill) sell() events.ReceiptNumber {
	t.w.t.Helper()
	t.must(100, `{"product":"TEA"}`)
	return t.must(206, ``).Transaction.Receipt
}

// code makes an activation code, and writes the credentials that come with it.
func (w *shopWorld) code(id events.RegisterID, valid time.Duration) (code, bootstrap string) {
	c, err := w.hq.NewCode(w.t.Context(), events.Register{Store: "s001", ID: id}, valid)
	require.NoError(w.t, err)
	bootstrap = filepath.Join(w.dir, string(id)+".bootstrap")
	require.NoError(w.t, os.WriteFile(bootstrap, []byte(c.Bootstrap), 0o600))
	return c.Code, bootstrap
}

// activate lets a register in that has never been.
func (w *shopWorld) activated(id events.RegisterID) *worldTill {
	code, bootstrap := w.code(id, time.Hour)
	t := w.till(id, func(c *register.Config) { c.Bootstrap = bootstrap })
	t.linked(true)
	t.must(707, fmt.Sprintf(`{"code":%q}`, code))
	t.begin()
	return t
}

func TestActivation(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	code, bootstrap := w.code("r01", time.Hour)
	till := w.till("r01", func(c *register.Config) { c.Bootstrap = bootstrap })
	till.must(700, `{"staff":"7","pin":"1"}`)
	till.refused("register_not_activated", 1050, ``)
	till.refused("register_not_activated", 100, `{"product":"TEA"}`)
	till.linked(true)
	till.refused("activation_code_wrong", 707, `{"code":"AAAA-BBBB-CCCC-DDDD"}`)

	key := ulid.Make().String()
	params := fmt.Sprintf(`{"code":%q}`, strings.ToLower(strings.ReplaceAll(code, "-", " ")))
	a, err := till.tryAs(key, 707, params)
	require.NoError(t, err)
	require.Equal(t, "device.activated.v2", a.Entries[0].Type)
	again, err := till.tryAs(key, 707, params)
	require.NoError(t, err)
	require.True(t, again.Repeated)
	till.must(1050, ``)
	till.sell()
	till.arrived()
	require.Equal(t, 1, till.View().Head.Epoch, "a first activation needs no new epoch")

	till.refused("activation_code_used", 707, params)
	require.NoError(t, till.Close())
	require.NoError(t, os.Remove(bootstrap), "it has its own credentials now")
	till.open()
	till.linked(true)
	till.must(700, `{"staff":"7","pin":"1"}`)
	till.sell()
	till.arrived()

	// Head office is restarted, with its database made anew: it knows the same.
	require.NoError(t, w.hq.Close())
	files, err := filepath.Glob(filepath.Join(w.dir, "hq", "hq.db*"))
	require.NoError(t, err)
	for _, f := range files {
		require.NoError(t, os.Remove(f))
	}
	w.open()
	till.linked(true)
	till.refused("activation_code_used", 707, params)
	till.arrived()
}

func TestActivationCodes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, err := w.hq.NewCode(t.Context(), events.Register{Store: "s001", ID: "r01"}, 31*24*time.Hour)
	require.Error(t, err)
	_, err = w.hq.NewCode(t.Context(), events.Register{Store: "hq", ID: "r01"}, time.Hour)
	require.ErrorContains(t, err, "head office itself")

	first, _ := w.code("r01", time.Minute)
	second, bootstrap := w.code("r01", time.Hour)
	other, _ := w.code("r02", time.Hour)
	till := w.till("r01", func(c *register.Config) { c.Bootstrap = bootstrap })
	till.linked(true)
	till.refused("activation_code_replaced", 707, fmt.Sprintf(`{"code":%q}`, first))
	w.ahead = 2 * time.Hour
	till.refused("activation_code_expired", 707, fmt.Sprintf(`{"code":%q}`, second))
	w.ahead = 0
	till.refused("activation_code_wrong", 707, fmt.Sprintf(`{"code":%q}`, other)) // another register's
	for range 4 {
		till.refused("activation_code_wrong", 707, `{"code":"AAAA-BBBB-CCCC-DDDD"}`)
	}
	till.refused("activation_locked", 707, fmt.Sprintf(`{"code":%q}`, second))
	third, _ := w.code("r01", time.Hour)
	till.must(707, fmt.Sprintf(`{"code":%q}`, third)) // with the credentials of the second
	till.begin()
	till.sell()
	till.arrived()
}

func TestInactivation(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	till := w.activated("r01")
	till.sell()
	till.online()
	require.Eventually(t, func() bool { s, err := till.Status(t.Context()); return err == nil && s.HQ.Unsent == 0 }, soon, 20*time.Millisecond)
	till.refused("shift_not_closed", 708, ``)
	till.must(708, `{"force":true}`)
	till.linked(false)
	till.must(700, `{"staff":"7","pin":"1"}`)
	till.refused("register_not_activated", 100, `{"product":"TEA"}`)
	before := till.View().Head.Epoch

	// In again: a new code, a new epoch, the numbers go on, and what was unsent arrives.
	code, bootstrap := w.code("r01", time.Hour)
	require.NoError(t, till.Close())
	till.config = func(c *register.Config) { c.Bootstrap = bootstrap }
	till.open()
	till.linked(true)
	till.must(707, fmt.Sprintf(`{"code":%q}`, code))
	require.Equal(t, before+1, till.View().Head.Epoch)
	till.begin()
	require.Equal(t, events.ReceiptNumber("s001-r01-2-000002"), till.sell())
	till.arrived()
	require.Eventually(t, func() bool { s, err := till.Status(t.Context()); return err == nil && s.HQ.Unsent == 0 }, soon, 20*time.Millisecond, "of either epoch")
	journals, err := w.hq.Journals(t.Context())
	require.NoError(t, err)
	require.Len(t, journals, 2)
	findings, err := w.hq.Findings(t.Context())
	require.NoError(t, err)
	for _, f := range findings {
		require.Equal(t, "filled", f.How, "the next epoch may have been first to arrive")
	}
}

func TestRevokedByHeadOffice(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	till := w.activated("r01")
	till.sell()
	till.arrived()
	require.NoError(t, w.hq.RevokeRegister(t.Context(), till.name, "stolen"))
	till.linked(false)
	require.NoError(t, w.hq.Close())
	w.open()
	require.Never(t, till.Linked, 2*time.Second, 20*time.Millisecond)
}

// enrolled opens a register with credentials of `posnode hq enroll`, and sells.
func (w *shopWorld) enrolled(id events.RegisterID) *worldTill {
	creds := w.enroll(id)
	t := w.till(id, func(c *register.Config) { c.Creds = creds })
	t.linked(true)
	t.begin()
	t.sell()
	t.arrived()
	return t
}

func (w *shopWorld) enroll(id events.RegisterID) (creds string) {
	raw, err := hq.Enroll(filepath.Join(w.dir, "hq"), events.Register{Store: "s001", ID: id})
	require.NoError(w.t, err)
	creds = filepath.Join(w.dir, string(id)+".creds")
	require.NoError(w.t, os.WriteFile(creds, raw, 0o600))
	return creds
}

// staysOut restarts head office with its database made anew: the register does not come back, and
// nothing is enrolled for it any more.
func (t *worldTill) staysOut() {
	t.w.t.Helper()
	require.NoError(t.w.t, t.w.hq.Close())
	files, err := filepath.Glob(filepath.Join(t.w.dir, "hq", "hq.db*"))
	require.NoError(t.w.t, err)
	for _, f := range files {
		require.NoError(t.w.t, os.Remove(f))
	}
	t.w.open()
	require.Never(t.w.t, t.Linked, 2500*time.Millisecond, 20*time.Millisecond)
	_, err = hq.Enroll(filepath.Join(t.w.dir, "hq"), t.name)
	require.ErrorIs(t.w.t, err, embedded.ErrShutOut)
}

// comesBack activates a register that is shut out with a new code.
func (t *worldTill) comesBack() {
	t.w.t.Helper()
	code, bootstrap := t.w.code(t.name.ID, time.Hour)
	require.NoError(t.w.t, t.Close())
	given := t.config
	t.config = func(c *register.Config) { given(c); c.Bootstrap = bootstrap }
	t.open()
	t.linked(true)
	t.must(707, fmt.Sprintf(`{"code":%q}`, code))
	t.must(700, `{"staff":"7","pin":"1"}`)
	if t.View().Shift == "" {
		t.must(1050, ``)
	}
	t.sell()
	t.arrived()
}

// Nobody wrote down whom head office enrolled, and it revokes them all the same.
func TestEnrolledIsRevoked(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	till, other := w.enrolled("r01"), w.enrolled("r02")
	require.NoError(t, w.hq.RevokeRegister(t.Context(), till.name, "stolen"))
	till.linked(false)
	require.True(t, other.Linked())
	require.NoError(t, w.hq.RevokeRegister(t.Context(), till.name, "to be sure"))
	till.staysOut()
	till.comesBack()

	// Credentials that nobody has used yet.
	creds := w.enroll("r03")
	require.NoError(t, w.hq.RevokeRegister(t.Context(), events.Register{Store: "s001", ID: "r03"}, "sent to the wrong shop"))
	late := w.till("r03", func(c *register.Config) { c.Creds = creds })
	late.staysOut()
	other.linked(true)
}

func TestEnrolledIsInactivated(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	till := w.enrolled("r01")
	till.online()
	till.must(708, `{"force":true}`)
	till.linked(false)
	till.must(700, `{"staff":"7","pin":"1"}`)
	till.refused("register_not_activated", 100, `{"product":"TEA"}`)
	till.staysOut()
	till.comesBack()
}

// What was enrolled for a register is void once that is activated: it is in every copy of its directory.
func TestEnrolledIsVoidOnceActivated(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	till := w.enrolled("r01")
	code, _ := w.code("r01", time.Hour)
	till.must(707, fmt.Sprintf(`{"code":%q}`, code))
	till.sell()
	till.arrived()
	require.Eventually(t, func() bool {
		_, err := hq.Enroll(filepath.Join(w.dir, "hq"), till.name)
		return errors.Is(err, embedded.ErrShutOut)
	}, soon, 20*time.Millisecond)
	till.linked(true)
}

// Where a link is up with credentials that head office cannot know, it says that it is not cut off.
func TestRevokedAndStillLinked(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	till := w.activated("r01")
	till.sell()
	till.arrived()
	require.NoError(t, w.hq.Close())
	require.NoError(t, os.RemoveAll(filepath.Join(w.dir, "hq", "jetstream")))
	files, err := filepath.Glob(filepath.Join(w.dir, "hq", "hq.db*"))
	require.NoError(t, err)
	for _, f := range files {
		require.NoError(t, os.Remove(f))
	}
	w.open()
	till.linked(true)
	var refusal *ledger.Refusal
	require.ErrorAs(t, w.hq.RevokeRegister(t.Context(), till.name, "stolen"), &refusal)
	require.Equal(t, "register_still_linked", refusal.Code)
}

// A register whose disk was lost goes on where head office knows it to have been.
func TestActivationAfterALostDisk(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	till := w.activated("r01")
	till.sell()
	till.sell()
	till.arrived()
	require.NoError(t, till.Close())
	require.NoError(t, os.Rename(till.dir, till.dir+".lost"))

	code, bootstrap := w.code("r01", time.Hour)
	till = w.till("r01", func(c *register.Config) { c.Bootstrap = bootstrap })
	till.linked(true)
	till.must(707, fmt.Sprintf(`{"code":%q}`, code))
	require.Equal(t, 2, till.View().Head.Epoch)
	till.begin()
	require.Equal(t, events.ShiftID("s001-r01-2-s2"), till.View().Shift)
	require.Equal(t, events.ReceiptNumber("s001-r01-2-000003"), till.sell())
	till.arrived()
	findings, err := w.hq.Findings(t.Context())
	require.NoError(t, err)
	require.Empty(t, findings)
}

// Where head office was lost and set up anew it signs with another key, and no register goes by
// that until someone activates it with a code of the new one.
func TestActivationAtAnotherHeadOffice(t *testing.T) {
	w := newWorld(t)
	till := w.activated("r01")
	activated := time.Now()
	marked := func() {
		t.Helper()
		require.Eventually(t, func() bool {
			s, err := till.Status(t.Context())
			require.NoError(t, err)
			return s.HQ.Marked == s.Head.Sequence
		}, soon, 50*time.Millisecond)
	}
	marked()
	key := w.hq.Key()
	require.NoError(t, till.Close())
	require.NoError(t, w.hq.Close())
	require.NoError(t, os.RemoveAll(filepath.Join(w.dir, "hq")))
	w.open()
	require.NotEqual(t, key, w.hq.Key())
	require.Eventually(t, func() bool { return time.Now().Unix() > activated.Unix()+1 }, soon, 10*time.Millisecond) // credentials have their second

	code, bootstrap := w.code("r01", time.Hour)
	till.config = func(c *register.Config) { c.Bootstrap = bootstrap }
	till.open()
	till.linked(true)
	till.must(707, fmt.Sprintf(`{"code":%q}`, code))
	till.sell()
	marked()
	require.NoError(t, till.Close())
	till.open()
	till.sell()
	marked()
}
