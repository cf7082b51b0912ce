package embedded

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/posnode/posnode/events"
)

// Journal is the stream of one register and epoch. It can be appended to at the end and read in
// order, nothing else.
type Journal struct {
	register events.Register
	epoch    int
	nc       *nats.Conn
	js       jetstream.JetStream
	stream   jetstream.Stream
	disk     *diskGuard   // nil: read only
	health   func() error // of the server; nil: nobody looks after it
}

// openJournal opens an existing journal.
func openJournal(ctx context.Context, nc *nats.Conn, js jetstream.JetStream, r events.Register, epoch int) (*Journal, error) {
	stream, err := js.Stream(ctx, journalName(epoch))
	if err != nil {
		return nil, fmt.Errorf("open journal of %s, epoch %d: %w", r, epoch, err)
	}
	return &Journal{register: r, epoch: epoch, nc: nc, js: js, stream: stream}, nil
}

// Register returns the register that the journal belongs to.
func (j *Journal) Register() events.Register { return j.register }

// Epoch returns the epoch of the journal.
func (j *Journal) Epoch() int { return j.epoch }

// Append stores m as the entry after `after`, and returns nil only when it is on disk. ErrConflict,
// ErrFull and ErrTooLarge mean that nothing was stored. After any other error the entry may have
// been stored or not, so the caller reads the end of the journal before it goes on.
func (j *Journal) Append(ctx context.Context, after uint64, m events.Message) error {
	if err := j.append(ctx, after, m); err != nil {
		return fmt.Errorf("append %s after %d: %w", m.Subject, after, err)
	}
	return nil
}

func (j *Journal) append(ctx context.Context, after uint64, m events.Message) error {
	if err := j.check(after, m); err != nil {
		return err
	}
	ctx, stop := j.whileHealthy(ctx)
	defer stop()
	// If we died here, nothing has happened.
	ack, err := j.js.PublishMsg(ctx, &nats.Msg{Subject: m.Subject, Data: m.Body},
		jetstream.WithMsgID(m.ID),
		jetstream.WithExpectStream(j.stream.CachedInfo().Config.Name),
		jetstream.WithExpectLastSequence(after),
		jetstream.WithRetryAttempts(0))
	// If we died between the publish and here, the entry is on disk whole, or not at all. The
	// server writes one record and syncs it before it acknowledges, and cuts off a torn record when
	// it opens the store. The client has no answer and asks again with the same command key. By
	// then the writer has read the journal and knows whether the key is in it.
	if err != nil && context.Cause(ctx) != nil {
		return context.Cause(ctx)
	}
	if err != nil {
		return appendError(err)
	}
	if ack.Duplicate {
		return fmt.Errorf("%w: entry %s is stored already at %d", events.ErrConflict, m.ID, ack.Sequence)
	}
	if ack.Sequence != after+1 {
		return fmt.Errorf("stored at %d instead of %d", ack.Sequence, after+1)
	}
	// If we died here, the entry is on disk and nobody has been told. The client asks again, as
	// above.
	return nil
}

// lookWhileWaiting is how often an append that waits looks whether its answer can still come.
const lookWhileWaiting = 100 * time.Millisecond

// whileHealthy ends with the server's first failure to write: it answers nothing from then on.
func (j *Journal) whileHealthy(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	if j.health == nil {
		return ctx, func() { cancel(nil) }
	}
	var look *time.Timer
	look = time.AfterFunc(lookWhileWaiting, func() {
		if err := j.health(); err != nil {
			cancel(err)
		} else if ctx.Err() == nil {
			look.Reset(lookWhileWaiting)
		}
	})
	return ctx, func() { look.Stop(); cancel(nil) }
}

// check returns an error for an entry that must not be published, or a disk without room. Nothing
// has been published then.
func (j *Journal) check(after uint64, m events.Message) error {
	if j.disk == nil {
		return errors.New("journal is open for reading only")
	}
	if m.Sequence != 0 && m.Sequence != after+1 {
		return fmt.Errorf("entry says it is number %d", m.Sequence)
	}
	if m.ID == "" {
		return errors.New("entry has no id")
	}
	if len(m.Body) > events.MaxBody {
		return fmt.Errorf("%w: %d bytes, at most %d", ErrTooLarge, len(m.Body), events.MaxBody)
	}
	return j.disk.check(len(m.Body))
}

// ErrTooLarge means that an entry is larger than events.MaxBody. Nothing was stored.
var ErrTooLarge = errors.New("entry is too large")

// Error codes of JetStream with which nothing was stored.
const (
	codeInsufficientResources jetstream.ErrorCode = 10023 // the limit over all streams
	codeMessageTooLarge       jetstream.ErrorCode = 10054
	codeWrongLastSequence     jetstream.ErrorCode = 10071
	codeStoreFailed           jetstream.ErrorCode = 10077 // the stream's MaxBytes, or the store is closed
	codeWrongLastSequenceAny  jetstream.ErrorCode = 10164 // the same without the number
)

// appendError translates the error of a publish. It goes by the error's code, never by its text,
// except to recognise MaxBytes.
func appendError(err error) error {
	var api *jetstream.APIError
	if !errors.As(err, &api) {
		return err
	}
	switch api.ErrorCode {
	case codeWrongLastSequence, codeWrongLastSequenceAny:
		return fmt.Errorf("%w: %s", events.ErrConflict, api.Description)
	case codeInsufficientResources:
		return fmt.Errorf("%w: %s", events.ErrFull, api.Description)
	case codeStoreFailed:
		if api.Description == server.ErrMaxBytes.Error() {
			return fmt.Errorf("%w: it may take no more than its MaxBytes", events.ErrFull)
		}
	case codeMessageTooLarge:
		return fmt.Errorf("%w: %s", ErrTooLarge, api.Description)
	}
	return err
}

// Last returns the sequence of the last entry that the stream vouches for, 0 if it is empty. After
// damage at the end it is smaller than before, without any error. So the caller compares it with a
// sequence that it knows.
func (j *Journal) Last(ctx context.Context) (uint64, error) {
	info, err := j.stream.Info(ctx)
	if err != nil {
		return 0, fmt.Errorf("last entry of the journal: %w", err)
	}
	return info.State.LastSeq, nil
}

// Get returns one entry. It returns a *events.CorruptError for an entry that should be there and
// cannot be read.
func (j *Journal) Get(ctx context.Context, seq uint64) (events.Message, error) {
	raw, err := j.stream.GetMsg(ctx, seq)
	if err == nil {
		return events.Message{Subject: raw.Subject, ID: raw.Header.Get(nats.MsgIdHdr), Sequence: raw.Sequence, Body: raw.Data}, nil
	}
	if !errors.Is(err, jetstream.ErrMsgNotFound) {
		return events.Message{}, fmt.Errorf("get entry %d: %w", seq, err)
	}
	last, err := j.Last(ctx)
	if err != nil {
		return events.Message{}, err
	}
	if seq == 0 || seq > last {
		return events.Message{}, fmt.Errorf("get entry %d: the journal ends at %d", seq, last)
	}
	return events.Message{}, gap(seq, "nothing readable")
}

// gap returns the error for an entry that is missing although later ones are there.
func gap(seq uint64, got string) error {
	return &events.CorruptError{
		Sequence: seq,
		Kind:     "gap",
		Want:     "entry " + strconv.FormatUint(seq, 10),
		Got:      got,
		Hint:     "the message store cannot read it: see the stream's .blk files; HQ or a bundle may hold it",
	}
}

// diskReserve is the space kept free on the journal's disk, in bytes. A file system that is full to
// the last block freezes the stream until the node is started again (nats.md, finding 8). So the
// till stops selling before that. The reserve leaves room for the server's own files, and time to
// notice another program that fills the disk.
const diskReserve = 64 << 20

// diskGuard refuses an append while the disk has no room. Selling goes on as soon as there is some.
type diskGuard struct {
	dir string

	mu      sync.Mutex
	checked time.Time
	free    uint64
	written uint64 // since checked
}

// check asks the file system for its free space at most once a second, or after an eighth of the
// reserve was written. While there is no room it asks every time.
func (g *diskGuard) check(size int) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if time.Since(g.checked) > time.Second || g.written > diskReserve/8 || g.free < diskReserve {
		_, free, err := diskSpace(g.dir)
		if err != nil {
			return err
		}
		g.checked, g.free, g.written = time.Now(), free, 0
	}
	if g.free < diskReserve {
		return fmt.Errorf("%w: %d MiB free on the disk of %s, %d MiB are kept in reserve",
			events.ErrFull, g.free>>20, g.dir, diskReserve>>20)
	}
	g.written += uint64(size)
	return nil
}
