package hq

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/posnode/posnode/events"
	"github.com/posnode/posnode/ledger"
	"github.com/posnode/posnode/projections"
)

// Gift cards, customer accounts and points are kept by head office, and moved by registers. What is
// on one is what the reference data says, and every verified movement of every register since.
// While a register is online it reserves what it is about to move.

const settleSchema = `
CREATE TABLE IF NOT EXISTS moves ( -- on balances, in verified entries
	kind TEXT NOT NULL, key TEXT NOT NULL, register TEXT NOT NULL, epoch INTEGER NOT NULL, sequence INTEGER NOT NULL, n INTEGER NOT NULL,
	at TEXT NOT NULL, amount INTEGER NOT NULL, issued INTEGER NOT NULL, transaction_id TEXT NOT NULL,
	PRIMARY KEY (kind, key, register, epoch, sequence, n)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS reservations (
	register TEXT NOT NULL, id TEXT NOT NULL, transaction_id TEXT NOT NULL, payment INTEGER NOT NULL, line INTEGER NOT NULL,
	kind TEXT NOT NULL, key TEXT NOT NULL, amount INTEGER NOT NULL, balance INTEGER NOT NULL, ended INTEGER NOT NULL,
	PRIMARY KEY (register, id) -- a register chooses its ids
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS live_reservations ON reservations (kind, key) WHERE NOT ended;
CREATE INDEX IF NOT EXISTS granted_recalls ON reservations (key) WHERE kind = 'recall';
CREATE INDEX IF NOT EXISTS live_transactions ON reservations (register, transaction_id) WHERE NOT ended;
CREATE TABLE IF NOT EXISTS bought (transaction_id TEXT NOT NULL, line INTEGER NOT NULL, quantity INTEGER NOT NULL, PRIMARY KEY (transaction_id, line)) WITHOUT ROWID; -- of lines that came back
CREATE TABLE IF NOT EXISTS edits ( -- of customers, field by field
	customer TEXT NOT NULL, field TEXT NOT NULL, register TEXT NOT NULL, epoch INTEGER NOT NULL, sequence INTEGER NOT NULL,
	at TEXT NOT NULL, old TEXT NOT NULL, new TEXT NOT NULL,
	PRIMARY KEY (customer, field, register, epoch, sequence)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS dirty (kind TEXT NOT NULL, key TEXT NOT NULL, PRIMARY KEY (kind, key)) WITHOUT ROWID; -- to be looked at again for exceptions
CREATE TABLE IF NOT EXISTS exceptions (id TEXT PRIMARY KEY, fact TEXT NOT NULL, at TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS mapped (provisional TEXT PRIMARY KEY, customer TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS confirmed (register TEXT NOT NULL, epoch INTEGER NOT NULL, sequence INTEGER NOT NULL, PRIMARY KEY (register, epoch, sequence)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS unconfirmed (
	register TEXT NOT NULL, epoch INTEGER NOT NULL, sequence INTEGER NOT NULL, hash TEXT NOT NULL, shift TEXT NOT NULL, operation INTEGER NOT NULL,
	PRIMARY KEY (register, epoch, sequence)
) WITHOUT ROWID;
`

// settler takes what verified entries move into hq.db. Taking one in again changes nothing.
type settler struct {
	run func(query string, args ...any) error
	err error
}

func (s *settler) exec(query string, args ...any) {
	if s.err == nil {
		s.err = s.run(query, args...)
	}
}

// settle takes in one verified entry.
func settle(run func(query string, args ...any) error, e *events.Entry) error {
	s := &settler{run: run}
	register := e.Register.String()
	switch f := e.Fact.(type) {
	case *events.SaleConcluded:
		s.document(e, f)
	case *events.OrderPlaced:
		s.document(e, &f.SaleConcluded)
	case *events.SaleVoided:
		s.exec(`UPDATE reservations SET ended = 1 WHERE register = ? AND transaction_id = ? AND NOT ended`, register, string(f.Transaction))
	case *events.PaymentVoided:
		s.exec(`UPDATE reservations SET ended = 1 WHERE register = ? AND transaction_id = ? AND payment = ? AND NOT ended`, register, string(f.Transaction), f.Payment)
	case *events.LineVoided:
		s.exec(`UPDATE reservations SET ended = 1 WHERE register = ? AND transaction_id = ? AND line = ? AND NOT ended`, register, string(f.Transaction), f.Line)
	case *events.RegisterActivated:
		// What was open in an earlier epoch has ended with it. The number of a transaction begins with its register and epoch; of
		// this one there may be reservations already: they are granted before the entries arrive.
		s.exec(`UPDATE reservations SET ended = 1 WHERE register = ? AND CAST(substr(transaction_id, length(register) + 2) AS INTEGER) < ? AND NOT ended`, register, e.Head.Epoch)
	case *events.DeviceInactivated:
		s.exec(`UPDATE reservations SET ended = 1 WHERE register = ? AND NOT ended`, register)
	case *events.CustomerAdded:
		// Another number than one of this register's own is nothing that head office would answer with a lasting one.
		if strings.HasPrefix(string(f.Customer), fmt.Sprintf("P-%s-%d-", register, e.Head.Epoch)) {
			s.dirty("customer", string(f.Customer))
		}
	case *events.CustomerEdited:
		for _, c := range f.Changes {
			s.exec(`INSERT OR REPLACE INTO edits VALUES (?, ?, ?, ?, ?, ?, ?, ?)`, string(f.Customer), c.Field, register, e.Head.Epoch, e.Head.Sequence, e.Envelope.Time, c.Old, c.New)
		}
		s.dirty("edit", string(f.Customer))
	}
	if f, ok := e.Fact.(events.Confirmable); ok && f.Confirm().Confirmation == nil {
		s.exec(`INSERT OR IGNORE INTO unconfirmed SELECT ?1, ?2, ?3, ?4, ?5, ?6 WHERE NOT EXISTS (SELECT 1 FROM confirmed WHERE register = ?1 AND epoch = ?2 AND sequence = ?3)`,
			register, e.Head.Epoch, e.Head.Sequence, e.Head.Hash.String(), string(e.Shift), e.Operation)
	}
	return s.err
}

func (s *settler) dirty(kind, key string) {
	s.exec(`INSERT OR IGNORE INTO dirty VALUES (?, ?)`, kind, key)
}

// document takes in what a concluded document moved, and ends what was reserved for it.
func (s *settler) document(e *events.Entry, f *events.SaleConcluded) {
	n := 0
	move := func(kind, key string, amount events.Money, issued bool) {
		n++
		s.exec(`INSERT OR REPLACE INTO moves VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`, kind, key, e.Register.String(), e.Head.Epoch, e.Head.Sequence, n,
			e.Envelope.Time, int64(amount), issued, string(f.Transaction))
		s.dirty(kind, key)
	}
	for i := range f.Lines {
		line := &f.Lines[i]
		if line.Voided {
			continue
		}
		if line.GiftCard != nil {
			move(events.ReserveGiftCard, string(line.GiftCard.Card), line.Net, line.GiftCard.Issued)
		}
		if o := line.Original; o != nil {
			s.exec(`INSERT OR REPLACE INTO bought VALUES (?, ?, ?)`, string(o.Transaction), o.Line, o.Bought.TenThousandths())
			s.dirty("returned", string(o.Transaction))
		}
	}
	for _, p := range f.Payments {
		switch {
		case p.GiftCard != nil:
			move(events.ReserveGiftCard, string(p.GiftCard.Card), -p.Amount, false)
		case p.Account != nil:
			move(events.ReserveAccount, string(p.Account.Customer), p.Amount, false)
		case p.Loyalty != nil:
			move(events.ReserveLoyalty, string(p.Loyalty.Card), -events.Money(p.Loyalty.Points), false)
		}
	}
	if f.Order != nil {
		move(events.ReserveOrder, string(f.Order.Order), 0, false)
	}
	s.exec(`UPDATE reservations SET ended = 1 WHERE register = ? AND transaction_id = ? AND NOT ended`, e.Register.String(), string(f.Transaction))
}

// foldSettled takes an own fact about balances and exceptions into hq.db.
func foldSettled(ctx context.Context, tx *sql.Tx, e *events.Entry) error {
	s := &settler{run: func(query string, args ...any) error {
		_, err := tx.ExecContext(ctx, query, args...)
		return err
	}}
	switch f := e.Fact.(type) {
	case *events.ReservationGranted:
		// The transaction asks again for the same: what it was granted before, it never heard of.
		s.exec(`UPDATE reservations SET ended = 1 WHERE register = ? AND transaction_id = ? AND kind = ? AND key = ? AND NOT ended`,
			f.Register, string(f.Transaction), f.Kind, f.Key)
		s.exec(`INSERT INTO reservations VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 0)`, f.Register, f.ID, string(f.Transaction), f.Payment, f.Line, f.Kind, f.Key, int64(f.Amount), int64(f.Balance))
		if f.Kind == events.ReserveRecall {
			s.carryOver(f)
		}
	case *events.RegisterRevoked:
		if f.Request != "" {
			return nil // it says itself when it ends
		}
		// It can end none itself any more. What it has recorded and not sent counts when it arrives.
		s.exec(`UPDATE reservations SET ended = 1 WHERE register = ? AND NOT ended`, f.Register)
	case *events.ShiftConfirmed:
		s.exec(`INSERT OR IGNORE INTO confirmed VALUES (?, ?, ?)`, f.Register, f.Head.Epoch, f.Head.Sequence)
		s.exec(`DELETE FROM unconfirmed WHERE register = ? AND epoch = ? AND sequence = ?`, f.Register, f.Head.Epoch, f.Head.Sequence)
	case *events.ExceptionFound:
		return foldException(ctx, tx, e, f)
	case *events.CustomerMapped:
		s.exec(`INSERT OR IGNORE INTO mapped VALUES (?, ?)`, string(f.Provisional), string(f.Customer))
		s.dirty("number", string(f.Provisional))
	}
	return s.err
}

// reserve grants a register what it is about to move, if there is as much.
func (h *HQ) reserve(ctx context.Context, r events.Register, want events.Reservation) (*events.Reserved, *events.NotGranted, error) {
	if want.ID == "" || want.Transaction == "" || want.Key == "" || want.Amount < 0 {
		return nil, nil, errors.New("a reservation without its particulars")
	}
	if max(want.Amount, want.Own, -want.Own) > events.MaxMoney {
		return nil, nil, fmt.Errorf("a reservation of more than %d", events.MaxMoney)
	}
	if max(len(want.ID), len(want.Transaction), len(want.Key)) > projections.MaxQueryKey {
		return nil, nil, fmt.Errorf("a name of more than %d bytes in a reservation", projections.MaxQueryKey)
	}
	want.Register = r.String()
	switch want.Kind {
	case events.ReserveRecall:
		return h.grantRecall(ctx, r, want)
	case events.ReserveReturn:
		return h.grantReturn(ctx, r, want)
	}
	base, refusal, err := h.base(ctx, r, want)
	if err != nil || refusal != nil || base == nil {
		return &events.Reserved{NotKept: true}, refusal, err
	}
	var out *events.Reserved
	_, err = h.record(ctx, func(ctx context.Context, tx *sql.Tx, _ events.Head) (events.Fact, error) {
		var err error
		out = nil
		if refusal, err = movesNothing(ctx, tx, r, want.Transaction); refusal != nil || err != nil {
			return nil, err
		}
		var amount, balance events.Money
		err = tx.QueryRowContext(ctx, `SELECT amount, balance FROM reservations WHERE register = ? AND id = ?`, want.Register, want.ID).Scan(&amount, &balance)
		if err == nil {
			// It was granted before, and the answer was lost.
			out = &events.Reserved{Granted: amount, Remaining: base.left(balance) - amount}
			return nil, nil
		}
		if !errors.Is(err, sql.ErrNoRows) {
			return nil, err
		}
		var fact *events.ReservationGranted
		if fact, refusal, err = base.grant(ctx, tx, r, want); fact == nil {
			return nil, err
		}
		out = &events.Reserved{Granted: want.Amount, Remaining: base.left(fact.Balance) - want.Amount}
		return fact, nil
	})
	return out, refusal, err
}

// grantedBefore says whether a reservation was granted, and the answer was lost.
func grantedBefore(ctx context.Context, q querier, want events.Reservation) (before bool, err error) {
	err = q.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM reservations WHERE register = ? AND id = ?)`, want.Register, want.ID).Scan(&before)
	return before, err
}

// base is what the reference data says of a balance.
type base struct {
	kind    string // of movements
	balance events.Money
	figure  ledger.Figure
	limit   events.Money // of an account
	exists  bool         // a gift card that is issued, an order that is open
}

// left is what may still be moved.
func (b base) left(balance events.Money) events.Money {
	if b.kind == events.ReserveAccount {
		return b.limit - balance
	}
	return balance
}

// base is what the reference data says of what is to be reserved; nil where head office does not keep it.
func (h *HQ) base(ctx context.Context, r events.Register, want events.Reservation) (*base, *events.NotGranted, error) {
	kind := map[string]string{
		events.ReserveGiftCard: "giftcard", events.ReserveIssue: "giftcard", events.ReserveAccount: "customer",
		events.ReserveLoyalty: "loyalty", events.ReserveOrder: "order",
	}[want.Kind]
	if kind == "" {
		return nil, nil, errors.New("head office reserves no " + want.Kind)
	}
	a, err := h.refer(ctx, r, ledger.Query{Kind: kind, Key: want.Key})
	if err != nil || a.notKept && kind != "order" {
		return nil, nil, err
	}
	b := &base{kind: want.Kind}
	switch record := a.record.(type) {
	case ledger.GiftCard:
		b.balance, b.figure, b.exists = record.Balance, record.Figure(), !record.Blank
		if record.Blocked {
			return nil, &events.NotGranted{Code: "gift_card_blocked", Why: "The gift card is blocked."}, nil
		}
	case ledger.Customer:
		b.balance, b.figure, b.limit, b.exists = record.Balance, record.Figure(), record.CreditLimit, true
		if record.Blocked {
			return nil, &events.NotGranted{Code: "customer_blocked", Why: "Customer " + want.Key + " is blocked."}, nil
		}
	case ledger.LoyaltyCard:
		b.balance, b.figure, b.exists = events.Money(record.Points), record.Figure(), true
		if record.Blocked {
			return nil, &events.NotGranted{Code: "loyalty_card_blocked", Why: "The loyalty card is blocked."}, nil
		}
	}
	if b.kind == events.ReserveIssue {
		b.kind = events.ReserveGiftCard
	}
	return b, nil, nil
}

// grant decides on a reservation; neither a fact nor a refusal comes with an error.
func (b base) grant(ctx context.Context, q querier, r events.Register, want events.Reservation) (*events.ReservationGranted, *events.NotGranted, error) {
	balance, err := b.now(ctx, q, r, want)
	if err != nil {
		return nil, nil, err
	}
	refusal, err := b.check(ctx, q, want, balance)
	if err != nil || refusal != nil {
		return nil, refusal, err
	}
	return &events.ReservationGranted{Reservation: want, Balance: balance}, nil, nil
}

// now is what there is for a register that decides on what it was told: the figure, what has been moved since
// as far as that was told it, and what it adds itself, less what others have reserved.
func (b base) now(ctx context.Context, q querier, r events.Register, want events.Reservation) (events.Money, error) {
	own := want.Own
	if b.figure.AsOf != want.AsOf {
		// A figure that came between the two questions may hold what the register put on the balance.
		own = min(own, 0)
		if b.kind == events.ReserveAccount {
			own = max(want.Own, 0)
		}
	}
	has, err := seenOf(ctx, q, r)
	if err != nil {
		return 0, err
	}
	has.through = want.Through // on which it decided: more may have come since
	since, err := movedSince(ctx, q, b.kind, want.Key, r, b.figure, has)
	return b.balance + since.sum + own, err
}

// since is what was done to a balance after its figure was made.
type since struct {
	sum    events.Money // moved, and reserved by others
	issued int          // how often the card was issued
}

// movedSince is what was done to a balance and the figure does not hold: by the register that asks as far as it is told so,
// by every other as far as it has arrived, and what others have reserved. It may be less than there is by
// what a document took that arrives meanwhile, and is never more.
func movedSince(ctx context.Context, q querier, kind, key string, asks events.Register, f ledger.Figure, has seen) (s since, err error) {
	// What is reserved comes first: a document that is taken in between counts twice, and never not at all.
	err = q.QueryRowContext(ctx, `SELECT coalesce(sum(amount), 0) FROM reservations WHERE kind = ? AND key = ? AND NOT ended AND register <> ?`,
		kind, key, asks.String()).Scan(&s.sum)
	if err != nil {
		return s, err
	}
	if kind != events.ReserveAccount {
		s.sum = -s.sum
	}
	rows, err := q.QueryContext(ctx, `SELECT register, epoch, sequence, at, amount, issued FROM moves WHERE kind = ? AND key = ?`, kind, key)
	if err != nil {
		return s, err
	}
	defer rows.Close()
	for rows.Next() {
		var name, at string
		var place events.Place
		var amount events.Money
		var issued bool
		if err := rows.Scan(&name, &place.Epoch, &place.Sequence, &at, &amount, &issued); err != nil {
			return s, err
		}
		r, err := events.ParseRegister(name)
		if err != nil {
			return s, err
		}
		if issued {
			s.issued++
		}
		if !f.Holds(r, place, at) && (r != asks || has.counts(place)) {
			s.sum += amount
		}
	}
	return s, rows.Err()
}

// check says why a reservation cannot be granted, nil where it can.
func (b base) check(ctx context.Context, q querier, want events.Reservation, balance events.Money) (*events.NotGranted, error) {
	var issued, claimed int
	err := errors.Join(
		q.QueryRowContext(ctx, `SELECT count(*) FROM moves WHERE kind = ? AND key = ? AND (issued OR kind = ?)`, b.kind, want.Key, events.ReserveOrder).Scan(&issued),
		q.QueryRowContext(ctx, `SELECT count(*) FROM reservations WHERE kind = ? AND key = ? AND NOT ended AND NOT (register = ? AND transaction_id = ?)`,
			want.Kind, want.Key, want.Register, string(want.Transaction)).Scan(&claimed),
	)
	if err != nil {
		return nil, err
	}
	const atHQ = "Take that much from it."
	switch want.Kind {
	case events.ReserveIssue:
		if b.exists || issued > 0 || claimed > 0 {
			return &events.NotGranted{Code: "gift_card_exists", Why: "The gift card has been issued already.", Instead: "Add to it."}, nil
		}
	case events.ReserveOrder:
		if issued > 0 {
			return &events.NotGranted{Code: "order_picked_up", Why: "Order " + want.Key + " was picked up already."}, nil
		}
		if claimed > 0 {
			return &events.NotGranted{Code: "order_reserved", Why: "Order " + want.Key + " is being picked up at another register."}, nil
		}
	case events.ReserveGiftCard:
		if !b.exists && issued == 0 && want.Own <= 0 {
			return &events.NotGranted{Code: "unknown_gift_card", Why: "There is no gift card " + want.Key + "."}, nil
		}
		if want.Amount > balance {
			return &events.NotGranted{Code: "gift_card_balance", Why: "The gift card holds " + max(0, balance).Decimal(2) + " by now.", Instead: atHQ}, nil
		}
	case events.ReserveLoyalty:
		if want.Amount > balance {
			return &events.NotGranted{Code: "points_too_few", Why: "The card does not have as many points by now.", Instead: atHQ}, nil
		}
	case events.ReserveAccount:
		if balance+want.Amount > b.limit {
			return &events.NotGranted{Code: "credit_limit_exceeded", Why: "Customer " + want.Key + " can owe less than that by now."}, nil
		}
	}
	return nil, nil
}

// lookUpBalance is a gift card, or a loyalty card, with what was moved on it since its figure was made, as far as
// that has arrived, and what others have reserved. The answer says up to where the asking register's own is in it.
func (h *HQ) lookUpBalance(ctx context.Context, r events.Register, q ledger.Query) (answer, error) {
	a, err := h.refer(ctx, r, q)
	if err != nil {
		return a, err
	}
	has, err := seenOf(ctx, h.db.db, r)
	if err != nil {
		return a, err
	}
	moved := func(f ledger.Figure) (since, error) { return movedSince(ctx, h.db.db, q.Kind, q.Key, r, f, has) }
	switch record := a.record.(type) {
	case ledger.GiftCard:
		a.record, err = h.db.giftCard(ctx, r, record)
		return a, err
	case ledger.LoyaltyCard:
		since, err := moved(record.Figure())
		record.Points, record.Through = record.Points+int64(since.sum), has.through
		a.record = record
		return a, err
	}
	if q.Kind != "giftcard" {
		return a, nil
	}
	since, err := moved(ledger.Figure{})
	if err != nil || since.issued == 0 {
		return a, err
	}
	store, err := h.reference.For(r).Store(ctx)
	if err != nil {
		return a, nil // a head office without settings
	}
	a.record, a.notKept = ledger.GiftCard{Number: events.CardNumber(q.Key), Balance: since.sum, Currency: store.Currency, Through: has.through}, false
	return a, nil
}

// giftCard is a gift card as it is told to a register.
func (d *database) giftCard(ctx context.Context, r events.Register, card ledger.GiftCard) (ledger.GiftCard, error) {
	has, err := seenOf(ctx, d.db, r)
	if err != nil {
		return card, err
	}
	since, err := movedSince(ctx, d.db, events.ReserveGiftCard, string(card.Number), r, card.Figure(), has)
	card.Balance, card.Through, card.Blank = card.Balance+since.sum, has.through, card.Blank && since.issued == 0
	return card, err
}

// owed puts to a customer's balance what they were let owe since.
func (h *HQ) owed(ctx context.Context, r events.Register, c ledger.Customer) (ledger.Customer, error) {
	has, err := seenOf(ctx, h.db.db, r)
	if err != nil {
		return c, err
	}
	since, err := movedSince(ctx, h.db.db, events.ReserveAccount, string(c.ID), r, c.Figure(), has)
	c.Balance, c.Through = c.Balance+since.sum, has.through
	return c, err
}

// seen is how far head office and a register agree on what that did.
type seen struct {
	through []events.Place // for each of its epochs, everything up to there is here
	forks   []events.Place // from there on the register did something else than is here, which will never be
}

// seenOf says it of a register. Where entries contradict each other, the head by which the register was let in again
// says which of them are its own.
func seenOf(ctx context.Context, q querier, r events.Register) (s seen, err error) {
	rows, err := q.QueryContext(ctx, `SELECT j.epoch, j.sequence, coalesce((SELECT min(f.sequence) FROM findings f WHERE f.register = j.register AND f.epoch = j.epoch AND f.kind = ?
			AND NOT EXISTS (SELECT 1 FROM enrolled n JOIN entries e ON e.journal = j.id AND e.sequence = json_extract(n.fact, '$.head.sequence')
				WHERE n.register = j.register AND json_extract(n.fact, '$.head.epoch') = j.epoch AND lower(hex(e.hash)) = json_extract(n.fact, '$.head.hash'))), 0)
		FROM journals j WHERE j.register = ? ORDER BY j.epoch`, KindFork, r.String())
	if err != nil {
		return s, err
	}
	defer rows.Close()
	for rows.Next() {
		var p, fork events.Place
		if err := rows.Scan(&p.Epoch, &p.Sequence, &fork.Sequence); err != nil {
			return s, err
		}
		if fork.Epoch = p.Epoch; fork.Sequence > 0 {
			s.forks = append(s.forks, fork)
			p.Sequence = min(p.Sequence, fork.Sequence-1)
		}
		s.through = append(s.through, p)
	}
	return s, rows.Err()
}

// counts says whether head office puts an entry of the asking register to a figure, given up to where that is told so.
func (s seen) counts(at events.Place) bool {
	return ledger.Reached(s.through, at) || slices.ContainsFunc(s.forks, func(f events.Place) bool { return f.Epoch == at.Epoch && f.Sequence <= at.Sequence })
}
