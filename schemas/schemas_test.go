package schemas_test

import (
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"

	"github.com/posnode/posnode/events"
	"github.com/posnode/posnode/schemas"
)

// compile compiles schemas by their ids, as a consumer with a validator does. It enforces formats.
func compile(t *testing.T, documents iterSeq, id string) *jsonschema.Schema {
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	for name, data := range documents {
		doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
		require.NoError(t, err, name)
		require.NoError(t, c.AddResource(schemas.Base+name, doc))
	}
	s, err := c.Compile(schemas.Base + id)
	require.NoError(t, err)
	return s
}

type iterSeq = func(yield func(string, []byte) bool)

func whole(t *testing.T) *jsonschema.Schema {
	return compile(t, maps.All(map[string][]byte{"entry.json": schemas.Whole()}), "entry.json")
}

func parse(t *testing.T, body []byte) any {
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
	require.NoError(t, err)
	return v
}

// goldens returns one entry of every type and version that was ever stored.
func goldens(t *testing.T) map[string][]byte {
	paths, err := filepath.Glob("../events/testdata/golden/*.json")
	require.NoError(t, err)
	all := map[string][]byte{}
	for _, path := range paths {
		body, err := os.ReadFile(path)
		require.NoError(t, err)
		all[strings.TrimSuffix(filepath.Base(path), ".json")] = bytes.TrimSuffix(body, []byte("\n"))
	}
	require.Equal(t, slices.Sorted(maps.Keys(all)), schemas.Types(), "a schema for each stored type and version")
	return all
}

func TestGoldensAreValid(t *testing.T) {
	one := whole(t)
	many := compile(t, schemas.All(), "entry.json")
	files := maps.Collect(schemas.All())
	for name, body := range goldens(t) {
		entry := parse(t, body)
		require.NoError(t, one.Validate(entry), name)
		require.NoError(t, many.Validate(entry), name)
		data := compile(t, maps.All(map[string][]byte{name + ".json": files[name+".json"]}), name+".json") // it needs no other schema
		require.NoError(t, data.Validate(entry.(map[string]any)["data"]), name)
	}
}

// TestSampleIsValid shows that the journal in docs/format.md is valid.
func TestSampleIsValid(t *testing.T) {
	s := whole(t)
	text, err := os.ReadFile("../docs/sample.jsonl")
	require.NoError(t, err)
	for line := range bytes.Lines(text) {
		require.NoError(t, s.Validate(parse(t, line)))
	}
}

// TestMutantsAreRefused makes one change at a time, at every place of every golden. It changes the
// kind of a field, adds an unknown field, or deletes a field.
func TestMutantsAreRefused(t *testing.T) {
	s := whole(t)
	count := map[string]int{}
	for name, body := range goldens(t) {
		original := string(encode(t, parse(t, body)))
		refused := func(what, path string, root any, alsoByReader bool) {
			count[what]++
			require.Error(t, s.Validate(root), "%s: %s %s", name, what, path)
			if alsoByReader {
				_, err := events.Decode(encode(t, root))
				require.Error(t, err, "%s: %s %s: the schema must not refuse what the reader takes", name, what, path)
			}
		}
		root := parse(t, body)
		required := requiredBy(t, name)
		walk(root, "", func(path string, v any, set func(any)) {
			switch v := v.(type) {
			case map[string]any:
				v["unknown"] = "x"
				refused("unknown", path, root, true)
				delete(v, "unknown")
				for _, key := range slices.Sorted(maps.Keys(v)) {
					if path == "" && key != "data" && required.envelope[key] || path == "/data" && required.data[key] {
						kept := v[key]
						delete(v, key)
						refused("missing", path+"/"+key, root, false)
						v[key] = kept
					}
				}
				if path != "" {
					set(json.Number("7"))
					refused("number for an object", path, root, true)
				}
			case []any:
				set(map[string]any{})
				refused("object for a list", path, root, true)
				set([]any{json.Number("1.5")})
				refused("fraction in a list", path, root, true)
			case string:
				set(json.Number("7"))
				refused("number for text", path, root, true)
				set(true)
				refused("truth for text", path, root, true)
			case json.Number:
				set(v.String())
				refused("text for a number", path, root, true)
				set(json.Number("1.5"))
				refused("fraction for an integer", path, root, true)
			case bool:
				set("true")
				refused("text for a truth", path, root, true)
			}
			set(v)
		})
		require.Equal(t, original, string(encode(t, root)), "every change was taken back")
	}
	t.Logf("refused: %v", count)
	for _, what := range []string{"unknown", "missing", "number for text", "text for a number", "text for a truth", "object for a list"} {
		require.Greater(t, count[what], 30, what)
	}
}

// TestFormsAreEnforced shows that a schema accepts only one text for a value.
func TestFormsAreEnforced(t *testing.T) {
	s := whole(t)
	sound := string(goldens(t)["sale.quantity_set.v1"])
	for _, c := range [][2]string{
		{`"specversion":"1.0"`, `"specversion":"1.1"`},
		{`"id":"01KJPB5X00EXAMP1EEXAMP1E00"`, `"id":"01kjpb5x00examp1eexamp1e00"`},
		{`"/stores/s001/registers/r01"`, `"/stores/S001/registers/r01"`},
		{`"/stores/s001/registers/r01"`, `"/stores/s001/registers/r01/"`},
		{`"2026-03-02T09:30:15.120000000Z"`, `"2026-03-02T09:30:15Z"`},
		{`"2026-03-02T09:30:15.120000000Z"`, `"2026-02-30T09:30:15.120000000Z"`},
		{`"sequence":"42"`, `"sequence":"042"`},
		{`"sequence":"42"`, `"sequence":"0"`},
		{`"epoch":1`, `"epoch":0`},
		{`"prevhash":"7e6c`, `"prevhash":"7E6C`},
		{`"mode":"offline"`, `"mode":"training"`},
		{`"quantity":"0.75"`, `"quantity":"0.750"`},
		{`"quantity":"0.75"`, `"quantity":"0.12345"`},
		{`"quantity":"0.75"`, `"quantity":"75e-2"`},
		{`"quantity":"0.75"`, `"quantity":".75"`},
		{`"quantity":"0.75"`, `"quantity":""`},
		{`"type":"sale.quantity_set.v1"`, `"type":"sale.quantity_set"`},
		{`"subtotal":438`, `"subtotal":9007199254740992`},
	} {
		require.Contains(t, sound, c[0])
		require.Error(t, s.Validate(parse(t, []byte(strings.Replace(sound, c[0], c[1], 1)))), c[1])
	}
	unknown := strings.Replace(sound, "quantity_set.v1", "quantity_set.v9", 1)
	require.NoError(t, s.Validate(parse(t, []byte(unknown))), "what a newer program wrote")
}

func TestIndexNamesEveryFile(t *testing.T) {
	var index struct {
		Entry, Envelope string
		Facts           []struct{ Type, Schema, Says string }
	}
	files := maps.Collect(schemas.All())
	require.NoError(t, json.Unmarshal(files["index.json"], &index))
	named := []string{"index.json", index.Entry, index.Envelope}
	for _, fact := range index.Facts {
		named = append(named, fact.Schema)
		require.NotEmpty(t, fact.Says, fact.Type)
	}
	require.ElementsMatch(t, slices.Collect(maps.Keys(files)), named)
}

type names struct{ envelope, data map[string]bool }

// requiredBy returns the required fields of an entry of the type.
func requiredBy(t *testing.T, name string) names {
	files := maps.Collect(schemas.All())
	read := func(name string) map[string]bool {
		var s struct{ Required []string }
		require.NoError(t, json.Unmarshal(files[name], &s))
		all := map[string]bool{}
		for _, field := range s.Required {
			all[field] = true
		}
		return all
	}
	return names{read("envelope.json"), read(name + ".json")}
}

// walk visits every value in a document. The function set replaces the value.
func walk(v any, path string, visit func(path string, v any, set func(any))) {
	if path == "" {
		visit(path, v, func(any) {})
	}
	each := func(key string, child any, set func(any)) {
		visit(path+"/"+key, child, set)
		walk(child, path+"/"+key, visit)
	}
	switch v := v.(type) {
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(v)) {
			each(key, v[key], func(to any) { v[key] = to })
		}
	case []any:
		for i := range v {
			each("0", v[i], func(to any) { v[i] = to })
		}
	}
}

func encode(t *testing.T, v any) []byte {
	data, err := json.Marshal(v)
	require.NoError(t, err)
	return data
}
