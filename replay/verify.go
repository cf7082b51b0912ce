package replay

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/posnode/posnode/events"
)

// Options hold facts about a journal that are known from elsewhere.
type Options struct {
	// Heads are entries that the journal must have, such as the head in head office's witness or
	// the position of the offline database. Only a head can show a tail that was cut off, or a tail
	// that was rewritten with the register's key. A head at sequence 0 has no effect.
	Heads []events.Head
	// Keys are the public keys that activation records may name. If Keys is empty, any key passes.
	// Then a journal that was forged as a whole, with a key of its own, passes too.
	Keys []string
}

// Verify reads the whole of src and reports every finding. It returns an error only if src could
// not be read. Damage is a finding and not an error.
func Verify(ctx context.Context, src Source, opts Options) (Report, error) {
	// Two witnesses of one head make one finding.
	opts.Heads = slices.Compact(slices.SortedFunc(slices.Values(opts.Heads), func(a, b events.Head) int {
		return cmp.Or(cmp.Compare(a.Epoch, b.Epoch), cmp.Compare(a.Sequence, b.Sequence), bytes.Compare(a.Hash[:], b.Hash[:]))
	}))
	v := &verifier{opts: opts, epochs: map[int]*epoch{}, notary: startNotary()}
	err := walk(ctx, src, v.visit)
	v.notary.finish(&v.findings)
	if err = v.unread(err); err != nil {
		return Report{}, err
	}
	v.finish()
	return v.report(), nil
}

// maxEpochs bounds the memory of Verify, because it keeps the state of every epoch. A register
// begins an epoch when it is activated.
const maxEpochs = 10_000

// maxNoise is the largest number of bodies that are not entries. After more, Verify stops reading.
const maxNoise = 100_000

// verifier takes entries in the stored order and hands each to its epoch.
type verifier struct {
	opts Options
	findings
	entries int
	epochs  map[int]*epoch
	current *epoch
	noise   int // stored bodies that are not entries
	notary  *notary
}

func (v *verifier) visit(it *item) error {
	if it.Body != nil {
		v.entries++
	}
	if it.Body != nil && it.entry == nil {
		if v.noise++; v.noise > maxNoise {
			return &events.CorruptError{
				Kind: KindTooLarge, Want: "entries", Got: fmt.Sprintf("%d that are none", v.noise), Hint: "nothing from there on was read: this is no journal",
			}
		}
	}
	n := v.epochOf(it)
	if v.epochs[n] == nil && len(v.epochs) >= maxEpochs {
		return &events.CorruptError{
			Kind: KindTooLarge, Want: fmt.Sprintf("at most %d epochs", maxEpochs), Got: fmt.Sprintf("an entry of epoch %d", n),
			Hint: "nothing from this entry on was read",
		}
	}
	switch {
	case v.current == nil:
		v.current = v.epoch(n)
	case v.current.number == 0 && n != 0:
		// The undecodable bodies before the first readable entry belong to its epoch.
		delete(v.epochs, 0)
		v.current.number, v.current.head.Epoch, v.current.read.Epoch = n, n, n
		v.epochs[n] = v.current
		v.moveTo(n)
	case n != v.current.number:
		v.turnTo(n)
	}
	v.current.visit(it)
	return nil
}

// epochOf returns the epoch of a stored entry. If the source does not know it, the entry names it.
// But an entry that follows the head by its prevhash belongs to the current epoch.
func (v *verifier) epochOf(it *item) int {
	if it.epoch != 0 {
		return it.epoch
	}
	switch c := v.current; {
	case it.entry != nil && (c == nil || !c.precedes(it.entry)):
		return it.entry.Head.Epoch
	case c != nil:
		return c.number
	}
	return 0
}

func (v *verifier) turnTo(n int) {
	if n < v.current.number {
		v.add(Finding{
			Epoch: n, Sequence: v.epoch(n).head.Sequence + 1, Kind: KindOrder,
			Want: fmt.Sprintf("epoch %d before epoch %d", n, v.current.number), Got: "entries of it behind",
			Hint: "the bundle was put together in the wrong order",
		})
	}
	v.current = v.epoch(n)
}

func (v *verifier) epoch(n int) *epoch {
	if v.epochs[n] == nil {
		v.epochs[n] = newEpoch(n, v)
	}
	return v.epochs[n]
}

// unread turns the error that ended the reading into a finding, if it is damage. It returns any
// other error.
func (v *verifier) unread(err error) error {
	c, ok := errors.AsType[*events.CorruptError](err)
	if !ok {
		return err
	}
	if v.current == nil {
		v.corrupt(0, c)
		return nil
	}
	f := *c
	f.Sequence = cmp.Or(f.Sequence, v.current.head.Sequence)
	v.corrupt(v.current.number, &f)
	return nil
}

func (v *verifier) finish() {
	for _, n := range v.numbers() {
		v.checkPrevious(v.epochs[n])
	}
	for _, h := range v.opts.Heads {
		v.checkReached(h)
	}
	if v.entries == 0 && len(v.list) == 0 {
		v.add(Finding{Kind: KindTruncated, Want: "at least an activation", Got: "no entry"})
	}
}

func (v *verifier) numbers() []int { return slices.Sorted(maps.Keys(v.epochs)) }

// checkPrevious compares the end of the epoch before, as the activation record names it, with its
// actual end.
func (v *verifier) checkPrevious(e *epoch) {
	if e.record.Previous == nil {
		return
	}
	want := *e.record.Previous
	before := v.epochs[want.Epoch]
	if before == nil {
		v.add(Finding{
			Epoch: want.Epoch, Sequence: want.Sequence, Kind: KindTruncated,
			Want: fmt.Sprintf("epoch %d with at least %d entries", want.Epoch, want.Sequence), Got: "no entry of it",
			Hint: fmt.Sprintf("the activation of epoch %d names it", e.number),
		})
		return
	}
	v.checkEnd(want, before, fmt.Sprintf("the activation of epoch %d names it", e.number))
	if end := before.head.Sequence; end > want.Sequence {
		v.add(Finding{
			Epoch: want.Epoch, Sequence: want.Sequence + 1, Kind: KindBehind,
			Want: fmt.Sprintf("the end after entry %d", want.Sequence), Got: fmt.Sprintf("entries up to %d", end),
			Hint: fmt.Sprintf("the activation of epoch %d names the end: who wrote these had an old key, or the register could not read them", e.number),
		})
	}
}

// checkReached reports a known head behind the end of the journal. Heads before the end have been
// compared already.
func (v *verifier) checkReached(want events.Head) {
	e := v.epochs[want.Epoch]
	if e == nil {
		e = newEpoch(want.Epoch, v)
	}
	if want.Sequence > e.head.Sequence {
		v.checkEnd(want, e, "it is known from elsewhere to have been there")
	}
}

func (v *verifier) checkEnd(want events.Head, e *epoch, hint string) {
	switch {
	case want.Sequence > e.head.Sequence:
		v.add(Finding{
			Epoch: e.number, Sequence: e.head.Sequence + 1, Kind: KindTruncated,
			Want: fmt.Sprintf("entries up to %d", want.Sequence), Got: fmt.Sprintf("the end after entry %d", e.head.Sequence), Hint: hint,
		})
	case want.Sequence == e.head.Sequence && want.Hash != e.head.Hash:
		v.add(headFinding(want, e.head.Hash, hint))
	}
}

func headFinding(want events.Head, got events.Digest, hint string) Finding {
	return Finding{
		Epoch: want.Epoch, Sequence: want.Sequence, Kind: KindHead,
		Want: "hash " + want.Hash.String(), Got: got.String(), Hint: hint,
	}
}

func (v *verifier) report() Report {
	r := Report{Entries: v.entries, Heads: []events.Head{}, Keys: []string{}, Signed: []events.Head{}, Findings: v.findings.finish()}
	for _, n := range v.numbers() {
		e := v.epochs[n]
		if e.register != (events.Register{}) {
			r.Register = e.register
		}
		r.Heads = append(r.Heads, e.read)
		r.Keys = append(r.Keys, e.record.Key)
		signed := v.notary.signed[n]
		signed.Epoch = n
		r.Signed = append(r.Signed, signed)
	}
	return r
}
