package register

import (
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/posnode/posnode/embedded"
	"github.com/posnode/posnode/events"
	"github.com/posnode/posnode/internal/checkpoint"
)

// An answer counts if head office signed it: for this register, this service and this question, as it stands.
func TestAnswerIsHeadOffices(t *testing.T) {
	name := events.Register{Store: "s001", ID: "r01"}
	open := func(hq string, creds func([]byte) []byte) *Register {
		path := filepath.Join(t.TempDir(), "creds")
		h, err := embedded.StartHQ(t.Context(), embedded.HQConfig{Dir: t.TempDir()})
		require.NoError(t, err)
		raw, err := h.Enroll(name)
		require.NoError(t, err)
		require.NoError(t, h.Close())
		require.NoError(t, os.WriteFile(path, creds(raw), 0o600))
		r, err := Open(t.Context(), Config{
			Dir: t.TempDir(), Register: name, HQ: hq, AllowPlaintext: true, Creds: path, Zone: time.UTC, Clock: time.Now, Logger: slog.New(slog.DiscardHandler),
		})
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, r.Close()) })
		return r
	}
	private, public, err := checkpoint.GenerateKey("hq")
	require.NoError(t, err)
	signer, err := checkpoint.NewSigner(private)
	require.NoError(t, err)
	otherPrivate, _, err := checkpoint.GenerateKey("hq")
	require.NoError(t, err)
	other, err := checkpoint.NewSigner(otherPrivate)
	require.NoError(t, err)
	question := events.WithNonce([]byte(`{"queries":[]}`), "N1")
	require.True(t, json.Valid(question))
	const answer = `{"price":"19.50",  "<&>": 1}` // not as this program would write it
	sign := func(s *checkpoint.Signer, asker events.Register, service string, question []byte, answer, says string) []byte {
		signature, err := s.SignText(events.AnswerText(asker, service, question, []byte(answer)))
		require.NoError(t, err)
		raw, err := events.SignedAnswer{Signature: signature, Answer: json.RawMessage(says)}.Encode()
		require.NoError(t, err)
		return raw
	}
	const loopback, plain = "nats-leaf://127.0.0.1:1", "nats-leaf://192.0.2.1:1"
	knows := func(raw []byte) []byte { return embedded.WithHeadOfficeKey(raw, public) }
	knowsNot := func(raw []byte) []byte { return raw }
	right := sign(signer, name, "find", question, answer, answer)

	r := open(plain, knows)
	got, err := r.openAnswer("find", question, right)
	require.NoError(t, err)
	require.Equal(t, answer, string(got))
	for what, raw := range map[string][]byte{
		"no signature":      []byte(answer),
		"nothing":           nil,
		"no JSON":           []byte("<html>"),
		"another key":       sign(other, name, "find", question, answer, answer),
		"another register":  sign(signer, events.Register{Store: "s001", ID: "r02"}, "find", question, answer, answer),
		"another service":   sign(signer, name, "hello", question, answer, answer),
		"an earlier answer": sign(signer, name, "find", events.WithNonce([]byte(`{"queries":[]}`), "N0"), answer, answer),
		"altered":           sign(signer, name, "find", question, answer, strings.Replace(answer, "19.50", "0.01", 1)),
	} {
		_, err := r.openAnswer("find", question, raw)
		var refused *untrusted
		require.ErrorAs(t, err, &refused, what)
		cause, _ := causeOf(err, time.Second)
		require.Equal(t, "answer_untrusted", cause)
	}

	// Who does not know the key believes whom it has reached, unless anyone may be there.
	r = open(loopback, knowsNot)
	for _, raw := range [][]byte{[]byte(answer), sign(other, name, "find", question, answer, answer)} {
		got, err = r.openAnswer("find", question, raw)
		require.NoError(t, err)
		require.Equal(t, answer, string(got))
	}
	r = open(plain, knowsNot)
	for _, raw := range [][]byte{[]byte(answer), right} {
		_, err = r.openAnswer("find", question, raw)
		var refused *untrusted
		require.ErrorAs(t, err, &refused)
		require.Contains(t, refused.why, "does not know head office's key")
	}
}
