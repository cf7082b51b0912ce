package replay

import (
	"bytes"
	"cmp"
	"context"
	"iter"

	"github.com/posnode/posnode/events"
)

// Difference is the first place at which two journals are not the same.
type Difference struct {
	Epoch    int    `json:"epoch"`
	Sequence uint64 `json:"sequence"`
	// A and B are what is stored there, with its own place: one journal can begin a new epoch
	// where the other goes on in the old one. One is nil where that journal has ended.
	A *events.Head `json:"a"`
	B *events.Head `json:"b"`
}

// Diff compares two journals byte by byte and returns their first difference, nil
// for none. Both may be damaged: what is stored is compared, not what it means.
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

// difference names the place behind same, and what stands there; nil stands for nothing.
func difference(same, a, b []byte) *Difference {
	d := &Difference{Epoch: 1, Sequence: 1}
	if e, err := events.Decode(same); err == nil {
		d.Epoch, d.Sequence = e.Head.Epoch, e.Head.Sequence+1
	}
	d.A, d.B = d.standing(a), d.standing(b)
	if begins := cmp.Or(d.A, d.B); begins.Epoch > d.Epoch && (d.A == nil || d.B == nil || d.A.Epoch == d.B.Epoch) {
		d.Epoch, d.Sequence = begins.Epoch, begins.Sequence // nothing more of the old epoch is anywhere
	}
	return d
}

// standing is the place and the hash of a body that stands at the difference.
func (d *Difference) standing(body []byte) *events.Head {
	if body == nil {
		return nil
	}
	if e, err := events.Decode(body); err == nil {
		return &e.Head
	}
	return &events.Head{Epoch: d.Epoch, Sequence: d.Sequence, Hash: events.Hash(body)}
}

// stored are the entries of src, and at the end the error of reading, if there was one.
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
