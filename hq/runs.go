package hq

import (
	"slices"

	"github.com/posnode/posnode/events"
)

// run is a stretch of a journal that is held without a gap and chained.
type run struct {
	first, last uint64
	prev        events.Digest // what the first names as the hash before it
	hash        events.Digest // of the last
}

// runs are all that is held of a journal, in order. Two that touch are two histories:
// the later one does not follow from the earlier.
type runs []run

// at is the index of the run that begins last at or before sequence, -1 for none.
func (rs runs) at(sequence uint64) int {
	i, found := slices.BinarySearchFunc(rs, sequence, func(r run, s uint64) int {
		switch {
		case r.first < s:
			return -1
		case r.first > s:
			return 1
		}
		return 0
	})
	if found {
		return i
	}
	return i - 1
}

// holds says whether the entry at sequence is held.
func (rs runs) holds(sequence uint64) bool {
	i := rs.at(sequence)
	return i >= 0 && sequence <= rs[i].last
}

// add takes in an entry that is not held.
func (rs *runs) add(sequence uint64, prev, hash events.Digest) {
	i := rs.at(sequence)
	added := run{first: sequence, last: sequence, prev: prev, hash: hash}
	if i >= 0 && (*rs)[i].last+1 == sequence && (*rs)[i].hash == prev {
		added.first, added.prev = (*rs)[i].first, (*rs)[i].prev
		*rs = slices.Delete(*rs, i, i+1)
		i--
	}
	if next := i + 1; next < len(*rs) && (*rs)[next].first == sequence+1 && (*rs)[next].prev == hash {
		added.last, added.hash = (*rs)[next].last, (*rs)[next].hash
		*rs = slices.Delete(*rs, next, next+1)
	}
	*rs = slices.Insert(*rs, i+1, added)
}

// drop takes out the entry at sequence, which is held. before is the hash of what stays in front of it, own its own,
// which what stays behind it names.
func (rs *runs) drop(sequence uint64, before, own events.Digest) {
	i := rs.at(sequence)
	whole := (*rs)[i]
	*rs = slices.Delete(*rs, i, i+1)
	if sequence < whole.last {
		*rs = slices.Insert(*rs, i, run{first: sequence + 1, last: whole.last, prev: own, hash: whole.hash})
	}
	if sequence > whole.first {
		*rs = slices.Insert(*rs, i, run{first: whole.first, last: sequence - 1, prev: whole.prev, hash: before})
	}
}

// holes are the gaps before and between what is held.
func (rs runs) holes(epoch int) (out []events.Range) {
	next := uint64(1)
	for _, r := range rs {
		if r.first > next {
			out = append(out, events.Range{Epoch: epoch, From: next, To: r.first - 1})
		}
		next = r.last + 1
	}
	return out
}

// reached is the last entry held, 0 for none.
func (rs runs) reached() uint64 {
	if len(rs) == 0 {
		return 0
	}
	return rs[len(rs)-1].last
}
