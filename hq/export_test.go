package hq

import "time"

// AskAfter sets how long what was announced may take to come before it is asked for.
func (c *Config) AskAfter(d time.Duration) { c.tailAfter = d }
