package hq

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/posnode/posnode/embedded"
	"github.com/posnode/posnode/events"
)

// signed signs what answer says to a question that has a nonce. A register of an earlier version
// sends none, and gets the answer alone.
func (h *HQ) signed(service string, answer embedded.Answerer) embedded.Answerer {
	return func(ctx context.Context, r events.Register, question []byte) ([]byte, error) {
		out, err := answer(ctx, r, question)
		if err != nil || events.NonceOf(question) == "" {
			return out, err
		}
		signature, err := h.own.witness.SignText(events.AnswerText(r, service, question, out))
		if err != nil {
			return nil, fmt.Errorf("sign the answer: %w", err)
		}
		return events.SignedAnswer{Signature: signature, Answer: out}.Encode()
	}
}

// withWitness adds the public key by which the head office in dir signs to a credentials file. A
// directory without a key is of a head office that was never started: then nothing is added.
func withWitness(dir string, creds []byte) ([]byte, error) {
	raw, err := os.ReadFile(filepath.Join(dir, witnessName))
	if errors.Is(err, fs.ErrNotExist) {
		return creds, nil
	}
	var key witnessKey
	if err == nil {
		err = json.Unmarshal(raw, &key)
	}
	if err != nil {
		return nil, fmt.Errorf("head office's signing key in %s: %w", dir, err)
	}
	return embedded.WithHeadOfficeKey(creds, key.Public), nil
}
