package hq_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/posnode/posnode/events"
	"github.com/posnode/posnode/ledger"
)

// step is one operation of a script. %s stands for the register.
type step struct {
	operation int
	params    string
}

// scripts are what is cut between every pair of operations.
var scripts = map[string][]step{
	"a sale": {
		{100, `{"product":"TEA"}`}, {100, `{"barcode":"500","quantity":"2"}`}, {602, `{"customer":"C1"}`}, {105, `{"line":1,"quantity":"3"}`},
		{301, `{"line":2,"percent":"10"}`}, {501, `{"comment":"a gift"}`}, {200, `{"amount":2000}`},
	},
	"a return": {
		{100, `{"product":"TEA","quantity":"2"}`}, {206, ``}, {114, `{"receipt":"s001-%s-1-000001","line":1,"quantity":"1"}`}, {109, `{"product":"TEA"}`}, {206, ``},
	},
	"a gift card sale": {
		{512, `{"card":"GC-%s","amount":1000}`}, {206, ``}, {100, `{"product":"TEA"}`}, {214, `{"card":"GC-%s","amount":100}`}, {206, ``}, {520, `{"card":"GC-%s"}`},
	},
	"a shift close": {
		{100, `{"product":"TEA"}`}, {206, ``}, {1052, `{"counts":[{"tender":"cash","amount":1255}]}`}, {1055, ``}, {700, `{"staff":"7","pin":"1"}`}, {1057, ``},
	},
}

// granted is what head office adds to a fact while it is reached.
var granted = regexp.MustCompile(`"confirmation":\{"head":\{[^}]*\},"checkpoint":"[^"]*"\},|,"reservation":"[^"]*"`)

// known is of which movements the register heard from head office and which it added itself: what is
// on a card is the sum of the two.
var known = regexp.MustCompile(`"balance":\d+(,"as_of":"[^"]*")?(,"through":\[[^\]]*\])?(,"own":-?\d+)?`)

// changing is what differs from run to run, or says which run it is.
var changing = regexp.MustCompile(`s001-r\d\d|r\d\d\b|"(time|opened|closed|input)":"[^"]*"|20\d\d-\d\d-\d\dT[0-9:.]+Z|"(first|last|closed)":\d+`) // the last: numbers of entries, among which those of mode facts count

func sum(known string) string {
	var k events.Known
	if err := json.Unmarshal([]byte("{"+known+"}"), &k); err != nil {
		panic(err)
	}
	return fmt.Sprintf(`"on_it":%d`, k.Available())
}

// story is a journal as it would be told: what was done, without when, by which register, and in which mode.
func story(t *testing.T, till *onlineTill) (all []string) {
	for _, e := range till.entries() {
		if _, mode := e.Fact.(*events.ModeChanged); mode || e.Head.Sequence == 1 {
			continue
		}
		if f, ok := e.Fact.(events.Checkpointed); ok {
			f.Sign().Checkpoint = "" // a signature over a chain that has the mode facts in it
		}
		fact, err := json.Marshal(e.Fact)
		require.NoError(t, err)
		all = append(all, fmt.Sprintf("%s by %s in %s for %d: %s", e.Type, e.Staff, changing.ReplaceAllString(string(e.Shift), "_"), e.Operation, changing.ReplaceAllString(known.ReplaceAllStringFunc(granted.ReplaceAllString(string(fact), ""), sum), "_")))
	}
	return all
}

// The link is cut between every pair of operations, and comes back at every place after it or not at all: the
// journal is the same but for the facts that say so. The register is offline from the cut until the first transaction
// that begins when the link is back.
func TestLinkCutBetweenEveryPairOfOperations(t *testing.T) {
	t.Parallel()
	reference := shopData(5*time.Second, true)
	for i := range 99 { // a gift card for each run
		reference += fmt.Sprintf(`{"kind":"giftcard","key":"GC-r%02d","record":{"number":"GC-r%02d","currency":"GBP","blank":true,"as_of":"2026-03-02T06:00:00Z"}}`+"\n", i, i)
	}
	o := openOffice(t, reference)
	tills := 0
	for name, script := range scripts {
		t.Run(name, func(t *testing.T) {
			begins := map[int]bool{} // steps that begin a transaction
			run := func(cut, back int) []string {
				tills++
				id := fmt.Sprintf("r%02d", tills)
				reg := events.Register{Store: "s001", ID: events.RegisterID(id)}
				till := openTill(t, reg, o.LeafURL(), creds(t, o.dir, reg), reference).begin()
				till.mode(events.Online)
				mode := events.Online
				for i, step := range script {
					switch i {
					case cut:
						till.linked(false)
					case back:
						till.linked(true)
						till.pass(time.Hour) // the interval
					}
					params := step.params
					if strings.Contains(params, "%s") {
						params = fmt.Sprintf(params, id)
					}
					before := till.View().Transaction
					require.Eventually(t, func() bool {
						_, err := till.try(step.operation, params)
						refusal, _ := errors.AsType[*ledger.Refusal](err)
						if refusal != nil && refusal.Code == "entries_unsent" {
							return false // "Try again in a moment": they are on their way
						}
						require.NoError(t, err, "operation %d", step.operation)
						return true
					}, patience, time.Millisecond)
					switch {
					case cut < 0:
						begins[i] = begins[i] || before == "" && till.View().Transaction != ""
					case i == cut:
						mode = events.Offline
					case back >= 0 && i >= back && begins[i]:
						mode = events.Online
					}
					require.Equal(t, mode, till.View().Mode, "cut before step %d, back before step %d: after step %d", cut+1, back+1, i+1)
				}
				require.NoError(t, till.Check(t.Context()))
				return story(t, till)
			}
			whole := run(-1, -1)
			require.NotEmpty(t, begins)
			for cut := range script {
				require.Equal(t, whole, run(cut, -1), "cut before step %d", cut+1)
				for back := cut + 1; back < len(script); back++ {
					require.Equal(t, whole, run(cut, back), "cut before step %d, back before step %d", cut+1, back+1)
				}
			}
		})
	}
}

// What other registers did is known online: a receipt of another register is returned once, an order is
// picked up once, stock is what all have left, a customer is whom another register wrote down.
func TestAcrossRegisters(t *testing.T) {
	t.Parallel()
	reference := strings.Replace(shopData(5*time.Second, false), `"tax_included":true,`, `"tax_included":true,"orders":{"deposit_percent":"20"},`, 1)
	o := openOffice(t, reference)
	one, two := o.till("r01", reference).begin(), o.till("r02", reference).begin()
	both := func() { o.has(one, two) }

	one.do(100, `{"product":"TEA","quantity":"3"}`)
	receipt := one.do(206, ``).Transaction.Receipt
	both()
	back := func(till *onlineTill, quantity string) (string, error) {
		_, err := till.try(114, fmt.Sprintf(`{"receipt":%q,"line":1,"quantity":%q}`, receipt, quantity))
		if err != nil {
			code, _, _ := strings.Cut(err.Error(), ":")
			return code, err
		}
		till.do(206, ``)
		return "", nil
	}
	_, err := back(two, "1")
	require.NoError(t, err, "a receipt of another register, online")
	both()
	code, _ := back(one, "3")
	require.Equal(t, "return_too_large", code, "its own register knows what came back elsewhere")
	_, err = back(one, "1")
	require.NoError(t, err)
	// Whether or not head office has it by now, what came back here counts, and counts once.
	code, _ = back(one, "2")
	require.Equal(t, "return_too_large", code)
	both()
	code, _ = back(one, "2")
	require.Equal(t, "return_too_large", code)
	_, err = back(two, "1")
	require.NoError(t, err)
	both()
	code, _ = back(one, "1")
	require.Equal(t, "nothing_to_return", code)

	available := func(till *onlineTill, store string) string {
		t.Helper()
		raw, err := json.Marshal(till.do(801, fmt.Sprintf(`{"product":"TEA","store":%q}`, store)).Result.(*events.StockLookedUp).Available)
		require.NoError(t, err)
		return string(raw)
	}
	require.Equal(t, `"40"`, available(one, ""), "three were sold and came back")
	require.Equal(t, `"9"`, available(one, "s002"), "another store's")
	one.do(100, `{"product":"TEA","quantity":"4"}`)
	one.do(206, ``)
	require.Equal(t, `"36"`, available(one, ""), "at once where it was sold")
	both()
	require.Equal(t, `"36"`, available(one, ""))
	require.Equal(t, `"36"`, available(two, ""), "and elsewhere when it has arrived")

	one.do(612, `{"name":"Grace","email":"grace@example.org"}`)
	one.do(623, `{"customer":"C1","city":"York"}`)
	both()
	require.Equal(t, "customer_exists", two.refused(612, `{"name":"Grace H","email":"grace@example.org"}`))
	two.pass(time.Minute)
	two.do(623, `{"customer":"C1","name":"Ada King"}`)
	both()
	edited := one.do(623, `{"customer":"C1","phone":"1"}`).Result.(*events.CustomerEdited)
	require.Equal(t, [3]string{"Ada King", "York", "1"}, [3]string{edited.Details.Name, edited.Details.City, edited.Details.Phone}, "the later one wins, wherever it was made")

	one.do(100, `{"product":"TEA"}`)
	one.do(602, `{"customer":"C1"}`)
	one.do(620, ``)
	placed := one.do(206, ``).Result.(*events.OrderPlaced)
	both()
	two.do(515, fmt.Sprintf(`{"order":%q}`, placed.Placed.Order))
	two.do(206, ``)
	both()
	require.Equal(t, "order_picked_up", one.refused(515, fmt.Sprintf(`{"order":%q}`, placed.Placed.Order)))
	for _, till := range []*onlineTill{one, two} {
		till.mode(events.Online)
		require.NoError(t, till.Check(t.Context()))
	}
	// What head office derives can be deleted.
	leaf := strings.TrimPrefix(o.LeafURL(), "nats-leaf://")
	require.NoError(t, o.Close())
	removeDatabase(t, o.dir)
	o.open(leaf)
	both()
	one.pass(time.Hour)
	require.Eventually(t, func() bool {
		one.linked(true)
		_, err := one.try(917, ``)
		return err == nil || one.View().Mode == events.Online
	}, patience, 50*time.Millisecond)
	require.Equal(t, "nothing_to_return", one.refused(114, fmt.Sprintf(`{"receipt":%q,"line":1}`, receipt)))
}

func removeDatabase(t *testing.T, dir string) {
	for _, suffix := range []string{"", "-wal", "-shm"} {
		if err := os.Remove(filepath.Join(dir, "hq.db"+suffix)); !errors.Is(err, fs.ErrNotExist) {
			require.NoError(t, err)
		}
	}
}
