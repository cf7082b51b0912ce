package hq

import (
	"sync/atomic"
	"time"
)

// LoseBooks closes hq.db under head office's feet.
func (h *HQ) LoseBooks() error { return h.db.close() }

// AskAfter sets how long what was announced may take to come before it is asked for.
func (c *Config) AskAfter(d time.Duration) { c.tailAfter = d }

// HearNothing has the first readers of head office's streams hear nothing of what comes.
func (c *Config) HearNothing(first int64) {
	var begun atomic.Int64
	c.deaf = func() bool { return begun.Add(1) <= first }
}
