package events

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write the golden files and the generated documents anew")

// TestMain writes the golden files first, for the other tests read them.
func TestMain(m *testing.M) {
	flag.Parse()
	if *update {
		for _, fact := range samples() {
			message, _, err := sealSample(fact)
			if err == nil {
				err = os.WriteFile(goldenFile(fact.Type()), append(message.Body, '\n'), 0o644)
			}
			if err != nil {
				panic(err)
			}
		}
	}
	os.Exit(m.Run())
}

// TestGolden: the bytes of every stored fact have not changed since it was first stored, both ways.
// A golden file that changes is a journal in some shop that no longer reads: a new field is a new
// version with an upcast, and the golden of the old one stays as it is. Files end in a newline that
// the entry does not have.
func TestGolden(t *testing.T) {
	want := map[string]bool{}
	for _, fact := range samples() {
		name := fact.Type()
		want[name] = true
		t.Run(name, func(t *testing.T) {
			m, sealed, err := sealSample(fact)
			require.NoError(t, err)
			golden := readGolden(t, name)
			require.Equal(t, string(golden), string(m.Body), "sealed, it must be the golden")

			read, err := Decode(golden)
			require.NoError(t, err)
			require.Equal(t, fact, read.Fact, "the golden must read as the fact")
			require.Equal(t, sealed, read, "Seal must return what Decode reads")
			require.Equal(t, StreamSubject(sampleRegister, name), m.Subject)
			require.Equal(t, string(golden), string(reseal(t, read).Body), "sealed again, it must be the golden")
		})
	}
	for name := range Facts.upcasts {
		want[name] = true
		t.Run(name, func(t *testing.T) {
			_, err := Decode(readGolden(t, name))
			require.NoError(t, err, "an older version must read for ever")
		})
	}
	for _, name := range Facts.Types() {
		require.True(t, want[name], "%s has no sample: add one to samples_test.go and run go test ./events -update", name)
	}
	files, err := filepath.Glob("testdata/golden/*.json")
	require.NoError(t, err)
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".json")
		require.True(t, want[name], "%s is not the golden of a stored type: a fact that was ever stored stays in the registry", file)
	}
}

// TestSamplesAreWhole: a golden in which a field is left out says nothing about that field.
func TestSamplesAreWhole(t *testing.T) {
	filled := map[string]bool{} // by the type of the struct and its field: one sample that fills it in will do
	for _, fact := range samples() {
		walk(reflect.ValueOf(fact), func(owner reflect.Type, f reflect.StructField, v reflect.Value) {
			name := owner.Name() + "." + f.Name
			filled[name] = filled[name] || !v.IsZero()
		})
	}
	var missing []string
	for name, ok := range filled {
		if !ok {
			missing = append(missing, name)
		}
	}
	slices.Sort(missing)
	require.Empty(t, missing, "no sample in samples_test.go fills these in")
}

// TestFieldsOfFacts refuses types that a journal must never hold. A float could be another number
// on another machine. A map has no order of its own, and a scan for repeated names cannot know its
// names. An interface or a bare any decodes as any type.
func TestFieldsOfFacts(t *testing.T) {
	for _, fact := range samples() {
		names := map[string]bool{}
		checkStored(t, reflect.TypeOf(fact).Elem(), fact.Type(), names)
	}
}

func checkStored(t *testing.T, typ reflect.Type, path string, names map[string]bool) {
	switch typ {
	case reflect.TypeFor[Quantity](), reflect.TypeFor[Price](), reflect.TypeFor[Percent](), reflect.TypeFor[Rate](), reflect.TypeFor[Digest]():
		return
	}
	switch typ.Kind() {
	case reflect.String, reflect.Bool, reflect.Int, reflect.Int64, reflect.Uint64:
	case reflect.Slice, reflect.Pointer:
		checkStored(t, typ.Elem(), path, map[string]bool{})
	case reflect.Struct:
		for i := range typ.NumField() {
			f := typ.Field(i)
			if f.Anonymous {
				require.Empty(t, f.Tag.Get("json"), "%s: embedded %s has a name of its own", path, f.Name)
				checkStored(t, f.Type, path, names)
				continue
			}
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			require.True(t, f.IsExported(), "%s.%s is never stored", path, f.Name)
			require.Regexp(t, `^[a-z][a-z0-9_]*$`, name, "%s.%s needs a stored name", path, f.Name)
			require.False(t, names[name], "%s: two fields are stored as %q, and encoding/json drops both", path, name)
			names[name] = true
			checkStored(t, f.Type, path+"."+name, map[string]bool{})
		}
	default:
		t.Errorf("%s is a %s: not in a journal", path, typ)
	}
}

// TestNamesOfFacts: entity.past_participle.vN, all tokens from closed sets.
func TestNamesOfFacts(t *testing.T) {
	for _, name := range Facts.Types() {
		require.Regexp(t, `^[a-z]+(_[a-z]+)*\.[a-z]+(_[a-z]+)*\.v[1-9][0-9]*$`, name)
		fact := Facts.New(name)
		require.Equal(t, name, fact.Type())
		require.Equal(t, reflect.Pointer, reflect.TypeOf(fact).Kind())
		require.NotSame(t, fact, Facts.New(name), "each entry needs a fact of its own")
	}
	require.Nil(t, Facts.New("sale.line_added.v999"))
}

// walk visits every field of a fact, also of the structs within it.
func walk(v reflect.Value, visit func(owner reflect.Type, f reflect.StructField, v reflect.Value)) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			walk(v.Elem(), visit)
		}
	case reflect.Slice:
		for i := range v.Len() {
			walk(v.Index(i), visit)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if f := v.Type().Field(i); f.IsExported() {
				if !f.Anonymous {
					visit(v.Type(), f, v.Field(i))
				}
				walk(v.Field(i), visit)
			}
		}
	}
}

// reseal seals a decoded entry again.
func reseal(t testing.TB, e *Entry) Message {
	head := Head{Epoch: e.Head.Epoch, Sequence: e.Head.Sequence - 1, Hash: e.PrevHash}
	m, _, err := Seal(e.Register, head, circumstances(e), e.Fact)
	require.NoError(t, err)
	return m
}

func goldenFile(name string) string { return "testdata/golden/" + name + ".json" }

func readGolden(t testing.TB, name string) []byte {
	b, err := os.ReadFile(goldenFile(name))
	require.NoError(t, err, "run go test ./events -update")
	body := strings.TrimSuffix(string(b), "\n")
	require.True(t, json.Valid([]byte(body)))
	return []byte(body)
}
