package embedded

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/nats-io/nats.go"

	"github.com/posnode/posnode/events"
)

// Announce tells HQ something about this register's journal, if the link is up.
// It is a note that may get lost: whoever announces does it again and again.
func (n *RegisterNode) Announce(payload []byte) error {
	if err := n.nc.Publish("up."+n.cfg.Register.String()+".announce", payload); err != nil {
		return fmt.Errorf("announce: %w", err)
	}
	return nil
}

// Announced calls f with what registers announce, one at a time. That the register is
// the one it is said to be follows from its credentials: no other may publish there.
func (h *HQNode) Announced(f func(r events.Register, payload []byte)) error {
	_, err := h.nc.Subscribe("up.*.announce", func(m *nats.Msg) {
		if r, err := events.ParseRegister(strings.Split(m.Subject, ".")[1]); err == nil {
			f(r, m.Data)
		}
	})
	if err != nil {
		return fmt.Errorf("listen to announcements: %w", err)
	}
	return nil
}

// Enroll makes the credentials by which r links to the head office whose data
// directory this is, running or not: signing needs its keys and no server.
func Enroll(dir string, r events.Register) (creds []byte, err error) {
	if err := enrollable(r); err != nil {
		return nil, err
	}
	if _, err := os.Stat(filepath.Join(dir, keysName)); err != nil {
		return nil, fmt.Errorf("there is no head office in %s: %w", dir, err)
	}
	keys, err := readKeys(dir)
	if err != nil {
		return nil, err
	}
	return keys.enroll(r)
}
