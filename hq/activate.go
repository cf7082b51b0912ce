package hq

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/posnode/posnode/embedded"
	"github.com/posnode/posnode/events"
	"github.com/posnode/posnode/ledger"
)

// Which registers there are, head office decides: an operator has a code made for one, the
// register exchanges it for the right to link with a key of its own (operation 707), and either of them
// ends that right (operation 708, [HQ.RevokeRegister]).

const activationSchema = `
CREATE TABLE IF NOT EXISTS codes ( -- the latest of each register
	register TEXT PRIMARY KEY, code TEXT NOT NULL, expires TEXT NOT NULL, used INTEGER NOT NULL,
	wrong INTEGER NOT NULL -- tries since it was made
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS old_codes (code TEXT PRIMARY KEY, register TEXT NOT NULL, used INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS enrolled (register TEXT NOT NULL, request TEXT NOT NULL, fact TEXT NOT NULL, sequence INTEGER NOT NULL, PRIMARY KEY (register, request)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS users (user TEXT PRIMARY KEY, register TEXT NOT NULL, revoked INTEGER NOT NULL, since INTEGER NOT NULL) WITHOUT ROWID; -- since: sequence of the own entry
CREATE INDEX IF NOT EXISTS users_of ON users (register);
CREATE TABLE IF NOT EXISTS shut_out (user TEXT PRIMARY KEY) WITHOUT ROWID; -- the servers know
CREATE TABLE IF NOT EXISTS unenrolled (register TEXT PRIMARY KEY, shut_out INTEGER NOT NULL) WITHOUT ROWID; -- what hq enroll makes for it is void; shut_out: the servers know
CREATE TABLE IF NOT EXISTS revocations (register TEXT NOT NULL, request TEXT NOT NULL, sequence INTEGER NOT NULL, PRIMARY KEY (register, request)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS inactivated (register TEXT NOT NULL, epoch INTEGER NOT NULL, PRIMARY KEY (register, epoch)) WITHOUT ROWID; -- by a verified entry, and not activated since
CREATE TABLE IF NOT EXISTS epochs (register TEXT NOT NULL, epoch INTEGER NOT NULL, key TEXT NOT NULL, PRIMARY KEY (register, epoch)) WITHOUT ROWID; -- received
CREATE TABLE IF NOT EXISTS numbers ( -- of an epoch, with what it took over
	register TEXT NOT NULL, epoch INTEGER NOT NULL, transactions INTEGER NOT NULL, shifts INTEGER NOT NULL, receipts INTEGER NOT NULL,
	customers INTEGER NOT NULL, orders INTEGER NOT NULL, counts INTEGER NOT NULL, z INTEGER NOT NULL,
	PRIMARY KEY (register, epoch)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS grand (
	register TEXT NOT NULL, epoch INTEGER NOT NULL, currency TEXT NOT NULL,
	transactions INTEGER NOT NULL, sales INTEGER NOT NULL, returns INTEGER NOT NULL, tax INTEGER NOT NULL,
	PRIMARY KEY (register, epoch, currency)
) WITHOUT ROWID;
`

const (
	maxWrongCodes = 5
	// cutWithin is how long the servers may take to close the links of who is revoked.
	cutWithin = 5 * time.Second
)

// MaxValid is the longest that an activation code can be valid.
const MaxValid = 30 * 24 * time.Hour

// Code is a one-time activation code and what goes with it.
type Code struct {
	Register string `json:"register"`
	Code     string `json:"code"`
	Expires  string `json:"expires"` // RFC 3339 in UTC
	// Bootstrap is the content of the credentials file by which a register that has none can ask to be activated.
	Bootstrap string `json:"bootstrap"`
}

// NewCode makes the code by which a register can be activated once. A code that was made for
// it before and not used is void.
func (h *HQ) NewCode(ctx context.Context, r events.Register, valid time.Duration) (Code, error) {
	if valid <= 0 || valid > MaxValid {
		return Code{}, &ledger.Refusal{Code: "invalid_parameter", Why: fmt.Sprintf("A code is valid for at most %s.", MaxValid)}
	}
	expires := h.cfg.Clock().Add(valid).UTC()
	bootstrap, user, err := h.node.Bootstrap(r, expires)
	if err != nil {
		return Code{}, err
	}
	text := rand.Text()[:16] // 80 bits
	fact := &events.ActivationCodeIssued{Register: r.String(), Code: codeHash(text), User: user, Expires: expires.Format(time.RFC3339)}
	// If we died here, or before who asked has the answer, nobody knows the code: it expires.
	_, err = h.record(ctx, func(context.Context, *sql.Tx, events.Head) (events.Fact, error) { return fact, nil })
	return Code{
		Register: r.String(), Expires: fact.Expires, Bootstrap: string(embedded.WithHeadOfficeKey(bootstrap, h.own.public)),
		Code: text[:4] + "-" + text[4:8] + "-" + text[8:12] + "-" + text[12:],
	}, err
}

// codeHash is of a code however it was typed.
func codeHash(code string) events.Digest {
	return events.Hash([]byte(strings.ToUpper(strings.NewReplacer("-", "", " ", "").Replace(code))))
}

// question answers a question of a register in JSON: granted, refused, or a failure.
func question[Q, A any](answer func(ctx context.Context, r events.Register, q Q) (*A, *events.NotGranted, error)) embedded.Answerer {
	return func(ctx context.Context, r events.Register, raw []byte) ([]byte, error) {
		var q Q
		var out events.Answered[A]
		err := json.Unmarshal(raw, &q)
		if err != nil {
			return nil, fmt.Errorf("read the question: %w", err)
		}
		if out.Answer, out.Refusal, err = answer(ctx, r, q); err != nil {
			return nil, err
		}
		return json.Marshal(out)
	}
}

// activate lets a register in (operation 707).
func (h *HQ) activate(ctx context.Context, r events.Register, q events.AskActivate) (*events.Activation, *events.NotGranted, error) {
	var refusal *events.NotGranted
	var before *events.RegisterEnrolled
	var sequence uint64
	token, err := h.node.Admit(r, q.User)
	if err != nil {
		return nil, nil, err
	}
	entry, err := h.record(ctx, func(ctx context.Context, tx *sql.Tx, _ events.Head) (fact events.Fact, err error) {
		refusal = nil
		if before, sequence, err = enrolledBy(ctx, tx, r, q.Request); err != nil || before != nil && before.User == q.User {
			return nil, err
		}
		if refusal, err = h.refuseCode(ctx, tx, r, q); err != nil {
			return nil, err
		}
		if refusal != nil {
			return refused(refusal, r, q)
		}
		enrolled := &events.RegisterEnrolled{
			Request: q.Request, Register: r.String(), Code: codeHash(q.Code), User: q.User, Key: q.Key, Head: q.Head, Frozen: q.Frozen,
		}
		if enrolled.Numbers, err = numbersOf(ctx, tx, r); err != nil {
			return nil, err
		}
		if enrolled.Epoch, err = nextEpoch(ctx, tx, r, q); err != nil {
			return nil, err
		}
		if enrolled.Epoch != q.Head.Epoch {
			enrolled.Key = q.NextKey
		}
		return enrolled, nil
	})
	if err != nil || refusal != nil {
		return nil, refusal, err
	}
	if entry != nil {
		before, sequence = entry.Fact.(*events.RegisterEnrolled), entry.Head.Sequence
	}
	select {
	case h.gave <- struct{}{}:
	default:
	}
	// What the register had before still lets it in, until head office hears from it that it has the
	// answer: without that a lost answer would leave it with nothing to ask again by.
	proof, err := h.own.witness.SignText(activationText(r, before.Epoch, before.Key))
	if err != nil {
		return nil, nil, err
	}
	return &events.Activation{Token: token, Epoch: before.Epoch, Numbers: before.Numbers, Recorded: sequence, Witness: h.own.public, Proof: proof}, nil, nil
}

// refused is what is recorded of a refusal: a wrong code counts, as long as there is one that could be found.
func refused(n *events.NotGranted, r events.Register, q events.AskActivate) (events.Fact, error) {
	if n.Code != "activation_code_wrong" {
		return nil, nil
	}
	return &events.ActivationRefused{Request: q.Request, Register: r.String(), Code: n.Code}, nil
}

// refuseCode says what is wrong with a code, nil for nothing.
func (h *HQ) refuseCode(ctx context.Context, tx *sql.Tx, r events.Register, q events.AskActivate) (*events.NotGranted, error) {
	const instead = "Ask head office for a new code."
	given := codeHash(q.Code).String()
	var code, expires string
	var used, wrong int
	err := tx.QueryRowContext(ctx, `SELECT code, expires, used, wrong FROM codes WHERE register = ?`, r.String()).Scan(&code, &expires, &used, &wrong)
	if errors.Is(err, sql.ErrNoRows) {
		return &events.NotGranted{Code: "activation_code_unknown", Why: "There is no activation code for this register.", Instead: instead}, nil
	}
	if err != nil {
		return nil, err
	}
	var old int
	err = tx.QueryRowContext(ctx, `SELECT used FROM old_codes WHERE code = ? AND register = ?`, given, r.String()).Scan(&old)
	switch {
	case err != nil && !errors.Is(err, sql.ErrNoRows):
		return nil, err
	case code == given && used != 0, err == nil && old != 0:
		return &events.NotGranted{Code: "activation_code_used", Why: "This activation code has been used.", Instead: instead}, nil
	case err == nil:
		return &events.NotGranted{Code: "activation_code_replaced", Why: "A newer activation code was made for this register.", Instead: "Use the newer one."}, nil
	case wrong >= maxWrongCodes:
		return &events.NotGranted{Code: "activation_locked", Why: "There were too many wrong activation codes.", Instead: instead}, nil
	case code != given:
		if used != 0 {
			return &events.NotGranted{Code: "activation_code_unknown", Why: "There is no activation code for this register.", Instead: instead}, nil
		}
		return &events.NotGranted{Code: "activation_code_wrong", Why: "The activation code is wrong.", Instead: "Type it again."}, nil
	case expires < h.cfg.Clock().UTC().Format(time.RFC3339):
		return &events.NotGranted{Code: "activation_code_expired", Why: "The activation code has expired.", Instead: instead}, nil
	}
	return nil, nil
}

// nextEpoch is the epoch in which a register goes on: the one that it is in, where that is its
// own, sound, and not activated before; otherwise one that nobody has written in.
func nextEpoch(ctx context.Context, tx *sql.Tx, r events.Register, q events.AskActivate) (int, error) {
	var top, enrolled int
	var key string
	err := errors.Join(
		tx.QueryRowContext(ctx, `SELECT coalesce(max(epoch), 0) FROM (SELECT epoch FROM epochs WHERE register = ?1 UNION ALL SELECT epoch FROM journals WHERE register = ?1)`, r.String()).Scan(&top),
		tx.QueryRowContext(ctx, `SELECT coalesce(max(json_extract(fact, '$.begins')), 0) FROM enrolled WHERE register = ?`, r.String()).Scan(&enrolled),
		tx.QueryRowContext(ctx, `SELECT coalesce(max(key), '') FROM epochs WHERE register = ? AND epoch = ?`, r.String(), q.Head.Epoch).Scan(&key),
	)
	if err != nil {
		return 0, err
	}
	top = max(top, enrolled)
	if !q.Frozen && enrolled < q.Head.Epoch && top <= q.Head.Epoch && (key == "" || key == q.Key) {
		return q.Head.Epoch, nil
	}
	return max(top, q.Head.Epoch) + 1, nil
}

// enrolledBy is what a request was answered with before, nil for nothing.
func enrolledBy(ctx context.Context, tx *sql.Tx, r events.Register, request events.CommandKey) (*events.RegisterEnrolled, uint64, error) {
	var raw string
	var sequence uint64
	err := tx.QueryRowContext(ctx, `SELECT fact, sequence FROM enrolled WHERE request = ? AND register = ?`, string(request), r.String()).Scan(&raw, &sequence)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, 0, nil
	}
	fact := new(events.RegisterEnrolled)
	if err == nil {
		err = json.Unmarshal([]byte(raw), fact)
	}
	return fact, sequence, err
}

// inactivate records that a register wants to be let in no more (operation 708). What it links by
// is shut out when its device.inactivated has arrived with everything before it: if this answer is lost, it asks again.
func (h *HQ) inactivate(ctx context.Context, r events.Register, q events.AskInactivate) (*events.Inactivation, *events.NotGranted, error) {
	sequence, err := h.revoke(ctx, &events.RegisterRevoked{Request: q.Request, Register: r.String(), Head: &q.Head, Unsent: q.Unsent, Forced: q.Forced})
	if err != nil {
		return nil, nil, err
	}
	return &events.Inactivation{Recorded: sequence}, nil, nil
}

// RevokeRegister shuts a register out at once, whatever it has not sent yet and whether or not head
// office has heard of it: credentials can be stolen before they were used.
func (h *HQ) RevokeRegister(ctx context.Context, r events.Register, why string) error {
	if err := ledger.NoCardNumber("why", why); err != nil {
		return err
	}
	if _, err := h.revoke(ctx, &events.RegisterRevoked{Register: r.String(), Why: why}); err != nil {
		return err
	}
	// If we died here, it is recorded, and the next start shuts them out.
	if err := h.shutOutRevoked(ctx); err != nil {
		return err
	}
	return h.awaitCut(ctx, r)
}

// awaitCut waits until no link is up under a register's name. One that stays has credentials of which
// head office does not know: its own journal was lost, or an earlier version enrolled it.
func (h *HQ) awaitCut(ctx context.Context, r events.Register) error {
	late := time.After(cutWithin)
	for slices.ContainsFunc(h.node.Links(), func(l embedded.LeafLink) bool { return l.Register == r }) {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-late:
			return &ledger.Refusal{
				Code: "register_still_linked", Why: "Everything that head office knows of is revoked, and a link of " + r.String() + " is still up, with other credentials.",
				Instead: "Cut it off at the network: see docs/activation.md.",
			}
		case <-time.After(50 * time.Millisecond):
		}
	}
	return nil
}

// revoke records that everything by which a register can sign on is void.
func (h *HQ) revoke(ctx context.Context, fact *events.RegisterRevoked) (sequence uint64, err error) {
	entry, err := h.record(ctx, func(ctx context.Context, tx *sql.Tx, _ events.Head) (events.Fact, error) {
		err := tx.QueryRowContext(ctx, `SELECT sequence FROM revocations WHERE register = ? AND request = ?`, fact.Register, string(fact.Request)).Scan(&sequence)
		if !errors.Is(err, sql.ErrNoRows) {
			return nil, err
		}
		fact.Users, err = column(ctx, tx, `SELECT user FROM users WHERE register = ? AND NOT revoked ORDER BY user`, fact.Register)
		return fact, err
	})
	if entry != nil {
		sequence = entry.Head.Sequence
	}
	return sequence, err
}

// column reads one column of text.
func column(ctx context.Context, tx interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}, query string, args ...any) (all []string, err error) {
	rows, err := tx.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	return all, rows.Err()
}

// shutOutRevoked ends the credentials that hq.db says are void and the servers do not know of yet. An
// instance without keys leaves it to another.
func (h *HQ) shutOutRevoked(ctx context.Context) error {
	if !h.node.HasKeys() {
		return nil
	}
	users, err := column(ctx, h.db.db, `SELECT user FROM users WHERE revoked AND user NOT IN (SELECT user FROM shut_out)`)
	if err != nil {
		return err
	}
	for _, user := range users {
		if err := h.shutOut(ctx, user, `INSERT OR IGNORE INTO shut_out VALUES (?)`, user); err != nil {
			return err
		}
	}
	registers, err := column(ctx, h.db.db, `SELECT register FROM unenrolled WHERE NOT shut_out`)
	if err != nil {
		return err
	}
	for _, name := range registers {
		r, err := events.ParseRegister(name)
		if err != nil {
			return err
		}
		user, err := h.node.EnrolledUser(r)
		if err != nil {
			return err
		}
		if err := h.shutOut(ctx, user, `UPDATE unenrolled SET shut_out = 1 WHERE register = ?`, name); err != nil {
			return err
		}
	}
	return nil
}

// unlessShutOut answers no register that is let in no more: a server that was down when it was revoked lets it
// in until the others have told it. It reads hq.db, so that no question is answered without.
func (h *HQ) unlessShutOut(answer embedded.Answerer) embedded.Answerer {
	return func(ctx context.Context, r events.Register, question []byte) ([]byte, error) {
		var out bool
		err := h.db.db.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM unenrolled WHERE register = ?1) AND NOT EXISTS (SELECT 1 FROM users WHERE register = ?1 AND NOT revoked)`,
			r.String()).Scan(&out)
		if err != nil {
			return nil, fmt.Errorf("whether %s is let in: %w", r, err)
		}
		if out {
			return nil, fmt.Errorf("register %s was shut out", r)
		}
		return answer(ctx, r, question)
	}
}

// shutOut has the servers know that a user is revoked, and notes that they do.
func (h *HQ) shutOut(ctx context.Context, user, note string, args ...any) error {
	done, err := h.node.IsRevoked(ctx, user)
	if err == nil && !done {
		err = h.node.Revoke(ctx, user)
	}
	if err == nil {
		_, err = h.db.db.ExecContext(ctx, note, args...)
	}
	return err
}

// foldDevices takes an own fact about registers into hq.db.
func foldDevices(ctx context.Context, tx *sql.Tx, e *events.Entry) error {
	exec := func(query string, args ...any) error {
		_, err := tx.ExecContext(ctx, query, args...)
		return err
	}
	switch f := e.Fact.(type) {
	case *events.ActivationCodeIssued:
		return errors.Join(
			exec(`INSERT OR IGNORE INTO old_codes SELECT code, register, used FROM codes WHERE register = ?`, f.Register),
			exec(`INSERT OR REPLACE INTO codes VALUES (?, ?, ?, 0, 0)`, f.Register, f.Code.String(), f.Expires),
			exec(`INSERT INTO users VALUES (?, ?, 0, ?)`, f.User, f.Register, e.Head.Sequence),
		)
	case *events.ActivationRefused:
		return exec(`UPDATE codes SET wrong = wrong + 1 WHERE register = ?`, f.Register)
	case *events.RegisterEnrolled:
		raw, err := json.Marshal(f)
		return errors.Join(err,
			exec(`UPDATE codes SET used = 1 WHERE register = ? AND code = ?`, f.Register, f.Code.String()),
			exec(`INSERT INTO users VALUES (?, ?, 0, ?)`, f.User, f.Register, e.Head.Sequence),
			exec(`INSERT INTO enrolled VALUES (?, ?, ?, ?)`, f.Register, string(f.Request), string(raw), e.Head.Sequence),
			noteKey(ctx, tx, f.Register, f.Epoch, f.Key),
		)
	case *events.RegisterKeyConfirmed:
		return errors.Join(noteKey(ctx, tx, f.Of.String(), f.Epoch, f.Key), relearn(ctx, tx, e, f))
	case *events.RegisterRevoked:
		if f.Request != "" {
			return exec(`INSERT INTO revocations VALUES (?, ?, ?)`, f.Register, string(f.Request), e.Head.Sequence)
		}
		for _, user := range f.Users {
			if err := exec(`UPDATE users SET revoked = 1 WHERE user = ?`, user); err != nil {
				return err
			}
		}
		return exec(`INSERT OR IGNORE INTO unenrolled VALUES (?, 0)`, f.Register)
	}
	return nil
}

// countNumbers takes what an entry that is held says of its register's numbers into hq.db: a
// register that has lost its own goes on from here. They are kept by epoch, each with what it took over, so
// that it does not matter in which order epochs arrive. Numbers that were given on a wrong branch are on
// paper as well, and are not given again.
func (v *verifier) countNumbers(e *events.Entry) error {
	var n events.Numbers
	switch f := e.Fact.(type) {
	case *events.RegisterActivated:
		var record events.ActivationRecord
		if json.Unmarshal([]byte(f.Record), &record) != nil {
			return nil // it verifies nothing, and is a finding of the audit
		}
		return v.exec(`INSERT OR IGNORE INTO epochs VALUES (?, ?, ?)`, e.Register.String(), e.Epoch, record.Key)
	case *events.DeviceActivated:
		return v.believeProof(e, f)
	case *events.ShiftOpened:
		n.Shifts = f.Number
	case *events.ShiftClosed:
		n.Z = f.Z
	case *events.CustomerAdded:
		n.Customers = f.Number
	case *events.StockCounted:
		n.Counts = f.Count
	case *events.SaleVoided:
		n.Receipts = 1
	case *events.SaleConcluded:
		n.Receipts = 1
	case *events.OrderPlaced:
		n.Receipts, n.Orders = 1, f.Placed.Number
	}
	if f, ok := e.Fact.(events.OfTransaction); ok && f.Sale().Begins != nil {
		n.Transactions = f.Sale().Begins.Number
	}
	return v.addNumbers(e, n)
}

// countSold takes in what a verified entry says of what was sold in all, and of keys: what was sold on a wrong
// branch does not count, nor what is said there.
func (v *verifier) countSold(e *events.Entry) error {
	switch f := e.Fact.(type) {
	case *events.RegisterActivated:
		var record events.ActivationRecord
		if json.Unmarshal([]byte(f.Record), &record) != nil || record.Carried == nil {
			return nil
		}
		return errors.Join(v.addNumbers(e, record.Carried.Numbers), v.addGrand(e, record.Carried.Numbers.Grand...))
	case *events.DeviceActivated:
		// What the register had before is in every copy of its directory. What was before, head office goes by its own record.
		return errors.Join(
			v.exec(`UPDATE users SET revoked = 1 WHERE register = ?1 AND user <> ?2 AND since < (SELECT since FROM users WHERE register = ?1 AND user = ?2)`,
				e.Register.String(), f.User),
			v.exec(`INSERT OR IGNORE INTO unenrolled SELECT register, 0 FROM users WHERE register = ? AND user = ?`, e.Register.String(), f.User),
			v.exec(`DELETE FROM inactivated WHERE register = ? AND epoch = ?`, e.Register.String(), e.Epoch),
		)
	case *events.DeviceInactivated:
		// Here is all that it had to send, and it has the answer.
		register, recorded := e.Register.String(), int64(min(f.Recorded, math.MaxInt64)) // SQLite takes no more
		return errors.Join(
			v.exec(`UPDATE users SET revoked = 1 WHERE register = ?1 AND since < ?2 AND EXISTS (SELECT 1 FROM revocations WHERE register = ?1 AND sequence = ?2)`, register, recorded),
			v.exec(`INSERT OR IGNORE INTO unenrolled SELECT register, 0 FROM revocations WHERE register = ? AND sequence = ?`, register, recorded),
			v.exec(`INSERT OR IGNORE INTO inactivated VALUES (?, ?)`, register, e.Epoch),
		)
	case *events.SaleConcluded:
		return v.addGrand(e, events.GrandTotal{Currency: f.Terms.Currency, Transactions: 1, Sales: f.Sales, Returns: f.Returns, Tax: f.After.Tax})
	}
	return nil
}

// addNumbers adds to the numbers of an entry's epoch.
func (v *verifier) addNumbers(e *events.Entry, n events.Numbers) error {
	if n.Transactions+n.Shifts+n.Receipts+n.Customers+n.Orders+n.Counts+n.Z == 0 {
		return nil
	}
	return v.exec(`INSERT INTO numbers VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET
		transactions = max(transactions, excluded.transactions), shifts = max(shifts, excluded.shifts), receipts = receipts + excluded.receipts,
		customers = max(customers, excluded.customers), orders = max(orders, excluded.orders), counts = max(counts, excluded.counts), z = max(z, excluded.z)`,
		e.Register.String(), e.Epoch, n.Transactions, n.Shifts, n.Receipts, n.Customers, n.Orders, n.Counts, n.Z)
}

// addGrand adds to what was sold in all, up to an entry's epoch.
func (v *verifier) addGrand(e *events.Entry, grand ...events.GrandTotal) (err error) {
	for _, g := range grand {
		if err != nil {
			return err
		}
		err = v.exec(`INSERT INTO grand VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET
			transactions = transactions + excluded.transactions, sales = sales + excluded.sales, returns = returns + excluded.returns, tax = tax + excluded.tax`,
			e.Register.String(), e.Epoch, g.Currency, g.Transactions, g.Sales, g.Returns, g.Tax)
	}
	return err
}

// numbersOf are the last numbers of a register that are known here, in any epoch.
func numbersOf(ctx context.Context, tx *sql.Tx, r events.Register) (n events.Numbers, err error) {
	err = tx.QueryRowContext(ctx, `SELECT coalesce(max(transactions), 0), coalesce(max(shifts), 0), coalesce(max(receipts), 0), coalesce(max(customers), 0),
		coalesce(max(orders), 0), coalesce(max(counts), 0), coalesce(max(z), 0) FROM numbers WHERE register = ?`, r.String()).
		Scan(&n.Transactions, &n.Shifts, &n.Receipts, &n.Customers, &n.Orders, &n.Counts, &n.Z)
	if err != nil {
		return n, err
	}
	// The other columns are those of the row with the most transactions: SQLite's bare columns.
	rows, err := tx.QueryContext(ctx, `SELECT currency, max(transactions), sales, returns, tax FROM grand WHERE register = ? GROUP BY currency ORDER BY currency`, r.String())
	if err != nil {
		return n, err
	}
	defer rows.Close()
	for rows.Next() {
		var g events.GrandTotal
		if err := rows.Scan(&g.Currency, &g.Transactions, &g.Sales, &g.Returns, &g.Tax); err != nil {
			return n, err
		}
		n.Grand = append(n.Grand, g)
	}
	return n, rows.Err()
}
