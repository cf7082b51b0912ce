package embedded

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/oklog/ulid/v2"
)

// Reference data is a stream that keeps the last message of each subject, in the form
//
//	ref.<store or all>.<kind>.<key in base64url>
//
// and the subject ref.committed with the message that ends a batch. Head office has the original. A
// register has a copy of the part for its store, in its own domain.

const (
	// referenceOriginal is head office's stream. If it must be made anew, it gets another number,
	// because copies go by its name and the time of its making.
	referenceOriginal = "REFERENCE_1"
	referencePrefix   = "REFERENCE_"
	referenceSubjects = "ref.>"
	referenceCommit   = "ref.committed"

	// originSequence is the header of a copy's message with its sequence in the original.
	originSequence = "Posnode-Reference-Sequence"
	metaOrigin     = "posnode_origin"

	// importsBucket holds imports that are accepted and not yet published.
	importsBucket = "REFERENCE_IMPORTS"
)

// referenceConfig returns a stream of reference data. A new value replaces the old one for good:
// this is no journal.
func referenceConfig(name, origin string, replicas int) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name:               name,
		Description:        "reference data, last value per subject",
		Subjects:           []string{referenceSubjects},
		Retention:          jetstream.LimitsPolicy,
		Storage:            jetstream.FileStorage,
		Replicas:           replicas,
		MaxMsgs:            -1,
		MaxBytes:           -1,
		MaxMsgsPerSubject:  1,
		Discard:            jetstream.DiscardOld,
		MaxMsgSize:         maxStored,
		DenyPurge:          true,
		AllowDirect:        true,
		AllowAtomicPublish: true, // one round of fsync for many records
		Metadata:           map[string]string{metaOrigin: origin},
	}
}

// Reference is a stream of reference data: head office's original or a register's copy.
type Reference struct {
	nc     *nats.Conn
	js     jetstream.JetStream
	stream jetstream.Stream
	origin string
	disk   *diskGuard
}

// ReferenceMessage is one message of reference data.
type ReferenceMessage struct {
	Subject string
	Origin  uint64 // for a copy: the sequence in the original; 0 at head office
	Body    []byte
}

// ReferenceSubject returns the subject of one record.
func ReferenceSubject(store, kind, key string) string {
	return "ref." + store + "." + kind + "." + base64.RawURLEncoding.EncodeToString([]byte(key))
}

// ReferenceCommit makes the message that ends a batch.
func ReferenceCommit(origin uint64, body []byte) ReferenceMessage {
	return ReferenceMessage{referenceCommit, origin, body}
}

// Origin identifies the original stream at head office: its name and the time of its making.
func (r *Reference) Origin() string { return r.origin }

// maxBatch is the largest number of messages in one atomic batch, a limit of the server.
const maxBatch = 1000

// Last returns the sequence of the last message, 0 if there never was one.
func (r *Reference) Last(ctx context.Context) (uint64, error) {
	info, err := r.stream.Info(ctx)
	if err != nil {
		return 0, fmt.Errorf("end of reference data: %w", err)
	}
	return info.State.LastSeq, nil
}

// Publish appends messages behind the one at after, in order and with no other between them. It
// appends batches of up to a thousand, each all or none. It returns when they are on disk. If it
// fails, some may be stored; publishing the same again is harmless. It returns events.ErrConflict
// if another writer came in between, behind the stored ones.
func (r *Reference) Publish(ctx context.Context, after uint64, messages []ReferenceMessage) (stored int, err error) {
	for batch := range slices.Chunk(messages, maxBatch) {
		if after, err = r.publishBatch(ctx, after, batch); err != nil {
			return stored, fmt.Errorf("publish reference data: %w", appendError(err))
		}
		stored += len(batch)
	}
	return stored, nil
}

func (r *Reference) publishBatch(ctx context.Context, after uint64, batch []ReferenceMessage) (last uint64, err error) {
	id := ulid.Make().String()
	for i, m := range batch {
		if err := r.disk.check(len(m.Body)); err != nil {
			return 0, err
		}
		msg := nats.NewMsg(m.Subject)
		msg.Data = m.Body
		msg.Header.Set("Nats-Batch-Id", id)
		msg.Header.Set("Nats-Batch-Sequence", strconv.Itoa(i+1))
		if i == 0 {
			msg.Header.Set(nats.ExpectedLastSeqHdr, strconv.FormatUint(after, 10))
		}
		if m.Origin > 0 {
			msg.Header.Set(originSequence, strconv.FormatUint(m.Origin, 10))
		}
		if i < len(batch)-1 {
			if err := r.nc.PublishMsg(msg); err != nil {
				return 0, err
			}
			continue
		}
		// If we died before the last message, the server discards the batch.
		msg.Header.Set("Nats-Batch-Commit", "1")
		ack, err := r.js.PublishMsg(ctx, msg)
		if err != nil {
			return 0, err
		}
		last = ack.Sequence
	}
	return last, nil
}

// Committed returns the sequence of the last commit, 0 if there is none.
func (r *Reference) Committed(ctx context.Context) (uint64, error) {
	m, err := r.stream.GetLastMsgForSubject(ctx, referenceCommit)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("last commit of reference data: %w", err)
	}
	return m.Sequence, nil
}

// CopiedTo returns the sequence in the original up to which a copy is complete.
func (r *Reference) CopiedTo(ctx context.Context) (uint64, error) {
	info, err := r.stream.Info(ctx)
	if err != nil || info.State.LastSeq == 0 {
		return 0, err
	}
	m, err := r.stream.GetMsg(ctx, info.State.LastSeq)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return 0, nil // damaged: it is copied again
	}
	if err != nil {
		return 0, fmt.Errorf("end of the copy of reference data: %w", err)
	}
	at, err := strconv.ParseUint(m.Header.Get(originSequence), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("end of the copy of reference data: %w", err)
	}
	return at, nil
}

// Read yields the messages from..to that are still there, in order.
func (r *Reference) Read(ctx context.Context, from, to uint64, yield func(sequence uint64, body []byte) error) error {
	j := Journal{nc: r.nc, js: r.js, stream: r.stream}
	err := j.scanAll(ctx, from, to, func(d delivered) error {
		if d.sequence > to { // the message at the end was replaced meanwhile
			return errStop
		}
		return yield(d.sequence, d.Data)
	})
	if errors.Is(err, errStop) {
		err = nil
	}
	return err
}

// openReference opens head office's reference data, and makes its stream if it is new.
func (h *HQNode) openReference(ctx context.Context) error {
	stream, err := h.js.CreateOrUpdateStream(ctx, referenceConfig(referenceOriginal, "", h.cfg.replicas()))
	if err != nil {
		return fmt.Errorf("open reference data: %w", err)
	}
	origin := referenceOriginal + "@" + stream.CachedInfo().Created.UTC().Format(time.RFC3339Nano)
	h.reference = &Reference{nc: h.nc, js: h.js, stream: stream, origin: origin, disk: &diskGuard{dir: h.cfg.Dir}}
	h.imports, err = h.js.CreateOrUpdateObjectStore(ctx, jetstream.ObjectStoreConfig{
		Bucket: importsBucket, Description: "imports on their way into " + referenceOriginal, Storage: jetstream.FileStorage, Replicas: h.cfg.replicas(),
	})
	if err != nil {
		return fmt.Errorf("open imports: %w", err)
	}
	return nil
}

// Reference returns head office's reference data.
func (h *HQNode) Reference() *Reference { return h.reference }

// StageImport stores an import, so that any instance can finish it. It is stored whole or not at
// all.
func (h *HQNode) StageImport(ctx context.Context, name string, content io.Reader) error {
	if _, err := h.imports.Put(ctx, jetstream.ObjectMeta{Name: name}, content); err != nil {
		return fmt.Errorf("stage import: %w", err)
	}
	return nil
}

// StagedImports returns the names of the imports that are not finished, in order.
func (h *HQNode) StagedImports(ctx context.Context) ([]string, error) {
	list, err := h.imports.List(ctx)
	if errors.Is(err, jetstream.ErrNoObjectsFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list staged imports: %w", err)
	}
	var names []string
	for _, info := range list {
		names = append(names, info.Name)
	}
	slices.Sort(names)
	return names, nil
}

// StagedImport returns the content of a staged import.
func (h *HQNode) StagedImport(ctx context.Context, name string) ([]byte, error) {
	content, err := h.imports.GetBytes(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("read staged import: %w", err)
	}
	return content, nil
}

// DropImport deletes an import that is finished.
func (h *HQNode) DropImport(ctx context.Context, name string) error {
	err := h.imports.Delete(ctx, name)
	if errors.Is(err, jetstream.ErrObjectNotFound) {
		// Another instance has finished and deleted it, unless the replica that answered is behind.
		names, listing := h.StagedImports(ctx)
		if listing == nil && !slices.Contains(names, name) {
			return nil
		}
	}
	if err != nil {
		return fmt.Errorf("drop staged import: %w", err)
	}
	return nil
}

// ReferenceCopy returns the register's copy of the reference data of origin. If there is none of
// that origin, it begins a new copy in place of any other. With an empty origin it returns the
// existing copy, or nil if there is none.
func (n *RegisterNode) ReferenceCopy(ctx context.Context, origin string) (*Reference, error) {
	copied, err := n.referenceCopy(ctx, origin)
	if err != nil {
		return nil, fmt.Errorf("copy of reference data: %w", err)
	}
	return copied, nil
}

func (n *RegisterNode) referenceCopy(ctx context.Context, origin string) (*Reference, error) {
	js, err := jetstream.New(n.nc)
	if err != nil {
		return nil, err
	}
	var old []string
	list := js.ListStreams(ctx)
	for info := range list.Info() {
		if !strings.HasPrefix(info.Config.Name, referencePrefix) {
			continue
		}
		if of := info.Config.Metadata[metaOrigin]; origin == "" || of == origin {
			origin = of
			continue
		}
		old = append(old, info.Config.Name)
	}
	if err := list.Err(); err != nil || origin == "" {
		return nil, err
	}
	for _, name := range old {
		// If we died here, there is no copy. The next contact with head office begins one.
		if err := js.DeleteStream(ctx, name); err != nil {
			return nil, err
		}
	}
	name, _, _ := strings.Cut(origin, "@")
	if !strings.HasPrefix(name, referencePrefix) {
		return nil, fmt.Errorf("head office calls its stream %.40q", name)
	}
	stream, err := js.CreateOrUpdateStream(ctx, referenceConfig(name, origin, 1))
	if err != nil {
		return nil, err
	}
	return &Reference{nc: n.nc, js: js, stream: stream, origin: origin, disk: &diskGuard{dir: n.cfg.Dir}}, nil
}
