package hq

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	mathrand "math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/posnode/posnode/embedded"
	"github.com/posnode/posnode/events"
	"github.com/posnode/posnode/internal/checkpoint"
)

// Head office's own facts are a journal in the form of a register's, in the stream HQ.
// What it decides, it decides on hq.db at a position of that journal, and appends
// expecting that position: of two instances that decide at once one is first, and the other
// reads what it wrote and decides again.

// own is this instance's view of the own journal.
type own struct {
	mu      sync.Mutex // one at a time records or catches up
	witness *checkpoint.Signer
	public  string // verifies what witness signs
}

// witnessKey is what witness.json holds: the key by which head office signs. All
// instances of one head office have the same.
type witnessKey struct {
	Key    string `json:"key"`
	Public string `json:"public"`
}

const witnessName = "witness.json"

// openWitness reads head office's signing key, or makes it at the first start.
func (o *own) openWitness(dir string) error {
	path := filepath.Join(dir, witnessName)
	var key witnessKey
	raw, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if key.Key, key.Public, err = checkpoint.GenerateKey("hq"); err != nil {
			return err
		}
		if raw, err = json.Marshal(key); err != nil {
			return err
		}
		// If we died here, there is no key: nothing was signed, and the next start makes another.
		if err := embedded.WriteFileDurably(path, raw); err != nil {
			return err
		}
	case err != nil:
		return unreadableWitness(path, err)
	default:
		if err := json.Unmarshal(raw, &key); err != nil {
			return unreadableWitness(path, err)
		}
	}
	o.public = key.Public
	if o.witness, err = checkpoint.NewSigner(key.Key); err != nil {
		return unreadableWitness(path, err)
	}
	return nil
}

func unreadableWitness(path string, err error) error {
	return fmt.Errorf("%s cannot be read: put back the copy that you keep of it, for head office signs with one key for ever: %w", path, err)
}

// openOwn brings hq.db up to the own journal and begins that with its activation if it is empty.
func (h *HQ) openOwn(ctx context.Context) error {
	if err := h.own.openWitness(h.cfg.Dir); err != nil {
		return err
	}
	h.db.witness = h.own.public
	record, err := json.Marshal(events.ActivationRecord{Register: embedded.HeadOffice, Epoch: 1, Key: h.own.public, Time: h.cfg.Clock().UTC().Format(time.RFC3339)})
	if err != nil {
		return err
	}
	_, err = h.record(ctx, func(_ context.Context, _ *sql.Tx, head events.Head) (events.Fact, error) {
		if head.Sequence > 0 {
			return nil, nil
		}
		return &events.RegisterActivated{Record: string(record)}, nil
	})
	if err != nil {
		return err
	}
	return h.checkWitness(ctx)
}

// checkWitness refuses a key that is not the one that this head office has signed with from
// its beginning: two would contradict each other's marks.
func (h *HQ) checkWitness(ctx context.Context) error {
	m, err := h.node.Own().Get(ctx, 1)
	if err != nil {
		return err
	}
	entry, err := events.Decode(m.Body)
	if err != nil {
		return err
	}
	var record events.ActivationRecord
	if f, ok := entry.Fact.(*events.RegisterActivated); ok {
		err = json.Unmarshal([]byte(f.Record), &record)
	}
	if err == nil && record.Key != h.own.public {
		err = fmt.Errorf("witness.json in %s holds another key than head office signs with, %s: copy it from where head office was set up", h.cfg.Dir, record.Key)
	}
	return err
}

// decision gives the fact to record, on what hq.db holds up to head; nil for none. It
// may be called more than once, and must change nothing.
type decision func(ctx context.Context, tx *sql.Tx, head events.Head) (events.Fact, error)

const (
	recordWithin  = 5 * time.Second       // one append, for a cluster that elects a leader takes a second or two; and all tries against other instances
	conflictPause = 10 * time.Millisecond // the longest before the next try
	// fewOwn entries are got one by one. To set up a reader takes a cluster longer than another instance takes to record the
	// next: who was second would be second for as long as the other has something to record.
	fewOwn = 10
)

// record decides and appends one own fact. It returns the entry once it is stored and
// in hq.db, nil where there was none to record.
func (h *HQ) record(ctx context.Context, decide decision) (*events.Entry, error) {
	h.own.mu.Lock()
	defer h.own.mu.Unlock()
	for began, n := time.Now(), 1; ; n++ {
		entry, err := h.recordOnce(ctx, decide)
		if !errors.Is(err, events.ErrConflict) {
			return entry, err
		}
		if time.Since(began) > recordWithin {
			return nil, fmt.Errorf("record: other instances of head office were first %d times", n)
		}
		// What was first may not be there to be read yet: a cluster refuses what conflicts with a fact that it is still storing.
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(mathrand.N(conflictPause)):
		}
	}
}

func (h *HQ) recordOnce(ctx context.Context, decide decision) (*events.Entry, error) {
	head, err := h.catchUp(ctx)
	if err != nil {
		return nil, err
	}
	tx, err := h.db.db.BeginTx(ctx, nil)
	if err != nil {
		return nil, err
	}
	defer tx.Rollback() // after a commit it does nothing
	fact, err := decide(ctx, tx, head)
	if fact == nil || err != nil {
		return nil, err
	}
	if f, ok := fact.(*events.RegisterActivated); ok {
		head = events.Head{Epoch: 1, Hash: events.Hash([]byte(f.Record))}
	}
	now := h.cfg.Clock()
	id, err := ulid.New(ulid.Timestamp(now), rand.Reader)
	if err != nil {
		return nil, err
	}
	m, entry, err := events.Seal(embedded.HeadOffice, head, events.Circumstances{ID: id, Time: now, Mode: events.Online}, fact)
	if err != nil {
		return nil, err
	}
	// Before it is stored: a fact that hq.db cannot take in would stop every instance, now and at each start.
	if err := foldOwn(ctx, tx, entry); err != nil {
		return nil, err
	}
	appending, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordWithin)
	defer cancel()
	// Before this line nothing is stored. After it the fact is in the journal, and if we
	// died, the next start folds it; who asked has no answer, asks again, and decide finds it.
	if err := h.node.Own().Append(appending, head.Sequence, m); err != nil {
		return nil, err // where the outcome is unknown, the next recording reads the end first
	}
	return entry, tx.Commit()
}

// catchUpOwn has hq.db hold everything that was recorded before an entry could be written that builds on it.
func (h *HQ) catchUpOwn(ctx context.Context) error {
	h.own.mu.Lock()
	defer h.own.mu.Unlock()
	_, err := h.catchUp(ctx)
	return err
}

// catchUp folds what the own journal holds beyond hq.db, and returns its end.
func (h *HQ) catchUp(ctx context.Context) (events.Head, error) {
	head, err := h.db.ownHead(ctx)
	if err != nil {
		return head, err
	}
	last, err := h.node.Own().Last(ctx)
	if err == nil && last == 0 && head.Sequence > 0 {
		err = fmt.Errorf("hq.db in %s is of other streams: it has read %d entries of head office's own journal, and that is empty here: "+
			"put back keys.json and the streams of one head office, or, where its streams are lost, take hq.db away (docs/operate.md)", h.cfg.Dir, head.Sequence)
	}
	if err != nil || last <= head.Sequence {
		return head, err
	}
	tx, err := h.db.db.BeginTx(ctx, nil)
	if err != nil {
		return head, err
	}
	defer tx.Rollback() // after a commit it does nothing
	chain := events.Chain{Register: embedded.HeadOffice, Head: head}
	fold := func(m events.Message) error {
		entry, err := events.Decode(m.Body)
		if err == nil {
			err = chain.Next(m.Sequence, entry)
		}
		if err == nil {
			err = foldOwn(ctx, tx, entry)
		}
		return err
	}
	if last-head.Sequence > fewOwn {
		err = h.node.Own().Read(ctx, head.Sequence+1, fold)
	}
	for err == nil && chain.Head.Sequence < last {
		var m events.Message
		if m, err = h.node.Own().Get(ctx, chain.Head.Sequence+1); err == nil {
			err = fold(m)
		}
	}
	if err != nil {
		return head, fmt.Errorf("read head office's own journal: %w", err)
	}
	return chain.Head, tx.Commit()
}

// foldOwn takes one own entry into hq.db.
func foldOwn(ctx context.Context, tx *sql.Tx, e *events.Entry) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO own VALUES (1, ?, ?) ON CONFLICT DO UPDATE SET sequence = excluded.sequence, hash = excluded.hash`,
		e.Head.Sequence, e.Head.Hash.String())
	if err != nil {
		return err
	}
	switch f := e.Fact.(type) {
	case *events.RegisterQuarantined:
		return foldQuarantine(ctx, tx, e, f)
	case *events.FindingAccepted:
		return foldAccepted(ctx, tx, e, f)
	case *events.CompletenessCertified:
		return foldCertificate(ctx, tx, f)
	case *events.PeriodClosed:
		return foldPeriod(ctx, tx, f)
	}
	return errors.Join(foldDevices(ctx, tx, e), foldSettled(ctx, tx, e))
}

// ownHead is the end of the own journal as far as hq.db holds it.
func (d *database) ownHead(ctx context.Context) (head events.Head, err error) {
	var hash string
	err = d.db.QueryRowContext(ctx, `SELECT sequence, hash FROM own`).Scan(&head.Sequence, &hash)
	if errors.Is(err, sql.ErrNoRows) {
		return events.Head{}, nil
	}
	if err == nil {
		head.Epoch = 1
		err = head.Hash.UnmarshalText([]byte(hash))
	}
	return head, err
}
