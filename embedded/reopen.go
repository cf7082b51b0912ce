package embedded

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/nats-io/nats.go"
)

// A server whose write or fsync has failed freezes the stream: it stores and answers nothing more there until it
// is opened again, however well the disk is by then. See docs/decisions/0031.

// ErrStorage says that the server could not write to its disk, and stores nothing more until [RegisterNode.Reopen].
var ErrStorage = errors.New("the disk does not take what is written")

// Health is nil while the server can store entries, and else wraps [ErrStorage].
func (n *RegisterNode) Health() error {
	status := n.server.Load().Healthz(nil)
	if status.StatusCode == 200 {
		return nil
	}
	return fmt.Errorf("%w: %s", ErrStorage, status.Error)
}

// ProbeDisk says whether a data directory takes what is written, and makes it safe.
func ProbeDisk(dir string) error {
	path := filepath.Join(dir, "probe")
	if err := WriteFileDurably(path, []byte("the disk is well\n")); err != nil {
		return err
	}
	return os.Remove(path)
}

// Reopen opens the store again with a new server, in the place of one that could not write. Journals that were
// handed out go on with it, and so does the link. Nobody may append meanwhile. If it fails, it can be tried again.
func (n *RegisterNode) Reopen(ctx context.Context) error {
	n.reload.Lock()
	defer n.reload.Unlock()
	n.serving.Store(nil)
	stopServer(n.server.Load())
	if err := n.startServer(ctx); err != nil {
		return fmt.Errorf("open the store again: %w", err)
	}
	for _, nc := range []*nats.Conn{n.nc, n.asking, n.activating} {
		for !nc.IsConnected() {
			select {
			case <-ctx.Done():
				return fmt.Errorf("open the store again: %w", ctx.Err())
			case <-time.After(reconnectWait):
			}
		}
	}
	if err := n.openEpoch(ctx, n.Journal().epoch); err != nil {
		return fmt.Errorf("open the store again: %w", err)
	}
	return nil
}

// startServer starts the node's server, in the place of another that has ended. The link is as it was left.
func (n *RegisterNode) startServer(ctx context.Context) error {
	log := logger(n.cfg.Logger)
	if err := repairStore(n.cfg.Dir, log); err != nil {
		return err
	}
	if err := rewriteEnds(n.cfg.Dir, log); err != nil {
		return err
	}
	o := n.options.Clone()
	if n.link != nil && !n.link.enabled() && len(o.LeafNode.Remotes) > 0 {
		remote := *o.LeafNode.Remotes[0]
		remote.Disabled = true
		o.LeafNode.Remotes[0] = &remote
	}
	s, err := startServer(ctx, o, log)
	if err != nil {
		return err
	}
	n.server.Store(s)
	n.serving.Store(s)
	return nil
}

// InProcessConn connects to the server that runs now. It makes the node a [nats.InProcessConnProvider].
func (n *RegisterNode) InProcessConn() (net.Conn, error) {
	s := n.serving.Load()
	if s == nil {
		return nil, errors.New("the server is being opened again")
	}
	return s.InProcessConn()
}

// rewriteEnds writes the last block of each stream of a node that is not running once more, to another file that takes its
// place. After an fsync that failed the kernel holds what was written, shows it to every reader, and never writes it: what a
// server finds there would be gone with the next power cut. What is read back and written anew is safe.
func rewriteEnds(dir string, log *slog.Logger) error {
	folders, err := filepath.Glob(filepath.Join(dir, storeName, "*", "streams", "*", "msgs"))
	if err != nil {
		return err
	}
	for _, folder := range folders {
		blocks, err := filepath.Glob(filepath.Join(folder, "*.blk"))
		if err != nil || len(blocks) == 0 {
			continue
		}
		last := slices.MaxFunc(blocks, func(a, b string) int { return blockNumber(a) - blockNumber(b) })
		content, err := os.ReadFile(last)
		if err != nil {
			// The server finds it as well, and says which entries cannot be read.
			log.Warn("the last block of a stream cannot be read", "file", last, "error", err)
			continue
		}
		// Not beside the blocks: the server would take it for one.
		if err := replaceFile(filepath.Join(filepath.Dir(folder), "block.tmp"), last, content); err != nil {
			return fmt.Errorf("write the last block of a stream once more: %w", err)
		}
	}
	return nil
}

// blockNumber is the number in the name of a block file.
func blockNumber(path string) (n int) {
	_, _ = fmt.Sscanf(filepath.Base(path), "%d.blk", &n)
	return n
}
