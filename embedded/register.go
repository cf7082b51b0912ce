package embedded

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nkeys"

	"github.com/posnode/posnode/events"
)

// RegisterConfig holds the settings of a register's node.
type RegisterConfig struct {
	Dir      string          // data directory, this node's alone
	Register events.Register // also the server's name and JetStream domain
	Epoch    int             // the journal's, from 1
	MaxBytes int64           // the most that this epoch's journal may take; 0: 8 GiB, less on a small disk
	HQ       string          // leaf URLs of HQ, "nats-leaf://host:port" or "tls://host:port", with commas between; "": no link
	Creds    string          // credentials file from HQ's Enroll; ""
	CA       string          // file with the authority of HQ's certificate, for "tls://"; "": the system's
	// AllowPlaintext lets the link go to another machine without TLS: see [PlaintextError].
	AllowPlaintext bool
	Listen         string // "127.0.0.1:4222" lets NATS clients of the till read along; "": off
	Logger         *slog.Logger
	// Made holds the earlier epochs that were begun in this directory. The value is the number of
	// entries at the end of the epoch, as far as it is known. A start reports each journal that is
	// missing or shorter.
	Made map[int]uint64

	unsynced bool          // for tests: run without SyncAlways
	patience time.Duration // for tests: in place of linkPatience
	ping     time.Duration // for tests: in place of pingInterval
}

func (cfg RegisterConfig) validate() error {
	if err := cfg.Register.Validate(); err != nil {
		return err
	}
	if cfg.Epoch < 1 {
		return fmt.Errorf("epoch %d: epochs count from 1", cfg.Epoch)
	}
	if cfg.Dir == "" {
		return errors.New("no data directory given")
	}
	if cfg.Listen != "" {
		if _, _, err := loopbackListen(cfg.Listen); err != nil {
			return err
		}
	}
	return nil
}

// RegisterNode is a running register node.
type RegisterNode struct {
	cfg        RegisterConfig
	options    *server.Options
	lock       *os.File
	server     atomic.Pointer[server.Server] // another one after Reopen; nil before the first
	serving    atomic.Pointer[server.Server] // nil while it is being replaced
	nc         *nats.Conn
	asking     *nats.Conn              // for questions to HQ; HQ may answer to no other inbox
	activating *nats.Conn              // for the question of the holder of an activation code
	repairs    jetstream.JetStream     // on asking, because HQ's answers come back there
	journal    atomic.Pointer[Journal] // of the present epoch
	faults     atomic.Pointer[[]JournalFault]
	link       *linkWatch
	local      *localReaders // nil if programs of the till may not read along
	close      func() error

	reload sync.Mutex // one SetLink at a time
}

// StartRegister opens the data directory and starts the node. It returns when the journal can be
// appended to. It never waits for HQ.
//
// Every step can be repeated. If we died anywhere in here, the next start does the same again.
func StartRegister(ctx context.Context, cfg RegisterConfig) (*RegisterNode, error) {
	if err := cfg.validate(); err != nil {
		return nil, fmt.Errorf("start register: %w", err)
	}
	n := &RegisterNode{cfg: cfg}
	n.close = sync.OnceValue(n.stop)
	if err := n.start(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("start register %s: %w", cfg.Register, err), n.Close())
	}
	return n, nil
}

func (n *RegisterNode) start(ctx context.Context) (err error) {
	if err := os.MkdirAll(n.cfg.Dir, 0o700); err != nil {
		return err
	}
	if n.lock, err = lockDir(n.cfg.Dir); err != nil {
		return err
	}
	users, options, err := registerOptions(n.cfg)
	if err != nil {
		return err
	}
	n.options = options
	if err := n.startServer(ctx); err != nil {
		return err
	}
	if n.nc, err = connect(n, "_INBOX_"+n.cfg.Register.String(), users.node); err != nil {
		return err
	}
	if n.asking, err = connect(n, ownReplies(n.cfg.Register), users.asking); err != nil {
		return err
	}
	if n.activating, err = connect(n, replyPrefix(n.cfg.Register), users.asking); err != nil {
		return err
	}
	if n.repairs, err = jetstream.New(n.asking); err != nil {
		return err
	}
	if err := n.openEpoch(ctx, n.cfg.Epoch); err != nil {
		return err
	}
	if n.cfg.Listen != "" {
		reading, err := connect(n, strings.TrimSuffix(localInbox, "."), users.reading)
		if err != nil {
			return err
		}
		if n.local, err = startLocalReaders(ctx, n.cfg, reading); err != nil {
			return err
		}
	}
	n.link = watchLink(n, n.cfg.HQ)
	if n.cfg.HQ != "" {
		if n.link.state.Protection == Unprotected {
			logger(n.cfg.Logger).Warn((&PlaintextError{"the link to head office"}).Error()+"; it was allowed: use TLS", "hq", n.cfg.HQ)
		}
		n.link.ended.Go(n.keepLinked)
	}
	return nil
}

// Journal returns the journal of the node's epoch.
func (n *RegisterNode) Journal() *Journal { return n.journal.Load() }

// Conn returns the node's own connection, within the process.
func (n *RegisterNode) Conn() *nats.Conn { return n.nc }

// ClientURL returns the URL for NATS clients of the till that read along, "" if that is off.
func (n *RegisterNode) ClientURL() string {
	if n.local == nil {
		return ""
	}
	return n.local.server.ClientURL()
}

// AckedByHQ returns the sequence up to which HQ has acknowledged the journal as stored on its disk.
// It is up to a second old. In a store that was put back to an earlier state it is worth nothing.
// The server cuts it down to the last entry there, so only HQ's own mark shows the loss.
func (n *RegisterNode) AckedByHQ(ctx context.Context) (uint64, error) {
	c, err := n.Journal().stream.PushConsumer(ctx, hqConsumer)
	if errors.Is(err, jetstream.ErrConsumerNotFound) {
		return 0, nil // HQ has not read through it; the next start makes it again
	}
	if err != nil {
		return 0, fmt.Errorf("what HQ has acknowledged: %w", err)
	}
	return c.CachedInfo().AckFloor.Stream, nil
}

// Close stops the node. All appends must have ended before. An append on its way gets an error and
// an unknown outcome.
func (n *RegisterNode) Close() error { return n.close() }

func (n *RegisterNode) stop() error {
	if n.link != nil {
		n.link.stop()
	}
	if n.local != nil {
		n.local.close()
	}
	for _, nc := range []*nats.Conn{n.nc, n.asking, n.activating} {
		if nc != nil {
			nc.Close()
		}
	}
	if s := n.server.Load(); s != nil {
		stopServer(s)
	}
	if n.lock != nil {
		// The lock goes last, so that nobody opens the store while the server still writes its
		// index.
		return n.lock.Close()
	}
	return nil
}

// registerOptions returns the settings of a register's server, and the sign-ons of the node's own
// connections.
func registerOptions(cfg RegisterConfig) (users registerUsers, o *server.Options, err error) {
	o = serverOptions(cfg.Register.String(), cfg.Register.String(), cfg.Dir)
	o.SyncAlways = !cfg.unsynced
	if cfg.ping > 0 {
		o.PingInterval = cfg.ping
	}
	users, err = addUsers(o, cfg.Register, cfg.Epoch)
	if err != nil {
		return users, nil, err
	}
	if cfg.HQ != "" {
		remote, err := hqRemote(cfg)
		if err != nil {
			return users, nil, err
		}
		o.LeafNode.Remotes = []*server.RemoteLeafOpts{remote}
	}
	return users, o, nil
}

// epochsToCome is the number of epochs that a running node can begin until local readers have no
// right to a new one.
const epochsToCome = 10

// registerUsers holds the sign-ons of the connections of a register's node to its server.
type registerUsers struct{ node, asking, reading nats.Option }

// addUsers adds the users of the node's three connections. Only one of them may write the streams.
// Nobody else can sign on, because the server has no listener.
func addUsers(o *server.Options, r events.Register, epochs int) (users registerUsers, err error) {
	for user, permissions := range map[*nats.Option]*server.Permissions{
		// Keeps the streams. It may not publish the link's subjects, and it may not remove entries
		// from a stream.
		&users.node: {Publish: &server.SubjectPermission{Deny: []string{"up.>", "down.>", "$SYS.>", "$JS.API.STREAM.PURGE.>", "$JS.API.STREAM.MSG.DELETE.>"}}},
		// Asks head office, and hears the answers.
		&users.asking: {
			Publish:   &server.SubjectPermission{Allow: []string{askSubject(r.String(), "*"), repairSubject(r.String())}},
			Subscribe: &server.SubjectPermission{Allow: []string{replyPrefix(r) + ".>"}},
		},
		// Reads for local readers.
		&users.reading: readerPermissions(r, epochs),
	} {
		kp, public, err := newUser()
		if err != nil {
			return users, err
		}
		*user = nats.Nkey(public, kp.Sign)
		o.Nkeys = append(o.Nkeys, &server.NkeyUser{Nkey: public, Permissions: permissions})
	}
	return users, nil
}

// newUser makes a key that is never stored and lives as long as the node.
func newUser() (kp nkeys.KeyPair, public string, err error) {
	if kp, err = nkeys.CreateUser(); err != nil {
		return nil, "", err
	}
	public, err = kp.PublicKey()
	return kp, public, err
}

// hqRemote returns the settings of the link to HQ. HQ's permissions are the real limit. The denials
// here keep a live entry from travelling beside the replication even if HQ were careless.
func hqRemote(cfg RegisterConfig) (*server.RemoteLeafOpts, error) {
	protection, err := LinkProtection(cfg.HQ)
	if err != nil {
		return nil, err
	}
	if protection == Unprotected && !cfg.AllowPlaintext {
		return nil, &PlaintextError{"the link to " + cfg.HQ}
	}
	remote := &server.RemoteLeafOpts{
		Credentials:             cfg.Creds,
		DenyImports:             []string{"pos.>", referenceSubjects},
		DenyExports:             []string{"pos.>", referenceSubjects},
		DialTimeout:             dialTimeout,
		FirstInfoTimeout:        dialTimeout,
		IgnoreDiscoveredServers: true,
	}
	for _, each := range strings.Split(cfg.HQ, ",") {
		u, err := url.Parse(strings.TrimSpace(each))
		if err != nil {
			return nil, err
		}
		remote.URLs = append(remote.URLs, u)
	}
	remote.TLS = protection == ProtectedByTLS
	if cfg.CA != "" && !remote.TLS {
		return nil, fmt.Errorf("leaf URL of HQ %q: with an authority for its certificate want tls://host:port", cfg.HQ)
	}
	if !remote.TLS {
		return remote, nil
	}
	remote.TLSConfig, err = clientTLS(cfg.CA)
	remote.TLSTimeout = dialTimeout.Seconds()
	remote.TLSHandshakeFirst = true
	return remote, err
}

// prepareJournal closes the journals of earlier epochs and opens that of the node's epoch. It makes
// a journal that is new, and HQ's consumer on each.
func prepareJournal(ctx context.Context, nc *nats.Conn, cfg RegisterConfig) (*Journal, []JournalFault, error) {
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, nil, err
	}
	faults, err := closeEarlier(ctx, js, cfg)
	if err != nil {
		return nil, nil, err
	}
	maxBytes := cfg.MaxBytes
	if maxBytes == 0 {
		if maxBytes, err = defaultMaxBytes(cfg.Dir); err != nil {
			return nil, nil, err
		}
	}
	// If we died here, the earlier epochs are closed and this one is not begun. The next start
	// begins it.
	stream, err := js.CreateOrUpdateStream(ctx, journalConfig(cfg.Register, cfg.Epoch, maxBytes))
	if err != nil {
		return nil, nil, fmt.Errorf("open journal of epoch %d: %w", cfg.Epoch, err)
	}
	// If we died here, HQ cannot read the journal yet. It goes on asking until the next start has
	// made its consumer.
	if _, err := stream.CreateOrUpdateConsumer(ctx, hqConsumerConfig(cfg.Register, cfg.Epoch)); err != nil {
		return nil, nil, fmt.Errorf("consumer for HQ on epoch %d: %w", cfg.Epoch, err)
	}
	return &Journal{
		register: cfg.Register,
		epoch:    cfg.Epoch,
		nc:       nc,
		js:       js,
		stream:   stream,
		disk:     &diskGuard{dir: cfg.Dir},
	}, faults, nil
}

// closeEarlier seals the journals of earlier epochs. It refuses a directory of another register, or
// one in a later epoch. It returns the faults of the earlier journals. None of them keeps the
// register from selling in its present epoch.
func closeEarlier(ctx context.Context, js jetstream.JetStream, cfg RegisterConfig) ([]JournalFault, error) {
	stored, err := storedJournals(ctx, js)
	if err != nil {
		return nil, err
	}
	faults, err := reopenEarlier(ctx, js, cfg, stored)
	if err != nil {
		return nil, err
	}
	for epoch, info := range stored {
		if r := info.Config.Metadata[metaRegister]; r != cfg.Register.String() {
			return nil, fmt.Errorf("data directory belongs to register %s", r)
		}
		if epoch > cfg.Epoch {
			return nil, fmt.Errorf("data directory is already in epoch %d, asked for %d", epoch, cfg.Epoch)
		}
	}
	for epoch, info := range stored {
		if epoch == cfg.Epoch || info.Config.Sealed {
			continue
		}
		// This is the point of no return: a sealed journal never takes another entry. If we died
		// here, it is sealed or not, and the next start seals it.
		if _, err := js.UpdateStream(ctx, closedConfig(info.Config, info.State.Bytes)); err != nil {
			return nil, fmt.Errorf("close journal of epoch %d: %w", epoch, err)
		}
	}
	return lookAtEarlier(ctx, js, cfg, stored, faults), nil
}

// storedJournals returns the journals of a store by their epochs.
func storedJournals(ctx context.Context, js jetstream.JetStream) (map[int]*jetstream.StreamInfo, error) {
	stored := map[int]*jetstream.StreamInfo{}
	list := js.ListStreams(ctx)
	for info := range list.Info() {
		if epoch, ok := journalEpoch(info.Config.Name); ok {
			stored[epoch] = info
		}
	}
	if err := list.Err(); err != nil {
		return nil, fmt.Errorf("list journals: %w", err)
	}
	return stored, nil
}

// defaultMaxBytes returns 8 GiB, about 13 million entries, or the size of the disk less the reserve
// if that is smaller. It does not go by the free space, because that changes and is checked on
// every append.
func defaultMaxBytes(dir string) (int64, error) {
	total, _, err := diskSpace(dir)
	if err != nil {
		return 0, err
	}
	if total <= 2*diskReserve {
		return 0, fmt.Errorf("disk of %s has %s MiB: too small", dir, strconv.FormatUint(total>>20, 10))
	}
	return int64(min(8<<30, total-diskReserve)), nil
}

// LinkState is the state of the leaf link to HQ. A link that is up does not mean that HQ's services
// answer.
type LinkState struct {
	HQ        string    // the configured URL, "" without a link
	Enabled   bool      // not cut by SetLink
	Connected bool      //
	Since     time.Time // the time of the last change of Connected
	// Protection is the link's protection, also while it is down; "" without a link.
	Protection Protection
}

// linkWatch checks the link four times a second, which costs next to nothing. The server reports
// changes to its system account only.
type linkWatch struct {
	node  *RegisterNode
	done  chan struct{}
	ended sync.WaitGroup

	mu    sync.Mutex
	state LinkState
}

func watchLink(n *RegisterNode, hq string) *linkWatch {
	w := &linkWatch{node: n, done: make(chan struct{}), state: LinkState{HQ: hq, Enabled: hq != "", Since: time.Now()}}
	if hq != "" {
		w.state.Protection, _ = LinkProtection(hq) // the server has started with these URLs
	}
	w.ended.Go(w.run)
	return w
}

func (w *linkWatch) run() {
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	for {
		w.look()
		select {
		case <-w.done:
			return
		case <-tick.C:
		}
	}
}

func (w *linkWatch) look() LinkState {
	up := w.node.server.Load().NumLeafNodes() > 0
	w.mu.Lock()
	defer w.mu.Unlock()
	if up != w.state.Connected {
		w.state.Connected, w.state.Since = up, time.Now()
	}
	return w.state
}

func (w *linkWatch) setEnabled(enabled bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.state.Enabled = enabled
}

func (w *linkWatch) stop() {
	close(w.done)
	w.ended.Wait()
}

// Link returns the present state of the link. It costs a lock or two.
func (n *RegisterNode) Link() LinkState { return n.link.look() }

// SetLink cuts the link to HQ, or allows it again. To cut it, this side hangs up and does not dial
// again. An allowed link comes back as soon as a new connection is made.
func (n *RegisterNode) SetLink(enabled bool) error {
	if n.cfg.HQ == "" {
		return errors.New("set link: this register has no HQ")
	}
	n.reload.Lock()
	defer n.reload.Unlock()
	if err := n.switchLink(enabled); err != nil {
		return fmt.Errorf("set link: %w", err)
	}
	n.link.setEnabled(enabled)
	return nil
}

// switchLink switches the link on or off. The caller holds n.reload.
func (n *RegisterNode) switchLink(on bool) error {
	o := n.options.Clone()
	remote := *o.LeafNode.Remotes[0]
	remote.Disabled = !on
	o.LeafNode.Remotes = []*server.RemoteLeafOpts{&remote}
	return n.server.Load().ReloadOptions(o)
}
