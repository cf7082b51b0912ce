package embedded

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"
)

// Fetch reads the entry at a position of a shard again, exactly as stored. It returns a
// *events.CorruptError if the entry can no longer be read.
func (h *HQNode) Fetch(ctx context.Context, shard string, sequence uint64) ([]byte, error) {
	stream, err := h.js.Stream(ctx, shard)
	if err != nil {
		return nil, fmt.Errorf("read %s at %d: %w", shard, sequence, err)
	}
	msg, err := stream.GetMsg(ctx, sequence)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		err = gap(sequence, "nothing readable")
	}
	if err != nil {
		return nil, fmt.Errorf("read %s at %d: %w", shard, sequence, err)
	}
	return msg.Data, nil
}
