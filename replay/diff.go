package replay

import (
	"bytes"
	"cmp"
	"context"
	"iter"

	"github.com/posnode/posnode/events"
)

// Difference is the first place at which two journals differ.
type Difference struct {
	Epoch    int    `json:"epoch"`
	Sequence uint64 `json:"sequence"`
	// A and B are the entries stored there. Each has a place of its own, because one journal can
	// begin a new epoch while the other continues the old one. A or B is nil if that journal has
	// ended.
	A *events.Head `json:"a"`
	B *events.Head `json:"b"`
}

// Diff compares two journals byte by byte and returns their first difference, nil for none. Both
// may be damaged, because Diff compares the stored bytes and not their meaning.
func Diff(ctx context.Context, a, b Source) (*Difference, error) {
	nextA, stopA := iter.Pull2(stored(ctx, a))
	defer stopA()
	nextB, stopB := iter.Pull2(stored(ctx, b))
	defer stopB()
	var same []byte // the last entry that both have
	for {
		ma, errA, moreA := nextA()
		mb, errB, moreB := nextB()
		switch {
		case errA != nil:
			return nil, errA
		case errB != nil:
			return nil, errB
		case !moreA && !moreB:
			return nil, nil
		case !moreA || !moreB || !bytes.Equal(ma.Body, mb.Body):
			return difference(same, ma.Body, mb.Body), nil
		}
		same = ma.Body
	}
}

// difference returns the place after the entry same, and the entries a and b at that place. A nil
// body means that the journal has ended.
func difference(same, a, b []byte) *Difference {
	d := &Difference{Epoch: 1, Sequence: 1}
	if e, err := events.Decode(same); err == nil {
		d.Epoch, d.Sequence = e.Head.Epoch, e.Head.Sequence+1
	}
	d.A, d.B = d.standing(a), d.standing(b)
	if begins := cmp.Or(d.A, d.B); begins.Epoch > d.Epoch && (d.A == nil || d.B == nil || d.A.Epoch == d.B.Epoch) {
		d.Epoch, d.Sequence = begins.Epoch, begins.Sequence // no journal has more of the old epoch
	}
	return d
}

// standing returns the place and the hash of a body at the difference, nil for no body.
func (d *Difference) standing(body []byte) *events.Head {
	if body == nil {
		return nil
	}
	if e, err := events.Decode(body); err == nil {
		return &e.Head
	}
	return &events.Head{Epoch: d.Epoch, Sequence: d.Sequence, Hash: events.Hash(body)}
}

// stored iterates over the entries of src. If reading fails, it yields the error last.
func stored(ctx context.Context, src Source) iter.Seq2[events.Message, error] {
	return func(yield func(events.Message, error) bool) {
		wanted := true
		err := src.Read(ctx, func(_ int, m events.Message) error {
			if wanted = yield(m, nil); !wanted {
				return errEnough
			}
			return nil
		})
		if err != nil && wanted {
			yield(events.Message{}, err)
		}
	}
}
