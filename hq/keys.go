package hq

import (
	"context"
	"database/sql"
	"fmt"
	"strings"

	"github.com/posnode/posnode/embedded"
	"github.com/posnode/posnode/events"
	"github.com/posnode/posnode/internal/checkpoint"
	"github.com/posnode/posnode/ledger"
)

// A head office that was put back from a backup does not know the keys of registers that it has let in since. It
// learns each again: from the note that it signed when it let the register in, which stands in the register's own
// journal; from a later epoch that it knows, whose activation record names the end of this one by its hash; or from
// an operator, who compares its fingerprint with what the register shows.

// activationTitle is the first line of the note that proves an activation.
const activationTitle = "posnode activation"

// activationText is what head office signs when it lets a register in.
func activationText(r events.Register, epoch int, key string) string {
	return fmt.Sprintf("%s\n%s\n%d\n%s\n", activationTitle, r, epoch, key)
}

// waitForKey notes that the key of an epoch is not known. Nothing of the epoch is vouched for until it is.
func (v *verifier) waitForKey(j *journal, r embedded.Received) error {
	j.capped = 1
	return v.find(r, KindKey, "a key with which head office let the register in", events.KeyFingerprint(j.key))
}

// believeProof learns the key of an epoch from the note that head office signed when it let the register in.
func (v *verifier) believeProof(e *events.Entry, f *events.DeviceActivated) error {
	if f.Proof == "" || v.witness == "" {
		return nil
	}
	text, err := checkpoint.OpenText(f.Proof, v.witness)
	if err != nil || text != activationText(e.Register, e.Epoch, f.Key) {
		return nil // another head office signed it, or nobody: it proves nothing here
	}
	// Where head office has recorded a key itself, that counts.
	err = v.exec(`INSERT INTO keys VALUES (?, ?, ?) ON CONFLICT DO NOTHING`, e.Register.String(), e.Epoch, f.Key)
	if err != nil {
		return err
	}
	return v.learnKey(embedded.JournalName{Register: e.Register, Epoch: e.Epoch}, "head office signed that it let the register in with it")
}

// learnKey has the entries of an epoch count whose key is known now.
func (v *verifier) learnKey(name embedded.JournalName, how string) error {
	j, err := v.journal(name)
	if err != nil || j.capped == 0 || j.key == "" {
		return err
	}
	if known, err := v.knownKey(j, ""); err != nil || known != j.key {
		return err
	}
	err = v.exec(`UPDATE findings SET resolved = ?, how = ? WHERE register = ? AND epoch = ? AND kind = 'key' AND resolved = ''`,
		stamp(v.at), how, name.Register.String(), name.Epoch)
	if err != nil {
		return err
	}
	j.moved = true
	return v.capAgain(j)
}

// learnFromChain learns the keys of epochs whose end is named by a verified activation record: the hash that it names vouches
// for all entries before it, and so for the key in the first.
func (v *verifier) learnFromChain() error {
	for {
		rows, err := v.tx.QueryContext(v.ctx, `SELECT f.register, f.epoch, j.key FROM findings AS f JOIN journals AS j USING (register, epoch)
			WHERE f.kind = 'key' AND f.resolved = '' AND EXISTS (
				SELECT 1 FROM ends JOIN journals AS next ON next.register = ends.register AND next.epoch = named_by AND next.sequence > 0
					JOIN entries ON entries.journal = j.id AND entries.sequence = ends.sequence JOIN runs ON runs.journal = j.id AND first = 1 AND last >= ends.sequence
				WHERE ends.register = f.register AND ends.epoch = f.epoch AND lower(hex(entries.hash)) = ends.hash)`)
		if err != nil {
			return err
		}
		defer rows.Close()
		type learned struct {
			register, key string
			epoch         int
		}
		var all []learned
		for rows.Next() {
			var l learned
			if err := rows.Scan(&l.register, &l.epoch, &l.key); err != nil {
				return err
			}
			all = append(all, l)
		}
		if err := errorsOf(rows); err != nil || len(all) == 0 {
			return err
		}
		for _, l := range all {
			r, err := events.ParseRegister(l.register)
			if err != nil {
				return err
			}
			name := embedded.JournalName{Register: r, Epoch: l.epoch}
			if err := noteKey(v.ctx, v.tx, l.register, l.epoch, l.key); err != nil {
				return err
			}
			if err := v.learnKey(name, "a later epoch names its end"); err != nil {
				return err
			}
			if err := v.storeJournal(v.journals[name]); err != nil {
				return err
			}
		}
	}
}

// relearn has what waited for a key count that an operator has confirmed.
func relearn(ctx context.Context, tx *sql.Tx, e *events.Entry, f *events.RegisterKeyConfirmed) error {
	v := (&database{}).verifier(ctx, tx)
	v.at = e.Time
	if err := v.learnKey(embedded.JournalName{Register: f.Of, Epoch: f.Epoch}, "confirmed"); err != nil {
		return err
	}
	return v.store()
}

// ConfirmKey records that an operator has compared the key of a register's epoch with what the register shows. fingerprint
// is that of [events.KeyFingerprint]. It returns the epoch. It refuses what no epoch of the register waits for.
func (h *HQ) ConfirmKey(ctx context.Context, r events.Register, fingerprint, who string) (epoch int, err error) {
	if who = strings.TrimSpace(who); len(who) > maxWho {
		return 0, &ledger.Refusal{Code: "invalid_parameter", Parameter: "who", Why: "who: give a name of at most 100 bytes."}
	}
	_, err = h.record(ctx, func(ctx context.Context, tx *sql.Tx, _ events.Head) (events.Fact, error) {
		waiting, err := findings(ctx, tx, `WHERE register = ? AND kind = 'key' AND resolved = '' ORDER BY epoch`, r.String())
		if err != nil {
			return nil, err
		}
		var others []string
		for _, f := range waiting {
			if f.Got != strings.ToLower(strings.TrimSpace(fingerprint)) {
				others = append(others, fmt.Sprintf("epoch %d has the key %s", f.Epoch, f.Got))
				continue
			}
			fact := &events.RegisterKeyConfirmed{Of: r, Epoch: f.Epoch, Who: who}
			epoch = f.Epoch
			return fact, tx.QueryRowContext(ctx, `SELECT key FROM journals WHERE register = ? AND epoch = ?`, r.String(), f.Epoch).Scan(&fact.Key)
		}
		why := fmt.Sprintf("No epoch of %s waits for this key to be confirmed.", r)
		if len(others) > 0 {
			why = fmt.Sprintf("%s is not the key of %s: %s.", fingerprint, r, strings.Join(others, ", "))
		}
		return nil, &ledger.Refusal{
			Code: "key_unknown", Parameter: "key", Why: why,
			Instead: "Compare it again with what 'posnode status' shows at the register. If it differs, someone else writes under this name: posnode hq revoke.",
		}
	})
	if err != nil {
		return 0, err
	}
	err = h.db.sayVerified(ctx, h.node.Fetch)
	h.moreSettled()
	return epoch, err
}
