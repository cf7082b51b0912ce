package register

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/argon2"

	"github.com/posnode/posnode/events"
	"github.com/posnode/posnode/ledger"
)

// Cost of a PIN's hash: the smallest that OWASP recommends for argon2id, for a
// till checks it while a cashier waits.
const (
	pinMemory  = 19 * 1024 // KiB
	pinPasses  = 2
	pinThreads = 1
	pinKeySize = 32
)

// HashPIN is the form in which a PIN stands in the reference data: argon2id in PHC string format.
func HashPIN(pin string) string {
	salt := []byte(rand.Text())[:16]
	key := argon2.IDKey([]byte(pin), salt, pinPasses, pinMemory, pinThreads, pinKeySize)
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, pinMemory, pinPasses, pinThreads,
		base64.RawStdEncoding.EncodeToString(salt), base64.RawStdEncoding.EncodeToString(key))
}

// checkPIN says whether pin is the one that was hashed. A hash that cannot be read matches nothing.
func checkPIN(hash, pin string) bool {
	var version, memory, passes, threads uint32
	fields := strings.Split(hash, "$")
	if len(fields) != 6 || fields[1] != "argon2id" {
		return false
	}
	if _, err := fmt.Sscanf(fields[2]+" "+fields[3], "v=%d m=%d,t=%d,p=%d", &version, &memory, &passes, &threads); err != nil {
		return false
	}
	salt, err := base64.RawStdEncoding.DecodeString(fields[4])
	if err != nil || version != argon2.Version || memory > 1<<20 || passes < 1 || passes > 100 || threads < 1 || threads > 255 {
		return false
	}
	want, err := base64.RawStdEncoding.DecodeString(fields[5])
	if err != nil || len(want) == 0 {
		return false
	}
	got := argon2.IDKey([]byte(pin), salt, passes, memory, uint8(threads), uint32(len(want)))
	return subtle.ConstantTimeCompare(got, want) == 1
}

const (
	// pinChecks are checked at a time, each in 19 MiB.
	pinChecks = 2
	// pinWait is how long a command waits for its turn.
	pinWait = 2 * time.Second
)

var (
	errPINsBusy = &ledger.Refusal{
		Code: "pin_checks_busy", Why: "Too many PINs are being checked at once.", Instead: "Try again in a moment.",
	}
	errPINsThrottled = &ledger.Refusal{
		Code: "pin_checks_throttled", Why: "Too many wrong PINs were given at this register.", Instead: "Wait a few seconds, and try again.",
	}
)

// pinChecked is what came of checking a PIN: whether it is the one that was hashed.
type pinChecked struct {
	hash  string
	right bool
}

// pinOf returns the hash of a record's PIN.
func pinOf(record any) (hash string, known bool) {
	switch of := record.(type) {
	case ledger.StaffMember:
		return of.PIN, true
	case ledger.GiftCard:
		return of.PIN, true
	}
	return "", false
}

// nobodysPIN is a hash that no PIN matches. It costs what others cost, so that the time of a check
// does not tell whether there is such a number.
var nobodysPIN = fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, pinMemory, pinPasses, pinThreads,
	base64.RawStdEncoding.EncodeToString(make([]byte, 16)), base64.RawStdEncoding.EncodeToString(make([]byte, pinKeySize)))

// checkPINs checks the PINs that a command gives before the owner sees it, for that takes long on
// purpose: by the records that the Retail Server has, or offline the offline database. The
// owner judges by the records on which it decides (judgePINs); these are the same as a rule.
func (r *Register) checkPINs(ctx context.Context, p *request, c ledger.Command) error {
	given := slices.DeleteFunc(ledger.GivenPINs(c), func(g ledger.GivenPIN) bool { return r.View().lockedOut(g.Query, c.At) })
	if len(given) == 0 {
		return nil
	}
	var queries []ledger.Query
	for _, g := range given {
		queries = append(queries, g.Query)
	}
	if !r.pins.take() {
		return errPINsThrottled
	}
	p.taken = true
	known, err := r.lookPrepared(ctx, p, queries)
	if err != nil {
		r.pins.giveBack()
		return err
	}
	if err := r.pins.wait(ctx); err != nil {
		r.pins.giveBack()
		return err
	}
	defer r.pins.done()
	p.checked = map[ledger.GivenPIN]pinChecked{}
	for _, g := range given {
		if r.View().lockedOut(g.Query, c.At) {
			continue // it was locked while this waited
		}
		hash, _ := pinOf(known[g.Query].record)
		if hash == "" {
			_ = checkPIN(nobodysPIN, g.PIN)
		}
		p.checked[g] = pinChecked{hash, checkPIN(hash, g.PIN)}
	}
	return nil
}

// judgePINs says of each PIN whether it is right, by the records on which the command is decided.
func (r *Register) judgePINs(c *ledger.Command, checked map[ledger.GivenPIN]pinChecked) {
	for _, g := range ledger.GivenPINs(*c) {
		hash, known := pinOf(c.Reference.Found[g.Query])
		if !known || hash == "" || r.state.LockedUntil(g.Query) > c.At {
			c.Judge(g.Role, false)
			continue
		}
		done, ok := checked[g]
		if !ok || done.hash != hash { // the record is another one than when it was checked
			done = pinChecked{hash, checkPIN(hash, g.PIN)}
			if checked != nil {
				checked[g] = done
			}
		}
		c.Judge(g.Role, done.right)
	}
}

// Wrong PINs at a register, of all numbers together: what the lock of one number does not stop is
// trying one PIN with all of them. So many can come at once, and one more each pinEvery.
const (
	pinsAtOnce  = 20
	pinsAtStart = 10
	pinEvery    = 6 * time.Second
)

// pinGate bounds how many PINs are checked at a time, and how many can be wrong.
type pinGate struct {
	slots chan struct{}

	mu    sync.Mutex
	left  float64 // PINs that can be wrong now
	since time.Time
}

func newPINGate() *pinGate {
	return &pinGate{slots: make(chan struct{}, pinChecks), left: pinsAtStart, since: time.Now()}
}

// take takes the right to give a wrong PIN, and says whether there was one.
func (g *pinGate) take() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := time.Now()
	g.left = min(pinsAtOnce, g.left+float64(now.Sub(g.since))/float64(pinEvery))
	g.since = now
	if g.left < 1 {
		return false
	}
	g.left--
	return true
}

// giveBack is for a PIN that was not wrong.
func (g *pinGate) giveBack() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.left = min(pinsAtOnce, g.left+1)
}

// wait waits for its turn to check PINs. Who has had it calls done.
func (g *pinGate) wait(ctx context.Context) error {
	late := time.NewTimer(pinWait)
	defer late.Stop()
	select {
	case g.slots <- struct{}{}:
		return nil
	case <-late.C:
		return errPINsBusy
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", ErrNotBegun, ctx.Err())
	}
}

func (g *pinGate) done() { <-g.slots }

// lookPrepared asks for a command that the owner does not have yet. That a request did
// not succeed is for the owner to record; the offline database has answered then.
func (r *Register) lookPrepared(ctx context.Context, p *request, queries []ledger.Query) (map[ledger.Query]held, error) {
	offline := offlineSource{r.reference}
	store, err := r.settings(ctx)
	if err != nil || r.View().Mode != events.Online {
		return offline.look(ctx, queries...) // without settings the owner says what is missing
	}
	p.online = r.online(timeout(store.Profile))
	known, err := p.online.look(context.WithoutCancel(ctx), queries...)
	p.online.pause()
	if failed, ok := errors.AsType[*lost](err); ok {
		p.failed = failed
		return offline.look(ctx, queries...)
	}
	return known, err
}
