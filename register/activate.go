package register

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/posnode/posnode/embedded"
	"github.com/posnode/posnode/events"
	"github.com/posnode/posnode/internal/checkpoint"
	"github.com/posnode/posnode/internal/files"
	"github.com/posnode/posnode/ledger"
)

// enrolling is what a register has made for an activation that it has asked for: the same
// until head office has answered, so that an answer that was lost is given again.
type enrolling struct {
	Request events.CommandKey `json:"request"`
	User    embedded.UserKey  `json:"user"`
	// Key signs the checkpoints of the next epoch, should one have to begin.
	Key    string `json:"key"`
	Public string `json:"public"`
}

func enrollingPath(dir string) string { return filepath.Join(dir, "activation-asked.json") }

// enrolling is what was made for this request before, or makes it.
func (r *Register) enrolling(request events.CommandKey) (e enrolling, err error) {
	raw, err := os.ReadFile(enrollingPath(r.cfg.Dir))
	if err == nil {
		err = json.Unmarshal(raw, &e)
	}
	if err == nil && e.Request == request {
		return e, nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		// What head office may have answered to these keys is lost with them: then it takes a new code.
		if err := r.setAside(enrollingPath(r.cfg.Dir), err); err != nil {
			return e, err
		}
	}
	e = enrolling{Request: request}
	if e.User, err = embedded.NewUserKey(); err != nil {
		return e, err
	}
	if e.Key, e.Public, err = checkpoint.GenerateKey(r.cfg.Register.String()); err != nil {
		return e, err
	}
	if raw, err = json.Marshal(e); err != nil {
		return e, err
	}
	// If we died here, head office has not been asked: the same request finds these keys, another makes its own.
	return e, embedded.WriteFileDurably(enrollingPath(r.cfg.Dir), raw)
}

// credentials are those by which the register links to head office: the newest of its own, those that
// it was given, and those that can only ask for an activation. It is "" where none can be used: then the register sells and does not link.
func (r *Register) credentials() (path string, unusable error) {
	return embedded.Newest(r.cfg.Register, embedded.CredentialsPath(r.cfg.Dir), r.cfg.Creds, r.cfg.Bootstrap)
}

// findCredentials is that at the start, when those that the register has of its own activation are moved aside if they are of no use.
func (r *Register) findCredentials() (string, error) {
	own := embedded.CredentialsPath(r.cfg.Dir)
	if _, unusable := embedded.Newest(r.cfg.Register, own); unusable != nil {
		if err := r.setAside(own, unusable); err != nil {
			return "", err
		}
	}
	path, unusable := r.credentials()
	if unusable != nil {
		r.cfg.Logger.Warn("credentials cannot be used", "error", unusable)
	}
	r.unlinked = r.cfg.HQ != "" && path == ""
	return path, nil
}

// setAside moves a file that cannot be used out of the way, and logs why.
func (r *Register) setAside(path string, why error) error {
	aside, err := files.SetAside(path)
	if err == nil {
		r.cfg.Logger.Warn("a file cannot be used and was moved aside", "file", path, "to", aside, "error", why)
	}
	return err
}

// WaitsForActivation says whether the register may ask head office for nothing but its activation, operation 707: it
// links with what came with its code.
func (r *Register) WaitsForActivation() bool {
	path, _ := r.credentials()
	return path != "" && path == r.cfg.Bootstrap
}

// askWithin is how long head office may take over letting a register in or out.
const askWithin = 5 * time.Second

// askHQ puts a question to head office in JSON. A refusal of head office is a *[ledger.Refusal].
func askHQ[A any](ctx context.Context, r *Register, service string, question any) (*A, error) {
	raw, err := json.Marshal(question)
	if err != nil {
		return nil, err
	}
	var out events.Answered[A]
	if err := r.request(ctx, service, raw, &out); err != nil {
		return nil, err
	}
	switch {
	case out.Refusal != nil:
		return nil, &ledger.Refusal{Code: out.Refusal.Code, Why: out.Refusal.Why, Instead: out.Refusal.Instead}
	case out.Answer == nil:
		return nil, &embedded.ServiceError{What: "its answer is empty"}
	}
	return out.Answer, nil
}

// unanswered is a refusal for want of head office, where err is not one of its own.
func unanswered(err error, operation int) error {
	if _, refused := errors.AsType[*ledger.Refusal](err); refused {
		return err
	}
	return &ledger.Refusal{
		Code: "realtime_service_unavailable", Why: fmt.Sprintf("%s needs head office: %v.", ledger.Find(operation).Name, err),
		Instead: "Try the same again.",
	}
}

// atHQ has head office carry out its part of an operation, before the fact is recorded. Where it
// does not answer in time, what only it can decide is refused, and for the rest the error is a *[unheard].
// That time is what the command's data requests have left of it.
func (r *Register) atHQ(ctx context.Context, c ledger.Command, fact events.Fact, online *onlineSource) (err error) {
	switch f := fact.(type) {
	case *events.DeviceActivated:
		return r.activate(ctx, c, f)
	case *events.DeviceInactivated:
		ctx, cancel := context.WithTimeout(ctx, askWithin)
		defer cancel()
		answer, err := askHQ[events.Inactivation](ctx, r, "inactivate", events.AskInactivate{Request: c.Key, Head: r.state.Head, Unsent: f.Unsent, Forced: f.Forced})
		if err != nil {
			return unanswered(err, c.Operation)
		}
		f.Recorded = answer.Recorded
		// If we died here, head office knows what the register wanted and has not heard that it has done it: it
		// lets it in until it does, and the same command gets the same answer.
	}
	if r.state.Mode == events.Offline || r.cfg.HQ == "" {
		return nil
	}
	ctx, cancel := online.deadline(ctx)
	defer cancel()
	if f, ok := fact.(events.Confirmable); ok {
		question := events.AskConfirm{Request: c.Key, Head: r.state.Head, WithinMillis: int(time.Until(online.until).Milliseconds() / 2)}
		if question.Checkpoint, err = r.signedHead(question.Head); err != nil {
			return err
		}
		answer, err := askHQ[events.Confirmation](ctx, r, "confirm", question)
		if err != nil {
			return orUnheard(err)
		}
		f.Confirm().Confirmation = answer
	}
	if want, granted := ledger.Reserves(r.state, fact); want != nil {
		want.ID = string(c.Key)
		// If we died after this, the reservation ends with the transaction, or is replaced when it is asked for again.
		answer, err := askHQ[events.Reserved](ctx, r, "reserve", want)
		if err != nil {
			return orUnheard(err)
		}
		if !answer.NotKept {
			granted(want.ID)
		}
	}
	return nil
}

// unheard says that head office did not answer: the register goes offline and decides anew.
type unheard struct{ error }

func orUnheard(err error) error {
	if _, refused := errors.AsType[*ledger.Refusal](err); refused {
		return err
	}
	return &unheard{err}
}

// activate has head office let the register in (operation 707), and begins a new epoch where that says so.
func (r *Register) activate(ctx context.Context, c ledger.Command, f *events.DeviceActivated) error {
	keys, err := r.enrolling(c.Key)
	if err != nil {
		return err
	}
	asking, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	answer, err := askHQ[events.Activation](asking, r, "activate", events.AskActivate{
		Request: c.Key, Code: c.Input.Text("code"), User: keys.User.Public, Key: r.identity.public, NextKey: keys.Public, Head: r.state.Head, Frozen: c.Frozen,
	})
	if err != nil {
		return unanswered(err, c.Operation)
	}
	creds, err := keys.User.Credentials(answer.Token)
	if err != nil {
		return err
	}
	creds = embedded.WithHeadOfficeKey(creds, answer.Witness)
	// If we died here, head office has let the register in, and the same command gets the same answer.
	if err := embedded.WriteFileDurably(embedded.CredentialsPath(r.cfg.Dir), creds); err != nil {
		return err
	}
	if answer.Epoch > r.identity.Epoch {
		if err := r.beginEpoch(ctx, answer.Epoch, answer.Numbers, keys); err != nil {
			return err
		}
	}
	// If we died here, the register is in its epoch and not activated in it: the same command gets the same answer.
	if err := r.believe(answer.Witness); err != nil {
		return err
	}
	f.User, f.Key, f.Recorded, f.Proof = keys.User.Public, r.identity.public, answer.Recorded, answer.Proof
	r.begun, r.opened = false, time.Now() // the next operation tries to connect, as after a start
	return r.node.UseCredentials(embedded.CredentialsPath(r.cfg.Dir))
}
