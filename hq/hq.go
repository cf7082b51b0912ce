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
)

// Config says where head office lives.
type Config struct {
	Dir        string // data directory, this node's alone
	Listen     string // for NATS clients with credentials; "" for none
	ListenLeaf string // for the registers' links
	Cert, Key  string // files of the certificate for the registers' links; "" for links without TLS
	Cluster    Cluster
	Clock      func() time.Time
	Logger     *slog.Logger
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

	reference reference

	stop context.CancelFunc
	wait sync.WaitGroup
	// ending is closed with the context of everything that goes on until Close.
	ending <-chan struct{}
	// settled says that entries have moved what head office keeps.
	settled chan struct{}

	mu    sync.Mutex
	heard map[embedded.JournalName]announcement
	close func() error
}

// announcement is the last one of a journal, and when HQ heard it.
type announcement struct {
	events.Announcement
	heard time.Time
}

// Open brings head office up.
func Open(ctx context.Context, cfg Config) (*HQ, error) {
	h := &HQ{cfg: cfg, heard: map[embedded.JournalName]announcement{}, settled: make(chan struct{}, 1)}
	h.close = sync.OnceValue(h.shutdown)
	if err := h.open(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("open head office: %w", err), h.Close())
	}
	return h, nil
}

func (h *HQ) open(ctx context.Context) (err error) {
	if err := os.MkdirAll(h.cfg.Dir, 0o700); err != nil {
		return err
	}
	h.node, err = embedded.StartHQ(ctx, embedded.HQConfig{
		Dir: h.cfg.Dir, Listen: h.cfg.Listen, ListenLeaf: h.cfg.ListenLeaf, Cert: h.cfg.Cert, Key: h.cfg.Key, Logger: h.cfg.Logger,
		URLs: h.cfg.Cluster.URLs, Creds: h.cfg.Cluster.Creds, CA: h.cfg.Cluster.CA, Replicas: h.cfg.Cluster.Replicas,
	})
	if err != nil {
		return err
	}
	if h.db, err = openDatabase(filepath.Join(h.cfg.Dir, "hq.db")); err != nil {
		return err
	}
	if err := h.openOwn(ctx); err != nil {
		return err
	}
	if err := h.openReferenceData(ctx); err != nil {
		return err
	}
	ctx, h.stop = context.WithCancel(context.Background())
	h.ending = ctx.Done()
	if err := errors.Join(h.openDevices(ctx), h.openBalances(ctx)); err != nil {
		return err
	}
	h.wait.Go(func() { h.followOwn(ctx) })
	h.wait.Go(func() { h.followReference(ctx) })
	if err := h.node.Answer("reference", h.answerReference); err != nil {
		return err
	}
	h.wait.Go(func() { h.watch(ctx) })
	for _, shard := range h.node.Shards() {
		h.wait.Go(func() { h.follow(ctx, shard) })
	}
	if err := h.answerRequests(); err != nil {
		return err
	}
	return h.node.Announced(func(r events.Register, payload []byte) { h.hear(ctx, r, payload) })
}

// hear notes what a register says of its journal, and begins to receive one that is new.
func (h *HQ) hear(ctx context.Context, r events.Register, payload []byte) {
	a := announcement{heard: h.cfg.Clock()}
	if err := json.Unmarshal(payload, &a.Announcement); err != nil || a.Epoch < 1 {
		h.cfg.Logger.Warn("announcement cannot be read", "register", r, "error", err)
		return
	}
	journal := embedded.JournalName{Register: r, Epoch: a.Epoch}
	h.mu.Lock()
	_, known := h.heard[journal]
	h.heard[journal] = a
	h.mu.Unlock()
	if known {
		return
	}
	if err := h.node.AddJournal(ctx, r, a.Epoch); err != nil && ctx.Err() == nil {
		h.cfg.Logger.Error("journal could not be added", "journal", journal, "error", err)
		h.mu.Lock()
		delete(h.heard, journal) // its next announcement tries again
		h.mu.Unlock()
	}
}

// InitCluster writes what a cluster of stock nats-server needs to be head office's: see [embedded.InitCluster].
func InitCluster(dir string, hosts []string) error {
	var servers []embedded.ClusterServer
	for _, host := range hosts {
		servers = append(servers, embedded.ClusterServer{Host: host})
	}
	return embedded.InitCluster(dir, servers)
}

// Enroll makes the credentials by which a register links to the head office whose
// data directory this is, running or not.
func Enroll(dir string, r events.Register) (creds []byte, err error) {
	return embedded.Enroll(dir, r)
}

// EnrollReader makes the credentials by which a program may read the streams of the
// head office whose data directory this is, running or not, and do nothing else.
func EnrollReader(dir, name string) (creds []byte, err error) {
	return embedded.EnrollReader(dir, name)
}

// ClientURL is where readers connect to, "" when that is off.
func (h *HQ) ClientURL() string { return h.node.ClientURL() }

// LeafURL is where registers link to, "" where that is a cluster's matter.
func (h *HQ) LeafURL() string { return h.node.LeafURL() }

// Received yields every entry that head office holds and has read, once for each
// time that it is stored: for who wants to see the streams themselves.
func (h *HQ) Received(ctx context.Context, yield func(events.Message)) error {
	for _, shard := range h.node.Shards() {
		last, err := h.db.position(ctx, shard)
		if err != nil {
			return err
		}
		if last == 0 {
			continue
		}
		err = h.node.Receive(ctx, shard, 1, func(r embedded.Received) error {
			yield(r.Message)
			if r.ShardSequence >= last {
				return errEnough
			}
			return nil
		})
		if !errors.Is(err, errEnough) {
			return err
		}
	}
	return nil
}

// errEnough ends a reading that would else wait for what comes.
var errEnough = errors.New("enough")

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
	if h.reference.db != nil {
		errs = append(errs, h.reference.db.Close())
	}
	return errors.Join(errs...)
}

// follow reads one shard until ctx ends.
func (h *HQ) follow(ctx context.Context, shard string) {
	h.keepOn(ctx, "reading "+shard, func() error { return h.read(ctx, shard) })
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

// read verifies what a shard holds after the last position, many entries in one transaction where many wait.
func (h *HQ) read(ctx context.Context, shard string) error {
	from, err := h.db.position(ctx, shard)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	waiting := make(chan embedded.Received, most)
	var receiving error
	go func() {
		defer close(waiting)
		receiving = h.node.Receive(ctx, shard, from+1, func(r embedded.Received) error {
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
	for first := range waiting {
		batch := gather(first, waiting)
		// If we died before this commits, the next start reads the batch again; after it, it goes on behind it.
		if err := h.catchUpOwn(ctx); err != nil {
			return err
		}
		if err := h.db.apply(ctx, shard, batch); err != nil {
			return err
		}
		h.moreSettled()
	}
	return receiving
}
