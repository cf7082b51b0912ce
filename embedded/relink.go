package embedded

import (
	"fmt"
	"net"
	"time"
)

// The server dials again by itself when a link is down, every second or two. In one case it did not
// (nats-server issue 7615: no attempt for eight hours, until a restart). So if there is no link for
// linkPatience although head office can be dialled, the link is switched off and on. That resets
// the server's state of the link.

const (
	linkPatience = time.Minute
	relinkTries  = 5 // after these an error is logged for a person, and the pauses are ten times as long
)

// keepLinked restarts a link that does not come back, until the node ends.
func (n *RegisterNode) keepLinked() {
	patience := n.cfg.patience
	if patience == 0 {
		patience = linkPatience
	}
	tick := time.NewTicker(patience)
	defer tick.Stop()
	for tried := 0; ; {
		select {
		case <-n.link.done:
			return
		case <-tick.C:
		}
		state := n.Link()
		switch {
		case state.Connected:
			tried = 0
			tick.Reset(patience)
			continue
		case !state.Enabled || time.Since(state.Since) < patience || !n.dialled():
			continue // the link is off on purpose, or there is nothing to link to
		}
		log := logger(n.cfg.Logger).With("register", n.cfg.Register, "hq", n.cfg.HQ, "down_since", state.Since)
		if tried++; tried <= relinkTries {
			log.Warn("head office can be dialled and there is no link: it is switched off and on")
		} else {
			log.Error("head office can be dialled and there is still no link: look for its reason above, such as credentials that are revoked or a certificate; if there is none, restart this register")
			tick.Reset(10 * patience)
		}
		if err := n.relink(); err != nil {
			log.Warn("the link could not be switched off and on", "error", err)
		}
	}
}

// dialled reports whether one of head office's addresses accepts a connection.
func (n *RegisterNode) dialled() bool {
	for _, u := range n.options.LeafNode.Remotes[0].URLs {
		conn, err := net.DialTimeout("tcp", u.Host, dialTimeout)
		if err == nil {
			_ = conn.Close()
			return true
		}
	}
	return false
}

// relink switches the link off and on, unless someone has switched it off meanwhile.
func (n *RegisterNode) relink() error {
	n.reload.Lock()
	defer n.reload.Unlock()
	if !n.Link().Enabled {
		return nil
	}
	// If we died in between, the next start has the link on.
	if err := n.switchLink(false); err != nil {
		return fmt.Errorf("off: %w", err)
	}
	return n.switchLink(true)
}
