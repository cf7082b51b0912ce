package embedded

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/posnode/posnode/events"
)

// HeadOffice is the name of head office's own journal, in the form of a register's name. No
// register has it.
var HeadOffice = events.Register{Store: "hq", ID: "hq"}

const ownStream = "HQ"

// ownConfig returns the stream of head office's own facts. It is like a register's journal, but it
// is replicated on the servers of head office, and every instance writes it.
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
		AllowDirect: false, // decisions are based on this stream, so only the leader may answer
	}
}

// openOwn opens head office's own journal, and makes it if it is new.
func (h *HQNode) openOwn(ctx context.Context) (err error) {
	stream, err := h.js.CreateOrUpdateStream(ctx, ownConfig(h.cfg.replicas()))
	if err != nil {
		return fmt.Errorf("open head office's own journal: %w", err)
	}
	h.own = &Journal{register: HeadOffice, epoch: 1, nc: h.nc, js: h.js, stream: stream, disk: &diskGuard{dir: h.cfg.Dir}}
	return nil
}

// Own returns head office's own journal. Every instance of head office may append to it. If another
// instance was first, Append returns events.ErrConflict, and the caller reads the journal and
// decides again.
func (h *HQNode) Own() *Journal { return h.own }

// FollowOwn calls grown once at the beginning and whenever any instance has appended to the own
// journal, until ctx ends.
func (h *HQNode) FollowOwn(ctx context.Context, grown func()) error {
	last, err := h.own.Last(ctx)
	if err != nil {
		return fmt.Errorf("follow head office's own journal: %w", err)
	}
	grown()
	config := scanConfig(last + 1)
	config.HeadersOnly = true
	return scanStream(ctx, h.nc, h.own.stream, config, noEnd, func(delivered) error {
		grown()
		return nil
	})
}
