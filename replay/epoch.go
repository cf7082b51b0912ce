package replay

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/posnode/posnode/events"
)

// epoch follows the entries of one epoch, in the order in which they are stored.
type epoch struct {
	number   int
	verifier *verifier
	register events.Register
	record   events.ActivationRecord
	// head is the last entry. Its hash is that of the bytes that are stored.
	head events.Head
	read events.Head // the last entry that was there, which a gap has not moved
	// broken says that the hash of the entry before the next one is not known.
	broken bool
	// certain is the last sequence that an entry said itself. What lies between it
	// and the head are undecodable lines, numbered by their place alone.
	certain uint64
	lastID  string
	gaps    []*gap
	notes   uint64 // checkpoints so far
	books   books
}

// gap is a run of sequences that were passed over: missing, unless they come later.
type gap struct {
	from, to uint64
	before   *events.Digest // hash of the entry in front of it, if that is known
	after    *events.Digest // prevhash of the entry behind it, if that could be decoded
	found    map[uint64]link
	index    int // of its finding, -1 where that is only counted
}

// link is what an entry that came late says of its neighbours in the chain.
type link struct{ prev, hash events.Digest }

// maxGaps is how many gaps of an epoch are kept. An entry that comes later and belongs in
// another gap counts as a duplicate.
const maxGaps = 1000

func newEpoch(n int, v *verifier) *epoch {
	e := &epoch{number: n, verifier: v, head: events.Head{Epoch: n}, read: events.Head{Epoch: n}}
	e.books.epoch = e
	return e
}

func (e *epoch) add(f Finding) (index int) {
	f.Epoch = e.number
	return e.verifier.add(f)
}

// precedes says whether entry was, by its prevhash, written after the head.
func (e *epoch) precedes(entry *events.Entry) bool {
	return e.head.Sequence > 0 && !e.broken && entry.PrevHash == e.head.Hash
}

func (e *epoch) visit(it *item) {
	at := e.place(it)
	switch next := e.head.Sequence + 1; {
	case at < next:
		e.behind(it, at)
		return
	case at > next || it.Body == nil:
		e.missing(next, at, it)
	}
	if it.entry != nil {
		e.follow(it, at)
	} else if it.Body != nil {
		e.undecodable(it, at)
	}
}

// place is the sequence at which an entry is stored. A source that knows only the
// order leaves it to the entry, and its prevhash has the better word: an altered
// sequence is one finding, not a gap and a duplicate.
func (e *epoch) place(it *item) uint64 {
	switch {
	case it.Sequence != 0:
		return it.Sequence
	case it.entry == nil || e.precedes(it.entry):
		return e.head.Sequence + 1
	}
	at := it.entry.Head.Sequence
	if e.certain < at && at <= e.head.Sequence {
		// There were more undecodable lines than entries: one was torn into several.
		e.head.Sequence, e.broken = at-1, true
	}
	return at
}

// missing reports the entries from next up to the one at which something is stored.
func (e *epoch) missing(next, at uint64, it *item) {
	g := &gap{from: next, to: at - 1, found: map[uint64]link{}}
	if !e.broken && e.head.Sequence > 0 {
		hash := e.head.Hash
		g.before = &hash
	}
	f := Finding{Sequence: next, Kind: KindGap, Got: fmt.Sprintf("entry %d", at), Hint: "HQ or another copy may have what is missing"}
	if it.Body == nil {
		g.to, f.Got = at, it.err.Error()
	}
	f.Want = fmt.Sprintf("entry %d", next)
	if g.to > next {
		f.Want = fmt.Sprintf("entries %d to %d", next, g.to)
	}
	if it.entry != nil {
		g.after = &it.entry.PrevHash
	}
	if g.index = e.add(f); len(e.gaps) < maxGaps {
		e.gaps = append(e.gaps, g)
	}
	e.head.Sequence, e.broken = g.to, true
	e.books.doubt()
}

// behind takes an entry whose sequence has been passed: one that a gap misses, or one too many.
func (e *epoch) behind(it *item, at uint64) {
	i := slices.IndexFunc(e.gaps, func(g *gap) bool {
		_, found := g.found[at]
		return g.from <= at && at <= g.to && !found
	})
	if i < 0 || it.entry == nil {
		e.verifier.findings.follow(at, Finding{
			Epoch: e.number, Sequence: at, Kind: KindDuplicate,
			Want: fmt.Sprintf("entry %d", e.head.Sequence+1), Got: fmt.Sprintf("a second entry %d", at), Hint: "only the first was looked at",
		})
		return
	}
	g := e.gaps[i]
	g.found[at] = link{it.entry.PrevHash, it.entry.Head.Hash}
	e.checkLink(at, g.hashBefore(at), &it.entry.PrevHash)
	e.checkLink(at+1, &it.entry.Head.Hash, g.prevAfter(at))
	if uint64(len(g.found)) == g.to-g.from+1 && g.index >= 0 {
		f := &e.verifier.list[g.index]
		f.Kind, f.Hint = KindOrder, fmt.Sprintf("%s stands behind it: the lines are in the wrong order", f.Want)
	}
}

// hashBefore is the hash of the entry in front of one of the gap's, nil where that is not known.
func (g *gap) hashBefore(at uint64) *events.Digest {
	if at == g.from {
		return g.before
	}
	if l, found := g.found[at-1]; found {
		return &l.hash
	}
	return nil
}

// prevAfter is the prevhash of the entry behind one of the gap's, nil where that is not known.
func (g *gap) prevAfter(at uint64) *events.Digest {
	if at == g.to {
		return g.after
	}
	if l, found := g.found[at+1]; found {
		return &l.prev
	}
	return nil
}

// checkLink reports an entry that was not written after the one in front of it. One of the two came late.
func (e *epoch) checkLink(at uint64, want, got *events.Digest) {
	if want != nil && got != nil && *want != *got {
		e.add(Finding{Sequence: at, Kind: KindChain, Want: "prevhash " + want.String(), Got: got.String(), Hint: afterOther(at)})
	}
}

func afterOther(sequence uint64) string {
	return fmt.Sprintf("entry %d is not the one that entry %d was written after", sequence-1, sequence)
}

func (e *epoch) undecodable(it *item, at uint64) {
	e.add(Finding{Sequence: at, Kind: KindUndecodable, Want: "an entry", Got: it.err.Error()})
	e.moveTo(events.Head{Epoch: e.number, Sequence: at, Hash: events.Hash(it.Body)})
	e.books.doubt()
}

// follow takes an entry that stands where it should.
func (e *epoch) follow(it *item, at uint64) {
	entry := it.entry
	chain := events.Chain{Register: e.register, Head: e.head}
	if e.broken {
		chain.Head.Hash = entry.PrevHash
	}
	err := chain.Next(at, entry)
	if err != nil {
		e.outOfChain(entry, at, err)
	}
	if e.register == (events.Register{}) {
		e.register = entry.Register
	}
	e.moveTo(events.Head{Epoch: e.number, Sequence: at, Hash: entry.Head.Hash})
	e.certain = at
	e.checkMessage(it)
	if entry.ID <= e.lastID {
		e.add(Finding{Sequence: at, Kind: KindID, Want: "an id above " + e.lastID, Got: entry.ID, Hint: "ids are made in order at the register, whatever its clock does"})
	}
	e.lastID = entry.ID
	if activation, ok := entry.Fact.(*events.RegisterActivated); ok {
		e.activate(entry, activation)
	}
	e.checkpoint(entry, at)
	e.books.fold(entry, err == nil)
}

// outOfChain reports what events.Chain said. A run of another register's entries is one finding.
func (e *epoch) outOfChain(entry *events.Entry, at uint64, err error) {
	c, ok := errors.AsType[*events.CorruptError](err)
	if !ok {
		panic(fmt.Sprintf("chain: %v", err))
	}
	if c.Kind != KindChain {
		e.books.doubt() // it may belong elsewhere
	}
	if c.Kind != KindRegister {
		e.verifier.corrupt(e.number, c)
		return
	}
	e.verifier.findings.follow(at, Finding{
		Epoch: e.number, Sequence: at, Kind: c.Kind, Want: c.Want, Got: c.Got, Hint: "entries of another register are among these",
	})
}

// moveTo makes an entry the head, and compares it with those that are known from elsewhere.
func (e *epoch) moveTo(head events.Head) {
	e.head, e.read, e.broken = head, head, false
	for _, want := range e.verifier.opts.Heads {
		if want.Epoch == e.number && want.Sequence == e.head.Sequence && want.Hash != e.head.Hash {
			e.add(headFinding(want, e.head.Hash, "another entry is known from elsewhere to have been there"))
		}
	}
}

// checkMessage compares what a stream says of an entry with the entry. A bundle says nothing.
func (e *epoch) checkMessage(it *item) {
	if it.Subject == "" {
		return
	}
	if want := events.StreamSubject(it.entry.Register, it.entry.Type); it.Subject != want || it.ID != it.entry.ID {
		e.add(Finding{Sequence: e.head.Sequence, Kind: KindSubject, Want: want + " " + it.entry.ID, Got: it.Subject + " " + it.ID, Hint: "the message was not written by the register"})
	}
}

// activate reads the record that an epoch begins with.
func (e *epoch) activate(entry *events.Entry, f *events.RegisterActivated) {
	wrong := func(kind, want, got string) {
		e.add(Finding{Sequence: e.head.Sequence, Kind: kind, Want: want, Got: got})
	}
	if e.head.Sequence != 1 {
		wrong(KindActivation, "one activation, at entry 1", "another")
		return
	}
	var record events.ActivationRecord
	if err := json.Unmarshal([]byte(f.Record), &record); err != nil {
		wrong(KindActivation, "a record in JSON", err.Error())
		return
	}
	if record.Register != entry.Register || record.Epoch != entry.Epoch {
		wrong(KindActivation, fmt.Sprintf("%s, epoch %d", entry.Register, entry.Epoch), fmt.Sprintf("%s, epoch %d", record.Register, record.Epoch))
	}
	// Its hash begins the chain, so that its word on the register is better than the entry's.
	e.register, e.record = record.Register, record
	if c := record.Carried; c != nil {
		e.books.receipts.begun = uint64(max(0, c.Receipts))
	}
	if keys := e.verifier.opts.Keys; len(keys) > 0 && !slices.Contains(keys, record.Key) {
		wrong(KindKey, "one of the expected public keys", record.Key)
	}
}

// checkpoint hands a signed note to the notary. Without an activation there is no
// key to check it with, and that is a finding already.
func (e *epoch) checkpoint(entry *events.Entry, at uint64) {
	f, ok := entry.Fact.(events.Checkpointed)
	if !ok {
		return
	}
	e.notes++
	if e.record.Key == "" {
		return
	}
	e.verifier.notary.check(signed{
		ordinal: e.notes, note: f.Sign().Checkpoint, key: e.record.Key, at: at, origin: fmt.Sprintf("%s/%d", e.register, e.number),
		// What the entry says that it was written after: whether it was, the chain says.
		head: events.Head{Epoch: e.number, Sequence: at - 1, Hash: entry.PrevHash},
	})
}
