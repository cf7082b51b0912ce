package register

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/posnode/posnode/embedded"
	"github.com/posnode/posnode/events"
	"github.com/posnode/posnode/internal/checkpoint"
)

// identity is who the register is: what identity.json holds.
type identity struct {
	events.Register
	Epoch int `json:"epoch"`
	// Key signs checkpoints. It is the one secret of the directory.
	Key string `json:"key"`

	activation []byte             // the activation record of the epoch, exactly as hashed
	public     string             // verifies what Key signs
	signer     *checkpoint.Signer // of Key
}

// checkpoint returns the signed checkpoint of a head of the identity's epoch.
func (id *identity) checkpoint(head events.Head) (string, error) {
	if id.signer == nil {
		return "", errors.New("the key that signs is lost: activate the register anew (operation 707)")
	}
	return id.signer.Sign(checkpoint.Checkpoint{
		Origin: fmt.Sprintf("%s/%d", id.Register, head.Epoch), Size: head.Sequence, Hash: head.Hash,
	})
}

func identityPath(dir string) string { return filepath.Join(dir, "identity.json") }

func activationPath(dir string, epoch int) string {
	return filepath.Join(dir, fmt.Sprintf("activation-%d.json", epoch))
}

// loadIdentity reads the register's identity, or makes it at the first start. Where identity.json is lost or cannot be read and there
// are journals, lost says so: the register can be read, and begins anew with operation 707. Where only the
// activation record cannot be read it is left out, for the journal has it.
func loadIdentity(dir string, r events.Register, now time.Time, setAside func(path string, why error) error) (id *identity, lost, err error) {
	id = new(identity)
	raw, err := os.ReadFile(identityPath(dir))
	if err == nil {
		err = json.Unmarshal(raw, id)
	}
	if err == nil && id.Epoch < 1 {
		err = fmt.Errorf("it names epoch %d", id.Epoch)
	}
	if err == nil && id.Register != r {
		return nil, nil, fmt.Errorf("data directory belongs to register %s, not %s: start it under that name, or give %s a directory of its own", id.Register, r, r)
	}
	if err == nil {
		id.signer, err = checkpoint.NewSigner(id.Key)
	}
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			if err := setAside(identityPath(dir), err); err != nil {
				return nil, nil, err
			}
		}
		lost = err
		if id, err = identityOfJournals(dir, r, now); err != nil || id.signer != nil {
			return id, nil, err
		}
	}
	record, err := id.readRecord(dir)
	switch {
	case err == nil:
		id.public = record.Key
	case errors.Is(err, ErrIdentity):
		return nil, nil, err
	case !errors.Is(err, fs.ErrNotExist):
		if err := setAside(activationPath(dir, id.Epoch), err); err != nil {
			return nil, nil, err
		}
	}
	return id, lost, nil
}

// identityOfJournals is a new identity where there is no journal, and else one of the last epoch without the key.
func identityOfJournals(dir string, r events.Register, now time.Time) (*identity, error) {
	epochs, err := embedded.JournalEpochs(dir)
	if err != nil {
		return nil, err
	}
	if len(epochs) == 0 {
		return newIdentity(dir, r, now)
	}
	return &identity{Register: r, Epoch: epochs[len(epochs)-1]}, nil
}

// readRecord reads the activation record of the identity's epoch, and checks that it is of this register, epoch and key.
func (id *identity) readRecord(dir string) (record events.ActivationRecord, err error) {
	raw, err := os.ReadFile(activationPath(dir, id.Epoch))
	if err != nil {
		return record, err
	}
	return record, id.takeRecord(raw, &record)
}

func (id *identity) takeRecord(raw []byte, record *events.ActivationRecord) error {
	if err := json.Unmarshal(raw, record); err != nil {
		return err
	}
	if record.Register != id.Register || record.Epoch != id.Epoch || id.signer != nil && !id.signer.Has(record.Key) {
		return fmt.Errorf("%w: the record is of %s, epoch %d, with the key %s", ErrIdentity, record.Register, record.Epoch, record.Key)
	}
	id.activation, id.public = raw, record.Key
	return nil
}

// restoreRecord makes an activation record that is lost again: the first entry of the journal holds it. Where nothing was recorded
// in the first epoch, nothing hangs on it, and the register gets a new one.
func (r *Register) restoreRecord(ctx context.Context) error {
	if r.identity.activation != nil && r.identity.signer != nil {
		return nil
	}
	last, err := r.journal.Last(ctx)
	if err != nil {
		return err
	}
	if last == 0 && r.identity.Epoch == 1 {
		r.identity, err = newIdentity(r.cfg.Dir, r.cfg.Register, r.cfg.Clock())
		return err
	}
	if r.identity.activation != nil {
		return nil
	}
	var activated *events.RegisterActivated
	m, err := r.journal.Get(ctx, 1)
	if err == nil {
		var entry *events.Entry
		if entry, err = decode(m); err == nil {
			activated, _ = entry.Fact.(*events.RegisterActivated)
			if activated == nil || events.Hash([]byte(activated.Record)) != entry.PrevHash {
				err = errors.New("the first entry is no activation")
			}
		}
	}
	if err == nil {
		err = r.identity.takeRecord([]byte(activated.Record), new(events.ActivationRecord))
	}
	if errors.Is(err, ErrIdentity) {
		return err // the identity is not that of the journal
	}
	if err != nil {
		r.noteDamage(&events.CorruptError{
			Kind: "activation", Want: fmt.Sprintf("the activation record of epoch %d", r.identity.Epoch), Got: err.Error(), Hint: "activate the register anew (operation 707)",
		})
		return nil
	}
	r.cfg.Logger.Warn("the activation record is made again of the journal", "epoch", r.identity.Epoch)
	return embedded.WriteFileDurably(activationPath(r.cfg.Dir, r.identity.Epoch), r.identity.activation)
}

// ErrIdentity says that identity.json and the activation record are not of one register, epoch and
// key. What such a register signed would prove nothing.
var ErrIdentity = errors.New("identity.json does not fit its activation record")

// newIdentity makes the register's key and first activation record.
func newIdentity(dir string, r events.Register, now time.Time) (*identity, error) {
	private, public, err := checkpoint.GenerateKey(r.String())
	if err != nil {
		return nil, fmt.Errorf("make signing key: %w", err)
	}
	return storeIdentity(dir, private, events.ActivationRecord{Register: r, Epoch: 1, Key: public, Time: now.UTC().Format(time.RFC3339)})
}

// madeEpochs are the epochs before one that were begun in a directory, by what its activation records say, and how many
// entries each had when it ended. A record that cannot be read ends the list: what lay before it is not known.
func madeEpochs(dir string, epoch int) map[int]uint64 {
	made := map[int]uint64{}
	for {
		raw, err := os.ReadFile(activationPath(dir, epoch))
		var record events.ActivationRecord
		if err != nil || json.Unmarshal(raw, &record) != nil || record.Previous == nil || record.Previous.Epoch >= epoch {
			return made
		}
		epoch = record.Previous.Epoch
		made[epoch] = record.Previous.Sequence
	}
}
