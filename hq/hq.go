package hq

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/posnode/posnode/embedded"
	"github.com/posnode/posnode/events"
	"github.com/posnode/posnode/projections"
)

// Config says where head office lives.
type Config struct {
	Dir        string // data directory, this node's alone
	Listen     string // for NATS clients with credentials; "" for none
	ListenLeaf string // for the registers' links
	Cert, Key  string // files of the certificate for both; "" for neither with TLS
	// AllowPlaintext lets other machines reach the listeners, or this one the cluster, without TLS.
	AllowPlaintext bool
	Cluster        Cluster
	Clock          func() time.Time
	Logger         *slog.Logger

	// For tests; else the constants.
	tailAfter time.Duration
	deaf      func() bool // that a reader which begins now hears nothing
	share     int64
}

// Cluster says which stock servers head office works on, in place of a server of its own.
type Cluster struct {
	URLs     []string // none: a server of its own
	Creds    string   // credentials file; "": signed by the keys in the data directory
	CA       string   // file with the authority of the servers' certificates; "": the system's
	Replicas int      // of every stream; 0: 3
}

// HQ is a running head office.
type HQ struct {
	cfg  Config
	node *embedded.HQNode
	db   *database
	own  own
	// reference is what head office says of products, people and the rest.
	reference *projections.Reference
	importing sync.Mutex // one at a time imports or catches up

	stop context.CancelFunc
	wait sync.WaitGroup
	// ending is closed with the context of everything that goes on until Close.
	ending <-chan struct{}
	// settled says that entries have moved what head office keeps.
	settled chan struct{}
	gave    chan struct{} // an epoch was given: its journal is to be received

	damage damage // of the databases

	mu    sync.Mutex
	heard map[events.Register]*contact
	// unheard are announcements that wait to be heard, nil where the last one is being heard just now.
	unheard   map[events.Register][]byte
	answering map[events.Register]bool      // whose announcement is being answered
	added     map[embedded.JournalName]bool // that are received
	marks     map[embedded.JournalName]signedMark
	read      map[string]bool // shards of which all that was there has been read
	whole     chan struct{}   // closed when that is so of all
	doubt     chan struct{}   // what is stored is to be looked at
	// repaired are the bytes that each register has sent once more, with what this instance has passed on since it last
	// read some; full are those who may send no more.
	repaired map[events.Register]int64
	full     map[events.Register]bool
	close    func() error
}

// Open brings head office up.
func Open(ctx context.Context, cfg Config) (*HQ, error) {
	if cfg.tailAfter == 0 {
		cfg.tailAfter = tailAfter
	}
	if cfg.share == 0 {
		cfg.share = share
	}
	h := &HQ{
		cfg: cfg, heard: map[events.Register]*contact{}, unheard: map[events.Register][]byte{}, answering: map[events.Register]bool{}, added: map[embedded.JournalName]bool{}, marks: map[embedded.JournalName]signedMark{}, read: map[string]bool{},
		repaired: map[events.Register]int64{}, full: map[events.Register]bool{},
		whole: make(chan struct{}), damage: damage{found: make(chan struct{})}, doubt: make(chan struct{}, 1), settled: make(chan struct{}, 1), gave: make(chan struct{}, 1),
	}
	h.close = sync.OnceValue(h.shutdown)
	if err := h.open(ctx); err != nil {
		if h.noteDamage(err) {
			err = h.Damage()
		}
		return nil, errors.Join(fmt.Errorf("open head office: %w", err), h.Close())
	}
	return h, nil
}

func (h *HQ) open(ctx context.Context) (err error) {
	if err := os.MkdirAll(h.cfg.Dir, 0o700); err != nil {
		return err
	}
	open, err := embedded.OpenToOthers(h.cfg.Dir)
	if err != nil {
		return err
	}
	if open != "" {
		h.cfg.Logger.Warn(open)
	}
	h.node, err = embedded.StartHQ(ctx, embedded.HQConfig{
		Dir: h.cfg.Dir, Listen: h.cfg.Listen, ListenLeaf: h.cfg.ListenLeaf, Cert: h.cfg.Cert, Key: h.cfg.Key, AllowPlaintext: h.cfg.AllowPlaintext, Logger: h.cfg.Logger,
		URLs: h.cfg.Cluster.URLs, Creds: h.cfg.Cluster.Creds, CA: h.cfg.Cluster.CA, Replicas: h.cfg.Cluster.Replicas,
	})
	if err != nil {
		return err
	}
	if h.db, err = openDatabase(filepath.Join(h.cfg.Dir, "hq.db"), h.cfg.Logger); err != nil {
		return err
	}
	if err := h.openOwn(ctx); err != nil {
		return err
	}
	if err := h.openReference(ctx); err != nil {
		return err
	}
	if err := h.checkFleet(ctx); err != nil {
		return err
	}
	ctx, h.stop = context.WithCancel(context.Background())
	h.ending = ctx.Done()
	if err := h.shutOutRevoked(ctx); err != nil { // what a death before left undone
		return err
	}
	h.wait.Go(func() { h.followOwn(ctx) })
	h.wait.Go(func() { h.followReference(ctx) })
	if err := h.answer("reference", h.answerReference); err != nil {
		return err
	}
	h.wait.Go(func() { h.watch(ctx) })
	h.wait.Go(func() { h.addGiven(ctx) })
	for _, shard := range h.streams() {
		if from, last, err := h.begin(ctx, shard); err != nil {
			return err
		} else if from >= last {
			h.noteLevel(shard)
		}
		h.wait.Go(func() { h.follow(ctx, shard) })
	}
	h.wait.Go(func() { h.checkStored(ctx) })
	h.wait.Go(func() { h.lookAfterBalances(ctx) })
	if err := h.node.Overhear("announce", func(r events.Register, payload []byte) { h.overhear(ctx, r, payload) }); err != nil {
		return err
	}
	if err := h.answer("announce", h.acknowledge); err != nil {
		return err
	}
	return h.serveOnceLevel(ctx)
}

// serveOnceLevel answers what registers ask once all that was stored at the start has been read. Before
// that head office would say of what it holds that there is no such thing, and let numbers and balances go out
// again. Until then another instance answers, or the registers work offline.
func (h *HQ) serveOnceLevel(ctx context.Context) error {
	select {
	case <-h.whole:
		return h.serve(ctx)
	default:
	}
	h.cfg.Logger.Info("the Retail Server answers when what is stored has been read")
	h.wait.Go(func() {
		h.keepOn(ctx, "starting the Retail Server", func() error {
			select {
			case <-h.whole:
			case <-ctx.Done():
				return ctx.Err()
			}
			if err := h.serve(ctx); err != nil {
				return err
			}
			h.cfg.Logger.Info("the Retail Server answers")
			<-ctx.Done()
			return ctx.Err()
		})
	})
	return nil
}

// answer has a service answer registers that are not shut out. A question that is no JSON is refused before anything else;
// only the greeting needs none.
func (h *HQ) answer(service string, answer embedded.Answerer) error {
	admitted := answer
	if service != "activate" {
		admitted = h.unlessShutOut(answer)
	}
	return h.node.Answer(service, h.signed(service, func(ctx context.Context, r events.Register, question []byte) ([]byte, error) {
		if !json.Valid(question) && (service != projections.HelloService || len(question) > 0) {
			return nil, errors.New("the question is empty or cannot be read")
		}
		return admitted(ctx, r, question)
	}))
}

// serve answers all that registers ask for their work.
func (h *HQ) serve(ctx context.Context) error {
	services := map[string]embedded.Answerer{
		projections.FindService: h.find, projections.HelloService: h.greet, "reserve": question(h.reserve), "confirm": question(h.confirm),
	}
	if h.node.HasKeys() { // else another instance has them, and answers
		services["activate"], services["inactivate"] = question(h.activate), question(h.inactivate)
	}
	for service, answer := range services {
		if err := h.answer(service, answer); err != nil {
			return err
		}
	}
	return h.node.TakeRepairs(func(r events.Register, bytes int64) (bool, error) { return h.takesRepair(ctx, r, bytes) })
}

// InitCluster writes what a cluster of stock nats-server needs to be head office's, see
// [embedded.InitCluster], and the key by which all instances of head office sign.
func InitCluster(dir string, servers []embedded.ClusterServer) error {
	if err := embedded.InitCluster(dir, servers); err != nil {
		return err
	}
	return new(own).openWitness(filepath.Join(dir, embedded.HQFolder))
}

// Enroll makes the credentials by which a register links to the head office whose
// data directory this is, running or not.
func Enroll(dir string, r events.Register) (creds []byte, err error) {
	if creds, err = embedded.Enroll(dir, r); err != nil {
		return nil, err
	}
	return withWitness(dir, creds)
}

// Expect has head office wait for a register that was enrolled: it shows it, and closes no period without it,
// also before it has ever linked.
func (h *HQ) Expect(ctx context.Context, r events.Register) error {
	return h.node.AddJournal(ctx, r, 1)
}

// EnrollReader makes the credentials by which a program may read the streams of the
// head office whose data directory this is, running or not, and do nothing else.
func EnrollReader(dir, name string) (creds []byte, err error) {
	return embedded.EnrollReader(dir, name)
}

// ClientURL is where readers connect to, "" when that is off.
func (h *HQ) ClientURL() string { return h.node.ClientURL() }

// streams are all that hold registers' entries.
func (h *HQ) streams() []string { return append(h.node.Shards(), embedded.Repairs) }

// level says whether all that was stored of a register's journals has been read since the start.
func (h *HQ) level(r events.Register) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.read[h.node.ShardOf(r)] && h.read[embedded.Repairs]
}

// Plaintext are sentences about each link and listener of head office that strangers on the
// network can read and that was allowed.
func (h *HQ) Plaintext() []string { return h.node.Plaintext() }

// LeafURL is where registers link to, "" where that is a cluster's matter.
func (h *HQ) LeafURL() string { return h.node.LeafURL() }

// Received yields every entry that head office holds and has read, once for each
// time that it is stored: for who wants to see the streams themselves.
func (h *HQ) Received(ctx context.Context, yield func(events.Message)) error {
	for _, shard := range h.streams() {
		last, err := h.db.position(ctx, shard)
		if err != nil {
			return err
		}
		err = h.node.Stored(ctx, shard, 1, last, func(r embedded.Received) error {
			yield(r.Message)
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// Close ends head office.
func (h *HQ) Close() error { return h.close() }

func (h *HQ) shutdown() error {
	var errs []error
	if h.stop != nil {
		h.stop()
		h.wait.Wait()
	}
	if h.node != nil {
		errs = append(errs, h.node.Close())
	}
	if h.db != nil {
		errs = append(errs, h.db.close())
	}
	if h.reference != nil {
		errs = append(errs, h.reference.Close())
	}
	if h.Damage() != nil {
		// What a damaged file says when it is closed does not matter any more.
		return h.setDamagedAside()
	}
	return errors.Join(errs...)
}

// follow reads one shard until ctx ends.
func (h *HQ) follow(ctx context.Context, shard string) {
	h.keepOn(ctx, "reading "+shard, func() error { return h.readShard(ctx, shard) })
}

// followOwn brings hq.db up to what other instances record, until ctx ends.
func (h *HQ) followOwn(ctx context.Context) {
	h.keepOn(ctx, "reading head office's own journal", func() error {
		return h.node.FollowOwn(ctx, func() {
			h.own.mu.Lock()
			defer h.own.mu.Unlock()
			if _, err := h.catchUp(ctx); err != nil && ctx.Err() == nil {
				h.cfg.Logger.Warn("head office's own journal could not be read", "error", err)
			}
		})
	})
}

// keepOn does work that only ends with ctx, again whenever it fails.
func (h *HQ) keepOn(ctx context.Context, what string, work func() error) {
	for ctx.Err() == nil {
		err := work()
		if ctx.Err() != nil {
			return
		}
		if h.noteDamage(err) {
			return
		}
		h.cfg.Logger.Warn("what never ends has stopped, and goes on", "what", what, "error", err)
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
	}
}

// Entries that arrive together are verified in one transaction: at most this many, within this time.
const (
	most      = 500
	gatherFor = 10 * time.Millisecond
)

// gather collects what arrives soon after first.
func gather(first embedded.Received, waiting <-chan embedded.Received) []embedded.Received {
	batch := append(make([]embedded.Received, 0, most), first)
	enough := time.After(gatherFor)
	for len(batch) < most {
		select {
		case r, open := <-waiting:
			if !open {
				return batch
			}
			batch = append(batch, r)
		case <-enough:
			return batch
		}
	}
	return batch
}

// noteLevel says that a shard has been read up to what it held when the reading began.
func (h *HQ) noteLevel(shard string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.read[shard] {
		return
	}
	if h.read[shard] = true; len(h.read) == len(h.streams()) {
		close(h.whole)
	}
}

// begin is where reading a shard goes on, and how far it goes now. A shard that is
// shorter than what was read of it has lost its end: reading goes on at its end, and what it lost is looked for.
func (h *HQ) begin(ctx context.Context, shard string) (from, last uint64, err error) {
	if from, err = h.db.position(ctx, shard); err != nil {
		return 0, 0, err
	}
	if last, err = h.node.Last(ctx, shard); err != nil || last >= from {
		return from, last, err
	}
	h.cfg.Logger.Warn("a stream of head office has lost its end", "shard", shard, "want", from, "got", last)
	if err := h.db.putBack(ctx, shard, last); err != nil {
		return 0, 0, err
	}
	select {
	case h.doubt <- struct{}{}:
	default:
	}
	return last, last, nil
}

// readShard verifies what a shard holds after the last position, and then what comes.
func (h *HQ) readShard(ctx context.Context, shard string) error {
	from, last, err := h.begin(ctx, shard)
	if err != nil {
		return err
	}
	// A reader that waits for the next message never learns that the last ones cannot be read: that which
	// is there is read to its end first. What was left out is asked for again as what never came.
	if err := h.readStored(ctx, shard, from, last); err != nil {
		return err
	}
	if err := h.db.sayVerified(ctx, h.node.Fetch); err != nil { // what a death left undone
		return err
	}
	h.noteLevel(shard)
	return h.readComing(ctx, shard, last)
}

// readStored verifies what can be read of a shard behind a position and up to another.
func (h *HQ) readStored(ctx context.Context, shard string, from, last uint64) error {
	batch := make([]embedded.Received, 0, most)
	err := h.node.Stored(ctx, shard, from+1, last, func(r embedded.Received) error {
		if batch = append(batch, r); len(batch) < most {
			return nil
		}
		err := h.apply(ctx, shard, batch)
		batch = batch[:0]
		return err
	})
	if err != nil || len(batch) == 0 {
		return err
	}
	return h.apply(ctx, shard, batch)
}

// standsStillAfter is how long nothing may come of what a shard holds, twice over, before its reader is made anew.
const standsStillAfter = 5 * time.Second

// readComing verifies what a shard receives behind a position, many entries in one transaction where many wait. It ends
// where the shard holds more and none of it comes, whatever the reason: a reader that waits for ever would stop verification.
func (h *HQ) readComing(ctx context.Context, shard string, from uint64) error {
	ctx, cancel := context.WithCancel(ctx)
	waiting := make(chan embedded.Received, most)
	var receiving error
	receive := h.node.Receive
	if h.cfg.deaf != nil && h.cfg.deaf() {
		receive = func(ctx context.Context, _ string, _ uint64, _ func(embedded.Received) error) error {
			<-ctx.Done()
			return ctx.Err()
		}
	}
	go func() {
		defer close(waiting)
		receiving = receive(ctx, shard, from+1, func(r embedded.Received) error {
			select {
			case waiting <- r:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
	}()
	defer func() {
		cancel()
		for range waiting { // until the receiver has ended
		}
	}()
	look := time.NewTicker(standsStillAfter)
	defer look.Stop()
	for behind := false; ; {
		select {
		case first, open := <-waiting:
			if !open {
				return receiving
			}
			batch := gather(first, waiting)
			if err := h.apply(ctx, shard, batch); err != nil {
				return err
			}
			from, behind = batch[len(batch)-1].ShardSequence, false
		case <-look.C:
			last, err := h.node.Last(ctx, shard)
			switch {
			case err != nil || last <= from:
				behind = false // or it cannot be asked now
			case behind:
				return fmt.Errorf("nothing comes of %s behind %d, and it holds %d", shard, from, last)
			default:
				behind = true
			}
		}
	}
}

// apply takes in what was read of a shard.
func (h *HQ) apply(ctx context.Context, shard string, batch []embedded.Received) error {
	// If we died before this commits, the next start reads the batch again; after it, it goes on behind it.
	if err := h.catchUpOwn(ctx); err != nil {
		return err
	}
	if err := h.db.apply(ctx, shard, batch); err != nil {
		return err
	}
	if shard == embedded.Repairs {
		h.mu.Lock()
		clear(h.repaired) // of what was passed on twice one is stored: from here on it is counted from what is
		h.mu.Unlock()
	}
	// If we died before this, what is verified now waits in hq.db to be taken in.
	if err := h.db.sayVerified(ctx, h.node.Fetch); err != nil {
		return err
	}
	h.moreSettled()
	return nil
}
