package embedded

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/posnode/posnode/events"
)

const marksStream = "MARKS"

// marksConfig returns the stream of marks: the last checkpoint of each journal that head office has
// signed. It keeps several instances, or one that lost its database, from signing two histories.
func marksConfig(replicas int) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name:              marksStream,
		Description:       "the last signed checkpoint of each journal",
		Subjects:          []string{"mark.>"},
		Retention:         jetstream.LimitsPolicy,
		Storage:           jetstream.FileStorage,
		Replicas:          replicas,
		MaxMsgs:           -1,
		MaxBytes:          -1,
		MaxMsgsPerSubject: 1,
		Discard:           jetstream.DiscardOld, // the older of one journal
		MaxMsgSize:        4 << 10,
		DenyDelete:        true,
		DenyPurge:         true,
		AllowDirect:       false, // decisions are based on this stream, so only the leader may answer
	}
}

func markSubject(j JournalName) string { return fmt.Sprintf("mark.%s.%d", j.Register, j.Epoch) }

// Mark returns the last stored mark of a journal and its revision, "" and 0 if there is none.
func (h *HQNode) Mark(ctx context.Context, j JournalName) (note string, revision uint64, err error) {
	stream, err := h.js.Stream(ctx, marksStream)
	if err != nil {
		return "", 0, fmt.Errorf("read mark of %s: %w", j, err)
	}
	raw, err := stream.GetLastMsgForSubject(ctx, markSubject(j))
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return "", 0, nil
	}
	if err != nil {
		return "", 0, fmt.Errorf("read mark of %s: %w", j, err)
	}
	return string(raw.Data), raw.Sequence, nil
}

// PutMark replaces the mark of a revision, and returns the new revision once it is on disk. It
// returns events.ErrConflict if another instance was first.
func (h *HQNode) PutMark(ctx context.Context, j JournalName, note string, revision uint64) (uint64, error) {
	ack, err := h.js.PublishMsg(ctx, &nats.Msg{Subject: markSubject(j), Data: []byte(note)},
		jetstream.WithExpectStream(marksStream), jetstream.WithExpectLastSequencePerSubject(revision), jetstream.WithRetryAttempts(0))
	if err != nil {
		return 0, fmt.Errorf("store mark of %s: %w", j, appendError(err))
	}
	return ack.Sequence, nil
}

// Overhear calls f with every valid question to a service, also if another instance answers it.
func (h *HQNode) Overhear(service string, f func(r events.Register, question []byte)) error {
	_, err := h.answers.Subscribe(askSubject("*", service), func(m *nats.Msg) {
		if q, err := readAsked(m); err == nil { // the answering instance logs the invalid ones
			f(q.register, m.Data)
		}
	})
	if err != nil {
		return fmt.Errorf("overhear %s: %w", service, err)
	}
	return nil
}
