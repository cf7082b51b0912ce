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
}

type refuted struct {
	signed
	why string
}

func startNotary() *notary {
	n := &notary{in: make(chan signed, 1024)}
	for range runtime.GOMAXPROCS(0) {
		n.running.Go(func() {
			for s := range n.in {
				if why := s.refute(); why != "" {
					n.mu.Lock()
					n.wrong = append(n.wrong, refuted{s, why})
					n.mu.Unlock()
				}
			}
		})
	}
	return n
}

func (n *notary) check(s signed) { n.in <- s }

// finish waits for all checks and adds their findings. Everything that follows a
// forged entry fails the same way, so that checkpoints that fail in a row are one finding.
func (n *notary) finish(fs *findings) {
	close(n.in)
	n.running.Wait()
	slices.SortFunc(n.wrong, func(a, b refuted) int {
		return cmp.Or(cmp.Compare(a.head.Epoch, b.head.Epoch), cmp.Compare(a.ordinal, b.ordinal))
	})
	for _, r := range n.wrong {
		fs.follow(r.ordinal, Finding{
			Epoch: r.head.Epoch, Sequence: r.at, Kind: KindCheckpoint,
			Want: fmt.Sprintf("the register's signature under %s size %d hash %s", r.origin, r.head.Sequence, r.head.Hash), Got: r.why,
			Hint: "the entries before it are not those that the register signed",
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
