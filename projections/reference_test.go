package projections

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/posnode/posnode/events"
	"github.com/posnode/posnode/ledger"
)

var importTime = time.Date(2026, 3, 2, 8, 0, 0, 123, time.UTC)

const sampleReference = `
{"kind":"store","key":"store","record":{"currency":"GBP","digits":2,"tax_included":true,"receipt_mask":"","max_quantity":"1000","tenders":{"cash":{"id":"cash","name":"Cash","kind":"cash","over_paid":true,"refund":true}}}}
{"kind":"staff","key":"7","record":{"staff":"7","name":"Ann"}}

{"kind":"product","key":"85123A","record":{"product":"85123A","description":"WHITE HANGING HEART T-LIGHT HOLDER","price":"2.55","taxes":[{"code":"S","rate":"20"}]}}
{"kind":"product","key":"22423","record":{"product":"22423","description":"Regency cakestand 3 tier","price":"10.95"}}
{"kind":"product","key":"C2","record":{"product":"C2","description":"Café \"au lait\" set","price":"5"}}`

func openReferenceAt(t testing.TB, path string) *Reference {
	r, err := OpenReference(path)
	require.NoError(t, err)
	t.Cleanup(func() { _ = r.Close() })
	return r
}

// sampleData is reference data with the sample imported.
func sampleData(t testing.TB) *Reference {
	r := openReferenceAt(t, filepath.Join(t.TempDir(), "reference.db"))
	_, err := r.Import(background, strings.NewReader(sampleReference), importTime, false)
	require.NoError(t, err)
	return r
}

func find(t testing.TB, r *Reference, kind, key string) any {
	record, found, err := r.Find(background, ledger.Query{Kind: kind, Key: key})
	require.NoError(t, err)
	require.Equal(t, record != nil, found)
	return record
}

func TestImportAndFind(t *testing.T) {
	path := filepath.Join(t.TempDir(), "reference.db")
	r := openReferenceAt(t, path)
	_, err := r.Store(background)
	require.ErrorContains(t, err, "no store")
	report, err := r.Import(background, strings.NewReader(sampleReference), importTime, true)
	require.NoError(t, err)
	require.Equal(t, ImportReport{Lines: 5, Stored: 5, Problems: []Problem{}}, report)
	asOf, err := r.AsOf(background)
	require.NoError(t, err)
	require.Empty(t, asOf, "a dry run stores nothing")
	require.Nil(t, find(t, r, "product", "C2"))

	_, err = r.Import(background, strings.NewReader(sampleReference), importTime, false)
	require.NoError(t, err)
	require.NoError(t, r.Close())
	r = openReferenceAt(t, path)
	store, err := r.Store(background)
	require.NoError(t, err)
	require.Equal(t, "GBP", store.Currency)
	price, err := events.ParsePrice("10.95")
	require.NoError(t, err)
	require.Equal(t, ledger.Product{ID: "22423", Description: "Regency cakestand 3 tier", Price: price}, find(t, r, "product", "22423"))
	require.Equal(t, ledger.StaffMember{ID: "7", Name: "Ann"}, find(t, r, "staff", "7"))
	require.Nil(t, find(t, r, "product", "7"))
	require.Nil(t, find(t, r, "barcode", "7"))
	asOf, err = r.AsOf(background)
	require.NoError(t, err)
	require.Equal(t, []AsOf{{"product", 3, importTime}, {"staff", 1, importTime}, {"store", 1, importTime}}, asOf)
}

func TestImportChanges(t *testing.T) {
	r := sampleData(t)
	later := importTime.Add(time.Hour)
	report, err := r.Import(background, strings.NewReader(`{"kind":"product","key":"C2","record":{"product":"C2","description":"Tea set","price":"6"}}
{"kind":"product","key":"22423","deleted":true}
{"kind":"product","key":"never","deleted":true}
{ "kind":"staff", "key":"7", "record":{ "staff":"7", "name":"Ann" } }`), later, false)
	require.NoError(t, err)
	require.Equal(t, ImportReport{Lines: 4, Stored: 1, Deleted: 1, Unchanged: 2, Problems: []Problem{}}, report)
	require.Nil(t, find(t, r, "product", "22423"))
	require.Equal(t, []string{"C2"}, search(t, r, "tea"))
	require.Empty(t, search(t, r, "café"))
	require.Empty(t, search(t, r, "cakestand"))
	asOf, err := r.AsOf(background)
	require.NoError(t, err)
	require.Equal(t, []AsOf{{"product", 2, later}, {"staff", 1, later}, {"store", 1, importTime}}, asOf)
}

func TestImportIsAllOrNothing(t *testing.T) {
	product := func(fields string) string {
		return `{"kind":"product","key":"X","record":{"product":"X","description":"x",` + fields + `}}`
	}
	for _, c := range []struct{ line, want string }{
		{`{"kind":"product"`, "is not a line of reference data: unexpected EOF"},
		{`[]`, "is not a line of reference data"},
		{`{"kind":"prodct","key":"X","record":{}}`, `kind "prodct" is not known`},
		{`{"kind":"product","key":"","record":{}}`, `key ""`},
		{`{"kind":"product","key":"a\tb","record":{}}`, `key "a\tb"`},
		{`{"kind":"product","key":"` + strings.Repeat("k", 65) + `","record":{}}`, "want 1 to 64 characters"},
		{`{"kind":"product","key":"X"}`, `want either a "record" or "deleted":true`},
		{`{"kind":"product","key":"X","deleted":true,"record":{}}`, `want either a "record" or "deleted":true`},
		{`{"kind":"product","key":"X","delete":true}`, `unknown field "delete"`},
		{`{"kind":"product","key":"X","record":{"product":"Y","price":"1"}}`, `product X: its record is that of "Y"`},
		{`{"kind":"product","key":"X","record":null}`, `product X: its record is that of ""`},
		{product(`"price":"1"`) + product(`"price":"1"`), "holds more than one JSON object"},
		{product(`"price":"-1"`), "price -1 is negative"},
		{product(`"price":"` + strings.Repeat("9", 40) + `"`), "longer than 32 characters"},
		{product(`"price":"1e3"`), "not a plain decimal number"},
		{product(`"price":1`), "cannot unmarshal number"},
		{product(`"price":"1","colour":"red"`), `unknown field "colour"`},
		{product(`"price":"1","quantity_decimals":5`), "quantity_decimals 5 is not from 0 to 4"},
		{product(`"price":"1","taxes":[{"code":"S","rate":"-1"}]`), `tax "S" of -1`},
		{product(`"price":"1","taxes":[{"rate":"1"}]`), `tax "" of 1`},
		{`{"kind":"store","key":"s001","record":{"currency":"GBP","digits":2,"max_quantity":"1","tenders":{}}}`, `its record is that of "store"`},
		{`{"kind":"store","key":"store","record":{"currency":"pounds","digits":2,"max_quantity":"1"}}`, `currency "pounds"`},
		{`{"kind":"store","key":"store","record":{"currency":"GBP","digits":9,"max_quantity":"1"}}`, "digits 9"},
		{`{"kind":"store","key":"store","record":{"currency":"GBP","digits":2,"max_quantity":"0"}}`, "max_quantity 0"},
		{`{"kind":"store","key":"store","record":{"currency":"GBP","digits":2,"max_quantity":"1","tenders":{"cash":{"id":"card"}}}}`, `tender "cash"`},
		{"\xff", "is not valid UTF-8"},
		{product(`"price":"1"`) + strings.Repeat(" ", MaxLine), "is longer than 65536 bytes"},
	} {
		r := sampleData(t)
		lines := `{"kind":"product","key":"NEW","record":{"product":"NEW","description":"New","price":"1"}}` + "\n" + c.line + "\n" +
			`{"kind":"product","key":"C2","deleted":true}`
		report, err := r.Import(background, strings.NewReader(lines), importTime.Add(1), false)
		require.ErrorIs(t, err, ErrNotImported, "%.100s", c.line)
		require.ErrorContains(t, err, "1 of 3 lines are wrong, the first is line 2")
		require.Len(t, report.Problems, 1)
		require.Equal(t, 2, report.Problems[0].Line)
		require.Contains(t, report.Problems[0].What, c.want)
		require.Equal(t, ImportReport{Lines: 3, Stored: 1, Deleted: 1, Wrong: 1, Problems: report.Problems}, report)
		require.Nil(t, find(t, r, "product", "NEW"))
		require.NotNil(t, find(t, r, "product", "C2"))
		require.Empty(t, search(t, r, "new"))
		asOf, err := r.AsOf(background)
		require.NoError(t, err)
		require.Equal(t, importTime, asOf[0].Time)
		require.NoError(t, r.Close())
	}
}

func TestImportThatBreaksOff(t *testing.T) {
	r := sampleData(t)
	line := `{"kind":"product","key":"NEW","record":{"product":"NEW","description":"New","price":"1"}}` + "\n"
	_, err := r.Import(background, io.MultiReader(strings.NewReader(line), iotest.ErrReader(errors.New("cable"))), importTime, false)
	require.ErrorContains(t, err, "read line 2: cable")
	require.Nil(t, find(t, r, "product", "NEW"))
	_, err = r.Import(background, strings.NewReader(line), importTime, false)
	require.NoError(t, err)
	require.NotNil(t, find(t, r, "product", "NEW"))
}

func TestImportNamesTheFirstProblemsAndCountsAll(t *testing.T) {
	r := sampleData(t)
	report, err := r.Import(background, strings.NewReader(strings.Repeat("{}\n", 500)), importTime, false)
	require.ErrorIs(t, err, ErrNotImported)
	require.Equal(t, 500, report.Wrong)
	require.Len(t, report.Problems, MaxProblems)
}

// search gives the keys of the products found.
func search(t testing.TB, r *Reference, text string) []string {
	hits, err := r.Search(background, "product", text, 10)
	require.NoError(t, err, "%q", text)
	keys := []string{}
	for _, hit := range hits {
		keys = append(keys, string(hit.(ledger.Product).ID))
	}
	return keys
}

func TestSearch(t *testing.T) {
	r := sampleData(t)
	_, err := r.Import(background, strings.NewReader(`{"kind":"product","key":"T10","record":{"product":"T10","description":"Teapot","price":"1"}}
{"kind":"product","key":"T1","record":{"product":"T1","description":"Green tea","price":"1"}}
{"kind":"staff","key":"T1","record":{"staff":"T1","name":"Tea Leoni"}}`), importTime, false)
	require.NoError(t, err)
	for text, want := range map[string][]string{
		"85123A":      {"85123A"},
		"85123":       {"85123A"},
		" 85123a ":    {"85123A"},
		"hang heart":  {"85123A"},
		"heart teapo": {},
		"CAFE":        {"C2"},
		"t-light":     {"85123A"},
		"tea":         {"T1", "T10"}, // the word before words that begin so
		"T1":          {"T1", "T10"}, // the key before all
		"":            {},
		`"`:           {},
		`" OR "`:      {},
		"tea*":        {"T1", "T10"},
		"NOT tea":     {},
		"key : T1":    {},
		"(":           {},
		"tea AND":     {},
		"3":           {"22423"},
		"\x00\xff":    {},
		"\u0301":      {},
	} {
		require.Equal(t, want, search(t, r, text), "%q", text)
	}
	hits, err := r.Search(background, "staff", "leo", 0)
	require.NoError(t, err)
	require.Equal(t, []any{ledger.StaffMember{ID: "T1", Name: "Tea Leoni"}}, hits)
	hits, err = r.Search(background, "product", "t", 1)
	require.NoError(t, err)
	require.Len(t, hits, 1)
	hits, err = r.Search(background, "nothing", "t", 1)
	require.NoError(t, err)
	require.Empty(t, hits)
	require.Empty(t, search(t, r, strings.Repeat("tea pot ", 100_000)))
}

func FuzzSearch(f *testing.F) {
	r := sampleData(f)
	for _, text := range []string{"heart", `"*`, "a AND b", "NEAR(a b)", "{key}:x", "^a + b", "\u0301a", "ａ", "a\x00b"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) { search(t, r, text) })
}

func TestReferenceOfSomethingElseOrDamaged(t *testing.T) {
	db := openDB(t)
	require.NoError(t, db.Close())
	_, err := OpenReference(db.path)
	require.ErrorContains(t, err, "is a database of something else")
	path := filepath.Join(t.TempDir(), "reference.db")
	r := openReferenceAt(t, path)
	_, err = r.Import(background, strings.NewReader(products(500)), importTime, false)
	require.NoError(t, err)
	require.NoError(t, r.Close())
	page := rootPage(t, path, "records")
	overwrite(t, path, int64(page-1)*4096, make([]byte, 4096))
	r = openReferenceAt(t, path)
	_, _, err = r.Find(background, ledger.Query{Kind: "product", Key: fmt.Sprintf("P%05d", 3)})
	require.ErrorIs(t, err, ErrDamaged)
}
