package embedded

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/posnode/posnode/events"
)

// Copy is a copy of the store of a stopped register node. Opening a store writes to it, so an audit
// opens the copy alone.
type Copy struct {
	dir      string
	server   *server.Server
	nc       *nats.Conn
	register events.Register
	journals map[int]*Journal
	skipped  []Skipped
	close    func() error
}

// OpenCopy copies the journals under dir to a temporary directory and opens them there. It writes
// nothing to dir, and returns [ErrInUse] if a node has dir open. It copies regular files alone and
// follows no link: see [Copy.Skipped]. When ctx ends it stops and leaves nothing behind.
func OpenCopy(ctx context.Context, dir string) (*Copy, error) {
	tmp, skipped, err := copyStore(ctx, dir)
	if err != nil {
		return nil, fmt.Errorf("open a copy of %s: %w", dir, err)
	}
	c := &Copy{dir: tmp, journals: map[int]*Journal{}, skipped: skipped}
	c.close = sync.OnceValue(c.stop)
	if err := c.open(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("open a copy of %s: %w", dir, err), c.Close())
	}
	return c, nil
}

const storeName = "jetstream" // the folder that the server makes in its data directory

func copyStore(ctx context.Context, dir string) (tmp string, skipped []Skipped, err error) {
	store := filepath.Join(dir, storeName)
	if info, err := os.Lstat(store); err != nil {
		return "", nil, fmt.Errorf("not the data directory of a register: %w", err)
	} else if !info.IsDir() {
		return "", nil, fmt.Errorf("not the data directory of a register: %s is %s", store, kindOf(info.Mode()))
	}
	lock, err := lockDirRead(dir)
	if err != nil {
		return "", nil, err
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	tmp, err = os.MkdirTemp("", "posnode-copy-")
	if err != nil {
		return "", nil, err
	}
	if skipped, err = copyTree(ctx, store, filepath.Join(tmp, storeName)); err != nil {
		return "", nil, errors.Join(err, os.RemoveAll(tmp))
	}
	return tmp, skipped, nil
}

func (c *Copy) open(ctx context.Context) (err error) {
	// A kill may have left files half made. They are completed in the copy, as the register's next
	// start does it.
	if err := repairStore(c.dir, logger(nil)); err != nil {
		return err
	}
	if c.server, err = startServer(ctx, serverOptions("copy", "", c.dir), logger(nil)); err != nil {
		return err
	}
	if c.nc, err = connect(c.server, nats.InboxPrefix+"copy"); err != nil {
		return err
	}
	js, err := jetstream.New(c.nc)
	if err != nil {
		return err
	}
	stored, err := storedJournals(ctx, js)
	if err != nil {
		return err
	}
	for epoch, info := range stored {
		if err := c.add(ctx, js, epoch, info.Config.Metadata[metaRegister]); err != nil {
			return err
		}
	}
	if err := c.reopen(ctx, js); err != nil {
		return err
	}
	if len(c.journals) == 0 {
		return errors.New("no journal in it: the register was stopped before it had made one")
	}
	return nil
}

// reopen adds the journals that have entries but have lost their settings.
func (c *Copy) reopen(ctx context.Context, js jetstream.JetStream) error {
	folders, err := JournalEpochs(c.dir)
	if err != nil {
		return err
	}
	for _, epoch := range folders {
		if c.journals[epoch] != nil {
			continue
		}
		stream, err := reopen(ctx, js, c.register, epoch)
		if err != nil {
			return fmt.Errorf("the journal of epoch %d is there and cannot be opened: %w", epoch, err)
		}
		if stream.CachedInfo().State.Msgs == 0 {
			continue
		}
		first, err := stream.GetMsg(ctx, stream.CachedInfo().State.FirstSeq)
		if err != nil {
			return fmt.Errorf("the journal of epoch %d: %w", epoch, err)
		}
		part := strings.Split(first.Subject, ".")
		if len(part) < 3 {
			return fmt.Errorf("the journal of epoch %d: entry on subject %q", epoch, first.Subject)
		}
		if err := c.add(ctx, js, epoch, part[1]+"-"+part[2]); err != nil {
			return err
		}
	}
	return nil
}

func (c *Copy) add(ctx context.Context, js jetstream.JetStream, epoch int, register string) error {
	r, err := events.ParseRegister(register)
	if err != nil {
		return fmt.Errorf("journal of epoch %d: %w", epoch, err)
	}
	j, err := openJournal(ctx, c.nc, js, r, epoch)
	if err != nil {
		return err
	}
	c.register, c.journals[epoch] = r, j
	return nil
}

// Register returns the register that the store belongs to.
func (c *Copy) Register() events.Register { return c.register }

// Epochs lists the epochs that have a journal in the store, in order.
func (c *Copy) Epochs() []int {
	var epochs []int
	for epoch := range c.journals {
		epochs = append(epochs, epoch)
	}
	slices.Sort(epochs)
	return epochs
}

// Journal returns the journal of one of Epochs, for reading. It returns nil for any other epoch.
func (c *Copy) Journal(epoch int) *Journal { return c.journals[epoch] }

// Skipped lists the files of the store that were not copied: no server writes such a file.
func (c *Copy) Skipped() []Skipped { return c.skipped }

// Close stops the server of the copy and removes the copy.
func (c *Copy) Close() error { return c.close() }

func (c *Copy) stop() error {
	if c.nc != nil {
		c.nc.Close()
	}
	if c.server != nil {
		stopServer(c.server)
	}
	return os.RemoveAll(c.dir)
}
