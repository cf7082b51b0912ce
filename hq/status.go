package hq

import (
	"context"
	"time"

	"github.com/posnode/posnode/events"
)

// RegisterStatus is how one register stands at head office. It is about its newest
// epoch, but for Missing and Open, which are about all.
type RegisterStatus struct {
	Register string `json:"register"`
	Epoch    int    `json:"epoch"`
	// Mode is the one of the newest entry received that changed it, with its cause and since when.
	Mode      events.Mode `json:"mode"`
	Cause     string      `json:"cause"`
	ModeSince string      `json:"mode_since"`
	// LastContact is when the register last announced itself to this instance; where it
	// has not since the start, when its last entry came.
	LastContact time.Time `json:"last_contact,omitzero"`
	Silent      bool      `json:"silent"`    // it has not announced itself for a while
	Announced   uint64    `json:"announced"` // entries that the register says it has
	Received    uint64    `json:"received"`  // entries held, counted once
	Verified    uint64    `json:"verified"`  // without a gap from the first, chained and signed
	Marked      uint64    `json:"marked"`    // countersigned
	// Missing are the gaps behind which something was received, and what was
	// announced and has not come; the oldest first, at most a few.
	Missing []events.Range `json:"missing"`
	// ClockDifference is the register's clock less head office's, as last announced.
	ClockDifference time.Duration  `json:"clock_difference_ns"`
	Version         string         `json:"version"`
	Open            int            `json:"open_findings"`
	Frozen          *events.Freeze `json:"frozen,omitempty"`
}

// silentAfter is how long a register may say nothing before it counts as silent: five announcements.
const silentAfter = 15 * time.Second

// Registers lists how every register stands that was ever heard of, by name.
func (h *HQ) Registers(ctx context.Context) ([]RegisterStatus, error) {
	journals, err := h.Journals(ctx)
	if err != nil {
		return nil, err
	}
	var all []RegisterStatus
	for _, j := range journals {
		all = append(all, RegisterStatus{Register: j.Register, Epoch: j.Head.Epoch, Verified: j.Head.Sequence, Missing: []events.Range{}})
	}
	return all, nil
}
