package replay

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/posnode/posnode/events"
)

// Report is what [Verify] found out about a journal.
type Report struct {
	Register events.Register `json:"register"`
	Entries  int             `json:"entries"` // that are stored, whatever their state
	// Heads says where each epoch ends, as far as it could be read. Kept elsewhere,
	// it is what shows a tail that is cut off later: see [Options.Heads].
	Heads []events.Head `json:"heads"`
	// Keys are the public keys that the activation records name, by epoch in the order of Heads.
	Keys     []string  `json:"keys"`
	Findings []Finding `json:"findings"` // by epoch and sequence; empty, never nil
}

// Finding is one thing that is wrong with a journal.
type Finding struct {
	Epoch    int    `json:"epoch,omitempty"`
	Sequence uint64 `json:"sequence"` // of the entry at which it shows; 0 when it is about none
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
	// Of the bytes.
	KindUnreadable  = "unreadable"  // the file cannot be read on
	KindTruncated   = "truncated"   // the end is missing
	KindUndecodable = "undecodable" // the bytes are not an entry
	// Of the order.
	KindGap       = "gap"       // entries are missing
	KindOrder     = "order"     // an entry stands behind a later one
	KindDuplicate = "duplicate" // a second entry with a sequence that is taken
	KindSequence  = "sequence"  // the entry says another sequence than its place
	KindEpoch     = "epoch"     // the entry says another epoch than its place
	KindRegister  = "register"  // the entry is another register's
	KindID        = "id"        // the ULID is not above the one before
	KindSubject   = "subject"   // the message's subject or id is not the entry's
	// Of the proof.
	KindChain      = "chain"      // the prevhash is not the hash of the entry before
	KindActivation = "activation" // the epoch does not begin with a valid activation record
	KindHead       = "head"       // the entry is not the one that a known head names
	KindKey        = "key"        // the epoch's public key is not one of those expected
	KindCheckpoint = "checkpoint" // the signed note is not one of the chain before the entry
	// Of the books.
	KindImpossible = "impossible" // the fact cannot have followed
	KindCommand    = "command"    // one command was recorded twice
	KindTotals     = "totals"     // sums are not what the lines and payments add up to
	KindLines      = "lines"      // the document's lines are not those that were entered
	KindTaxes      = "taxes"      // the tax table is not what the lines' taxes add up to
	KindPayments   = "payments"   // the payments are not those that were taken, or do not settle the total
	KindPostings   = "postings"   // the postings do not balance, or not with the document
	KindReceipt    = "receipt"    // the receipt number is not the one after the last
	// Of what was derived.
	KindProjection = "projection" // the offline database differs from a replay
)

// findings collects. Follow-ups of one cause are told as one finding.
type findings struct {
	list []Finding
	runs map[string]*run
}

// run is a finding that the entries after it share.
type run struct {
	index int // in list
	first Finding
	last  uint64 // the sequence, or for checkpoints the ordinal
	count int
}

func (fs *findings) add(f Finding) {
	f.Want, f.Got = clip(f.Want), clip(f.Got)
	fs.list = append(fs.list, f)
}

// follow adds f, unless a finding of its kind was made at the place just before:
// then it is told with that one. place counts what can have such a finding from 1.
func (fs *findings) follow(place uint64, f Finding) {
	key := fmt.Sprint(f.Kind, f.Epoch)
	r := fs.runs[key]
	if r == nil || r.last+1 != place {
		if fs.runs == nil {
			fs.runs = map[string]*run{}
		}
		fs.runs[key] = &run{index: len(fs.list), first: f, last: place, count: 1}
		fs.add(f)
		return
	}
	r.last = place
	r.count++
	fs.list[r.index].Hint = fmt.Sprintf("%s; so for %d in a row, up to entry %d", r.first.Hint, r.count, f.Sequence)
}

// corrupt adds what a check of the events package said.
func (fs *findings) corrupt(epoch int, err *events.CorruptError) {
	fs.add(Finding{Epoch: epoch, Sequence: err.Sequence, Kind: err.Kind, Want: err.Want, Got: err.Got, Hint: err.Hint})
}

func sortFindings(list []Finding) {
	slices.SortStableFunc(list, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.Epoch, b.Epoch), cmp.Compare(a.Sequence, b.Sequence))
	})
}

// clip keeps what a damaged entry says from filling a screen.
func clip[T ~string | ~[]byte](s T) string {
	const limit = 200
	if len(s) <= limit {
		return string(s)
	}
	return string(s[:limit]) + "..."
}
