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

// errNotRead means that nobody reads the output of a command, and that the command was told to end.
var errNotRead = errors.New("nobody reads the output")

// interruptible writes to out. If nobody reads the other end of a pipe, a write returns soon after
// ctx ends. A command that was told to end can then clean up.
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
	p = bytes.Clone(p) // the caller may reuse its slice while the write still waits
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
