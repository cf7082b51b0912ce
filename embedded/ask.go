package embedded

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"

	"github.com/nats-io/nats.go"

	"github.com/posnode/posnode/events"
)

// Registers ask and head office answers, with NATS requests over the leaf link. The instances of
// head office share the work: each question goes to one of them.

// The reasons for a question without an answer.
var (
	ErrLinkDown      = errors.New("the link to head office is down")
	ErrNobodyAnswers = errors.New("head office is reached, and nobody there answers")
	ErrNoAnswer      = errors.New("head office did not answer in time")
)

// ServiceError means that head office was reached and could not answer, as when its database is
// gone. A refusal by the rules of the shop is an answer and no ServiceError.
type ServiceError struct{ What string }

func (e *ServiceError) Error() string { return "head office cannot answer: " + e.What }

// MaxAsked is the largest question and answer in bytes.
const MaxAsked = 512 << 10

// Ask sends a question to one of head office's services and returns its answer. Without an answer
// the error is [ErrLinkDown], [ErrNobodyAnswers], [ErrNoAnswer] if ctx ended first, or a
// *[ServiceError].
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
			err = ErrLinkDown // the link went down meanwhile
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

// replyPrefix returns the subject prefix of head office's answers to a register. No other register
// may listen below it.
func replyPrefix(r events.Register) string { return "down." + r.String() + ".reply" }

// ownReplies returns the subject prefix of all answers to a register but the one to its activation.
// Its inboxes have one token more than those of the activation. So the holder of an activation code
// does not hear the answers to the register of that name.
func ownReplies(r events.Register) string { return replyPrefix(r) + ".own" }

// activationReplies are the subjects on which a register hears the answer to its activation.
func activationReplies(r events.Register) string { return replyPrefix(r) + ".*.*" }

// The headers of an error in place of an answer, as micro services of NATS use them.
const (
	errorHeader     = "Nats-Service-Error"
	errorCodeHeader = "Nats-Service-Error-Code"
)

// answerGroup is the queue group of all services, so that one of several instances answers. It is
// the same in every version, because two versions may run side by side.
const answerGroup = "q"

// Answerer answers one question of a register. The register receives its error as a
// *[ServiceError].
type Answerer func(ctx context.Context, r events.Register, question []byte) (answer []byte, err error)

// maxAnswering bounds the questions of one service that one instance answers at a time.
const maxAnswering = 64

// Answer serves questions until the node is closed. The subject identifies the asking register,
// because only that register's credentials may publish on it. A question with a reply subject that
// is not that register's own is refused before it is read.
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

// guarded calls answer and turns a panic into an error. No question and no entry of one register
// may end head office for all.
func (h *HQNode) guarded(answer Answerer, r events.Register, question []byte) (out []byte, err error) {
	defer func() {
		if p := recover(); p != nil {
			h.log.Error("a question cannot be answered", "register", r, "panic", p, "stack", string(debug.Stack()))
			err = errors.New("it fails on this question")
		}
	}()
	return answer(context.Background(), r, question)
}
