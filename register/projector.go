package register

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/posnode/posnode/events"
	"github.com/posnode/posnode/projections"
)

const (
	// batchSize is how many entries go into the offline database in one transaction.
	batchSize = 500
	// backlog is how far the offline database may trail the journal. With the batch on
	// its way it stays below [ledger.RecentCommands], so that every command is found
	// in one or the other.
	backlog = 500
	// spare is room for what one command may append after full has said no: three changes of
	// mode, an answer recovered from the card terminal, the fact, and what settles it.
	spare = 6
)

// projector brings new entries into the offline database, behind the owner.
type projector struct {
	in      chan projections.Stored
	damaged chan struct{} // a reader has found the database damaged
	quit    chan struct{} // closed when the owner has ended
	mu      sync.Mutex
	applied events.Head
	changed chan struct{} // closed and made anew whenever applied moves
	failing atomic.Bool
}

func (p *projector) start(r *Register, at events.Head) {
	p.in, p.damaged, p.quit = make(chan projections.Stored, backlog+spare), make(chan struct{}, 1), make(chan struct{})
	p.applied, p.changed = at, make(chan struct{})
	r.wait.Go(func() { p.run(r) })
}

func (p *projector) run(r *Register) {
	for {
		select {
		case <-p.damaged:
			p.until(r, func() error { return r.refold(context.Background(), p.applied) })
		case first, open := <-p.in:
			if !open {
				return
			}
			batch := append(make([]projections.Stored, 0, batchSize), first)
			for len(batch) < batchSize && len(p.in) > 0 {
				batch = append(batch, <-p.in)
			}
			p.apply(r, batch)
		}
	}
}

// noteDamage has the database built anew, once for however many readers notice.
func (p *projector) noteDamage() {
	select {
	case p.damaged <- struct{}{}:
	default:
	}
}

// apply brings a batch into the database, and builds a damaged one anew.
func (p *projector) apply(r *Register, batch []projections.Stored) {
	last := batch[len(batch)-1].Entry.Head
	done := p.until(r, func() error {
		err := r.offline.Apply(context.Background(), batch)
		if errors.Is(err, projections.ErrDamaged) {
			r.cfg.Logger.Error("the offline database is damaged and is built anew", "error", err)
			err = r.refold(context.Background(), last)
		}
		return err
	})
	if !done {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.applied = last
	close(p.changed)
	p.changed = make(chan struct{})
}

// until tries until the database does it: a full disk gets room again, and the
// register refuses to run further ahead meanwhile. At the end it gives up, for the
// next start catches up.
func (p *projector) until(r *Register, do func() error) bool {
	for {
		err := do()
		p.failing.Store(err != nil)
		if err == nil {
			return true
		}
		r.cfg.Logger.Error("the offline database stands still", "error", err)
		select {
		case <-p.quit:
			return false
		case <-time.After(time.Second):
		}
	}
}

// full says that the database trails so far that nothing more may be decided.
func (p *projector) full() bool { return len(p.in) >= backlog }

func (p *projector) add(s projections.Stored) { p.in <- s }

func (p *projector) close() {
	close(p.quit)
	close(p.in)
}

// waitFor returns when the database holds the entry at head.
func (p *projector) waitFor(ctx context.Context, head events.Head) error {
	for {
		p.mu.Lock()
		applied, changed := p.applied, p.changed
		p.mu.Unlock()
		if applied.Epoch > head.Epoch || applied.Epoch == head.Epoch && applied.Sequence >= head.Sequence {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// batcher brings a long run of entries into a database, many at a time.
type batcher struct {
	db    *projections.DB
	batch []projections.Stored
}

func (b *batcher) add(ctx context.Context, s projections.Stored) error {
	if b.batch = append(b.batch, s); len(b.batch) < batchSize {
		return nil
	}
	return b.flush(ctx)
}

func (b *batcher) flush(ctx context.Context) error {
	if len(b.batch) == 0 {
		return nil
	}
	err := b.db.Apply(ctx, b.batch)
	b.batch = b.batch[:0]
	return err
}
