package embedded

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/nats-io/jwt/v2"

	"github.com/posnode/posnode/events"
)

// ErrShutOut means that a register was shut out, or activated by a code. From then on enrolled
// credentials do not let it in.
var ErrShutOut = errors.New("was shut out or activated, and is let in by an activation code alone")

// Enroll makes the credentials with which r links to the head office that has this data directory.
// Head office need not run, because signing needs its keys and no server. A second call makes
// credentials of the same key.
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
	if err := keys.shutOut(dir, r); err != nil {
		return nil, err
	}
	return keys.enroll(r)
}

// shutOut returns ErrShutOut if the accounts in dir revoke r's enrolled key. The accounts of a
// cluster are not in dir. Its servers refuse the register when it links.
func (k *fleetKeys) shutOut(dir string, r events.Register) error {
	user, err := k.enrolledUser(r)
	if err != nil {
		return err
	}
	account, err := k.fleet.PublicKey()
	if err != nil {
		return err
	}
	token, err := os.ReadFile(filepath.Join(dir, accountsName, account+".jwt"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	var claims *jwt.AccountClaims
	if err == nil {
		claims, err = jwt.DecodeAccountClaims(string(token))
	}
	if err != nil {
		return fmt.Errorf("what is revoked: %w", err)
	}
	if _, revoked := claims.Revocations[user]; revoked {
		return fmt.Errorf("register %s %w", r, ErrShutOut)
	}
	return nil
}

// EnrolledUser returns a register's enrolled public key, to be passed to [HQNode.Revoke].
func (h *HQNode) EnrolledUser(r events.Register) (string, error) {
	if h.keys == nil {
		return "", ErrNoKeys
	}
	return h.keys.enrolledUser(r)
}
