package hq

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/posnode/posnode/embedded"
	"github.com/posnode/posnode/events"
)

// contact is what this instance has heard of a register since it started.
type contact struct {
	events.Announcement // the last one
	heard               time.Time
	spoke               map[string]time.Time // when each instance last spoke, by its own clock
	speaker             string               // the instance that spoke last
	turns               int                  // how often one spoke again after another had
	suspicion           *events.Freeze       // what the announcements alone prove
	told                []events.Head        // the ends of earlier epochs that are kept
	refused             int                  // the epoch that it announced last, where head office has not given that; else 0
	lagging, behind     struct {
		at    uint64    // entry that head office holds last
		since time.Time // how long that has not moved although more was announced, or had been signed
	}
	unverified struct {
		sequence uint64    // was announced
		since    time.Time // and not verified since it was first looked at
	}
}

const (
	// tailAfter is how long what was announced may take to come, before it is asked for: a
	// source of the server may take up to 40 s to go on by itself.
	tailAfter = 45 * time.Second
	// behindAfter is how long an instance may lack what has been signed, before it is lost: it reads within a second.
	behindAfter = 5 * time.Second
	// asked bounds what is asked for at a time.
	askedEntries = 1000
	askedRanges  = 20
	// clockOff is how far a clock may be off before that is a finding.
	clockOff = 24 * time.Hour
	// maxTurns is how often two instances may speak in turns: an announcement or two of
	// one that is over may come late.
	maxTurns = 4
	// maxSpoke bounds the instances that are remembered of a register.
	maxSpoke = 100
	// maxAnnouncement bounds what a register says at a time, in bytes: a mark, a few names, and the ends of its epochs.
	maxAnnouncement = 8<<10 + embedded.MaxEpoch*130
)

// readAnnouncement reads what a register says. Head office keeps it and acts on it, so it has limits.
func readAnnouncement(raw []byte) (a events.Announcement, err error) {
	switch err = fmt.Errorf("announcement of %d bytes is larger than %d", len(raw), maxAnnouncement); {
	case len(raw) > maxAnnouncement:
	case json.Unmarshal(raw, &a) != nil:
		err = errors.New("announcement is none")
	case a.Epoch < 1 || a.Epoch > embedded.MaxEpoch || a.Sequence > math.MaxInt64:
		err = fmt.Errorf("announcement of entry %d of epoch %d", a.Sequence, a.Epoch)
	case a.Frozen != nil && findingOf[a.Frozen.Kind] == "":
		err = fmt.Errorf("announcement that is frozen by %q", a.Frozen.Kind)
	default:
		err = wrongEarlier(a)
	}
	return a, err
}

// wrongEarlier says what is wrong with the ends of earlier epochs that are announced, nil for nothing.
func wrongEarlier(a events.Announcement) error {
	before := 0
	for _, end := range a.Earlier {
		if end.Epoch <= before || end.Epoch >= a.Epoch || end.Sequence < 1 || end.Sequence > math.MaxInt64 {
			return fmt.Errorf("announcement of entry %d of epoch %d before epoch %d", end.Sequence, end.Epoch, a.Epoch)
		}
		before = end.Epoch
	}
	return nil
}

// overhear has a register's announcement heard, one at a time and the newest last: what one register sends keeps
// nobody from hearing another. While one is being heard the next waits, and is replaced by a newer one.
func (h *HQ) overhear(ctx context.Context, r events.Register, payload []byte) {
	if ctx.Err() != nil {
		return // head office is closing
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	_, busy := h.unheard[r]
	h.unheard[r] = payload
	if busy {
		return
	}
	h.wait.Go(func() {
		for payload, more := h.nextAnnouncement(r); more && ctx.Err() == nil; payload, more = h.nextAnnouncement(r) {
			h.hear(ctx, r, payload)
		}
	})
}

// nextAnnouncement takes the announcement that waits, false for none: then nobody hears the register until its next one.
func (h *HQ) nextAnnouncement(r events.Register) ([]byte, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	payload := h.unheard[r]
	if payload == nil {
		delete(h.unheard, r)
		return nil, false
	}
	h.unheard[r] = nil
	return payload, true
}

// hear notes what a register says of its journals, and begins to receive one that is new.
func (h *HQ) hear(ctx context.Context, r events.Register, payload []byte) {
	a, err := readAnnouncement(payload)
	if err != nil {
		h.cfg.Logger.Warn("announcement cannot be read", "register", r, "error", err)
		return
	}
	journal := embedded.JournalName{Register: r, Epoch: a.Epoch}
	admitted, err := h.admits(ctx, journal)
	if err != nil {
		if ctx.Err() == nil {
			h.cfg.Logger.Warn("announcement could not be compared with what head office has given", "register", r, "error", err)
		}
		return
	}
	h.mu.Lock()
	c := h.heard[r]
	if c == nil {
		c = &contact{spoke: map[string]time.Time{}}
		h.heard[r] = c
	}
	if !admitted {
		said := c.refused > 0
		c.refused = a.Epoch
		h.mu.Unlock()
		if !said {
			h.cfg.Logger.Warn("a register announces an epoch that head office has not given; it is not received", "register", r, "epoch", a.Epoch)
		}
		return
	}
	c.refused = 0
	c.hear(a, h.cfg.Clock())
	known := h.added[journal]
	news := !slices.Equal(c.told, a.Earlier)
	h.mu.Unlock()
	if news {
		if err := h.db.told(ctx, r, a.Earlier, h.cfg.Clock()); err != nil && ctx.Err() == nil {
			h.cfg.Logger.Warn("the epochs that a register announced could not be kept", "register", r, "error", err)
			return // its next announcement tries again
		}
		h.mu.Lock()
		c.told = a.Earlier
		h.mu.Unlock()
	}
	if !known {
		h.add(ctx, journal)
	}
}

// admits says whether an announced epoch is received: the first one, one that head office has given, or one that a
// verified activation record names. Where head office has lost its own journal, or was put back from a backup, it does not
// know what it has given. So it believes one more epoch of a register, until its first entry is verified.
func (h *HQ) admits(ctx context.Context, name embedded.JournalName) (bool, error) {
	h.mu.Lock()
	known := h.added[name]
	h.mu.Unlock()
	if known || name.Epoch == 1 {
		return true, nil
	}
	if given, err := h.db.isGiven(ctx, name); given || err != nil {
		return given, err
	}
	for _, other := range h.node.Journals() {
		if other == name {
			return true, nil
		}
		if other.Register != name.Register || other.Epoch == 1 {
			continue
		}
		given, err := h.db.isGiven(ctx, other)
		if err != nil {
			return false, err
		}
		head, err := h.db.head(ctx, other)
		if err != nil || !given && head.Sequence == 0 {
			return false, err
		}
	}
	return true, nil
}

// add begins to receive a journal.
func (h *HQ) add(ctx context.Context, name embedded.JournalName) {
	h.mu.Lock()
	h.added[name] = true
	h.mu.Unlock()
	if err := h.node.AddJournal(ctx, name.Register, name.Epoch); err != nil && ctx.Err() == nil {
		h.cfg.Logger.Error("journal could not be added", "journal", name, "error", err)
		h.mu.Lock()
		delete(h.added, name) // the next look tries again
		h.mu.Unlock()
	}
}

// addGivenEvery is how soon a journal is received that another instance has given, or an activation record has named.
const addGivenEvery = 2 * time.Second

// addGiven begins to receive every journal that head office must receive, whether its register announces it or not, until ctx ends.
func (h *HQ) addGiven(ctx context.Context) {
	for ctx.Err() == nil {
		given, err := h.db.given(ctx)
		if err != nil && ctx.Err() == nil {
			h.cfg.Logger.Warn("which journals head office has given could not be read", "error", err)
		}
		for _, name := range given {
			h.mu.Lock()
			known := h.added[name]
			h.mu.Unlock()
			if !known {
				h.add(ctx, name)
			}
		}
		select {
		case <-ctx.Done():
		case <-h.gave:
		case <-time.After(addGivenEvery):
		}
	}
}

// hear takes in the next announcement. A journal only grows: one that is shorter at a later
// time was put back. And an instance that was followed by another is over: where the first speaks
// again, later by the clock that the instances of one till share, or both do in turns, they run side by side.
func (c *contact) hear(a events.Announcement, now time.Time) {
	last := c.Announcement
	own, before := c.spoke[a.Instance]
	turn := before && a.Instance != c.speaker && a.Time.After(own)
	later := a.Time.After(last.Time)
	if turn {
		c.turns++
	}
	switch {
	case a.Epoch != last.Epoch:
		c.suspicion, c.turns = nil, 0
		c.unverified.sequence = 0
	case c.suspicion != nil:
	case turn && later && a.Instance != last.Instance, c.turns >= maxTurns:
		c.suspicion = &events.Freeze{Kind: events.FrozenCloned, Why: fmt.Sprintf("two instances, %s and %s, announce the same journal in turns", c.speaker, a.Instance)}
	case a.Sequence < last.Sequence && later:
		c.suspicion = &events.Freeze{Kind: events.FrozenRolledBack, Why: fmt.Sprintf("it announced %d entries, and later %d", last.Sequence, a.Sequence)}
	}
	if len(c.spoke) >= maxSpoke {
		clear(c.spoke)
	}
	c.spoke[a.Instance], c.speaker = a.Time, a.Instance
	if later || a.Epoch > last.Epoch || last.Epoch == 0 {
		c.Announcement = a
	}
	c.heard = now
}

// acknowledge answers an announcement: what head office holds and vouches for, what it
// lacks, and whether the epoch is over.
func (h *HQ) acknowledge(ctx context.Context, r events.Register, question []byte) ([]byte, error) {
	a, err := readAnnouncement(question)
	if err != nil {
		return nil, err
	}
	if !h.beginAnswer(r) {
		return nil, fmt.Errorf("another announcement of %s is being answered", r)
	}
	defer h.endAnswer(r)
	name := embedded.JournalName{Register: r, Epoch: a.Epoch}
	if admitted, err := h.admits(ctx, name); err != nil {
		return nil, err
	} else if !admitted {
		return nil, fmt.Errorf("head office has not given epoch %d of %s: activate the register (operation 707)", a.Epoch, r)
	}
	ack := events.Acknowledgement{Time: h.cfg.Clock().UTC(), Key: h.own.public}
	if ack.Frozen, err = h.judge(ctx, name, a); err != nil {
		return nil, err
	}
	if ack.Mark, err = h.mark(ctx, name, ack.Frozen != nil); err != nil {
		return nil, err
	}
	if ack.Missing, err = h.ask(ctx, name, a); err != nil {
		return nil, err
	}
	if err := h.checkClock(ctx, name, a.Time, ack.Time); err != nil {
		return nil, err
	}
	if ack.HandedOver, err = h.db.handedOver(ctx, name); err != nil {
		return nil, err
	}
	open, err := h.db.findings(ctx, `WHERE register = ? AND resolved = '' ORDER BY id LIMIT 10`, r.String())
	if err != nil {
		return nil, err
	}
	for _, f := range open {
		ack.Findings = append(ack.Findings, fmt.Sprintf("%s at %d/%d: want %s, got %s", f.Kind, f.Epoch, f.Sequence, f.Want, f.Got))
	}
	return json.Marshal(ack)
}

// beginAnswer says whether a register's announcement can be answered now: one at a time, so that
// what one register asks takes no place from others.
func (h *HQ) beginAnswer(r events.Register) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.answering[r] {
		return false
	}
	h.answering[r] = true
	return true
}

func (h *HQ) endAnswer(r events.Register) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.answering, r)
}

// judge says whether the announced epoch is over, and records it where that is new.
func (h *HQ) judge(ctx context.Context, name embedded.JournalName, a events.Announcement) (*events.Freeze, error) {
	frozen, err := quarantined(ctx, h.db.db, name)
	if frozen != nil || err != nil {
		return frozen, err
	}
	fact, err := h.suspect(ctx, name, a)
	if fact == nil || err != nil {
		return nil, err
	}
	_, err = h.record(ctx, func(ctx context.Context, tx *sql.Tx, _ events.Head) (events.Fact, error) {
		if already, err := quarantined(ctx, tx, name); already != nil || err != nil {
			return nil, err
		}
		return fact, nil
	})
	if err != nil {
		return nil, err
	}
	h.cfg.Logger.Warn("an epoch of a register has two histories and is quarantined", "journal", name, "kind", fact.Kind, "want", fact.Want, "got", fact.Got)
	return quarantined(ctx, h.db.db, name)
}

// suspect is what an announcement gives away: nil where it agrees with what is held.
func (h *HQ) suspect(ctx context.Context, name embedded.JournalName, a events.Announcement) (*events.RegisterQuarantined, error) {
	fact := &events.RegisterQuarantined{Of: name.Register, Epoch: name.Epoch, Sequence: a.Sequence, Got: fmt.Sprintf("%d entries, the last %s", a.Sequence, a.Hash)}
	held, err := h.db.hashAt(ctx, name, a.Sequence)
	if err != nil {
		return nil, err
	}
	head, err := h.db.head(ctx, name)
	if err != nil {
		return nil, err
	}
	fact.Want = fmt.Sprintf("%d entries, the last %s", head.Sequence, head.Hash)
	if held != nil && *held != a.Hash {
		fact.Kind = events.FrozenForked
		if head.Sequence > a.Sequence {
			fact.Kind = events.FrozenRolledBack
		}
		return fact, nil
	}
	frozen := a.Frozen
	h.mu.Lock()
	if c := h.heard[name.Register]; frozen == nil && c != nil && c.Epoch == name.Epoch {
		frozen = c.suspicion
	}
	h.mu.Unlock()
	if frozen == nil {
		return nil, nil
	}
	fact.Kind = frozen.Kind
	fact.Got += "; " + frozen.Why
	return fact, nil
}

// findingOf is the kind of finding for each way in which an epoch can be over.
var findingOf = map[string]string{events.FrozenRolledBack: KindRollback, events.FrozenForked: KindFork, events.FrozenCloned: KindClone}

// foldQuarantine takes a quarantine into hq.db, with its finding.
func foldQuarantine(ctx context.Context, tx *sql.Tx, e *events.Entry, f *events.RegisterQuarantined) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO quarantined VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING`,
		f.Of.String(), f.Epoch, f.Kind, fmt.Sprintf("At entry %d head office holds %s, and the register has %s.", f.Sequence, f.Want, f.Got))
	if err != nil {
		return err
	}
	return note(ctx, tx, Finding{Register: f.Of.String(), Epoch: f.Epoch, Sequence: f.Sequence, Kind: findingOf[f.Kind], Want: f.Want, Got: f.Got, Found: e.Envelope.Time})
}

// quarantined says why an epoch is over, nil where it is not.
func quarantined(ctx context.Context, q querier, name embedded.JournalName) (*events.Freeze, error) {
	var f events.Freeze
	err := q.QueryRowContext(ctx, `SELECT kind, why FROM quarantined WHERE register = ? AND epoch = ?`, name.Register.String(), name.Epoch).Scan(&f.Kind, &f.Why)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return &f, nil
}

// movesNothing says why a register may not move for a transaction what head office keeps: the epoch that the transaction's
// number names is over, or the one in which the register was let in last, whatever the number says. nil where it may.
func movesNothing(ctx context.Context, q querier, r events.Register, t events.TransactionID) (*events.NotGranted, error) {
	var why string
	err := q.QueryRowContext(ctx, `SELECT why FROM quarantined WHERE register = ?1 AND (epoch = CAST(substr(?2, length(?1) + 2) AS INTEGER)
		OR epoch >= (SELECT coalesce(max(json_extract(fact, '$.begins')), 0) FROM enrolled WHERE register = ?1)) ORDER BY epoch DESC LIMIT 1`, r.String(), string(t)).Scan(&why)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	return frozen(why), err
}

// frozen is the answer to a register in an epoch that is over: what the register itself says once it has heard of it.
func frozen(why string) *events.NotGranted {
	return &events.NotGranted{
		Code: "register_frozen", Why: "Head office knows another history of this register, so that it moves and confirms nothing there any more. " + why,
		Instead: "Activate the register anew (operation 707), and sell at another register.",
	}
}

// checkClock notes a clock that is days apart, and that it is right again.
func (h *HQ) checkClock(ctx context.Context, name embedded.JournalName, theirs, ours time.Time) error {
	off := theirs.Sub(ours)
	open, err := h.db.findings(ctx, `WHERE register = ? AND kind = 'clock' AND resolved = ''`, name.Register.String())
	if err != nil {
		return err
	}
	got := fmt.Sprintf("%+d days", int(off/clockOff))
	wrong := off.Abs() >= clockOff
	for _, f := range open {
		if wrong && f.Got == got && f.Epoch == name.Epoch {
			return nil
		}
		if _, err := h.db.db.ExecContext(ctx, `UPDATE findings SET resolved = ?, how = 'the clock was set' WHERE id = ?`, stamp(ours), f.ID); err != nil {
			return err
		}
	}
	if !wrong {
		return nil
	}
	return note(ctx, h.db.db, Finding{Register: name.Register.String(), Epoch: name.Epoch, Kind: KindClock, Want: "a clock less than a day off", Got: got, Found: stamp(ours)})
}

// ask is what head office wants to have once more from the register of a journal.
func (h *HQ) ask(ctx context.Context, name embedded.JournalName, a events.Announcement) ([]events.Range, error) {
	h.mu.Lock()
	full := h.full[name.Register]
	h.mu.Unlock()
	if full || !h.level(name.Register) {
		return nil, nil // it would not be taken; or what is there is still being read
	}
	missing, err := h.db.missing(ctx, name.Register)
	if err != nil {
		return nil, err
	}
	j, err := readJournal(ctx, h.db.db, name)
	if err != nil {
		return nil, err
	}
	reached := uint64(0)
	if j != nil {
		reached = j.runs.reached()
	}
	signed, err := h.checkBehind(ctx, name, a, reached)
	if err != nil {
		return nil, err
	}
	if signed > reached {
		missing = append(missing, events.Range{Epoch: name.Epoch, From: reached + 1, To: signed})
	} else if a.Frozen == nil && h.lags(name.Register, a, reached) {
		missing = append(missing, events.Range{Epoch: name.Epoch, From: reached + 1, To: a.Sequence})
	}
	return few(missing), nil
}

// few are the first of the ranges, of so many entries as can be sent at a time.
func few(all []events.Range) (out []events.Range) {
	left := uint64(askedEntries)
	for _, r := range all {
		if left == 0 || len(out) == askedRanges {
			break
		}
		r.To = min(r.To, r.From+left-1)
		left -= r.Len()
		out = append(out, r)
	}
	return out
}

// lags says whether what was announced should have come by now.
func (h *HQ) lags(r events.Register, a events.Announcement, reached uint64) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	c := h.heard[r]
	if c == nil {
		return false
	}
	if a.Sequence <= reached || reached != c.lagging.at || c.lagging.since.IsZero() {
		c.lagging.at, c.lagging.since = reached, h.cfg.Clock()
	}
	return a.Sequence > reached && h.cfg.Clock().Sub(c.lagging.since) >= h.cfg.tailAfter
}

// unverifiedSince is since when something that was announced has not been verified, as far as anyone
// has looked; zero where all of it is.
func (c *contact) unverifiedSince(verified uint64, now time.Time) time.Time {
	if c.Sequence <= verified {
		return time.Time{}
	}
	if c.unverified.sequence <= verified {
		c.unverified.sequence, c.unverified.since = c.Sequence, now
	}
	return c.unverified.since
}

// staysBehind says whether head office has held no more of a journal for a while: another instance may have signed
// what this one has still to read, which takes a moment.
func (h *HQ) staysBehind(r events.Register, reached uint64) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	c, now := h.heard[r], h.cfg.Clock()
	if c == nil {
		return true
	}
	if c.behind.since.IsZero() || c.behind.at != reached {
		c.behind.at, c.behind.since = reached, now
	}
	return now.Sub(c.behind.since) >= behindAfter
}

// checkBehind compares what head office holds with the mark that the register keeps. A
// mark of ours for more than we hold says that head office has lost something; it returns up to where.
func (h *HQ) checkBehind(ctx context.Context, name embedded.JournalName, a events.Announcement, reached uint64) (signed uint64, err error) {
	if a.Mark == "" {
		return 0, nil
	}
	mark, err := openMark(a.Mark, h.own.public, name)
	if err != nil {
		return 0, nil // not ours: who made it up gets no more than an answer
	}
	if mark.Sequence > reached {
		if !h.staysBehind(name.Register, reached) {
			return 0, nil
		}
		return mark.Sequence, note(ctx, h.db.db, Finding{
			Register: name.Register.String(), Epoch: name.Epoch, Sequence: mark.Sequence, Kind: KindHQBehind,
			Want: fmt.Sprintf("%d entries, as head office has signed", mark.Sequence), Got: "fewer", Found: stamp(h.cfg.Clock()),
		})
	}
	_, err = h.db.db.ExecContext(ctx, `UPDATE findings SET resolved = ?, how = 'received again' WHERE register = ? AND epoch = ? AND kind = 'hq_behind' AND resolved = '' AND sequence <= ?`,
		stamp(h.cfg.Clock()), name.Register.String(), name.Epoch, reached)
	return 0, err
}
