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
	// reconnectWait is between two tries of a connection within the process to reach its server.
	reconnectWait = 50 * time.Millisecond

	// pingInterval is short, so that a half-open link is detected after two unanswered pings. With
	// the server's default of two minutes a till would take a dead link for a live one for six
	// minutes.
	pingInterval = 15 * time.Second

	// dialTimeout gives a mobile link time for the handshake; the server's default is 1 s.
	dialTimeout = 5 * time.Second

	// startTimeout must cover the longest rescan after a crash. A million entries on a cold disk
	// took 2.7 s, so ten million on a slow disk still fit.
	startTimeout = 2 * time.Minute
)

// serverOptions returns the settings that all nodes share.
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
		// By default the server limits its store to 75 % of the present free space. Once that is
		// below the reserved sizes of the streams, it refuses every stream. So each stream has its
		// own limit in MaxBytes, and Append checks the disk.
		JetStreamMaxStore: 1 << 50,
		// An acknowledgement means: on disk. Everything else here builds on it.
		SyncAlways:   true,
		PingInterval: pingInterval,
		MaxPingsOut:  2,
		// An outage of hours logs a line a minute, not one with every attempt.
		ReconnectErrorReports: 40,
		LeafNode: server.LeafNodeOpts{
			DialTimeout:       dialTimeout,
			ReconnectInterval: time.Second,
			NoAdvertise:       true,
		},
		// Replies and flow control carry the domain. So a permission can name those of one
		// register, and one register's flow control is not sent to all.
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
func connect(s nats.InProcessConnProvider, inbox string, opts ...nats.Option) (*nats.Conn, error) {
	opts = append(opts,
		nats.InProcessServer(s),
		nats.Name("posnode"),
		nats.CustomInboxPrefix(inbox),
		nats.MaxReconnects(-1),
		// Where the server was opened again the connection goes on with that one. What is sent in between is not kept to
		// be sent then: its sender has an error.
		nats.ReconnectWait(reconnectWait),
		nats.ReconnectJitter(0, 0),
		nats.ReconnectBufSize(-1),
	)
	nc, err := nats.Connect("", opts...)
	if err != nil {
		return nil, fmt.Errorf("connect within the process: %w", err)
	}
	return nc, nil
}

// splitListen splits "host:port". Port 0 becomes the server's -1, which means any free port.
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

// serverLog passes the server's log to slog. The server's notices are routine here and become debug
// lines. Its warnings and errors keep their level.
type serverLog struct{ log *slog.Logger }

func (l serverLog) Noticef(format string, v ...any) { l.log.Debug(fmt.Sprintf(format, v...)) }
func (l serverLog) Debugf(format string, v ...any)  { l.log.Debug(fmt.Sprintf(format, v...)) }
func (l serverLog) Tracef(format string, v ...any)  { l.log.Debug(fmt.Sprintf(format, v...)) }
func (l serverLog) Warnf(format string, v ...any)   { l.log.Warn(fmt.Sprintf(format, v...)) }
func (l serverLog) Errorf(format string, v ...any)  { l.log.Error(fmt.Sprintf(format, v...)) }
func (l serverLog) Fatalf(format string, v ...any)  { l.log.Error(fmt.Sprintf(format, v...)) }

// logger returns l, or a logger that discards everything if l is nil.
func logger(l *slog.Logger) *slog.Logger {
	if l == nil {
		return slog.New(slog.DiscardHandler)
	}
	return l
}
