package embedded

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/posnode/posnode/events"
)

// HQConfig holds the settings of a node of head office. The node either runs a server of its own,
// or works on a cluster of stock nats-server with configurations from InitCluster. On a cluster any
// number of nodes may run at once.
type HQConfig struct {
	Dir        string   // data directory, this node's alone; the keys are in it
	Listen     string   // own server: for NATS clients with credentials, "127.0.0.1:0" takes any port; "": off
	ListenLeaf string   // own server: for the registers' links, "127.0.0.1:0" takes any port
	Cert, Key  string   // own server: files of its certificate, for clients and links by TLS; "": both without
	URLs       []string // of the cluster's servers; none: a server of its own
	Creds      string   // cluster: credentials file of head office, where the keys are not in Dir; answers.creds is beside it
	CA         string   // cluster: file with the authority of the servers' certificates; "": the system's
	// AllowPlaintext lets other machines reach the listeners, or this node reach the cluster,
	// without TLS: see [PlaintextError].
	AllowPlaintext bool
	Replicas       int // of every stream; 0: 3 on a cluster, 1 on a server of its own
	Logger         *slog.Logger
}

func (cfg HQConfig) replicas() int {
	switch {
	case cfg.Replicas > 0:
		return cfg.Replicas
	case len(cfg.URLs) > 0:
		return 3
	}
	return 1
}

// HQNode is a running node of head office. It receives the journals of all enrolled registers.
type HQNode struct {
	cfg     HQConfig
	log     *slog.Logger
	keys    *fleetKeys // nil if an instance on a cluster has credentials and no keys
	lock    *os.File
	server  *server.Server // nil on a cluster
	nc      *nats.Conn     // keeps the streams, and never publishes to a subject that came from outside
	answers *nats.Conn     // hears registers and answers them; it has no other right
	system  *nats.Conn     // to the system account; nil without keys
	js      jetstream.JetStream
	fleet   jetstream.Stream
	own     *Journal
	plain   []string // each unprotected link or listener that was allowed, as a sentence
	close   func() error

	adding    [shards]sync.Mutex // held while a shard's sources are changed
	pushing   sync.Mutex         // held while the account is changed
	reference *Reference
	imports   jetstream.ObjectStore

	mu       sync.Mutex
	journals map[string]JournalName // by the name that HQ's server writes on every entry
	// unreached holds the journals without a source because their registers were not reached. The
	// value is true while a journal is being tried again.
	unreached map[JournalName]bool

	stopAdding context.CancelFunc
	background sync.WaitGroup
}

// JournalName names one journal among all.
type JournalName struct {
	Register events.Register
	Epoch    int
}

func (j JournalName) String() string { return j.Register.String() + "-" + strconv.Itoa(j.Epoch) }

// StartHQ opens the data directory and starts the node. Replication of the known journals goes on
// by itself.
func StartHQ(ctx context.Context, cfg HQConfig) (*HQNode, error) {
	h := &HQNode{cfg: cfg, log: logger(cfg.Logger), journals: map[string]JournalName{}, unreached: map[JournalName]bool{}}
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
	if err := h.openKeys(); err != nil {
		return err
	}
	if len(h.cfg.URLs) > 0 {
		err = h.startOnCluster(ctx)
	} else {
		err = h.startAlone(ctx)
	}
	if err != nil {
		return err
	}
	if h.js, err = jetstream.New(h.nc); err != nil {
		return err
	}
	if h.server != nil {
		err = h.openStreams(ctx)
	} else {
		// A cluster that has just started, or is choosing leaders, refuses requests for some
		// seconds.
		err = h.untilReady(ctx, h.openStreams)
	}
	if err != nil {
		return err
	}
	ctx, h.stopAdding = context.WithCancel(context.WithoutCancel(ctx))
	h.background.Go(func() { h.keepAdding(ctx) })
	return nil
}

// openKeys reads the fleet's keys. Only a node with a server of its own makes them. On a cluster
// InitCluster has made them.
func (h *HQNode) openKeys() (err error) {
	if len(h.cfg.URLs) == 0 {
		// If we died while making the keys, there are none yet. No register has credentials, and
		// the next start makes other keys.
		h.keys, err = openKeys(h.cfg.Dir)
		return err
	}
	h.keys, err = readKeys(h.cfg.Dir)
	if errors.Is(err, os.ErrNotExist) && h.cfg.Creds != "" {
		return nil
	}
	return err
}

// startAlone starts a server of this node's own and connects to it.
func (h *HQNode) startAlone(ctx context.Context) error {
	o, err := h.options()
	if err != nil {
		return err
	}
	if err := repairStore(h.cfg.Dir, h.log); err != nil {
		return err
	}
	if err := rewriteEnds(h.cfg.Dir, h.log); err != nil {
		return err
	}
	if h.server, err = startServer(ctx, o, h.log); err != nil {
		return err
	}
	user, err := h.keys.ownUser()
	if err != nil {
		return err
	}
	logged := nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
		h.log.Warn("connection to the own server", "error", err)
	})
	if h.nc, err = connect(h.server, hqInbox, user, logged); err != nil {
		return err
	}
	if user, err = h.keys.answersUser(); err != nil {
		return err
	}
	if h.answers, err = connect(h.server, hqInbox, user, logged); err != nil {
		return err
	}
	if user, err = h.keys.systemUser(); err != nil {
		return err
	}
	h.system, err = connect(h.server, systemInbox, user, logged)
	return err
}

// hqInbox is the inbox prefix of answers to head office. No register may publish there.
const hqInbox = "_INBOX_hq"

// systemInbox is the inbox prefix of the servers' answers to head office, in the servers' own
// account.
const systemInbox = nats.InboxPrefix + "hq"

// openStreams opens the streams of head office, and makes them if they are new. Several instances
// may do so at once.
func (h *HQNode) openStreams(ctx context.Context) error {
	if err := h.openFleet(ctx); err != nil {
		return err
	}
	if err := h.openVerification(ctx, h.cfg.replicas()); err != nil {
		return err
	}
	if err := h.openOwn(ctx); err != nil {
		return err
	}
	if err := h.openReference(ctx); err != nil {
		return err
	}
	if h.keys == nil {
		return nil
	}
	return h.PushAccount(ctx)
}

func (h *HQNode) options() (*server.Options, error) {
	o := serverOptions("hq", "hq", h.cfg.Dir)
	var err error
	if o.JetStreamMaxStore, err = storeLimit(h.cfg.Dir); err != nil {
		return nil, err
	}
	if err := h.keys.trust(o, filepath.Join(h.cfg.Dir, accountsName)); err != nil {
		return nil, err
	}
	if h.cfg.Listen != "" {
		if o.Host, o.Port, o.TLSConfig, err = h.listener(h.cfg.Listen, "what readers read"); err != nil {
			return nil, err
		}
		// Unlike on links the TLS handshake does not come first, because other people's clients
		// would need a setting for that.
		o.DontListen, o.TLSTimeout = false, dialTimeout.Seconds()
	}
	if h.cfg.ListenLeaf != "" {
		if o.LeafNode.Host, o.LeafNode.Port, o.LeafNode.TLSConfig, err = h.listener(h.cfg.ListenLeaf, "what registers send"); err != nil {
			return nil, err
		}
		o.LeafNode.TLSTimeout, o.LeafNode.TLSHandshakeFirst = dialTimeout.Seconds(), h.cfg.Cert != ""
	}
	return o, nil
}

// listener reads the address of a listener, and loads the certificate if there is one. A listener
// without a certificate that other machines can reach is refused, unless that is allowed.
func (h *HQNode) listener(addr, travels string) (host string, port int, config *tls.Config, err error) {
	protection, err := listenProtection(addr, h.cfg.Cert)
	if err != nil {
		return "", 0, nil, err
	}
	if err := h.allow(protection, travels, addr); err != nil {
		return "", 0, nil, err
	}
	if host, port, err = splitListen(addr); err == nil && h.cfg.Cert != "" {
		config, err = serverTLS(h.cfg.Cert, h.cfg.Key)
	}
	return host, port, config, err
}

// allow returns a [PlaintextError] for a link or listener that strangers on the network could read
// and change. If the settings allow it, it logs a warning instead.
func (h *HQNode) allow(protection Protection, travels, address string) error {
	if protection != Unprotected {
		return nil
	}
	refused := &PlaintextError{travels + " on " + address}
	if !h.cfg.AllowPlaintext {
		return refused
	}
	h.log.Warn(refused.Error()+"; it was allowed: give it a certificate", "address", address)
	h.plain = append(h.plain, refused.Error())
	return nil
}

// Plaintext returns a sentence about each link and listener that is not protected and was allowed.
func (h *HQNode) Plaintext() []string { return h.plain }

// LeafURL returns the URL to which registers link. It is "" if that is off, or on a cluster.
func (h *HQNode) LeafURL() string {
	if h.server == nil || h.cfg.ListenLeaf == "" {
		return ""
	}
	host, _, _ := net.SplitHostPort(h.cfg.ListenLeaf)
	v, err := h.server.Varz(nil)
	if err != nil {
		return ""
	}
	scheme := "nats-leaf://"
	if h.cfg.Cert != "" {
		scheme = "tls://"
	}
	return scheme + net.JoinHostPort(host, strconv.Itoa(v.LeafNode.Port))
}

// ClientURL returns the URL to which NATS clients with credentials connect. It is "" if that is
// off, or on a cluster.
func (h *HQNode) ClientURL() string {
	if h.server == nil || h.cfg.Listen == "" {
		return ""
	}
	return h.server.ClientURL()
}

// Conn returns the connection with which the node keeps its streams. It has the rights for that and
// no others.
func (h *HQNode) Conn() *nats.Conn { return h.nc }

// Enroll makes credentials for a register: the content of the file that RegisterConfig.Creds names.
// They give access to the register's own journals alone. HQ keeps no copy. Enrolling again makes
// credentials of the same key.
func (h *HQNode) Enroll(r events.Register) (creds []byte, err error) {
	if err := enrollable(r); err != nil {
		return nil, err
	}
	if h.keys == nil {
		return nil, fmt.Errorf("enroll %s: %w", r, ErrNoKeys)
	}
	if creds, err = h.keys.enroll(r); err != nil {
		return nil, fmt.Errorf("enroll %s: %w", r, err)
	}
	return creds, nil
}

// enrollable returns an error if r cannot be a register's name.
func enrollable(r events.Register) error {
	if r.Store == HeadOffice.Store {
		return fmt.Errorf("register %s: the store %s is head office itself", r, r.Store)
	}
	return r.Validate()
}

// LeafLink is a link that is up, as HQ sees it.
type LeafLink struct {
	Register events.Register // the name that the leaf claims: for people to read, no proof
	Address  string
	RTT      time.Duration // 0 until it was measured
}

// Links lists the links that are up at all servers. It lists none if this node has no keys, because
// it cannot ask the servers then.
func (h *HQNode) Links() []LeafLink {
	ctx, cancel := context.WithTimeout(context.Background(), askServers)
	defer cancel()
	answers, err := h.askServers(ctx, "LEAFZ")
	if err != nil {
		h.log.Warn("links could not be asked for", "error", err)
	}
	var links []LeafLink
	for _, a := range answers {
		var leafs server.Leafz
		if err := json.Unmarshal(a, &leafs); err != nil {
			h.log.Warn("links of a server cannot be read", "error", err)
		}
		for _, l := range leafs.Leafs {
			r, err := events.ParseRegister(l.Name)
			if err != nil {
				continue // a leaf that is no register
			}
			rtt, _ := time.ParseDuration(l.RTT)
			links = append(links, LeafLink{Register: r, Address: net.JoinHostPort(l.IP, strconv.Itoa(l.Port)), RTT: rtt})
		}
	}
	return links
}

// Close ends the node.
func (h *HQNode) Close() error { return h.close() }

func (h *HQNode) stop() error {
	if h.stopAdding != nil {
		h.stopAdding()
		h.background.Wait()
	}
	for _, nc := range []*nats.Conn{h.nc, h.answers, h.system} {
		if nc != nil {
			nc.Close()
		}
	}
	if h.server != nil {
		stopServer(h.server)
	}
	if h.lock != nil {
		return h.lock.Close()
	}
	return nil
}
