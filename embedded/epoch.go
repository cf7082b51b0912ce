package embedded

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/nats-io/nats.go/jetstream"
)

// BeginEpoch closes the present epoch's journal for ever and opens that of a later one. HQ still
// receives the unsent entries of the earlier epochs. A start in an earlier epoch is refused from
// now on. So the caller must first make sure that the next start asks for the new epoch.
func (n *RegisterNode) BeginEpoch(ctx context.Context, epoch int) error {
	if err := n.openEpoch(ctx, epoch); err != nil {
		return fmt.Errorf("begin epoch %d: %w", epoch, err)
	}
	return nil
}

func (n *RegisterNode) openEpoch(ctx context.Context, epoch int) error {
	cfg := n.cfg
	cfg.Epoch = epoch
	journal, faults, err := prepareJournal(ctx, n.nc, cfg)
	if err != nil {
		return err
	}
	n.faults.Store(&faults)
	journal.health = n.Health
	n.journal.Store(journal)
	return nil
}

// Earlier returns the stored journals of the epochs before the present one, in order, for reading.
func (n *RegisterNode) Earlier(ctx context.Context) (journals []*Journal, err error) {
	present := n.Journal()
	stored, err := storedJournals(ctx, present.js)
	if err != nil {
		return nil, err
	}
	for _, epoch := range slices.Sorted(maps.Keys(stored)) {
		if epoch >= present.epoch {
			break
		}
		j, err := openJournal(ctx, n.nc, present.js, n.cfg.Register, epoch)
		if err != nil {
			return nil, err
		}
		journals = append(journals, j)
	}
	return journals, nil
}

// Epoch returns the stored journal of an epoch, for reading.
func (n *RegisterNode) Epoch(ctx context.Context, epoch int) (*Journal, error) {
	return openJournal(ctx, n.nc, n.Journal().js, n.cfg.Register, epoch)
}

// Unsent counts the entries of all epochs that HQ has not acknowledged as stored on its disk. The
// count is up to a second old. In a store that was put back it is worth nothing: see
// [RegisterNode.AckedByHQ].
func (n *RegisterNode) Unsent(ctx context.Context) (unsent uint64, err error) {
	js := n.Journal().js
	stored, err := storedJournals(ctx, js)
	if err != nil {
		return 0, err
	}
	for epoch, info := range stored {
		acknowledged := uint64(0)
		c, err := js.PushConsumer(ctx, info.Config.Name, hqConsumer)
		switch {
		case err == nil:
			acknowledged = c.CachedInfo().AckFloor.Stream
		case !errors.Is(err, jetstream.ErrConsumerNotFound):
			return 0, fmt.Errorf("what HQ has acknowledged of epoch %d: %w", epoch, err)
		}
		unsent += info.State.LastSeq - min(acknowledged, info.State.LastSeq)
	}
	return unsent, nil
}
