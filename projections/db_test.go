package projections

import (
	"context"
	"database/sql"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/posnode/posnode/events"
	"github.com/posnode/posnode/ledger"
)

var background = context.Background()

// requireSame checks that db equals the fold of the journal.
func requireSame(t testing.TB, db *DB, journal []Stored) {
	t.Helper()
	rebuilt := openDB(t)
	defer rebuilt.Close()
	apply(t, rebuilt, journal)
	found, err := Differences(background, rebuilt, db)
	require.NoError(t, err)
	require.Empty(t, found)
	require.Equal(t, dump(t, rebuilt), dump(t, db))
	require.Equal(t, position(t, rebuilt), position(t, db))
}

func dump(t testing.TB, db *DB) string {
	var out strings.Builder
	require.NoError(t, db.Dump(background, &out))
	return out.String()
}

func position(t require.TestingT, db *DB) events.Head {
	head, err := db.Position(background)
	require.NoError(t, err)
	return head
}

func TestEveryFactHasAPlace(t *testing.T) {
	require.Equal(t, events.Facts.Types(), slices.Sorted(maps.Keys(folds)), "give the fact a fold in a view, or put it among journalOnly")
}

func TestApplyOneByOneEqualsAllAtOnceAndAfterRestarts(t *testing.T) {
	w := busyTill(t)
	path := filepath.Join(t.TempDir(), "offline.db")
	for i, s := range w.journal {
		db, err := Open(path)
		require.NoError(t, err)
		require.NoError(t, db.Dropped())
		if i > 0 {
			require.Equal(t, w.journal[i-1].Entry.Head, position(t, db))
		}
		apply(t, db, []Stored{s})
		require.Equal(t, s.Entry.Head, position(t, db))
		require.NoError(t, db.Close())
	}
	db, err := Open(path)
	require.NoError(t, err)
	defer db.Close()
	requireSame(t, db, w.journal)
}

func TestRebuildFromItsOwnBodies(t *testing.T) {
	w := busyTill(t)
	db := openDB(t)
	apply(t, db, w.journal)
	var again []Stored
	for epoch := 1; epoch <= 2; epoch++ {
		for from := uint64(1); ; {
			bodies, err := db.Journal(background, Filter{Epoch: epoch, From: from, Limit: 7})
			require.NoError(t, err)
			if len(bodies) == 0 {
				break
			}
			for _, body := range bodies {
				e, err := events.Decode(body)
				require.NoError(t, err)
				again = append(again, Stored{e, body})
			}
			from = again[len(again)-1].Entry.Head.Sequence + 1
		}
	}
	require.Equal(t, w.journal, again)
	before := dump(t, db)
	require.NoError(t, db.Reset(background))
	require.Zero(t, position(t, db))
	require.Empty(t, dump(t, db))
	apply(t, db, again)
	require.Equal(t, before, dump(t, db))
}

// inventedFact is one that a newer program would know.
type inventedFact struct{}

func (*inventedFact) Type() string  { return "drawer.invented.v1" }
func (*inventedFact) About() string { return "drawer" }

func TestRefusedBatchesChangeNothing(t *testing.T) {
	w := busyTill(t)
	first := w.journal[:10]
	next := w.journal[10]
	other := newTill(t)
	other.sell(10)
	unknown := *next.Entry
	unknown.Fact = &inventedFact{}
	lost := *next.Entry
	lost.Fact = &events.SaleVoided{OfSale: events.OfSale{Transaction: "x"}}
	lost.Shift = "s001-r01-1-s9"
	foreign := *next.Entry
	foreign.Fact = &events.SaleConcluded{Terms: events.Terms{Currency: "EUR", Digits: 2}}
	for _, c := range []struct {
		name  string
		batch []Stored
		want  string
	}{
		{"gap", w.journal[11:15], "journal entry 12: gap: want entry 11, got entry 12"},
		{"again", w.journal[9:10], "journal entry 10: gap: want entry 11, got entry 10"},
		{"gap inside", []Stored{next, w.journal[12]}, "journal entry 13: gap: want entry 12"},
		{"other history", other.journal[10:11], "journal entry 11: chain"},
		{"epoch in the middle", []Stored{next, w.last()}, "gap: want entry 1"},
		{"unknown fact", []Stored{{&unknown, next.Body}}, `apply entry 11 of epoch 1: fact "drawer.invented.v1" is not known`},
		{"unknown shift", []Stored{{&lost, next.Body}}, `shift "s001-r01-1-s9" was never opened`},
		{"another currency", []Stored{{&foreign, next.Body}}, "amounts in EUR with 2 digits, but shift s001-r01-1-s1 is in GBP with 2"},
	} {
		t.Run(c.name, func(t *testing.T) {
			db := openDB(t)
			apply(t, db, first)
			require.ErrorContains(t, db.Apply(background, c.batch), c.want)
			requireSame(t, db, first)
			apply(t, db, w.journal[10:])
			requireSame(t, db, w.journal)
		})
	}
}

// TestEarlierEpochAfterALaterOne: once an epoch has begun, nothing of the ones before it is taken in any more, be it an
// entry that is there already or one that never came.
func TestEarlierEpochAfterALaterOne(t *testing.T) {
	w := busyTill(t)
	begins := slices.IndexFunc(w.journal, func(s Stored) bool { return s.Entry.Epoch == 2 })
	for name, applied := range map[string][]Stored{"all of it": w.journal, "the later epoch alone": w.journal[begins:]} {
		db := openDB(t)
		apply(t, db, applied)
		for _, late := range []Stored{w.journal[0], w.journal[1], w.journal[begins-1]} {
			require.Error(t, db.Apply(background, []Stored{late}), name)
		}
		requireSame(t, db, applied)
	}
}

func TestCancelledBatchChangesNothing(t *testing.T) {
	w := busyTill(t)
	db := openDB(t)
	apply(t, db, w.journal[:9])
	ctx, cancel := context.WithCancel(background)
	cancel()
	require.ErrorIs(t, db.Apply(ctx, w.journal[9:]), context.Canceled)
	requireSame(t, db, w.journal[:9])
}

func TestFullDisk(t *testing.T) {
	w := busyTill(t)
	w.do(206, ``)
	for len(w.journal) < 1500 {
		w.sell(9)
	}
	db := openDB(t)
	apply(t, db, w.journal[:100])
	limit := func(pages int) {
		_, err := db.writer.conn.ExecContext(background, fmt.Sprintf("PRAGMA max_page_count = %d", pages))
		require.NoError(t, err)
	}
	limit(100)
	require.ErrorContains(t, db.Apply(background, w.journal[100:]), "full")
	requireSame(t, db, w.journal[:100])
	limit(1 << 20)
	apply(t, db, w.journal[100:])
	requireSame(t, db, w.journal)
}

// copyFiles copies a database as it lies on the disk, as a crash at this moment would leave it.
func copyFiles(t testing.TB, from string) (to string) {
	to = filepath.Join(t.TempDir(), "offline.db")
	require.NoError(t, copyFile(t.Context(), from, to))
	if _, err := os.Stat(from + "-wal"); err == nil {
		require.NoError(t, copyFile(t.Context(), from+"-wal", to+"-wal"))
	}
	return to
}

func TestCrashInTheMiddleOfABatch(t *testing.T) {
	w := busyTill(t)
	w.do(206, ``)
	for len(w.journal) < 6000 {
		w.sell(9)
	}
	db := openDB(t)
	apply(t, db, w.journal[:50])
	chain := db.position
	var crashed string
	// 6,000 entries are more than the page cache holds: many of their pages are on disk already.
	err := db.writer.transact(func(b *batch) error {
		for _, s := range w.journal[50:] {
			require.NoError(t, b.apply(&chain, s))
		}
		crashed = copyFiles(t, db.path)
		log, err := os.Stat(crashed + "-wal")
		require.NoError(t, err)
		require.Greater(t, log.Size(), int64(1<<20))
		return context.Canceled
	})
	require.ErrorIs(t, err, context.Canceled)
	found, err := Open(crashed)
	require.NoError(t, err)
	defer found.Close()
	require.NoError(t, found.Dropped())
	requireSame(t, found, w.journal[:50])
	apply(t, found, w.journal[50:])
	requireSame(t, found, w.journal)
}

// A power cut leaves any prefix of a log that was not synced, perhaps with other bytes than were
// written.
func TestPowerCutLeavesTheStateAfterSomeBatch(t *testing.T) {
	w := busyTill(t)
	db := openDB(t)
	ends := map[events.Head]int{{}: 0}
	for done := 0; done < len(w.journal); {
		n := min(5, len(w.journal)-done)
		apply(t, db, w.journal[done:done+n])
		done += n
		ends[position(t, db)] = done
	}
	log, err := os.ReadFile(db.path + "-wal")
	require.NoError(t, err)
	// The fold of each prefix of the journal.
	want := map[int]string{}
	for _, n := range ends {
		rebuilt := openDB(t)
		apply(t, rebuilt, w.journal[:n])
		want[n] = dump(t, rebuilt)
	}
	reached := map[int]bool{}
	rapid.Check(t, func(rt *rapid.T) {
		cut := rapid.IntRange(0, len(log)).Draw(rt, "cut")
		path := copyFiles(t, db.path)
		torn := append([]byte{}, log[:cut]...)
		if cut > 0 && rapid.Bool().Draw(rt, "torn") {
			torn[rapid.IntRange(max(0, cut-4096), cut-1).Draw(rt, "byte")] ^= 0xff
		}
		require.NoError(rt, os.WriteFile(path+"-wal", torn, 0o600))
		found, err := Open(path)
		require.NoError(rt, err)
		defer found.Close()
		n, batchEnd := ends[position(rt, found)]
		require.True(rt, batchEnd, "position %v is not the end of a batch", position(rt, found))
		require.Equal(rt, want[n], dump(t, found))
		reached[n] = true
	})
	require.Greater(t, len(reached), 3)
}

// While the log is moved to the file a power cut leaves any of its pages old or new. The log is whole: it was synced before.
func TestPowerCutInACheckpoint(t *testing.T) {
	w := busyTill(t)
	db := openDB(t)
	apply(t, db, w.journal[:15])
	_, err := db.writer.conn.ExecContext(background, "PRAGMA wal_checkpoint(truncate)")
	require.NoError(t, err)
	apply(t, db, w.journal[15:])
	before := copyFiles(t, db.path)
	_, err = db.writer.conn.ExecContext(background, "PRAGMA wal_checkpoint(passive)")
	require.NoError(t, err)
	old, err := os.ReadFile(before)
	require.NoError(t, err)
	moved, err := os.ReadFile(db.path)
	require.NoError(t, err)
	require.NotEqual(t, old, moved)
	want := dump(t, db)
	rapid.Check(t, func(rt *rapid.T) {
		path := copyFiles(t, before)
		for at := 0; at < len(moved); at += 4096 {
			if rapid.Bool().Draw(rt, "moved") {
				overwrite(rt, path, int64(at), moved[at:at+4096])
			}
		}
		found, err := Open(path)
		require.NoError(rt, err)
		defer found.Close()
		require.NoError(rt, found.Dropped())
		require.Equal(rt, want, dump(t, found))
	})
}

func TestDamagedFileIsDropped(t *testing.T) {
	w := busyTill(t)
	whole := filepath.Join(t.TempDir(), "whole.db")
	db, err := Open(whole)
	require.NoError(t, err)
	apply(t, db, w.journal)
	require.NoError(t, db.Close())
	pristine, err := os.ReadFile(whole)
	require.NoError(t, err)
	statement := func(query string) func(string) {
		return func(path string) { tamper(t, path, query) }
	}
	for _, c := range []struct {
		name   string
		damage func(path string)
		want   error
	}{
		{"not a database", func(path string) { require.NoError(t, os.WriteFile(path, []byte(strings.Repeat("x", 9000)), 0o600)) }, ErrDamaged},
		{"cut off", func(path string) { require.NoError(t, os.Truncate(path, int64(len(pristine)/2))) }, ErrDamaged},
		{"a page of zeros", func(path string) { overwrite(t, path, 4096, make([]byte, 4096)) }, ErrDamaged},
		{"last entry altered", statement("UPDATE journal SET body = substr(body, 1, 40) WHERE at = (SELECT max(at) FROM journal)"), ErrDamaged},
		{"last entry moved", statement("UPDATE journal SET at = at + 1 WHERE at = (SELECT max(at) FROM journal)"), ErrDamaged},
		{"older meaning", statement("PRAGMA user_version = 999"), ErrVersion},
		{"table dropped", statement("DROP TABLE totals"), ErrVersion},
		{"trigger added", statement("CREATE TRIGGER t AFTER INSERT ON totals BEGIN DELETE FROM tenders; END"), ErrVersion},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := copyFiles(t, whole)
			c.damage(path)
			_, err := OpenReadOnly(t.Context(), path)
			require.ErrorIs(t, err, c.want)
			db, err := Open(path)
			require.NoError(t, err)
			defer db.Close()
			require.ErrorIs(t, db.Dropped(), c.want)
			require.Zero(t, position(t, db))
			apply(t, db, w.journal)
			requireSame(t, db, w.journal)
		})
	}
}

// overwrite writes over a part of a file.
func overwrite(t require.TestingT, path string, at int64, with []byte) {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	require.NoError(t, err)
	_, err = f.WriteAt(with, at)
	require.NoError(t, err)
	require.NoError(t, f.Close())
}

// tamper changes a database behind the back of this package.
func tamper(t testing.TB, path, query string) {
	db, err := sql.Open("sqlite", path)
	require.NoError(t, err)
	_, err = db.Exec(query)
	require.NoError(t, err)
	require.NoError(t, db.Close())
}

func TestDamageMetWhileReading(t *testing.T) {
	w := busyTill(t)
	path := filepath.Join(t.TempDir(), "offline.db")
	db, err := Open(path)
	require.NoError(t, err)
	apply(t, db, w.journal)
	require.NoError(t, db.Close())
	page := rootPage(t, path, "totals")
	overwrite(t, path, int64(page-1)*4096, make([]byte, 4096))
	db, err = Open(path)
	require.NoError(t, err)
	defer db.Close()
	require.NoError(t, db.Dropped())
	_, err = db.Days(background, Period{})
	require.ErrorIs(t, err, ErrDamaged)
	rebuilt := openDB(t)
	apply(t, rebuilt, w.journal)
	found, err := Differences(background, rebuilt, db)
	require.NoError(t, err)
	require.NotEmpty(t, found)
	require.Equal(t, "totals", found[len(found)-1].View)
	require.NoError(t, db.Reset(background))
	apply(t, db, w.journal)
	requireSame(t, db, w.journal)
}

func rootPage(t testing.TB, path, table string) (page int) {
	db, err := sql.Open("sqlite", path)
	require.NoError(t, err)
	defer db.Close()
	require.NoError(t, db.QueryRow("SELECT rootpage FROM sqlite_schema WHERE name = ?", table).Scan(&page))
	return page
}

// What stands in the place of the database and is none is moved aside, whole, and never deleted.
func TestSomethingElseIsMovedAside(t *testing.T) {
	path := filepath.Join(t.TempDir(), "reference.db")
	r, err := OpenReference(path)
	require.NoError(t, err)
	require.NoError(t, r.Close())
	before, err := os.ReadFile(path)
	require.NoError(t, err)
	_, err = OpenReadOnly(t.Context(), path)
	require.ErrorContains(t, err, "is a database of something else")
	db, err := Open(path)
	require.NoError(t, err)
	require.ErrorIs(t, db.Dropped(), ErrDamaged)
	require.NoError(t, db.Close())
	aside, err := filepath.Glob(path + ".damaged-*")
	require.NoError(t, err)
	require.Len(t, aside, 1)
	after, err := os.ReadFile(aside[0])
	require.NoError(t, err)
	require.Equal(t, before, after)

	folder := filepath.Join(t.TempDir(), "offline.db")
	require.NoError(t, os.Mkdir(folder, 0o700))
	db, err = Open(folder)
	require.NoError(t, err)
	require.NoError(t, db.Close())
}

// A file that is shorter than it says is damaged: SQLite calls that an I/O error, and other I/O errors say nothing about the file.
func TestShortFileIsDamaged(t *testing.T) {
	w := busyTill(t)
	db := openDB(t)
	apply(t, db, w.journal)
	require.NoError(t, db.Close())
	info, err := os.Stat(db.path)
	require.NoError(t, err)
	require.NoError(t, os.Truncate(db.path, info.Size()/2))
	found, err := Open(db.path)
	require.NoError(t, err)
	defer found.Close()
	if found.Dropped() == nil { // it shows only where what is gone is read
		_, err = Differences(background, found, found)
		require.ErrorIs(t, err, ErrDamaged)
	}
}

// A crash while a file is dropped may leave its log.
func TestLogWithoutItsFile(t *testing.T) {
	w := busyTill(t)
	db := openDB(t)
	apply(t, db, w.journal)
	path := copyFiles(t, db.path)
	require.NoError(t, os.Remove(path))
	found, err := Open(path)
	require.NoError(t, err)
	defer found.Close()
	require.Zero(t, position(t, found))
	apply(t, found, w.journal)
	requireSame(t, found, w.journal)
}

// listDir is every file below dir with its size, time and content.
func listDir(t testing.TB, dir string) (all []string) {
	require.NoError(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		body, err := os.ReadFile(path)
		require.NoError(t, err)
		info, err := d.Info()
		require.NoError(t, err)
		all = append(all, fmt.Sprint(path, info.Size(), info.ModTime(), info.Mode(), events.Hash(body)))
		return nil
	}))
	return all
}

func TestReadOnlyChangesNothing(t *testing.T) {
	w := busyTill(t)
	clean := filepath.Join(t.TempDir(), "a name with ?, # and %41.db")
	db, err := Open(clean)
	require.NoError(t, err)
	apply(t, db, w.journal)
	want := dump(t, db)
	crashed := copyFiles(t, db.path)
	require.NoError(t, db.Close())
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp) // where a copy goes
	for name, path := range map[string]string{"closed": clean, "crashed": crashed} {
		t.Run(name, func(t *testing.T) {
			before := listDir(t, filepath.Dir(path))
			db, err := OpenReadOnly(t.Context(), path)
			require.NoError(t, err)
			require.Equal(t, want, dump(t, db))
			_, err = db.Days(background, Period{})
			require.NoError(t, err)
			require.ErrorIs(t, db.Apply(background, nil), errReadOnly)
			require.ErrorIs(t, db.Reset(background), errReadOnly)
			require.Equal(t, name == "crashed", len(listDir(t, temp)) > 0)
			require.NoError(t, db.Close())
			require.Equal(t, before, listDir(t, filepath.Dir(path)))
			require.Empty(t, listDir(t, temp))
		})
	}
	_, err = OpenReadOnly(t.Context(), filepath.Join(temp, "absent.db"))
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.Empty(t, listDir(t, temp))
}

func TestTamperedRowIsNamed(t *testing.T) {
	w := busyTill(t)
	rebuilt := openDB(t)
	apply(t, rebuilt, w.journal)
	path := copyFiles(t, rebuilt.path)
	for _, c := range []struct {
		query string
		want  Difference
	}{
		{"UPDATE totals SET sales = sales + 1, tax = 0 WHERE shift = 's001-r01-1-s1'",
			Difference{"totals", `shift="s001-r01-1-s1"`, "sales=2910 tax=368", "sales=2911 tax=0"}},
		{"DELETE FROM tenders WHERE shift = 's001-r01-2-s1'",
			Difference{"tenders", `shift="s001-r01-2-s1" tender="cash"`, "payments=1 tendered=1110 change=0", noRow}},
		{"INSERT INTO postings VALUES ('s001-r01-1-s1', 'pocket', 5)",
			Difference{"postings", `shift="s001-r01-1-s1" account="pocket"`, noRow, "amount=5"}},
		{"UPDATE products SET quantity = 'many' WHERE product = 'TEA' AND shift = 's001-r01-1-s1'",
			Difference{"products", `shift="s001-r01-1-s1" product="TEA"`, "quantity=16250", `quantity="many"`}},
		{"UPDATE shifts SET date = '2026-03-01' WHERE number = 1 AND shift LIKE '%1-s1'",
			Difference{"shifts", `shift="s001-r01-1-s1"`, `date="2026-03-02"`, `date="2026-03-01"`}},
		{"UPDATE transactions SET status = 'voided' WHERE transaction_id = 's001-r01-1-1'",
			Difference{"transactions", "at=1/8", `status="concluded"`, `status="voided"`}},
		{"UPDATE journal SET command = NULL WHERE at = (SELECT min(at) + 1 FROM journal)",
			Difference{"journal", "at=1/2", `command="` + string(w.journal[1].Entry.Command) + `"`, "command=<nil>"}},
		{"UPDATE journal SET body = x'00' WHERE at = (SELECT min(at) + 1 FROM journal)",
			Difference{"journal", "at=1/2", "body=sha256:" + w.journal[1].Entry.Head.Hash.String(), "body=sha256:" + events.Hash([]byte{0}).String()}},
	} {
		t.Run(c.want.View, func(t *testing.T) {
			path := copyFiles(t, path)
			tamper(t, path, c.query)
			db, err := OpenReadOnly(t.Context(), path)
			require.NoError(t, err)
			defer db.Close()
			found, err := Differences(background, rebuilt, db)
			require.NoError(t, err)
			require.Equal(t, []Difference{c.want}, found)
		})
	}
}

func TestShorterDatabaseDiffers(t *testing.T) {
	w := busyTill(t)
	rebuilt, short := openDB(t), openDB(t)
	apply(t, rebuilt, w.journal)
	apply(t, short, w.journal[:len(w.journal)-2])
	found, err := Differences(background, rebuilt, short)
	require.NoError(t, err)
	require.Len(t, found, 2)
	require.Equal(t, "journal", found[1].View)
	require.Equal(t, fmt.Sprintf("at=2/%d", w.last().Entry.Head.Sequence), found[1].Key)
	require.Equal(t, noRow, found[1].Got)
}

func TestReadsGoOnWhileEntriesAreApplied(t *testing.T) {
	w := newTill(t)
	for len(w.journal) < 1000 {
		w.sell(5)
	}
	db := openDB(t)
	apply(t, db, w.journal[:1])
	done := make(chan error)
	go func() {
		defer close(done)
		for from := 1; from < len(w.journal); from += 100 {
			if err := db.Apply(background, w.journal[from:min(from+100, len(w.journal))]); err != nil {
				done <- err
			}
		}
	}()
	for running := true; running; {
		select {
		case err, more := <-done:
			require.NoError(t, err)
			running = more
		default:
			balance, err := db.TrialBalance(background, Period{})
			require.NoError(t, err)
			var sum events.Money
			for _, b := range balance {
				sum += b.Amount
			}
			require.Zero(t, sum)
			_, err = db.Prior(background, w.journal[500].Entry.Command)
			require.NoError(t, err)
		}
	}
	requireSame(t, db, w.journal)
}

// The views equal the documents of a till, in whatever batches its entries are applied.
func TestViewsAddUp(t *testing.T) {
	products := []string{"TEA", "MUG", "COAL", "JAM"}
	rapid.Check(t, func(rt *rapid.T) {
		w := newTill(rt)
		for range rapid.IntRange(1, 60).Draw(rt, "steps") {
			product := rapid.SampledFrom(products).Draw(rt, "product")
			switch rapid.IntRange(0, 9).Draw(rt, "step") {
			case 0, 1, 2:
				quantity := rapid.IntRange(1, 9999).Draw(rt, "thousandths")
				_, _ = w.try(100, fmt.Sprintf(`{"product":%q,"quantity":"%d.%03d"}`, product, quantity/1000, quantity%1000))
			case 3:
				_, _ = w.try(109, fmt.Sprintf(`{"product":%q}`, product))
			case 4:
				_, _ = w.try(102, `{"line":1}`)
			case 5:
				_, _ = w.try(303, fmt.Sprintf(`{"percent":"%d"}`, rapid.IntRange(0, 100).Draw(rt, "percent")))
			case 6:
				_, _ = w.try(200, `{"amount":500}`)
			case 7:
				_, _ = w.try(206, ``)
			case 8:
				_, _ = w.try(500, ``)
			case 9:
				if rapid.IntRange(0, 9).Draw(rt, "new epoch") == 0 {
					w.activate(w.state.Head.Epoch + 1)
					w.date = fmt.Sprintf("2026-03-%02d", w.state.Head.Epoch+2)
					w.openDay()
				}
			}
		}
		db := openDB(t)
		defer db.Close()
		for rest := w.journal; len(rest) > 0; {
			n := rapid.IntRange(1, len(rest)).Draw(rt, "batch")
			apply(rt, db, rest[:n])
			rest = rest[n:]
		}
		requireSame(t, db, w.journal)
		requireSums(rt, db, w)
	})
}

// requireSums compares the views with sums over the documents of the journal.
func requireSums(t require.TestingT, db *DB, w *till) {
	days := map[string]*Day{}
	sold := map[events.ProductID]*ProductTotal{}
	kept := map[string]events.Money{}
	dates := map[events.ShiftID]string{}
	day := func(shift events.ShiftID) *Day {
		date := dates[shift]
		if days[date] == nil {
			days[date] = &Day{Date: date, Currency: "GBP", Digits: 2}
		}
		return days[date]
	}
	for _, s := range w.journal {
		switch f := s.Entry.Fact.(type) {
		case *events.ShiftOpened:
			dates[f.Shift] = f.BusinessDate
		case *events.SaleVoided:
			day(s.Entry.Shift).Voided++
		case *events.SaleConcluded:
			d := day(s.Entry.Shift)
			d.Concluded++
			d.Sales += f.Sales
			d.Returns += f.Returns
			d.Net += f.After.Subtotal - f.After.Discount
			d.Discounts += f.After.Discount
			d.Tax += f.After.Tax
			d.Total += f.After.Total
			for _, p := range f.Payments {
				d.Rounding += p.Rounding
				kept[d.Date] += p.Amount - p.Rounding
			}
			for _, line := range f.Lines {
				if !line.Voided {
					if sold[line.Product] == nil {
						sold[line.Product] = &ProductTotal{Product: line.Product, Currency: "GBP", Digits: 2}
					}
					sold[line.Product].Quantity = sold[line.Product].Quantity.Add(line.Quantity)
					sold[line.Product].Amount += line.Net
				}
			}
		}
	}
	gotDays, err := db.Days(background, Period{})
	require.NoError(t, err)
	require.Len(t, gotDays, len(days))
	for _, d := range gotDays {
		require.Equal(t, *days[d.Date], d)
	}
	gotProducts, err := db.Products(background, Period{})
	require.NoError(t, err)
	require.Len(t, gotProducts, len(sold))
	for _, p := range gotProducts {
		require.Equal(t, asJSON(t, sold[p.Product]), asJSON(t, p))
	}
	tenders, err := db.Tenders(background, Period{})
	require.NoError(t, err)
	require.Len(t, tenders, len(kept))
	for _, tender := range tenders {
		require.Equal(t, kept[tender.Date], tender.Kept)
		require.Equal(t, tender.Tendered-tender.Change, tender.Kept)
	}
	var sum events.Money
	balance, err := db.TrialBalance(background, Period{})
	require.NoError(t, err)
	for _, b := range balance {
		sum += b.Amount
	}
	require.Zero(t, sum)
	// The drawer of the open shift, as the register's own state counts it.
	if shift := w.state.Shift; shift != nil {
		balance, err := db.TrialBalance(background, Period{Shift: shift.Shift})
		require.NoError(t, err)
		for _, b := range balance {
			if b.Account == "tender:cash" {
				require.Equal(t, shift.Expected()["cash"], b.Amount)
			}
		}
	}
}

func TestPrior(t *testing.T) {
	w := busyTill(t)
	db := openDB(t)
	apply(t, db, w.journal)
	for _, s := range w.journal {
		e := s.Entry
		if e.Command == "" {
			continue
		}
		done, err := db.Prior(background, e.Command)
		require.NoError(t, err)
		require.Equal(t, &ledger.Done{Key: e.Command, Sequence: e.Head.Sequence, Input: e.Fact.(events.Requested).Request().Input}, done)
		body, err := db.Command(background, e.Command)
		require.NoError(t, err)
		require.Equal(t, s.Body, body)
	}
	done, err := db.Prior(background, "01ARZ3NDEKTSV4RRFFQ69G5FAV")
	require.NoError(t, err)
	require.Nil(t, done)
	done, err = db.Prior(background, "")
	require.NoError(t, err)
	require.Nil(t, done)
}

func TestJournal(t *testing.T) {
	w := busyTill(t)
	db := openDB(t)
	none, err := db.Journal(background, Filter{})
	require.NoError(t, err)
	require.Empty(t, none)
	apply(t, db, w.journal)
	for _, c := range []struct {
		filter Filter
		want   func(e *events.Entry) bool
	}{
		{Filter{}, func(e *events.Entry) bool { return e.Epoch == 2 }},
		{Filter{Epoch: 1, From: 3}, func(e *events.Entry) bool { return e.Epoch == 1 && e.Head.Sequence >= 3 }},
		{Filter{Epoch: 1, From: 3, Limit: 2}, func(e *events.Entry) bool { return e.Epoch == 1 && e.Head.Sequence >= 3 && e.Head.Sequence <= 4 }},
		{Filter{Epoch: 1, Type: "sale.concluded.v1"}, func(e *events.Entry) bool { return e.Epoch == 1 && e.Type == "sale.concluded.v1" }},
		{Filter{Epoch: 1, Transaction: "s001-r01-1-2"}, func(e *events.Entry) bool { return e.Subject == "s001-r01-1-2" }},
		{Filter{Epoch: 1, Transaction: "s001-r01-1-2", Type: "sale.line_voided.v1"}, func(e *events.Entry) bool { return e.Type == "sale.line_voided.v1" }},
		{Filter{Epoch: 3}, func(*events.Entry) bool { return false }},
		{Filter{Epoch: 1, From: 1 << 63}, func(*events.Entry) bool { return false }},
	} {
		want := [][]byte{}
		for _, s := range w.journal {
			if c.want(s.Entry) {
				want = append(want, s.Body)
			}
		}
		got, err := db.Journal(background, c.filter)
		require.NoError(t, err)
		require.Equal(t, want, got, "%+v", c.filter)
	}
	body, err := db.Entry(background, 2, 1)
	require.NoError(t, err)
	require.Equal(t, uint64(1), position(t, db).Sequence-w.last().Entry.Head.Sequence+1)
	e, err := events.Decode(body)
	require.NoError(t, err)
	require.Equal(t, 2, e.Epoch)
	for _, sequence := range []uint64{0, 1000, maxSequence + 2, 1 << 63} {
		body, err := db.Entry(background, 1, sequence)
		require.NoError(t, err)
		require.Nil(t, body, "%d", sequence)
	}
}

func TestJournalIsBounded(t *testing.T) {
	w := newTill(t)
	for len(w.journal) < 1200 {
		w.sell(20)
	}
	db := openDB(t)
	apply(t, db, w.journal)
	for _, limit := range []int{0, -1, 5000} {
		bodies, err := db.Journal(background, Filter{Limit: limit})
		require.NoError(t, err)
		require.Len(t, bodies, MaxEntries)
	}
	// Documents of a megabyte: memory is the bound, not the count.
	require.NoError(t, db.writer.transact(func(b *batch) error {
		return b.exec("INSERT INTO journal SELECT at + 1300, 'big', NULL, NULL, zeroblob(1000000) FROM journal LIMIT 12")
	}))
	bodies, err := db.Journal(background, Filter{Type: "big"})
	require.NoError(t, err)
	require.Len(t, bodies, 9)
}

func TestDocuments(t *testing.T) {
	w := busyTill(t)
	db := openDB(t)
	apply(t, db, w.journal)
	ended := 0
	for _, s := range w.journal {
		switch f := s.Entry.Fact.(type) {
		case *events.SaleConcluded:
			d, err := db.Transaction(background, f.Transaction)
			require.NoError(t, err)
			require.Equal(t, Concluded, d.Status)
			require.Equal(t, f, d.Fact)
			require.Equal(t, f.After.Total, d.Total)
			require.Equal(t, s.Entry.Shift, d.Shift)
			same, err := db.Receipt(background, f.Receipt)
			require.NoError(t, err)
			require.Equal(t, d, same)
			ended++
		case *events.SaleVoided:
			d, err := db.Receipt(background, f.Receipt)
			require.NoError(t, err)
			require.Equal(t, Voided, d.Status)
			require.Zero(t, d.Total)
			ended++
		}
	}
	all, err := db.Transactions(background, Period{}, 0)
	require.NoError(t, err)
	require.Len(t, all, ended)
	last, err := db.Transactions(background, Period{To: "2026-03-02"}, 1)
	require.NoError(t, err)
	require.Equal(t, []Transaction{all[1]}, last)
	require.Equal(t, "2026-03-02", last[0].Date)
	for _, id := range []events.TransactionID{"", "nothing", events.TransactionID(w.last().Entry.Subject)} {
		d, err := db.Transaction(background, id)
		require.NoError(t, err)
		require.Nil(t, d, "%s has not ended", id)
	}
}

// TestCopies: each copy of a receipt has the next number, and gift receipts are counted by themselves.
func TestCopies(t *testing.T) {
	w := newTill(t)
	w.sell(1)
	sold := w.last().Entry
	f := sold.Fact.(*events.SaleConcluded)
	db := openDB(t)
	apply(t, db, w.journal)
	applied := len(w.journal)
	for _, c := range []struct {
		kind string
		want int
	}{{events.ReceiptCopy, 1}, {events.ReceiptCopy, 2}, {events.ReceiptGift, 1}, {events.ReceiptCopy, 3}, {events.ReceiptCopy, 4}, {events.ReceiptGift, 2}} {
		doc, err := db.Printed(background, f.Receipt)
		require.NoError(t, err)
		require.Equal(t, []any{f.Transaction, Concluded, 1, sold.Head.Sequence}, []any{doc.Transaction, doc.Status, doc.Epoch, doc.Sequence})
		require.Equal(t, c.want, doc.Copies[c.kind]+1)
		w.printed = doc
		w.do(115, fmt.Sprintf(`{"print":%q,"receipt":%q}`, c.kind, f.Receipt))
		require.Equal(t, c.want, w.last().Entry.Fact.(*events.ReceiptReprinted).Copy)
		apply(t, db, w.journal[applied:])
		applied = len(w.journal)
	}
	doc, err := db.Printed(background, "s001-r01-1-999999")
	require.NoError(t, err)
	require.Nil(t, doc)
}

func TestPeriods(t *testing.T) {
	w := busyTill(t)
	db := openDB(t)
	apply(t, db, w.journal)
	for _, c := range []struct {
		period Period
		want   []string
	}{
		{Period{}, []string{"2026-03-02", "2026-03-03"}},
		{Period{From: "2026-03-03"}, []string{"2026-03-03"}},
		{Period{To: "2026-03-02"}, []string{"2026-03-02"}},
		{Period{From: "2026-03-01", To: "2026-03-01"}, nil},
		{Period{Shift: "s001-r01-2-s1"}, []string{"2026-03-03"}},
		{Period{From: "2026-03-04", Shift: "s001-r01-2-s1"}, nil},
	} {
		days, err := db.Days(background, c.period)
		require.NoError(t, err)
		var dates []string
		for _, d := range days {
			dates = append(dates, d.Date)
		}
		require.Equal(t, c.want, dates, "%+v", c.period)
	}
}
