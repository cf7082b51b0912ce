package hq

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/posnode/posnode/embedded"
	"github.com/posnode/posnode/events"
)

// RegisterStatus is how one register stands at head office. It is about its newest
// epoch, but for Missing and Open, which are about all.
type RegisterStatus struct {
	Register string `json:"register"`
	Epoch    int    `json:"epoch"`
	// Mode is the one of the newest entry received that changed it, with its cause and since when; before
	// there is one, that of the first entry, without a cause. "" where neither has come.
	Mode      events.Mode `json:"mode"`
	Cause     string      `json:"cause"`
	ModeSince string      `json:"mode_since"`
	// LastContact is when the register last announced itself to this instance; where it
	// has not since the start, when its last entry came.
	LastContact time.Time `json:"last_contact,omitzero"`
	Silent      bool      `json:"silent"`    // it has not announced itself for a while
	Announced   uint64    `json:"announced"` // entries that the register says it has
	Received    uint64    `json:"received"`  // entries held, counted once
	Verified    uint64    `json:"verified"`  // without a gap from the first, chained and signed
	Marked      uint64    `json:"marked"`    // countersigned, as far as this instance knows
	// Missing are the gaps behind which something was received, and what was
	// announced and has not come; the oldest first, at most a few.
	Missing []events.Range `json:"missing"`
	// ClockDifference is the register's clock less head office's, as last announced, with the time that took.
	ClockDifference time.Duration `json:"clock_difference_ns"`
	Version         string        `json:"version"`
	// Reference is up to when the register's reference data is known to be head office's, as last announced.
	Reference time.Time `json:"reference,omitzero"`
	Open      int       `json:"open_findings"`
	// Inactivated says that the register sells no more, by operation 708, and that everything before that is here.
	Inactivated bool           `json:"inactivated"`
	Frozen      *events.Freeze `json:"frozen,omitempty"`
	// UnverifiedSince is since when something that the register announced has not been verified, as far as
	// anyone has asked this instance; absent where all is.
	UnverifiedSince time.Time `json:"unverified_since,omitzero"`
	// Certified is the last business date that was certified; "" for none.
	Certified string `json:"certified"`
}

// Totals are figures of head office as a whole.
type Totals struct {
	At          time.Time      // by head office's clock
	Open        map[string]int // open findings by kind
	Exceptions  int
	Quarantined int  // journals that are over before their time
	Answering   bool // what registers ask: all that was stored has been read
}

// Totals counts what stands in hq.db.
func (h *HQ) Totals(ctx context.Context) (Totals, error) {
	t := Totals{At: h.cfg.Clock(), Open: map[string]int{}}
	rows, err := h.db.db.QueryContext(ctx, `SELECT kind, count(*) FROM findings WHERE resolved = '' GROUP BY kind`)
	if err != nil {
		return t, err
	}
	defer rows.Close()
	for rows.Next() {
		var kind string
		var open int
		if err := rows.Scan(&kind, &open); err != nil {
			return t, err
		}
		t.Open[kind] = open
	}
	if err := errorsOf(rows); err != nil {
		return t, err
	}
	err = h.db.db.QueryRowContext(ctx, `SELECT (SELECT count(*) FROM exceptions), (SELECT count(*) FROM quarantined)`).Scan(&t.Exceptions, &t.Quarantined)
	select {
	case <-h.whole:
		t.Answering = true
	default:
	}
	return t, err
}

// Registers lists how every register stands that was ever heard of, by name.
func (h *HQ) Registers(ctx context.Context) ([]RegisterStatus, error) {
	newest, err := h.newestEpochs(ctx)
	if err != nil {
		return nil, err
	}
	var all []RegisterStatus
	for r, epoch := range newest {
		s, err := h.registerStatus(ctx, embedded.JournalName{Register: r, Epoch: epoch})
		if err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	slices.SortFunc(all, func(a, b RegisterStatus) int { return cmp.Compare(a.Register, b.Register) })
	return all, nil
}

// newestEpochs are all registers that were ever heard of, with their last epoch.
func (h *HQ) newestEpochs(ctx context.Context) (map[events.Register]int, error) {
	names, err := journalNames(ctx, h.db.db, ``)
	if err != nil {
		return nil, err
	}
	newest := map[events.Register]int{}
	for _, name := range append(names, h.node.Journals()...) {
		newest[name.Register] = max(newest[name.Register], name.Epoch)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for r, c := range h.heard {
		newest[r] = max(newest[r], c.Epoch)
	}
	return newest, nil
}

func (h *HQ) registerStatus(ctx context.Context, name embedded.JournalName) (RegisterStatus, error) {
	s := RegisterStatus{Register: name.Register.String(), Epoch: name.Epoch, Missing: []events.Range{}, Silent: true}
	j, err := readJournal(ctx, h.db.db, name)
	if err != nil {
		return s, err
	}
	reached := uint64(0)
	if j != nil {
		s.Mode, s.Cause, s.ModeSince, s.LastContact = j.mode.mode, j.mode.cause, j.mode.when, j.arrived
		for _, r := range j.runs {
			s.Received += r.last - r.first + 1
		}
		reached = j.runs.reached()
	}
	head, err := h.db.head(ctx, name)
	if err != nil {
		return s, err
	}
	s.Verified = head.Sequence
	if s.Missing, err = h.db.missing(ctx, name.Register); err != nil {
		return s, err
	}
	if s.Frozen, err = quarantined(ctx, h.db.db, name); err != nil {
		return s, err
	}
	err = h.db.db.QueryRowContext(ctx, `SELECT (SELECT count(*) FROM findings WHERE register = ?1 AND resolved = ''), (SELECT coalesce(max(date), '') FROM certificates WHERE register = ?1),
			EXISTS (SELECT 1 FROM inactivated WHERE register = ?1 AND epoch = ?2)`,
		s.Register, s.Epoch).Scan(&s.Open, &s.Certified, &s.Inactivated)
	if err != nil {
		return s, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	s.Marked = h.marks[name].head.Sequence
	if c := h.heard[name.Register]; c != nil && c.Epoch == name.Epoch {
		s.LastContact, s.Announced, s.Version = c.heard, c.Sequence, c.Version
		s.Reference = c.Reference
		s.Silent = h.cfg.Clock().Sub(c.heard) >= silent
		s.ClockDifference = c.Time.Sub(c.heard)
		s.UnverifiedSince = c.unverifiedSince(s.Verified, h.cfg.Clock())
	}
	if s.Announced > reached {
		s.Missing = append(s.Missing, events.Range{Epoch: name.Epoch, From: reached + 1, To: s.Announced})
	}
	s.Silent = s.Silent && !s.Inactivated                                                 // nobody waits for it
	s.Missing = append([]events.Range{}, s.Missing[:min(len(s.Missing), askedRanges)]...) // not null
	return s, nil
}
