package embedded

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"github.com/posnode/posnode/events"
)

// Registers ask, head office answers: requests of NATS over the leaf link. The
// answers of head office are micro services, so that `nats micro ls` finds them and
// more than one instance of head office can share the work.

// Why a question got no answer.
var (
	ErrLinkDown      = errors.New("the link to head office is down")
	ErrNobodyAnswers = errors.New("head office is reached, and nobody there answers")
	ErrNoAnswer      = errors.New("head office did not answer in time")
)

// ServiceError says that head office was reached and could not answer, as when its
// database is gone. A business error is an answer and none of these.
type ServiceError struct{ What string }

func (e *ServiceError) Error() string { return "head office cannot answer: " + e.What }

// MaxAsked is the largest question and answer in bytes.
const MaxAsked = 512 << 10

// Ask puts a question to one of head office's services and returns its answer. The
// error says why there is none: [ErrLinkDown], [ErrNobodyAnswers], [ErrNoAnswer] where
// ctx has ended first, or a *[ServiceError].
func (n *RegisterNode) Ask(ctx context.Context, service string, question []byte) ([]byte, error) {
	if !n.Link().Connected {
		return nil, fmt.Errorf("ask %s: %w", service, ErrLinkDown)
	}
	if len(question) > MaxAsked {
		return nil, fmt.Errorf("ask %s: question of %d bytes is larger than %d", service, len(question), MaxAsked)
	}
	msg, err := n.asking.RequestWithContext(ctx, askSubject(n.cfg.Register.String(), service), question)
	switch {
	case errors.Is(err, nats.ErrNoResponders):
		err = ErrNobodyAnswers
		if !n.Link().Connected {
			err = ErrLinkDown // it went while we asked
		}
	case errors.Is(err, context.DeadlineExceeded) || errors.Is(err, nats.ErrTimeout):
		err = ErrNoAnswer
	case err == nil && msg.Header.Get(micro.ErrorCodeHeader) != "":
		err = &ServiceError{msg.Header.Get(micro.ErrorHeader)}
	}
	if err != nil {
		return nil, fmt.Errorf("ask %s: %w", service, err)
	}
	return msg.Data, nil
}

func askSubject(register, service string) string { return "up." + register + ".ask." + service }

// replyPrefix is where head office's answers to a register travel, and no other register listens.
func replyPrefix(r events.Register) string { return "down." + r.String() + ".reply" }

// Answerer answers one question of a register. An error of it reaches the register as a *[ServiceError].
type Answerer func(ctx context.Context, r events.Register, question []byte) (answer []byte, err error)

// maxAnswering bounds the questions of one service that are answered at a time by one instance.
const maxAnswering = 64

// Answer serves questions until the node is closed. Who asks follows from the subject, on
// which only that register's credentials may publish.
func (h *HQNode) Answer(service string, answer Answerer) error {
	slots := make(chan struct{}, maxAnswering)
	handler := func(req micro.Request) {
		slots <- struct{}{}
		go func() {
			defer func() { <-slots }()
			h.answer(req, service, answer)
		}()
	}
	// The name is what `nats micro ls` shows; a queue group is the default, so that of several instances one answers.
	_, err := micro.AddService(h.nc, micro.Config{
		Name: "posnode-" + service, Version: "1.0.0", Description: "Retail Server: " + service,
		Endpoint: &micro.EndpointConfig{Subject: askSubject("*", service), Handler: micro.HandlerFunc(handler)},
	})
	if err != nil {
		return fmt.Errorf("answer %s: %w", service, err)
	}
	return nil
}

func (h *HQNode) answer(req micro.Request, service string, answer Answerer) {
	r, err := askedBy(req.Subject())
	var out []byte
	if err == nil {
		out, err = h.guarded(answer, r, req.Data())
	}
	if err != nil {
		h.log.Warn("a question could not be answered", "service", service, "register", r, "error", err)
		err = req.Error("500", err.Error(), nil)
	} else {
		err = req.Respond(out)
	}
	if err != nil {
		h.log.Warn("an answer could not be sent", "service", service, "register", r, "error", err)
	}
}

// guarded is an answer. One that panics has failed: what one register has written or asks must
// not end head office for all.
func (h *HQNode) guarded(answer Answerer, r events.Register, question []byte) (out []byte, err error) {
	defer func() {
		if p := recover(); p != nil {
			h.log.Error("a question cannot be answered", "register", r, "panic", p, "stack", string(debug.Stack()))
			err = errors.New("it fails on this question")
		}
	}()
	return answer(context.Background(), r, question)
}

// askedBy is whose question came on a subject.
func askedBy(subject string) (events.Register, error) {
	name, _, _ := strings.Cut(strings.TrimPrefix(subject, "up."), ".ask.")
	return events.ParseRegister(name)
}
