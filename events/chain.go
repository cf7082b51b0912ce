package events

import "fmt"

// Chain follows the entries of one register and epoch in order and says where
// they stop being one chain. The zero value takes any first entry; a Chain with
// a register and a head goes on from there.
type Chain struct {
	Register Register
	Head     Head
}

// Next checks that e, stored at sequence, follows the head, and moves on to it.
// It returns a *[CorruptError] that names the first thing that is wrong, and then has not moved.
func (c *Chain) Next(sequence uint64, e *Entry) error {
	wrong := func(kind string, want, got any) error {
		return &CorruptError{Sequence: sequence, Kind: kind, Want: fmt.Sprint(want), Got: fmt.Sprint(got)}
	}
	switch {
	case sequence != c.Head.Sequence+1:
		return wrong("gap", fmt.Sprintf("entry %d", c.Head.Sequence+1), fmt.Sprintf("entry %d", sequence))
	case e.Head.Sequence != sequence:
		return wrong("sequence", sequence, e.Head.Sequence)
	case c.Register != Register{} && e.Register != c.Register:
		return wrong("register", c.Register, e.Register)
	case c.Head.Epoch != 0 && e.Head.Epoch != c.Head.Epoch:
		return wrong("epoch", c.Head.Epoch, e.Head.Epoch)
	}
	want := c.Head.Hash
	if sequence == 1 {
		// The first entry of an epoch is its activation. It carries the activation record, and its
		// prevhash is the hash of that record.
		activation, ok := e.Fact.(*RegisterActivated)
		if !ok {
			return wrong("activation", "register.activated", e.Type)
		}
		want = Hash([]byte(activation.Record))
		if c.Head.Hash != (Digest{}) && c.Head.Hash != want {
			return wrong("activation", c.Head.Hash, want)
		}
	}
	if e.PrevHash != want {
		return &CorruptError{
			Sequence: sequence, Kind: "chain", Want: "prevhash " + want.String(), Got: e.PrevHash.String(),
			Hint: fmt.Sprintf("entry %d is not the one that entry %d was written after", sequence-1, sequence),
		}
	}
	c.Register, c.Head = e.Register, e.Head
	return nil
}
