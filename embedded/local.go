package embedded

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/posnode/posnode/events"
)

// Programs on the till's machine may read the journal and hear new entries, without credentials.
// They connect to a server of their own, which has no store and no link. A user with no other right
// passes their questions to the register's server, and passes the answers back. So a reply subject
// that a program names never reaches the register's server. See
// docs/decisions/0020-local-readers-have-a-server-of-their-own.md.

const (
	// localInbox is the prefix of the reply subjects that local readers may name.
	localInbox = "_INBOX."
	// maxLocalAsked bounds the questions of all local readers that are answered at a time.
	maxLocalAsked = 64
	// localSilence is the time without a further answer after which a question ends.
	localSilence = 10 * time.Second
)

// localReaders is the listener for programs on this machine.
type localReaders struct {
	server  *server.Server
	outside *nats.Conn // to their server
	inside  *nats.Conn // to the register's, as a reader
	domain  string     // prefix of the API with the register's domain
	slots   chan struct{}
	log     *slog.Logger
}

// localQuestions returns the subjects that local readers may ask. Reference data is not among them,
// because it holds the hashes of PINs.
func localQuestions(epochs int) []string {
	may := []string{"$JS.API.INFO", "$JS.API.STREAM.NAMES", "$JS.API.STREAM.LIST", "$JS.API.STREAM.INFO.*"}
	for epoch := 1; epoch <= epochs+epochsToCome; epoch++ {
		name := journalName(epoch)
		may = append(may, "$JS.API.STREAM.MSG.GET."+name, "$JS.API.DIRECT.GET."+name, "$JS.API.DIRECT.GET."+name+".>")
	}
	return may
}

// readerPermissions returns the rights of the connection that asks on behalf of local readers.
func readerPermissions(r events.Register, epochs int) *server.Permissions {
	return &server.Permissions{
		Publish:   &server.SubjectPermission{Allow: localQuestions(epochs)},
		Subscribe: &server.SubjectPermission{Allow: []string{localInbox + ">", journalSubjects(r)}},
	}
}

// loopbackListen reads the address of the listener for local readers. They need no credentials, so
// no other machine may reach it.
func loopbackListen(addr string) (host string, port int, err error) {
	if host, port, err = splitListen(addr); err != nil {
		return "", 0, err
	}
	if host == "localhost" {
		host = "127.0.0.1" // the name may mean another address on this machine
	}
	if ip := net.ParseIP(host); ip == nil || !ip.IsLoopback() {
		return "", 0, fmt.Errorf("listen address %q: who reads along needs no credentials, so it must be an address of this machine alone, such as 127.0.0.1:4223", addr)
	}
	return host, port, nil
}

// startLocalReaders opens the listener. inside is the connection to the register's server. It is
// closed with the listener.
func startLocalReaders(ctx context.Context, cfg RegisterConfig, inside *nats.Conn) (*localReaders, error) {
	l := &localReaders{inside: inside, domain: apiPrefix(cfg.Register) + ".", slots: make(chan struct{}, maxLocalAsked), log: logger(cfg.Logger)}
	if err := l.start(ctx, cfg); err != nil {
		l.close()
		return nil, fmt.Errorf("listen for local readers on %s: %w", cfg.Listen, err)
	}
	return l, nil
}

func (l *localReaders) start(ctx context.Context, cfg RegisterConfig) error {
	own, ownKey, err := newUser()
	if err != nil {
		return err
	}
	_, readerKey, err := newUser()
	if err != nil {
		return err
	}
	o := serverOptions(cfg.Register.String()+"-local", "", "")
	o.JetStream, o.StoreDir, o.FeatureFlags = false, "", nil
	if o.Host, o.Port, err = loopbackListen(cfg.Listen); err != nil {
		return err
	}
	o.DontListen = false
	var may []string
	for _, subject := range localQuestions(cfg.Epoch) {
		may = append(may, subject, l.domain+strings.TrimPrefix(subject, "$JS.API."))
	}
	permissions := readerPermissions(cfg.Register, cfg.Epoch)
	permissions.Publish.Allow = may
	o.Nkeys = []*server.NkeyUser{{Nkey: ownKey}, {Nkey: readerKey, Permissions: permissions}}
	o.NoAuthUser = readerKey
	if l.server, err = startServer(ctx, o, l.log); err != nil {
		return err
	}
	if l.outside, err = connect(l.server, "_INBOX_local", nats.Nkey(ownKey, own.Sign)); err != nil {
		return err
	}
	if _, err := l.inside.Subscribe(journalSubjects(cfg.Register), func(m *nats.Msg) {
		l.pass(&nats.Msg{Subject: m.Subject, Header: m.Header, Data: m.Data})
	}); err != nil {
		return err
	}
	if err := l.inside.Flush(); err != nil {
		return err
	}
	for _, subject := range []string{"$JS.API.>", l.domain + ">"} {
		if _, err := l.outside.Subscribe(subject, l.ask); err != nil {
			return err
		}
	}
	return l.outside.Flush()
}

// ask passes a question of a local reader on, and its answers back.
func (l *localReaders) ask(m *nats.Msg) {
	rest, ok := strings.CutPrefix(m.Reply, localInbox)
	if !ok || !plainSubject.MatchString(rest) {
		l.log.Debug("a question of a local reader is refused: its answer would not go to an inbox", "subject", m.Subject, "reply", m.Reply)
		return
	}
	subject := m.Subject
	if name, in := strings.CutPrefix(subject, l.domain); in {
		subject = "$JS.API." + name
	}
	many := manyAnswers(subject, m.Data)
	l.slots <- struct{}{}
	var once sync.Once
	var sub *nats.Subscription
	end := func() {
		once.Do(func() {
			_ = sub.Unsubscribe() // if the connection is closed, the subscription is gone
			<-l.slots
		})
	}
	inbox := l.inside.NewInbox()
	subscribed := make(chan struct{})
	silence := time.AfterFunc(localSilence, func() { <-subscribed; end() })
	sub, err := l.inside.Subscribe(inbox, func(answer *nats.Msg) {
		<-subscribed
		l.pass(&nats.Msg{Subject: m.Reply, Header: answer.Header, Data: answer.Data})
		silence.Reset(localSilence)
		// An answer with a sequence is an entry, even if it has a status header.
		if !many || answer.Header.Get("Status") != "" && answer.Header.Get("Nats-Sequence") == "" {
			silence.Stop()
			end()
		}
	})
	if err == nil {
		err = l.inside.PublishRequest(subject, inbox, m.Data)
	}
	close(subscribed)
	if err != nil {
		silence.Stop()
		l.log.Debug("a question of a local reader could not be passed on", "subject", subject, "error", err)
		end()
	}
}

// manyAnswers reports whether a question is answered by several messages. The last of them has a
// status.
func manyAnswers(subject string, question []byte) bool {
	var q struct {
		Batch int             `json:"batch"`
		Multi json.RawMessage `json:"multi_last"`
	}
	return strings.HasPrefix(subject, "$JS.API.DIRECT.GET.") && json.Unmarshal(question, &q) == nil && (q.Batch > 0 || q.Multi != nil)
}

func (l *localReaders) pass(m *nats.Msg) {
	if err := l.outside.PublishMsg(m); err != nil {
		l.log.Debug("a message for local readers could not be passed on", "subject", m.Subject, "error", err)
	}
}

func (l *localReaders) close() {
	for _, nc := range []*nats.Conn{l.inside, l.outside} {
		if nc != nil {
			nc.Close()
		}
	}
	if l.server != nil {
		stopServer(l.server)
	}
}
