package replay

import (
	"cmp"
	"fmt"
	"runtime"
	"slices"
	"sync"

	"github.com/posnode/posnode/events"
	"github.com/posnode/posnode/internal/checkpoint"
)

// signed is a checkpoint with what it must say.
type signed struct {
	ordinal uint64 // of the checkpoint in its epoch, from 1
	note    string
	key     string
	origin  string
	head    events.Head
	at      uint64 // the sequence of the entry that carries it
}

// notary checks signatures beside the walk: one costs more than everything else about an entry.
type notary struct {
	in      chan signed
	running sync.WaitGroup
	mu      sync.Mutex
	wrong   []refuted
	signed  map[int]events.Head // by epoch, the last entry that a valid signature covers
}

// refuted is a run of checkpoints that fail, one after the other.
type refuted struct {
	signed        // the first of them
	why    string // of the first
	last   uint64 // ordinal of the last
	lastAt uint64 // the sequence of the entry that carries it
}

// maxRefuted is how many runs of checkpoints that fail are kept. The report lists fewer.
const maxRefuted = 10_000

func startNotary() *notary {
	n := &notary{in: make(chan signed, 1024), signed: map[int]events.Head{}}
	for range runtime.GOMAXPROCS(0) {
		n.running.Go(func() {
			for s := range n.in {
				if why := s.refute(); why != "" {
					n.refute(s, why)
				} else {
					n.accept(s.head)
				}
			}
		})
	}
	return n
}

func (n *notary) check(s signed) { n.in <- s }

func (n *notary) accept(head events.Head) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if head.Sequence > n.signed[head.Epoch].Sequence {
		n.signed[head.Epoch] = head
	}
}

func (n *notary) refute(s signed, why string) {
	s.note, s.key = "", "" // a note may be as large as an entry
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.wrong = append(n.wrong, refuted{s, clip(why), s.ordinal, s.at}); len(n.wrong) >= 2*maxRefuted {
		n.join()
	}
}

// join makes one of the runs that touch, and keeps the first [maxRefuted].
func (n *notary) join() {
	slices.SortFunc(n.wrong, func(a, b refuted) int {
		return cmp.Or(cmp.Compare(a.head.Epoch, b.head.Epoch), cmp.Compare(a.ordinal, b.ordinal))
	})
	joined := n.wrong[:0]
	for _, r := range n.wrong {
		if i := len(joined) - 1; i >= 0 && joined[i].head.Epoch == r.head.Epoch && joined[i].last+1 == r.ordinal {
			joined[i].last, joined[i].lastAt = r.last, r.lastAt
			continue
		}
		joined = append(joined, r)
	}
	n.wrong = joined[:min(len(joined), maxRefuted)]
}

// finish waits for all checks and adds their findings. Everything that follows a
// forged entry fails the same way, so that checkpoints that fail in a row are one finding.
func (n *notary) finish(fs *findings) {
	close(n.in)
	n.running.Wait()
	n.join()
	for _, r := range n.wrong {
		hint := "the entries before it are not those that the register signed"
		if count := r.last - r.ordinal + 1; count > 1 {
			hint += fmt.Sprintf("; so for %d in a row, up to entry %d", count, r.lastAt)
		}
		fs.add(Finding{
			Epoch: r.head.Epoch, Sequence: r.at, Kind: KindCheckpoint,
			Want: fmt.Sprintf("the register's signature under %s size %d hash %s", r.origin, r.head.Sequence, r.head.Hash), Got: r.why, Hint: hint,
		})
	}
}

// refute says why the note does not vouch for the chain that it stands on, or "".
func (s signed) refute() string {
	if s.note == "" {
		return "no checkpoint"
	}
	c, err := checkpoint.Open(s.note, s.key)
	if err != nil {
		return err.Error()
	}
	if got := events.Digest(c.Hash); c.Origin != s.origin || c.Size != s.head.Sequence || got != s.head.Hash {
		return fmt.Sprintf("a signature under %s size %d hash %s", c.Origin, c.Size, got)
	}
	return ""
}
