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

// ErrShutOut says that a register was shut out, or activated by a code: from then on nothing that
// is enrolled lets it in.
var ErrShutOut = errors.New("was shut out or activated, and is let in by an activation code alone")

// Enroll makes the credentials by which r links to the head office whose data
// directory this is, running or not: signing needs its keys and no server. Made again, they are of the same key.
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

// shutOut is ErrShutOut where the server whose accounts are in dir lets r in no more with what is
// enrolled. Of a cluster nothing is in dir, and its servers say so when the register comes.
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

// EnrolledUser is the key that [HQNode.Revoke] takes to shut out what was enrolled for a register.
func (h *HQNode) EnrolledUser(r events.Register) (string, error) {
	if h.keys == nil {
		return "", ErrNoKeys
	}
	return h.keys.enrolledUser(r)
}
