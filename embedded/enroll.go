package embedded

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/posnode/posnode/events"
)

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
