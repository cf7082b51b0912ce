package projections

import (
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/posnode/posnode/events"
	"github.com/posnode/posnode/ledger"
)

// follow takes messages in as the stream of that name, ending with a commit.
func follow(t testing.TB, r *Reference, stream string, first uint64, bodies ...string) error {
	return r.Follow(background, stream, first+uint64(len(bodies)), func(from uint64, yield func(uint64, []byte) error) error {
		for i, body := range bodies {
			if at := first + uint64(i); at >= from {
				if err := yield(at, []byte(body)); err != nil {
					return err
				}
			}
		}
		return yield(first+uint64(len(bodies)), []byte(`{"committed":{"product":"2026-03-02T08:00:00Z"}}`))
	})
}

func tea(price string, more string) string {
	return fmt.Sprintf(`{"kind":"product","key":"TEA","record":{"product":"TEA","description":"Tea","price":%q%s}}`, price, more)
}

// A later head office says things that this program does not know: it keeps the records that it
// understands, names the rest, and tries the rest again when it is opened.
func TestFollowALaterVersion(t *testing.T) {
	path := filepath.Join(t.TempDir(), "reference.db")
	r := openReferenceAt(t, path)
	require.NoError(t, follow(t, r, "REFERENCE_1@x", 1, tea("2", "")))
	require.NoError(t, follow(t, r, "REFERENCE_1@x", 3,
		tea("3", `,"colour":"green"`),
		`{"kind":"robot","key":"R1","record":{"legs":4}}`,
		`{"kind":"product","key":"POT","record":{"product":"POT","price":"-1"}}`,
		`{"kind":"product","key":"MUG","record":{"product":"MUG","price":{"amount":1}}}`,
		`[]`, `{"future":true}`))
	require.Equal(t, "3", find(t, r, "product", "TEA").(ledger.Product).Price.String(), "an unknown field does not stop a price")
	require.Nil(t, find(t, r, "product", "POT"))
	feed, err := r.Feed(background)
	require.NoError(t, err)
	require.EqualValues(t, 9, feed.Position)
	var named []string
	for _, s := range feed.Skipped {
		named = append(named, fmt.Sprintf("%s: %s (%d)", s.Kind, s.What, s.Count))
	}
	require.Len(t, named, 6)
	all := strings.Join(named, "\n")
	for _, want := range []string{`product: json: unknown field "colour" (1)`, "robot: records of a kind that is not known (1)", "price -1 is negative", "no line of reference data"} {
		require.Contains(t, all, want)
	}
	page, err := r.Page(background, 0)
	require.NoError(t, err)
	require.Contains(t, string(page.Lines[0].Record), "colour", "what is not understood is kept as it came")

	// A price that turns to nonsense leaves the last good one.
	require.NoError(t, follow(t, r, "REFERENCE_1@x", 10, tea("-5", "")))
	require.Equal(t, "3", find(t, r, "product", "TEA").(ledger.Product).Price.String())

	require.NoError(t, r.Close())
	r = openReferenceAt(t, path)
	feed, err = r.Feed(background)
	require.NoError(t, err)
	require.Zero(t, feed.Position, "what was skipped is read again")
	require.NoError(t, follow(t, r, "REFERENCE_1@x", 1, tea("4", "")))
	feed, err = r.Feed(background)
	require.NoError(t, err)
	require.Empty(t, feed.Skipped)
	require.EqualValues(t, 2, feed.Position)
}

// A batch that breaks off in the middle is not visible at all.
func TestFollowIsAllOrNothing(t *testing.T) {
	r := openReferenceAt(t, filepath.Join(t.TempDir(), "reference.db"))
	require.NoError(t, follow(t, r, "REFERENCE_1@x", 1, tea("2", "")))
	err := r.Follow(background, "REFERENCE_1@x", 9, func(_ uint64, yield func(uint64, []byte) error) error {
		require.NoError(t, yield(3, []byte(tea("3", ""))))
		require.Equal(t, "2", find(t, r, "product", "TEA").(ledger.Product).Price.String())
		return errors.New("power cut")
	})
	require.ErrorContains(t, err, "power cut")
	require.Equal(t, "2", find(t, r, "product", "TEA").(ledger.Product).Price.String())
	feed, err := r.Feed(background)
	require.NoError(t, err)
	require.EqualValues(t, 2, feed.Position)
}

// Another stream takes the place of all that was there, as does the first that of a file.
func TestFollowAnotherStream(t *testing.T) {
	r := sampleData(t)
	require.NoError(t, follow(t, r, "REFERENCE_1@x", 1, tea("2", "")))
	require.Nil(t, find(t, r, "product", "C2"), "it came from a file")
	require.Empty(t, search(t, r, "cakestand"))
	_, err := r.Import(background, strings.NewReader(sampleReference), importTime, false)
	require.ErrorIs(t, err, ErrFromHeadOffice)
	require.NoError(t, follow(t, r, "REFERENCE_2@y", 1, strings.ReplaceAll(tea("2", ""), "TEA", "POT")))
	require.Nil(t, find(t, r, "product", "TEA"))
	require.NotNil(t, find(t, r, "product", "POT"))
}

// Staleness is honest: the as-of goes on when head office says that there is nothing newer, and not otherwise.
func TestConfirm(t *testing.T) {
	path := filepath.Join(t.TempDir(), "reference.db")
	r := openReferenceAt(t, path)
	require.NoError(t, follow(t, r, "REFERENCE_1@x", 1, tea("2", "")))
	asOf := func() time.Time {
		all, err := r.AsOf(background)
		require.NoError(t, err)
		require.Len(t, all, 1)
		require.Equal(t, 1, all[0].Count)
		return all[0].Time
	}
	published := time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC)
	require.Equal(t, published, asOf())
	for _, after := range []time.Duration{time.Hour, time.Hour + time.Second, time.Hour + 30*time.Second} {
		require.NoError(t, r.Confirm(background, published.Add(after)))
		require.Equal(t, published.Add(after), asOf())
	}
	require.NoError(t, r.Close())
	r = openReferenceAt(t, path)
	require.Equal(t, published.Add(time.Hour), asOf(), "the last that was written, at most a minute older")
}

// A file of the version before keeps its records.
func TestReferenceOfTheVersionBefore(t *testing.T) {
	path := filepath.Join(t.TempDir(), "reference.db")
	db, err := sql.Open("sqlite", "file:"+path)
	require.NoError(t, err)
	_, err = db.Exec(`CREATE TABLE records (id INTEGER PRIMARY KEY, kind TEXT NOT NULL, key TEXT NOT NULL, record TEXT NOT NULL, UNIQUE (kind, key));
		CREATE TABLE imports (kind TEXT PRIMARY KEY, at TEXT NOT NULL) WITHOUT ROWID;
		CREATE VIRTUAL TABLE search USING fts5 (key, text, tokenize = 'unicode61 remove_diacritics 2');
		INSERT INTO records VALUES (7, 'product', 'TEA', '{"product":"TEA","description":"Tea","price":"2"}');
		INSERT INTO search (rowid, key, text) VALUES (7, 'TEA', 'Tea');
		INSERT INTO imports VALUES ('product', '2026-03-02T08:00:00Z');
		PRAGMA application_id = 0x706f7372; PRAGMA user_version = 1`)
	require.NoError(t, err)
	require.NoError(t, db.Close())
	r := openReferenceAt(t, path)
	require.NotNil(t, find(t, r, "product", "TEA"))
	require.Equal(t, []string{"TEA"}, search(t, r, "tea"))
	_, err = r.Import(background, strings.NewReader(tea("3", "")), importTime, false)
	require.NoError(t, err)
	require.Equal(t, "3", find(t, r, "product", "TEA").(ledger.Product).Price.String())
}

// A store's own record stands before everybody's, also in a search; where it is deleted, everybody's is back.
func TestScopes(t *testing.T) {
	r := openReferenceAt(t, filepath.Join(t.TempDir(), "reference.db"))
	own := strings.Replace(tea("9", ""), `"key"`, `"store":"s001","key"`, 1)
	require.NoError(t, follow(t, r, "REFERENCE_1@x", 1, tea("2", ""), own))
	one, two := r.For(events.Register{Store: "s001", ID: "r01"}), r.For(events.Register{Store: "s002", ID: "r01"})
	prices := func(r *Reference) (out []string) {
		out = append(out, find(t, r, "product", "TEA").(ledger.Product).Price.String())
		hits, err := r.Search(background, "product", "tea", 0)
		require.NoError(t, err)
		for _, hit := range hits {
			out = append(out, hit.(ledger.Product).Price.String())
		}
		return out
	}
	require.Equal(t, []string{"9", "9"}, prices(one))
	require.Equal(t, []string{"2", "2"}, prices(two))
	page, err := two.Page(background, 0)
	require.NoError(t, err)
	require.Len(t, page.Lines, 1)
	require.NoError(t, follow(t, r, "REFERENCE_1@x", 4, `{"kind":"product","key":"TEA","store":"s001","deleted":true}`))
	require.Equal(t, []string{"2", "2"}, prices(one))
	page, err = one.Page(background, 3)
	require.NoError(t, err)
	require.Len(t, page.Lines, 1)
	require.True(t, page.Lines[0].Deleted)
}

// plan returns the changes that a CSV file would make, as JSON lines, or its faults.
func plan(t testing.TB, r *Reference, table, rows string) string {
	report, changes, err := r.Plan(background, strings.NewReader(rows), Format{CSV: table})
	if err != nil {
		require.ErrorIs(t, err, ErrNotImported)
		out := err.Error()
		for _, p := range report.Problems {
			out += fmt.Sprintf("\n%d: %s", p.Line, p.What)
		}
		return out
	}
	var out []string
	for _, line := range changes.Lines {
		if line.Deleted {
			out = append(out, "deleted "+line.Key)
			continue
		}
		require.True(t, json.Valid(line.Record))
		out = append(out, string(line.Record))
	}
	return strings.Join(out, "\n")
}

func TestCSV(t *testing.T) {
	r := openReferenceAt(t, filepath.Join(t.TempDir(), "reference.db"))
	_, err := r.Import(background, strings.NewReader(sampleReference+`
{"kind":"product","key":"A","record":{"product":"A","description":"A","price":"1","prices":[{"group":"staff","price":"0.5"}],"taxes":[{"code":"S","rate":"20"}]}}
{"kind":"customer","key":"C1","record":{"customer":"C1","kind":"person","name":"Ada","balance":250,"as_of":"2026-03-02T06:00:00Z"}}
{"kind":"loyalty","key":"L1","record":{"number":"L1","customer":"C1","points":1000}}
{"kind":"order","key":"SO-1","record":{"order":"SO-1","store":"s001","status":"open","customer":"C1","currency":"GBP","lines":[{"line":1,"product":"A"}],"deposit":50}}`), importTime, false)
	require.NoError(t, err)
	const a = `{"description":"A","price":%s,"prices":[%s],"product":"A","taxes":[%s]}`
	product := func(price, prices, taxes string) string { return fmt.Sprintf(a, price, prices, taxes) }
	const group, tax = `{"group":"staff","price":"0.5"}`, `{"code":"S","rate":"20"}`
	for _, c := range []struct{ table, rows, want string }{
		{"prices", "product,price\nA,1.10\n", product(`"1.10"`, group, tax)},
		{"prices", "product,price\nA,1\n", ""},
		{"prices", "\ufeffproduct,price,group\nA,0.4,staff\n", product(`"1"`, `{"group":"staff","price":"0.4"}`, tax)},
		{"prices", "product,price,group,from\nA,0.4,staff,2026-04-01\n", product(`"1"`, group+`,{"from":"2026-04-01","group":"staff","price":"0.4"}`, tax)},
		{"prices", "product,group,deleted\nA,staff,true\n", `{"description":"A","price":"1","product":"A","taxes":[` + tax + `]}`},
		{"prices", "product,price,at\nA,1.25,2026-03-29T01:00:00Z\n",
			`{"description":"A","price":"1","price_changes":[{"at":"2026-03-29T01:00:00Z","price":"1.25"}],"prices":[` + group + `],"product":"A","taxes":[` + tax + `]}`},
		{"taxes", "product,code,rate\nA,S,21\nA,X,1\n", product(`"1"`, group, `{"code":"S","rate":"21"}`) + "\n" + product(`"1"`, group, `{"code":"S","rate":"21"},{"code":"X","rate":"1"}`)},
		{"discounts", "product,offer,name,percent\nC2,O1,Ten,10\n", `{"description":"Café \"au lait\" set","offers":[{"name":"Ten","offer":"O1","percent":"10"}],"price":"5","product":"C2"}`},
		{"product", "product,description,price,blocked\nNEW,New,3,true\n", `{"blocked":true,"description":"New","price":"3","product":"NEW"}`},
		{"product", "product,deleted\nA,true\n", "deleted A"},
		{"product", "product,description\n22423,Cakestand\n", `{"description":"Cakestand","price":"10.95","product":"22423"}`},
		{"barcode", "barcode,product,quantity\n5000,A,6\n", `{"barcode":"5000","product":"A","quantity":"6"}`},
		{"stock", "product,on_hand,as_of\nA,12.5,2026-03-02T00:00:00Z\n", `{"as_of":"2026-03-02T00:00:00Z","on_hand":"12.5","product":"A"}`},
		{"staff", "staff,name,groups\n8,Kim,\"[{\"\"manager\"\":true}]\"\n", `{"groups":[{"manager":true}],"name":"Kim","staff":"8"}`},
		{"giftcard", "number,balance,currency\n61,2500,GBP\n", `{"balance":2500,"currency":"GBP","number":"61"}`},
		{"customer", "customer,kind,name,phone,price_groups,allows_on_account,credit_limit,as_of\nC9,person,Kim,0123,\"[\"\"staff\"\"]\",true,5000,2026-03-02T00:00:00Z\n",
			`{"allows_on_account":true,"as_of":"2026-03-02T00:00:00Z","credit_limit":5000,"customer":"C9","kind":"person","name":"Kim","phone":"0123","price_groups":["staff"]}`},
		{"customer", "customer,city,blocked\nC1,Leeds,true\n", `{"as_of":"2026-03-02T06:00:00Z","balance":250,"blocked":true,"city":"Leeds","customer":"C1","kind":"person","name":"Ada"}`},
		{"customer", "customer,deleted\nC1,true\n", "deleted C1"},
		{"customer_number", "provisional,customer\ns001-r01-1-c1,C9\n", `{"customer":"C9","provisional":"s001-r01-1-c1"}`},
		{"loyalty", "number,customer,points,affiliations\nL2,C1,120,\"[\"\"staff\"\"]\"\n", `{"affiliations":["staff"],"customer":"C1","number":"L2","points":120}`},
		{"loyalty", "number,points\nL1,900\n", `{"customer":"C1","number":"L1","points":900}`},
		{"loyalty", "number,deleted\nL1,true\n", "deleted L1"},
		{"order", "order,store,status,customer,customer_name,currency,tax_included,lines,deposit,pickup_on\nSO-2,s001,open,C1,Ada,GBP,true,\"[{\"\"line\"\":1,\"\"product\"\":\"\"A\"\",\"\"quantity\"\":\"\"2\"\"}]\",50,2026-04-01\n",
			`{"currency":"GBP","customer":"C1","customer_name":"Ada","deposit":50,"lines":[{"line":1,"product":"A","quantity":"2"}],"order":"SO-2","pickup_on":"2026-04-01","status":"open","store":"s001","tax_included":true}`},
		{"order", "order,status\nSO-1,picked_up\n", `{"currency":"GBP","customer":"C1","deposit":50,"lines":[{"line":1,"product":"A"}],"order":"SO-1","status":"picked_up","store":"s001"}`},
		{"order", "order,deleted\nSO-1,true\n", "deleted SO-1"},
		{"profile", "register,timeout_ms\nr01,500\n", `{"register":"r01","timeout_ms":500}`},
		{"currencies", "currency,digits,rate\nEUR,2,0.85\n", ""},
		{"tenders", "id,name,kind,refund\ncard,Card,card,true\n", ""},

		{"prices", "product,price\nNONE,1\n", "2: there is no product NONE"},
		{"prices", "product,price\nA,-1\n", "2: product A: price -1 is negative"},
		{"prices", "product,price\nA,\"1\n", "2: "},
		{"prices", "product,price\nA\nA,2\n", "2: wrong number of fields"},
		{"prices", "product,colour\nA,red\n", `2: there is no column "colour"`},
		{"prices", "product,price,at\nA,1,tomorrow\n", "2: product A: "},
		{"prices", "product,price,deleted\nA,1,perhaps\n", `deleted: "perhaps" is neither true nor false`},
		{"giftcard", "number,balance,currency\n61,25.00,GBP\n", `2: balance: "25.00" is not a whole number`},
		{"customer", "customer,credit_limit\nC1,-1\n", "2: customer C1: credit_limit -1 is negative"},
		{"customer", "customer,as_of\nC1,yesterday\n", `2: customer C1: time "yesterday" is not RFC 3339`},
		{"customer", "customer,colour\nC1,red\n", `2: there is no column "colour"`},
		{"customer_number", "provisional,customer\nC9,C9\n", "2: customer_number C9: customer "},
		{"loyalty", "number,points\nL1,9.5\n", `2: points: "9.5" is not a whole number`},
		{"order", "order,status\nSO-1,lost\n", `2: order SO-1: status "lost" is not open, picked_up or cancelled`},
		{"order", "order,store,status,customer\nSO-3,s001,open,C1\n", "2: order SO-3: want a store, a customer and 1 to "},
		{"order", "order,lines\nSO-1,{\n", `2: lines: "{" is not JSON`},
		{"order", "order,deposit\nSO-1,0.5\n", `2: deposit: "0.5" is not a whole number`},
		{"product", "product,blocked\nA,x\n", `2: blocked: "x" is neither true nor false`},
		{"product", "product,taxes\nA,{\n", `2: taxes: "{" is not JSON`},
		{"nonsense", "a\n", "there is no table"},
		{"product", "", "the header row cannot be read"},
	} {
		got := plan(t, r, c.table, c.rows)
		switch c.table {
		case "currencies":
			require.Contains(t, got, `"currencies":{"EUR":{"digits":2,"rate":"0.85"}}`)
		case "tenders":
			require.Contains(t, got, `"card":{"id":"card","kind":"card","name":"Card","refund":true}`)
			require.Contains(t, got, `"cash":{"id":"cash"`, "the others stay")
		default:
			if strings.HasPrefix(c.want, "{") || c.want == "" {
				require.Equal(t, c.want, got, "%s %s", c.table, c.rows)
			} else {
				require.Contains(t, got, c.want, "%s %s", c.table, c.rows)
			}
		}
	}
}

func FuzzCSV(f *testing.F) {
	f.Add("prices", "product,price,at\nC2,1,2026-03-29T01:00:00Z\n")
	f.Add("store", "currency,deleted\nGBP,true\n")
	f.Add("tenders", "id\n\n")
	r := sampleData(f)
	f.Fuzz(func(t *testing.T, table, rows string) {
		_, _, _ = r.Plan(background, strings.NewReader(rows), Format{CSV: table})
	})
}

// A copy drops the staff of other stores.
func TestFollowDropsStaffOfOtherStores(t *testing.T) {
	r := openReferenceAt(t, filepath.Join(t.TempDir(), "reference.db")).For(events.Register{Store: "s001", ID: "r01"})
	member := func(stores string) string {
		return `{"kind":"staff","key":"7","record":{"staff":"7","name":"Sam","pin":"secret","stores":` + stores + `,"groups":[]}}`
	}
	require.NoError(t, follow(t, r, "REFERENCE_1@x", 1, member(`["s001"]`)))
	require.NotNil(t, find(t, r, "staff", "7"))
	require.NoError(t, follow(t, r, "REFERENCE_1@x", 3, member(`["s002"]`)))
	var kept int
	require.NoError(t, r.writer.QueryRow("SELECT count(*) FROM records WHERE record LIKE '%secret%'").Scan(&kept))
	require.Zero(t, kept)
}
