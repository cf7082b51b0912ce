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
	epoch int           // from the source, 0 if the source does not know it
	entry *events.Entry // nil if err is set
	err   error
}

// A worker decodes one batch at a time. A batch is large enough to make the cost of handing it over
// small. It is small enough that a few batches fit in the CPU caches.
const (
	batchItems = 128
	batchBytes = 1 << 20
)

type batch struct {
	items   []item
	bytes   int
	decoded chan struct{} // closed when every item is decoded
}

// walk reads the whole source and calls visit for each entry in order. One goroutine reads, others
// decode and hash, and the caller's goroutine calls visit. An error of visit ends the walk and is
// returned.
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
	work    chan *batch // to the next free worker
	ordered chan *batch // the same batches, to the visitor
	readErr error       // set before ordered is closed
}

func (p *pipe) read(ctx context.Context, src Source) error {
	b := &batch{decoded: make(chan struct{})}
	send := func() error {
		// Send to ordered first, then to work. So the batches in ordered are always sent to a
		// worker next.
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

// errUnreadable is the error for an entry that should be stored, but that the source cannot read.
var errUnreadable = errors.New("the store cannot read it")
