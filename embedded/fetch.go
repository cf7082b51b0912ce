package embedded

import (
	"context"
	"fmt"
)

// Fetch reads again the entry that was received at a position of a shard, exactly as stored.
func (h *HQNode) Fetch(ctx context.Context, shard string, sequence uint64) ([]byte, error) {
	stream, err := h.js.Stream(ctx, shard)
	if err != nil {
		return nil, fmt.Errorf("read %s at %d: %w", shard, sequence, err)
	}
	msg, err := stream.GetMsg(ctx, sequence)
	if err != nil {
		return nil, fmt.Errorf("read %s at %d: %w", shard, sequence, err)
	}
	return msg.Data, nil
}
