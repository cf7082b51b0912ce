package embedded

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/minio/highwayhash"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/posnode/posnode/events"
	"github.com/posnode/posnode/internal/files"
)

// The server writes the settings of a stream or a consumer to meta.inf, and then their checksum to
// meta.sum. It does so when it makes one, and whenever the settings change. A process that dies in
// between leaves a pair that does not fit. The server then skips the stream or the consumer for
// good, with everything that is stored in it. See docs/decisions/0030.

const (
	metaFile  = "meta.inf"
	sumFile   = "meta.sum"
	stateFile = "o.dat" // the position of a consumer
	consumers = "obs"   // the folder of a stream's consumers
)

// repairStore completes the files that a kill left half made in the store of a node that is not
// running. Settings that cannot be read are moved aside. The next opening of the stream then makes
// its settings anew, over the entries that are there.
func repairStore(dir string, log *slog.Logger) error {
	streams, err := filepath.Glob(filepath.Join(dir, storeName, "*", "streams", "*"))
	if err != nil {
		return err
	}
	for _, stream := range streams {
		name := filepath.Base(stream)
		if strings.HasPrefix(name, ".") {
			continue // being deleted
		}
		if err := repairMeta(stream, name, name, log); err != nil {
			return err
		}
		all, err := os.ReadDir(filepath.Join(stream, consumers))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("read the consumers of stream %s: %w", name, err)
		}
		for _, c := range all {
			if err := repairConsumer(stream, name, c.Name(), log); err != nil {
				return err
			}
		}
	}
	return nil
}

// repairMeta makes the checksum of a folder's settings anew. If the settings cannot be read, it
// moves them aside.
func repairMeta(folder, key, name string, log *slog.Logger) error {
	raw, err := os.ReadFile(filepath.Join(folder, metaFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil // its making had only begun; it is made again
	}
	var settings struct{ Name string }
	if err == nil {
		// The file is replaced whole or not at all, so a readable one has the content that was
		// written.
		err = json.Unmarshal(raw, &settings)
	}
	if err == nil && settings.Name != name {
		err = fmt.Errorf("they are those of %q", settings.Name)
	}
	if err != nil {
		log.Warn("the settings of a stream or a consumer cannot be read, and are made anew", "folder", folder, "error", err)
		return setAside(filepath.Join(folder, metaFile), log)
	}
	want, err := metaSum(key, raw)
	if err != nil {
		return err
	}
	if got, err := os.ReadFile(filepath.Join(folder, sumFile)); err == nil && string(got) == want {
		return nil
	}
	if info, err := os.Stat(filepath.Join(folder, sumFile)); err == nil && info.IsDir() {
		if err := setAside(filepath.Join(folder, sumFile), log); err != nil {
			return err
		}
	}
	log.Warn("a stream or a consumer was half made, and is completed", "folder", folder)
	return WriteFileDurably(filepath.Join(folder, sumFile), []byte(want))
}

// repairConsumer does the same for a consumer. A consumer holds nothing but the position of a
// reader. So one that cannot be read is moved out of the server's way and made anew.
func repairConsumer(stream, streamName, name string, log *slog.Logger) error {
	folder := filepath.Join(stream, consumers, name)
	if err := repairMeta(folder, streamName+"/"+name, name, log); err != nil {
		return err
	}
	state, err := os.ReadFile(filepath.Join(folder, stateFile))
	_, missing := os.Stat(filepath.Join(folder, metaFile))
	unreadable := err == nil && (len(state) < 2 || state[0] != 22) || err != nil && !errors.Is(err, fs.ErrNotExist)
	if missing == nil && !unreadable {
		return nil
	}
	log.Warn("a consumer cannot be read, and is made anew", "stream", streamName, "consumer", name)
	aside := filepath.Join(stream, consumers+"-"+name)
	if err := os.Rename(folder, aside); err != nil {
		return err
	}
	return setAside(aside, log)
}

// metaSum returns the checksum that the server keeps of settings. Its key is made of the stream's
// name, or of the stream's and the consumer's.
func metaSum(key string, settings []byte) (string, error) {
	k := sha256.Sum256([]byte(key))
	h, err := highwayhash.NewDigest64(k[:])
	if err != nil {
		return "", err
	}
	if _, err := h.Write(settings); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// setAside moves a damaged file or folder aside, and logs its new name.
func setAside(path string, log *slog.Logger) error {
	aside, err := files.SetAside(path)
	if err == nil {
		log.Warn("a damaged file was moved aside", "file", path, "to", aside)
	}
	return err
}

// JournalFault describes an earlier epoch's journal that is missing, shorter than it was, or
// unreadable.
type JournalFault struct {
	Epoch int    `json:"epoch"`
	What  string `json:"what"` // a sentence
}

// JournalEpochs are the epochs whose journals have a folder in a data directory, in order, whether or not they can be opened.
func JournalEpochs(dir string) (epochs []int, err error) {
	folders, err := filepath.Glob(filepath.Join(dir, storeName, "*", "streams", journalPrefix+"*"))
	for _, folder := range folders {
		if epoch, ok := journalEpoch(filepath.Base(folder)); ok {
			epochs = append(epochs, epoch)
		}
	}
	slices.Sort(epochs)
	return slices.Compact(epochs), err
}

// reopenEarlier makes the streams of earlier epochs again if the server could not open their
// folders. Each is made over the entries in its folder, and the caller seals it. A stream that
// cannot be made again is a fault.
func reopenEarlier(ctx context.Context, js jetstream.JetStream, cfg RegisterConfig, stored map[int]*jetstream.StreamInfo) (faults map[int]string, err error) {
	folders, err := JournalEpochs(cfg.Dir)
	if err != nil {
		return nil, err
	}
	faults = map[int]string{}
	for _, epoch := range folders {
		if stored[epoch] != nil || epoch == cfg.Epoch {
			continue
		}
		if epoch > cfg.Epoch {
			return nil, fmt.Errorf("data directory is already in epoch %d, asked for %d", epoch, cfg.Epoch)
		}
		stream, err := reopen(ctx, js, cfg.Register, epoch)
		if err != nil {
			faults[epoch] = fmt.Sprintf("The journal of epoch %d is on the disk and cannot be opened: %v.", epoch, err)
			continue
		}
		stored[epoch] = stream.CachedInfo()
	}
	return faults, nil
}

// reopen makes the stream of an earlier epoch again, over its folder.
func reopen(ctx context.Context, js jetstream.JetStream, r events.Register, epoch int) (jetstream.Stream, error) {
	c := journalConfig(r, epoch, -1)
	c.Subjects = []string{"closed." + c.Name}
	return js.CreateStream(ctx, c)
}

// lookAtEarlier compares the journals of earlier epochs with the entry counts in cfg.Made. It also
// makes head office's consumer on them again if it is gone.
func lookAtEarlier(ctx context.Context, js jetstream.JetStream, cfg RegisterConfig, stored map[int]*jetstream.StreamInfo, faults map[int]string) []JournalFault {
	for epoch, entries := range cfg.Made {
		info := stored[epoch]
		switch {
		case epoch >= cfg.Epoch || entries == 0 || faults[epoch] != "":
		case info == nil:
			faults[epoch] = fmt.Sprintf("The journal of epoch %d is missing; it had %d entries.", epoch, entries)
		case info.State.LastSeq < entries:
			faults[epoch] = fmt.Sprintf("The journal of epoch %d ends at entry %d; it had %d entries.", epoch, info.State.LastSeq, entries)
		}
	}
	for epoch, info := range stored {
		if epoch == cfg.Epoch {
			continue
		}
		_, err := js.PushConsumer(ctx, info.Config.Name, hqConsumer)
		if errors.Is(err, jetstream.ErrConsumerNotFound) {
			_, err = js.CreatePushConsumer(ctx, info.Config.Name, hqConsumerConfig(cfg.Register, epoch))
		}
		if err != nil {
			faults[epoch] = fmt.Sprintf("Head office cannot read the journal of epoch %d: %v.", epoch, err)
		}
	}
	var out []JournalFault
	for _, epoch := range slices.SortedFunc(maps.Keys(faults), cmp.Compare[int]) {
		out = append(out, JournalFault{epoch, faults[epoch]})
	}
	return out
}

// Faults returns the faults of the journals of earlier epochs that the start found.
func (n *RegisterNode) Faults() []JournalFault { return *n.faults.Load() }
