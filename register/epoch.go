package register

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/posnode/posnode/embedded"
	"github.com/posnode/posnode/events"
	"github.com/posnode/posnode/internal/checkpoint"
	"github.com/posnode/posnode/ledger"
	"github.com/posnode/posnode/projections"
)

// An epoch is one life of a register's journal. A register that was put back from a copy, or
// is activated anew, begins the next one: a stream, a key and a chain of their own. The journals of
// earlier epochs are closed, stay readable, and go on travelling to head office.

// beginJournal appends the first entry of an epoch, unless it is there.
func (r *Register) beginJournal(ctx context.Context) error {
	if r.state.Head.Sequence > 0 {
		return nil
	}
	// If we died before this append, the next start appends it; if after, it finds it.
	_, err := r.append(ctx, &events.RegisterActivated{Record: string(r.identity.activation)}, events.Circumstances{})
	return err
}

// beginEpoch ends the present epoch where it stands and begins a later one, with numbers at
// least as high as those that head office knows. The owner calls it. The epoch has a key of its own:
// that of the epoch before may be in a second copy of the directory.
func (r *Register) beginEpoch(ctx context.Context, epoch int, known events.Numbers, keys enrolling) error {
	if r.Damage() == nil {
		// The state forgets the epoch's commands with it: then only the offline database has them.
		if err := r.caughtUp(ctx); err != nil {
			return err
		}
	}
	carried := r.state.Carried()
	carried.Numbers = carried.AtLeast(known)
	previous := r.state.Head
	next, err := storeIdentity(r.cfg.Dir, keys.Key, events.ActivationRecord{
		Register: r.cfg.Register, Epoch: epoch, Key: keys.Public, Time: r.cfg.Clock().UTC().Format(time.RFC3339), Previous: &previous, Carried: carried,
	})
	if err != nil {
		return err
	}
	// The new identity is on disk. If we died from here on, the next start is in the new epoch:
	// it closes the journals before it, opens this one, and appends its first entry.
	if err := r.node.BeginEpoch(ctx, epoch); err != nil {
		r.noteDamage(&events.CorruptError{
			Kind: "epoch", Want: fmt.Sprintf("a journal of epoch %d", epoch), Got: err.Error(), Hint: "start the register again: it goes on in the new epoch",
		})
		return err
	}
	r.turning.Lock()
	r.identity, r.journal = next, r.node.Journal()
	r.turning.Unlock()
	r.state = ledger.NewState(r.cfg.Register, epoch, events.Hash(next.activation))
	r.untold = ledger.NewUntold(r.state)
	clear(r.unknown)
	r.damage.Store(nil)
	r.publish()
	if err := r.beginJournal(ctx); err != nil {
		return err
	}
	return r.writeSnapshot()
}

// storeIdentity writes the activation record of an epoch, and then the identity that names it.
func storeIdentity(dir string, private string, record events.ActivationRecord) (*identity, error) {
	id := &identity{Register: record.Register, Epoch: record.Epoch, Key: private, public: record.Key}
	var err error
	if id.activation, err = json.Marshal(record); err != nil {
		return nil, err
	}
	if err := embedded.WriteFileDurably(activationPath(dir, record.Epoch), id.activation); err != nil {
		return nil, err
	}
	// If we died here, there is a record that no identity names: whoever begins this epoch
	// makes another key and overwrites it, and nothing was ever chained to it.
	raw, err := json.Marshal(id)
	if err != nil {
		return nil, err
	}
	if err := embedded.WriteFileDurably(identityPath(dir), raw); err != nil {
		return nil, err
	}
	id.signer, err = checkpoint.NewSigner(private)
	return id, err
}

// unborn says that head office has not let the register in yet and nothing is recorded. It may have been in
// this epoch before, on a disk that was lost: what it wrote now would be a second history of it.
func (r *Register) unborn() bool {
	return r.cfg.HQ != "" && r.cfg.Creds == "" && r.identity.Epoch == 1 && r.state.Head.Sequence == 0
}

// bringUpOffline brings the offline database up to the journals of all epochs, from the
// beginning where it does not agree with them.
func (r *Register) bringUpOffline(ctx context.Context) error {
	at, err := r.offline.Position(ctx)
	if err != nil {
		return err
	}
	stale := at.Epoch > r.identity.Epoch ||
		at.Sequence > 0 && at.Epoch == r.identity.Epoch && checkHead(ctx, r.journal, at, "the offline database") != nil
	if stale && r.Damage() == nil {
		// The ledger has found the journal sound, so it is the database that is wrong.
		if err := r.offline.Reset(ctx); err != nil {
			return err
		}
		at = events.Head{}
	} else if stale {
		return nil // a damaged journal: leave what can still be read
	}
	return r.project(ctx, at, events.Head{Epoch: r.identity.Epoch, Sequence: math.MaxUint64})
}

// project brings the entries after one, up to another, into the offline database, epoch after epoch.
func (r *Register) project(ctx context.Context, after, to events.Head) error {
	r.turning.RLock()
	present, journal := r.identity.Epoch, r.journal
	r.turning.RUnlock()
	earlier, err := r.node.Earlier(ctx)
	if err != nil {
		return err
	}
	for _, j := range earlier {
		if j.Epoch() < after.Epoch || j.Epoch() >= present {
			continue
		}
		err := r.projectEpoch(ctx, j, j.Epoch(), after, to)
		// An epoch that was ended because its journal is damaged is damaged still: what can be
		// read of it up to there counts, and the next epoch stands on its own.
		if corrupt, damaged := errors.AsType[*events.CorruptError](err); damaged {
			r.cfg.Logger.Warn("the journal of an earlier epoch cannot be read to its end", "epoch", j.Epoch(), "error", corrupt)
		} else if err != nil {
			return err
		}
	}
	return r.projectEpoch(ctx, journal, present, after, to)
}

// projectEpoch brings the entries of one epoch that lie after one and up to another into the offline database.
func (r *Register) projectEpoch(ctx context.Context, j ledger.Log, epoch int, after, to events.Head) error {
	if epoch > to.Epoch {
		return nil
	}
	from := uint64(1)
	if after.Epoch == epoch {
		from = after.Sequence + 1
	}
	batch := batcher{db: r.offline}
	err := j.Read(ctx, from, func(m events.Message) error {
		if epoch == to.Epoch && m.Sequence > to.Sequence {
			return errEnough
		}
		entry, err := decode(m)
		if err != nil {
			return err
		}
		return batch.add(ctx, projections.Stored{Entry: entry, Body: m.Body})
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	return errors.Join(batch.flush(ctx), err)
}

// errEnough ends a reading before the journal's end.
var errEnough = errors.New("enough")

// refold builds a damaged offline database anew, up to an entry.
func (r *Register) refold(ctx context.Context, to events.Head) error {
	if err := r.offline.Reset(ctx); err != nil {
		return err
	}
	return r.project(ctx, events.Head{}, to)
}
