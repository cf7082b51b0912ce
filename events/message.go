package events

import (
	"errors"
	"fmt"
)

// Message is one entry on its way into or out of a stream: the body exactly as stored, and the
// fields for routing.
type Message struct {
	Subject  string // pos.<store>.<register>.<entity>.<fact>
	ID       string // the entry's ULID, also the Nats-Msg-Id
	Sequence uint64 // from 1, gapless
	Body     []byte // one CloudEvents event in JSON, never encoded again
}

// MaxBody is the largest entry in bytes. With its headers it stays below the 1 MiB that a stock
// NATS server accepts, so that head office can receive every entry that a register stores.
const MaxBody = 1<<20 - 16<<10

// ErrConflict says that the journal already holds an entry at the sequence that
// an append wanted: someone else was first. The writer reads again and decides again.
var ErrConflict = errors.New("journal has grown since it was read")

// ErrFull says that the journal may not take the entry because its disk, or its
// share of it, is full. Nothing was stored; it works again once there is room.
var ErrFull = errors.New("journal is full")

// CorruptError names the place at which stored bytes are damaged.
type CorruptError struct {
	Sequence uint64 // of the first entry that is wrong
	Kind     string // gap, chain, undecodable, sequence, epoch, truncated, ...
	Want     string
	Got      string
	Hint     string // advice to the operator
}

func (e *CorruptError) Error() string {
	s := fmt.Sprintf("journal entry %d: %s: want %s, got %s", e.Sequence, e.Kind, e.Want, e.Got)
	if e.Hint != "" {
		s += " (" + e.Hint + ")"
	}
	return s
}
