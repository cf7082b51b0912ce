// Package checkpoint signs and opens checkpoints of a hash chain. A checkpoint is a signed note
// (C2SP signed-note). Its text is an origin, a size and a hash, each on its own line (C2SP
// tlog-checkpoint). A chain alone proves order and shows changes. A checkpoint kept elsewhere, on a
// receipt or at another server, also shows a tail that was cut off.
package checkpoint

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
)

// Checkpoint holds the number of entries of a chain, and the hash of the last one.
type Checkpoint struct {
	Origin string // name of the chain
	Size   uint64
	Hash   [32]byte
}

// GenerateKey makes an Ed25519 key pair in the encoding of signed notes. The
// private part signs, the public one verifies; both carry the name.
func GenerateKey(name string) (private, public string, err error) {
	return note.GenerateKey(rand.Reader, name)
}

// Signer signs checkpoints with one private key.
type Signer struct{ signer note.Signer }

// NewSigner reads a private key made by [GenerateKey].
func NewSigner(private string) (*Signer, error) {
	s, err := note.NewSigner(private)
	if err != nil {
		return nil, fmt.Errorf("read signing key: %w", err)
	}
	return &Signer{s}, nil
}

// Has reports whether a public key verifies the notes of this signer.
func (s *Signer) Has(public string) bool {
	signed, err := s.SignText("key\n")
	if err != nil {
		return false
	}
	_, err = OpenText(signed, public)
	return err == nil
}

// Sign returns the signed note of c.
func (s *Signer) Sign(c Checkpoint) (string, error) {
	signed, err := s.SignText(fmt.Sprintf("%s\n%d\n%s\n", c.Origin, c.Size, base64.StdEncoding.EncodeToString(c.Hash[:])))
	if err != nil {
		return "", fmt.Errorf("sign checkpoint of %s: %w", c.Origin, err)
	}
	return signed, nil
}

// SignText returns the signed note of a text, which must end with a line end.
func (s *Signer) SignText(text string) (string, error) {
	signed, err := note.Sign(&note.Note{Text: text}, s.signer)
	return string(signed), err
}

// OpenText checks a signed note against a public key and returns its text.
func OpenText(signed, public string) (string, error) {
	v, err := note.NewVerifier(public)
	if err != nil {
		return "", fmt.Errorf("read verifier key: %w", err)
	}
	n, err := note.Open([]byte(signed), note.VerifierList(v))
	if err != nil {
		return "", err
	}
	return n.Text, nil
}

// Open checks a signed note against a public key and reads the checkpoint in it.
func Open(signed, public string) (Checkpoint, error) {
	text, err := OpenText(signed, public)
	if err != nil {
		return Checkpoint{}, fmt.Errorf("open checkpoint: %w", err)
	}
	lines := strings.Split(text, "\n")
	if len(lines) != 4 || lines[3] != "" {
		return Checkpoint{}, fmt.Errorf("checkpoint has %d lines, want 3", len(lines)-1)
	}
	c := Checkpoint{Origin: lines[0]}
	if c.Size, err = strconv.ParseUint(lines[1], 10, 64); err != nil {
		return Checkpoint{}, fmt.Errorf("checkpoint size %q is not a number", lines[1])
	}
	hash, err := base64.StdEncoding.DecodeString(lines[2])
	if err != nil || copy(c.Hash[:], hash) != len(c.Hash) || len(hash) != len(c.Hash) {
		return Checkpoint{}, fmt.Errorf("checkpoint hash %q is not 32 bytes in base64", lines[2])
	}
	return c, nil
}
