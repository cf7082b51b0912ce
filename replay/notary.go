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

// signed is a checkpoint with the origin and head that it must hold.
type signed struct {
	ordinal uint64 // of the checkpoint in its epoch, from 1
	note    string
	key     string
	origin  string
	head    events.Head
	at      uint64 // the sequence of the entry that carries it
}

// notary checks signatures in goroutines of its own, because one signature costs more than the rest
// of an entry.
type notary struct {
	in      chan signed
	running sync.WaitGroup
	mu      sync.Mutex
	wrong   []refuted
	signed  map[int]events.Head // by epoch, the last entry under a valid signature
}

// refuted is a run of checkpoints in a row that fail.
type refuted struct {
	signed        // the first of them
	why    string // of the first
	last   uint64 // ordinal of the last
	lastAt uint64 // the sequence of the entry that carries it
}

// maxRefuted is the largest number of runs of failed checkpoints in memory. The report lists fewer.
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

// join merges runs that touch, and keeps the first [maxRefuted].
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

// finish waits for all checks and adds their findings. All checkpoints after a forged entry fail
// the same way. So failed checkpoints in a row are one finding.
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

// refute returns the reason why the note does not prove the chain before its entry. It returns ""
// if the note does.
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
