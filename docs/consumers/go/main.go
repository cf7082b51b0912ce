// Command go reads the journals of all registers at head office, checks their chains, and
// prints the sales of each register and day. It is an example to copy: see docs/consuming.md.
//
//	go run ./docs/consumers/go -url tls://hq.example:4222 -creds books.creds -name books -state books.json
package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"math/big"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
)

// entry holds the fields of an entry that this program needs. It ignores all others.
type entry struct {
	Type     string `json:"type"`
	Source   string `json:"source"`
	Sequence uint64 `json:"sequence,string"`
	Epoch    int    `json:"epoch"`
	PrevHash string `json:"prevhash"`
	Shift    string `json:"shift"`
	Data     json.RawMessage
}

// state holds the positions read so far and the results, stored together. If they were stored
// apart, one could be ahead of the other after a crash.
type state struct {
	Positions map[string]position `json:"positions"` // by stream
	Chains    map[string]*chain   `json:"chains"`    // by "<register>/<epoch>"
	Days      map[string]string   `json:"days"`      // business date by shift
	Totals    map[string]*total   `json:"totals"`    // by "<register> <day> <currency>"
	Findings  []string            `json:"findings"`
}

// position is the last entry read from a stream. If another entry has this position now, head
// office has lost the end of the stream and used its positions again.
type position struct {
	Sequence uint64 `json:"sequence"`
	Hash     string `json:"hash"`
}

// chain is a journal as far as it was read. Hashes[0] is the prevhash of entry 1, and Hashes[n] is
// the hash of entry n. The hashes distinguish an entry that comes again from another entry with its
// number.
type chain struct {
	Hashes  []string          `json:"hashes"`
	Waiting map[string][]byte `json:"waiting"` // entries that do not follow the last hash, by their place
}

// total sums the sales of a register and day. Net is in minor units of the currency.
type total struct {
	Documents int   `json:"documents"`
	Net       int64 `json:"net"`
	Digits    int   `json:"digits"`
}

// streams are the streams of incoming entries. The last one holds the entries that registers sent
// again.
var streams = []string{"JOURNALS_0", "JOURNALS_1", "JOURNALS_2", "JOURNALS_3", repairs}

const repairs, batch = "REPAIRS", 500

func main() {
	url := flag.String("url", nats.DefaultURL, "where head office listens for readers")
	ca := flag.String("ca", "", "file with the authority of head office's certificate; none for the system's")
	creds := flag.String("creds", "", "file from 'posnode hq enroll-reader'")
	name := flag.String("name", "", "the reader's name, as enrolled")
	path := flag.String("state", "", "file to go on from; none to begin at the beginning")
	every := flag.Duration("every", 0, "ask again after this time, until interrupted; 0 to end")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	options := []nats.Option{nats.UserCredentials(*creds), nats.CustomInboxPrefix("_INBOX." + *name), nats.MaxReconnects(-1)}
	if *ca != "" {
		options = append(options, nats.RootCAs(*ca))
	}
	nc, err := nats.Connect(*url, options...)
	if err == nil {
		defer nc.Close()
		err = run(ctx, nc, *path, *every, os.Stdout)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, nc *nats.Conn, path string, every time.Duration, out io.Writer) error {
	s := &state{Positions: map[string]position{}, Chains: map[string]*chain{}, Days: map[string]string{}, Totals: map[string]*total{}}
	if data, err := os.ReadFile(path); err == nil {
		if err := json.Unmarshal(data, s); err != nil {
			return fmt.Errorf("read %s: %w", path, err)
		}
	} else if path != "" && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	for {
		for _, stream := range streams {
			if err := s.read(nc, stream, path); err != nil && every == 0 {
				return err
			} else if err != nil {
				fmt.Fprintln(os.Stderr, "error:", err) // the link may be down: ask again
			}
		}
		if every == 0 {
			break
		}
		select {
		case <-ctx.Done():
			s.print(out)
			return nil
		case <-time.After(every):
		}
	}
	s.print(out)
	return nil
}

// read reads a stream from the position to its end, in batches.
func (s *state) read(nc *nats.Conn, stream, path string) error {
	came, again := false, uint64(0)
	for {
		last := s.Positions[stream]
		messages, err := get(nc, stream, max(last.Sequence, 1))
		if err != nil {
			return fmt.Errorf("read %s: %w", stream, err)
		}
		if last.Sequence > 0 {
			if len(messages) == 0 || hash(messages[0].Data) != last.Hash {
				s.Positions[stream] = position{} // read again from the first entry; apply ignores entries that came before
				continue
			}
			messages = messages[1:]
		}
		if len(messages) == 0 && !came {
			return nil
		}
		if len(messages) == 0 {
			// After a crash before this point, the stored state is the old one, and all these
			// entries come again.
			return s.store(path)
		}
		came = true
		for _, m := range messages {
			at, err := strconv.ParseUint(header(m, "Nats-Sequence"), 10, 64)
			if err != nil {
				return fmt.Errorf("read %s: %w", stream, err)
			}
			if next := s.Positions[stream].Sequence + 1; at != next && again != next {
				again = next // an answer was lost, or head office can no longer read the entry: then the entry comes in REPAIRS
				break
			}
			if err := s.apply(stream, m); err != nil {
				if found := fmt.Sprintf("%s %d: %v", stream, at, err); !slices.Contains(s.Findings, found) {
					s.Findings = append(s.Findings, found)
				}
			}
			s.Positions[stream] = position{at, hash(m.Data)}
		}
	}
}

// get requests a batch of a stream from a position on. At the end of the stream it returns none.
func get(nc *nats.Conn, stream string, from uint64) (all []*nats.Msg, err error) {
	inbox := nc.NewInbox()
	sub, err := nc.SubscribeSync(inbox)
	if err != nil {
		return nil, err
	}
	defer func() { _ = sub.Unsubscribe() }()
	question := fmt.Sprintf(`{"seq":%d,"batch":%d,"max_bytes":8388608}`, from, batch)
	if err := nc.PublishRequest("$JS.API.DIRECT.GET."+stream, inbox, []byte(question)); err != nil {
		return nil, err
	}
	for {
		m, err := sub.NextMsg(10 * time.Second)
		if err != nil {
			return nil, err
		}
		if header(m, "Nats-Sequence") != "" {
			all = append(all, m)
			continue
		}
		switch header(m, "Status") {
		case "204", "404": // 204 ends the batch; 404 means that there is no entry
			return all, nil
		default:
			return nil, fmt.Errorf("%s %s", header(m, "Status"), header(m, "Description"))
		}
	}
}

// header returns the last value of a header. Head office's server wrote that one. Values that the
// register wrote come before it.
func header(m *nats.Msg, name string) string {
	values := m.Header.Values(name)
	if len(values) == 0 {
		return ""
	}
	return values[len(values)-1]
}

// apply applies one entry, once, and the entries that waited for it. An error is a finding, and
// does not stop the entries behind it.
func (s *state) apply(stream string, m *nats.Msg) error {
	var e entry
	if err := json.Unmarshal(m.Data, &e); err != nil {
		return err
	}
	register := strings.NewReplacer("/stores/", "", "/registers/", "-").Replace(e.Source)
	journal := fmt.Sprintf("%s/%d", register, e.Epoch)
	from, ok := header(m, "Nats-Stream-Source"), false
	if stream == repairs {
		from = header(m, "Nats-Subject")
		ok = from == "repair."+register || from == "up."+register+".repair" // the subject of the oldest repairs
	} else {
		ok = strings.HasPrefix(from, provenance(register, e))
	}
	if !ok {
		return fmt.Errorf("it says it is entry %d of %s, but came from %q", e.Sequence, journal, from)
	}
	c := s.Chains[journal]
	if c == nil {
		c = &chain{Waiting: map[string][]byte{}}
		s.Chains[journal] = c
	}
	if e.Sequence == 1 && len(c.Hashes) == 0 {
		var activation struct{ Record string }
		if err := json.Unmarshal(e.Data, &activation); err != nil {
			return err
		}
		if begins := hash([]byte(activation.Record)); begins == e.PrevHash {
			c.Hashes = []string{begins}
		}
	}
	if e.Sequence < uint64(len(c.Hashes)) && c.Hashes[e.Sequence] == hash(m.Data) {
		return nil // the same entry came before
	}
	at := place(e.Sequence, e.PrevHash)
	second := at + ", not " + hash(m.Data) // two entries for one place: the first to arrive gets it
	if first, taken := c.Waiting[at]; taken && !bytes.Equal(first, m.Data) || c.Waiting[second] != nil {
		at = second
	}
	c.Waiting[at] = m.Data
	return s.follow(register, c)
}

// follow appends the waiting entries that follow the chain, and counts them.
func (s *state) follow(register string, c *chain) (found error) {
	for len(c.Hashes) > 0 {
		next := place(uint64(len(c.Hashes)), c.Hashes[len(c.Hashes)-1])
		body, waits := c.Waiting[next]
		if !waits {
			break
		}
		delete(c.Waiting, next)
		c.Hashes = append(c.Hashes, hash(body))
		var e entry
		found = errors.Join(found, json.Unmarshal(body, &e), s.count(register, e))
	}
	return found
}

// place is the place of an entry in the chain: its number, and the hash of the entry before.
func place(sequence uint64, prevHash string) string {
	return fmt.Sprintf("%d behind %s", sequence, prevHash)
}

func (s *state) count(register string, e entry) error {
	switch e.Type {
	case "shift.opened.v1":
		var opened struct {
			Shift        string `json:"shift"`
			BusinessDate string `json:"business_date"`
		}
		if err := json.Unmarshal(e.Data, &opened); err != nil {
			return err
		}
		s.Days[opened.Shift] = opened.BusinessDate
	case "sale.concluded.v1":
		var sale struct {
			Terms struct {
				Currency string `json:"currency"`
				Digits   int    `json:"digits"`
			} `json:"terms"`
			Sales   int64 `json:"sales"`
			Returns int64 `json:"returns"`
		}
		if err := json.Unmarshal(e.Data, &sale); err != nil {
			return err
		}
		key := register + " " + s.Days[e.Shift] + " " + sale.Terms.Currency
		t := s.Totals[key]
		if t == nil {
			t = &total{Digits: sale.Terms.Digits}
			s.Totals[key] = t
		}
		t.Documents, t.Net = t.Documents+1, t.Net+sale.Sales+sale.Returns
	}
	return nil
}

func (s *state) store(path string) error {
	if path == "" {
		return nil
	}
	data, err := json.Marshal(s)
	if err != nil {
		return err
	}
	if err := os.WriteFile(path+".new", data, 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

func (s *state) print(out io.Writer) {
	for _, key := range slices.Sorted(maps.Keys(s.Totals)) {
		t := s.Totals[key]
		net := new(big.Rat).SetFrac(big.NewInt(t.Net), new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(t.Digits)), nil))
		fmt.Fprintf(out, "%s %d documents %s\n", key, t.Documents, net.FloatString(t.Digits))
	}
	findings := s.Findings
	for _, journal := range slices.Sorted(maps.Keys(s.Chains)) {
		c := s.Chains[journal]
		if n := len(c.Hashes) - 1; n > 0 {
			fmt.Fprintf(out, "%s %d entries, head %s\n", journal, n, c.Hashes[n])
		}
		var waiting []uint64
		for at := range c.Waiting {
			sequence, _, _ := strings.Cut(at, " ")
			n, _ := strconv.ParseUint(sequence, 10, 64) // cannot fail: the program wrote it
			waiting = append(waiting, n)
		}
		if len(waiting) > 0 {
			findings = append(findings, fmt.Sprintf("%s: entries that do not follow and are not counted: %d, from entry %d on", journal, len(waiting), slices.Min(waiting)))
		}
	}
	for _, finding := range findings {
		fmt.Fprintf(out, "finding: %s\n", finding)
	}
	if len(findings) == 0 {
		fmt.Fprintln(out, "chains ok")
	}
}

func hash(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// provenance returns the beginning of the header Nats-Stream-Source for an entry that head office
// fetched from its place in the register's journal. The parts are the stream, the short hash of the
// register's JetStream API, the short hash of the consumer's name, and the sequence.
func provenance(register string, e entry) string {
	return fmt.Sprintf("JOURNAL_%d:%s:C=%s %d ", e.Epoch, short("$JS."+register+".API"), short("hq"), e.Sequence)
}

// short returns the short hash of a name, as nats-server makes it.
func short(s string) string {
	const digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	sum := sha256.Sum256([]byte(s))
	out := make([]byte, 8)
	for i := range out {
		out[i] = digits[sum[i]%62]
	}
	return string(out)
}
