package embedded

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/posnode/posnode/events"
)

// HeadOffice is the name under which head office keeps a journal of its own, in the
// form of a register's. No register has it.
var HeadOffice = events.Register{Store: "hq", ID: "hq"}

const ownStream = "HQ"

// ownConfig is the stream of head office's own facts: like a register's journal, but
// replicated where head office is, and with as many writers as it has instances.
func ownConfig(replicas int) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name:        ownStream,
		Description: "head office's own facts",
		Subjects:    []string{journalSubjects(HeadOffice)},
		Retention:   jetstream.LimitsPolicy,
		Storage:     jetstream.FileStorage,
		Replicas:    replicas,
		MaxMsgs:     -1,
		MaxBytes:    -1,
		Discard:     jetstream.DiscardNew,
		MaxMsgSize:  maxStored,
		Duplicates:  2 * time.Minute,
		DenyDelete:  true,
		DenyPurge:   true,
		AllowDirect: false, // what is read decides, so the leader answers
	}
}

// openOwn opens head office's own journal, or makes it when it is new.
func (h *HQNode) openOwn(ctx context.Context) (err error) {
	stream, err := h.js.CreateOrUpdateStream(ctx, ownConfig(h.cfg.replicas()))
	if err != nil {
		return fmt.Errorf("open head office's own journal: %w", err)
	}
	h.own = &Journal{register: HeadOffice, epoch: 1, nc: h.nc, js: h.js, stream: stream, disk: &diskGuard{dir: h.cfg.Dir}}
	return nil
}

// Own is head office's own journal. Every instance of head office may append to it:
// who finds that another was first gets events.ErrConflict, reads, and decides again.
func (h *HQNode) Own() *Journal { return h.own }

// FollowOwn calls grown whenever the own journal has grown, by whichever instance, and
// once at the beginning, until ctx ends.
func (h *HQNode) FollowOwn(ctx context.Context, grown func()) error {
	consumer, err := h.js.OrderedConsumer(ctx, ownStream, jetstream.OrderedConsumerConfig{
		DeliverPolicy: jetstream.DeliverNewPolicy, HeadersOnly: true, MaxResetAttempts: resetOnce,
	})
	if err != nil {
		return fmt.Errorf("follow head office's own journal: %w", err)
	}
	messages, err := consumer.Messages()
	if err != nil {
		return fmt.Errorf("follow head office's own journal: %w", err)
	}
	defer messages.Stop()
	for {
		grown()
		if _, err := messages.Next(jetstream.NextContext(ctx)); err != nil {
			if errors.Is(err, ctx.Err()) {
				return err
			}
			return fmt.Errorf("follow head office's own journal: %w", err)
		}
	}
}
