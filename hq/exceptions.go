package hq

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/posnode/posnode/events"
)

// What registers did while they could not ask may not fit together. Head office finds it as the
// entries arrive and lists it for people to settle. It never drops a sale and never changes one.

// maxNamed is how many facts an exception names at most, the last ones.
const maxNamed = 20

// lookAfterBalances looks for exceptions, and confirms what was recorded offline, until ctx ends. It
// begins when what was stored has been read: in a part of it much does not fit together.
func (h *HQ) lookAfterBalances(ctx context.Context) {
	select {
	case <-h.whole:
	case <-ctx.Done():
	}
	h.keepOn(ctx, "looking for exceptions", func() error {
		for {
			if err := h.lookForExceptions(ctx); err != nil {
				return err
			}
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-h.settled:
			}
		}
	})
}

// moreSettled has what was taken in looked at.
func (h *HQ) moreSettled() {
	select {
	case h.settled <- struct{}{}:
	default:
	}
}

// lookForExceptions looks at everything that entries have touched since it was last looked at. If we died in
// here it is looked at again; what was recorded is recorded once.
func (h *HQ) lookForExceptions(ctx context.Context) error {
	if err := errors.Join(h.confirmLater(ctx), h.shutOutRevoked(ctx)); err != nil {
		return err
	}
	type touched struct{ kind, key string }
	var all []touched
	rows, err := h.db.db.QueryContext(ctx, `SELECT kind, key FROM dirty`)
	if err != nil {
		return err
	}
	for rows.Next() {
		var t touched
		if err := rows.Scan(&t.kind, &t.key); err != nil {
			rows.Close()
			return err
		}
		all = append(all, t)
	}
	if err := rows.Close(); err != nil {
		return err
	}
	var failed error // one that cannot be looked at keeps no other from it
	var numbers []string
	for _, t := range all {
		// Before it is looked at: what arrives meanwhile makes it dirty again.
		if _, err := h.db.db.ExecContext(ctx, `DELETE FROM dirty WHERE kind = ? AND key = ?`, t.kind, t.key); err != nil {
			return err
		}
		if t.kind == "number" {
			numbers = append(numbers, t.key)
			continue
		}
		if err := h.look(ctx, t.kind, t.key); err != nil {
			_, again := h.db.db.ExecContext(context.WithoutCancel(ctx), `INSERT OR IGNORE INTO dirty VALUES (?, ?)`, t.kind, t.key)
			failed = fmt.Errorf("look at %s %s: %w", t.kind, t.key, errors.Join(err, again))
			if ctx.Err() != nil {
				return failed
			}
		}
	}
	if err := h.sendNumbers(ctx, numbers); err != nil {
		for _, key := range numbers {
			_, again := h.db.db.ExecContext(context.WithoutCancel(ctx), `INSERT OR IGNORE INTO dirty VALUES ('number', ?)`, key)
			err = errors.Join(err, again)
		}
		failed = errors.Join(failed, err)
	}
	return failed
}

func (h *HQ) look(ctx context.Context, kind, key string) error {
	switch kind {
	case events.ReserveGiftCard, events.ReserveAccount, events.ReserveLoyalty:
		return h.lookAtBalance(ctx, kind, key)
	case events.ReserveOrder:
		facts, err := h.moved(ctx, kind, key, "")
		if err != nil || len(facts) < 2 {
			return err
		}
		return h.except(ctx, &events.ExceptionFound{Kind: "order_picked_up_twice", Key: key, Facts: named(facts)})
	case "suspended":
		return h.lookAtRecalls(ctx, key)
	case "returned":
		return h.lookAtReturns(ctx, key)
	case "edit":
		return h.lookAtEdits(ctx, key)
	case "customer":
		return h.mapCustomer(ctx, events.CustomerID(key))
	}
	return nil
}

// movement is one movement of a balance.
type movement struct {
	events.ExceptionFact
	issued bool
}

// moved are the movements of a balance after a moment, by the clocks of their registers.
func (h *HQ) moved(ctx context.Context, kind, key, since string) (all []movement, err error) {
	rows, err := h.db.db.QueryContext(ctx, `SELECT register, epoch, sequence, transaction_id, at, amount, issued FROM moves WHERE kind = ? AND key = ? AND at > ? ORDER BY at, register, sequence, n`, kind, key, since)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var m movement
		if err := rows.Scan(&m.Register, &m.Epoch, &m.Sequence, &m.Transaction, &m.Time, &m.Amount, &m.issued); err != nil {
			return nil, err
		}
		all = append(all, m)
	}
	return all, rows.Err()
}

// named are the last of some movements, as an exception names them.
func named(all []movement) (facts []events.ExceptionFact) {
	for _, m := range all[max(0, len(all)-maxNamed):] {
		facts = append(facts, m.ExceptionFact)
	}
	return facts
}

// lookAtBalance finds the movements that took a balance where it may not be.
func (h *HQ) lookAtBalance(ctx context.Context, kind, key string) error {
	all, err := h.moved(ctx, kind, key, "")
	if err != nil || len(all) == 0 {
		return err
	}
	r, err := events.ParseRegister(all[0].Register)
	if err != nil {
		return err
	}
	b, _, err := h.base(ctx, r, events.Reservation{Kind: kind, Key: key})
	if err != nil || b == nil {
		return err // blocked since, or not kept: there is nothing to hold it against
	}
	if kind == events.ReserveGiftCard {
		var issues []movement
		for _, m := range all {
			if m.issued {
				issues = append(issues, m)
			}
		}
		if len(issues) > 1 {
			if err := h.except(ctx, &events.ExceptionFound{Kind: "gift_card_issued_twice", Key: key, Facts: named(issues)}); err != nil {
				return err
			}
		}
	}
	sign, name, balance := events.Money(-1), map[string]string{events.ReserveGiftCard: "gift_card_overdrawn", events.ReserveLoyalty: "points_overdrawn"}[kind], b.balance
	over := func() events.Money { return -balance }
	if kind == events.ReserveAccount {
		sign, name = 1, "credit_limit_exceeded"
		over = func() events.Money { return balance - b.limit }
	}
	var taken []movement
	for _, m := range all {
		r, err := events.ParseRegister(m.Register)
		if err != nil {
			return err
		}
		if b.figure.Holds(r, events.Place{Epoch: m.Epoch, Sequence: m.Sequence}, m.Time) {
			continue
		}
		balance += m.Amount
		if m.Amount*sign <= 0 {
			continue
		}
		if taken = append(taken, m); over() > 0 {
			err := h.except(ctx, &events.ExceptionFound{
				Kind: name, Key: key, Amount: over(), Facts: named(taken), Detail: fmt.Sprintf("by %d, known of before: %d", over(), b.balance),
			})
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// lookAtReturns finds the lines of a document of which more came back than was sold.
func (h *HQ) lookAtReturns(ctx context.Context, transaction string) error {
	rows, err := h.db.db.QueryContext(ctx, `SELECT r.line, b.quantity, r.quantity, r.register, r.epoch, r.sequence, -r.amount
		FROM returned r JOIN bought b USING (transaction_id, line) WHERE r.transaction_id = ? ORDER BY r.line, r.register, r.epoch, r.sequence`, transaction)
	if err != nil {
		return err
	}
	defer rows.Close()
	bought, back, facts := map[int]int64{}, map[int]int64{}, map[int][]events.ExceptionFact{}
	for rows.Next() {
		var line int
		var sold, quantity int64
		var f events.ExceptionFact
		if err := rows.Scan(&line, &sold, &quantity, &f.Register, &f.Epoch, &f.Sequence, &f.Amount); err != nil {
			return err
		}
		bought[line], back[line] = sold, back[line]+quantity
		facts[line] = append(facts[line], f)
	}
	if err := rows.Err(); err != nil {
		return err
	}
	for line, quantity := range back {
		if quantity <= bought[line] {
			continue
		}
		err := h.except(ctx, &events.ExceptionFound{
			Kind: "returned_twice", Key: fmt.Sprintf("%s line %d", transaction, line), Facts: facts[line],
			Detail: fmt.Sprintf("%s came back of %s", tenThousandths(quantity), tenThousandths(bought[line])),
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// tenThousandths is a quantity for a person.
func tenThousandths(n int64) string {
	return strings.TrimRight(strings.TrimRight(fmt.Sprintf("%d.%04d", n/10000, n%10000), "0"), ".")
}

// lookAtEdits finds edits of one field of a customer that did not know of each other. The later one wins.
func (h *HQ) lookAtEdits(ctx context.Context, customer string) error {
	customer, err := h.db.lasting(ctx, customer)
	if err != nil {
		return err
	}
	rows, err := h.db.db.QueryContext(ctx, `SELECT field, register, epoch, sequence, at, old, new FROM edits
		WHERE customer = ?1 OR customer IN (SELECT provisional FROM mapped WHERE customer = ?1) ORDER BY field, at, register, sequence`, customer)
	if err != nil {
		return err
	}
	defer rows.Close()
	type edit struct {
		events.ExceptionFact
		field, old, new string
	}
	var before edit
	var found []*events.ExceptionFound
	for rows.Next() {
		var e edit
		if err := rows.Scan(&e.field, &e.Register, &e.Epoch, &e.Sequence, &e.Time, &e.old, &e.new); err != nil {
			return err
		}
		if before.field == e.field && before.Register != e.Register && e.old != before.new && e.new != before.new {
			found = append(found, &events.ExceptionFound{
				Kind: "customer_conflict", Key: customer + " " + e.field, Facts: []events.ExceptionFact{before.ExceptionFact, e.ExceptionFact},
				Detail: fmt.Sprintf("%q was replaced by %q", before.new, e.new),
			})
		}
		before = e
	}
	if err := rows.Err(); err != nil {
		return err
	}
	for _, f := range found {
		if err := h.except(ctx, f); err != nil {
			return err
		}
	}
	return nil
}

// exceptionID is the same for the same facts, whichever instance of head office finds them.
func exceptionID(f *events.ExceptionFound) string {
	var places []string
	for _, one := range f.Facts {
		places = append(places, fmt.Sprintf("%s/%d/%d", one.Register, one.Epoch, one.Sequence))
	}
	slices.Sort(places)
	return f.Kind + " " + f.Key + " " + strings.Join(places, " ")
}

// except records an exception, once.
func (h *HQ) except(ctx context.Context, f *events.ExceptionFound) error {
	_, err := h.record(ctx, func(ctx context.Context, tx *sql.Tx, _ events.Head) (events.Fact, error) {
		var n int
		err := tx.QueryRowContext(ctx, `SELECT count(*) FROM exceptions WHERE id = ?`, exceptionID(f)).Scan(&n)
		if n > 0 || err != nil {
			return nil, err
		}
		return f, nil
	})
	return err
}

func foldException(ctx context.Context, tx *sql.Tx, e *events.Entry, f *events.ExceptionFound) error {
	raw, err := json.Marshal(f)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `INSERT OR IGNORE INTO exceptions VALUES (?, ?, ?)`, exceptionID(f), string(raw), e.Envelope.Time)
	return err
}

// Exception is what does not fit together, and when that was found.
type Exception struct {
	Found string `json:"found"` // RFC 3339
	events.ExceptionFound
}

// Exceptions lists what registers recorded that does not fit together, in the order in which it was found.
func (h *HQ) Exceptions(ctx context.Context) (all []Exception, err error) {
	rows, err := h.db.db.QueryContext(ctx, `SELECT at, fact FROM exceptions ORDER BY at, id`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var e Exception
		var raw string
		if err := rows.Scan(&e.Found, &raw); err != nil {
			return nil, err
		}
		if err := json.Unmarshal([]byte(raw), &e.ExceptionFound); err != nil {
			return nil, err
		}
		all = append(all, e)
	}
	return all, rows.Err()
}
