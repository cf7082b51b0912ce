package embedded

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// startOnCluster connects to the running servers of a cluster.
func (h *HQNode) startOnCluster(ctx context.Context) (err error) {
	if err := h.allow(clusterProtection(h.cfg.URLs, h.cfg.CA), "what the cluster holds", strings.Join(h.cfg.URLs, ",")); err != nil {
		return err
	}
	// With the keys this node signs exactly the rights that this version needs. A credentials file
	// has the rights of the version that made it.
	own := nats.UserCredentials(h.cfg.Creds)
	if h.keys != nil {
		if own, err = h.keys.ownUser(); err != nil {
			return err
		}
		if err = h.writeAnswersCreds(); err != nil {
			return err
		}
	}
	answers, err := h.answersUser()
	if err != nil {
		return err
	}
	return h.untilReady(ctx, func(ctx context.Context) error {
		err := h.connectAll(own, answers)
		if err != nil {
			for _, nc := range []*nats.Conn{h.nc, h.answers, h.system} {
				if nc != nil {
					nc.Close()
				}
			}
		}
		return err
	})
}

func (h *HQNode) connectAll(own, answers nats.Option) (err error) {
	if h.nc, err = h.connectCluster(hqInbox, own); err != nil {
		return err
	}
	if h.answers, err = h.connectCluster(hqInbox, answers); err != nil || h.keys == nil {
		return err
	}
	user, err := h.keys.systemUser()
	if err == nil {
		h.system, err = h.connectCluster(systemInbox, user)
	}
	return err
}

// connectCluster opens a connection to any server that is up. The connection reconnects for ever.
func (h *HQNode) connectCluster(inbox string, user nats.Option) (*nats.Conn, error) {
	options := []nats.Option{
		user, nats.Name("posnode"), nats.CustomInboxPrefix(inbox),
		nats.MaxReconnects(-1), nats.ReconnectWait(250 * time.Millisecond), nats.IgnoreAuthErrorAbort(),
		// A half-open connection is detected as soon as the servers detect it.
		nats.PingInterval(pingInterval), nats.MaxPingsOutstanding(2), nats.Timeout(dialTimeout),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			h.log.Warn("connection to the cluster", "error", err)
		}),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) { h.log.Warn("connection to the cluster is lost", "error", err) }),
		nats.ReconnectHandler(func(nc *nats.Conn) { h.log.Info("connected to the cluster again", "server", nc.ConnectedServerName()) }),
	}
	if h.cfg.CA != "" {
		options = append(options, nats.RootCAs(h.cfg.CA))
	}
	nc, err := nats.Connect(strings.Join(h.cfg.URLs, ","), options...)
	if err != nil {
		return nil, fmt.Errorf("connect to the cluster %s: %w", strings.Join(h.cfg.URLs, ", "), err)
	}
	return nc, nil
}

// ErrNoReplicas means that a single server was asked to keep replicas of streams.
var ErrNoReplicas = errors.New("a server alone keeps no replicas")

const codeNoReplicas jetstream.ErrorCode = 10074

// untilReady calls do until it succeeds, because a cluster refuses requests while it starts or
// chooses leaders. It returns at once the errors that no waiting mends: refused credentials, a
// certificate that is not trusted, and replicas on a single server.
func (h *HQNode) untilReady(ctx context.Context, do func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for told := false; ; {
		err := within(ctx, oneTry, do)
		if err == nil || errors.Is(err, nats.ErrAuthorization) {
			return err
		}
		if _, untrusted := errors.AsType[*tls.CertificateVerificationError](err); untrusted {
			return err
		}
		if api, ok := errors.AsType[*jetstream.APIError](err); ok && api.ErrorCode == codeNoReplicas {
			return fmt.Errorf("%w: %w", ErrNoReplicas, err)
		}
		if !told && ctx.Err() == nil {
			told = true
			h.log.Warn("the cluster is not ready, trying again", "for", startTimeout, "error", err)
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(250 * time.Millisecond):
		}
	}
}

// oneTry bounds a request to a cluster that has no leader yet. Such a request gets no answer at
// all.
const oneTry = 5 * time.Second

func within(ctx context.Context, d time.Duration, do func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	return do(ctx)
}
