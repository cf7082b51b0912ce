package events

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	strict "github.com/go-json-experiment/json"
)

// Fact is one thing that happened, in its newest version. Facts are pointers to
// the structs of this package and never change once they are sealed.
type Fact interface {
	// Type is the stored name, entity.past_participle.vN.
	Type() string
	// About names the transaction, shift, customer, card or member of staff that it is about: the CloudEvents subject.
	About() string
}

// Asked is embedded in a fact that a client's command asked for.
type Asked struct {
	// Input is the first 16 bytes, in hex, of the SHA-256 of the command's operation and
	// parameters in canonical JSON. The same idempotency key with another input is refused by it.
	// It is absent where no command asked.
	Input string `json:"input,omitempty"`
	// Reason is the reason code that was given, where the operation asks for one.
	Reason *Reason `json:"reason,omitempty"`
	// StartReason and EndReason are those for a transaction that begins or ends with the fact.
	StartReason *Reason `json:"start_reason,omitempty"`
	EndReason   *Reason `json:"end_reason,omitempty"`
}

// Reason is a reason code as it was given: its text is kept, for the list of codes changes.
type Reason struct {
	Code string `json:"code"`
	Text string `json:"text"`           // the code's
	Note string `json:"note,omitempty"` // a note of the cashier
}

// Request gives access to the embedded Asked of any fact that a command asked for.
func (a *Asked) Request() *Asked { return a }

// Requested is a fact that a client's command asked for.
type Requested interface {
	Fact
	Request() *Asked
}

// Upcast brings the data of a fact from one version to the next.
type Upcast func(data json.RawMessage) (json.RawMessage, error)

// Registry knows every stored name: the newest version of each fact, and how older ones become it.
type Registry struct {
	newest  map[string]func() Fact
	upcasts map[string]upcast
}

type upcast struct {
	to    string
	apply Upcast
}

// Facts is the registry of everything posnode stores.
var Facts = newRegistry()

// Add registers a fact in its newest version.
func (r *Registry) Add(make func() Fact) {
	name := make().Type()
	if _, twice := r.newest[name]; twice {
		panic("fact registered twice: " + name)
	}
	r.newest[name] = make
}

// AddUpcast registers how stored facts named from become facts named to, the version after it.
func (r *Registry) AddUpcast(from, to string, apply Upcast) {
	entity, v, _ := strings.Cut(from, ".v")
	n, err := strconv.Atoi(v)
	if err != nil || to != fmt.Sprintf("%s.v%d", entity, n+1) {
		panic("upcast from " + from + " to " + to + ": want the version after it")
	}
	r.upcasts[from] = upcast{to, apply}
}

// Types lists the stored names in their newest versions, sorted.
func (r *Registry) Types() []string {
	return slices.Sorted(maps.Keys(r.newest))
}

// New is an empty fact of a stored name in its newest version, or nil.
func (r *Registry) New(name string) Fact {
	if make := r.newest[name]; make != nil {
		return make()
	}
	return nil
}

// UnknownTypeError says that an entry holds a fact that this program does not know, as one written by a newer program would.
type UnknownTypeError struct{ Type string }

func (e *UnknownTypeError) Error() string { return fmt.Sprintf("fact %.80q is not known", e.Type) }

// Decode reads the data of a stored fact and brings it up to its newest version.
// It is strict: a field that the fact does not have is an error, for to pass over it would be to lose it.
func (r *Registry) Decode(name string, data json.RawMessage) (Fact, error) {
	if !bytes.HasPrefix(data, []byte("{")) {
		return nil, fmt.Errorf("data of %.80s is not an object", name) // encoding/json would read null as an empty fact
	}
	for {
		up, old := r.upcasts[name]
		if !old {
			break
		}
		var err error
		if data, err = up.apply(data); err != nil {
			return nil, fmt.Errorf("bring %s up to %s: %w", name, up.to, err)
		}
		name = up.to
	}
	fact := r.New(name)
	if fact == nil {
		return nil, &UnknownTypeError{name}
	}
	if err := strict.Unmarshal(data, fact, strict.RejectUnknownMembers(true)); err != nil {
		return nil, fmt.Errorf("data of %s: %w", name, err)
	}
	return fact, nil
}

func newRegistry() *Registry {
	r := &Registry{newest: map[string]func() Fact{}, upcasts: map[string]upcast{}}
	for _, group := range [][]func() Fact{registerFacts, staffFacts, shiftFacts, drawerFacts, saleFacts, productFacts, cardFacts, giftCardFacts,
		cartFacts, customerFacts, orderFacts, stockFacts, printFacts, hqVerifyFacts, headOfficeFacts} {
		for _, make := range group {
			r.Add(make)
		}
	}
	// Of these the newest version has fields more, which may be absent.
	same := func(data json.RawMessage) (json.RawMessage, error) { return data, nil }
	for _, entity := range []string{"finding.accepted", "completeness.certified", "period.closed", "device.activated"} {
		r.AddUpcast(entity+".v1", entity+".v2", same)
	}
	return r
}
