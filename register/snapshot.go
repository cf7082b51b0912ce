package register

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/posnode/posnode/embedded"
	"github.com/posnode/posnode/events"
	"github.com/posnode/posnode/ledger"
)

// snapshotEvery is how many entries lie between two snapshots: what a start after a crash reads again.
const snapshotEvery = 2000

// snapshot is the ledger's state at its head. It is derived: a lost or
// unreadable one costs the time to read the journal from its beginning.
type snapshot struct {
	// Version of the state's form. A snapshot of another version is not read.
	Version int             `json:"version"`
	State   json.RawMessage `json:"state"`
	Digest  events.Digest   `json:"digest"` // of State: a damaged snapshot must not pass for a state
}

const snapshotVersion = 2

func snapshotPath(dir string) string { return filepath.Join(dir, "snapshot.json") }

func writeSnapshot(dir string, state []byte) error {
	raw, err := json.Marshal(snapshot{snapshotVersion, state, events.Hash(state)})
	if err != nil {
		return err
	}
	return embedded.WriteFileDurably(snapshotPath(dir), raw)
}

// readSnapshot is the newest snapshot, or nil where there is none to trust.
func readSnapshot(dir string) (*ledger.State, error) {
	raw, err := os.ReadFile(snapshotPath(dir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var s snapshot
	if err := json.Unmarshal(raw, &s); err != nil || s.Version != snapshotVersion || events.Hash(s.State) != s.Digest {
		return nil, nil
	}
	state := new(ledger.State)
	if err := json.Unmarshal(s.State, state); err != nil {
		return nil, nil // of a form that this program does not know: it costs time and no more
	}
	return state, nil
}
