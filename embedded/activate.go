package embedded

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nkeys"

	"github.com/posnode/posnode/events"
)

// A register without credentials reaches head office with those of an activation code. They let it
// ask for activation as that register, and nothing else. The answer holds a token for a key that
// the register has made itself, so the token is of no use to anyone else.

// UserKey is the key with which a register signs on at head office. Its seed never leaves the
// register.
type UserKey struct {
	Seed   string `json:"seed"`
	Public string `json:"public"`
}

// NewUserKey makes a new key.
func NewUserKey() (UserKey, error) {
	kp, public, err := newUser()
	if err != nil {
		return UserKey{}, err
	}
	seed, err := kp.Seed()
	return UserKey{string(seed), public}, err
}

// Credentials returns the content of the file that [RegisterConfig].Creds names. token is the one
// that head office made for the key.
func (k UserKey) Credentials(token string) ([]byte, error) {
	c, err := jwt.DecodeUserClaims(token)
	if err != nil {
		return nil, fmt.Errorf("head office's token: %w", err)
	}
	if c.Subject != k.Public {
		return nil, errors.New("head office's token is for another key")
	}
	return jwt.FormatUserConfig(token, []byte(k.Seed))
}

// Newest is the one of some credentials files of a register that was issued last, "" for none. A file that
// does not exist does not count, nor does one that cannot be used: unusable says why, also where another can be.
func Newest(r events.Register, paths ...string) (newest string, unusable error) {
	var latest int64
	for _, path := range paths {
		if path == "" {
			continue
		}
		issued, err := issuedAt(r, path)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			unusable = errors.Join(unusable, fmt.Errorf("credentials in %s: %w", path, err))
			continue
		}
		if issued > latest || newest == "" {
			newest, latest = path, issued
		}
	}
	return newest, unusable
}

// issuedAt is when a register's credentials were issued.
func issuedAt(r events.Register, path string) (int64, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	token, err := jwt.ParseDecoratedJWT(data)
	if err != nil {
		return 0, err
	}
	c, err := jwt.DecodeUserClaims(token)
	if err != nil {
		return 0, err
	}
	if _, err := jwt.ParseDecoratedUserNKey(data); err != nil {
		return 0, err
	}
	if c.Name != r.String() {
		return 0, fmt.Errorf("they are of %q", c.Name)
	}
	return c.IssuedAt, nil
}

// UseCredentials makes the link to HQ sign on with other credentials from now on. A link that is up
// is closed and comes back with them.
func (n *RegisterNode) UseCredentials(path string) error {
	n.reload.Lock()
	defer n.reload.Unlock()
	if n.cfg.HQ == "" {
		return errors.New("use credentials: this register has no HQ")
	}
	// The path may be the same with new content. The server does not see that, so the link is
	// switched off and on.
	for _, disabled := range []bool{true, !n.link.enabled()} {
		o := n.options.Clone()
		remote := *o.LeafNode.Remotes[0]
		remote.Credentials, remote.Disabled = path, disabled
		o.LeafNode.Remotes = []*server.RemoteLeafOpts{&remote}
		if err := n.server.Load().ReloadOptions(o); err != nil {
			return fmt.Errorf("use credentials: %w", err)
		}
	}
	remote := *n.options.LeafNode.Remotes[0]
	remote.Credentials = path
	n.options.LeafNode.Remotes = []*server.RemoteLeafOpts{&remote}
	return nil
}

func (w *linkWatch) enabled() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.state.Enabled
}

// activateService is the only service that a register without credentials may ask.
const activateService = "activate"

// Bootstrap makes credentials with which a register can ask for its activation until a given time,
// and do nothing else. public is the key to pass to [HQNode.Revoke].
func (h *HQNode) Bootstrap(r events.Register, until time.Time) (creds []byte, public string, err error) {
	if err := enrollable(r); err != nil {
		return nil, "", err
	}
	if h.keys == nil {
		return nil, "", ErrNoKeys
	}
	// The account itself signs them, because the key that signs registers can only give a
	// register's full rights.
	token, seed, err := user(r.String(), h.keys.fleet, h.keys.fleet, func(c *jwt.UserClaims) {
		c.Expires = until.Unix()
		c.AllowedConnectionTypes = jwt.StringList{jwt.ConnectionTypeLeafnode}
		c.Pub.Allow = jwt.StringList{askSubject(r.String(), activateService)}
		c.Sub.Allow = jwt.StringList{activationReplies(r)}
		public = c.Subject
	})
	if err != nil {
		return nil, "", fmt.Errorf("credentials for the activation of %s: %w", r, err)
	}
	creds, err = jwt.FormatUserConfig(token, seed)
	return creds, public, err
}

// Admit makes the token with which a register signs on with a key of its own.
func (h *HQNode) Admit(r events.Register, user string) (token string, err error) {
	if err := enrollable(r); err != nil {
		return "", err
	}
	if h.keys == nil {
		return "", ErrNoKeys
	}
	if !nkeys.IsValidPublicUserKey(user) {
		return "", fmt.Errorf("admit %s: not a user's public key", r)
	}
	c := jwt.NewUserClaims(user)
	c.Name = r.String()
	if c.IssuerAccount, err = h.keys.fleet.PublicKey(); err != nil {
		return "", err
	}
	c.SetScoped(true)
	return c.Encode(h.keys.registers)
}

// IsRevoked reports whether [HQNode.Revoke] has ended a user's credentials.
func (h *HQNode) IsRevoked(ctx context.Context, user string) (bool, error) {
	members, err := h.members(ctx, revokedMember+user+".")
	if err != nil {
		return false, fmt.Errorf("what is revoked: %w", err)
	}
	return len(members) > 0, nil
}

// HasKeys reports whether this instance can make and revoke credentials.
func (h *HQNode) HasKeys() bool { return h.keys != nil }

// CredentialsPath returns the path of the credentials that a register got with its activation.
func CredentialsPath(dir string) string { return filepath.Join(dir, "hq.creds") }
