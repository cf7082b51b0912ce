package register

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/posnode/posnode/embedded"
	"github.com/posnode/posnode/events"
	"github.com/posnode/posnode/internal/checkpoint"
)

// untrusted says that an answer came that is not known to be head office's. It is no answer.
type untrusted struct{ why string }

func (e *untrusted) Error() string { return "an answer came that head office did not sign: " + e.why }

// distrust is the last answer that was not believed, until one is.
type distrust struct {
	at  time.Time // the register's clock
	why string
}

// askHeadOffice puts a question to a service of head office. It returns the answer if head office
// signed it for this question, else the error is an *[untrusted].
func (r *Register) askHeadOffice(ctx context.Context, service string, question []byte) ([]byte, error) {
	question = events.WithNonce(question, rand.Text())
	raw, err := r.node.Ask(ctx, service, question)
	if err != nil {
		return nil, err
	}
	answer, err := r.openAnswer(service, question, raw)
	if refused, ok := errors.AsType[*untrusted](err); ok {
		r.distrusted.Store(&distrust{r.cfg.Clock(), refused.why})
		return nil, err
	}
	r.distrusted.Store(nil)
	return answer, err
}

// openAnswer returns what head office signed as its answer to a question. As long as the register
// does not know head office's key it believes the server that it has reached, unless the link
// is plain text: there that may be anyone.
func (r *Register) openAnswer(service string, question, raw []byte) ([]byte, error) {
	var signed events.SignedAnswer
	_ = json.Unmarshal(raw, &signed) // what is no signed answer has no signature
	keys := r.headOfficeKeys(service)
	switch {
	case len(keys) == 0 && r.node.Link().Protection == embedded.Unprotected:
		return nil, &untrusted{"this register does not know head office's key, and the link is plain text; make new credentials or a new code at head office, they name the key, or use TLS"}
	case len(keys) == 0 && signed.Signature == "":
		return raw, nil
	case len(keys) == 0:
		return signed.Answer, nil
	case signed.Signature == "":
		return nil, &untrusted{"it has no signature; either head office's program is older than this register's, and is to be updated first, or someone else answers in its place"}
	}
	want := events.AnswerText(r.cfg.Register, service, question, signed.Answer)
	for _, key := range keys {
		if text, err := checkpoint.OpenText(signed.Signature, key); err == nil && text == want {
			return signed.Answer, nil
		}
	}
	return nil, &untrusted{"its signature is not by the key that this register knows head office by, or is for another question; " +
		"either someone else answers in its place, or head office was set up anew: then make a code there, and start the register with its --bootstrap file"}
}

// headOfficeKeys are the public keys, any of which may sign an answer of a service; none where the
// register does not know head office yet. An activation may also be answered by the head
// office whose bootstrap file the operator has given.
func (r *Register) headOfficeKeys(service string) (keys []string) {
	r.witness.mu.Lock()
	defer r.witness.mu.Unlock()
	keys = append(keys, r.witness.kept.Key)
	if service == "activate" {
		keys = append(keys, r.bootstrapKey)
	}
	return slices.DeleteFunc(keys, func(key string) bool { return key == "" })
}

// learnKeys reads which key the credentials name. What the register keeps of head office counts more.
func (r *Register) learnKeys(creds string) (err error) {
	if r.bootstrapKey, err = embedded.HeadOfficeKey(r.cfg.Bootstrap); err != nil {
		return err
	}
	if r.witness.kept.Key == "" {
		r.witness.kept.Key, err = embedded.HeadOfficeKey(creds)
	}
	return err
}
