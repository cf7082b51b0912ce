package hq

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"sync"
	"time"

	"github.com/posnode/posnode/embedded"
	"github.com/posnode/posnode/events"
	"github.com/posnode/posnode/internal/checkpoint"
)

// Verification does not depend on the order in which entries come: each is held once, by
// register, epoch and sequence, whenever it arrives. Those behind a gap are chained among
// themselves, and join what is before when the gap is filled. Sums count what is held.

// verifier takes in the entries of one batch.
type verifier struct {
	ctx        context.Context
	tx         *sql.Tx
	journals   map[embedded.JournalName]*journal
	statements map[string]*sql.Stmt
	witness    string    // verifies what head office signs
	at         time.Time // when the last of them arrived
}

func (d *database) verifier(ctx context.Context, tx *sql.Tx) *verifier {
	return &verifier{ctx: ctx, tx: tx, witness: d.witness, journals: map[embedded.JournalName]*journal{}, statements: map[string]*sql.Stmt{}}
}

// journal is one journal as far as it is held.
type journal struct {
	name     embedded.JournalName
	id       int64
	runs     runs
	key      string // verifies its checkpoints; "" until its first entry is held
	capped   uint64 // the first entry that head office does not vouch for, 0 for none
	repeated int
	arrived  time.Time
	mode     modeSeen
	moved    bool // the runs are to be stored
	findings bool // there may be open ones
	strays   bool // there may be entries in places that others have
}

// modeSeen is the newest change of mode among the entries held, or how the journal began.
type modeSeen struct {
	sequence    uint64
	mode        events.Mode
	cause, when string
}

// effect is what an entry means for the books.
type effect struct {
	shift               events.ShiftID
	date                string // of the shift that it opens
	closed              bool   // it closes the shift
	currency            string
	digits              int // of its minor unit
	concluded           int
	sales, returns, tax events.Money
}

// maxDigits is the most that the minor unit of a currency has.
const maxDigits = 4

// effectOf is nil for nearly all entries.
func effectOf(e *events.Entry) *effect {
	switch f := e.Fact.(type) {
	case *events.ShiftOpened:
		return &effect{shift: f.Shift, date: f.BusinessDate}
	case *events.ShiftClosed:
		return &effect{shift: f.Shift, closed: true}
	case *events.SaleConcluded:
		return &effect{shift: e.Shift, currency: f.Terms.Currency, digits: max(0, min(f.Terms.Digits, maxDigits)), concluded: 1, sales: f.Sales, returns: f.Returns, tax: f.After.Tax}
	}
	return nil
}

// prepared is what can be found out about an entry without the database.
type prepared struct {
	received embedded.Received
	hash     events.Digest
	entry    *events.Entry
	err      error // why it is no entry
	unsigned error // why the key that was known does not vouch for its checkpoint
	key      string
}

// verify takes in a batch. It fails only where the database does.
func (v *verifier) verify(batch []embedded.Received) error {
	all, err := v.prepare(batch)
	if err != nil {
		return err
	}
	for i := range all {
		if err := v.take(&all[i]); err != nil {
			return err
		}
	}
	return v.store()
}

// prepare decodes and checks signatures on all cores.
func (v *verifier) prepare(batch []embedded.Received) ([]prepared, error) {
	all := make([]prepared, len(batch))
	for i, r := range batch {
		all[i].received = r
		if r.Journal == (embedded.JournalName{}) {
			continue
		}
		j, err := v.journal(r.Journal)
		if err != nil {
			return nil, err
		}
		all[i].key = j.key
	}
	workers := runtime.GOMAXPROCS(0)
	var wait sync.WaitGroup
	for w := range workers {
		wait.Go(func() {
			for i := w; i < len(all); i += workers {
				all[i].look()
			}
		})
	}
	wait.Wait()
	return all, nil
}

// look is what one core does of prepare.
func (p *prepared) look() {
	r := p.received
	if r.Journal == (embedded.JournalName{}) || r.Refused != "" || len(r.Message.Body) > events.MaxBody {
		return
	}
	p.hash = events.Hash(r.Message.Body)
	if p.entry, p.err = events.Decode(r.Message.Body); p.err == nil && p.key != "" {
		p.unsigned = checkSigned(p.entry, p.key)
	}
}

// unsignedBy is why a key does not vouch for the checkpoint of an entry. It is found out anew where the key came in the same batch.
func (p *prepared) unsignedBy(key string) error {
	if p.key != key {
		p.key, p.unsigned = key, checkSigned(p.entry, key)
	}
	return p.unsigned
}

// checkSigned says why key does not vouch for the checkpoint of e, nil where it does or there is none.
func checkSigned(e *events.Entry, key string) error {
	f, ok := e.Fact.(events.Checkpointed)
	if !ok {
		return nil
	}
	return checkNote(f.Sign().Checkpoint, key, e.Register, events.Head{Epoch: e.Head.Epoch, Sequence: e.Head.Sequence - 1, Hash: e.PrevHash})
}

// checkNote says why a signed note is not key's checkpoint of a head.
func checkNote(signed, key string, r events.Register, head events.Head) error {
	c, err := checkpoint.Open(signed, key)
	if err != nil {
		return err
	}
	if got := events.Digest(c.Hash); c.Origin != originOf(r, head.Epoch) || c.Size != head.Sequence || got != head.Hash {
		return fmt.Errorf("a checkpoint of %s at %d with %s", c.Origin, c.Size, got)
	}
	return nil
}

// originOf names a journal in checkpoints.
func originOf(r events.Register, epoch int) string { return r.String() + "/" + strconv.Itoa(epoch) }

// take holds one entry, or notes what is wrong with it.
func (v *verifier) take(p *prepared) error {
	r := p.received
	v.at = r.ArrivedAt
	if r.Journal == (embedded.JournalName{}) {
		got := r.Message.Subject
		if r.Refused != "" {
			got += ", and " + r.Refused
		}
		return v.find(r, KindOrigin, "an entry of a known journal", got)
	}
	j := v.journals[r.Journal]
	j.arrived = r.ArrivedAt
	if r.Refused != "" {
		return v.find(r, KindForged, "a message that the register's server wrote", r.Refused)
	}
	if len(r.Message.Body) > events.MaxBody {
		return v.find(r, KindOversized, fmt.Sprintf("at most %d bytes", events.MaxBody), fmt.Sprintf("%d bytes", len(r.Message.Body)))
	}
	sequence := r.Message.Sequence
	if j.runs.holds(sequence) {
		return v.again(j, p)
	}
	if p.err != nil {
		return v.find(r, KindUndecodable, "an entry", p.err.Error())
	}
	if e := p.entry; !p.belongs() {
		return v.find(r, KindForged, fmt.Sprintf("entry %d of %s", sequence, r.Journal), fmt.Sprintf("entry %d of %s-%d, %s", e.Head.Sequence, e.Register, e.Head.Epoch, p.hash))
	}
	if sequence == 1 {
		if taken, err := v.activate(j, p); err != nil || !taken {
			return err
		}
	}
	return v.hold(j, p)
}

// belongs says whether an entry is of the journal and the place in which it came.
func (p *prepared) belongs() bool {
	e, name := p.entry, p.received.Journal
	return e.Head.Sequence == p.received.Message.Sequence && e.Register == name.Register && e.Head.Epoch == name.Epoch
}

// again looks at an entry in a place that is taken. Transport is at least once: what came before does not count again.
// Another entry in the same place is a finding, whichever of the two came first.
func (v *verifier) again(j *journal, p *prepared) error {
	r := p.received
	j.repeated++
	var held []byte
	err := v.row(`SELECT hash FROM entries WHERE journal = ? AND sequence = ?`, j.id, r.Message.Sequence).Scan(&held)
	if err != nil {
		return fmt.Errorf("read entry %d of %s: %w", r.Message.Sequence, j.name, err)
	}
	if events.Digest(held) == p.hash {
		err := v.exec(`UPDATE unsaid SET shard = ?, shard_sequence = ? WHERE journal = ? AND sequence = ?`, r.Shard, r.ShardSequence, j.id, r.Message.Sequence)
		return errors.Join(err, v.foundAgain(j, r))
	}
	follows, err := v.follows(j, p)
	if err != nil {
		return err
	}
	if follows {
		return v.displace(j, p, events.Digest(held))
	}
	return v.strayed(j, p, events.Digest(held))
}

// strayed takes in an entry in a place that another one has. Of what is no entry nothing can follow.
func (v *verifier) strayed(j *journal, p *prepared, held events.Digest) error {
	if p.err != nil || !p.belongs() {
		return v.find(p.received, KindFork, held.String(), p.hash.String())
	}
	return v.stray(j, p.received, p.hash, p.entry.PrevHash)
}

// follows says whether an entry goes on from what is verified, in the first place that is not. Where that place is taken, the
// entry in it does not follow, or is not signed: it can never be verified, and everything behind would wait for ever.
func (v *verifier) follows(j *journal, p *prepared) (bool, error) {
	sequence := p.received.Message.Sequence
	if sequence != j.vouched()+1 || p.err != nil || !p.belongs() {
		return false, nil
	}
	if sequence == 1 {
		record, wrong := readActivation(p)
		if wrong != nil {
			return false, nil
		}
		known, err := v.knownKey(j, record.Key)
		return known == record.Key, err
	}
	head, err := v.verified(j)
	return p.entry.PrevHash == head.Hash && p.unsignedBy(j.key) == nil, err
}

// displace holds an entry in the place of one that cannot be verified. That one's bytes stay in the streams, and it
// stays a finding. In the books it has only waited.
func (v *verifier) displace(j *journal, p *prepared, held events.Digest) error {
	r, sequence, register := p.received, p.received.Message.Sequence, j.name.Register.String()
	for _, table := range []string{"entries", "waiting", "unchecked", "unsaid"} {
		if err := v.exec(`DELETE FROM `+table+` WHERE journal = ? AND sequence = ?`, j.id, sequence); err != nil {
			return err
		}
	}
	prev := p.entry.PrevHash
	if at := j.runs[j.runs.at(sequence)]; at.first == sequence {
		prev = at.prev
	}
	j.runs.drop(sequence, p.entry.PrevHash, held)
	// What does not follow from the one that is held now is found again.
	err := v.exec(`UPDATE findings SET resolved = ?1, how = 'another entry took the place' WHERE register = ?2 AND epoch = ?3 AND resolved = ''
		AND sequence = ?4 AND kind IN ('signature', 'key')`,
		stamp(r.ArrivedAt), register, j.name.Epoch, sequence)
	if err != nil {
		return err
	}
	if j.capped == sequence {
		if err := v.capAgain(j); err != nil {
			return err
		}
	}
	if sequence == 1 {
		if taken, err := v.activate(j, p); err != nil || !taken {
			return err
		}
	}
	r.Shard, r.ShardSequence = "", 0 // where the one is that was held, nobody has kept
	return errors.Join(v.hold(j, p), v.stray(j, r, held, prev), v.foundAgain(j, p.received))
}

// capAgain finds out anew which is the first entry that head office does not vouch for.
func (v *verifier) capAgain(j *journal) error {
	return v.row(`SELECT coalesce(min(sequence), 0) FROM findings WHERE register = ? AND epoch = ? AND kind IN ('signature', 'key') AND resolved = ''`,
		j.name.Register.String(), j.name.Epoch).Scan(&j.capped)
}

// foundAgain says of an entry that head office had lost that it is there again.
func (v *verifier) foundAgain(j *journal, r embedded.Received) error {
	result, err := v.run(`DELETE FROM lost WHERE journal = ? AND sequence = ?`, j.id, r.Message.Sequence)
	if err != nil {
		return err
	}
	if n, err := result.RowsAffected(); err != nil || n == 0 {
		return err
	}
	return resolveLost(v.ctx, v.tx, j.name, j.id, r.ArrivedAt)
}

// resolveLost closes the findings of lost ranges of which nothing is missing any more.
func resolveLost(ctx context.Context, tx *sql.Tx, name embedded.JournalName, id int64, at time.Time) error {
	_, err := tx.ExecContext(ctx, `UPDATE findings SET resolved = ?, how = 'received again' WHERE register = ? AND epoch = ? AND kind = 'lost' AND resolved = ''
		AND NOT EXISTS (SELECT 1 FROM lost WHERE journal = ? AND lost.sequence BETWEEN findings.sequence AND findings.through)`,
		stamp(at), name.Register.String(), name.Epoch, id)
	return err
}

// wrong is what an entry has in place of what it should have.
type wrong struct{ kind, want, got string }

// readActivation reads the activation record that the first entry of an epoch must carry.
func readActivation(p *prepared) (record events.ActivationRecord, _ *wrong) {
	f, ok := p.entry.Fact.(*events.RegisterActivated)
	if !ok {
		return record, &wrong{KindForged, "register.activated", p.entry.Type}
	}
	if err := json.Unmarshal([]byte(f.Record), &record); err != nil {
		return record, &wrong{KindUndecodable, "an activation record", err.Error()}
	}
	if name := p.received.Journal; record.Register != name.Register || record.Epoch != name.Epoch {
		return record, &wrong{KindForged, "the activation of " + name.String(), fmt.Sprintf("that of %s-%d", record.Register, record.Epoch)}
	}
	if want := events.Hash([]byte(f.Record)); p.entry.PrevHash != want {
		return record, &wrong{KindChain, "prevhash " + want.String(), p.entry.PrevHash.String()}
	}
	return record, nil
}

// activate looks at the first entry of an epoch, which names the key of all others.
func (v *verifier) activate(j *journal, p *prepared) (taken bool, err error) {
	record, wrong := readActivation(p)
	if wrong != nil {
		return false, v.find(p.received, wrong.kind, wrong.want, wrong.got)
	}
	known, err := v.knownKey(j, record.Key)
	if err != nil {
		return false, err
	}
	j.key = record.Key
	switch known {
	case record.Key:
	case noKey:
		if err := v.waitForKey(j, p.received); err != nil {
			return false, err
		}
	default:
		if err := v.cap(j, p.received, 1, "the key "+known, record.Key); err != nil {
			return false, err
		}
		j.key = known // whatever the entry says: others are signed with it
	}
	if err := v.nameEarlier(j, record.Previous); err != nil {
		return false, err
	}
	return true, v.checkWaiting(j)
}

// noKey stands for the key of an epoch that head office does not know to have given, though it has given an earlier one.
const noKey = "of an activation"

// knownKey is the key that an epoch must have: the one that head office recorded when it let
// the register in, or has learned again. An epoch after the first that was given must have been given, too.
// Before that a key is believed.
func (v *verifier) knownKey(j *journal, said string) (key string, err error) {
	var first int
	err = v.row(`SELECT coalesce(min(epoch), 0), coalesce(max(CASE WHEN epoch = ?2 THEN key END), '') FROM keys WHERE register = ?1`,
		j.name.Register.String(), j.name.Epoch).Scan(&first, &key)
	switch {
	case key != "":
		return key, err
	case first > 0 && j.name.Epoch > first:
		return noKey, err
	}
	return said, err
}

// noteKey keeps the key that head office has recorded for an epoch of a register.
func noteKey(ctx context.Context, tx *sql.Tx, register string, epoch int, key string) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO keys VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET key = excluded.key`, register, epoch, key)
	return err
}

// checkWaiting checks the checkpoints that came before the key did.
func (v *verifier) checkWaiting(j *journal) error {
	rows, err := v.tx.QueryContext(v.ctx, `SELECT sequence, prev, note, shard, shard_sequence FROM unchecked WHERE journal = ? ORDER BY sequence`, j.id)
	if err != nil {
		return err
	}
	defer rows.Close()
	type waiting struct {
		embedded.Received
		prev []byte
		note string
	}
	var all []waiting
	for rows.Next() {
		w := waiting{Received: embedded.Received{Journal: j.name, ArrivedAt: j.arrived}}
		if err := rows.Scan(&w.Message.Sequence, &w.prev, &w.note, &w.Shard, &w.ShardSequence); err != nil {
			return err
		}
		all = append(all, w)
	}
	if err := errorsOf(rows); err != nil {
		return err
	}
	for _, w := range all {
		head := events.Head{Epoch: j.name.Epoch, Sequence: w.Message.Sequence - 1, Hash: events.Digest(w.prev)}
		if wrong := checkNote(w.note, j.key, j.name.Register, head); wrong != nil {
			if err := v.cap(j, w.Received, w.Message.Sequence, "a signature of "+j.key, wrong.Error()); err != nil {
				return err
			}
		}
	}
	err = v.exec(`DELETE FROM unchecked WHERE journal = ?`, j.id)
	return err
}

// cap says that head office does not vouch for an entry, nor for what follows it.
func (v *verifier) cap(j *journal, r embedded.Received, sequence uint64, want, got string) error {
	if j.capped == 0 || sequence < j.capped {
		j.capped = sequence
	}
	return v.find(r, KindSignature, want, got)
}

// hold keeps an entry that belongs where it is, and counts it.
func (v *verifier) hold(j *journal, p *prepared) error {
	e, r := p.entry, p.received
	sequence := e.Head.Sequence
	if err := v.exec(`INSERT INTO entries VALUES (?, ?, ?)`, j.id, sequence, p.hash[:]); err != nil {
		return fmt.Errorf("hold entry %d of %s: %w", sequence, j.name, err)
	}
	j.runs.add(sequence, e.PrevHash, p.hash)
	if j.strays {
		if err := v.unstray(j, r, p.hash); err != nil {
			return err
		}
	}
	j.moved = true
	if j.findings {
		for _, kind := range []string{KindUndecodable, KindOversized, KindForged} {
			if err := resolve(v.ctx, v.tx, j.name, sequence, kind, "received again", r.ArrivedAt); err != nil {
				return err
			}
		}
	}
	if err := v.checkpoint(j, p); err != nil {
		return err
	}
	return v.takeIn(j, r, e)
}

// takeIn brings what an entry says to the books, or has it wait until it is verified.
func (v *verifier) takeIn(j *journal, r embedded.Received, e *events.Entry) error {
	return v.sensibly(r, func() error {
		if amount := absurd(e); amount != 0 {
			return v.find(r, KindUndecodable, fmt.Sprintf("amounts of at most %d", maxSum), fmt.Sprint(amount))
		}
		if err := errors.Join(v.countNumbers(e), v.count(j, e)); err != nil {
			return err
		}
		if e.Head.Sequence <= j.vouched() {
			return v.say(r, e)
		}
		return v.exec(`INSERT INTO unsaid VALUES (?, ?, ?, ?)`, j.id, e.Head.Sequence, r.Shard, r.ShardSequence)
	})
}

// sensibly does something with what an entry says. An entry can be well formed and make no sense, as an
// order without a customer: what cannot be done with it is a finding, and stops nobody else's entries.
func (v *verifier) sensibly(r embedded.Received, do func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = v.find(r, KindUndecodable, "an entry that makes sense", fmt.Sprint(p))
		}
	}()
	return do()
}

// say takes in what only a verified entry can say: what others are told of it, what it moved, and what was sold in all.
func (v *verifier) say(r embedded.Received, e *events.Entry) error {
	return errors.Join(v.countSold(e), v.keep(r, e), settle(v.exec, e))
}

// maxSum is more than any document comes to: it takes thousands of the largest to leave an int64 in head office's books.
const maxSum = 1000 * events.MaxMoney

// absurd is an amount of a document that is beyond what one can come to, 0 where there is none: it would
// be in everybody's sums.
func absurd(e *events.Entry) events.Money {
	var f *events.SaleConcluded
	switch fact := e.Fact.(type) {
	case *events.SaleConcluded:
		f = fact
	case *events.OrderPlaced:
		f = &fact.SaleConcluded
	default:
		return 0
	}
	amounts := []events.Money{f.Sales, f.Returns, f.After.Tax}
	for i := range f.Lines {
		amounts = append(amounts, f.Lines[i].Net)
	}
	for i := range f.Payments {
		amounts = append(amounts, f.Payments[i].Amount)
	}
	for _, amount := range amounts {
		if amount > maxSum || amount < -maxSum {
			return amount
		}
	}
	return 0
}

// checkpoint checks the signature that an entry carries, or keeps it until its key is known.
func (v *verifier) checkpoint(j *journal, p *prepared) error {
	f, ok := p.entry.Fact.(events.Checkpointed)
	if !ok {
		return nil
	}
	if j.key == "" {
		err := v.exec(`INSERT OR REPLACE INTO unchecked VALUES (?, ?, ?, ?, ?, ?)`,
			j.id, p.entry.Head.Sequence, p.entry.PrevHash[:], f.Sign().Checkpoint, p.received.Shard, p.received.ShardSequence)
		return err
	}
	if unsigned := p.unsignedBy(j.key); unsigned != nil {
		return v.cap(j, p.received, p.entry.Head.Sequence, "a signature of "+j.key, unsigned.Error())
	}
	return nil
}

// count brings what an entry says to the books, or has it wait until it is verified.
func (v *verifier) count(j *journal, e *events.Entry) error {
	switch f, ok := e.Fact.(*events.ModeChanged); {
	case ok && e.Head.Sequence > j.mode.sequence:
		j.mode = modeSeen{e.Head.Sequence, f.To, f.Cause, e.Envelope.Time}
	case e.Head.Sequence == 1 && j.mode.sequence == 0: // until a change, a register is in the mode in which its journal began
		j.mode = modeSeen{1, e.Mode, "", e.Envelope.Time}
	}
	effect := effectOf(e)
	switch {
	case effect == nil:
		return nil
	case e.Head.Sequence <= j.vouched():
		return v.book(j, e.Head.Sequence, effect)
	}
	if effect.date != "" { // known by its name, so that sales behind a gap have a date
		if err := v.open(j, 0, effect); err != nil {
			return err
		}
	}
	err := v.exec(`INSERT INTO waiting VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`, j.id, e.Head.Sequence,
		effect.shift, effect.date, effect.closed, effect.currency, effect.digits, effect.concluded, effect.sales, effect.returns, effect.tax)
	return err
}

// vouched is the last entry that is verified, 0 for none.
func (j *journal) vouched() uint64 {
	if len(j.runs) == 0 || j.runs[0].first != 1 {
		return 0
	}
	if j.capped > 0 {
		return min(j.runs[0].last, j.capped-1)
	}
	return j.runs[0].last
}

// broken is the first entry that does not follow from those before it, or was not signed; 0 for none.
func (j *journal) broken() uint64 {
	for i := 1; i < len(j.runs); i++ {
		if first := j.runs[i].first; j.runs[i-1].last+1 == first && (j.capped == 0 || first < j.capped) {
			return first
		}
	}
	return j.capped
}

// book counts the effect of a verified entry.
func (v *verifier) book(j *journal, sequence uint64, e *effect) (err error) {
	switch {
	case e.date != "":
		return v.open(j, sequence, e)
	case e.closed:
		err = v.exec(`UPDATE shifts SET closed = ? WHERE shift = ? AND register = ?`, sequence, e.shift, j.name.Register.String())
	default:
		err = v.exec(`INSERT INTO sales VALUES (?, ?, ?, ?, ?, ?, ?, ?)
			ON CONFLICT DO UPDATE SET digits = max(digits, excluded.digits), concluded = concluded + excluded.concluded, sales = sales + excluded.sales, returns = returns + excluded.returns, tax = tax + excluded.tax`,
			j.name.Register.String(), e.shift, e.currency, e.digits, e.concluded, e.sales, e.returns, e.tax)
	}
	return err
}

// open keeps a shift's date. What a verified entry says, sequence above 0, counts.
func (v *verifier) open(j *journal, sequence uint64, e *effect) error {
	err := v.exec(`INSERT INTO shifts VALUES (?, ?, ?, ?, ?, 0) ON CONFLICT DO UPDATE SET date = excluded.date, opened = excluded.opened
		WHERE opened = 0 AND excluded.opened > 0 AND register = excluded.register`, e.shift, j.name.Register.String(), j.name.Epoch, e.date, sequence)
	return err
}

// settle books what has waited and is verified now.
func (v *verifier) settle(j *journal) error {
	rows, err := v.tx.QueryContext(v.ctx, `SELECT sequence, shift, date, closed, currency, digits, concluded, sales, returns, tax FROM waiting WHERE journal = ? AND sequence <= ? ORDER BY sequence`, j.id, j.vouched())
	if err != nil {
		return err
	}
	defer rows.Close()
	type settled struct {
		sequence uint64
		effect
	}
	var all []settled
	for rows.Next() {
		var s settled
		if err := rows.Scan(&s.sequence, &s.shift, &s.date, &s.closed, &s.currency, &s.digits, &s.concluded, &s.sales, &s.returns, &s.tax); err != nil {
			return err
		}
		all = append(all, s)
	}
	if err := errorsOf(rows); err != nil || len(all) == 0 {
		return err
	}
	for _, s := range all {
		if err := v.book(j, s.sequence, &s.effect); err != nil {
			return err
		}
	}
	err = v.exec(`DELETE FROM waiting WHERE journal = ? AND sequence <= ?`, j.id, j.vouched())
	return err
}

// find notes what is wrong with an entry as it arrived.
func (v *verifier) find(r embedded.Received, kind, want, got string) error {
	if j := v.journals[r.Journal]; j != nil {
		j.findings = true
	}
	return note(v.ctx, v.tx, Finding{
		Register: r.Journal.Register.String(), Epoch: r.Journal.Epoch, Sequence: r.Message.Sequence, Kind: kind, Want: want, Got: got,
		Shard: r.Shard, At: r.ShardSequence, Found: stamp(r.ArrivedAt),
	})
}

// journal is what is held of a journal.
func (v *verifier) journal(name embedded.JournalName) (*journal, error) {
	if j := v.journals[name]; j != nil {
		return j, nil
	}
	err := v.exec(`INSERT INTO journals (register, epoch) VALUES (?, ?) ON CONFLICT DO NOTHING`, name.Register.String(), name.Epoch)
	if err != nil {
		return nil, fmt.Errorf("read what is held of %s: %w", name, err)
	}
	j, err := readJournal(v.ctx, v.tx, name)
	if err != nil {
		return nil, err
	}
	err = v.row(`SELECT EXISTS (SELECT 1 FROM findings WHERE register = ? AND epoch = ? AND resolved = ''), EXISTS (SELECT 1 FROM strays WHERE journal = ?)`, name.Register.String(), name.Epoch, j.id).Scan(&j.findings, &j.strays)
	if err != nil {
		return nil, err
	}
	v.journals[name] = j
	return j, nil
}

// querier is a transaction, or the database itself.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// readJournal reads what is held of a journal, nil where none of it ever came.
func readJournal(ctx context.Context, q querier, name embedded.JournalName) (*journal, error) {
	j := &journal{name: name}
	var arrived string
	err := q.QueryRowContext(ctx, `SELECT id, key, capped, repeated, arrived, mode, cause, mode_since, mode_sequence FROM journals WHERE register = ? AND epoch = ?`,
		name.Register.String(), name.Epoch).Scan(&j.id, &j.key, &j.capped, &j.repeated, &arrived, &j.mode.mode, &j.mode.cause, &j.mode.when, &j.mode.sequence)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read what is held of %s: %w", name, err)
	}
	j.arrived, _ = time.Parse(time.RFC3339Nano, arrived) // zero where nothing came
	rows, err := q.QueryContext(ctx, `SELECT first, last, prev, hash FROM runs WHERE journal = ? ORDER BY first`, j.id)
	if err != nil {
		return nil, fmt.Errorf("read what is held of %s: %w", name, err)
	}
	defer rows.Close()
	for rows.Next() {
		var r run
		var prev, hash []byte
		if err := rows.Scan(&r.first, &r.last, &prev, &hash); err != nil {
			return nil, err
		}
		r.prev, r.hash = events.Digest(prev), events.Digest(hash)
		j.runs = append(j.runs, r)
	}
	return j, errorsOf(rows)
}

// store keeps what the batch changed.
func (v *verifier) store() error {
	for _, j := range v.journals {
		if err := v.storeJournal(j); err != nil {
			return fmt.Errorf("store what is held of %s: %w", j.name, err)
		}
	}
	return v.learnFromChain()
}

// lastArrival is the time of the last entry received, "" before the first one.
func (j *journal) lastArrival() string {
	if j.arrived.IsZero() {
		return ""
	}
	return stamp(j.arrived)
}

func (v *verifier) storeJournal(j *journal) error {
	head, err := v.verified(j)
	if err != nil {
		return err
	}
	err = v.exec(`UPDATE journals SET key = ?, capped = ?, broken = ?, repeated = ?, arrived = ?, mode = ?, cause = ?, mode_since = ?, mode_sequence = ?, sequence = ?, hash = ?, reached = ? WHERE id = ?`,
		j.key, j.capped, j.broken(), j.repeated, j.lastArrival(), j.mode.mode, j.mode.cause, j.mode.when, j.mode.sequence, head.Sequence, head.Hash.String(), j.runs.reached(), j.id)
	if err != nil || !j.moved {
		return err
	}
	if err := v.settle(j); err != nil {
		return err
	}
	if err := v.exec(`DELETE FROM runs WHERE journal = ?`, j.id); err != nil {
		return err
	}
	for _, r := range j.runs {
		if err := v.exec(`INSERT INTO runs VALUES (?, ?, ?, ?, ?)`, j.id, r.first, r.last, r.prev[:], r.hash[:]); err != nil {
			return err
		}
	}
	if err := v.syncBranches(j); err != nil {
		return err
	}
	holes, err := v.compareEnds(j)
	if err != nil {
		return err
	}
	return syncGaps(v.ctx, v.tx, j.name, holes, v.at)
}

// verified is the end of what head office vouches for.
func (v *verifier) verified(j *journal) (events.Head, error) {
	head := events.Head{Epoch: j.name.Epoch, Sequence: j.vouched()}
	if head.Sequence == 0 {
		return head, nil
	}
	if head.Sequence == j.runs[0].last {
		head.Hash = j.runs[0].hash
		return head, nil
	}
	var hash []byte
	err := v.row(`SELECT hash FROM entries WHERE journal = ? AND sequence = ?`, j.id, head.Sequence).Scan(&hash)
	if err == nil {
		head.Hash = events.Digest(hash)
	}
	return head, err
}

// statement prepares a query once for the batch: parsing it costs more than running it.
func (v *verifier) statement(query string) (*sql.Stmt, error) {
	if s := v.statements[query]; s != nil {
		return s, nil
	}
	s, err := v.tx.PrepareContext(v.ctx, query)
	if err == nil {
		v.statements[query] = s
	}
	return s, err
}

func (v *verifier) exec(query string, args ...any) error {
	_, err := v.run(query, args...)
	return err
}

func (v *verifier) run(query string, args ...any) (sql.Result, error) {
	s, err := v.statement(query)
	if err != nil {
		return nil, err
	}
	return s.ExecContext(v.ctx, args...)
}

func (v *verifier) row(query string, args ...any) *sql.Row {
	return v.tx.QueryRowContext(v.ctx, query, args...)
}
