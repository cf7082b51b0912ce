package hq_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"github.com/posnode/posnode/events"
	"github.com/posnode/posnode/hq"
	"github.com/posnode/posnode/ledger"
	"github.com/posnode/posnode/projections"
	"github.com/posnode/posnode/register"
)

// chain is a head office with registers of several stores.
type chain struct {
	t    *testing.T
	dir  string
	leaf string
	log  *slog.Logger
	hq   *hq.HQ
}

func newChain(t *testing.T) *chain {
	c := &chain{t: t, dir: t.TempDir(), leaf: "127.0.0.1:0", log: slog.New(slog.DiscardHandler)}
	c.openHQ()
	c.leaf = strings.TrimPrefix(c.hq.LeafURL(), "nats-leaf://")
	return c
}

func (c *chain) openHQ() {
	h, err := hq.Open(c.t.Context(), hq.Config{Dir: filepath.Join(c.dir, "hq"), ListenLeaf: c.leaf, Clock: time.Now, Logger: c.log})
	require.NoError(c.t, err)
	c.t.Cleanup(func() { _ = h.Close() })
	c.hq = h
}

// till opens a register that is linked to head office.
func (c *chain) till(store, id string) *register.Register {
	name := events.Register{Store: events.StoreID(store), ID: events.RegisterID(id)}
	creds, err := hq.Enroll(filepath.Join(c.dir, "hq"), name)
	require.NoError(c.t, err)
	path := filepath.Join(c.dir, name.String()+".creds")
	require.NoError(c.t, os.WriteFile(path, creds, 0o600))
	r, err := register.Open(c.t.Context(), register.Config{
		Dir: filepath.Join(c.dir, name.String()), Register: name, HQ: "nats-leaf://" + c.leaf, Creds: path,
		Zone: time.UTC, Clock: time.Now, Logger: c.log,
	})
	require.NoError(c.t, err)
	c.t.Cleanup(func() { _ = r.Close() })
	return r
}

func (c *chain) load(lines string, options hq.ImportOptions) projections.ImportReport {
	report, err := c.hq.Import(c.t.Context(), strings.NewReader(lines), options)
	require.NoError(c.t, err, "%+v", report.Problems)
	return report
}

func productLine(i int, price string) string {
	return fmt.Sprintf(`{"kind":"product","key":"P%05d","record":{"product":"P%05d","description":"Lantern no %d","price":%q,"taxes":[{"code":"S","rate":"20"}]}}`+"\n", i, i, i, price)
}

// base is the settings and staff that every till needs.
func base() string {
	return strings.Join(strings.SplitN(fmt.Sprintf(shop, register.HashPIN("1")), "\n", 3)[:2], "\n") + "\n"
}

func price(t *testing.T, r *projections.Reference, key string) string {
	record, found, err := r.Find(context.Background(), ledger.Query{Kind: "product", Key: key})
	require.NoError(t, err)
	if !found {
		return ""
	}
	return record.(ledger.Product).Price.String()
}

// until waits until the register's reference data is at head office's last commit.
func (c *chain) until(r *register.Register) register.Status {
	at, err := c.hq.Reference().Feed(c.t.Context())
	require.NoError(c.t, err)
	var status register.Status
	before := time.Now()
	require.Eventually(c.t, func() bool {
		status, err = r.Status(c.t.Context())
		return err == nil && status.Feed.Stream == at.Stream && status.Feed.Confirmed.After(before)
	}, 60*time.Second, 50*time.Millisecond)
	return status
}

func TestReferenceDataGoesDown(t *testing.T) {
	t.Parallel()
	c := newChain(t)
	// A till that has never been online sells nothing, and says so.
	till := c.till("s001", "r01")
	_, err := till.Do(t.Context(), register.Request{Operation: 700, Key: events.CommandKey(ulid.Make().String()), Body: []byte(`{"staff":"7","pin":"1"}`)})
	var refusal *ledger.Refusal
	require.ErrorAs(t, err, &refusal)
	require.Equal(t, "no_reference_data", refusal.Code)
	status, err := till.Status(t.Context())
	require.NoError(t, err)
	require.Empty(t, status.Reference)

	var lines strings.Builder
	lines.WriteString(base())
	for i := range 1000 {
		lines.WriteString(productLine(i, "2.55"))
	}
	require.Equal(t, 1002, c.load(lines.String(), hq.ImportOptions{}).Stored)
	status = c.until(till)
	require.EqualValues(t, 1002, status.Feed.Received)
	require.Equal(t, "2.55", price(t, till.Reference(), "P00999"))
	_, err = till.Do(t.Context(), register.Request{Operation: 700, Key: events.CommandKey(ulid.Make().String()), Body: []byte(`{"staff":"7","pin":"1"}`)})
	require.NoError(t, err)
	hits, err := till.Reference().Search(t.Context(), "product", "no 77 lantern", 0)
	require.NoError(t, err)
	require.Len(t, hits, 11, "P00077, and what begins so")

	// After an outage only what changed travels: three records of a thousand.
	require.NoError(t, till.SetLink(false))
	require.Eventually(t, func() bool { return !till.Linked() }, time.Minute, 10*time.Millisecond)
	changed := strings.Replace(lines.String(), productLine(5, "2.55"), productLine(5, "3.55"), 1)
	changed = strings.Replace(changed, productLine(6, "2.55"), "", 1) + `{"kind":"product","key":"P00006","deleted":true}` + "\n" + productLine(2000, "1")
	report := c.load(changed, hq.ImportOptions{})
	require.Equal(t, 2, report.Stored)
	require.Equal(t, 1, report.Deleted)
	require.Equal(t, 1000, report.Unchanged)
	c.load(`{"kind":"product","key":"P00005","store":"s002","record":{"product":"P00005","description":"Elsewhere","price":"9"}}`, hq.ImportOptions{})
	require.Equal(t, "2.55", price(t, till.Reference(), "P00005"))
	require.NoError(t, till.SetLink(true))
	status = c.until(till)
	require.EqualValues(t, 1002+3, status.Feed.Received)
	require.Equal(t, "3.55", price(t, till.Reference(), "P00005"))
	require.Empty(t, price(t, till.Reference(), "P00006"))
	require.Equal(t, "1", price(t, till.Reference(), "P02000"))
	require.Equal(t, "product", status.Reference[0].Kind)
	require.Equal(t, 1000, status.Reference[0].Count)

	// A register that comes new gets what stands, deletions and all; one of the other store its own record.
	other := c.till("s002", "r01")
	c.until(other)
	require.Equal(t, "9", price(t, other.Reference(), "P00005"))
	require.Empty(t, price(t, other.Reference(), "P00006"))
	require.Equal(t, "9", price(t, c.hq.Reference().For(events.Register{Store: "s002", ID: "r01"}), "P00005"))
	require.Equal(t, "3.55", price(t, c.hq.Reference().For(events.Register{Store: "s001", ID: "r01"}), "P00005"))

	// Without head office the till starts with what it has, also where the database is gone: the copy is in its own domain.
	dir := filepath.Join(c.dir, "s001-r01")
	require.NoError(t, till.Close())
	require.NoError(t, c.hq.Close())
	require.NoError(t, os.Remove(filepath.Join(dir, "reference.db")))
	till = c.till("s001", "r01")
	require.Equal(t, "3.55", price(t, till.Reference(), "P00005"))
	require.Empty(t, price(t, till.Reference(), "P00006"))
	report, err = till.Reference().Import(t.Context(), strings.NewReader(base()), time.Now(), false)
	require.ErrorIs(t, err, projections.ErrFromHeadOffice)
	require.Zero(t, report.Wrong)

	// Head office comes back, with its database deleted: it is made of the stream, and nothing travels twice.
	require.NoError(t, os.Remove(filepath.Join(c.dir, "hq", "reference.db")))
	c.openHQ()
	require.Equal(t, "3.55", price(t, c.hq.Reference(), "P00005"))
	status = c.until(till)
	require.Zero(t, status.Feed.Received)
}

// A register asks for what is its own: who asks is what its credentials say, and no subject of reference data is open to it.
func TestStoresDoNotGetEachOthersRecords(t *testing.T) {
	t.Parallel()
	c := newChain(t)
	c.load(base()+`{"kind":"staff","key":"9","store":"s002","record":{"staff":"9","name":"Secret"}}`, hq.ImportOptions{})
	one, two := c.till("s001", "r01"), c.till("s002", "r01")
	require.EqualValues(t, 2, c.until(one).Feed.Received)
	require.EqualValues(t, 3, c.until(two).Feed.Received)
	find := func(r *register.Register) bool {
		_, found, err := r.Reference().Find(t.Context(), ledger.Query{Kind: "staff", Key: "9"})
		require.NoError(t, err)
		return found
	}
	require.False(t, find(one))
	require.True(t, find(two))
}

// TestStreamMadeAnew: head office loses its stream. Registers go on with what they have, and change over when there is another.
func TestStreamMadeAnew(t *testing.T) {
	t.Parallel()
	c := newChain(t)
	c.load(base()+productLine(1, "1")+productLine(2, "2"), hq.ImportOptions{})
	till := c.till("s001", "r01")
	before := c.until(till).Feed
	require.NoError(t, c.hq.Close())
	streams, err := filepath.Glob(filepath.Join(c.dir, "hq", "jetstream", "*", "streams", "REFERENCE_1"))
	require.NoError(t, err)
	require.Len(t, streams, 1)
	require.NoError(t, os.RemoveAll(streams[0]))
	c.openHQ()
	feed, err := c.hq.Reference().Feed(t.Context())
	require.NoError(t, err)
	require.Empty(t, feed.Stream)
	require.Equal(t, "2", price(t, till.Reference(), "P00002"))
	require.Equal(t, 3, c.load(base()+productLine(1, "5"), hq.ImportOptions{}).Stored, "compared with the new stream, not with what was")
	after := c.until(till).Feed
	require.NotEqual(t, before.Stream, after.Stream)
	require.Equal(t, "5", price(t, till.Reference(), "P00001"))
	require.Empty(t, price(t, till.Reference(), "P00002"))
}

// An import is refused whole: every line that is wrong is named, and a nonsense profile leaves the last good one.
func TestImportRefused(t *testing.T) {
	c := newChain(t)
	c.load(base()+`{"kind":"profile","key":"r01","record":{"register":"r01","gift_card_per_card":100}}`, hq.ImportOptions{})
	report, err := c.hq.Import(t.Context(), strings.NewReader(productLine(1, "1")+
		`{"kind":"profile","key":"r01","record":{"register":"r01","gift_card_per_card":-1}}`+"\n{}\n"), hq.ImportOptions{})
	require.ErrorIs(t, err, projections.ErrNotImported)
	require.Equal(t, 2, report.Wrong)
	require.Contains(t, report.Problems[0].What, "negative")
	require.Equal(t, 2, report.Problems[0].Line)
	require.Empty(t, price(t, c.hq.Reference(), "P00001"))
	profile, found, err := c.hq.Reference().Find(t.Context(), ledger.Query{Kind: "profile", Key: "r01"})
	require.NoError(t, err)
	require.True(t, found)
	require.EqualValues(t, 100, profile.(ledger.RegisterProfile).GiftCardPerCard)

	before, err := c.hq.Reference().Feed(t.Context())
	require.NoError(t, err)
	report = c.load(productLine(1, "1"), hq.ImportOptions{DryRun: true})
	require.Equal(t, 1, report.Stored)
	after, err := c.hq.Reference().Feed(t.Context())
	require.NoError(t, err)
	require.Equal(t, before, after, "a dry run publishes nothing")
}

// cutOff is a reader that breaks off.
type cutOff struct{ strings.Reader }

func (*cutOff) Read([]byte) (int, error) { return 0, errors.New("cable") }

func TestImportThatBreaksOff(t *testing.T) {
	t.Parallel()
	c := newChain(t)
	_, err := c.hq.Import(t.Context(), &cutOff{}, hq.ImportOptions{})
	require.ErrorContains(t, err, "cable")
	feed, err := c.hq.Reference().Feed(t.Context())
	require.NoError(t, err)
	require.Zero(t, feed.Position)
}

// TestNewRegister measures how long a new register takes to have 50,000 products.
func TestNewRegister(t *testing.T) {
	t.Parallel()
	c := newChain(t)
	var lines strings.Builder
	lines.WriteString(base())
	for i := range 50_000 {
		lines.WriteString(productLine(i, "2.55"))
	}
	begun := time.Now()
	c.load(lines.String(), hq.ImportOptions{})
	t.Logf("imported at head office in %v", time.Since(begun))
	begun = time.Now()
	require.Equal(t, 50_002, c.load(lines.String(), hq.ImportOptions{}).Unchanged)
	t.Logf("imported again, with nothing new, in %v", time.Since(begun))
	begun = time.Now()
	till := c.till("s001", "r01")
	t.Logf("register open after %v", time.Since(begun))
	c.until(till)
	t.Logf("register ready after %v", time.Since(begun))
	require.Equal(t, "2.55", price(t, till.Reference(), "P49999"))
	begun = time.Now()
	require.NoError(t, till.Close())
	till = c.till("s001", "r01")
	t.Logf("closed and opened again in %v", time.Since(begun))
	c.load(productLine(7, "3"), hq.ImportOptions{})
	begun = time.Now()
	require.EqualValues(t, 1, c.until(till).Feed.Received)
	t.Logf("a changed price at the register after %v", time.Since(begun))
	require.Equal(t, "3", price(t, till.Reference(), "P00007"))
}

// A register gets the staff of its own store, and nobody else's PIN hashes: not with the reference data, not
// when it asks, and no more once they work elsewhere.
func TestRegisterGetsItsStoresStaffAlone(t *testing.T) {
	t.Parallel()
	c := newChain(t)
	staff := func(key, store, stores string) string {
		return fmt.Sprintf(`{"kind":"staff","key":%q%s,"record":{"staff":%q,"name":"Pat","pin":"hash-of-%s"%s,"groups":[{"manager":true}]}}`+"\n", key, store, key, key, stores)
	}
	c.load(base()+staff("20", "", `,"stores":["s001"]`)+staff("21", "", `,"stores":["s002","s003"]`)+staff("22", `,"store":"s002"`, "")+staff("23", "", ""), hq.ImportOptions{})
	till := c.till("s001", "r01")
	c.until(till)
	name := events.Register{Store: "s001", ID: "r01"}
	has := func(r *projections.Reference) (all string) {
		for _, key := range []string{"20", "21", "22", "23"} {
			record, found, err := r.Find(t.Context(), ledger.Query{Kind: "staff", Key: key})
			require.NoError(t, err)
			if found {
				all += record.(ledger.StaffMember).PIN + " "
			}
		}
		hits, err := r.Search(t.Context(), "staff", "Pat", 0)
		require.NoError(t, err)
		return all + fmt.Sprint(len(hits))
	}
	sent := func(after uint64) (all string) {
		page, err := c.hq.Reference().For(name).Page(t.Context(), after)
		require.NoError(t, err)
		for _, line := range page.Lines {
			all += line.Key + string(line.Record)
		}
		return all
	}
	require.Equal(t, "hash-of-20 hash-of-23 2", has(till.Reference()))
	require.Equal(t, "hash-of-20 hash-of-23 2", has(c.hq.Reference().For(name)), "what it asks is answered from there")
	require.NotContains(t, sent(0), "hash-of-21")
	require.NotContains(t, sent(0), "hash-of-22")
	require.NotContains(t, sent(1), "hash-of-21")

	c.load(staff("20", "", `,"stores":["s002"]`), hq.ImportOptions{})
	require.Eventually(t, func() bool { return has(till.Reference()) == "hash-of-23 1" }, time.Minute, 50*time.Millisecond)
	require.NotContains(t, sent(1), "hash-of-20")
	require.Equal(t, "hash-of-20 hash-of-21 hash-of-22 hash-of-23 4", has(c.hq.Reference().For(events.Register{Store: "s002", ID: "r01"})))
}
