package register

import (
	"crypto/rand"
	"time"

	"github.com/oklog/ulid/v2"
)

// ids makes the entries' ULIDs. They only ever grow, also when the clock steps
// back and across a restart, because the last one is in the journal.
type ids struct{ last ulid.ULID }

func (s *ids) next(now time.Time) ulid.ULID {
	if ms := ulid.Timestamp(now); ms > s.last.Time() {
		s.last = ulid.MustNew(ms, rand.Reader)
		return s.last
	}
	// The same millisecond, or a clock that stepped back: one more than the last.
	for i := len(s.last) - 1; i >= 0; i-- {
		s.last[i]++
		if s.last[i] != 0 {
			break
		}
	}
	return s.last
}
