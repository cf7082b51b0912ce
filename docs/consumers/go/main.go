// Command go reads the journals of all registers at head office, checks their chains, and
// prints the sales of each register and day. It is an example to copy: see docs/consuming.md.
//
//	go run ./docs/consumers/go -url tls://hq.example:4222 -creds books.creds -name books -state books.json
package main

import (
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

// entry is what this program needs of an entry. What it does not know, it passes over.
type entry struct {
	Type     string `json:"type"`
	Source   string `json:"source"`
	Sequence uint64 `json:"sequence,string"`
	Epoch    int    `json:"epoch"`
	PrevHash string `json:"prevhash"`
	Shift    string `json:"shift"`
	Data     json.RawMessage
}

// state is what was read and what came of it, stored together: a position that is
// stored apart from its results is ahead of them, or behind, after a crash.
type state struct {
	Positions map[string]uint64 `json:"positions"` // the last entry read, by stream
	Chains    map[string]*chain `json:"chains"`    // by "<register>/<epoch>"
	Days      map[string]string `json:"days"`      // business date by shift
	Totals    map[string]*total `json:"totals"`    // by "<register> <day> <currency>"
	Findings  []string          `json:"findings"`
}

// chain is a journal as far as it was read.
type chain struct {
	Sequence uint64 `json:"sequence"`
	Hash     string `json:"hash"` // of the entry at Sequence
}

// total is in minor units of its currency.
type total struct {
	Documents int   `json:"documents"`
	Net       int64 `json:"net"`
	Digits    int   `json:"digits"`
}

const streams, batch = 4, 500

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
	s := &state{Positions: map[string]uint64{}, Chains: map[string]*chain{}, Days: map[string]string{}, Totals: map[string]*total{}}
	if data, err := os.ReadFile(path); err == nil {
		if err := json.Unmarshal(data, s); err != nil {
			return fmt.Errorf("read %s: %w", path, err)
		}
	} else if path != "" && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	for {
		for n := range streams {
			if err := s.read(nc, "JOURNALS_"+strconv.Itoa(n), path); err != nil && every == 0 {
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

// read takes what a stream has behind the position, a batch at a time.
func (s *state) read(nc *nats.Conn, stream, path string) error {
	for {
		messages, err := get(nc, stream, s.Positions[stream]+1)
		if err != nil {
			return fmt.Errorf("read %s: %w", stream, err)
		}
		if len(messages) == 0 {
			return nil
		}
		for _, m := range messages {
			at, err := strconv.ParseUint(m.Header.Get("Nats-Sequence"), 10, 64)
			if err != nil {
				return fmt.Errorf("read %s: %w", stream, err)
			}
			if at != s.Positions[stream]+1 {
				// An answer was lost on the way, or head office's own store is damaged.
				return fmt.Errorf("read %s: entry %d came after %d", stream, at, s.Positions[stream])
			}
			if err := s.apply(m); err != nil {
				s.Findings = append(s.Findings, fmt.Sprintf("%s %d: %v", stream, at, err))
			}
			s.Positions[stream] = at
		}
		// If we died before this, the batch comes again; the state is the one before it.
		if err := s.store(path); err != nil {
			return err
		}
	}
}

// get asks for the entries of a stream from a position on: none at its end.
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
		switch m.Header.Get("Status") {
		case "":
			all = append(all, m)
		case "204", "404": // that was the batch, there is nothing
			return all, nil
		default:
			return nil, fmt.Errorf("%s %s", m.Header.Get("Status"), m.Header.Get("Description"))
		}
	}
}

// apply takes one entry, once. An error is a finding, and what is behind it goes on.
func (s *state) apply(m *nats.Msg) error {
	var e entry
	if err := json.Unmarshal(m.Data, &e); err != nil {
		return err
	}
	register := strings.NewReplacer("/stores/", "", "/registers/", "-").Replace(e.Source)
	journal := fmt.Sprintf("%s/%d", register, e.Epoch)
	if from := provenance(register, e); !strings.HasPrefix(m.Header.Get("Nats-Stream-Source"), from) {
		return fmt.Errorf("it says it is entry %d of %s, but came from %q", e.Sequence, journal, m.Header.Get("Nats-Stream-Source"))
	}
	c := s.Chains[journal]
	if c == nil {
		c = &chain{}
		s.Chains[journal] = c
		var activation struct{ Record string }
		if err := json.Unmarshal(e.Data, &activation); err != nil {
			return err
		}
		c.Hash = hash([]byte(activation.Record)) // what an epoch begins with
	}
	if e.Sequence <= c.Sequence {
		return nil // it came before
	}
	var found error
	if e.Sequence != c.Sequence+1 {
		found = fmt.Errorf("%s: entry %d follows entry %d", journal, e.Sequence, c.Sequence)
	} else if e.PrevHash != c.Hash {
		found = fmt.Errorf("%s: entry %d is not the one that follows entry %d", journal, e.Sequence, c.Sequence)
	}
	c.Sequence, c.Hash = e.Sequence, hash(m.Data)
	return errors.Join(found, s.count(register, e))
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
	for _, journal := range slices.Sorted(maps.Keys(s.Chains)) {
		fmt.Fprintf(out, "%s %d entries, head %s\n", journal, s.Chains[journal].Sequence, s.Chains[journal].Hash)
	}
	for _, finding := range s.Findings {
		fmt.Fprintf(out, "finding: %s\n", finding)
	}
	if len(s.Findings) == 0 {
		fmt.Fprintln(out, "chains ok")
	}
}

func hash(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// provenance is how Nats-Stream-Source begins on an entry that head office fetched from
// this place of this register's journal: stream, short hash of the register's JetStream API, short hash of
// the consumer's name, sequence.
func provenance(register string, e entry) string {
	return fmt.Sprintf("JOURNAL_%d:%s:C=%s %d ", e.Epoch, short("$JS."+register+".API"), short("hq"), e.Sequence)
}

// short is nats-server's hash of a name.
func short(s string) string {
	const digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	sum := sha256.Sum256([]byte(s))
	out := make([]byte, 8)
	for i := range out {
		out[i] = digits[sum[i]%62]
	}
	return string(out)
}
