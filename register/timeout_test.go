package register

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"github.com/posnode/posnode/embedded"
	"github.com/posnode/posnode/events"
	"github.com/posnode/posnode/ledger"
	"github.com/posnode/posnode/projections"
)

// timedShop is a shop with a time-out, whose gift cards head office keeps.
const timedShop = `{"kind":"store","key":"store","record":{"currency":"GBP","digits":2,"max_quantity":"100","tenders":{"cash":{"id":"cash","name":"Cash","kind":"cash"},"giftcard":{"id":"giftcard","name":"Gift card","kind":"giftcard"}},"profile":{"timeout_ms":%d,"reconnect_seconds":60,"gift_card_per_card":5000,"gift_card_per_transaction":5000,"gift_card_in_all":90000}}}
{"kind":"staff","key":"7","record":{"staff":"7","name":"Sam","pin":%q,"groups":[{"manager":true}]}}
{"kind":"product","key":"TEA","record":{"product":"TEA","description":"Tea","price":"2.55"}}
{"kind":"barcode","key":"500","record":{"barcode":"500","product":"TEA"}}
{"kind":"giftcard","key":"6001","record":{"number":"6001","currency":"GBP","blank":true}}
`

// keepsNothing answers each query of a question with the register's own records.
func keepsNothing(question []byte) ([]byte, error) {
	var q projections.Question
	if err := json.Unmarshal(question, &q); err != nil {
		return nil, err
	}
	var reply projections.Reply
	for _, query := range q.Queries {
		reply.Results = append(reply.Results, projections.Result{Query: query, NotKept: true})
	}
	return json.Marshal(reply)
}

// "If a data request doesn't succeed within the time-out interval", which all that one operation asks and has reserved
// shares: in virtual time, which passes only while everything
// waits. So an operation whose answer does not come takes the time-out to the nanosecond, or something else in it waits; how busy
// the machine is has no part in it. The server, the journal and the databases are real; head office is played.
func TestNothingWaitsAfterTheTimeout(t *testing.T) {
	name := events.Register{Store: "s001", ID: "r01"}
	office, err := embedded.StartHQ(t.Context(), embedded.HQConfig{Dir: t.TempDir()})
	require.NoError(t, err)
	creds, err := office.Enroll(name)
	require.NoError(t, err)
	require.NoError(t, office.Close())
	path := filepath.Join(t.TempDir(), "creds")
	require.NoError(t, os.WriteFile(path, creds, 0o600))
	const timeout = 400 * time.Millisecond
	pin := HashPIN("1")

	for what, c := range map[string]struct {
		find, reserve time.Duration // until the answer; what is longer than the time-out never comes
		operation     int
		params        string
	}{
		"what it asks":                    {timeout * 2, 0, 100, `{"barcode":"500"}`},
		"what it asks comes just late":    {timeout + 1, 0, 100, `{"barcode":"500"}`},
		"what it reserves":                {0, timeout * 2, 512, `{"card":"6001","amount":1000}`},
		"what it reserves, having waited": {timeout - 1, timeout * 2, 512, `{"card":"6001","amount":1000}`},
	} {
		t.Run(what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var late time.Duration // of the register's clock
				r, err := Open(t.Context(), Config{
					Dir: t.TempDir(), Register: name, HQ: "nats-leaf://127.0.0.1:1", Creds: path, Zone: time.UTC,
					Clock: func() time.Time { return time.Now().Add(late) }, Logger: slog.New(slog.DiscardHandler),
				})
				require.NoError(t, err)
				defer func() { require.NoError(t, r.Close()) }()
				var asked []time.Time // deadlines of the questions that were not answered
				find, reserve := time.Duration(0), time.Duration(0)
				require.NoError(t, r.Look(t.Context(), func(*ledger.State) {
					r.linked = func() bool { return true }
					r.ask = func(ctx context.Context, service string, question []byte) ([]byte, error) {
						within := map[string]time.Duration{projections.FindService: find, "reserve": reserve}[service]
						select {
						case <-time.After(within):
						case <-ctx.Done():
							deadline, _ := ctx.Deadline()
							asked = append(asked, deadline)
							return nil, embedded.ErrNoAnswer
						}
						if service == projections.FindService {
							return keepsNothing(question)
						}
						return json.Marshal(map[string]any{"answer": map[string]any{"not_kept": true}})
					}
				}))
				report, err := r.Reference().Import(t.Context(), strings.NewReader(fmt.Sprintf(timedShop, timeout.Milliseconds(), pin)), time.Now(), false)
				require.NoError(t, err, "%v", report.Problems)
				do := func(operation int, params string) events.Mode {
					a, err := r.Do(t.Context(), Request{Operation: operation, Key: events.CommandKey(ulid.Make().String()), Body: []byte(params), Staff: "7"})
					require.NoError(t, err, "operation %d", operation)
					return a.Mode
				}
				do(700, `{"staff":"7","pin":"1"}`)
				do(1050, ``)
				for range 5 {
					late += time.Minute // the next attempt is due
					require.Equal(t, events.Online, do(100, `{"product":"TEA"}`))
					asked, find, reserve = nil, c.find, c.reserve
					began := time.Now()
					require.Equal(t, events.Offline, do(c.operation, c.params), "the sale goes on")
					require.Equal(t, timeout, time.Since(began))
					require.Equal(t, []time.Time{began.Add(timeout)}, asked, "one question was not answered, and had all the time that was left")
					find, reserve = 0, 0
					began = time.Now()
					do(100, `{"product":"TEA"}`)
					require.Zero(t, time.Since(began), "offline nothing waits")
					do(500, ``)
				}
			})
		})
	}
}
