package register

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/posnode/posnode/embedded"
	"github.com/posnode/posnode/events"
	"github.com/posnode/posnode/internal/build"
	"github.com/posnode/posnode/internal/checkpoint"
	"github.com/posnode/posnode/ledger"
)

const (
	// announceEvery is how often head office is asked how it stands to the journal.
	announceEvery = 3 * time.Second
	// announceAfter is how long after the last announcement the next one goes out at the earliest, where the
	// journal has an entry that others wait for.
	announceAfter = time.Second
	// announceWithin is how long it may take to answer.
	announceWithin = 10 * time.Second
	// repairWithin is how long one round of sending entries once more may take.
	repairWithin = time.Minute
	// repairBatch is how many entries are sent at a time, repairBytes their most bytes.
	repairBatch = 200
	repairBytes = 8 << 20
)

// witness is what the register keeps of head office's word on its journal.
type witness struct {
	instance string // of this process

	mu       sync.Mutex
	kept     kept
	at       time.Time // of the last answer
	findings []string  // that head office has against this register, as of the last answer
}

// kept is what mark.json holds: the register's side of head office's word.
type kept struct {
	Key    string         `json:"key"`  // head office's public key: that of the last activation, or else the first that came
	Mark   string         `json:"mark"` // the last signed checkpoint that came
	Frozen *events.Freeze `json:"frozen,omitempty"`
	Epoch  int            `json:"epoch"` // that Frozen is about
	// Uploaded is up to where the wrong branch of the frozen epoch has been sent.
	Uploaded uint64 `json:"uploaded,omitempty"`
}

func markPath(dir string) string { return filepath.Join(dir, "mark.json") }

// loadWitness reads what head office said last, and stops selling where that says that the epoch is over.
func (r *Register) loadWitness(ctx context.Context) error {
	r.witness.instance = ulid.Make().String()
	raw, err := os.ReadFile(markPath(r.cfg.Dir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	var k kept
	if err == nil {
		err = json.Unmarshal(raw, &k)
	}
	if err == nil {
		_, err = k.head(r.cfg.Register)
	}
	if err != nil {
		// Head office says it again at the next contact.
		return r.setAside(markPath(r.cfg.Dir), err)
	}
	r.witness.kept = k
	if k := r.witness.kept; k.Frozen != nil && k.Epoch == r.identity.Epoch {
		r.freeze(*k.Frozen, r.state.Head.Sequence)
	}
	return r.compare(ctx, r.witness.kept)
}

// Frozen says whether a damage is an epoch that is over because of what head office knows
// of it: operation 707 begins the next one.
func Frozen(damage *events.CorruptError) bool {
	return damage != nil && slices.Contains([]string{events.FrozenRolledBack, events.FrozenForked, events.FrozenCloned}, damage.Kind)
}

// freeze stops selling in this epoch.
func (r *Register) freeze(f events.Freeze, sequence uint64) {
	frozen := &events.CorruptError{
		Sequence: sequence, Kind: f.Kind, Want: "the journal that head office has verified", Got: f.Why,
		Hint: "head office keeps both histories; activate the register anew (operation 707)",
	}
	if before := r.Damage(); before != nil && before.Kind == "truncated" {
		r.damage.Store(frozen) // now it is known what became of the end, and there is a way out
		return
	}
	r.noteDamage(frozen)
}

// damaged is the refusal of a register that sells no more.
func damaged(damage *events.CorruptError) *ledger.Refusal {
	if Frozen(damage) {
		return &ledger.Refusal{
			Code: "register_frozen", Why: "Head office knows another history of this register, so that it sells no more: " + damage.Got,
			Instead: "Activate the register anew (operation 707), and sell at another register.",
		}
	}
	if damage.Sequence == 0 {
		return &ledger.Refusal{
			Code: "journal_damaged", Why: fmt.Sprintf("This register has lost %s; it sells no more.", damage.Want),
			Instead: "Call support, sell at another register, or begin anew with an activation code (operation 707).",
		}
	}
	return &ledger.Refusal{
		Code: "journal_damaged", Why: fmt.Sprintf("The journal is damaged at entry %d; this register sells no more.", damage.Sequence),
		Instead: "Call support, sell at another register, or begin anew with an activation code (operation 707).",
	}
}

// compare holds the journal against head office's mark: one that goes further, or has
// another entry in the same place, says that this store was put back, or that another till wrote under this name.
func (r *Register) compare(ctx context.Context, k kept) error {
	epoch, journal := r.present()
	mark, err := k.head(r.cfg.Register)
	if err != nil || mark.Epoch != epoch || mark.Sequence == 0 {
		return nil // nothing to compare with: a mark of another epoch, or none
	}
	last, err := journal.Last(ctx)
	if err != nil {
		return err
	}
	if mark.Sequence > last {
		r.freeze(events.Freeze{Kind: events.FrozenRolledBack, Why: fmt.Sprintf("head office holds %d entries, and here are %d", mark.Sequence, last)}, last+1)
		return nil
	}
	m, err := journal.Get(ctx, mark.Sequence)
	if err != nil {
		if r.noteDamage(err) {
			return nil
		}
		return err
	}
	if got := events.Hash(m.Body); got != mark.Hash {
		r.freeze(events.Freeze{Kind: events.FrozenForked, Why: fmt.Sprintf("entry %d is %s at head office, and %s here", mark.Sequence, mark.Hash, got)}, mark.Sequence)
	}
	return nil
}

// head is what a kept mark says, once its signature is verified.
func (k kept) head(register events.Register) (head events.Head, err error) {
	if k.Mark == "" {
		return head, nil
	}
	c, err := checkpoint.Open(k.Mark, k.Key)
	if err != nil {
		return head, err
	}
	number, of := strings.CutPrefix(c.Origin, register.String()+"/")
	epoch, err := strconv.Atoi(number)
	if !of || err != nil || strconv.Itoa(epoch) != number {
		return head, fmt.Errorf("mark of %q: not this register's", c.Origin)
	}
	return events.Head{Epoch: epoch, Sequence: c.Size, Hash: events.Digest(c.Hash)}, nil
}

// present is the epoch and its journal, for others than the owner.
func (r *Register) present() (int, journal) {
	r.turning.RLock()
	defer r.turning.RUnlock()
	return r.identity.Epoch, r.journal
}

// announce asks head office again and again how it stands to the journal.
func (r *Register) announce(ctx context.Context) {
	failing := false
	for ctx.Err() == nil {
		if r.node.Link().Connected {
			err := r.announceOnce(ctx)
			if err != nil && r.WaitsForActivation() {
				err = nil // it may not ask for this yet
			}
			if err != nil && !failing && ctx.Err() == nil { // said once, not every three seconds
				r.cfg.Logger.Warn("head office did not acknowledge the journal", "error", err)
			}
			failing = err != nil
		}
		r.untilNextAnnouncement(ctx)
	}
}

// untilNextAnnouncement waits announceEvery, or announceAfter where the journal has a new entry that others
// wait for, such as a document: head office counts it once the register has signed a head at or behind it.
func (r *Register) untilNextAnnouncement(ctx context.Context) {
	regular := time.NewTimer(announceEvery)
	defer regular.Stop()
	early := time.NewTimer(announceAfter)
	defer early.Stop()
	select {
	case <-ctx.Done():
		return
	case <-early.C:
	}
	select {
	case <-ctx.Done():
	case <-regular.C:
	case <-r.concluded:
	}
}

func (r *Register) announceOnce(ctx context.Context) error {
	epoch, question, err := r.announcement(ctx)
	if err != nil {
		return err
	}
	asking, cancel := context.WithTimeout(ctx, announceWithin)
	defer cancel()
	answer, err := r.askHeadOffice(asking, "announce", question)
	if err != nil {
		return err
	}
	var ack events.Acknowledgement
	if err := json.Unmarshal(answer, &ack); err != nil {
		return fmt.Errorf("read head office's answer: %w", err)
	}
	if err := r.heed(ctx, epoch, ack); err != nil {
		return err
	}
	if err := r.handOver(ctx, epoch, ack.HandedOver); err != nil {
		return err
	}
	return r.repair(ctx, ack.Missing)
}

// handOver lets go of transactions that were suspended here and go on at another register.
func (r *Register) handOver(ctx context.Context, epoch int, all []events.SaleHandedOver) error {
	if len(all) == 0 {
		return nil
	}
	var err error
	// The owner runs this, and nobody else may append.
	looked := r.Look(ctx, func(s *ledger.State) {
		if r.Damage() != nil || r.projector.full() || r.failure.Load() != nil || s.Head.Epoch != epoch {
			return
		}
		for _, f := range all {
			if err == nil && s.HandsOver(&f) {
				_, err = r.append(context.WithoutCancel(ctx), &f, events.Circumstances{Shift: r.shift(&f)})
			}
		}
	})
	return errors.Join(looked, err)
}

// announcement is what to say now, and of which epoch.
func (r *Register) announcement(ctx context.Context) (int, []byte, error) {
	earlier := r.earlierEnds(ctx)
	r.witness.mu.Lock()
	defer r.witness.mu.Unlock()
	k := r.witness.kept
	a := events.Announcement{Head: r.View().Head, Time: r.cfg.Clock().In(r.cfg.Zone), Version: build.Version(), Instance: r.witness.instance, Reference: r.reference.Confirmed()}
	if earlier.epoch == a.Epoch {
		a.Earlier = earlier.ends
	}
	if mark, err := k.head(r.cfg.Register); err == nil && mark.Epoch == a.Epoch {
		a.Mark = k.Mark
	}
	if damage := r.Damage(); Frozen(damage) {
		a.Frozen = &events.Freeze{Kind: damage.Kind, Why: damage.Got}
	}
	var err error
	if a.Checkpoint, err = r.signedHead(a.Head); err != nil {
		return 0, nil, err
	}
	question, err := json.Marshal(a)
	return a.Epoch, question, err
}

// signedHead returns the register's signed checkpoint of a head, or "" where there is nothing to sign: an empty
// journal, or a head of an epoch that has just ended and whose key is gone.
func (r *Register) signedHead(head events.Head) (string, error) {
	r.turning.RLock()
	id := r.identity
	r.turning.RUnlock()
	if head.Sequence == 0 || head.Epoch != id.Epoch {
		return "", nil
	}
	return id.checkpoint(head)
}

// earlierEpochs are the ends of all epochs before one.
type earlierEpochs struct {
	epoch int
	ends  []events.Head
}

// earlierEnds returns where the epochs before the present one ended: by the chain of activation records, and by the
// journals that are stored here. They are read once in an epoch. What cannot be read is logged and left out.
func (r *Register) earlierEnds(ctx context.Context) earlierEpochs {
	epoch, _ := r.present()
	if r.earlier.epoch == epoch {
		return r.earlier
	}
	ends := map[int]events.Head{}
	for at := epoch; ; {
		previous, err := previousEnd(r.cfg.Dir, at)
		if err != nil {
			r.cfg.Logger.Warn("the activation record of an epoch cannot be read", "epoch", at, "error", err)
		}
		if previous == nil || previous.Epoch >= at {
			break
		}
		ends[previous.Epoch] = *previous
		at = previous.Epoch
	}
	stored, err := r.node.Earlier(ctx)
	if err != nil {
		r.cfg.Logger.Warn("the journals of earlier epochs cannot be read", "error", err)
	}
	for _, j := range stored {
		end, err := endOf(ctx, j)
		if err != nil {
			r.cfg.Logger.Warn("the end of an earlier epoch's journal cannot be read", "epoch", j.Epoch(), "error", err)
		}
		if end.Sequence > ends[j.Epoch()].Sequence {
			ends[j.Epoch()] = end
		}
	}
	r.earlier = earlierEpochs{epoch: epoch}
	for _, e := range slices.Sorted(maps.Keys(ends)) {
		if ends[e].Sequence > 0 {
			r.earlier.ends = append(r.earlier.ends, ends[e])
		}
	}
	return r.earlier
}

// previousEnd is the end of the epoch before one, as that one's activation record names it, nil where it names none.
func previousEnd(dir string, epoch int) (*events.Head, error) {
	raw, err := os.ReadFile(activationPath(dir, epoch))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var record events.ActivationRecord
	if err == nil {
		err = json.Unmarshal(raw, &record)
	}
	return record.Previous, err
}

// endOf is the end of a stored journal. Its hash is zero where the last entry cannot be read.
func endOf(ctx context.Context, j *embedded.Journal) (events.Head, error) {
	end := events.Head{Epoch: j.Epoch()}
	var err error
	if end.Sequence, err = j.Last(ctx); err != nil || end.Sequence == 0 {
		return end, err
	}
	m, err := j.Get(ctx, end.Sequence)
	if err == nil {
		end.Hash = events.Hash(m.Body)
	}
	return end, err
}

// heed takes in what head office answered to an announcement of an epoch.
func (r *Register) heed(ctx context.Context, said int, ack events.Acknowledgement) error {
	r.witness.mu.Lock()
	r.witness.at, r.witness.findings = r.cfg.Clock(), ack.Findings
	before := r.witness.kept
	k := before
	r.witness.mu.Unlock()
	if k.Key == "" {
		k.Key = ack.Key
	}
	if ack.Key != k.Key {
		return fmt.Errorf("head office signs with another key than before: %s instead of %s", ack.Key, k.Key)
	}
	next := k
	next.Mark = ack.Mark
	if _, err := next.head(r.cfg.Register); err != nil {
		return fmt.Errorf("read head office's mark: %w", err)
	}
	// On disk before it counts: a register that dies here finds it at the next start.
	if err := r.compare(ctx, next); err != nil {
		return err
	}
	epoch, journal := r.present()
	if epoch != said {
		return nil // a new epoch has begun meanwhile: this answer is about the one before
	}
	if ack.Frozen != nil && r.Damage() == nil {
		r.freeze(*ack.Frozen, r.View().Head.Sequence)
	}
	if damage := r.Damage(); Frozen(damage) {
		if k.Frozen == nil || k.Epoch != epoch {
			// The mark that it had before is the last place where both histories are surely one.
			common, _ := before.head(r.cfg.Register)
			next.Uploaded = 0
			if common.Epoch == epoch && agrees(ctx, journal, common) {
				next.Uploaded = common.Sequence
			}
		}
		next.Frozen, next.Epoch = &events.Freeze{Kind: damage.Kind, Why: damage.Got}, epoch
	}
	return r.keep(before, next)
}

// agrees says whether a journal has an entry.
func agrees(ctx context.Context, j journal, head events.Head) bool {
	m, err := j.Get(ctx, head.Sequence)
	return err == nil && events.Hash(m.Body) == head.Hash
}

// keep replaces what is kept, on disk and then here.
func (r *Register) keep(before, next kept) error {
	if next.Key == before.Key && next.Mark == before.Mark && next.Epoch == before.Epoch && next.Uploaded == before.Uploaded {
		return nil
	}
	raw, err := json.Marshal(next)
	if err != nil {
		return err
	}
	r.witness.mu.Lock()
	defer r.witness.mu.Unlock()
	if r.witness.kept.Key != before.Key {
		return nil // another key counts since: what the former said is void
	}
	if err := embedded.WriteFileDurably(markPath(r.cfg.Dir), raw); err != nil {
		return fmt.Errorf("keep head office's mark: %w", err)
	}
	r.witness.kept = next
	return nil
}

// believe has the register go by this key of head office from here on. An activation takes a
// code, so who has it made anew says by that which head office is the true one. What another key signed is void.
func (r *Register) believe(key string) error {
	r.witness.mu.Lock()
	before := r.witness.kept
	r.witness.mu.Unlock()
	if key == "" || before.Key == key {
		return nil
	}
	return r.keep(before, kept{Key: key})
}

// repair sends what head office lacks, and what a frozen epoch holds that head office does not know.
func (r *Register) repair(ctx context.Context, missing []events.Range) error {
	ctx, cancel := context.WithTimeout(ctx, repairWithin)
	defer cancel()
	for _, want := range missing {
		if _, err := r.send(ctx, want); err != nil {
			return err
		}
	}
	r.witness.mu.Lock()
	k := r.witness.kept
	r.witness.mu.Unlock()
	last := r.View().Head.Sequence
	if epoch, _ := r.present(); k.Frozen == nil || k.Epoch != epoch || k.Uploaded >= last {
		return nil
	}
	// If we died here, the next round sends them again, and head office counts each once.
	sent, err := r.send(ctx, events.Range{Epoch: k.Epoch, From: k.Uploaded + 1, To: last})
	if err != nil {
		return err
	}
	next := k
	next.Uploaded = sent
	return r.keep(k, next)
}

// send publishes stored entries once more, exactly as they are, and returns the last
// one that was dealt with. What cannot be read here is passed over: it is missing here, too.
func (r *Register) send(ctx context.Context, want events.Range) (last uint64, err error) {
	j, err := r.node.Epoch(ctx, want.Epoch)
	if err != nil {
		return 0, fmt.Errorf("entries %s that head office lacks: %w", want, err)
	}
	var batch []events.Message
	bytes := 0
	flush := func() error {
		if len(batch) == 0 {
			return nil
		}
		err := r.node.Repair(ctx, want.Epoch, batch)
		batch, bytes = batch[:0], 0
		return err
	}
	for from := want.From; from <= want.To; {
		m, more, err := j.Next(ctx, from)
		if err != nil {
			return 0, err
		}
		if !more || m.Sequence > want.To {
			break
		}
		err = j.Read(ctx, m.Sequence, func(m events.Message) error {
			if m.Sequence > want.To {
				return errEnough
			}
			from = m.Sequence + 1
			batch = append(batch, m)
			if bytes += len(m.Body); len(batch) < repairBatch && bytes < repairBytes {
				return nil
			}
			return flush()
		})
		if corrupt, gap := errors.AsType[*events.CorruptError](err); gap {
			from, err = corrupt.Sequence+1, nil
		}
		if err != nil && !errors.Is(err, errEnough) {
			return 0, err
		}
		if errors.Is(err, errEnough) {
			break
		}
	}
	return want.To, flush()
}
