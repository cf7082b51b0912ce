package hq

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/posnode/posnode/embedded"
	"github.com/posnode/posnode/events"
	"github.com/posnode/posnode/internal/checkpoint"
	"github.com/posnode/posnode/ledger"
)

// A certificate covers a register's business day. The entries of a day run from behind
// those of the day before to the one that closed the day's last shift, so that days lie
// end to end and no entry is between two; what is recorded between shifts belongs to the day that follows. A
// day is over when nothing more can come of it: its shifts are closed, and the
// register has said on a later date of its own that everything is here.

// Obstacle is why head office cannot say that it has all of a register's day.
type Obstacle struct {
	Register string `json:"register"`
	Date     string `json:"date"`
	Kind     string `json:"kind"` // silent, gap, finding, open_shift, epoch
	What     string `json:"what"`
}

func (o Obstacle) String() string { return fmt.Sprintf("%s on %s: %s", o.Register, o.Date, o.What) }

// certificateTitle is the first line of every certificate.
const certificateTitle = "posnode completeness certificate"

// withoutLine names a finding that was accepted: what it is about is not in what is certified.
const withoutLine = "without %s %d %d %d %q"

// certificateText is what head office signs.
func certificateText(f *events.CompletenessCertified) string {
	var text strings.Builder
	fmt.Fprintf(&text, "%s\n%s\n%s\n", certificateTitle, f.Of, f.BusinessDate)
	for _, c := range f.Covered {
		fmt.Fprintf(&text, "entries %d %d %d %s\n", c.Epoch, c.From, c.To, base64.StdEncoding.EncodeToString(c.Hash[:]))
	}
	for _, s := range f.Sums {
		fmt.Fprintf(&text, "sum %s %d %d %d %d\n", s.Currency, s.Transactions, s.Sales, s.Returns, s.Tax)
	}
	for _, w := range f.Without {
		fmt.Fprintf(&text, withoutLine+"\n", w.Kind, w.Epoch, w.From, w.To, w.Got)
	}
	return text.String()
}

// Certify states that head office holds and has verified all of a register's business
// day. It says so once, and the same ever after. Where it cannot, it says what is in the way.
func (h *HQ) Certify(ctx context.Context, r events.Register, date string) (*events.CompletenessCertified, []Obstacle, error) {
	if err := validDate("date", date); err != nil {
		return nil, nil, err
	}
	var certificate *events.CompletenessCertified
	var obstacles []Obstacle
	_, err := h.record(ctx, func(ctx context.Context, tx *sql.Tx, _ events.Head) (events.Fact, error) {
		var err error
		if certificate, err = certified(ctx, tx, r, date); certificate != nil || err != nil {
			return nil, err
		}
		certificate, obstacles, err = h.examine(ctx, tx, r, date)
		if err != nil || len(obstacles) > 0 {
			certificate = nil
			return nil, err
		}
		if certificate.Note, err = h.own.witness.SignText(certificateText(certificate)); err != nil {
			return nil, err
		}
		return certificate, nil
	})
	if err != nil {
		return nil, nil, fmt.Errorf("certify %s on %s: %w", r, date, err)
	}
	return certificate, obstacles, nil
}

// certified is the certificate that there is already, nil for none.
func certified(ctx context.Context, q querier, r events.Register, date string) (*events.CompletenessCertified, error) {
	var raw []byte
	err := q.QueryRowContext(ctx, `SELECT fact FROM certificates WHERE register = ? AND date = ?`, r.String(), date).Scan(&raw)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	f := new(events.CompletenessCertified)
	return f, json.Unmarshal(raw, f)
}

func foldCertificate(ctx context.Context, tx *sql.Tx, f *events.CompletenessCertified) error {
	raw, err := json.Marshal(f)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO certificates VALUES (?, ?, ?) ON CONFLICT DO NOTHING`, f.Of.String(), f.BusinessDate, raw)
	return err
}

// examine gathers the certificate of a day, or what is in its way.
func (h *HQ) examine(ctx context.Context, tx *sql.Tx, r events.Register, date string) (*events.CompletenessCertified, []Obstacle, error) {
	f := &events.CompletenessCertified{Of: r, BusinessDate: date, Covered: []events.Covered{}, Shifts: []events.ShiftID{}, Sums: []events.PeriodSums{}}
	var obstacles []Obstacle
	add := func(kind, what string, args ...any) {
		obstacles = append(obstacles, Obstacle{Register: r.String(), Date: date, Kind: kind, What: fmt.Sprintf(what, args...)})
	}
	journals, err := journalNames(ctx, tx, `WHERE register = ? ORDER BY epoch`, r.String())
	if err != nil {
		return nil, nil, err
	}
	for i, name := range journals {
		covered, err := cover(ctx, tx, name, date, i < len(journals)-1, add)
		if err != nil {
			return nil, nil, err
		}
		if covered != nil {
			f.Covered = append(f.Covered, *covered)
		}
	}
	if err := h.checkOver(ctx, tx, r, journals, date, add); err != nil {
		return nil, nil, err
	}
	if err := checkFindings(ctx, tx, r, date, add); err != nil {
		return nil, nil, err
	}
	if f.Without, err = acceptedOf(ctx, tx, r, date); err != nil {
		return nil, nil, err
	}
	if f.Shifts, err = shiftsOf(ctx, tx, r, date); err != nil {
		return nil, nil, err
	}
	f.Sums, err = sumsOf(ctx, tx, r, date)
	return f, obstacles, err
}

// cover is what a day has of one epoch, nil for nothing.
func cover(ctx context.Context, tx *sql.Tx, name embedded.JournalName, date string, over bool, add func(kind, what string, args ...any)) (*events.Covered, error) {
	register := name.Register.String()
	var open sql.NullString
	err := tx.QueryRowContext(ctx, `SELECT min(shift) FROM shifts WHERE register = ? AND epoch = ? AND date <= ? AND opened > 0 AND closed = 0`, register, name.Epoch, date).Scan(&open)
	if err != nil {
		return nil, err
	}
	ends := `max(closed)`
	if over { // what was open then can no longer be closed: it ended with the epoch
		ends = `max(CASE WHEN closed > 0 THEN closed ELSE (SELECT sequence FROM journals WHERE journals.register = shifts.register AND journals.epoch = shifts.epoch) END)`
	} else if open.Valid {
		add("open_shift", "shift %s is open", open.String)
	}
	var before, to sql.NullInt64
	err = tx.QueryRowContext(ctx, `SELECT (SELECT `+ends+` FROM shifts WHERE register = ?1 AND epoch = ?2 AND date < ?3 AND opened > 0),
		(SELECT `+ends+` FROM shifts WHERE register = ?1 AND epoch = ?2 AND date <= ?3 AND opened > 0)`, register, name.Epoch, date).Scan(&before, &to)
	if err != nil || to.Int64 <= before.Int64 {
		return nil, err
	}
	c := &events.Covered{Range: events.Range{Epoch: name.Epoch, From: uint64(before.Int64) + 1, To: uint64(to.Int64)}}
	var hash []byte
	err = tx.QueryRowContext(ctx, `SELECT entries.hash FROM entries JOIN journals ON journals.id = journal WHERE register = ? AND epoch = ? AND entries.sequence = ?`,
		register, name.Epoch, c.To).Scan(&hash)
	if err == nil {
		c.Hash = events.Digest(hash)
	}
	return c, err
}

// checkOver looks for proof that nothing more can come of a day: a verified shift of a later
// one, the register's word on a later date that everything it has is here, or its inactivation (operation 708).
func (h *HQ) checkOver(ctx context.Context, tx *sql.Tx, r events.Register, journals []embedded.JournalName, date string, add func(kind, what string, args ...any)) error {
	if len(journals) == 0 {
		add("silent", "nothing has ever come of it")
		return nil
	}
	newest := journals[len(journals)-1]
	var later bool
	err := tx.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM shifts WHERE register = ? AND epoch = ? AND date > ? AND opened > 0)`, r.String(), newest.Epoch, date).Scan(&later)
	if err != nil || later {
		return err
	}
	var verified uint64
	var inactivated bool
	err = tx.QueryRowContext(ctx, `SELECT sequence, EXISTS (SELECT 1 FROM inactivated WHERE register = ?1 AND epoch = ?2) FROM journals WHERE register = ?1 AND epoch = ?2`,
		r.String(), newest.Epoch).Scan(&verified, &inactivated)
	if err != nil || inactivated { // it has said that it sells no more, and everything before that is here
		return err
	}
	h.mu.Lock()
	c := h.heard[r]
	var announced events.Head
	if c != nil {
		announced = c.Head
	}
	h.mu.Unlock()
	wrong, err := onWrongBranch(ctx, tx, newest, announced)
	if err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case c == nil:
		add("silent", "it has not been heard of since head office started, nor has a later day begun")
	case c.refused > 0:
		add("epoch", "it announces epoch %d, which head office has not given: activate it anew (operation 707)", c.refused)
	case c.Epoch == newest.Epoch && c.Sequence > verified && wrong:
		// Its history is known to be a wrong branch: the findings of that decide.
	case c.Epoch != newest.Epoch || c.Sequence > verified:
		add("gap", "it has announced %d entries of epoch %d, and %d of epoch %d are verified", c.Sequence, c.Epoch, verified, newest.Epoch)
	case c.Time.Format(time.DateOnly) <= date:
		add("silent", "the day is not over: it was last heard of at its %s", c.Time.Format(time.RFC3339))
	}
	return nil
}

// onWrongBranch says whether a head is of an epoch with two histories, and known to be on the one that does not count.
func onWrongBranch(ctx context.Context, tx *sql.Tx, name embedded.JournalName, head events.Head) (wrong bool, err error) {
	err = tx.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM quarantined WHERE register = ?1 AND epoch = ?2) AND EXISTS (
			SELECT 1 FROM journals JOIN entries ON journal = id WHERE register = ?1 AND epoch = ?2 AND entries.sequence = ?3 AND entries.hash = ?4
			UNION SELECT 1 FROM journals JOIN strays ON journal = id WHERE register = ?1 AND epoch = ?2 AND strays.sequence = ?3 AND strays.hash = ?4)`,
		name.Register.String(), name.Epoch, int64(head.Sequence), head.Hash[:]).Scan(&wrong)
	return wrong, err
}

// checkFindings looks for what is open and not surely of a later day: behind the verified opening of a later shift.
func checkFindings(ctx context.Context, tx *sql.Tx, r events.Register, date string, add func(kind, what string, args ...any)) error {
	rows, err := tx.QueryContext(ctx, `SELECT id, kind, epoch, sequence, through FROM findings WHERE register = ?1 AND resolved = '' AND kind <> 'clock'
		AND NOT EXISTS (SELECT 1 FROM shifts WHERE shifts.register = ?1 AND date > ?2 AND opened > 0
			AND (shifts.epoch < findings.epoch OR shifts.epoch = findings.epoch AND opened < findings.sequence))
		ORDER BY id LIMIT 100`, r.String(), date)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var id int64
		var kind string
		var at events.Range
		if err := rows.Scan(&id, &kind, &at.Epoch, &at.From, &at.To); err != nil {
			return err
		}
		switch kind {
		case KindGap, KindLost, KindHQBehind:
			add("gap", "entries %s are missing", at)
		default:
			add("finding", "finding %d: %s at %s", id, kind, at)
		}
	}
	return errorsOf(rows)
}

// acceptedOf lists the accepted findings that would be in the way of a day's certificate, but for those that are surely of an earlier day.
func acceptedOf(ctx context.Context, tx *sql.Tx, r events.Register, date string) (out []events.Excluded, err error) {
	rows, err := tx.QueryContext(ctx, `SELECT f.kind, f.epoch, f.sequence, f.through, f.got, coalesce(a.why, ''), coalesce(a.who, '')
		FROM findings AS f LEFT JOIN accepted AS a ON a.register = f.register AND a.epoch = f.epoch AND a.sequence = f.sequence AND a.kind = f.kind AND a.got = f.got
		WHERE f.register = ?1 AND f.how = 'accepted' AND f.kind NOT IN ('clock', 'signature') AND NOT EXISTS (
			SELECT 1 FROM shifts WHERE shifts.register = ?1 AND opened > 0 AND (
				date > ?2 AND (shifts.epoch < f.epoch OR shifts.epoch = f.epoch AND opened < f.sequence)
				OR date < ?2 AND (shifts.epoch > f.epoch OR shifts.epoch = f.epoch AND opened > f.through)))
		ORDER BY f.epoch, f.sequence, f.kind, f.got`, r.String(), date)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var e events.Excluded
		if err := rows.Scan(&e.Kind, &e.Epoch, &e.From, &e.To, &e.Got, &e.Why, &e.Who); err != nil {
			return nil, err
		}
		out = append(out, e)
	}
	return out, errorsOf(rows)
}

// shiftsOf lists the shifts of a day.
func shiftsOf(ctx context.Context, tx *sql.Tx, r events.Register, date string) ([]events.ShiftID, error) {
	rows, err := tx.QueryContext(ctx, `SELECT shift FROM shifts WHERE register = ? AND date = ? AND opened > 0 ORDER BY epoch, opened`, r.String(), date)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	out := []events.ShiftID{}
	for rows.Next() {
		var s events.ShiftID
		if err := rows.Scan(&s); err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, errorsOf(rows)
}

// sumsOf are the verified sums of a day.
func sumsOf(ctx context.Context, tx *sql.Tx, r events.Register, date string) ([]events.PeriodSums, error) {
	rows, err := tx.QueryContext(ctx, `SELECT currency, sum(concluded), sum(sales.sales), sum(returns), sum(tax) FROM sales JOIN shifts USING (shift)
		WHERE sales.register = ? AND date = ? GROUP BY currency ORDER BY currency`, r.String(), date)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	out := []events.PeriodSums{}
	for rows.Next() {
		var s events.PeriodSums
		if err := rows.Scan(&s.Currency, &s.Transactions, &s.Sales, &s.Returns, &s.Tax); err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, errorsOf(rows)
}

// Key is head office's public key: it verifies marks and certificates.
func (h *HQ) Key() string { return h.own.public }

// Certificate is a certificate that was opened with head office's key.
type Certificate struct {
	Register string              `json:"register"`
	Date     string              `json:"date"`
	Covered  []events.Covered    `json:"covered"`
	Sums     []events.PeriodSums `json:"sums"`
	Without  []events.Excluded   `json:"without,omitempty"` // why and who accepted it stand in head office's record
}

// OpenCertificate checks a certificate with nothing but head office's public key.
func OpenCertificate(note, key string) (*Certificate, error) {
	text, err := checkpoint.OpenText(note, key)
	if err != nil {
		return nil, fmt.Errorf("open certificate: %w", err)
	}
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	if len(lines) < 3 || lines[0] != certificateTitle {
		return nil, errors.New("open certificate: it is signed, and it is no certificate")
	}
	c := &Certificate{Register: lines[1], Date: lines[2], Covered: []events.Covered{}, Sums: []events.PeriodSums{}}
	for _, line := range lines[3:] {
		if err := c.read(line); err != nil {
			return nil, fmt.Errorf("open certificate: %q: %w", line, err)
		}
	}
	return c, nil
}

func (c *Certificate) read(line string) error {
	if strings.HasPrefix(line, "entries ") {
		var covered events.Covered
		var hash string
		if _, err := fmt.Sscanf(line, "entries %d %d %d %s", &covered.Epoch, &covered.From, &covered.To, &hash); err != nil {
			return err
		}
		raw, err := base64.StdEncoding.DecodeString(hash)
		if err != nil || len(raw) != len(covered.Hash) {
			return errors.New("no hash")
		}
		covered.Hash = events.Digest(raw)
		c.Covered = append(c.Covered, covered)
		return nil
	}
	if strings.HasPrefix(line, "without ") {
		var e events.Excluded
		_, err := fmt.Sscanf(line, withoutLine, &e.Kind, &e.Epoch, &e.From, &e.To, &e.Got)
		c.Without = append(c.Without, e)
		return err
	}
	var s events.PeriodSums
	if _, err := fmt.Sscanf(line, "sum %s %d %d %d %d", &s.Currency, &s.Transactions, &s.Sales, &s.Returns, &s.Tax); err != nil {
		return err
	}
	c.Sums = append(c.Sums, s)
	return nil
}

// validDate says whether a parameter is a date.
func validDate(name, date string) error {
	if _, err := time.Parse(time.DateOnly, date); err != nil {
		return &ledger.Refusal{Code: "invalid_parameter", Parameter: name, Why: fmt.Sprintf("%s: %.20q is not a date, YYYY-MM-DD.", name, date)}
	}
	return nil
}

const (
	// maxPeriod is the longest period in days.
	maxPeriod = 366
	// maxObstacles bounds how many obstacles a refusal names.
	maxObstacles = 20
)

// ClosePeriod records that the business days from..to are complete at all registers but those
// that are left out by name, with their totals. It is refused with who is missing what. Closing again the same changes nothing.
func (h *HQ) ClosePeriod(ctx context.Context, from, to string, leftOut []events.LeftOut) (*events.PeriodClosed, error) {
	dates, err := days(from, to)
	if err != nil {
		return nil, err
	}
	if closed, err := closedPeriod(ctx, h.db.db, from, to); closed != nil || err != nil {
		return closed, err
	}
	newest, err := h.newestEpochs(ctx)
	if err != nil {
		return nil, err
	}
	for _, l := range leftOut {
		if l.Why == "" || len(l.Why) > 1000 {
			return nil, &ledger.Refusal{Code: "invalid_parameter", Parameter: "left_out", Why: fmt.Sprintf("left_out: say in at most 1000 bytes why %s is left out.", l.Of)}
		}
		if err := ledger.NoCardNumber("left_out", l.Why); err != nil {
			return nil, err
		}
		delete(newest, l.Of)
	}
	registers := slices.SortedFunc(maps.Keys(newest), func(a, b events.Register) int { return strings.Compare(a.String(), b.String()) })
	fact := &events.PeriodClosed{From: from, To: to, Registers: []events.PeriodTotals{}, LeftOut: leftOut}
	if err := h.certifyAll(ctx, registers, dates, fact); err != nil {
		return nil, err
	}
	_, err = h.record(ctx, func(ctx context.Context, tx *sql.Tx, _ events.Head) (events.Fact, error) {
		closed, err := closedPeriod(ctx, tx, from, to)
		if closed != nil || err != nil {
			fact = closed // another instance was first
			return nil, err
		}
		return fact, nil
	})
	return fact, err
}

// certifyAll gathers the certificates of a period.
func (h *HQ) certifyAll(ctx context.Context, registers []events.Register, dates []string, fact *events.PeriodClosed) error {
	var obstacles []Obstacle
	notes := sha256.New()
	for _, r := range registers {
		totals := events.PeriodTotals{Of: r, Sums: []events.PeriodSums{}}
		for _, date := range dates {
			c, inTheWay, err := h.Certify(ctx, r, date)
			if err != nil {
				return err
			}
			if obstacles = append(obstacles, inTheWay...); c == nil {
				continue
			}
			fact.Certificates++
			notes.Write([]byte(c.Note))
			for _, s := range c.Sums {
				totals.Sums = addSums(totals.Sums, s)
			}
			for _, e := range c.Without {
				if !slices.Contains(totals.Without, e) { // one may be named on more than one day
					totals.Without = append(totals.Without, e)
				}
			}
		}
		fact.Registers = append(fact.Registers, totals)
	}
	fact.Digest = events.Digest(notes.Sum(nil))
	if len(obstacles) == 0 {
		return nil
	}
	var why strings.Builder
	for _, o := range obstacles[:min(len(obstacles), maxObstacles)] {
		fmt.Fprintf(&why, "%s; ", o)
	}
	if more := len(obstacles) - maxObstacles; more > 0 {
		fmt.Fprintf(&why, "and %d more; ", more)
	}
	return &ledger.Refusal{
		Code: "period_incomplete", Why: "The period is not complete: " + strings.TrimSuffix(why.String(), "; ") + ".",
		Instead: "Have what is missing sent, look into the findings and accept them, or leave a register out by name.",
	}
}

// addSums adds to the sums of one currency.
func addSums(all []events.PeriodSums, s events.PeriodSums) []events.PeriodSums {
	for i := range all {
		if t := &all[i]; t.Currency == s.Currency {
			t.Transactions += s.Transactions
			t.Sales += s.Sales
			t.Returns += s.Returns
			t.Tax += s.Tax
			return all
		}
	}
	return append(all, s)
}

// days lists the dates of a period.
func days(from, to string) (out []string, err error) {
	if err := errors.Join(validDate("from", from), validDate("to", to)); err != nil {
		return nil, err
	}
	first, _ := time.Parse(time.DateOnly, from)
	last, _ := time.Parse(time.DateOnly, to)
	for day := first; !day.After(last) && len(out) <= maxPeriod; day = day.AddDate(0, 0, 1) {
		out = append(out, day.Format(time.DateOnly))
	}
	if len(out) == 0 || len(out) > maxPeriod {
		return nil, &ledger.Refusal{Code: "invalid_parameter", Parameter: "to", Why: fmt.Sprintf("to: a period has 1 to %d days.", maxPeriod)}
	}
	return out, nil
}

// closedPeriod is the fact that closed this very period; one that overlaps it is a refusal.
func closedPeriod(ctx context.Context, q querier, from, to string) (*events.PeriodClosed, error) {
	var raw []byte
	err := q.QueryRowContext(ctx, `SELECT fact FROM periods WHERE first <= ? AND last >= ? ORDER BY first LIMIT 1`, to, from).Scan(&raw)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	f := new(events.PeriodClosed)
	if err := json.Unmarshal(raw, f); err != nil {
		return nil, err
	}
	if f.From != from || f.To != to {
		return nil, &ledger.Refusal{Code: "period_overlaps", Why: fmt.Sprintf("The days from %s to %s are closed already.", f.From, f.To), Instead: "Close the days that are left."}
	}
	return f, nil
}

func foldPeriod(ctx context.Context, tx *sql.Tx, f *events.PeriodClosed) error {
	raw, err := json.Marshal(f)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO periods VALUES (?, ?, ?) ON CONFLICT DO NOTHING`, f.From, f.To, raw)
	return err
}
