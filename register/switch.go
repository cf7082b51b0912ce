package register

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/posnode/posnode/embedded"
	"github.com/posnode/posnode/events"
	"github.com/posnode/posnode/ledger"
	"github.com/posnode/posnode/projections"
)

// The switch stands between a command and the two sources that can answer it. It is
// thrown by the owner alone, and each time it is an entry:
//
//   - online, when the link goes or a request does not succeed: offline, at once;
//   - offline, at the beginning of a transaction and no sooner than the profile's interval
//     after the last attempt, when head office answers: online;
//   - by hand, operation 917; what was disconnected by hand stays so until it is connected by hand.

// Causes of a change of mode.
const (
	causeLinkDown     = "link_down"           // there is no connection to head office
	causeNoResponders = "no_responders"       // head office is there, its Retail Server is not
	causeTimeout      = "timeout"             // it is there, and did not answer in time
	causeUntrusted    = "answer_untrusted"    // an answer came that head office did not sign
	causeServer       = "retail_server_error" // it answered that it cannot answer, or nonsense
	causeReconnected  = "reconnected"         // an attempt at the beginning of a transaction
	causeStarted      = "started"             // the first attempt after the register was started
)

// causeOf says why a request did not succeed, in a word and in a sentence.
func causeOf(err error, within time.Duration) (cause, detail string) {
	stranger, distrusted := errors.AsType[*untrusted](err)
	server, answered := errors.AsType[*embedded.ServiceError](err)
	switch {
	case errors.Is(err, embedded.ErrLinkDown):
		return causeLinkDown, "The link to head office is down."
	case errors.Is(err, embedded.ErrNobodyAnswers):
		return causeNoResponders, "Head office is reached, and its Retail Server is not running there."
	case errors.Is(err, embedded.ErrNoAnswer):
		return causeTimeout, fmt.Sprintf("The Retail Server did not answer within %s.", within)
	case distrusted:
		return causeUntrusted, "An answer came that head office did not sign: " + stranger.why + "."
	case answered:
		return causeServer, "The Retail Server is reached and cannot answer: " + shorten(server.What)
	}
	return causeServer, "The Retail Server could not be asked: " + shorten(err.Error())
}

// shorten bounds what a stranger's sentence adds to a fact.
func shorten(s string) string {
	if r := []rune(s); len(r) > 200 {
		return string(r[:200])
	}
	return s
}

// usualTimeout is how long a request may take where the offline profile says nothing.
const usualTimeout = 2 * time.Second

// timeout is how long all that one operation asks of the Retail Server may take.
func timeout(p ledger.Profile) time.Duration {
	if p.TimeoutMillis == 0 {
		return usualTimeout
	}
	return time.Duration(p.TimeoutMillis) * time.Millisecond
}

// interval is from one attempt to reconnect to the next.
func (r *Register) interval(p ledger.Profile) time.Duration {
	if p.ReconnectSeconds == 0 {
		return r.cfg.Reconnect
	}
	return time.Duration(p.ReconnectSeconds) * time.Second
}

// settings are the store's, with this register's own offline profile where it has one.
func (r *Register) settings(ctx context.Context) (ledger.Store, error) {
	store, err := r.reference.Store(ctx)
	if errors.Is(err, projections.ErrNoStore) {
		return store, nil // carryOut has let the operation pass: it needs none
	}
	if err != nil {
		return store, err
	}
	record, found, err := r.reference.Find(ctx, ledger.Query{Kind: "profile", Key: string(r.cfg.Register.ID)})
	if own, ok := record.(ledger.RegisterProfile); ok && found {
		store.Profile = own.Profile
	}
	return store, err
}

// throwSwitch is what comes before an operation, whatever it is: the register is in the
// mode that its link, and what was asked for this operation so far, allow.
func (r *Register) throwSwitch(ctx context.Context, req request) error {
	if err := r.begin(ctx, req.online); err != nil {
		return err
	}
	if err := r.followLink(ctx); err != nil || req.failed == nil {
		return err
	}
	store, err := r.settings(ctx)
	if err != nil {
		return err
	}
	return r.goOffline(ctx, req.failed, store.Profile)
}

// consult fills in what a command asks: from the Retail Server while the register is
// online, and from the offline database where that does not succeed.
func (r *Register) consult(ctx context.Context, c *ledger.Command, req request) (err error) {
	asks := ledger.Asks(r.state, *c)
	// The same records say whether a PIN is right, and what whoever gave it may do.
	look := func(from source) (err error) {
		if c.Reference.Found, err = r.find(ctx, from, asks); err == nil {
			r.judgePINs(c, req.checked)
		}
		return err
	}
	offline := func() error { return look(offlineSource{r.reference}) }
	if r.state.Mode == events.Offline {
		if err := offline(); err != nil {
			return err
		}
		if err := r.connect(ctx, c, req.online); err != nil || r.state.Mode == events.Offline {
			return err
		}
	}
	err = look(req.online)
	if failed, ok := errors.AsType[*lost](err); ok {
		if err := r.goOffline(ctx, failed, c.Reference.Store.Profile); err != nil {
			return err
		}
		return offline()
	}
	return err
}

// connect tries to reach head office where c asks for that (917), or where it begins a
// transaction and an attempt is due. Who disconnected the register by hand connects it again by hand.
func (r *Register) connect(ctx context.Context, c *ledger.Command, online *onlineSource) error {
	profile := c.Reference.Store.Profile
	byHand := ledger.Connects(r.state, *c)
	if r.cfg.HQ == "" || !byHand && (r.state.ManualOffline || !r.due(profile) || !ledger.Begins(r.state, *c)) {
		return nil
	}
	err := r.greet(ctx, online)
	if byHand {
		c.LinkDown = err != nil
		if err != nil {
			_, c.WhyDown = causeOf(err, timeout(profile))
		}
		return nil
	}
	if err != nil {
		return nil // it stays offline; the next attempt is due after the interval
	}
	return r.changeMode(ctx, &events.ModeChanged{To: events.Online, Cause: causeReconnected, Detail: "Head office answers again.", Profile: profile.Version})
}

// due says whether the interval since the last attempt has passed. A clock that went back has no say.
func (r *Register) due(profile ledger.Profile) bool {
	since := r.cfg.Clock().Sub(r.contact.lastAttempt())
	return since < 0 || since >= r.interval(profile)
}

// greet asks head office whether it is there and can read its database.
func (r *Register) greet(ctx context.Context, online *onlineSource) error {
	ctx, cancel := online.deadline(ctx)
	defer cancel()
	var g projections.Greeting
	if err := r.request(ctx, projections.HelloService, nil, &g); err != nil {
		return err
	}
	r.contact.follow(g.Profile)
	return nil
}

// begin decides, before the first operation after a start, in which mode the register
// starts: that of its journal, unless head office says otherwise by answering or not. A
// transaction in progress goes on as it was. Connecting, and asking whether it answers, count against the operation's time.
func (r *Register) begin(ctx context.Context, online *onlineSource) error {
	if r.begun {
		return nil
	}
	r.begun = true
	store, err := r.settings(ctx)
	offline := r.state.Mode == events.Offline
	if err != nil || r.cfg.HQ == "" || offline && (r.state.ManualOffline || r.state.Transaction != nil) {
		return nil // without settings nothing can be done: the operation will say so
	}
	within, done := online.deadline(ctx)
	defer done()
	waiting, cancel := context.WithDeadline(within, r.opened.Add(timeout(store.Profile))) // the link of a start takes a moment
	defer cancel()
	for !r.linked() && waiting.Err() == nil {
		sleep(waiting, 10*time.Millisecond)
	}
	err = r.greet(ctx, online)
	switch {
	case err != nil && !offline:
		return r.goOffline(ctx, err, store.Profile)
	case err == nil && offline:
		return r.changeMode(ctx, &events.ModeChanged{To: events.Online, Cause: causeStarted, Detail: "The register was started, and head office answers.", Profile: store.Profile.Version})
	}
	return nil
}

// followLink goes offline where the link to head office has gone.
func (r *Register) followLink(ctx context.Context) error {
	if r.state.Mode == events.Offline || r.linked() {
		return nil
	}
	store, err := r.settings(ctx)
	if err != nil {
		return err
	}
	return r.goOffline(ctx, embedded.ErrLinkDown, store.Profile)
}

// goOffline records that head office does not answer. The interval before the next attempt runs from here.
func (r *Register) goOffline(ctx context.Context, err error, profile ledger.Profile) error {
	if r.state.Mode == events.Offline {
		return nil
	}
	r.contact.note(r.cfg.Clock(), err)
	fact := &events.ModeChanged{To: events.Offline, Profile: profile.Version}
	if fact.Cause, fact.Detail = causeOf(err, timeout(profile)); fact.Cause == causeTimeout {
		fact.TimeoutMillis = int(timeout(profile).Milliseconds())
	}
	return r.changeMode(ctx, fact)
}

func (r *Register) changeMode(ctx context.Context, fact *events.ModeChanged) error {
	fact.From = r.state.Mode
	if t := r.state.Transaction; t != nil {
		fact.Transaction = t.ID
	}
	_, err := r.append(ctx, fact, events.Circumstances{Shift: r.shift(fact)})
	return err
}

// The link is looked at between operations too, so that the register is offline when it goes and
// not only when it is next used.
const (
	lookEvery     = 250 * time.Millisecond
	lookAfterFail = 10 * time.Second // where the change could not be recorded
	startGrace    = 5 * time.Second  // in which the link has not come up yet
)

// lookAtLink is followLink without anyone waiting. It returns when to look again.
func (r *Register) lookAtLink(ctx context.Context) time.Duration {
	if r.Damage() != nil || r.projector.full() || r.unborn() || r.failure.Load() != nil {
		return lookAfterFail
	}
	if !r.begun && time.Since(r.opened) < startGrace {
		return lookEvery
	}
	if err := r.followLink(ctx); err != nil {
		r.cfg.Logger.Warn("that the link is down could not be recorded", "error", err)
		return lookAfterFail
	}
	return lookEvery
}

// contact is what the register knows of head office, for who asks how it stands.
type contact struct {
	mu        sync.Mutex
	attempted time.Time // the last request; zero for none since the start
	failed    error     // of that request
	answered  time.Time // when it last succeeded
	ahead     time.Duration
	version   string // of head office's program
	profile   string // version of the offline profile that head office has for this register
}

func (c *contact) note(now time.Time, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.attempted, c.failed = now, err
}

// heard keeps what an answer says: head office's clock is compared with the middle of the time that the request took.
func (c *contact) heard(now time.Time, took time.Duration, at time.Time, version string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.answered, c.version = now, version
	if !at.IsZero() {
		c.ahead = at.Sub(now.Add(-took / 2))
	}
}

func (c *contact) follow(profile string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.profile = profile
}

func (c *contact) lastAttempt() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.attempted
}
