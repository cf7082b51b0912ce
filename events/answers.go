package events

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
)

// Head office signs its answers, so that a register believes nobody who stands between. A register
// puts a nonce into each question; head office signs who asked, the service, the whole
// question and the answer. An answer to another question, or to the same one earlier, does not fit.

// SignedAnswer is an answer of head office as it travels to a register whose question had a nonce.
type SignedAnswer struct {
	Signature string          `json:"signature"` // a signed note of [AnswerText]
	Answer    json.RawMessage `json:"answer"`
}

// Encode is the answer as it travels: Answer byte for byte, for these bytes are signed.
func (a SignedAnswer) Encode() ([]byte, error) {
	signature, err := json.Marshal(a.Signature)
	return fmt.Appendf(nil, `{"signature":%s,"answer":%s}`, signature, a.Answer), err
}

// WithNonce puts a nonce into a question, which is a JSON object or empty.
func WithNonce(question []byte, nonce string) []byte {
	rest, object := bytes.CutPrefix(bytes.TrimSpace(question), []byte("{"))
	if rest = bytes.TrimSpace(rest); !object || len(rest) == 0 || rest[0] == '}' {
		return fmt.Appendf(nil, `{"nonce":%q}`, nonce)
	}
	return fmt.Appendf(nil, `{"nonce":%q,%s`, nonce, rest)
}

// NonceOf is the nonce of a question, "" for none: a register of an earlier version sends none, and
// could not read a signed answer.
func NonceOf(question []byte) string {
	var q struct {
		Nonce string `json:"nonce"`
	}
	if json.Unmarshal(question, &q) != nil {
		return ""
	}
	return q.Nonce
}

// AnswerText is what head office signs of an answer. Its first line is of no checkpoint and no
// certificate, so that none of these can stand for another.
func AnswerText(asker Register, service string, question, answer []byte) string {
	q, a := Hash(question), Hash(answer)
	return fmt.Sprintf("posnode answer v1\n%s\n%s\n%s\n%s\n", asker, service, base64.StdEncoding.EncodeToString(q[:]), base64.StdEncoding.EncodeToString(a[:]))
}
