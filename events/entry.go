package events

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	strict "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/oklog/ulid/v2"
)

// ContentType is the media type of a stored entry: CloudEvents 1.0 structured mode in JSON.
const ContentType = "application/cloudevents+json"

// Mode is how the register stood to the Retail Server when a fact was recorded.
type Mode string

// The two modes of a register.
const (
	Online  Mode = "online"
	Offline Mode = "offline"
)

// Digest is a SHA-256 sum. JSON: 64 hex digits.
type Digest [sha256.Size]byte

// Hash returns the digest of stored bytes. The next entry carries it as its prevhash.
func Hash(body []byte) Digest { return sha256.Sum256(body) }

func (d Digest) String() string { return hex.EncodeToString(d[:]) }

// MarshalText writes 64 hex digits.
func (d Digest) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads 64 hex digits in lower case.
func (d *Digest) UnmarshalText(b []byte) error {
	if len(b) != hex.EncodedLen(len(d)) {
		return fmt.Errorf("digest of %d characters, want %d", len(b), hex.EncodedLen(len(d)))
	}
	if bytes.ContainsAny(b, "ABCDEF") {
		return fmt.Errorf("digest in upper case, want what sha256sum writes")
	}
	_, err := hex.Decode(d[:], b)
	return err
}

// Head is the end of a chain: its epoch, its last sequence, and the hash of that
// entry. At sequence 0 the hash is that of the activation record.
type Head struct {
	Epoch    int    `json:"epoch"`
	Sequence uint64 `json:"sequence"`
	Hash     Digest `json:"hash"`
}

// Circumstances are the attributes of an entry around its fact: the time, the staff member, the
// operation, the shift and the mode.
type Circumstances struct {
	ID        ulid.ULID
	Time      time.Time // the register's clock
	Operation int       // 0 for a fact that no operation asked for
	Command   CommandKey
	Staff     StaffID
	Approver  StaffID
	Shift     ShiftID
	Mode      Mode
}

// Envelope is every CloudEvents attribute of an entry, in the order in which it is stored.
type Envelope struct {
	SpecVersion     string     `json:"specversion"`
	ID              string     `json:"id"`     // ULID
	Source          string     `json:"source"` // /stores/<store>/registers/<register>
	Type            string     `json:"type"`   // stored fact name
	Subject         string     `json:"subject"`
	Time            string     `json:"time"`     // RFC 3339, nanoseconds, UTC
	Sequence        string     `json:"sequence"` // decimal
	Epoch           int        `json:"epoch"`
	PrevHash        string     `json:"prevhash"` // 64 hex digits
	Operation       int        `json:"operation,omitempty"`
	Command         CommandKey `json:"command,omitempty"`
	Staff           StaffID    `json:"staff,omitempty"`
	Approver        StaffID    `json:"approver,omitempty"`
	Shift           ShiftID    `json:"shift,omitempty"`
	Mode            Mode       `json:"mode"`
	DataContentType string     `json:"datacontenttype"`
}

// Entry is one decoded entry: its attributes, its fact brought up to the newest
// version, and the head of the chain that it makes.
type Entry struct {
	Envelope
	Register Register
	Time     time.Time
	Head     Head   // epoch, sequence and hash of this entry
	PrevHash Digest // hash of the entry before
	Fact     Fact
}

// timeFormat always has nine digits, so that times of one journal also sort as text.
const timeFormat = "2006-01-02T15:04:05.000000000Z"

// Seal encodes the entry that follows head in r's chain: the only place where an entry's bytes are
// made. The message is ready to append, and the entry equals the result of [Decode] on it.
func Seal(r Register, head Head, c Circumstances, fact Fact) (Message, *Entry, error) {
	sequence := head.Sequence + 1
	e := &Entry{
		Envelope: Envelope{
			SpecVersion: "1.0",
			ID:          c.ID.String(),
			Source:      r.Source(),
			Type:        fact.Type(),
			Subject:     fact.About(),
			Time:        c.Time.UTC().Format(timeFormat),
			Sequence:    strconv.FormatUint(sequence, 10),
			Epoch:       head.Epoch,
			PrevHash:    head.Hash.String(),
			Operation:   c.Operation, Command: c.Command, Staff: c.Staff, Approver: c.Approver, Shift: c.Shift, Mode: c.Mode,
			DataContentType: "application/json",
		},
		Register: r, Time: c.Time.UTC().Round(0), PrevHash: head.Hash, Fact: fact,
	}
	var body bytes.Buffer
	enc := json.NewEncoder(&body)
	enc.SetEscapeHTML(false)
	err := enc.Encode(struct {
		Envelope
		Data Fact `json:"data"`
	}{e.Envelope, fact})
	if err != nil {
		return Message{}, nil, fmt.Errorf("encode %s: %w", fact.Type(), err)
	}
	m := Message{
		Subject:  StreamSubject(r, fact.Type()),
		ID:       e.ID,
		Sequence: sequence,
		Body:     bytes.TrimSuffix(body.Bytes(), []byte("\n")),
	}
	if len(m.Body) > MaxBody {
		return Message{}, nil, fmt.Errorf("encode %s: entry of %d bytes is larger than %d", fact.Type(), len(m.Body), MaxBody)
	}
	e.Head = Head{Epoch: head.Epoch, Sequence: sequence, Hash: Hash(m.Body)}
	return m, e, nil
}

// StreamSubject is pos.<store>.<register>.<entity>.<fact>: closed sets only, no ids, no version.
func StreamSubject(r Register, factType string) string {
	name := factType
	if i := strings.LastIndex(name, ".v"); i > 0 {
		name = name[:i]
	}
	return "pos." + string(r.Store) + "." + string(r.ID) + "." + name
}

// Decode reads stored bytes. It never panics, and its error names the fault. It accepts one reading
// of an entry and no other: a repeated or unknown name, a name in other letters, or text that is
// not UTF-8 is an error, because another reader could read it differently.
func Decode(body []byte) (*Entry, error) {
	if len(body) > MaxBody {
		return nil, fmt.Errorf("entry of %d bytes is larger than %d", len(body), MaxBody)
	}
	var raw storedEntry
	if err := strict.Unmarshal(body, &raw, strict.RejectUnknownMembers(true)); err != nil {
		return nil, fmt.Errorf("entry is not what it must be: %w", err)
	}
	e := &Entry{Envelope: raw.Envelope}
	if err := e.read(); err != nil {
		return nil, err
	}
	fact, err := Facts.Decode(e.Type, json.RawMessage(raw.Data))
	if err != nil {
		return nil, err
	}
	if fact.About() != e.Subject {
		return nil, fmt.Errorf("subject %q, but its %s is about %q", e.Subject, e.Type, fact.About())
	}
	e.Fact, e.Head.Hash = fact, Hash(body)
	return e, nil
}

// storedEntry is an entry with data that is decoded once its type is known.
type storedEntry struct {
	Envelope
	Data jsontext.Value `json:"data"`
}

// read checks the attributes and fills in their typed forms.
func (e *Entry) read() error {
	if e.SpecVersion != "1.0" {
		return fmt.Errorf("specversion %q, want 1.0", e.SpecVersion)
	}
	if e.DataContentType != "application/json" {
		return fmt.Errorf("datacontenttype %q, want application/json", e.DataContentType)
	}
	if id, err := ulid.ParseStrict(e.ID); err != nil || id.String() != e.ID {
		return fmt.Errorf("id %q is not a ULID", e.ID)
	}
	store, id, ok := strings.Cut(strings.TrimPrefix(e.Source, "/stores/"), "/registers/")
	e.Register = Register{StoreID(store), RegisterID(id)}
	if !ok || e.Register.Validate() != nil || e.Register.Source() != e.Source {
		return fmt.Errorf("source %q, want /stores/<store>/registers/<register>", e.Source)
	}
	var err error
	if e.Time, err = time.Parse(timeFormat, e.Envelope.Time); err != nil || e.Time.Format(timeFormat) != e.Envelope.Time {
		return fmt.Errorf("time %q: want RFC 3339 with nine decimals in UTC", e.Envelope.Time)
	}
	seq, err := strconv.ParseUint(e.Sequence, 10, 64)
	if err != nil || seq == 0 || strconv.FormatUint(seq, 10) != e.Sequence {
		return fmt.Errorf("sequence %q is not a decimal from 1", e.Sequence)
	}
	if e.Epoch < 1 {
		return fmt.Errorf("epoch %d is below 1", e.Epoch)
	}
	if err := e.PrevHash.UnmarshalText([]byte(e.Envelope.PrevHash)); err != nil {
		return fmt.Errorf("prevhash: %w", err)
	}
	if e.Mode != Online && e.Mode != Offline {
		return fmt.Errorf("mode %q is neither online nor offline", e.Mode)
	}
	e.Head = Head{Epoch: e.Epoch, Sequence: seq}
	return nil
}
