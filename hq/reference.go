package hq

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/posnode/posnode/embedded"
	"github.com/posnode/posnode/events"
	"github.com/posnode/posnode/projections"
)

// Reference data at head office is a stream, and reference.db is made of it: what is not
// committed there is not visible here, and what is not visible here no register gets.

// openReference opens reference.db, which is derived, finishes imports that were cut off, and follows the stream.
func (h *HQ) openReference(ctx context.Context) (err error) {
	path := filepath.Join(h.cfg.Dir, "reference.db")
	h.reference, err = projections.OpenReference(path)
	damaged := errors.Is(err, projections.ErrDamaged)
	again := damaged || errors.Is(err, projections.ErrVersion)
	if err == nil {
		if again, err = h.foreign(ctx); again {
			err = errors.Join(err, h.reference.Close())
		}
	}
	if again {
		h.cfg.Logger.Warn("reference.db is made anew of the stream", "error", err)
		if err = projections.DropReference(path, damaged); err == nil {
			h.reference, err = projections.OpenReference(path)
		}
	}
	if err != nil {
		return err
	}
	h.importing.Lock()
	defer h.importing.Unlock()
	return h.finishImports(ctx)
}

// foreign says whether reference.db is of another stream than head office's, or of a later state of it:
// the stream was made anew, or put back from a backup. What is imported now would be compared with the wrong thing.
func (h *HQ) foreign(ctx context.Context) (bool, error) {
	stream := h.node.Reference()
	feed, err := h.reference.Feed(ctx)
	if err != nil || feed.Stream == "" {
		return false, err
	}
	committed, err := stream.Committed(ctx)
	return err == nil && (feed.Stream != stream.Origin() || feed.Position > committed), err
}

// followReferenceEvery is how soon one instance of head office sees what another has imported.
const followReferenceEvery = time.Second

// followReference brings reference.db up to what other instances import, until ctx ends.
func (h *HQ) followReference(ctx context.Context) {
	h.keepOn(ctx, "following reference data", func() error {
		tick := time.NewTicker(followReferenceEvery)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-tick.C:
			}
			if err := h.catchUpReference(ctx); err != nil {
				return err
			}
		}
	})
}

func (h *HQ) catchUpReference(ctx context.Context) error {
	h.importing.Lock()
	defer h.importing.Unlock()
	return h.applyReference(ctx)
}

// applyReference brings reference.db up to the last commit of the stream.
func (h *HQ) applyReference(ctx context.Context) error {
	stream := h.node.Reference()
	committed, err := stream.Committed(ctx)
	if err != nil || committed == 0 {
		return err
	}
	feed, err := h.reference.Feed(ctx)
	if err != nil || feed.Stream == stream.Origin() && feed.Position >= committed {
		return err
	}
	return h.reference.Follow(ctx, stream.Origin(), committed, func(from uint64, yield func(uint64, []byte) error) error {
		return stream.Read(ctx, from, committed, yield)
	})
}

// ImportOptions say how an import is meant.
type ImportOptions struct {
	projections.Format
	DryRun bool
}

// Import takes reference data in from JSON Lines or CSV, all of it or nothing, and
// publishes what it changes. The report names every line that is wrong, in which case the error is
// [projections.ErrNotImported]. When it returns nil, registers get what is new with their next question.
//
// After any other error it is unknown whether it was imported; the same import again tells, and finishes it.
func (h *HQ) Import(ctx context.Context, lines io.Reader, options ImportOptions) (projections.ImportReport, error) {
	h.importing.Lock()
	defer h.importing.Unlock()
	if err := h.finishImports(ctx); err != nil {
		return projections.ImportReport{}, err
	}
	last, err := h.node.Reference().Last(ctx)
	if err == nil {
		err = h.applyReference(ctx) // what came before that end is what the import is compared with
	}
	if err != nil {
		return projections.ImportReport{}, err
	}
	before, err := h.reference.Feed(ctx)
	if err != nil {
		return projections.ImportReport{}, err
	}
	report, changes, err := h.reference.Plan(ctx, lines, options.Format)
	if err != nil || options.DryRun || len(changes.Kinds) == 0 {
		return report, err
	}
	now := h.cfg.Clock()
	commit, err := h.reference.CommitOf(ctx, changes.Kinds, now)
	if err != nil {
		return report, err
	}
	staged, err := stage(changes.Lines, commit)
	if err != nil {
		return report, err
	}
	id, err := ulid.New(ulid.Timestamp(now), rand.Reader)
	if err != nil {
		return report, err
	}
	ctx = context.WithoutCancel(ctx)
	// If we died before this line, nothing is imported. After it the import is stored, and
	// whichever instance starts or imports next finishes it.
	if err := h.node.StageImport(ctx, id.String(), bytes.NewReader(staged)); err != nil {
		return report, err
	}
	if stored, err := h.finishImport(ctx, id.String(), last, staged); err != nil {
		if errors.Is(err, events.ErrConflict) && stored == 0 { // it changes what is no longer so
			err = errors.Join(fmt.Errorf("another instance of head office imports at the same time, import again: %w", err), h.node.DropImport(ctx, id.String()))
		}
		return report, err
	}
	if err := h.applyReference(ctx); err != nil || before.Stream != "" {
		return report, err
	}
	// From here on registers go by head office's: customers who have a lasting number already are sent, too.
	_, err = h.db.db.ExecContext(ctx, `INSERT OR IGNORE INTO dirty SELECT 'number', provisional FROM mapped`)
	h.moreSettled()
	return report, err
}

// stage is an import as it is kept until it is published: its lines and its commit, each a line.
func stage(lines []projections.Line, commit projections.Commit) ([]byte, error) {
	var all bytes.Buffer
	enc := json.NewEncoder(&all)
	for i := range lines {
		if err := enc.Encode(lines[i]); err != nil {
			return nil, err
		}
	}
	err := enc.Encode(commit)
	return all.Bytes(), err
}

// finishTries is how often another instance may be first that finishes the same, or imports.
const finishTries = 20

// finishImports publishes every import that was accepted and is not finished, and brings reference.db up to it. It
// does again what was cut off in the middle: the same values once more change nothing.
func (h *HQ) finishImports(ctx context.Context) (err error) {
	for range finishTries {
		if err = h.finishStaged(ctx); !errors.Is(err, events.ErrConflict) {
			break
		}
	}
	if err != nil {
		return err
	}
	return h.applyReference(ctx)
}

func (h *HQ) finishStaged(ctx context.Context) error {
	names, err := h.node.StagedImports(ctx)
	if err != nil {
		return err
	}
	for _, name := range names {
		staged, err := h.node.StagedImport(ctx, name)
		if err != nil {
			return err
		}
		last, err := h.node.Reference().Last(ctx)
		if err == nil {
			_, err = h.finishImport(ctx, name, last, staged)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// finishImport publishes an import behind the message at last, and says how many messages of it were stored.
func (h *HQ) finishImport(ctx context.Context, name string, last uint64, staged []byte) (stored int, err error) {
	messages, err := messagesOf(staged)
	if err != nil {
		return 0, fmt.Errorf("staged import %s: %w", name, err)
	}
	// If we died in here, records are in the stream and the commit that makes them visible is not.
	if stored, err = h.node.Reference().Publish(ctx, last, messages); err != nil {
		return stored, err
	}
	// If we died here, the same is published again, before any import that comes later.
	return stored, h.node.DropImport(ctx, name)
}

// messagesOf are the messages of a staged import. The commit comes last.
func messagesOf(staged []byte) (messages []embedded.ReferenceMessage, err error) {
	for body := range bytes.Lines(staged) {
		body = bytes.TrimSuffix(body, []byte("\n"))
		var line projections.Line
		if err := json.Unmarshal(body, &line); err != nil {
			return nil, err
		}
		if line.Kind == "" {
			messages = append(messages, embedded.ReferenceCommit(0, body))
			continue
		}
		messages = append(messages, embedded.ReferenceMessage{Subject: line.Subject(embedded.ReferenceSubject), Body: body})
	}
	return messages, nil
}

// answerReference gives a register what is new of its reference data (service reference).
func (h *HQ) answerReference(ctx context.Context, r events.Register, question []byte) ([]byte, error) {
	var q projections.PageAsked
	if err := json.Unmarshal(question, &q); err != nil {
		return nil, err
	}
	feed, err := h.reference.Feed(ctx)
	if err != nil {
		return nil, err
	}
	if q.Stream != feed.Stream {
		q.After = 0 // another stream's position: the register begins anew
	}
	page, err := h.reference.For(r).Page(ctx, q.After)
	if err != nil {
		return nil, err
	}
	return json.Marshal(page)
}
