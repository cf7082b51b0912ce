package embedded

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash/fnv"
	"log/slog"
	"maps"
	"net"
	"os"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/posnode/posnode/events"
)

// HQConfig says what the node of head office is.
type HQConfig struct {
	Dir        string // data directory, this node's alone; its keys are in it
	Listen     string // for NATS clients with credentials, "127.0.0.1:0" takes any port; "": off
	ListenLeaf string // for the registers' links, "127.0.0.1:0" takes any port
	Logger     *slog.Logger
}

// HQNode is a running node of head office: it receives the journals of all
// registers that are enrolled.
type HQNode struct {
	cfg    HQConfig
	log    *slog.Logger
	keys   *fleetKeys
	lock   *os.File
	server *server.Server
	nc     *nats.Conn
	js     jetstream.JetStream
	own    *Journal
	close  func() error

	mu       sync.Mutex
	journals map[string]JournalName // by the name that HQ's server writes on every entry
}

// JournalName names one journal among all.
type JournalName struct {
	Register events.Register
	Epoch    int
}

func (j JournalName) String() string { return j.Register.String() + "-" + strconv.Itoa(j.Epoch) }

// StartHQ opens the data directory and brings the node up. Replication of the
// journals that are known goes on by itself.
func StartHQ(ctx context.Context, cfg HQConfig) (*HQNode, error) {
	h := &HQNode{cfg: cfg, log: logger(cfg.Logger), journals: map[string]JournalName{}}
	h.close = sync.OnceValue(h.stop)
	if err := h.start(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("start HQ: %w", err), h.Close())
	}
	return h, nil
}

func (h *HQNode) start(ctx context.Context) (err error) {
	if h.cfg.Dir == "" {
		return errors.New("no data directory given")
	}
	if err := os.MkdirAll(h.cfg.Dir, 0o700); err != nil {
		return err
	}
	if h.lock, err = lockDir(h.cfg.Dir); err != nil {
		return err
	}
	// If we died while making the keys, there are none yet: nobody has got
	// credentials, and the next start makes others.
	if h.keys, err = openKeys(h.cfg.Dir); err != nil {
		return err
	}
	o, err := h.options()
	if err != nil {
		return err
	}
	if h.server, err = startServer(ctx, o, h.log); err != nil {
		return err
	}
	user, err := h.keys.ownUser()
	if err != nil {
		return err
	}
	if h.nc, err = connect(h.server, "_INBOX_hq", user); err != nil {
		return err
	}
	if h.js, err = jetstream.New(h.nc); err != nil {
		return err
	}
	for _, shard := range h.Shards() {
		if err := h.openShard(ctx, shard); err != nil {
			return err
		}
	}
	if err := h.openVerification(ctx, 1); err != nil {
		return err
	}
	return h.openOwn(ctx)
}

func (h *HQNode) options() (*server.Options, error) {
	o := serverOptions("hq", "hq", h.cfg.Dir)
	var err error
	if o.JetStreamMaxStore, err = storeLimit(h.cfg.Dir); err != nil {
		return nil, err
	}
	if err := h.keys.trust(o); err != nil {
		return nil, err
	}
	if h.cfg.Listen != "" {
		host, port, err := splitListen(h.cfg.Listen)
		if err != nil {
			return nil, err
		}
		o.DontListen, o.Host, o.Port = false, host, port
	}
	if h.cfg.ListenLeaf != "" {
		host, port, err := splitListen(h.cfg.ListenLeaf)
		if err != nil {
			return nil, err
		}
		o.LeafNode.Host, o.LeafNode.Port = host, port
	}
	return o, nil
}

// openShard makes a shard's stream, or brings an old one's settings up to date and
// learns its journals.
func (h *HQNode) openShard(ctx context.Context, shard string) error {
	var sources []*jetstream.StreamSource
	stream, err := h.js.Stream(ctx, shard)
	switch {
	case err == nil:
		sources = stream.CachedInfo().Config.Sources
	case !errors.Is(err, jetstream.ErrStreamNotFound):
		return fmt.Errorf("open shard %s: %w", shard, err)
	}
	for _, s := range sources {
		j, err := sourceJournal(s)
		if err != nil {
			return fmt.Errorf("open shard %s: %w", shard, err)
		}
		h.journals[sourceName(j)] = j
	}
	if _, err := h.js.CreateOrUpdateStream(ctx, shardConfig(shard, sources)); err != nil {
		return fmt.Errorf("open shard %s: %w", shard, err)
	}
	return nil
}

// LeafURL is where registers link up, "" when that is off.
func (h *HQNode) LeafURL() string {
	if h.cfg.ListenLeaf == "" {
		return ""
	}
	host, _, _ := net.SplitHostPort(h.cfg.ListenLeaf)
	v, err := h.server.Varz(nil)
	if err != nil {
		return ""
	}
	return "nats-leaf://" + net.JoinHostPort(host, strconv.Itoa(v.LeafNode.Port))
}

// ClientURL is where NATS clients with credentials connect, "" when that is off.
func (h *HQNode) ClientURL() string {
	if h.cfg.Listen == "" {
		return ""
	}
	return h.server.ClientURL()
}

// Conn is the node's own connection, within the process, with all rights in the fleet's account.
func (h *HQNode) Conn() *nats.Conn { return h.nc }

// Enroll makes credentials for a register: the content of the file that
// RegisterConfig.Creds names. They reach no further than the register's own journals. HQ keeps no copy;
// enrolling again makes others beside them.
func (h *HQNode) Enroll(r events.Register) (creds []byte, err error) {
	if err := enrollable(r); err != nil {
		return nil, err
	}
	if creds, err = h.keys.enroll(r); err != nil {
		return nil, fmt.Errorf("enroll %s: %w", r, err)
	}
	return creds, nil
}

// enrollable says whether r can be a register's name.
func enrollable(r events.Register) error {
	if r.Store == HeadOffice.Store {
		return fmt.Errorf("register %s: the store %s is head office itself", r, r.Store)
	}
	return r.Validate()
}

// AddJournal makes HQ receive a journal from its first entry. It changes nothing
// when HQ does so already. The register need not be reachable.
func (h *HQNode) AddJournal(ctx context.Context, r events.Register, epoch int) error {
	j := JournalName{r, epoch}
	if err := errors.Join(r.Validate(), validEpoch(epoch)); err != nil {
		return fmt.Errorf("add journal: %w", err)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	stream, err := h.js.Stream(ctx, shardOf(r))
	if err != nil {
		return fmt.Errorf("add journal %s: %w", j, err)
	}
	cfg := stream.CachedInfo().Config
	// By the stream, not by our map: what the map says may not have been stored.
	for _, s := range cfg.Sources {
		if known, err := sourceJournal(s); err == nil && known == j {
			return nil
		}
	}
	h.journals[sourceName(j)] = j // before its first entry can arrive
	// If we died here, the journal is not added; whoever asked has no answer and asks again.
	if _, err := h.js.UpdateStream(ctx, shardConfig(cfg.Name, append(cfg.Sources, source(j)))); err != nil {
		return fmt.Errorf("add journal %s: %w", j, err)
	}
	return nil
}

func validEpoch(epoch int) error {
	if epoch < 1 {
		return fmt.Errorf("epoch %d: epochs count from 1", epoch)
	}
	return nil
}

// Journals lists the journals that HQ receives, in order.
func (h *HQNode) Journals() []JournalName {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.SortedFunc(maps.Values(h.journals), func(a, b JournalName) int {
		if a.Register != b.Register {
			return compare(a.Register.String(), b.Register.String())
		}
		return a.Epoch - b.Epoch
	})
}

func compare(a, b string) int {
	if a < b {
		return -1
	}
	return 1
}

// Shards names HQ's streams, for Receive.
func (h *HQNode) Shards() []string {
	var names []string
	for i := range shards {
		names = append(names, shardPrefix+strconv.Itoa(i))
	}
	return names
}

// shardOf is where all journals of a register go, by its name alone.
func shardOf(r events.Register) string {
	sum := fnv.New32a()
	_, _ = sum.Write([]byte(r.String()))
	return shardPrefix + strconv.Itoa(int(sum.Sum32()%shards))
}

// sourceName is the first field of the header Nats-Stream-Source that HQ's server
// writes on each entry of j: stream, hash of the register's API prefix, hash of the
// consumer. HQ's server makes it of its own configuration, so a register cannot choose it. The hash is
// the server's (getHash in its events.go); TestReplication fails if it ever changes.
func sourceName(j JournalName) string {
	return journalName(j.Epoch) + ":" + serverHash(apiPrefix(j.Register)) + ":C=" + serverHash(hqConsumer)
}

func serverHash(s string) string {
	const digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	sum := sha256.Sum256([]byte(s))
	out := make([]byte, 8)
	for i := range out {
		out[i] = digits[int(sum[i])%len(digits)]
	}
	return string(out)
}

// LeafLink is one link that is up, as HQ sees it.
type LeafLink struct {
	Register events.Register // as it calls itself: for people to read, not proof
	Address  string
	RTT      time.Duration // 0 until it was measured
}

// Links lists the links that are up.
func (h *HQNode) Links() []LeafLink {
	leafs, err := h.server.Leafz(nil)
	if err != nil {
		return nil // it errs only on filters, and we set none
	}
	var links []LeafLink
	for _, l := range leafs.Leafs {
		r, err := events.ParseRegister(l.Name)
		if err != nil {
			continue // a leaf that is no register
		}
		rtt, _ := time.ParseDuration(l.RTT)
		links = append(links, LeafLink{Register: r, Address: net.JoinHostPort(l.IP, strconv.Itoa(l.Port)), RTT: rtt})
	}
	return links
}

// Close ends the node.
func (h *HQNode) Close() error { return h.close() }

func (h *HQNode) stop() error {
	if h.nc != nil {
		h.nc.Close()
	}
	if h.server != nil {
		stopServer(h.server)
	}
	if h.lock != nil {
		return h.lock.Close()
	}
	return nil
}
