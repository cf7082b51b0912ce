package replay

import (
	"context"
	"errors"
	"runtime"
	"sync"

	"github.com/posnode/posnode/events"
)

// item is one stored entry on its way through a walk.
type item struct {
	events.Message
	epoch int           // as the source knows it, 0 where it does not
	entry *events.Entry // nil where err says why
	err   error
}

// A batch is what one worker decodes at a time: large enough that handing it
// over costs nothing, small enough that a few of them fit in the caches.
const (
	batchItems = 128
	batchBytes = 1 << 20
)

type batch struct {
	items   []item
	bytes   int
	decoded chan struct{} // closed once every item is
}

// walk reads the whole source and calls visit for each entry in order. One
// goroutine reads, others decode and hash, and the caller's visits. An error of
// visit ends the walk and is returned.
func walk(ctx context.Context, src Source, visit func(*item) error) error {
	ctx, cancel := context.WithCancel(ctx)
	workers := runtime.GOMAXPROCS(0)
	p := pipe{work: make(chan *batch, workers), ordered: make(chan *batch, 2*workers)}
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	running.Go(func() {
		p.readErr = p.read(ctx, src)
		close(p.work)
		close(p.ordered)
	})
	for range workers {
		running.Go(func() {
			for b := range p.work {
				b.decode()
			}
		})
	}
	for b := range p.ordered {
		<-b.decoded
		for i := range b.items {
			if err := visit(&b.items[i]); err != nil {
				return err
			}
		}
	}
	return p.readErr
}

type pipe struct {
	work    chan *batch // to whichever worker is free
	ordered chan *batch // the same batches, to the visitor
	readErr error       // set before ordered is closed
}

func (p *pipe) read(ctx context.Context, src Source) error {
	b := &batch{decoded: make(chan struct{})}
	send := func() error {
		// In this order: what the visitor waits for is always on its way to a worker.
		for _, to := range []chan *batch{p.ordered, p.work} {
			select {
			case to <- b:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		b = &batch{items: make([]item, 0, batchItems), decoded: make(chan struct{})}
		return nil
	}
	err := src.Read(ctx, func(epoch int, m events.Message) error {
		b.items = append(b.items, item{Message: m, epoch: epoch})
		b.bytes += len(m.Body)
		if len(b.items) < batchItems && b.bytes < batchBytes {
			return nil
		}
		return send()
	})
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return errors.Join(err, send())
}

func (b *batch) decode() {
	for i := range b.items {
		it := &b.items[i]
		if it.Body == nil {
			it.err = errUnreadable
			continue
		}
		it.entry, it.err = events.Decode(it.Body)
	}
	close(b.decoded)
}

// errUnreadable stands for an entry of which the source knows only that it should be there.
var errUnreadable = errors.New("the store cannot read it")
