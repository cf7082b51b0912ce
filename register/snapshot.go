package register

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/posnode/posnode/embedded"
	"github.com/posnode/posnode/events"
	"github.com/posnode/posnode/internal/files"
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

// maxSnapshot is the largest snapshot that is read, in bytes. A register writes a few MiB at most.
const maxSnapshot = 64 << 20

// Reasons for which a snapshot is not used. Each costs the time to read the journal from its
// beginning, and no more.
var (
	ErrSnapshotDamaged = errors.New("the snapshot is not what a register wrote")
	ErrSnapshotVersion = errors.New("the snapshot is of another version of posnode")
)

// ReadSnapshot reads the newest snapshot of a data directory. Its errors are [fs.ErrNotExist],
// [ErrSnapshotDamaged], [ErrSnapshotVersion] and those of the disk.
func ReadSnapshot(dir string) (*ledger.State, error) {
	raw, err := embedded.ReadFile(snapshotPath(dir), maxSnapshot)
	if errors.Is(err, embedded.ErrNotRegular) || errors.Is(err, embedded.ErrFileTooLarge) {
		return nil, fmt.Errorf("%w: %w", ErrSnapshotDamaged, err)
	}
	if err != nil {
		return nil, err
	}
	var s snapshot
	if err := json.Unmarshal(raw, &s); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSnapshotDamaged, err)
	}
	if s.Version != snapshotVersion {
		return nil, fmt.Errorf("%w: %d, want %d", ErrSnapshotVersion, s.Version, snapshotVersion)
	}
	if got := events.Hash(s.State); got != s.Digest {
		return nil, fmt.Errorf("%w: its digest is %s, want %s", ErrSnapshotDamaged, got, s.Digest)
	}
	state := new(ledger.State)
	if err := json.Unmarshal(s.State, state); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSnapshotVersion, err)
	}
	return state, nil
}

// readSnapshot is the newest snapshot, or nil where there is none to trust. A damaged one is moved aside.
func readSnapshot(dir string) (*ledger.State, error) {
	state, err := ReadSnapshot(dir)
	if errors.Is(err, ErrSnapshotDamaged) {
		_, err = files.SetAside(snapshotPath(dir))
		return nil, err
	}
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, ErrSnapshotVersion) {
		return nil, nil
	}
	return state, err
}
