package hq

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/posnode/posnode/embedded"
	"github.com/posnode/posnode/events"
	"github.com/posnode/posnode/ledger"
)

// A transaction that was set aside at one register of a store can go on at another. That one
// asks what it holds, claims it, and records it under an id of its own; the first lets go of it when head office says so.
// A suspension is recalled once: it is claimed by both while they are online, and what a register does
// with its own while it is offline is an exception if the other did it, too.

// keepSuspended takes in where a transaction waits, and how it stopped waiting. Entries come in any order.
func (v *verifier) keepSuspended(r embedded.Received, e *events.Entry) error {
	// The id of a transaction begins with its register and epoch. One that is another's says nothing of it.
	own := func(id events.TransactionID) bool {
		return strings.HasPrefix(string(id), fmt.Sprintf("%s-%d-", e.Register, e.Head.Epoch))
	}
	released := func(id events.TransactionID, handedOver bool) error {
		if !own(id) {
			return nil
		}
		return v.exec(`INSERT OR REPLACE INTO released VALUES (?, ?, ?, ?)`, string(id), e.Head.Sequence, handedOver, e.Envelope.Time)
	}
	about := events.TransactionID("")
	var err error
	switch f := e.Fact.(type) {
	case *events.SaleSuspended:
		if about = f.Transaction; !own(about) || f.Held == nil {
			return nil
		}
		s := ledger.SuspendedBy(e.Register, e.Head, f)
		s.Held = nil // its entry has it
		var summary []byte
		if summary, err = json.Marshal(s); err != nil {
			return err
		}
		err = v.exec(`INSERT OR REPLACE INTO suspensions VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`, string(about), e.Head.Sequence, e.Register.String(),
			string(e.Register.Store), e.Head.Epoch, r.Shard, r.ShardSequence, string(summary), s.Text())
	case *events.SaleRecalled:
		about, err = f.Transaction, released(f.Transaction, false)
	case *events.SaleVoided:
		about, err = f.Transaction, released(f.Transaction, false) // it may not have been suspended: then nothing asks
	case *events.SaleHandedOver:
		about, err = f.Transaction, released(f.Transaction, true)
	case *events.SaleTakenOver:
		about = f.From.Transaction
		err = v.exec(`INSERT OR REPLACE INTO taken_over VALUES (?, ?, ?, ?, ?, ?, ?)`, string(about), f.From.Head.Sequence, e.Register.String(),
			e.Head.Epoch, e.Head.Sequence, string(f.Transaction), e.Envelope.Time)
	}
	return errors.Join(err, v.exec(`INSERT OR IGNORE INTO dirty VALUES ('suspended', ?)`, string(about)))
}

// waits is the condition that a suspension s waits still: it was not recalled where it is, and no other
// register has recorded what it was granted of it.
const waits = ` NOT EXISTS (SELECT 1 FROM released r WHERE r.transaction_id = s.transaction_id AND r.sequence > s.sequence)
	AND NOT EXISTS (SELECT 1 FROM suspensions l WHERE l.transaction_id = s.transaction_id AND l.sequence > s.sequence)
	AND NOT EXISTS (SELECT 1 FROM went_on t WHERE t.transaction_id = s.transaction_id AND t.suspended = s.sequence) `

// lookUpSuspended is a transaction that waits at a register of the asking register's store.
func (h *HQ) lookUpSuspended(ctx context.Context, r events.Register, q ledger.Query) (answer, error) {
	var at stored
	var name string
	err := h.db.db.QueryRowContext(ctx, `SELECT register, shard, shard_sequence FROM suspensions s WHERE transaction_id = ? AND store = ? AND`+waits,
		q.Key, string(r.Store)).Scan(&name, &at.shard, &at.sequence)
	if errors.Is(err, sql.ErrNoRows) {
		return answer{}, nil
	}
	if err != nil {
		return answer{}, err
	}
	entry, err := h.fetch(ctx, at)
	if err != nil {
		return answer{}, fmt.Errorf("transaction %.64s: %w", q.Key, err)
	}
	f, ok := entry.Fact.(*events.SaleSuspended)
	if !ok || string(f.Transaction) != q.Key || entry.Register.String() != name {
		return answer{}, fmt.Errorf("transaction %.64s: %s at %d is another entry", q.Key, at.shard, at.sequence)
	}
	return answer{record: ledger.SuspendedBy(entry.Register, entry.Head, f)}, nil
}

// searchSuspended lists what waits in the store and has text somewhere, the first one first.
func (h *HQ) searchSuspended(ctx context.Context, r events.Register, q ledger.Query) (answer, error) {
	all, err := column(ctx, h.db.db, `SELECT summary FROM suspensions s WHERE store = ? AND instr(text, ?) AND`+waits+`ORDER BY sequence, transaction_id LIMIT ?`,
		string(r.Store), strings.ToLower(q.Key), ledger.MaxHits+1)
	if err != nil {
		return answer{}, err
	}
	var a answer
	for _, summary := range all {
		var s ledger.Suspended
		if err := json.Unmarshal([]byte(summary), &s); err != nil {
			return answer{}, err
		}
		a.hits = append(a.hits, answer{record: s, key: string(s.From.Transaction)})
	}
	return a, nil
}

// grantRecall lets one transaction have what was set aside, that of the register itself or of another of its store.
func (h *HQ) grantRecall(ctx context.Context, r events.Register, want events.Reservation) (out *events.Reserved, refusal *events.NotGranted, err error) {
	id, at, _ := strings.Cut(want.Key, "/")
	sequence, err := strconv.ParseInt(at, 10, 64)
	if err != nil {
		return nil, nil, fmt.Errorf("read the suspension %.80q: %w", want.Key, err)
	}
	_, err = h.record(ctx, func(ctx context.Context, tx *sql.Tx, _ events.Head) (events.Fact, error) {
		out, refusal = &events.Reserved{}, nil
		if before, err := grantedBefore(ctx, tx, want); err != nil || before {
			return nil, err
		}
		by, err := recalledBy(ctx, tx, want, id, sequence)
		if err != nil {
			return nil, err
		}
		if by != "" {
			refusal = &events.NotGranted{Code: "transaction_recalled", Why: fmt.Sprintf("Transaction %s goes on at register %s.", id, by)}
			return nil, nil
		}
		if id == string(want.Transaction) && strings.HasPrefix(id, want.Register+"-") {
			return &events.ReservationGranted{Reservation: want}, nil // its own, which may not have arrived
		}
		var n int
		err = tx.QueryRowContext(ctx, `SELECT count(*) FROM suspensions s WHERE transaction_id = ? AND sequence = ? AND store = ? AND`+waits, id, sequence, string(r.Store)).Scan(&n)
		if err != nil {
			return nil, err
		}
		if n == 0 {
			refusal = &events.NotGranted{Code: "not_on_hold", Why: fmt.Sprintf("Transaction %s is not suspended.", id)}
			return nil, nil
		}
		return &events.ReservationGranted{Reservation: want}, nil
	})
	if err != nil || refusal != nil {
		return nil, refusal, err
	}
	return out, nil, nil
}

// recalledBy is the register that a suspension was granted to, "" for none but the transaction that asks: it has recorded
// that, or may be about to.
func recalledBy(ctx context.Context, q querier, want events.Reservation, id string, sequence int64) (by string, err error) {
	err = q.QueryRowContext(ctx, `SELECT register FROM reservations WHERE kind = 'recall' AND key = ?1 AND NOT ended AND NOT (register = ?2 AND transaction_id = ?3)
		UNION SELECT register FROM went_on WHERE transaction_id = ?4 AND suspended = ?5 LIMIT 1`,
		want.Key, want.Register, string(want.Transaction), id, sequence).Scan(&by)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	return by, err
}

// carryOver gives the order that a suspended transaction picks up to the transaction that goes on with it.
func (s *settler) carryOver(f *events.ReservationGranted) {
	id, _, _ := strings.Cut(f.Key, "/")
	if id == string(f.Transaction) {
		return
	}
	// A register chooses the ids of its reservations, and could have had this one.
	s.exec(`UPDATE OR IGNORE reservations SET register = ?, transaction_id = ? WHERE transaction_id = ? AND kind = 'order' AND NOT ended`,
		f.Register, string(f.Transaction), id)
}

// maxHandedOver bounds how many transactions one answer tells a register to let go of.
const maxHandedOver = 20

// handedOver are the transactions that wait in a journal and go on elsewhere.
func (d *database) handedOver(ctx context.Context, name embedded.JournalName) (all []events.SaleHandedOver, err error) {
	rows, err := d.db.QueryContext(ctx, `SELECT s.transaction_id, s.sequence, t.register, t.into_id FROM suspensions s
		JOIN went_on t ON t.transaction_id = s.transaction_id AND t.suspended = s.sequence
		WHERE s.register = ? AND s.epoch = ? AND NOT EXISTS (SELECT 1 FROM released r WHERE r.transaction_id = s.transaction_id AND r.sequence > s.sequence)
		ORDER BY s.sequence LIMIT ?`, name.Register.String(), name.Epoch, maxHandedOver)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var f events.SaleHandedOver
		if err := rows.Scan(&f.Transaction, &f.Suspended, &f.To, &f.Into); err != nil {
			return nil, err
		}
		all = append(all, f)
	}
	return all, rows.Err()
}

// lookAtRecalls finds suspensions that went on more than once: here and there.
func (h *HQ) lookAtRecalls(ctx context.Context, id string) error {
	// A transaction is set aside again and again, and each time goes on from there: by one that took it over, or by the first
	// thing that happened to it in its own journal.
	rows, err := h.db.db.QueryContext(ctx, `SELECT t.suspended, t.register, t.epoch, t.sequence, t.into_id, t.at FROM taken_over t WHERE t.transaction_id = ?1
		UNION ALL SELECT s.sequence, s.register, s.epoch, r.sequence, s.transaction_id, r.at FROM suspensions s JOIN released r USING (transaction_id)
			WHERE s.transaction_id = ?1 AND NOT r.handed_over AND r.sequence = (SELECT min(sequence) FROM released WHERE transaction_id = ?1 AND sequence > s.sequence)
				AND NOT EXISTS (SELECT 1 FROM suspensions l WHERE l.transaction_id = ?1 AND l.sequence > s.sequence AND l.sequence < r.sequence)
		ORDER BY 1, 6, 2, 4`, id)
	if err != nil {
		return err
	}
	defer rows.Close()
	went := map[int64][]events.ExceptionFact{}
	for rows.Next() {
		var suspended int64
		var f events.ExceptionFact
		if err := rows.Scan(&suspended, &f.Register, &f.Epoch, &f.Sequence, &f.Transaction, &f.Time); err != nil {
			return err
		}
		went[suspended] = append(went[suspended], f)
	}
	if err := rows.Err(); err != nil {
		return err
	}
	for suspended, facts := range went {
		if len(facts) < 2 {
			continue
		}
		err := h.except(ctx, &events.ExceptionFound{
			Kind: "recalled_twice", Key: fmt.Sprintf("%s/%d", id, suspended), Facts: facts[max(0, len(facts)-maxNamed):], Detail: "one suspended transaction went on more than once",
		})
		if err != nil {
			return err
		}
	}
	return nil
}
