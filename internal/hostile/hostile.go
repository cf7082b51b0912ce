// Package hostile is a till in hostile hands, for tests: a server with a register's credentials that stores and sends
// whatever the test wants. It speaks the protocol itself over TCP, so that no client library corrects what is sent.
package hostile

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// Till is a server under a register's name, with one connection that may do everything on it.
type Till struct {
	register string // "s001-r01"
	server   *server.Server
	conn     net.Conn
	in       *bufio.Reader
	inboxes  atomic.Int64
}

// within bounds the start of the server and every request.
const within = 30 * time.Second

// Start links a till to a head office by a register's credentials, a file. leafs are head office's leaf URLs with
// commas between; ca is the authority of their certificates, a file, or "" where there is no TLS.
func Start(dir, register, leafs, creds, ca string) (*Till, error) {
	remote := &server.RemoteLeafOpts{Credentials: creds, IgnoreDiscoveredServers: true}
	for _, leaf := range strings.Split(leafs, ",") {
		u, err := url.Parse(leaf)
		if err != nil {
			return nil, err
		}
		remote.URLs = append(remote.URLs, u)
	}
	if ca != "" {
		config, err := server.GenTLSConfig(&server.TLSConfigOpts{CaFile: ca, Verify: true})
		if err != nil {
			return nil, err
		}
		config.RootCAs = config.ClientCAs
		remote.TLS, remote.TLSConfig, remote.TLSHandshakeFirst = true, config, true
	}
	s, err := server.NewServer(&server.Options{
		ServerName: register, Host: "127.0.0.1", Port: server.RANDOM_PORT, NoSigs: true, NoLog: true,
		JetStream: true, JetStreamDomain: register, StoreDir: dir, LeafNode: server.LeafNodeOpts{Remotes: []*server.RemoteLeafOpts{remote}},
		FeatureFlags: map[string]bool{"js_api_reply_v2": true, "js_ack_fc_v2": true},
	})
	if err != nil {
		return nil, err
	}
	go s.Start()
	t := &Till{register: register, server: s}
	if err := t.open(); err != nil {
		t.Close()
		return nil, fmt.Errorf("start a hostile till: %w", err)
	}
	return t, nil
}

func (t *Till) open() (err error) {
	if !t.server.ReadyForConnections(within) {
		return errors.New("its server does not start")
	}
	if t.conn, err = net.Dial("tcp", t.server.Addr().String()); err != nil {
		return err
	}
	t.in = bufio.NewReader(t.conn)
	if err := t.Write(`CONNECT {"verbose":false,"pedantic":false,"headers":true,"no_responders":true}` + "\r\nPING\r\n"); err != nil {
		return err
	}
	store, id, _ := strings.Cut(t.register, "-")
	err = t.api("STREAM.CREATE.JOURNAL_1", fmt.Sprintf(`{"name":"JOURNAL_1","subjects":["pos.%s.%s.>"],"storage":"file","retention":"limits","num_replicas":1,"allow_direct":true}`, store, id))
	if err != nil {
		return err
	}
	return t.api("CONSUMER.DURABLE.CREATE.JOURNAL_1.hq", fmt.Sprintf(`{"stream_name":"JOURNAL_1","config":{"durable_name":"hq","deliver_subject":"up.%s.1",
		"deliver_policy":"all","ack_policy":"flow_control","flow_control":true,"idle_heartbeat":1000000000,"max_ack_pending":50000,"max_deliver":-1}}`, t.register))
}

// Close ends the till.
func (t *Till) Close() {
	if t.conn != nil {
		_ = t.conn.Close()
	}
	t.server.Shutdown()
	t.server.WaitForShutdown()
}

// api asks the till's own JetStream.
func (t *Till) api(subject, question string) error {
	answer, err := t.Request("$JS.API."+subject, "", question, t.inbox())
	if err != nil {
		return fmt.Errorf("%s: %w", subject, err)
	}
	var failed struct {
		Error *struct {
			Description string `json:"description"`
		} `json:"error"`
	}
	if err := json.Unmarshal(answer, &failed); err != nil {
		return fmt.Errorf("%s: %q: %w", subject, answer, err)
	}
	if failed.Error != nil {
		return fmt.Errorf("%s: %s", subject, failed.Error.Description)
	}
	return nil
}

func (t *Till) inbox() string { return fmt.Sprintf("_INBOX.%d", t.inboxes.Add(1)) }

// Write sends bytes of the protocol as they are.
func (t *Till) Write(protocol string) error {
	_, err := io.WriteString(t.conn, protocol)
	return err
}

// Publish sends a message with a block of headers as it is; "" for none.
func (t *Till) Publish(subject, reply, block, body string) error {
	if reply != "" {
		reply += " "
	}
	if block == "" {
		return t.Write(fmt.Sprintf("PUB %s %s%d\r\n%s\r\n", subject, reply, len(body), body))
	}
	return t.Write(fmt.Sprintf("HPUB %s %s%d %d\r\n%s%s\r\n", subject, reply, len(block), len(block)+len(body), block, body))
}

// Store stores a message in the journal, and returns its sequence there.
func (t *Till) Store(block, body string) (sequence uint64, err error) {
	store, id, _ := strings.Cut(t.register, "-")
	answer, err := t.Request(fmt.Sprintf("pos.%s.%s.sale.line_added", store, id), block, body, t.inbox())
	if err != nil {
		return 0, err
	}
	var ack struct {
		Sequence uint64 `json:"seq"`
		Error    *struct {
			Description string `json:"description"`
		} `json:"error"`
	}
	if err := json.Unmarshal(answer, &ack); err != nil {
		return 0, fmt.Errorf("%q: %w", answer, err)
	}
	if ack.Error != nil {
		return 0, errors.New(ack.Error.Description)
	}
	return ack.Sequence, nil
}

// Ask puts a question to a service of head office, again until it is answered.
func (t *Till) Ask(service string, question []byte) (answer []byte, err error) {
	for end := time.Now().Add(2 * within); time.Now().Before(end); {
		reply := fmt.Sprintf("down.%s.reply.%d", t.register, t.inboxes.Add(1))
		answer, err = t.Request("up."+t.register+".ask."+service, "", string(question), reply)
		if err == nil {
			return answer, nil
		}
	}
	return nil, err
}

// errNobody says that nobody listens on a subject.
var errNobody = errors.New("nobody answers")

// Request publishes a message and returns the first answer to the reply subject.
func (t *Till) Request(subject, block, body, reply string) ([]byte, error) {
	sid := t.inboxes.Add(1)
	if err := t.Write(fmt.Sprintf("SUB %s %d\r\n", reply, sid)); err != nil {
		return nil, err
	}
	if err := t.Publish(subject, reply, block, body); err != nil {
		return nil, err
	}
	if err := t.conn.SetReadDeadline(time.Now().Add(within)); err != nil {
		return nil, err
	}
	for {
		line, err := t.in.ReadString('\n')
		if err != nil {
			return nil, err
		}
		fields := strings.Fields(line)
		switch {
		case len(fields) == 0:
		case fields[0] == "PING":
			if err := t.Write("PONG\r\n"); err != nil {
				return nil, err
			}
		case fields[0] == "-ERR":
			return nil, errors.New(strings.TrimSpace(line))
		case fields[0] == "MSG" || fields[0] == "HMSG":
			header, payload, err := t.payload(fields)
			if err != nil {
				return nil, err
			}
			if fields[2] != strconv.FormatInt(sid, 10) {
				continue
			}
			if strings.HasPrefix(header, "NATS/1.0 503") {
				return nil, errNobody
			}
			return payload, t.Write(fmt.Sprintf("UNSUB %d\r\n", sid))
		}
	}
}

// payload reads what follows a line of MSG or HMSG.
func (t *Till) payload(fields []string) (header string, body []byte, err error) {
	total, err := strconv.Atoi(fields[len(fields)-1])
	if err != nil {
		return "", nil, err
	}
	all := make([]byte, total+len("\r\n"))
	if _, err := io.ReadFull(t.in, all); err != nil {
		return "", nil, err
	}
	split := 0
	if fields[0] == "HMSG" {
		if split, err = strconv.Atoi(fields[len(fields)-2]); err != nil {
			return "", nil, err
		}
	}
	return string(all[:split]), all[split:total], nil
}
