package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/posnode/posnode/events"
	"github.com/posnode/posnode/ledger"
	"github.com/posnode/posnode/projections"
	"github.com/posnode/posnode/register"
	"github.com/posnode/posnode/replay"
)

// auditedArg names a journal, with heads and keys of it that are known from elsewhere.
type auditedArg struct {
	journalArg
	Head  []knownHeads `sep:"none" placeholder:"[EPOCH/]SEQ:HASH|FILE" help:"An entry that the journal must have, or a file with the output of an earlier 'audit verify --json'. Only this and --hq-key show that the end was cut off, or rewritten with the register's own key. Repeatable."`
	Key   []string     `sep:"none" placeholder:"KEY" help:"The register's public key; another one in the journal is a finding. Repeatable."`
	HQKey string       `name:"hq-key" placeholder:"KEY" help:"Head office's public key: the journal must have what head office signed last, as mark.json in the data directory says."`
}

// verdict is the output of 'audit verify'.
type verdict struct {
	replay.Report
	End end `json:"end"`
	// Derived lists the faults of files that a register makes from the journal or keeps beside it.
	// They are no findings against the journal.
	Derived []replay.Finding `json:"derived"`
	Notes   []string         `json:"notes"` // about files that are not there, or not up to date
}

// end states which witness vouches for the end of the last epoch.
type end struct {
	Epoch    int    `json:"epoch"`
	Sequence uint64 `json:"sequence"` // of the last entry
	// Vouched is the last entry that a witness outside the directory vouches for, 0 for none.
	Vouched uint64 `json:"vouched"`
	By      string `json:"by,omitempty"` // the witness: one of the names below
	Signed  uint64 `json:"signed"`       // the last entry that the register has signed
}

// Names of the witnesses outside the directory.
const (
	byHQ      = "head office's signature"
	byAuditor = "a head that was given"
)

// witnesses holds the heads that the journal must have. For each head from outside the directory it
// holds the witness's name.
type witnesses struct {
	heads   []events.Head
	outside map[events.Head]string
}

func (w *witnesses) add(head events.Head, outside string) {
	w.heads = append(w.heads, head)
	if outside != "" {
		w.outside[head] = outside
	}
}

// verify verifies the journal and prints nothing.
func (c auditedArg) verify(ctx context.Context, j audited) (replay.Report, error) {
	v := verdict{}
	beside, err := c.check(ctx, j, &v)
	return v.Report, errors.Join(err, beside.close())
}

// verdict verifies the journal and compares it with the files that were derived from it.
func (c auditedArg) verdict(ctx context.Context, j audited) (v verdict, err error) {
	beside, err := c.check(ctx, j, &v)
	defer func() { err = errors.Join(err, beside.close()) }()
	if err != nil || len(v.Findings) > 0 {
		return v, err // nothing can be rebuilt from a damaged journal for a comparison
	}
	if beside.offline != nil {
		different, err := replay.Compare(ctx, j, beside.offline)
		if err != nil {
			return v, err
		}
		v.Derived = append(v.Derived, different...)
	}
	if beside.snapshot != nil {
		return v, compareSnapshot(ctx, j, beside.snapshot, &v)
	}
	return v, nil
}

// beside holds the files that were made from a journal and lie beside it. A field is nil if there
// is no such file to compare.
type beside struct {
	offline  *projections.DB
	snapshot *ledger.State
}

func (b beside) close() error {
	if b.offline == nil {
		return nil
	}
	return b.offline.Close()
}

// compareSnapshot compares the register's snapshot with the state that a replay of the entries up
// to it gives.
func compareSnapshot(ctx context.Context, j audited, shot *ledger.State, v *verdict) error {
	folded, err := replay.At(ctx, j, shot.Head.Epoch, shot.Head.Sequence)
	if err != nil {
		return err
	}
	want, err := json.Marshal(folded)
	if err != nil {
		return err
	}
	got, err := json.Marshal(shot)
	if err != nil {
		return err
	}
	if !bytes.Equal(want, got) {
		v.Derived = append(v.Derived, replay.Finding{
			Epoch: shot.Head.Epoch, Sequence: shot.Head.Sequence, Kind: replay.KindSnapshot,
			Want: "a state with hash " + events.Hash(want).String(), Got: events.Hash(got).String(), Hint: snapshotHint,
		})
	}
	return nil
}

const snapshotHint = "delete snapshot.json: the register then reads the journal from its beginning"

// check verifies the journal with every known head and key. It returns the files beside the
// journal.
func (c auditedArg) check(ctx context.Context, j audited, v *verdict) (b beside, err error) {
	v.Derived, v.Notes = []replay.Finding{}, []string{}
	known := witnesses{outside: map[events.Head]string{}}
	for _, given := range c.Head {
		for _, head := range given.list {
			known.add(head, byAuditor)
		}
	}
	if b.offline, err = j.offline(ctx, v); err != nil {
		return b, err
	}
	if b.offline != nil {
		position, err := b.offline.Position(ctx)
		if err != nil {
			return b, err
		}
		known.add(position, "")
	}
	if b.snapshot, err = j.snapshot(v); err != nil {
		return b, err
	}
	if b.snapshot != nil {
		known.add(b.snapshot.Head, "")
	}
	if err := c.mark(j, v, &known); err != nil {
		return b, err
	}
	v.Report, err = replay.Verify(ctx, j, replay.Options{Keys: c.Key, Heads: known.heads})
	for _, skipped := range j.skipped {
		v.Findings = append(v.Findings, replay.Finding{
			Kind: replay.KindFile, Want: "the files of a register", Got: skipped.Path + ": " + skipped.Why, Hint: "it was not read; no register makes it",
		})
	}
	v.End = v.end(known)
	return b, err
}

// end returns the best witness for the last epoch's entries among the known heads.
func (v *verdict) end(known witnesses) (e end) {
	n := len(v.Heads) - 1
	if n < 0 {
		return e
	}
	e = end{Epoch: v.Heads[n].Epoch, Sequence: v.Heads[n].Sequence, Signed: v.Signed[n].Sequence}
	for head, by := range known.outside {
		if head.Epoch == e.Epoch && head.Sequence > e.Vouched && head.Sequence <= e.Sequence {
			e.Vouched, e.By = head.Sequence, by
		}
	}
	return e
}

// mark adds the mark that head office signed, from the data directory, to the known heads.
func (c auditedArg) mark(j audited, v *verdict, known *witnesses) error {
	if c.HQKey == "" {
		return nil
	}
	if j.dir == "" {
		return hinted{errors.New("--hq-key: a bundle has no mark.json"), "give the data directory, or the head that head office knows with --head"}
	}
	head, err := register.ReadMark(j.dir, c.HQKey, j.register)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		v.Notes = append(v.Notes, "there is no mark.json: head office has not signed anything for this directory, or the file was taken away")
	case err != nil:
		v.Derived = append(v.Derived, replay.Finding{
			Kind: replay.KindMark, Want: "a mark of this register, signed by head office", Got: err.Error(),
			Hint: "ask head office which entry it has verified last, and give that with --head",
		})
	default:
		known.add(head, byHQ)
	}
	return nil
}

// offline opens the offline database beside the journal. It returns nil if there is none to
// compare.
func (j audited) offline(ctx context.Context, v *verdict) (*projections.DB, error) {
	if j.dir == "" {
		return nil, nil
	}
	db, err := projections.OpenReadOnly(ctx, filepath.Join(j.dir, "offline.db"))
	switch {
	case err == nil:
		return db, nil
	case errors.Is(err, fs.ErrNotExist):
		v.Notes = append(v.Notes, "there is no offline database; the register makes it at its next start")
	case errors.Is(err, projections.ErrEmpty):
		v.Notes = append(v.Notes, "the offline database is empty, as after a power cut in the first seconds; the register fills it at its next start")
	case errors.Is(err, projections.ErrVersion):
		v.Notes = append(v.Notes, "the offline database is of another version of posnode; the register makes it anew at its next start")
	case errors.Is(err, projections.ErrDamaged), errors.Is(err, projections.ErrNotFile):
		v.Derived = append(v.Derived, replay.Finding{Kind: replay.KindProjection, Want: "an offline database", Got: err.Error(), Hint: "delete the file, and it is rebuilt"})
	default:
		return nil, err
	}
	return nil, nil
}

// snapshot reads the register's snapshot beside the journal. It returns nil if there is none to
// compare.
func (j audited) snapshot(v *verdict) (*ledger.State, error) {
	if j.dir == "" {
		return nil, nil
	}
	shot, err := register.ReadSnapshot(j.dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil // a register that was never stopped has none
	case errors.Is(err, register.ErrSnapshotVersion):
		v.Notes = append(v.Notes, err.Error()+"; the register makes it anew")
		return nil, nil
	case errors.Is(err, register.ErrSnapshotDamaged):
		v.Derived = append(v.Derived, replay.Finding{Kind: replay.KindSnapshot, Want: "a snapshot with its digest", Got: err.Error(), Hint: snapshotHint})
		return nil, nil
	case err == nil && shot.Head.Sequence == 0:
		return nil, nil
	}
	return shot, err
}

// maxGiven is the largest report or certificate that is read, in bytes.
const maxGiven = 64 << 20

// readGiven reads a report or a certificate that the auditor was given. It waits for nobody to write it.
func readGiven(path string) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, maxGiven+1))
	if err == nil && len(raw) > maxGiven {
		err = fmt.Errorf("%s has more than %d bytes", path, maxGiven)
	}
	return raw, err
}

// failure returns the error for the command's exit code.
func (v verdict) failure() error {
	switch {
	case len(v.Findings) > 0:
		return errIntegrity
	case len(v.Derived) > 0:
		return errDerived
	}
	return nil
}

func (v verdict) print(w io.Writer, path string) error {
	fmt.Fprintf(w, "%s: register %s, %s\n", path, v.Register, plural(v.Entries, "entry"))
	for i, h := range v.Heads {
		fmt.Fprintf(w, "  epoch %d ends at entry %d, hash %s\n", h.Epoch, h.Sequence, h.Hash)
		if v.Keys[i] != "" {
			fmt.Fprintf(w, "  its public key is %s\n", v.Keys[i])
		}
	}
	for _, f := range v.Findings {
		fmt.Fprintf(w, "%v\n", f)
	}
	for _, f := range v.Derived {
		fmt.Fprintf(w, "beside the journal: %s: want %s, got %s (%s)\n", f.Kind, f.Want, f.Got, f.Hint)
	}
	for _, note := range v.Notes {
		fmt.Fprintf(w, "note: %s\n", note)
	}
	if n := len(v.Findings); n > 0 {
		_, err := fmt.Fprintf(w, "findings: %d\n", n)
		return err
	}
	if n := len(v.Derived); n > 0 {
		fmt.Fprintf(w, "nothing is wrong with the journal; files beside it: %d to look at\n", n)
	} else {
		fmt.Fprintln(w, "nothing is wrong with it")
	}
	return v.End.print(w)
}

// print prints how much of a sound journal is proven, and by which witness.
func (e end) print(w io.Writer) error {
	switch {
	case e.Sequence == 0:
		return nil
	case e.Vouched == e.Sequence:
		_, err := fmt.Fprintf(w, "that it ends at entry %d of epoch %d is vouched for by %s\n", e.Sequence, e.Epoch, e.By)
		return err
	case e.Signed > e.Vouched:
		fmt.Fprintf(w, "the register signed up to entry %d of epoch %d; %s unproven\n", e.Signed, e.Epoch, lastEntries(e.Sequence-e.Signed))
	}
	if e.Vouched > 0 {
		_, err := fmt.Fprintf(w, "%s vouches up to entry %d; nothing outside the directory vouches for what follows, or that nothing more followed\n", e.By, e.Vouched)
		return err
	}
	_, err := fmt.Fprintln(w, "nothing outside the directory vouches that the journal ends here: see --head and --hq-key")
	return err
}

func lastEntries(n uint64) string {
	if n == 1 {
		return "the last entry is"
	}
	return fmt.Sprintf("the last %d entries are", n)
}

// sayUnverified warns that the output of a command is not proven, if the journal has findings. It
// returns the error for the exit code.
func sayUnverified(w io.Writer, r replay.Report) error {
	if len(r.Findings) == 0 {
		return nil
	}
	fmt.Fprintf(w, "UNVERIFIED: the journal has %s, the first: %v\nUNVERIFIED: nothing printed here is proven; 'posnode audit verify' lists them all\n",
		plural(len(r.Findings), "finding"), r.Findings[0])
	return errIntegrity
}
