package embedded

import (
	"bytes"
	"errors"
	"os"
)

// A credentials file also names the key by which head office signs: the line is no block of its
// format, so that NATS passes it over. So a register knows head office before it first asks it.

const keyLine = "head-office-key: "

// WithHeadOfficeKey adds head office's public key to the content of a credentials file.
func WithHeadOfficeKey(creds []byte, key string) []byte {
	out := append(bytes.TrimRight(bytes.Clone(creds), "\n"), "\n\n"+keyLine+key+"\n"...)
	return out
}

// HeadOfficeKey is head office's public key as a credentials file names it: "" where the file does
// not exist, or was made by a version that named none.
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
