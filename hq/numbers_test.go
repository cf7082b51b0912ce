package hq_test

import (
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/posnode/posnode/events"
	"github.com/posnode/posnode/ledger"
)

// knows waits until a register's reference data has a customer, by whatever number.
func (t *worldTill) knows(number string) (c ledger.Customer) {
	t.w.t.Helper()
	require.Eventually(t.w.t, func() bool {
		record, found, err := t.Reference().Find(t.w.t.Context(), ledger.Query{Kind: "customer", Key: number})
		require.NoError(t.w.t, err)
		c, _ = record.(ledger.Customer)
		return found
	}, soon, 50*time.Millisecond)
	return c
}

// hits are the customers that a search finds.
func (t *worldTill) hits(text string) (keys []string) {
	t.w.t.Helper()
	for _, hit := range t.must(602, fmt.Sprintf(`{"text":%q}`, text)).Result.(*events.SearchAnswered).Hits {
		keys = append(keys, hit.Key)
	}
	return keys
}

// A customer who was written down offline gets a lasting number, by which every register knows them, offline too.
func TestProvisionalNumberIsAnswered(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	one, two := w.activated("r01"), w.activated("r02")
	w.keep("", one, two)
	one.offline()
	provisional := string(one.must(612, `{"name":"Grace Hopper","city":"New York"}`).Result.(*events.CustomerAdded).Customer)
	require.Equal(t, "P-s001-r01-1-1", provisional)
	require.Equal(t, []string{provisional}, one.hits("hopper"))
	one.must(623, fmt.Sprintf(`{"customer":%q,"city":"Arlington"}`, provisional))

	const lasting = "HQ-000001"
	require.Equal(t, "Grace Hopper", two.knows(lasting).Name)
	for _, till := range []*worldTill{one, two} {
		till.knows(lasting)
		till.offline()
		require.Equal(t, []string{lasting}, till.hits("hopper"), "once, by the number that lasts")
		till.must(602, fmt.Sprintf(`{"customer":%q}`, provisional))
		till.basket(1)
		sold := till.must(206, ``).Result.(*events.SaleConcluded)
		require.Equal(t, events.CustomerID(lasting), sold.Customer.Customer, "who asks by the other number gets it, too")
	}
	// Edits count under either number, wherever they were made.
	details := func(till *worldTill, number string) events.CustomerDetails {
		t.Helper()
		return till.must(623, fmt.Sprintf(`{"customer":%q,"phone":"%s"}`, number, time.Now().Format("15:04:05.000000"))).Result.(*events.CustomerEdited).Details
	}
	require.Equal(t, "Arlington", details(one, lasting).City)
	two.must(623, fmt.Sprintf(`{"customer":%q,"postcode":"22201"}`, lasting))
	two.arrived()
	one.online()
	require.Equal(t, "22201", details(one, provisional).Postcode)
	require.Equal(t, []string{lasting}, one.hits("hopper"))
	one.arrived()
	two.online()
	require.Equal(t, []string{lasting}, two.hits("arlington"))

	// A head office that has lost its database says the same.
	require.NoError(t, w.hq.Close())
	require.NoError(t, os.Remove(filepath.Join(w.dir, "hq", "hq.db")))
	w.open()
	one.linked(true)
	two.linked(true)
	one.offline()
	second := string(one.must(612, `{"name":"Ada Byron"}`).Result.(*events.CustomerAdded).Customer)
	require.Equal(t, events.CustomerID("HQ-000002"), two.knows(second).ID)

	// The retailer's own numbers take the place of head office's.
	one.must(612, `{"name":"Mary Somerville"}`)
	two.knows("HQ-000003")
	w.imports(`{"kind":"customer","key":"HQ-000003","deleted":true}
{"kind":"customer","key":"C77","record":{"customer":"C77","provisional":"P-s001-r01-1-3","kind":"person","name":"Mary Somerville"}}
{"kind":"customer_number","key":"P-s001-r01-1-3","record":{"provisional":"P-s001-r01-1-3","customer":"C77"}}`)
	two.knows("C77")
	require.Equal(t, events.CustomerID("C77"), two.knows("P-s001-r01-1-3").ID)
}

// Registers whose head office has no reference data go by their own, which nothing replaces; once it
// has some, who was written down before is sent, too.
func TestProvisionalNumberWhereHeadOfficeHasNoReferenceData(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	one := w.activated("r01")
	one.offline()
	provisional := string(one.must(612, `{"name":"Grace Hopper"}`).Result.(*events.CustomerAdded).Customer)
	one.arrived()
	require.Eventually(t, func() bool { return w.mapped() == 1 }, soon, 20*time.Millisecond)
	require.Equal(t, []string{provisional}, one.hits("hopper"))
	feed, err := one.Reference().Feed(t.Context())
	require.NoError(t, err)
	require.Empty(t, feed.Stream, "nothing was sent")
	w.keep("", one)
	require.Equal(t, "Grace Hopper", one.knows("HQ-000001").Name)
	require.Equal(t, []string{"HQ-000001"}, one.hits("hopper"))
}

// mapped counts the lasting numbers that head office has given.
func (w *shopWorld) mapped() (n int) {
	db, err := sql.Open("sqlite", "file:"+filepath.Join(w.dir, "hq", "hq.db"))
	require.NoError(w.t, err)
	defer db.Close()
	require.NoError(w.t, db.QueryRow(`SELECT count(*) FROM mapped`).Scan(&n))
	return n
}
