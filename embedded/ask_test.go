package embedded

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/stretchr/testify/require"

	"github.com/posnode/posnode/events"
)

// TestAsk shows that a question is answered, or fails with the right error.
func TestAsk(t *testing.T) {
	h := startHQ(t, t.TempDir(), "127.0.0.1:0")
	n := startRegister(t, t.TempDir(), linked(r01, h.LeafURL(), enroll(t, h, r01, 1)))
	require.Eventually(t, func() bool { return n.Link().Connected }, soon, 10*time.Millisecond)
	ask := func(service string, within time.Duration) (string, error) {
		ctx, cancel := context.WithTimeout(t.Context(), within)
		defer cancel()
		answer, err := n.Ask(ctx, service, []byte("?"))
		return string(answer), err
	}
	_, err := ask("price", soon)
	require.ErrorIs(t, err, ErrNobodyAnswers)

	hold := make(chan struct{})
	defer close(hold)
	for service, answer := range map[string]Answerer{
		"price": func(_ context.Context, r events.Register, q []byte) ([]byte, error) {
			return []byte(r.String() + string(q)), nil
		},
		"broken": func(context.Context, events.Register, []byte) ([]byte, error) { return nil, errors.New("no database") },
		"slow": func(context.Context, events.Register, []byte) ([]byte, error) {
			<-hold
			return nil, nil
		},
	} {
		require.NoError(t, h.Answer(service, answer))
	}
	require.Eventually(t, func() bool { // interest travels over the link
		answer, err := ask("price", soon)
		return err == nil && answer == "s001-r01?"
	}, soon, 10*time.Millisecond)
	var broken *ServiceError
	require.Eventually(t, func() bool { _, err := ask("broken", soon); return errors.As(err, &broken) }, soon, 10*time.Millisecond)
	require.Equal(t, "no database", broken.What)
	require.Eventually(t, func() bool { _, err := ask("slow", 50*time.Millisecond); return errors.Is(err, ErrNoAnswer) }, soon, 10*time.Millisecond)

	require.NoError(t, n.SetLink(false))
	require.Eventually(t, func() bool { _, err := ask("price", soon); return errors.Is(err, ErrLinkDown) }, soon, 10*time.Millisecond)
}

// TestAnswerThatPanics shows that a question fails if its answerer panics, and that head office
// goes on.
func TestAnswerThatPanics(t *testing.T) {
	h := startHQ(t, t.TempDir(), "")
	require.NoError(t, h.Answer("fragile", func(_ context.Context, _ events.Register, question []byte) ([]byte, error) {
		return question[1:2], nil
	}))
	user, err := freshUser("test", h.keys.fleet, jwt.Permissions{})
	require.NoError(t, err)
	nc, err := connect(h.server, replyPrefix(r01), user)
	require.NoError(t, err)
	defer nc.Close()
	for range 2 {
		msg, err := nc.Request(askSubject("s001-r01", "fragile"), nil, time.Minute)
		require.NoError(t, err)
		require.Equal(t, "it fails on this question", msg.Header.Get(errorHeader))
	}
	msg, err := nc.Request(askSubject("s001-r01", "fragile"), []byte("ok"), time.Minute)
	require.NoError(t, err)
	require.Equal(t, "k", string(msg.Data))
}
