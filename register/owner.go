package register

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/posnode/posnode/embedded"
	"github.com/posnode/posnode/events"
	"github.com/posnode/posnode/ledger"
	"github.com/posnode/posnode/projections"
)

// Request is one operation that a client wants.
type Request struct {
	Operation int
	Key       events.CommandKey // the client's idempotency key
	Body      []byte            // a JSON object of parameters
	Staff     events.StaffID    // whose session it is; "" for none
}

// request is a prepared command on its way to the owner.
type request struct {
	ctx     context.Context
	command ledger.Command
	online  *onlineSource // what was asked while it was prepared; nil for nothing, until the owner takes it up
	failed  error         // that was asked then, and did not succeed
	checked map[ledger.GivenPIN]pinChecked
	taken   bool // the right to give a wrong PIN
	answer  chan<- outcome
}

type outcome struct {
	answer ledger.Answer
	err    error
}

// Do carries an operation out and answers once it is on disk. A rule that says
// no is a *[ledger.Refusal]. After any other error the outcome is unknown: the
// same request with the same key tells, now or after a restart.
func (r *Register) Do(ctx context.Context, req Request) (ledger.Answer, error) {
	prepared, err := r.prepare(ctx, req)
	if r.running.Err() != nil {
		return ledger.Answer{}, fmt.Errorf("%w: %w", ErrNotBegun, ErrClosed)
	}
	if err != nil {
		return ledger.Answer{}, err
	}
	answer := make(chan outcome, 1)
	prepared.ctx, prepared.answer = ctx, answer
	select {
	case r.commands <- prepared:
	case <-ctx.Done():
		return ledger.Answer{}, fmt.Errorf("%w: %w", ErrNotBegun, ctx.Err())
	case <-r.running.Done():
		// The owner may be in the middle of its last command; it takes no other.
		return ledger.Answer{}, fmt.Errorf("%w: %w", ErrNotBegun, ErrClosed)
	}
	// Begun is not given up: the owner finishes it whether or not the client still waits.
	out := <-answer
	return out.answer, out.err
}

// ErrNotBegun says that the command was not begun, because the client gave up or the register was closed.
var ErrNotBegun = errors.New("not begun")

// ErrClosed says that the register was closed.
var ErrClosed = errors.New("register is closed")

// prepare gathers what deciding the command needs and does not depend on the
// state, while the owner may be busy with another.
func (r *Register) prepare(ctx context.Context, req Request) (p request, err error) {
	input, err := ledger.ParseInput(req.Body)
	if err != nil {
		return p, err
	}
	c := ledger.Command{Operation: req.Operation, Key: req.Key, Input: input, Staff: req.Staff}
	now := r.cfg.Clock()
	local := now.In(r.cfg.Zone)
	_, ahead := local.Zone()
	c.Date, c.At, c.Offset = local.Format(time.DateOnly), now.Unix(), ahead/60
	if err := r.checkPINs(ctx, &p, c); err != nil {
		return p, err
	}
	c.Prior, err = r.offline.Prior(ctx, c.Key)
	if errors.Is(err, projections.ErrDamaged) {
		r.projector.noteDamage()
		err = errStalled
	}
	p.command = c
	return p, err
}

// errStalled is no damage to the journal: the offline database is behind, or is being built anew.
var errStalled = &ledger.Refusal{
	Code: "offline_database_stalled", Why: "The offline database has fallen behind the journal.", Instead: "Try again in a moment.",
}

// own is the owner: the one goroutine that touches the state and the journal.
func (r *Register) own(ctx context.Context) {
	link := time.NewTimer(lookEvery)
	defer link.Stop()
	for {
		select {
		case <-ctx.Done():
			r.projector.close()
			return
		case req := <-r.commands:
			answer, err := r.carryOut(req)
			req.answer <- outcome{answer, err}
		case look := <-r.looks:
			look(r.state)
		case <-r.reopened:
			r.resume(ctx)
		case <-link.C:
			link.Reset(r.lookAtLink(ctx))
		}
	}
}

// needsActivation says that the register belongs to a head office and has nothing but an activation to be let in by.
func (r *Register) needsActivation() bool { return r.cfg.HQ != "" && r.cfg.Creds == "" }

// carryOut is the append path: decide, append, apply, answer.
func (r *Register) carryOut(req request) (ledger.Answer, error) {
	// The client may have gone; what it asked for is finished all the same.
	ctx, c := context.WithoutCancel(req.ctx), req.command
	wrong := false // a PIN that it gives
	defer func() {
		if req.taken && !wrong {
			r.pins.giveBack()
		}
	}()
	damage := r.Damage()
	c.Frozen = damage != nil
	if damage != nil && c.Operation != 707 {
		return ledger.Answer{}, damaged(damage)
	}
	if r.failure.Load() != nil {
		return ledger.Answer{}, errStorage()
	}
	if r.projector.full() {
		return ledger.Answer{}, errStalled
	}
	c.NeedsActivation = r.needsActivation()
	if !c.Frozen { // how it comes not to be needs no reference data
		if err := r.needReference(ctx, c.Operation); err != nil {
			return ledger.Answer{}, err
		}
	}
	var err error
	if c.Reference.Store, err = r.settings(ctx); err != nil {
		return ledger.Answer{}, err
	}
	if req.online == nil { // else its time has begun to run
		req.online = r.online(timeout(c.Reference.Store.Profile))
	}
	if !c.Frozen {
		if err := r.beforehand(ctx, req); err != nil {
			return ledger.Answer{}, err
		}
	}
	c.LinkDown = r.cfg.HQ == "" || !r.linked()
	if c.Operation == 708 {
		if c.Unsent, err = r.node.Unsent(ctx); err != nil {
			return ledger.Answer{}, err
		}
	}
	c.Misses = r.misses
	r.untold.Tell(&c)
	decision, err := r.decide(ctx, &c, req)
	if err != nil {
		r.misses = ledger.CountMisses(r.misses, nil, err)
		refusal, ok := errors.AsType[*ledger.Refusal](err)
		wrong = ok && r.untold.Refused(r.state, c, refusal.Code)
		return ledger.Answer{}, err
	}
	if decision.Fact == nil {
		return r.answerAgain(ctx, c.Key, decision.Repeated)
	}
	circumstances := events.Circumstances{
		Operation: c.Operation, Command: c.Key, Staff: c.Staff, Approver: decision.Approver, Shift: r.shift(decision.Fact),
	}
	_, card := decision.Fact.(*events.CardRequested)
	if card {
		circumstances.Command = "" // the entry with the terminal's answer is the one that answers the command
	}
	entry, err := r.append(ctx, decision.Fact, circumstances)
	if err == nil {
		r.misses = ledger.CountMisses(r.misses, decision.Fact, nil)
	}
	if err == nil && card {
		entry, err = r.settleCard(ctx, false)
	}
	if err != nil {
		return ledger.Answer{}, err
	}
	wrong = r.untold.Recorded(c, decision.Fact, decision.Approver)
	return ledger.AnswerOf(entry)
}

// decide decides a command, and has head office carry out its part. Where that does not answer the
// register is offline from there on, and decides the same command again.
func (r *Register) decide(ctx context.Context, c *ledger.Command, req request) (ledger.Decision, error) {
	for {
		if err := r.consult(ctx, c, req); err != nil {
			return ledger.Decision{}, err
		}
		decision, err := ledger.Decide(r.state, *c)
		if err != nil || decision.Fact == nil {
			return decision, err
		}
		err = r.atHQ(ctx, *c, decision.Fact, req.online)
		lost, ok := errors.AsType[*unheard](err)
		if !ok {
			return decision, err
		}
		if err := r.goOffline(ctx, lost.error, c.Reference.Store.Profile); err != nil {
			return ledger.Decision{}, err
		}
	}
}

// beforehand settles what an operation finds unsettled: a switch to be thrown, a card terminal that has not
// answered. A register that was never let in has neither.
func (r *Register) beforehand(ctx context.Context, req request) error {
	if r.unborn() {
		return nil
	}
	if err := r.throwSwitch(ctx, req); err != nil {
		return err
	}
	return r.recoverCard(ctx, req.command.Operation)
}

// answerAgain is the answer that a command got when it was carried out, be it in
// an earlier epoch. The offline database has it, unless it is only just recorded.
func (r *Register) answerAgain(ctx context.Context, key events.CommandKey, sequence uint64) (ledger.Answer, error) {
	body, err := r.offline.Command(ctx, key)
	if err != nil {
		return ledger.Answer{}, err
	}
	m := events.Message{Sequence: sequence, Body: body}
	if body == nil {
		if m, err = r.journal.Get(ctx, sequence); err != nil {
			r.noteDamage(err)
			return ledger.Answer{}, err
		}
	}
	entry, err := decode(m)
	if err != nil {
		r.noteDamage(err)
		return ledger.Answer{}, err
	}
	a, err := ledger.AnswerOf(entry)
	a.Repeated = true
	return a, err
}

// shift is the shift that a fact belongs to: the one it is about, or the open one.
func (r *Register) shift(fact events.Fact) events.ShiftID {
	if f, ok := fact.(events.OfShift); ok {
		return f.OfShift()
	}
	if r.state.Shift != nil {
		return r.state.Shift.Shift
	}
	return ""
}

// append makes fact an entry of the journal, and returns it once it is on
// disk and in the state.
func (r *Register) append(ctx context.Context, fact events.Fact, c events.Circumstances) (*events.Entry, error) {
	if r.failure.Load() != nil {
		return nil, errStorage()
	}
	if _, first := fact.(*events.RegisterActivated); !first {
		if err := r.beginJournal(ctx); err != nil {
			return nil, err
		}
	}
	now := r.cfg.Clock()
	c.ID, c.Time, c.Mode = r.ids.next(now), now, r.state.Mode
	if err := r.sign(fact); err != nil {
		return nil, err
	}
	m, entry, err := events.Seal(r.cfg.Register, r.state.Head, c, fact)
	if err != nil {
		return nil, &ledger.Refusal{Code: "entry_too_large", Why: err.Error()}
	}
	// Before this line nothing is on disk: if we die, the client repeats its command and it is new.
	err = r.journal.Append(ctx, r.state.Head.Sequence, m)
	// After it the entry is on disk: if we die, the next start folds it, and the
	// client that repeats its command gets this entry's answer.
	if err != nil {
		cause := err
		if err = r.settle(ctx, m, cause); err != nil {
			r.noteStorage(cause)
			return nil, err
		}
	}
	r.accept(entry, m.Body)
	return entry, nil
}

// accept makes an entry that is on disk part of everything that follows from the journal.
func (r *Register) accept(entry *events.Entry, body []byte) {
	if err := r.state.Apply(entry); err != nil {
		// It is on disk and cannot be folded: a bug, and going on would make it worse.
		panic(fmt.Sprintf("apply what was just decided: %v", err))
	}
	clear(r.unknown)
	// The offline database follows; if we die before it has, the next start catches up.
	stored := projections.Stored{Entry: entry, Body: body}
	r.projector.add(stored)
	r.publish()
	r.watchers.tell(stored)
	switch entry.Fact.(type) {
	case events.Checkpointed, events.Confirmable, *events.DeviceActivated, *events.DeviceInactivated:
		select {
		case r.concluded <- struct{}{}:
		default: // the next announcement is due already
		}
	}
	if r.sinceShot++; r.sinceShot >= snapshotEvery {
		if err := r.writeSnapshot(); err != nil {
			r.cfg.Logger.Warn("the snapshot could not be written", "error", err)
		}
	}
}

// settle finds out what became of an append that did not say that it was stored.
// It returns nil where the entry is in the journal after all.
func (r *Register) settle(ctx context.Context, m events.Message, cause error) error {
	if errors.Is(cause, events.ErrFull) {
		return &ledger.Refusal{
			Code: "journal_full", Why: "There is no room left on this register's disk. Nothing was recorded.",
			Instead: "Free some room; the same operation can then be repeated.",
		}
	}
	// A disk that hangs may still store it, after the time to wait for it is over; and one that failed may have.
	if r.unknown == nil {
		r.unknown = map[string]bool{}
	}
	r.unknown[m.ID] = true
	if errors.Is(cause, embedded.ErrStorage) {
		return fmt.Errorf("%w; whether it is stored shows when the disk is well again", cause)
	}
	last, err := r.journal.Last(ctx)
	if err != nil {
		return fmt.Errorf("%w; and the end of the journal cannot be read: %w", cause, err)
	}
	switch {
	case last == m.Sequence-1:
		return fmt.Errorf("%w; it is not stored so far", cause)
	case last >= m.Sequence:
		stored, err := r.journal.Get(ctx, m.Sequence)
		if err != nil {
			return fmt.Errorf("%w; and entry %d cannot be read: %w", cause, m.Sequence, err)
		}
		if last == m.Sequence && stored.ID == m.ID {
			return nil // it was stored, only its acknowledgement was lost
		}
		if last == m.Sequence && r.unknown[stored.ID] {
			return r.acceptLate(stored, cause)
		}
		err = &events.CorruptError{Sequence: m.Sequence, Kind: "second writer", Want: m.ID, Got: stored.ID, Hint: "something else has written to this journal"}
		r.noteDamage(err)
		return err
	}
	err = &events.CorruptError{Sequence: last + 1, Kind: "truncated", Want: fmt.Sprintf("%d entries", m.Sequence-1), Got: fmt.Sprint(last)}
	r.noteDamage(err)
	return err
}

// acceptLate takes in an entry of our own that was stored after we had given it
// up. What was wanted now was not stored: the client repeats it, and it is decided anew.
func (r *Register) acceptLate(m events.Message, cause error) error {
	entry, err := decode(m)
	if err != nil {
		r.noteDamage(err)
		return err
	}
	r.accept(entry, m.Body)
	return fmt.Errorf("%w; entry %d, given up before, was stored first", cause, m.Sequence)
}

// sign puts a checkpoint of the chain so far into a fact that carries one.
func (r *Register) sign(fact events.Fact) (err error) {
	if f, ok := fact.(events.Checkpointed); ok {
		f.Sign().Checkpoint, err = r.Checkpoint(r.state.Head)
	}
	return err
}

// Checkpoint signs a head of the register's chain.
func (r *Register) Checkpoint(head events.Head) (string, error) {
	return r.identity.checkpoint(head)
}

func (r *Register) writeSnapshot() error {
	raw, err := json.Marshal(r.state)
	if err != nil {
		return err
	}
	r.sinceShot = 0
	return writeSnapshot(r.cfg.Dir, raw)
}
