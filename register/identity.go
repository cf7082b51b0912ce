package register

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

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
	return id.signer.Sign(checkpoint.Checkpoint{
		Origin: fmt.Sprintf("%s/%d", id.Register, head.Epoch), Size: head.Sequence, Hash: head.Hash,
	})
}

func identityPath(dir string) string { return filepath.Join(dir, "identity.json") }

func activationPath(dir string, epoch int) string {
	return filepath.Join(dir, fmt.Sprintf("activation-%d.json", epoch))
}

// loadIdentity reads who the register is, or makes it at the first start.
func loadIdentity(dir string, r events.Register, now time.Time) (*identity, error) {
	raw, err := os.ReadFile(identityPath(dir))
	if errors.Is(err, fs.ErrNotExist) {
		return newIdentity(dir, r, now)
	}
	if err != nil {
		return nil, err
	}
	var id identity
	if err := json.Unmarshal(raw, &id); err != nil {
		return nil, fmt.Errorf("read %s: %w", identityPath(dir), err)
	}
	if id.Register != r {
		return nil, fmt.Errorf("data directory belongs to register %s, not %s", id.Register, r)
	}
	if id.activation, err = os.ReadFile(activationPath(dir, id.Epoch)); err != nil {
		return nil, fmt.Errorf("read activation record: %w", err)
	}
	var record events.ActivationRecord
	if err := json.Unmarshal(id.activation, &record); err != nil {
		return nil, fmt.Errorf("read activation record: %w", err)
	}
	id.public = record.Key
	if id.signer, err = checkpoint.NewSigner(id.Key); err != nil {
		return nil, err
	}
	if record.Register != id.Register || record.Epoch != id.Epoch || !id.signer.Has(record.Key) {
		return nil, fmt.Errorf("%w: the record is of %s, epoch %d, with the key %s", ErrIdentity, record.Register, record.Epoch, record.Key)
	}
	return &id, nil
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
