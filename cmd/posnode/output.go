package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"sync"
	"time"
)

// lastWord is how long a command may go on writing after it was told to end.
const lastWord = 2 * time.Second

// errNotRead says that nobody reads what a command writes, and that it was told to end.
var errNotRead = errors.New("nobody reads the output")

// interruptible writes to out. Where nobody reads on the other side of a pipe, a write ends soon
// after ctx: a command that was told to end then cleans up after itself.
type interruptible struct {
	ctx  context.Context
	out  io.Writer
	mu   sync.Mutex
	dead bool // a write is still waiting
}

type written struct {
	n   int
	err error
}

// Write implements [io.Writer].
func (w *interruptible) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.dead {
		return 0, errNotRead
	}
	done := make(chan written, 1)
	p = bytes.Clone(p) // the caller may use its own again while the write waits
	go func() {
		n, err := w.out.Write(p)
		done <- written{n, err}
	}()
	select {
	case r := <-done:
		return r.n, r.err
	case <-w.ctx.Done():
	}
	select {
	case r := <-done:
		return r.n, r.err
	case <-time.After(lastWord):
		w.dead = true
		return 0, errNotRead
	}
}
