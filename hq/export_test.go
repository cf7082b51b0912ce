package hq

import "time"

// LoseBooks closes hq.db under head office's feet.
func (h *HQ) LoseBooks() error { return h.db.close() }

// AskAfter sets how long what was announced may take to come before it is asked for.
func (c *Config) AskAfter(d time.Duration) { c.tailAfter = d }
