package embedded

import (
	"bytes"
	"errors"
	"os"
)

// A credentials file also names head office's public signing key. The line is no block of the
// file's format, so NATS ignores it. So a register knows head office's key before it asks its first
// question.

const keyLine = "head-office-key: "

// WithHeadOfficeKey adds head office's public key to the content of a credentials file.
func WithHeadOfficeKey(creds []byte, key string) []byte {
	out := append(bytes.TrimRight(bytes.Clone(creds), "\n"), "\n\n"+keyLine+key+"\n"...)
	return out
}

// HeadOfficeKey returns head office's public key from a credentials file. It returns "" if the file
// does not exist or was made by a version that named no key.
func HeadOfficeKey(path string) (string, error) {
	if path == "" {
		return "", nil
	}
	data, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return "", nil
	}
	for line := range bytes.Lines(data) {
		if key, ok := bytes.CutPrefix(line, []byte(keyLine)); ok {
			return string(bytes.TrimSpace(key)), err
		}
	}
	return "", err
}
