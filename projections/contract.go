package projections

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/posnode/posnode/events"
	"github.com/posnode/posnode/ledger"
)

// The contract of a data request: the questions of a register to the Retail Server, and the
// answers. The records are those of the reference data, read by the same code.

// Services of head office that answer data requests.
const (
	FindService  = "find"  // a [Question]; the answer is a [Reply]
	HelloService = "hello" // nothing; the answer is a [Greeting]
)

// Limits of a question.
const (
	MaxQueries  = 1000 // a cart of 250 lines asks for about as many products
	MaxQueryKey = 500  // bytes
	// MaxReply is about how large the records of one reply are in bytes. The register asks again
	// for the queries that did not fit.
	MaxReply = 384 << 10
)

// Question is everything that one command needs to know.
type Question struct {
	Queries []ledger.Query `json:"queries"`
}

// Reply is the answer of head office. It may leave queries out that did not fit, and has results of
// queries that were not put: those that its records lead to.
type Reply struct {
	Time    time.Time `json:"time"`              // head office's clock
	Version string    `json:"version,omitempty"` // of its program
	Results []Result  `json:"results"`
}

// Result answers one query.
type Result struct {
	ledger.Query
	// Record is the record found, in its form as reference data; absent for nothing.
	Record json.RawMessage `json:"record,omitempty"`
	// Hits are the records found by a search, a query of kind KIND_search.
	Hits []Result `json:"hits,omitempty"`
	// NotKept says that head office keeps no records of this kind at all: the register's own count.
	NotKept bool `json:"not_kept,omitempty"`
	// Edited is when the details of a customer were last written down, as far as head office knows; RFC 3339.
	Edited string `json:"edited,omitempty"`
	// Included is the last entry of the asking register that the record contains.
	Included *events.Head `json:"included,omitempty"`
}

// Greeting says that head office is there and can read its database.
type Greeting struct {
	Time    time.Time `json:"time"`
	Version string    `json:"version,omitempty"`
	Profile string    `json:"profile,omitempty"` // version of the offline profile that the register is to have
}

// DecodeRecord reads a record of a kind into its type, a value such as [ledger.Product].
func DecodeRecord(kindName string, record []byte) (any, error) {
	switch kindName { // kinds that are not reference data
	case "receipt":
		var sold ledger.Sold
		err := json.Unmarshal(record, &sold)
		return sold, err
	case "suspended":
		var suspended ledger.Suspended
		err := json.Unmarshal(record, &suspended)
		return suspended, err
	}
	k, known := kinds[kindName]
	if !known {
		return nil, fmt.Errorf("kind %.40q is not known", kindName)
	}
	return k.decode(record)
}

// Keeps says whether there were ever records of a kind.
func (r *Reference) Keeps(ctx context.Context, kindName string) (kept bool, err error) {
	err = each(context.WithoutCancel(ctx), r.reader, column[bool], "SELECT count(*) > 0 FROM imports WHERE kind = ?", []any{kindName}, func(b bool) bool {
		kept = b
		return false
	})
	if err != nil {
		return false, fmt.Errorf("look whether there are records of kind %s: %w", kindName, err)
	}
	return kept, nil
}

// Said is when head office said it, and by which version of its program.
func (r *Reply) Said() (at time.Time, version string) { return r.Time, r.Version }

// Said is when head office said it, and by which version of its program.
func (g *Greeting) Said() (at time.Time, version string) { return g.Time, g.Version }
