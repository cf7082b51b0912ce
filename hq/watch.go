package hq

import (
	"context"
	"time"

	"github.com/posnode/posnode/embedded"
)

const (
	watchEvery = 5 * time.Second
	// patience is how long a journal may stand still, its register being there, before head
	// office does something about it. A source comes back by itself within 5 s of its link, seldom within 15 s.
	patience = 30 * time.Second
	// silent is how old an announcement may be that says a register is there: registers
	// announce every 3 s.
	silent = 15 * time.Second
)

// watch looks after journals that stand still, until ctx ends.
func (h *HQ) watch(ctx context.Context) {
	h.node.Watch(ctx, embedded.Watch{Every: watchEvery, Patience: patience, Announced: func(j embedded.JournalName) uint64 {
		h.mu.Lock()
		defer h.mu.Unlock()
		c := h.heard[j.Register]
		if c == nil || c.Epoch != j.Epoch || h.cfg.Clock().Sub(c.heard) > silent {
			return 0
		}
		return c.Sequence
	}})
}
