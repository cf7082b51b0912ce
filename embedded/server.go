package embedded

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

const (
	// pingInterval finds a half-open link after two silent pings: the server's
	// own two minutes would leave a till believing in a dead link for six.
	pingInterval = 15 * time.Second

	// dialTimeout leaves a mobile link time to shake hands; the default is 1 s.
	dialTimeout = 5 * time.Second

	// startTimeout must cover the longest rescan after a crash, measured as 2.7 s
	// for a million entries on a cold disk: ten million on a slow one still fit.
	startTimeout = 2 * time.Minute
)

// serverOptions are the settings that every node has in common.
func serverOptions(name, domain, storeDir string) *server.Options {
	return &server.Options{
		ServerName:         name,
		DontListen:         true,
		NoSigs:             true,
		NoLog:              true,
		JetStream:          true,
		JetStreamDomain:    domain,
		StoreDir:           storeDir,
		JetStreamMaxMemory: 64 << 20,
		// The server would take 75 % of what is free at this moment for its limit, and
		// refuse every stream once the disk has shrunk below what the streams reserved.
		// So the limit is each stream's own MaxBytes, and Append looks at the disk.
		JetStreamMaxStore: 1 << 50,
		// An acknowledgement means: on disk. Everything else here builds on it.
		SyncAlways:   true,
		PingInterval: pingInterval,
		MaxPingsOut:  2,
		// An outage of hours is a line a minute in the log, not one with every attempt.
		ReconnectErrorReports: 40,
		LeafNode: server.LeafNodeOpts{
			DialTimeout:       dialTimeout,
			ReconnectInterval: time.Second,
			NoAdvertise:       true,
		},
		// Replies and flow control carry the domain, so that a permission can name one
		// register's, and one register's flow control is not sent to all of them.
		FeatureFlags: map[string]bool{"js_api_reply_v2": true, "js_ack_fc_v2": true},
	}
}

// startServer starts a server and waits until its streams are recovered.
func startServer(ctx context.Context, o *server.Options, log *slog.Logger) (*server.Server, error) {
	s, err := server.NewServer(o)
	if err != nil {
		return nil, fmt.Errorf("start server %s: %w", o.ServerName, err)
	}
	s.SetLoggerV2(serverLog{log.With("server", o.ServerName)}, false, false, false)
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	go s.Start()
	for !s.ReadyForConnections(100 * time.Millisecond) {
		if ctx.Err() != nil {
			stopServer(s)
			return nil, fmt.Errorf("start server %s: not ready: %w", o.ServerName, ctx.Err())
		}
	}
	if o.JetStream && !s.JetStreamEnabled() {
		stopServer(s)
		return nil, fmt.Errorf("start server %s: it could not open its store in %s", o.ServerName, o.StoreDir)
	}
	return s, nil
}

func stopServer(s *server.Server) {
	s.Shutdown()
	s.WaitForShutdown()
}

// connect opens a connection within the process, without a socket.
func connect(s *server.Server, inbox string, opts ...nats.Option) (*nats.Conn, error) {
	opts = append(opts,
		nats.InProcessServer(s),
		nats.Name("posnode"),
		nats.CustomInboxPrefix(inbox),
		nats.MaxReconnects(-1),
	)
	nc, err := nats.Connect("", opts...)
	if err != nil {
		return nil, fmt.Errorf("connect within the process: %w", err)
	}
	return nc, nil
}

// splitListen reads "host:port"; port 0 becomes the server's -1, any free port.
func splitListen(addr string) (host string, port int, err error) {
	host, p, err := net.SplitHostPort(addr)
	if err != nil {
		return "", 0, fmt.Errorf("listen address %q: %w", addr, err)
	}
	port, err = strconv.Atoi(p)
	if err != nil || port < 0 || port > 65535 {
		return "", 0, fmt.Errorf("listen address %q: want a port from 0 to 65535", addr)
	}
	if port == 0 {
		port = server.RANDOM_PORT
	}
	return host, port, nil
}

// serverLog hands the server's log to slog. What the server calls a notice is
// routine here; a warning or an error of it is one of ours.
type serverLog struct{ log *slog.Logger }

func (l serverLog) Noticef(format string, v ...any) { l.log.Debug(fmt.Sprintf(format, v...)) }
func (l serverLog) Debugf(format string, v ...any)  { l.log.Debug(fmt.Sprintf(format, v...)) }
func (l serverLog) Tracef(format string, v ...any)  { l.log.Debug(fmt.Sprintf(format, v...)) }
func (l serverLog) Warnf(format string, v ...any)   { l.log.Warn(fmt.Sprintf(format, v...)) }
func (l serverLog) Errorf(format string, v ...any)  { l.log.Error(fmt.Sprintf(format, v...)) }
func (l serverLog) Fatalf(format string, v ...any)  { l.log.Error(fmt.Sprintf(format, v...)) }

// logger is where a node without one writes.
func logger(l *slog.Logger) *slog.Logger {
	if l == nil {
		return slog.New(slog.DiscardHandler)
	}
	return l
}
