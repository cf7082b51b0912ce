package replay

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/posnode/posnode/events"
)

// epoch verifies the entries of one epoch, in the order of the source.
type epoch struct {
	number   int
	verifier *verifier
	register events.Register
	record   events.ActivationRecord
	// head is the last entry. Its hash is the hash of the stored bytes.
	head events.Head
	read events.Head // the last entry that was read; unlike head, a gap does not move it
	// broken reports that the hash of the entry before the next one is unknown.
	broken bool
	// certain is the last sequence that came from a decoded entry. Between it and the head are only
	// undecodable lines, numbered by their place.
	certain uint64
	lastID  string
	gaps    []*gap
	notes   uint64 // checkpoints so far
	books   books
}

// gap is a run of skipped sequences. The entries are missing, unless they come later.
type gap struct {
	from, to uint64
	before   *events.Digest // hash of the entry before it, if known
	after    *events.Digest // prevhash of the entry after it, if it could be decoded
	found    map[uint64]link
	index    int // of its finding in the list; -1 if the finding is only counted
}

// link holds the hashes of an entry that came late. They are compared with its neighbours in the
// chain.
type link struct{ prev, hash events.Digest }

// maxGaps is the largest number of gaps of an epoch in memory. A late entry of any other gap counts
// as a duplicate.
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

// precedes reports whether the head precedes entry: the prevhash of entry is the hash of the head.
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

// place returns the sequence at which an entry is stored. If the source knows only the order, the
// entry decides. An entry that follows the head by its prevhash is the next one, even if it names
// another sequence. So an altered sequence is one finding, and not a gap and a duplicate.
func (e *epoch) place(it *item) uint64 {
	switch {
	case it.Sequence != 0:
		return it.Sequence
	case it.entry == nil || e.precedes(it.entry):
		return e.head.Sequence + 1
	}
	at := it.entry.Head.Sequence
	if e.certain < at && at <= e.head.Sequence {
		// There are more undecodable lines than entries, because one line was torn into several.
		e.head.Sequence, e.broken = at-1, true
	}
	return at
}

// missing reports that the entries from next up to the one before at are missing. If it has no
// body, the entry at is missing too.
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

// behind handles an entry with a sequence at or before the head. Either the entry belongs in a gap,
// or it is a duplicate.
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

// hashBefore returns the hash of the entry before the entry at in the gap, nil if unknown.
func (g *gap) hashBefore(at uint64) *events.Digest {
	if at == g.from {
		return g.before
	}
	if l, found := g.found[at-1]; found {
		return &l.hash
	}
	return nil
}

// prevAfter returns the prevhash of the entry after the entry at in the gap, nil if unknown.
func (g *gap) prevAfter(at uint64) *events.Digest {
	if at == g.to {
		return g.after
	}
	if l, found := g.found[at+1]; found {
		return &l.prev
	}
	return nil
}

// checkLink reports an entry that was not written after the entry before it. One of the two came
// late.
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

// follow verifies the entry that is stored next after the head.
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

// outOfChain reports the error of events.Chain. A run of entries of another register is one
// finding.
func (e *epoch) outOfChain(entry *events.Entry, at uint64, err error) {
	c, ok := errors.AsType[*events.CorruptError](err)
	if !ok {
		panic(fmt.Sprintf("chain: %v", err))
	}
	if c.Kind != KindChain {
		e.books.doubt() // the entry may belong to another journal
	}
	if c.Kind != KindRegister {
		e.verifier.corrupt(e.number, c)
		return
	}
	e.verifier.findings.follow(at, Finding{
		Epoch: e.number, Sequence: at, Kind: c.Kind, Want: c.Want, Got: c.Got, Hint: "entries of another register are among these",
	})
}

// moveTo makes an entry the head, and compares it with the heads known from elsewhere.
func (e *epoch) moveTo(head events.Head) {
	e.head, e.read, e.broken = head, head, false
	for _, want := range e.verifier.opts.Heads {
		if want.Epoch == e.number && want.Sequence == e.head.Sequence && want.Hash != e.head.Hash {
			e.add(headFinding(want, e.head.Hash, "another entry is known from elsewhere to have been there"))
		}
	}
}

// checkMessage compares the subject and id of the stream's message with the entry. A bundle has
// neither.
func (e *epoch) checkMessage(it *item) {
	if it.Subject == "" {
		return
	}
	if want := events.StreamSubject(it.entry.Register, it.entry.Type); it.Subject != want || it.ID != it.entry.ID {
		e.add(Finding{Sequence: e.head.Sequence, Kind: KindSubject, Want: want + " " + it.entry.ID, Got: it.Subject + " " + it.ID, Hint: "the message was not written by the register"})
	}
}

// activate reads the activation record at the beginning of an epoch.
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
	// The chain begins with the hash of the record. So the record, and not the entry, decides which
	// register this is.
	e.register, e.record = record.Register, record
	if c := record.Carried; c != nil {
		e.books.receipts.begun = uint64(max(0, c.Receipts))
	}
	if keys := e.verifier.opts.Keys; len(keys) > 0 && !slices.Contains(keys, record.Key) {
		wrong(KindKey, "one of the expected public keys", record.Key)
	}
}

// checkpoint hands a signed note to the notary. Without an activation record there is no key to
// check the note. That is a finding already.
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
		// The place and prevhash that the entry names. The chain check proves whether they are
		// true.
		head: events.Head{Epoch: e.number, Sequence: at - 1, Hash: entry.PrevHash},
	})
}
