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

// RegisterConfig says what a register's node is.
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
	// Made are the earlier epochs that were begun in this directory, and how many entries each had when it
	// ended, as far as is known. A start names each journal that is missing or shorter.
	Made map[int]uint64

	unsynced bool          // for tests: what happens without SyncAlways
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
	server     *server.Server
	nc         *nats.Conn
	asking     *nats.Conn              // for questions to HQ: its inbox is the only one that HQ may answer to
	activating *nats.Conn              // for the question that the holder of an activation code may ask
	repairs    jetstream.JetStream     // on asking: what HQ answers comes back there
	journal    atomic.Pointer[Journal] // of the present epoch
	faults     atomic.Pointer[[]JournalFault]
	link       *linkWatch
	local      *localReaders // nil where no program of the till reads along
	close      func() error

	reload sync.Mutex // one SetLink at a time
}

// StartRegister opens the data directory and brings the node up. It returns when
// the journal can be appended to; it never waits for HQ.
//
// Every step can be repeated: if we died anywhere in here, the next start does the
// same again.
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
	if err := repairStore(n.cfg.Dir, logger(n.cfg.Logger)); err != nil {
		return err
	}
	if n.server, err = startServer(ctx, options.Clone(), logger(n.cfg.Logger)); err != nil {
		return err
	}
	if n.nc, err = connect(n.server, "_INBOX_"+n.cfg.Register.String(), users.node); err != nil {
		return err
	}
	if n.asking, err = connect(n.server, ownReplies(n.cfg.Register), users.asking); err != nil {
		return err
	}
	if n.activating, err = connect(n.server, replyPrefix(n.cfg.Register), users.asking); err != nil {
		return err
	}
	if n.repairs, err = jetstream.New(n.asking); err != nil {
		return err
	}
	if err := n.openEpoch(ctx, n.cfg.Epoch); err != nil {
		return err
	}
	if n.cfg.Listen != "" {
		reading, err := connect(n.server, strings.TrimSuffix(localInbox, "."), users.reading)
		if err != nil {
			return err
		}
		if n.local, err = startLocalReaders(ctx, n.cfg, reading); err != nil {
			return err
		}
	}
	n.link = watchLink(n.server, n.cfg.HQ)
	if n.cfg.HQ != "" {
		if n.link.state.Protection == Unprotected {
			logger(n.cfg.Logger).Warn((&PlaintextError{"the link to head office"}).Error()+"; it was allowed: use TLS", "hq", n.cfg.HQ)
		}
		n.link.ended.Go(n.keepLinked)
	}
	return nil
}

// Journal is the journal of the node's epoch.
func (n *RegisterNode) Journal() *Journal { return n.journal.Load() }

// Conn is the node's own connection, within the process.
func (n *RegisterNode) Conn() *nats.Conn { return n.nc }

// ClientURL is where NATS clients of the till may read along, "" when that is off.
func (n *RegisterNode) ClientURL() string {
	if n.local == nil {
		return ""
	}
	return n.local.server.ClientURL()
}

// AckedByHQ is the sequence up to which HQ has the journal on its disk. It trails
// what HQ has by up to a second. It is worth nothing in a store that was put back to an earlier
// state: the server cuts it down to the last entry there, so only HQ's own mark tells.
func (n *RegisterNode) AckedByHQ(ctx context.Context) (uint64, error) {
	c, err := n.Journal().stream.PushConsumer(ctx, hqConsumer)
	if errors.Is(err, jetstream.ErrConsumerNotFound) {
		return 0, nil // HQ has not read through it: the next start makes it again
	}
	if err != nil {
		return 0, fmt.Errorf("what HQ has acknowledged: %w", err)
	}
	return c.CachedInfo().AckFloor.Stream, nil
}

// Close ends the node. Whoever appends must have stopped: an append on its way
// gets an error and an unknown outcome.
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
	if n.server != nil {
		stopServer(n.server)
	}
	if n.lock != nil {
		// Last, so that nobody opens the store while the server still writes its index.
		return n.lock.Close()
	}
	return nil
}

// registerOptions are the settings of a register's server, and how the node's own
// connection signs on.
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

// epochsToCome is how many epochs a node that is up can begin before who reads along has no right to a new one.
const epochsToCome = 10

// registerUsers are how the connections of a register's node sign on to its server.
type registerUsers struct{ node, asking, reading nats.Option }

// addUsers makes the node the only one who may write, by one of its connections. Nobody else can
// sign on: the server has no listener.
func addUsers(o *server.Options, r events.Register, epochs int) (users registerUsers, err error) {
	for user, permissions := range map[*nats.Option]*server.Permissions{
		// Keeps the streams. What belongs to the link is not its business, and nothing takes entries out of a stream.
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

// newUser makes a key that lives as long as the node and is never stored.
func newUser() (kp nkeys.KeyPair, public string, err error) {
	if kp, err = nkeys.CreateUser(); err != nil {
		return nil, "", err
	}
	public, err = kp.PublicKey()
	return kp, public, err
}

// hqRemote is the link to HQ. HQ's permissions are what counts; the denials here
// keep a live entry from travelling beside the replication even if HQ were careless.
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

// prepareJournal opens the journal of the node's epoch, makes it when it is new,
// closes those of earlier epochs, and sees to HQ's consumer on each.
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
	// If we died here, the earlier epochs are closed and this one is not begun: the
	// start that follows begins it.
	stream, err := js.CreateOrUpdateStream(ctx, journalConfig(cfg.Register, cfg.Epoch, maxBytes))
	if err != nil {
		return nil, nil, fmt.Errorf("open journal of epoch %d: %w", cfg.Epoch, err)
	}
	// If we died here, HQ cannot read the journal yet, and goes on asking until the
	// start that follows has made its consumer.
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

// closeEarlier seals the journals of earlier epochs, and refuses a directory that is
// another register's or already further. It returns what is wrong with those journals: none of it keeps
// the register from selling in its present epoch.
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
		// Point of no return: a sealed journal never takes another entry. If we died
		// here, it is sealed or not; the start that follows seals it.
		if _, err := js.UpdateStream(ctx, closedConfig(info.Config, info.State.Bytes)); err != nil {
			return nil, fmt.Errorf("close journal of epoch %d: %w", epoch, err)
		}
	}
	return lookAtEarlier(ctx, js, cfg, stored, faults), nil
}

// storedJournals are the journals of a store by their epochs.
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

// defaultMaxBytes is 8 GiB, about 13 million entries, or what the disk can hold
// beside the reserve if that is less. It goes by the size of the disk, not by what is free at
// this moment: that changes, and is watched on every append.
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

// LinkState says whether the leaf link to HQ is up. Whether HQ's services answer is
// another question.
type LinkState struct {
	HQ        string    // the configured URL, "" without a link
	Enabled   bool      // not cut by SetLink
	Connected bool      //
	Since     time.Time // when Connected became what it is
	// Protection is how the link is protected, also while it is down; "" without a link.
	Protection Protection
}

// linkWatch looks at the link four times a second, which costs next to nothing: the
// server tells only its system account of changes.
type linkWatch struct {
	server *server.Server
	done   chan struct{}
	ended  sync.WaitGroup

	mu    sync.Mutex
	state LinkState
}

func watchLink(s *server.Server, hq string) *linkWatch {
	w := &linkWatch{server: s, done: make(chan struct{}), state: LinkState{HQ: hq, Enabled: hq != "", Since: time.Now()}}
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
	up := w.server.NumLeafNodes() > 0
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

// Link is the state of the link at this moment. It costs a lock or two.
func (n *RegisterNode) Link() LinkState { return n.link.look() }

// SetLink cuts the link to HQ, or lets it come back. Cut means that this side hangs
// up and does not call again; coming back takes as long as connecting takes.
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

// switchLink needs reload to be locked.
func (n *RegisterNode) switchLink(on bool) error {
	o := n.options.Clone()
	remote := *o.LeafNode.Remotes[0]
	remote.Disabled = !on
	o.LeafNode.Remotes = []*server.RemoteLeafOpts{&remote}
	return n.server.ReloadOptions(o)
}
