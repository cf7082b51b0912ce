package register

import (
	"context"
	"fmt"
	"time"

	"github.com/posnode/posnode/embedded"
	"github.com/posnode/posnode/events"
	"github.com/posnode/posnode/internal/build"
	"github.com/posnode/posnode/ledger"
	"github.com/posnode/posnode/projections"
)

// Status is the connection status page: how the register stands with head office, and
// with what it keeps for the time without it.
type Status struct {
	View
	// Connection is why the register is in its mode. Its fields are empty before the first change of mode.
	Connection struct {
		ledger.Switched
		Manual bool `json:"manual"` // disconnected by hand, until someone connects it by hand
	} `json:"connection"`
	HQ           HQStatus           `json:"hq"`
	Unsent       UnsentStatus       `json:"unsent"`
	Offline      OfflineStatus      `json:"offline_database"`
	Reference    []projections.AsOf `json:"reference"` // empty where there has never been any: the register sells nothing
	Feed         Feed               `json:"reference_feed"`
	Synchronised SyncStatus         `json:"synchronised"`
	Profile      ProfileStatus      `json:"profile"`
	// Storage is why the register records nothing: its disk does not take what is written. Absent while it does.
	Storage *StorageFailure `json:"storage_failure,omitempty"`
	// Faults are the journals of earlier epochs that are not as they were left. The register sells on: its present
	// epoch stands on its own.
	Faults []embedded.JournalFault `json:"journal_faults,omitempty"`
	// Warnings are sentences for a person, by the levels of the offline profile.
	Warnings []string  `json:"warnings"`
	Time     time.Time `json:"time"`    // of this status, the register's clock
	Version  string    `json:"version"` // of the register's program
	// KeyFingerprint is of the key that signs this epoch. Head office asks for it after it was put back from a backup.
	KeyFingerprint string               `json:"key_fingerprint"`
	Damage         *events.CorruptError `json:"damage,omitempty"`
}

// Feed is where the reference data comes from, and what has come since the start.
type Feed struct {
	projections.Feed
	Received uint64 `json:"received"` // records
}

// HQStatus is the Retail Server and the way there.
type HQStatus struct {
	Configured bool      `json:"configured"`
	URL        string    `json:"url,omitempty"`
	LinkUp     bool      `json:"link_up"`
	Since      time.Time `json:"since,omitzero"` // when link_up became what it is
	// Protection is how the link is protected from the network: tls, loopback or plain.
	Protection embedded.Protection `json:"link_protection,omitempty"`
	Sent       uint64              `json:"sent"`   // entries of this epoch that HQ has on disk
	Unsent     uint64              `json:"unsent"` // entries of all epochs not yet there
	// Attempted is the last request to the Retail Server since the start, and Outcome what became
	// of it: answered, or a cause of being offline, with a sentence in Detail.
	Attempted time.Time `json:"attempted,omitzero"`
	Outcome   string    `json:"outcome,omitempty"`
	Detail    string    `json:"detail,omitempty"`
	Answered  time.Time `json:"answered,omitzero"` // the last time that it did
	// NextAttempt is before when no transaction will try to reconnect. It is absent while
	// the register is online, or waits to be connected by hand.
	NextAttempt time.Time `json:"next_attempt,omitzero"`
	// ClockAhead is how far HQ's clock is ahead of the register's, in seconds, by the last answer.
	ClockAhead *float64 `json:"clock_ahead_seconds,omitempty"`
	Version    string   `json:"version,omitempty"` // of HQ's program
	// Contact is when HQ last answered an announcement, Marked how many entries of this epoch it has verified
	// and signed, and Findings what it has against this register's entries, as it last said.
	Contact  time.Time `json:"contact,omitzero"`
	Marked   uint64    `json:"marked"`
	Findings []string  `json:"findings,omitempty"`
}

// UnsentStatus is what head office does not have yet. Bytes and Oldest are those of the
// current epoch's entries.
type UnsentStatus struct {
	Entries uint64    `json:"entries"` // of all epochs
	Bytes   int64     `json:"bytes"`
	Oldest  time.Time `json:"oldest,omitzero"` // time of the oldest of them
	// OldestSeconds is its age.
	OldestSeconds int64 `json:"oldest_seconds,omitempty"`
}

// OfflineStatus is the offline database, which follows the journal.
type OfflineStatus struct {
	Sequence uint64 `json:"sequence"` // of the last entry in the offline database
	Failing  bool   `json:"failing"`
}

// SyncStatus is the last attempt to synchronise with the offline database: what head
// office has that is new, into the register's reference data.
type SyncStatus struct {
	Attempted time.Time `json:"attempted,omitzero"` // zero for never since the start
	Result    string    `json:"result"`             // ok, never, or what is wrong
	// Current is up to when the reference data is known to be what head office has, or when it was imported here.
	Current time.Time `json:"current,omitzero"`
}

// ProfileStatus is the offline profile that the register follows.
type ProfileStatus struct {
	Version          string `json:"version,omitempty"`
	AtHQ             string `json:"version_at_hq,omitempty"` // by the last greeting
	TimeoutMillis    int64  `json:"timeout_ms"`
	ReconnectSeconds int64  `json:"reconnect_seconds"`
	ManualSwitch     bool   `json:"manual_switch"` // 917 is allowed
	MaxAgeHours      int    `json:"max_age_hours,omitempty"`
}

// Status gathers the connection status.
func (r *Register) Status(ctx context.Context) (Status, error) {
	v := r.View()
	s := Status{View: v, Faults: r.node.Faults(), Storage: r.StorageFailure(), Damage: r.Damage(), Time: r.cfg.Clock().UTC(), Version: build.Version(), Warnings: []string{}}
	s.Connection.Switched, s.Connection.Manual = v.switched, v.manual
	r.turning.RLock()
	s.KeyFingerprint = events.KeyFingerprint(r.identity.public)
	r.turning.RUnlock()
	if v.shutOut {
		s.Warnings = append(s.Warnings, "This register is not activated: it sells nothing until operation 707 is given a code that head office made for it.")
	} else if _, err := r.reference.Store(ctx); err != nil {
		s.Warnings = append(s.Warnings, "This register cannot sell: "+err.Error()+".")
	}
	store, err := r.settings(ctx)
	if err != nil {
		return s, err
	}
	profile := store.Profile
	r.statusOfHQ(&s, profile)
	if s.Storage != nil {
		// The journal is being opened again: what would be read of it has to wait.
		s.Warnings = append(s.Warnings, errStorage().Why+" "+errStorage().Instead)
	} else if err := r.statusOfSent(ctx, &s); err != nil {
		return s, err
	}
	at, err := r.offline.Position(ctx)
	if err != nil {
		return s, err
	}
	s.Offline = OfflineStatus{Sequence: at.Sequence, Failing: r.projector.failing.Load()}
	if s.Reference, err = r.reference.AsOf(ctx); err != nil {
		return s, err
	}
	s.Feed.Received = r.copying.received.Load()
	if s.Feed.Feed, err = r.reference.Feed(ctx); err != nil {
		return s, err
	}
	s.Synchronised = r.synchronised(&s)
	if r.unlinked {
		s.Warnings = append(s.Warnings, "This register has no credentials that it can use, and does not link to head office: make a code there, start the register with --bootstrap, and carry out operation 707.")
	}
	for _, fault := range s.Faults {
		s.Warnings = append(s.Warnings, fault.What)
	}
	s.Warnings = append(s.Warnings, s.warn(profile)...)
	if r.openToOthers != "" {
		s.Warnings = append(s.Warnings, "At the start "+r.openToOthers)
	}
	return s, nil
}

func (r *Register) statusOfHQ(s *Status, profile ledger.Profile) {
	link := r.node.Link()
	if s.HQ.Protection = link.Protection; s.HQ.Protection == embedded.Unprotected {
		s.Warnings = append(s.Warnings, "The link to head office is not encrypted: anyone on the network between can read it. Use TLS, and take --allow-plaintext-link away.")
	}
	if d := r.distrusted.Load(); d != nil {
		s.Warnings = append(s.Warnings, fmt.Sprintf("At %s an answer came that head office did not sign: %s.", d.at.UTC().Format(time.RFC3339), d.why))
	}
	s.HQ.Configured, s.HQ.URL, s.HQ.LinkUp, s.HQ.Since = r.cfg.HQ != "", r.cfg.HQ, link.Connected, link.Since
	s.Profile = ProfileStatus{
		Version: profile.Version, TimeoutMillis: timeout(profile).Milliseconds(), ReconnectSeconds: int64(r.interval(profile).Seconds()),
		ManualSwitch: !profile.ForbidManualSwitch, MaxAgeHours: profile.MaxAgeHours,
	}
	if mark := r.witnessed(s); mark.Epoch == s.Head.Epoch {
		s.HQ.Marked = mark.Sequence
	}
	c := &r.contact
	c.mu.Lock()
	defer c.mu.Unlock()
	s.Profile.AtHQ = c.profile
	s.HQ.Attempted, s.HQ.Answered, s.HQ.Version = c.attempted, c.answered, c.version
	if !c.attempted.IsZero() {
		s.HQ.Outcome = "answered"
		if c.failed != nil {
			s.HQ.Outcome, s.HQ.Detail = causeOf(c.failed, timeout(profile))
		}
	}
	if !c.answered.IsZero() {
		ahead := c.ahead.Round(time.Millisecond).Seconds()
		s.HQ.ClockAhead = &ahead
	}
	if s.HQ.Configured && s.Mode == events.Offline && !s.Connection.Manual {
		s.HQ.NextAttempt = s.Time
		if !c.attempted.IsZero() {
			s.HQ.NextAttempt = c.attempted.Add(r.interval(profile)).UTC()
		}
	}
}

// witnessed takes in head office's word on the journal, and returns the head that it has signed.
func (r *Register) witnessed(s *Status) events.Head {
	w := &r.witness
	w.mu.Lock()
	defer w.mu.Unlock()
	s.HQ.Contact, s.HQ.Findings = w.at, w.findings
	mark, err := w.kept.head(r.cfg.Register)
	if err != nil {
		s.Warnings = append(s.Warnings, "Head office's last mark cannot be read: "+err.Error()+".")
	}
	return mark
}

// statusOfSent says what head office has of the journals, and what it does not have.
func (r *Register) statusOfSent(ctx context.Context, s *Status) (err error) {
	if s.HQ.Sent, err = r.node.AckedByHQ(ctx); err != nil {
		return err
	}
	if s.HQ.Unsent, err = r.node.Unsent(ctx); err != nil {
		return err
	}
	return r.statusOfUnsent(ctx, s)
}

// statusOfUnsent says what head office does not have yet, where there is one to have it.
func (r *Register) statusOfUnsent(ctx context.Context, s *Status) error {
	if !s.HQ.Configured {
		return nil
	}
	s.Unsent.Entries = s.HQ.Unsent
	if s.HQ.Sent >= s.Head.Sequence {
		return nil
	}
	oldest, err := r.journal.Get(ctx, s.HQ.Sent+1)
	if err != nil {
		return err
	}
	entry, err := decode(oldest)
	if err != nil {
		return err
	}
	if s.Unsent.Oldest, err = time.Parse(time.RFC3339Nano, entry.Envelope.Time); err != nil {
		return err
	}
	s.Unsent.OldestSeconds = max(0, int64(s.Time.Sub(s.Unsent.Oldest).Seconds()))
	s.Unsent.Bytes, err = r.offline.BytesAfter(ctx, events.Head{Epoch: s.Head.Epoch, Sequence: s.HQ.Sent}, s.Head.Sequence-s.HQ.Sent)
	return err
}

// synchronised is the last attempt to bring the offline database up to head office, and to the journal.
func (r *Register) synchronised(s *Status) SyncStatus {
	out := SyncStatus{Result: "never", Current: s.Feed.Confirmed}
	if out.Current.IsZero() {
		for _, kind := range s.Reference {
			if kind.Time.After(out.Current) {
				out.Current = kind.Time
			}
		}
	}
	if last := r.copying.attempt.Load(); last != nil {
		out.Attempted, out.Result = last.at.UTC(), "ok"
		if last.failed != nil {
			_, out.Result = causeOf(last.failed, askReferenceWithin)
		}
	}
	if s.Offline.Failing {
		out.Result = "The offline database stands still."
	}
	return out
}

// warn says what is beyond the levels of the offline profile.
func (s *Status) warn(p ledger.Profile) (all []string) {
	warn := func(format string, args ...any) { all = append(all, fmt.Sprintf(format, args...)) }
	if p.WarnUnsentEntries > 0 && s.Unsent.Entries >= uint64(p.WarnUnsentEntries) {
		warn("Head office does not have %d entries of this register yet.", s.Unsent.Entries)
	}
	if p.WarnUnsentMinutes > 0 && s.Unsent.OldestSeconds >= int64(p.WarnUnsentMinutes)*60 {
		warn("Head office has not had an entry of this register since %s.", s.Unsent.Oldest.Format(time.RFC3339))
	}
	age := s.Time.Sub(s.Synchronised.Current)
	if p.MaxAgeHours > 0 && !s.Synchronised.Current.IsZero() && age > time.Duration(p.MaxAgeHours)*time.Hour {
		warn("The reference data is of %s; nothing newer came for longer than the %d hours that the offline profile allows.", s.Synchronised.Current.Format(time.RFC3339), p.MaxAgeHours)
	}
	if s.Offline.Failing {
		warn("The offline database stands still.")
	}
	if s.Profile.AtHQ != "" && s.Profile.AtHQ != s.Profile.Version {
		warn("Head office has offline profile %s for this register, which follows %s.", s.Profile.AtHQ, or(s.Profile.Version, "none"))
	}
	if s.HQ.ClockAhead != nil && max(*s.HQ.ClockAhead, -*s.HQ.ClockAhead) > maxClockDifference {
		warn("The register's clock and head office's differ by %.0f seconds.", max(*s.HQ.ClockAhead, -*s.HQ.ClockAhead))
	}
	return all
}

// maxClockDifference is from how many seconds on two clocks are warned of.
const maxClockDifference = 60

func or(s, instead string) string {
	if s == "" {
		return instead
	}
	return s
}

// Faults are the journals of earlier epochs that are not as they were left.
func (r *Register) Faults() []embedded.JournalFault { return r.node.Faults() }
