package replay

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/posnode/posnode/events"
)

// Report is the result of [Verify].
type Report struct {
	Register events.Register `json:"register"`
	Entries  int             `json:"entries"` // stored entries, damaged ones included
	// Heads holds the last entry of each epoch that could be read. Keep it elsewhere: only a kept
	// head shows a tail that is cut off later, see [Options.Heads].
	Heads []events.Head `json:"heads"`
	// Keys are the public keys in the activation records, one per epoch in the order of Heads.
	Keys []string `json:"keys"`
	// Signed holds the last entry of each epoch that the register has signed, in the order of
	// Heads. Write access to the journal is enough to change the entries behind it.
	Signed   []events.Head `json:"signed"`
	Findings []Finding     `json:"findings"` // by epoch and sequence; empty, never nil
}

// Finding is one fault of a journal.
type Finding struct {
	Epoch    int    `json:"epoch,omitempty"`
	Sequence uint64 `json:"sequence"` // of the entry at which it shows; 0 if it concerns no entry
	Kind     string `json:"kind"`
	Want     string `json:"want"`
	Got      string `json:"got"`
	Hint     string `json:"hint"`
}

func (f Finding) String() string {
	s := fmt.Sprintf("epoch %d entry %d: %s: want %s, got %s", f.Epoch, f.Sequence, f.Kind, f.Want, f.Got)
	if f.Hint != "" {
		s += " (" + f.Hint + ")"
	}
	return s
}

// The kinds of finding. Those of [events.Chain] are named here too.
const (
	// Findings in the bytes.
	KindUnreadable  = "unreadable"  // the file cannot be read on
	KindTruncated   = "truncated"   // the end is missing
	KindTooLarge    = "too_large"   // more than any register writes; the rest was not read
	KindUndecodable = "undecodable" // the bytes are not an entry
	// Findings in the order.
	KindGap       = "gap"       // entries are missing
	KindOrder     = "order"     // an entry is stored behind a later one
	KindDuplicate = "duplicate" // a second entry with the same sequence
	KindSequence  = "sequence"  // the entry names another sequence than its place
	KindEpoch     = "epoch"     // the entry names another epoch than its place
	KindRegister  = "register"  // the entry is another register's
	KindID        = "id"        // the ULID is not above the one before
	KindSubject   = "subject"   // the message's subject or id is not the entry's
	// Findings in the proof.
	KindChain      = "chain"      // the prevhash is not the hash of the entry before
	KindActivation = "activation" // the epoch does not begin with a valid activation record
	KindBehind     = "behind"     // entries behind the end of an epoch, as the next activation names it
	KindHead       = "head"       // the entry is not the one of a known head
	KindKey        = "key"        // the epoch's public key is not one of those expected
	KindCheckpoint = "checkpoint" // the signed note is not for the chain before the entry
	// Findings in the books.
	KindImpossible = "impossible" // the fact cannot follow the facts before it
	KindCommand    = "command"    // one command was recorded twice
	KindTotals     = "totals"     // the totals are not the sums of the lines and payments
	KindLines      = "lines"      // the document's lines are not those that were entered
	KindTaxes      = "taxes"      // the tax table does not hold the sums of the lines' taxes
	KindPayments   = "payments"   // the payments are not those that were taken, or do not settle the total
	KindPostings   = "postings"   // the postings do not balance, or not with the document
	KindReceipt    = "receipt"    // the receipt number is not the one after the last
	// Findings in the files beside the journal.
	KindProjection = "projection" // the offline database differs from a replay
	KindSnapshot   = "snapshot"   // the register's snapshot differs from a replay
	KindMark       = "mark"       // head office did not sign the mark
	KindFile       = "file"       // a file that no register writes
	// Findings about the list itself.
	KindMore = "more" // the number of findings that are not listed
)

// A file from an attacker may hold any number of faults. These bounds keep a report readable, and
// its memory small.
const (
	// maxOfKind is the largest number of findings of one kind that are listed in an epoch.
	maxOfKind = 100
	// maxFindings is the largest number of findings in a report.
	maxFindings = 2000
)

// findings collects findings. The consequences of one cause are one finding. Beyond [maxOfKind] and
// [maxFindings] one finding counts the rest.
type findings struct {
	list []Finding
	runs map[string]*run
	rest map[restKey]*rest
}

// restKey is an epoch and a kind, or the zero value for all findings beyond [maxFindings].
type restKey struct {
	epoch int
	kind  string
}

// rest counts the findings under one key.
type rest struct {
	listed int // findings of this key in the list, without the one that counts
	index  int // in the list, of the finding that counts the others
	folded int // findings that are only counted
	last   Finding
}

// run is one finding for several entries in a row.
type run struct {
	index int // in list
	first Finding
	last  uint64 // the sequence
	count int
}

// add lists f and returns its index, or counts it and returns -1.
func (fs *findings) add(f Finding) (index int) {
	f.Want, f.Got = clip(f.Want), clip(f.Got)
	of := fs.restOf(restKey{f.Epoch, f.Kind})
	switch {
	case of.folded > 0 || of.listed >= maxOfKind && len(fs.list) < maxFindings:
		fs.fold(of, f)
		return -1
	case len(fs.list) >= maxFindings:
		f.Kind = KindMore
		fs.fold(fs.restOf(restKey{}), f)
		return -1
	}
	of.listed++
	fs.list = append(fs.list, f)
	return len(fs.list) - 1
}

func (fs *findings) restOf(key restKey) *rest {
	if fs.rest[key] == nil {
		if fs.rest == nil {
			fs.rest = map[restKey]*rest{}
		}
		fs.rest[key] = &rest{}
	}
	return fs.rest[key]
}

// fold counts f in the finding for the rest. That finding has the place of the first finding that
// it counts.
func (fs *findings) fold(of *rest, f Finding) {
	if of.folded == 0 {
		of.index = len(fs.list)
		fs.list = append(fs.list, f)
	}
	of.folded++
	of.last = f
}

// finish returns all findings, sorted. A finding that counts others has their number in its hint.
func (fs *findings) finish() []Finding {
	for key, of := range fs.rest {
		if of.folded == 0 {
			continue
		}
		what := "findings of this kind"
		if key == (restKey{}) {
			what = "findings of any kind"
		}
		f := &fs.list[of.index]
		f.Hint = fmt.Sprintf("%d further %s are counted here and not listed; the last is at entry %d of epoch %d", of.folded, what, of.last.Sequence, of.last.Epoch)
	}
	sortFindings(fs.list)
	return append([]Finding{}, fs.list...)
}

// moveTo moves all findings so far to an epoch.
func (fs *findings) moveTo(epoch int) {
	for i := range fs.list {
		fs.list[i].Epoch = epoch
	}
	moved := map[restKey]*rest{}
	for key, of := range fs.rest {
		if key != (restKey{}) {
			key.epoch = epoch
		}
		of.last.Epoch = epoch
		moved[key] = of
	}
	fs.rest = moved
}

// follow adds f. If the place just before has a finding of the same kind, that finding counts f
// instead. Places are counted from 1.
func (fs *findings) follow(place uint64, f Finding) {
	key := fmt.Sprint(f.Kind, f.Epoch)
	r := fs.runs[key]
	if r == nil || r.last+1 != place {
		if fs.runs == nil {
			fs.runs = map[string]*run{}
		}
		fs.runs[key] = &run{index: fs.add(f), first: f, last: place, count: 1}
		return
	}
	r.last = place
	r.count++
	if r.index < 0 {
		return
	}
	fs.list[r.index].Hint = fmt.Sprintf("%s; so for %d in a row, up to entry %d", r.first.Hint, r.count, f.Sequence)
}

// corrupt adds an error of the events package as a finding.
func (fs *findings) corrupt(epoch int, err *events.CorruptError) {
	fs.add(Finding{Epoch: epoch, Sequence: err.Sequence, Kind: err.Kind, Want: err.Want, Got: err.Got, Hint: err.Hint})
}

func sortFindings(list []Finding) {
	slices.SortStableFunc(list, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.Epoch, b.Epoch), cmp.Compare(a.Sequence, b.Sequence))
	})
}

// clip shortens a text from a damaged entry, so that it does not fill a screen.
func clip[T ~string | ~[]byte](s T) string {
	const limit = 200
	if len(s) <= limit {
		return string(s)
	}
	return string(s[:limit]) + "..."
}
