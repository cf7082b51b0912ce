package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/posnode/posnode/embedded"
	"github.com/posnode/posnode/events"
	"github.com/posnode/posnode/hq"
	"github.com/posnode/posnode/ledger"
	"github.com/posnode/posnode/register"
	"github.com/posnode/posnode/replay"
)

// benchCmd measures this machine.
type benchCmd struct {
	Data    string `type:"path" placeholder:"DIR" help:"Measure on this disk; the temporary directory's if absent."`
	Entries int    `default:"50000" help:"How long the journal is that is replayed, replicated and started from; 1000000 for the goals."`
	JSON    bool   `name:"json" help:"Print a JSON list."`
}

// figure is one measurement beside its floor or its goal.
type figure struct {
	Name    string  `json:"name"`
	Value   float64 `json:"value"`
	Unit    string  `json:"unit"`
	Floor   float64 `json:"floor,omitempty"`    // the least work that could do the same, measured in the same run
	FloorIs string  `json:"floor_is,omitempty"` // name of the measurement that is the floor
	Goal    string  `json:"goal"`
	Met     bool    `json:"met"`
}

// bench is one run of all measurements.
type bench struct {
	dir     string
	entries int
	std     stdio
	figures []figure
}

var benchRegister = events.Register{Store: "s001", ID: "r01"}

// Run takes the measurements one after the other, so that none disturbs another.
func (c *benchCmd) Run(ctx context.Context, std stdio) error {
	dir, err := os.MkdirTemp(c.Data, "posnode-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	b := &bench{dir: dir, entries: c.Entries, std: std}
	for _, measure := range []func(context.Context) error{b.latency, b.throughAPI, b.replay, b.catchUp, b.startUp} {
		if err := measure(ctx); err != nil {
			return err
		}
	}
	if c.JSON {
		return printJSON(std.out, b.figures)
	}
	return b.print()
}

func (b *bench) print() error {
	w := tabwriter.NewWriter(b.std.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "FIGURE\tHERE\tFLOOR\tRATIO\tGOAL\t")
	for _, f := range b.figures {
		floor, ratio := "-", "-"
		if f.Floor > 0 {
			floor, ratio = fmt.Sprintf("%.4g %s (%s)", f.Floor, f.Unit, f.FloorIs), fmt.Sprintf("%.2f", f.Value/f.Floor)
		}
		goal := f.Goal
		if goal != "none" {
			goal += map[bool]string{true: ": met", false: ": MISSED"}[f.Met]
		}
		fmt.Fprintf(w, "%s\t%.4g %s\t%s\t%s\t%s\t\n", f.Name, f.Value, f.Unit, floor, ratio, goal)
	}
	return w.Flush()
}

func (b *bench) say(format string, args ...any) { fmt.Fprintf(b.std.err, format+"\n", args...) }

func (b *bench) config(hqURL, creds string) register.Config {
	return register.Config{
		Dir: filepath.Join(b.dir, "register"), Register: benchRegister, HQ: hqURL, Creds: creds,
		Reconnect: time.Minute, Zone: time.UTC, Clock: time.Now, Logger: newLogger(b.std.err),
	}
}

// latency fills the journal with a day of sales at a shop of 10,000 products and times every
// operation. In turns with the operations it times a bare durable publish of no more bytes.
func (b *bench) latency(ctx context.Context) (err error) {
	b.say("recording %d operations", b.entries)
	r, err := register.Open(ctx, b.config("", ""))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	if report, err := r.Reference().Import(ctx, bytes.NewReader(benchShop(benchProducts)), time.Now(), false); err != nil {
		return fmt.Errorf("%w: %v", err, report.Problems)
	}
	t := &till{Register: r}
	if err := t.open(ctx); err != nil {
		return err
	}
	floor, err := openFloor(ctx, filepath.Join(b.dir, "floor"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, floor.close()) }()
	var operations, publishes []time.Duration
	for n := 0; r.View().Head.Sequence < uint64(b.entries); n++ {
		began := time.Now()
		if n%20 == 19 {
			_, err = t.do(ctx, 206, nil)
		} else {
			_, err = t.do(ctx, 100, map[string]any{"product": fmt.Sprintf("P%05d", n*7919%benchProducts), "quantity": "2"})
		}
		if err != nil {
			return err
		}
		operations = append(operations, time.Since(began))
		// The floor is measured in between, so that load on the machine affects both alike.
		if n%5 == 0 && len(publishes) < 20_000 {
			took, err := floor.publish(ctx)
			if err != nil {
				return err
			}
			publishes = append(publishes, took)
		}
	}
	slices.Sort(operations)
	slices.Sort(publishes)
	p50, p99 := quantile(operations, 0.5), quantile(operations, 0.99)
	floor50, floor99 := quantile(publishes, 0.5), quantile(publishes, 0.99)
	b.figures = append(b.figures,
		figure{"durable operation, p50", p50, "us", floor50, "bare publish", "at most 1.5x", p50 <= 1.5*floor50},
		figure{"durable operation, p99", p99, "us", floor99, "bare publish", "none", true})
	return nil
}

// quantile returns a quantile in microseconds. sorted must not be empty.
func quantile(sorted []time.Duration, q float64) float64 {
	return float64(sorted[int(q*float64(len(sorted)-1))].Microseconds())
}

const benchProducts = 10_000

func benchShop(products int) []byte {
	lines := []referenceLine{cashier(), {"store", "store", keyedSettings()}}
	for n := range products {
		lines = append(lines, referenceLine{"product", fmt.Sprintf("P%05d", n), map[string]any{
			"product": fmt.Sprintf("P%05d", n), "description": fmt.Sprintf("Product number %d", n), "price": fmt.Sprintf("%d.%02d", 1+n%40, n%100),
		}})
	}
	return referenceLines(lines...)
}

// floorBytes is the size of each message of a floor. It is no larger than the entry of a sale's
// line.
const floorBytes = 600

// floor is a bare stream with the journal's durability and nothing else.
type floor struct {
	node *embedded.RegisterNode
	js   jetstream.JetStream
	body []byte
	last uint64
}

func openFloor(ctx context.Context, dir string) (*floor, error) {
	node, err := embedded.StartRegister(ctx, embedded.RegisterConfig{Dir: dir, Register: benchRegister, Epoch: 1})
	if err != nil {
		return nil, err
	}
	f := &floor{node: node, body: bytes.Repeat([]byte("x"), floorBytes)}
	if f.js, err = jetstream.New(node.Conn()); err == nil {
		_, err = f.js.CreateStream(ctx, jetstream.StreamConfig{Name: "FLOOR", Subjects: []string{"floor.>"}, Storage: jetstream.FileStorage, MaxBytes: 1 << 30})
	}
	if err != nil {
		return nil, errors.Join(err, node.Close())
	}
	return f, nil
}

func (f *floor) publish(ctx context.Context) (time.Duration, error) {
	began := time.Now()
	_, err := f.js.Publish(ctx, "floor.sale.line_added", f.body)
	return time.Since(began), err
}

func (f *floor) close() error { return f.node.Close() }

// replay times the verification of the whole journal. Its floor is a bare ordered consumer that
// reads the same stream.
func (b *bench) replay(ctx context.Context) (err error) {
	b.say("replaying %d entries", b.entries)
	node, err := embedded.StartRegister(ctx, embedded.RegisterConfig{Dir: filepath.Join(b.dir, "register"), Register: benchRegister, Epoch: 1})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, node.Close()) }()
	var verified, bare float64
	for range 3 { // the best of three, in turns
		began := time.Now()
		report, err := replay.Verify(ctx, journalSource{node.Journal()}, replay.Options{})
		if err != nil {
			return err
		}
		if len(report.Findings) > 0 {
			return fmt.Errorf("%w: %+v", errIntegrity, report.Findings[0])
		}
		verified = max(verified, float64(report.Entries)/time.Since(began).Seconds())
		rate, err := orderedConsumer(ctx, node)
		if err != nil {
			return err
		}
		bare = max(bare, rate)
	}
	b.figures = append(b.figures, figure{"verified replay", verified, "entries/s", bare, "bare ordered consumer", "at least 0.5x", verified >= 0.5*bare})
	return nil
}

func orderedConsumer(ctx context.Context, node *embedded.RegisterNode) (rate float64, err error) {
	js, err := jetstream.New(node.Conn())
	if err != nil {
		return 0, err
	}
	last, err := node.Journal().Last(ctx)
	if err != nil {
		return 0, err
	}
	began := time.Now()
	consumer, err := js.OrderedConsumer(ctx, "JOURNAL_1", jetstream.OrderedConsumerConfig{})
	if err != nil {
		return 0, err
	}
	done := make(chan struct{})
	var n uint64
	reading, err := consumer.Consume(func(jetstream.Msg) {
		if n++; n == last {
			close(done)
		}
	}, jetstream.PullMaxMessages(10_000))
	if err != nil {
		return 0, err
	}
	defer reading.Stop()
	select {
	case <-done:
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	return float64(n) / time.Since(began).Seconds(), nil
}

// catchUp links the register, which has never been linked, to a new head office, twice. The first
// time it uses bare nodes, and times them until the stream holds every entry. The second time it
// uses the whole head office, and times it until every entry is verified. Each time the register
// must have everything still to send, so the first time works on a copy.
func (b *bench) catchUp(ctx context.Context) error {
	b.say("catching up with %d entries", b.entries)
	if err := os.CopyFS(filepath.Join(b.dir, "register-bare"), os.DirFS(filepath.Join(b.dir, "register"))); err != nil {
		return err
	}
	bare, err := b.catchUpBare(ctx)
	if err != nil {
		return err
	}
	verified, err := b.catchUpVerified(ctx)
	if err != nil {
		return err
	}
	b.figures = append(b.figures, figure{"catch-up after an outage", verified, "entries/s", bare, "bare durable sourcing", "at least 0.8x", verified >= 0.8*bare})
	return nil
}

func (b *bench) catchUpBare(ctx context.Context) (rate float64, err error) {
	dir := filepath.Join(b.dir, "hq-bare")
	node, err := embedded.StartHQ(ctx, embedded.HQConfig{Dir: dir, ListenLeaf: "127.0.0.1:0"})
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, node.Close()) }()
	creds, err := b.enroll(dir)
	if err != nil {
		return 0, err
	}
	if err := node.AddJournal(ctx, benchRegister, 1); err != nil {
		return 0, err
	}
	r, err := embedded.StartRegister(ctx, embedded.RegisterConfig{Dir: filepath.Join(b.dir, "register-bare"), Register: benchRegister, Epoch: 1, HQ: node.LeafURL(), Creds: creds})
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	js, err := jetstream.New(node.Conn())
	if err != nil {
		return 0, err
	}
	return b.rate(ctx, func() (n uint64, err error) {
		for _, shard := range node.Shards() {
			stream, err := js.Stream(ctx, shard)
			if err != nil {
				return 0, err
			}
			n += stream.CachedInfo().State.Msgs
		}
		return n, nil
	})
}

func (b *bench) catchUpVerified(ctx context.Context) (rate float64, err error) {
	dir := filepath.Join(b.dir, "hq")
	h, err := hq.Open(ctx, hq.Config{Dir: dir, ListenLeaf: "127.0.0.1:0", Clock: time.Now, Logger: newLogger(b.std.err)})
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, h.Close()) }()
	creds, err := b.enroll(dir)
	if err != nil {
		return 0, err
	}
	r, err := register.Open(ctx, b.config(h.LeafURL(), creds))
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	return b.rate(ctx, func() (uint64, error) {
		journals, err := h.Journals(ctx)
		if err != nil || len(journals) == 0 {
			return 0, err
		}
		return journals[0].Head.Sequence, nil
	})
}

func (b *bench) enroll(hqDir string) (path string, err error) {
	creds, err := hq.Enroll(hqDir, benchRegister)
	if err != nil {
		return "", err
	}
	path = hqDir + ".creds"
	return path, os.WriteFile(path, creds, 0o600)
}

// rate returns how many entries a second a count grows, from its first entry to the last. The time
// that the link takes to come up does not count.
func (b *bench) rate(ctx context.Context, count func() (uint64, error)) (float64, error) {
	var began time.Time
	var first uint64
	for ctx.Err() == nil {
		n, err := count()
		if err != nil {
			return 0, err
		}
		if n > 0 && began.IsZero() {
			began, first = time.Now(), n
		}
		if n >= uint64(b.entries) {
			return float64(n-first) / time.Since(began).Seconds(), nil
		}
		time.Sleep(5 * time.Millisecond)
	}
	return 0, ctx.Err()
}

// startUp starts the register as a process of its own and measures its start-up time and its
// memory.
func (b *bench) startUp(ctx context.Context) error {
	b.say("starting a register with %d entries", b.entries)
	program, err := os.Executable()
	if err != nil {
		return err
	}
	began := time.Now()
	cmd := exec.CommandContext(ctx, program, "register", "--data", filepath.Join(b.dir, "register"), "--name", benchRegister.String(), "--listen", "127.0.0.1:0")
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	took := time.Since(began).Seconds()
	if err != nil {
		return errors.Join(fmt.Errorf("start a register: %w", err), cmd.Wait())
	}
	go func() { _, _ = io.Copy(io.Discard, out) }()
	time.Sleep(2 * time.Second) // the check in the background runs meanwhile; the figure with it is larger and honest
	mib, err := residentMiB(cmd.Process.Pid)
	if err != nil {
		return err
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		return err
	}
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("%s: %w", strings.TrimSpace(line), err)
	}
	b.figures = append(b.figures,
		figure{Name: fmt.Sprintf("start-up with %d entries", b.entries), Value: took, Unit: "s", Goal: "under 2 s", Met: took < 2},
		figure{Name: "resident memory after it", Value: mib, Unit: "MiB", Goal: "under 143 MiB (150 MB)", Met: mib < 143})
	return nil
}

// residentMiB returns the resident memory of a process in MiB, as the kernel counts it.
func residentMiB(pid int) (float64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	var kib float64
	_, rest, _ := strings.Cut(string(status), "VmRSS:")
	if _, err := fmt.Sscan(rest, &kib); err != nil {
		return 0, fmt.Errorf("resident memory of process %d: %w", pid, err)
	}
	return kib / 1024, nil
}

var _ ledger.Log = (*embedded.Journal)(nil)
