package register

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/posnode/posnode/embedded"
	"github.com/posnode/posnode/events"
	"github.com/posnode/posnode/ledger"
	"github.com/posnode/posnode/projections"
)

// One contract, two sources: what a command asks is answered by the Retail Server or by
// the offline database, and what this register did itself is put to either in the same way.

// source is where the data requests of one command go.
type source interface {
	// look gives what the source holds for each query. A later look for the same gives the same.
	look(ctx context.Context, queries ...ledger.Query) (map[ledger.Query]held, error)
}

// held is what a source holds for one query.
type held struct {
	record any // nil for nothing; [ledger.Hits] for a search
	// edited is when a customer's details were written down, where that was after the record's AsOf.
	edited string
	// included is up to which entry of this register the record holds what that did.
	included events.Head
}

// offlineSource is the offline database.
type offlineSource struct{ reference *projections.Reference }

func (s offlineSource) look(ctx context.Context, queries ...ledger.Query) (map[ledger.Query]held, error) {
	out := make(map[ledger.Query]held, len(queries))
	for _, q := range queries {
		if kind, search := strings.CutSuffix(q.Kind, "_search"); search {
			hits, err := s.reference.Search(ctx, kind, q.Key, ledger.MaxHits+1)
			if err != nil {
				return nil, err
			}
			if len(hits) > 0 {
				out[q] = held{record: ledger.Hits(hits)}
			}
			continue
		}
		record, found, err := s.reference.Find(ctx, q)
		if err != nil {
			return nil, err
		}
		if found {
			out[q] = held{record: record}
		}
	}
	return out, nil
}

// onlineSource is the Retail Server, for one command: every question counts against
// the same time, and nothing is asked twice.
type onlineSource struct {
	register *Register
	within   time.Duration // for all questions together
	until    time.Time     // when it is over; zero before the first question
	known    map[ledger.Query]held
}

func (r *Register) online(within time.Duration) *onlineSource {
	return &onlineSource{register: r, within: within, known: map[ledger.Query]held{}}
}

func (s *onlineSource) look(ctx context.Context, queries ...ledger.Query) (map[ledger.Query]held, error) {
	for {
		var ask []ledger.Query
		for _, q := range queries {
			if _, known := s.known[q]; !known {
				ask = append(ask, q)
			}
		}
		if len(ask) == 0 {
			return s.known, nil
		}
		if err := s.ask(ctx, ask); err != nil {
			return nil, err
		}
	}
}

// deadline is when the time of the command's questions is over; it begins to run with the first.
func (s *onlineSource) deadline(ctx context.Context) (context.Context, context.CancelFunc) {
	if s.until.IsZero() {
		s.until = time.Now().Add(s.within)
	}
	return context.WithDeadline(ctx, s.until)
}

// pause stops the time, as long as the command waits for others.
func (s *onlineSource) pause() {
	if !s.until.IsZero() {
		s.within, s.until = time.Until(s.until), time.Time{}
	}
}

// lost is a data request that did not succeed: from here on the register is offline. A business
// answer, such as that there is no such customer, is none.
type lost struct{ cause error }

func (e *lost) Error() string { return e.cause.Error() }
func (e *lost) Unwrap() error { return e.cause }

// ask puts one question, and takes in everything that is answered.
func (s *onlineSource) ask(ctx context.Context, queries []ledger.Query) error {
	question, err := json.Marshal(projections.Question{Queries: queries[:min(len(queries), projections.MaxQueries)]})
	if err != nil {
		return err
	}
	ctx, cancel := s.deadline(ctx)
	defer cancel()
	var reply projections.Reply
	if err := s.register.request(ctx, projections.FindService, question, &reply); err != nil {
		return &lost{err}
	}
	before := len(s.known)
	for _, result := range reply.Results {
		if err := s.take(ctx, result); err != nil {
			return err
		}
	}
	if len(s.known) == before {
		return &lost{&embedded.ServiceError{What: "its reply answers nothing"}}
	}
	return nil
}

// take keeps one result. Only an error of the offline database is none of head office's.
func (s *onlineSource) take(ctx context.Context, result projections.Result) error {
	if result.NotKept {
		// Head office does not keep such records at all: what was imported here counts.
		local, err := offlineSource{s.register.reference}.look(ctx, result.Query)
		s.known[result.Query] = local[result.Query]
		return err
	}
	one := held{edited: result.Edited}
	if result.Included != nil {
		one.included = *result.Included
	}
	if len(result.Record) > 0 {
		record, err := projections.DecodeRecord(result.Kind, result.Record)
		if err != nil {
			return &lost{&embedded.ServiceError{What: fmt.Sprintf("its %s %.40q cannot be read: %v", result.Kind, result.Key, err)}}
		}
		one.record = record
	}
	if len(result.Hits) > 0 {
		var hits ledger.Hits
		for _, hit := range result.Hits {
			if err := s.take(ctx, hit); err != nil {
				return err
			}
			if record := s.known[hit.Query].record; record != nil {
				hits = append(hits, record)
			}
		}
		one.record = hits
	}
	s.known[result.Query] = one
	return nil
}

// interestDelay is how long after the link has come up head office's services may not be
// known on it yet: what they listen to travels behind it.
const interestDelay = time.Second

// request puts a question to a service of head office, and reads its answer into out. It
// notes the attempt for the connection status.
func (r *Register) request(ctx context.Context, service string, question []byte, out any) (err error) {
	began := time.Now()
	defer func() { r.contact.note(r.cfg.Clock(), err) }()
	var answer []byte
	for {
		answer, err = r.ask(ctx, service, question)
		if !errors.Is(err, embedded.ErrNobodyAnswers) || time.Since(r.node.Link().Since) > interestDelay || ctx.Err() != nil {
			break
		}
		sleep(ctx, 10*time.Millisecond)
	}
	if err != nil {
		return err
	}
	if err = json.Unmarshal(answer, out); err != nil {
		return &embedded.ServiceError{What: fmt.Sprintf("its answer cannot be read: %v", err)}
	}
	if dated, ok := out.(interface{ Said() (time.Time, string) }); ok {
		at, version := dated.Said()
		r.contact.heard(r.cfg.Clock(), time.Since(began), at, version)
	}
	return nil
}
