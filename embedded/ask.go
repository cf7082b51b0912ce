package embedded

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"

	"github.com/nats-io/nats.go"

	"github.com/posnode/posnode/events"
)

// Registers ask, head office answers: requests of NATS over the leaf link. Instances of head office
// share the work: each question goes to one of them.

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
	nc := n.asking
	if service == activateService {
		nc = n.activating
	}
	msg, err := nc.RequestWithContext(ctx, askSubject(n.cfg.Register.String(), service), question)
	switch {
	case errors.Is(err, nats.ErrNoResponders):
		err = ErrNobodyAnswers
		if !n.Link().Connected {
			err = ErrLinkDown // it went while we asked
		}
	case errors.Is(err, context.DeadlineExceeded) || errors.Is(err, nats.ErrTimeout):
		err = ErrNoAnswer
	case err == nil && msg.Header.Get(errorCodeHeader) != "":
		err = &ServiceError{msg.Header.Get(errorHeader)}
	}
	if err != nil {
		return nil, fmt.Errorf("ask %s: %w", service, err)
	}
	return msg.Data, nil
}

func askSubject(register, service string) string { return "up." + register + ".ask." + service }

// replyPrefix is where head office's answers to a register travel, and no other register listens.
func replyPrefix(r events.Register) string { return "down." + r.String() + ".reply" }

// ownReplies is where a register hears all answers but the one to its activation. Its inboxes have a token more than those for
// that, so that the holder of an activation code does not hear what the register of that name is told.
func ownReplies(r events.Register) string { return replyPrefix(r) + ".own" }

// activationReplies are the subjects on which a register hears the answer to its activation.
func activationReplies(r events.Register) string { return replyPrefix(r) + ".*.*" }

// The headers of an answer that is none, as micro services of NATS have them.
const (
	errorHeader     = "Nats-Service-Error"
	errorCodeHeader = "Nats-Service-Error-Code"
)

// answerGroup is the queue group of all services, so that one of several instances answers. Every
// version has the same one: two versions may run side by side.
const answerGroup = "q"

// Answerer answers one question of a register. An error of it reaches the register as a *[ServiceError].
type Answerer func(ctx context.Context, r events.Register, question []byte) (answer []byte, err error)

// maxAnswering bounds the questions of one service that are answered at a time by one instance.
const maxAnswering = 64

// Answer serves questions until the node is closed. Who asks follows from the subject, on
// which only that register's credentials may publish. A question whose answer would go anywhere
// but to a reply subject of its register is refused before it is read.
func (h *HQNode) Answer(service string, answer Answerer) error {
	slots := make(chan struct{}, maxAnswering)
	_, err := h.answers.QueueSubscribe(askSubject("*", service), answerGroup, func(m *nats.Msg) {
		q, err := readAsked(m)
		if err != nil {
			h.log.Warn("a question was refused", "service", service, "register", q.register, "error", err)
			return
		}
		slots <- struct{}{}
		go func() {
			defer func() { <-slots }()
			h.answer(q, service, answer)
		}()
	})
	if err != nil {
		return fmt.Errorf("answer %s: %w", service, err)
	}
	return nil
}

func (h *HQNode) answer(q asked, service string, answer Answerer) {
	out, err := h.guarded(answer, q.register, q.msg.Data)
	var header nats.Header
	if err != nil {
		h.log.Warn("a question could not be answered", "service", service, "register", q.register, "error", err)
		header = nats.Header{errorHeader: {err.Error()}, errorCodeHeader: {"500"}}
	}
	if err := h.send(q, out, header); err != nil {
		h.log.Warn("an answer could not be sent", "service", service, "register", q.register, "error", err)
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
