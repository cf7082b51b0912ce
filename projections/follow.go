package projections

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"
	"unicode/utf8"
)

// Feed is where reference data comes from, and how far it has got.
type Feed struct {
	Stream    string    `json:"stream,omitempty"` // of head office; "" where there has been none
	Position  uint64    `json:"position,omitempty"`
	Confirmed time.Time `json:"confirmed,omitzero"` // when head office last said that there is nothing newer
	Skipped   []Skipped `json:"skipped,omitempty"`  // the parts that this program does not understand
}

// Skipped is something in the reference data that this program does not understand,
// because head office is of a later version: it goes on without.
type Skipped struct {
	Kind  string `json:"kind"`
	What  string `json:"what"`
	Count int    `json:"count"`
}

// maxSkipped is how many different things are named.
const maxSkipped = 100

// openFeed reads the stored state of the feed. Records that an earlier run skipped are read again,
// because this program may be a later version.
func (r *referenceFile) openFeed(ctx context.Context) error {
	if _, err := r.writer.ExecContext(ctx, "UPDATE feed SET position = 0 WHERE EXISTS (SELECT 1 FROM skipped)"); err != nil {
		return damage(err)
	}
	err := r.writer.QueryRowContext(ctx, "SELECT confirmed FROM feed").Scan(textTime{&r.confirmed})
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return damage(err)
}

// Feed says where the reference data comes from.
func (r *Reference) Feed(ctx context.Context) (Feed, error) {
	f := Feed{Confirmed: r.Confirmed()}
	err := each(ctx, r.reader, (*Feed).columns, "SELECT stream, position FROM feed", nil, func(row Feed) bool {
		f.Stream, f.Position = row.Stream, row.Position
		return false
	})
	if err == nil {
		err = each(ctx, r.reader, (*Skipped).columns, "SELECT kind, what, count FROM skipped ORDER BY kind, what", nil, func(s Skipped) bool {
			f.Skipped = append(f.Skipped, s)
			return true
		})
	}
	if err != nil {
		return f, fmt.Errorf("read where reference data comes from: %w", err)
	}
	return f, nil
}

func (f *Feed) columns() []any    { return []any{&f.Stream, &f.Position} }
func (s *Skipped) columns() []any { return []any{&s.Kind, &s.What, &s.Count} }

// Confirmed is when head office last said that there is nothing newer; zero for never.
func (r *referenceFile) Confirmed() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.confirmed
}

// confirmEvery is how often the time of a confirmation is written: a restart may show one that is as much older.
const confirmEvery = time.Minute

// Confirm notes that, at a time, head office had nothing newer than the records here.
func (r *Reference) Confirm(ctx context.Context, at time.Time) error {
	r.mu.Lock()
	r.confirmed = at
	write := at.Sub(r.persisted) >= confirmEvery
	if write {
		r.persisted = at
	}
	r.mu.Unlock()
	if !write {
		return nil
	}
	if _, err := r.writer.ExecContext(ctx, "UPDATE feed SET confirmed = ?", at.UTC().Format(time.RFC3339Nano)); err != nil {
		return fmt.Errorf("confirm reference data: %w", damage(err))
	}
	return nil
}

// Commit is the message of the reference stream that ends a batch: the records before it become
// visible with it. It says when each kind was last spoken of.
type Commit struct {
	Committed map[string]time.Time `json:"committed"`
}

// Follow brings the file up to a commit of a reference stream: position and records in
// one transaction, so that a batch is seen whole or not at all. read yields the bodies of the stream's messages from
// a position on. Another stream than the one before, or the first, takes the place of all that is here.
func (r *Reference) Follow(ctx context.Context, stream string, commit uint64, read func(from uint64, yield func(seq uint64, body []byte) error) error) error {
	if err := r.follow(ctx, stream, commit, read); err != nil {
		return fmt.Errorf("follow reference stream %s to %d: %w", stream, commit, damage(err))
	}
	return nil
}

func (r *Reference) follow(ctx context.Context, stream string, commit uint64, read func(from uint64, yield func(seq uint64, body []byte) error) error) error {
	in, err := r.begin(ctx)
	if err != nil {
		return err
	}
	defer in.tx.Rollback() // does nothing once it is committed
	position, err := in.takeOver(stream)
	if err != nil {
		return err
	}
	err = read(position+1, func(seq uint64, body []byte) error { return in.follow(seq, body, r.has) })
	if err != nil {
		return err
	}
	if _, err := in.tx.Exec("UPDATE feed SET position = ?", int64(commit)); err != nil {
		return err
	}
	// If we died before this line, the next start reads the same messages again; after it, it goes on behind them.
	return in.commit(r)
}

// takeOver makes stream the one that feeds the file, and returns how far it has come.
func (in *importing) takeOver(stream string) (position uint64, err error) {
	var before string
	err = in.tx.QueryRow("SELECT stream, position FROM feed").Scan(&before, &position)
	switch {
	case err == nil && before == stream:
		if position > 0 {
			return position, nil
		}
		_, err = in.tx.Exec("DELETE FROM skipped") // all of it is read again
		return 0, err
	case err != nil && !errors.Is(err, sql.ErrNoRows):
		return 0, err
	}
	for _, table := range []string{"records", "search", "imports", "skipped", "feed"} {
		if _, err := in.tx.Exec("DELETE FROM " + table); err != nil {
			return 0, err
		}
	}
	in.fresh = true // and the stream has each record once
	_, err = in.tx.Exec("INSERT INTO feed VALUES (1, ?, 0, ?)", stream, time.Time{}.Format(time.RFC3339Nano))
	return 0, err
}

// follow takes in one message of the stream. It leaves records that it does not understand as they
// were, and notes them. A record that the store may not have is taken away.
func (in *importing) follow(seq uint64, body []byte, has func(record any) bool) error {
	var message struct {
		Line
		Commit
	}
	if err := json.Unmarshal(body, &message); err != nil {
		return in.skip("", "a message that is no line of reference data")
	}
	line := &message.Line
	if message.Committed != nil {
		for kind, at := range message.Committed {
			in.kinds = map[string]bool{kind: true}
			if err := in.touch(at); err != nil {
				return err
			}
		}
		return nil
	}
	if use, err := in.understand(line); err != nil || !use {
		return err
	}
	if line.Kind == "staff" && !line.Deleted {
		if member, err := kinds["staff"].decode(line.Record); err != nil || !has(member) {
			line.Deleted, line.Record = true, nil
		}
	}
	old, err := in.existing(line)
	if err != nil {
		return err
	}
	return in.store(line, old, seq)
}

// understand says whether a line can be stored. One of a kind that this program does not know is
// kept for a later version, which will.
func (in *importing) understand(line *Line) (use bool, err error) {
	k, known := kinds[line.Kind]
	switch {
	case !known:
		return true, in.skip(line.Kind, "records of a kind that is not known")
	case line.Deleted:
		return true, nil
	}
	key, text, strict := k.inspect(line.Record, true)
	if strict == nil && (key == line.Key || k.keyless) {
		line.text = text
		return true, nil
	}
	if key, text, err = k.inspect(line.Record, false); err != nil || key != line.Key && !k.keyless {
		if err == nil {
			err = fmt.Errorf("it is that of %.40q", key)
		}
		return false, in.skip(line.Kind, "a record that cannot be used, so that the one before stays: "+err.Error())
	}
	line.text = text
	return true, in.skip(line.Kind, strict.Error())
}

// skip notes something that is not understood.
func (in *importing) skip(kind, what string) error {
	what = strings.ToValidUTF8(what[:min(len(what), 200)], string(utf8.RuneError))
	_, err := in.tx.Exec(`INSERT INTO skipped SELECT ?1, ?2, 1 WHERE (SELECT count(*) FROM skipped) < ?3 OR EXISTS (SELECT 1 FROM skipped WHERE kind = ?1 AND what = ?2)
		ON CONFLICT DO UPDATE SET count = count + 1`, kind, what, maxSkipped)
	return err
}

// PageAsked is a register's question for new records.
type PageAsked struct {
	Stream string `json:"stream,omitempty"` // that it has a copy of
	After  uint64 `json:"after,omitempty"`  // how far the copy goes
}

// Page is a part of the reference data on its way to a register.
type Page struct {
	Stream   string   `json:"stream"`   // that head office follows
	Position uint64   `json:"position"` // how far
	Lines    []Placed `json:"lines,omitempty"`
	// More says that the page ends before the position.
	More   bool   `json:"more,omitempty"`
	Commit Commit `json:"commit"`
}

// Placed is a line with its place in head office's stream.
type Placed struct {
	Sequence uint64 `json:"sequence"`
	Line
}

// MaxPage bounds the bytes of the records of a page, about.
const MaxPage = 256 << 10

// Page returns the records of the view's store after a position of the stream, deletions included,
// in the order of the stream. It holds only committed records.
func (r *Reference) Page(ctx context.Context, after uint64) (Page, error) {
	feed, err := r.Feed(ctx)
	if err != nil {
		return Page{}, err
	}
	p := Page{Stream: feed.Stream, Position: feed.Position, Commit: Commit{map[string]time.Time{}}}
	size := 0
	// Rows that a commit after the feed was read has brought come with the next page.
	err = each(ctx, r.reader, (*placedRow).columns, `SELECT seq, scope, kind, key, record FROM records
		WHERE seq > ? AND seq <= ? AND scope IN ('all', ?) ORDER BY seq`, []any{int64(after), int64(feed.Position), string(r.register.Store)},
		func(row placedRow) bool {
			if size += len(row.Record) + len(row.Key) + 100; size > MaxPage && len(p.Lines) > 0 {
				p.More = true
				return false
			}
			if row.Kind == "staff" && row.Record != nil {
				if member, err := kinds["staff"].decode(row.Record); err != nil || !r.has(member) {
					if row.Record = nil; after == 0 {
						return true // there is no copy from which it would have to go
					}
				}
			}
			if row.Deleted = row.Record == nil; row.Store == Everybody {
				row.Store = ""
			}
			p.Lines = append(p.Lines, row.Placed)
			return true
		})
	if err == nil {
		err = each(ctx, r.reader, (*AsOf).columns, "SELECT kind, 0, at FROM imports", nil, func(a AsOf) bool {
			p.Commit.Committed[a.Kind] = a.Time
			return true
		})
	}
	if err != nil {
		return p, fmt.Errorf("read a page of reference data after %d: %w", after, err)
	}
	return p, nil
}

type placedRow struct{ Placed }

func (p *placedRow) columns() []any {
	return []any{&p.Sequence, &p.Store, &p.Kind, &p.Key, (*[]byte)(&p.Record)}
}

// CommitOf is the commit that ends a batch about some kinds, at a time: every other kind stays as it was last spoken of.
func (r *Reference) CommitOf(ctx context.Context, about []string, at time.Time) (Commit, error) {
	p, err := r.Page(ctx, 1<<62)
	if err != nil {
		return Commit{}, err
	}
	all := maps.Clone(p.Commit.Committed)
	for _, kind := range about {
		all[kind] = at.UTC()
	}
	return Commit{all}, nil
}
