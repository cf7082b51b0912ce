package register

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/posnode/posnode/embedded"
	"github.com/posnode/posnode/events"
	"github.com/posnode/posnode/ledger"
	"github.com/posnode/posnode/projections"
)

// Config says which register this is and where it lives.
type Config struct {
	Dir      string // data directory, this register's alone
	Register events.Register
	HQ       string // leaf URL of HQ; "" for a register that stands alone
	CA       string // file with the authority of HQ's certificate, for "tls://"; "": the system's
	Creds    string // credentials file from HQ, of a register that is let in without an activation; ""
	// Bootstrap is the credentials file that came with an activation code: it can ask for the activation and nothing else.
	Bootstrap string
	// AllowPlaintext lets the link go to another machine without TLS.
	AllowPlaintext bool
	Listen         string // loopback address for NATS clients that read along; "" for none
	MaxBytes       int64  // the journal's share of the disk; 0 for the node's default
	// Reconnect is how long the register stays offline before it tries HQ again, at the beginning of a transaction.
	Reconnect time.Duration
	Zone      *time.Location // of the store: the business date is the date there
	Clock     func() time.Time
	// Terminal is the card terminal; nil for a simulated one whose memory is in Dir.
	Terminal Terminal
	Logger   *slog.Logger
}

// journal is what the register needs of the node's journal.
type journal interface {
	ledger.Log
	// Get is one entry; a missing one is a *[events.CorruptError].
	Get(ctx context.Context, sequence uint64) (events.Message, error)
}

// Register is one running till.
type Register struct {
	cfg       Config
	turning   sync.RWMutex // held for writing by the owner while it turns to a new epoch
	identity  *identity
	node      *embedded.RegisterNode
	journal   journal // of the present epoch
	offline   *projections.DB
	reference *projections.Reference
	copying   copying // of reference data

	// The owner's alone, once it runs.
	state        *ledger.State
	ids          ids
	begun        bool            // the mode in which the register starts is decided
	openToOthers string          // what other accounts may do with the data directory, at the start
	sinceShot    int             // entries since the last snapshot
	untold       ledger.Untold   // PINs of which no entry tells
	misses       int             // numbers that nobody has, of which no entry tells
	unknown      map[string]bool // ids of appends that were given up and may still be stored

	opened  time.Time
	contact contact       // with head office
	witness witness       // head office's word on the journal
	earlier earlierEpochs // read by the announcing goroutine alone
	// bootstrapKey is head office's public key as the bootstrap file names it; "" for none.
	bootstrapKey string
	distrusted   atomic.Pointer[distrust] // nil where the last answer was head office's
	// ask puts a question to a service of head office: askHeadOffice, but in tests.
	ask func(ctx context.Context, service string, question []byte) ([]byte, error)
	// linked is what the owner goes by, whether there is a connection to head office: the node's [embedded.RegisterNode.Link].
	linked func() bool

	concluded chan struct{} // holds one value where the next announcement is not to wait for its time
	pins      *pinGate
	unlinked  bool // there are no credentials by which it can link to its head office
	failure   atomic.Pointer[StorageFailure]
	reopened  chan struct{} // the store was opened again after a failure

	commands  chan request
	looks     chan func(*ledger.State)
	projector projector
	damage    atomic.Pointer[events.CorruptError] // set once, never cleared: the register sells no more
	view      atomic.Pointer[View]
	watchers  watchers
	stop      context.CancelFunc
	running   context.Context // ends with Close: what may take long gives up then
	wait      sync.WaitGroup
	close     func() error
}

// Open brings a register up, or says why it cannot. A register whose journal is
// damaged comes up all the same: see [Register.Damage].
//
// Every step can be repeated. If we died anywhere in here, the next start does
// the same again; only the activation entry is new on disk, once.
func Open(ctx context.Context, cfg Config) (*Register, error) {
	r := &Register{cfg: cfg, pins: newPINGate(), commands: make(chan request), looks: make(chan func(*ledger.State)), reopened: make(chan struct{}), concluded: make(chan struct{}, 1)}
	r.close = sync.OnceValue(r.shutdown)
	if err := r.open(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("open register %s: %w", cfg.Register, err), r.Close())
	}
	return r, nil
}

func (r *Register) open(ctx context.Context) (err error) {
	if err := os.MkdirAll(r.cfg.Dir, 0o700); err != nil {
		return err
	}
	if r.openToOthers, err = embedded.OpenToOthers(r.cfg.Dir); err != nil {
		return err
	}
	if r.openToOthers != "" {
		r.cfg.Logger.Warn(r.openToOthers)
	}
	if r.cfg.Terminal == nil {
		r.cfg.Terminal = NewSimulatedTerminal(filepath.Join(r.cfg.Dir, "terminal.json"))
	}
	var lost error
	if r.identity, lost, err = loadIdentity(r.cfg.Dir, r.cfg.Register, r.cfg.Clock(), r.setAside); err != nil {
		return err
	}
	creds, err := r.findCredentials()
	if err != nil {
		return err
	}
	r.node, err = embedded.StartRegister(ctx, embedded.RegisterConfig{
		Dir: r.cfg.Dir, Register: r.cfg.Register, Epoch: r.identity.Epoch, MaxBytes: r.cfg.MaxBytes,
		HQ: r.cfg.HQ, AllowPlaintext: r.cfg.AllowPlaintext, CA: r.cfg.CA, Creds: creds, Listen: r.cfg.Listen, Logger: r.cfg.Logger,
		Made: madeEpochs(r.cfg.Dir, r.identity.Epoch),
	})
	if err != nil {
		return err
	}
	for _, fault := range r.node.Faults() {
		r.cfg.Logger.Error("a journal of an earlier epoch is not as it was left", "epoch", fault.Epoch, "error", fault.What)
	}
	r.journal, r.ask, r.opened = r.node.Journal(), r.askHeadOffice, time.Now()
	if err := r.restoreRecord(ctx); err != nil {
		return err
	}
	if r.identity.signer == nil {
		r.noteDamage(&events.CorruptError{
			Kind: "identity", Want: "the key that signs for this register", Got: lost.Error(), Hint: "activate the register anew (operation 707)",
		})
	}
	r.linked = func() bool { return r.node.Link().Connected }
	if err := r.openReference(ctx); err != nil {
		return err
	}
	if r.offline, err = projections.Open(filepath.Join(r.cfg.Dir, "offline.db")); err != nil {
		return err
	}
	if err := r.fold(ctx); err != nil && !r.noteDamage(err) {
		return err
	}
	r.untold = ledger.NewUntold(r.state)
	if err := r.loadWitness(ctx); err != nil {
		return err
	}
	if err := r.learnKeys(creds); err != nil {
		return err
	}
	if err := r.bringUpOffline(ctx); err != nil && !r.noteDamage(err) {
		return err
	}
	r.publish()
	return r.run(ctx)
}

// fold reads the newest snapshot and the journal's tail after it.
func (r *Register) fold(ctx context.Context) error {
	r.state = ledger.NewState(r.cfg.Register, r.identity.Epoch, events.Hash(r.identity.activation))
	shot, err := readSnapshot(r.cfg.Dir)
	if err != nil {
		return err
	}
	if err := r.checkActivation(ctx); err != nil {
		return err
	}
	if shot != nil && shot.Register == r.cfg.Register && shot.Head.Epoch == r.identity.Epoch {
		if err := checkHead(ctx, r.journal, shot.Head, "the last snapshot"); err != nil {
			return err
		}
		r.state = shot
	}
	// A snapshot can be a long way back. The offline database follows the journal
	// closely and never runs ahead of it: where it knows of more, the end was lost, as when a
	// flipped bit and a crash had the server cut off what stood behind the bit.
	at, err := r.offline.Position(ctx)
	if err != nil {
		return err
	}
	if at.Epoch == r.identity.Epoch {
		if err := checkLength(ctx, r.journal, at, "the offline database"); err != nil {
			return err
		}
	}
	err = r.journal.Read(ctx, r.state.Head.Sequence+1, func(m events.Message) error {
		entry, err := decode(m)
		if err != nil {
			return err
		}
		return r.state.Apply(entry)
	})
	if r.state.LastID != "" {
		r.ids.last = ulid.MustParseStrict(r.state.LastID)
	}
	return err
}

// checkActivation compares the activation record with the one that the journal begins with: a start
// from a snapshot does not read that entry.
func (r *Register) checkActivation(ctx context.Context) error {
	last, err := r.journal.Last(ctx)
	if err != nil || last == 0 {
		return err
	}
	m, err := r.journal.Get(ctx, 1)
	if err != nil {
		return err
	}
	entry, err := decode(m)
	if err != nil {
		return err
	}
	if f, ok := entry.Fact.(*events.RegisterActivated); !ok || f.Record != string(r.identity.activation) {
		return &events.CorruptError{
			Sequence: 1, Kind: "activation", Want: "the record in " + filepath.Base(activationPath(r.cfg.Dir, r.identity.Epoch)), Got: "another one",
			Hint: "the file or the journal was altered; put the file back from a copy, or activate the register anew (operation 707)",
		}
	}
	return nil
}

// checkLength says whether a journal is as long as something else knows it to be.
func checkLength(ctx context.Context, j journal, head events.Head, witness string) error {
	last, err := j.Last(ctx)
	if err != nil || last >= head.Sequence {
		return err
	}
	return &events.CorruptError{
		Sequence: last + 1, Kind: "truncated",
		Want: fmt.Sprintf("%d entries, as %s knows", head.Sequence, witness), Got: fmt.Sprintf("%d", last),
		Hint: "the end of the journal was lost: the data directory was put back from a copy, or its files were damaged",
	}
}

// checkHead compares a journal with what something else knows of it.
func checkHead(ctx context.Context, j journal, head events.Head, witness string) error {
	if err := checkLength(ctx, j, head, witness); err != nil {
		return err
	}
	if head.Sequence == 0 {
		return nil
	}
	m, err := j.Get(ctx, head.Sequence)
	if err != nil {
		return err
	}
	if got := events.Hash(m.Body); got != head.Hash {
		return &events.CorruptError{Sequence: head.Sequence, Kind: "altered", Want: head.Hash.String() + ", as " + witness + " knows", Got: got.String()}
	}
	return nil
}

// decode reads a stored message and says where it is when it cannot.
func decode(m events.Message) (*events.Entry, error) {
	entry, err := events.Decode(m.Body)
	if err != nil {
		return nil, &events.CorruptError{Sequence: m.Sequence, Kind: "undecodable", Want: "an entry", Got: err.Error()}
	}
	return entry, nil
}

// noteDamage keeps err as the register's damage if it says that stored bytes are wrong.
func (r *Register) noteDamage(err error) bool {
	corrupt, ok := errors.AsType[*events.CorruptError](err)
	if ok {
		// Head office says it again with every announcement; who reads the log wants it once.
		if r.damage.CompareAndSwap(nil, corrupt) {
			r.cfg.Logger.Error("journal is damaged, selling has stopped", "error", corrupt)
		}
	}
	return ok
}

// Damage says where the journal is damaged, or nil. A damaged register refuses every operation.
func (r *Register) Damage() *events.CorruptError { return r.damage.Load() }

// run starts what goes on until Close. A new epoch gets its first entry here, unless head office has to let the register in first.
func (r *Register) run(open context.Context) error {
	ctx, stop := context.WithCancel(context.Background())
	r.stop, r.running = stop, ctx
	r.projector.start(r, r.state.Head)
	if r.Damage() == nil && !r.unborn() {
		if err := r.beginJournal(open); err != nil {
			r.projector.close()
			return err
		}
	}
	r.wait.Go(func() { r.own(ctx) })
	r.wait.Go(func() { r.checkAgain(ctx) })
	r.wait.Go(func() { r.announce(ctx) })
	r.wait.Go(func() { r.copyReference(ctx) })
	return nil
}

// Close lets the operation in progress end, and closes what Open opened.
func (r *Register) Close() error { return r.close() }

func (r *Register) shutdown() error {
	var errs []error
	if r.stop != nil {
		r.stop()
		r.wait.Wait()
		if r.Damage() == nil {
			errs = append(errs, r.writeSnapshot())
		}
	}
	if r.offline != nil {
		errs = append(errs, r.offline.Close())
	}
	if r.reference != nil {
		errs = append(errs, r.reference.Close())
	}
	if r.node != nil {
		errs = append(errs, r.node.Close())
	}
	return errors.Join(errs...)
}
