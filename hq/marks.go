package hq

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/posnode/posnode/embedded"
	"github.com/posnode/posnode/events"
	"github.com/posnode/posnode/internal/checkpoint"
)

// signedMark is a mark as it is stored.
type signedMark struct {
	note     string
	head     events.Head
	revision uint64
}

// openMark reads a checkpoint of a journal that key signed.
func openMark(note, key string, name embedded.JournalName) (events.Head, error) {
	c, err := checkpoint.Open(note, key)
	if err == nil && c.Origin != originOf(name.Register, name.Epoch) {
		err = fmt.Errorf("it is of %s", c.Origin)
	}
	return events.Head{Epoch: name.Epoch, Sequence: c.Size, Hash: events.Digest(c.Hash)}, err
}

// markTries is how often another instance may be first.
const markTries = 5

// mark is head office's signed checkpoint of what it holds and has verified of a
// journal, a new one where that has grown. Two of one journal never contradict each other: the last
// one is in the stream, is part of what the next one covers, and is replaced by it or not at all.
func (h *HQ) mark(ctx context.Context, name embedded.JournalName, frozen bool) (string, error) {
	for range markTries {
		last, err := h.lastMark(ctx, name)
		if err != nil {
			return "", err
		}
		head, err := h.db.head(ctx, name)
		if err != nil {
			return "", err
		}
		if frozen || head.Sequence <= last.head.Sequence {
			return last.note, h.checkMark(ctx, name, last)
		}
		if err := h.checkMark(ctx, name, last); err != nil {
			return last.note, err
		}
		if ok, err := h.follows(ctx, name, last); err != nil || !ok {
			return last.note, err
		}
		next, err := h.sign(ctx, name, head, last.revision)
		if errors.Is(err, events.ErrConflict) {
			h.forgetMark(name)
			continue
		}
		return next, err
	}
	return "", fmt.Errorf("sign a mark of %s: other instances were first %d times", name, markTries)
}

// follows says whether what is held goes on from what was signed.
func (h *HQ) follows(ctx context.Context, name embedded.JournalName, last signedMark) (bool, error) {
	if last.head.Sequence == 0 {
		return true, nil
	}
	held, err := h.db.hashAt(ctx, name, last.head.Sequence)
	return held != nil && *held == last.head.Hash, err
}

// checkMark notes it where head office holds another history than the one that it signed.
func (h *HQ) checkMark(ctx context.Context, name embedded.JournalName, last signedMark) error {
	held, err := h.db.hashAt(ctx, name, last.head.Sequence)
	if err != nil || held == nil || *held == last.head.Hash {
		return err
	}
	return note(ctx, h.db.db, Finding{
		Register: name.Register.String(), Epoch: name.Epoch, Sequence: last.head.Sequence, Kind: KindFork,
		Want: last.head.Hash.String() + ", as head office has signed", Got: held.String(), Found: stamp(h.cfg.Clock()),
	})
}

// sign stores a mark of head.
func (h *HQ) sign(ctx context.Context, name embedded.JournalName, head events.Head, revision uint64) (string, error) {
	note, err := h.own.witness.Sign(checkpoint.Checkpoint{Origin: originOf(name.Register, name.Epoch), Size: head.Sequence, Hash: head.Hash})
	if err != nil {
		return "", err
	}
	// If we died before this line, nobody has seen the mark; after it, it is what every
	// instance goes by, and the register gets it with its next announcement.
	revision, err = h.node.PutMark(ctx, name, note, revision)
	if err != nil {
		h.forgetMark(name) // it may have been stored all the same
		return "", err
	}
	h.mu.Lock()
	h.marks[name] = signedMark{note, head, revision}
	h.mu.Unlock()
	return note, nil
}

func (h *HQ) forgetMark(name embedded.JournalName) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.marks, name)
}

// lastMark is the stored mark of a journal, as far as this instance knows: storing the next one finds out.
func (h *HQ) lastMark(ctx context.Context, name embedded.JournalName) (signedMark, error) {
	h.mu.Lock()
	m, known := h.marks[name]
	h.mu.Unlock()
	if known {
		return m, nil
	}
	var err error
	if m.note, m.revision, err = h.node.Mark(ctx, name); err != nil {
		return m, err
	}
	if m.note != "" {
		if m.head, err = openMark(m.note, h.own.public, name); err != nil {
			return m, fmt.Errorf("stored mark of %s: %w", name, err)
		}
	}
	h.mu.Lock()
	h.marks[name] = m
	h.mu.Unlock()
	return m, nil
}

// head is the verified head of a journal.
func (d *database) head(ctx context.Context, name embedded.JournalName) (events.Head, error) {
	head := events.Head{Epoch: name.Epoch}
	var hash string
	err := d.db.QueryRowContext(ctx, `SELECT sequence, hash FROM journals WHERE register = ? AND epoch = ?`, name.Register.String(), name.Epoch).Scan(&head.Sequence, &hash)
	if errors.Is(err, sql.ErrNoRows) {
		return head, nil
	}
	if err == nil && head.Sequence > 0 {
		err = head.Hash.UnmarshalText([]byte(hash))
	}
	return head, err
}

// hashAt is the hash of an entry that is held, nil where it is not.
func (d *database) hashAt(ctx context.Context, name embedded.JournalName, sequence uint64) (*events.Digest, error) {
	var hash []byte
	err := d.db.QueryRowContext(ctx, `SELECT entries.hash FROM entries JOIN journals ON journals.id = journal WHERE register = ? AND epoch = ? AND entries.sequence = ?`,
		name.Register.String(), name.Epoch, sequence).Scan(&hash)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	digest := events.Digest(hash)
	return &digest, nil
}

// missing are the gaps in all journals of a register, what was lost of them, and what stands in dispute behind what is verified, the oldest
// first: of two entries in one place the one that follows may have come before it could be known to. An epoch that is over has
// two histories for good.
func (d *database) missing(ctx context.Context, r events.Register) (out []events.Range, err error) {
	rows, err := d.db.QueryContext(ctx, `
		SELECT epoch, sequence, through FROM findings WHERE register = ?1 AND kind = 'gap' AND resolved = ''
		UNION SELECT epoch, lost.sequence, lost.sequence FROM lost JOIN journals ON journals.id = journal WHERE register = ?1
		UNION SELECT epoch, max(b.first, j.sequence + 1), b.last FROM branches b JOIN journals j ON j.id = b.journal WHERE register = ?1 AND b.last > j.sequence
			AND NOT EXISTS (SELECT 1 FROM quarantined q WHERE q.register = ?1 AND q.epoch = j.epoch)
			AND NOT EXISTS (SELECT 1 FROM findings f WHERE f.register = ?1 AND f.epoch = j.epoch AND f.sequence = b.first AND f.kind = 'fork' AND f.how = 'accepted')
		UNION SELECT epoch, sequence, sequence FROM findings WHERE register = ?1 AND kind = 'end' AND resolved = ''
		ORDER BY 1, 2 LIMIT 2000`, r.String())
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var next events.Range
		if err := rows.Scan(&next.Epoch, &next.From, &next.To); err != nil {
			return nil, err
		}
		if n := len(out); n > 0 && out[n-1].Epoch == next.Epoch && out[n-1].To+1 == next.From {
			out[n-1].To = next.To
			continue
		}
		out = append(out, next)
	}
	return out, errorsOf(rows)
}
