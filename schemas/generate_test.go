package schemas

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/invopop/jsonschema"
	"github.com/stretchr/testify/require"

	"github.com/posnode/posnode/events"
)

var update = flag.Bool("update", false, "write the schemas anew")

// TestSchemas shows that the files agree with the types and comments in events.
func TestSchemas(t *testing.T) {
	want := generate(t)
	if *update {
		for name, data := range want {
			require.NoError(t, os.WriteFile(name, data, 0o644))
		}
	}
	for name, data := range want {
		got, err := os.ReadFile(name)
		require.NoError(t, err, "run go test ./schemas -update, twice: the files are embedded")
		require.Equal(t, string(data), string(got), "run go test ./schemas -update, twice: the files are embedded")
	}
	// A file that is no longer generated is an older version. Its entries can still be decoded.
	all, err := filepath.Glob(facts + "/*.json")
	require.NoError(t, err)
	for _, name := range all {
		if want[name] == nil {
			typ := strings.TrimSuffix(filepath.Base(name), ".json")
			_, err := events.Decode(readGolden(t, typ))
			require.NoError(t, err, "%s is the schema of nothing that was ever stored", name)
		}
	}
}

// forms are the schemas of types with a form in JSON that their kind in Go does not show. One value
// has one form.
var forms = map[reflect.Type]jsonschema.Schema{
	reflect.TypeFor[events.Money]():    {Type: "integer", Minimum: "-9007199254740991", Maximum: "9007199254740991"},
	reflect.TypeFor[events.Quantity](): decimal("3"),
	reflect.TypeFor[events.Price]():    decimal("5"),
	reflect.TypeFor[events.Percent]():  decimal("3"),
	reflect.TypeFor[events.Rate]():     decimal("7"),
	reflect.TypeFor[events.Digest]():   {Type: "string", Pattern: `^[0-9a-f]{64}$`},
	reflect.TypeFor[events.Mode]():     {Type: "string", Enum: []any{events.Online, events.Offline}},
}

// decimal returns the schema of a decimal number as text. butOne is the largest number of decimals
// less one. The last decimal is not 0.
func decimal(butOne string) jsonschema.Schema {
	return jsonschema.Schema{Type: "string", Pattern: `^-?(0|[1-9][0-9]*)(\.[0-9]{0,` + butOne + `}[1-9])?$`}
}

const ulidPattern = `^[0-7][0-9A-HJKMNP-TV-Z]{25}$`

// ofEnvelope holds the forms of the attributes. [events.Decode] enforces them.
var ofEnvelope = map[string]func(*jsonschema.Schema){
	"specversion":     func(s *jsonschema.Schema) { s.Const = "1.0" },
	"id":              func(s *jsonschema.Schema) { s.Pattern = ulidPattern },
	"source":          func(s *jsonschema.Schema) { s.Pattern = `^/stores/[a-z0-9]{1,16}/registers/[a-z0-9]{1,16}$` },
	"type":            func(s *jsonschema.Schema) { s.Pattern = `^[a-z]+(_[a-z]+)*\.[a-z]+(_[a-z]+)*\.v[1-9][0-9]*$` },
	"time":            func(s *jsonschema.Schema) { s.Pattern = `^[0-9-]{10}T[0-9:]{8}\.[0-9]{9}Z$` },
	"sequence":        func(s *jsonschema.Schema) { s.Pattern = `^[1-9][0-9]{0,19}$` },
	"epoch":           func(s *jsonschema.Schema) { s.Minimum = "1" },
	"prevhash":        func(s *jsonschema.Schema) { s.Pattern = `^[0-9a-f]{64}$` },
	"command":         func(s *jsonschema.Schema) { s.Pattern = ulidPattern },
	"datacontenttype": func(s *jsonschema.Schema) { s.Const = "application/json" },
}

// generate returns the content of every file by its name.
func generate(t *testing.T) map[string][]byte {
	g := newGenerator(t)
	out := map[string][]byte{}
	for _, name := range events.Facts.Types() {
		s := g.schema(reflect.TypeOf(events.Facts.New(name)).Elem(), name)
		s.Title = name
		out[facts+"/"+name+".json"] = written(t, s)
	}
	s := g.schema(reflect.TypeFor[events.Envelope](), strings.TrimSuffix(envelope, ".json"))
	s.Title = "posnode attributes"
	for name, set := range ofEnvelope {
		property, ok := s.Properties.Get(name)
		require.True(t, ok, name)
		set(property)
	}
	s.Properties.Set("data", &jsonschema.Schema{Type: "object", Description: "The fact: see the schema of its type."})
	s.Required = append(s.Required, "data")
	out[envelope] = written(t, s)
	return out
}

func written(t *testing.T, s *jsonschema.Schema) []byte {
	data, err := json.Marshal(s)
	require.NoError(t, err)
	var v json.RawMessage
	require.NoError(t, json.Unmarshal(data, &v))
	// The library has escaped characters that are special only in HTML.
	return []byte(strings.NewReplacer(`\u003c`, "<", `\u003e`, ">", `\u0026`, "&").Replace(string(encode(v))))
}

// generator makes schemas of the types of events.
type generator struct {
	t        *testing.T
	comments map[string]string // by the full name of the type, or of the type and field
	structs  map[string]reflect.Type
}

func newGenerator(t *testing.T) *generator {
	r := &jsonschema.Reflector{}
	require.NoError(t, r.AddGoComments(reflect.TypeFor[entrySchema]().PkgPath(), "../events", jsonschema.WithFullComment()))
	require.NotEmpty(t, r.CommentMap)
	return &generator{t: t, comments: r.CommentMap}
}

// schema returns the schema of a struct, with the definitions of all types inside it.
func (g *generator) schema(typ reflect.Type, name string) *jsonschema.Schema {
	g.structs = map[string]reflect.Type{}
	formed := map[string]reflect.Type{}
	r := &jsonschema.Reflector{
		Anonymous: true, ExpandedStruct: true, LookupComment: g.comment,
		Mapper: func(typ reflect.Type) *jsonschema.Schema {
			if _, ok := forms[typ]; !ok {
				return nil
			}
			formed[typ.Name()] = typ
			return &jsonschema.Schema{Ref: "#/$defs/" + typ.Name()}
		},
		Namer: func(typ reflect.Type) string {
			g.structs[typ.Name()] = typ
			return typ.Name()
		},
	}
	s := r.ReflectFromType(typ)
	s.ID = jsonschema.ID(Base + name + ".json")
	s.Description = g.comment(typ, "")
	g.finish(s, typ)
	for name, of := range s.Definitions {
		g.finish(of, g.structs[name])
	}
	for name, typ := range formed {
		form := forms[typ]
		form.Description = g.comment(typ, "")
		if s.Definitions == nil {
			s.Definitions = jsonschema.Definitions{}
		}
		s.Definitions[name] = &form
	}
	return s
}

// finish adds details of a struct that the library cannot know.
func (g *generator) finish(s *jsonschema.Schema, typ reflect.Type) {
	require.NotNil(g.t, typ)
	require.NotNil(g.t, s.Properties, "%s", typ)
	for _, f := range reflect.VisibleFields(typ) {
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		property, ok := s.Properties.Get(name)
		if !ok {
			require.True(g.t, f.Anonymous, "%s.%s", typ, f.Name)
			continue
		}
		optional := strings.HasPrefix(options, "omit")
		require.Equal(g.t, !optional, slices.Contains(s.Required, name), "%s.%s", typ, f.Name)
		if !optional && f.Type.Kind() == reflect.Slice {
			// encoding/json writes a nil slice as null.
			property.Type, property.Extras = "", map[string]any{"type": []string{"array", "null"}}
		}
		require.True(g.t, optional || f.Type.Kind() != reflect.Pointer, "%s.%s would be null", typ, f.Name)
		// Validators need not enforce a format. The comment of the field names it.
		switch {
		case property.Type != "string":
		case strings.Contains(property.Description, "YYYY-MM-DD"):
			property.Format = "date"
		case strings.Contains(property.Description, "RFC 3339"):
			property.Format = "date-time"
		}
	}
}

var links = regexp.MustCompile(`\[([A-Z][A-Za-z.]*)\]`)

// comment returns the comment of a type, or of a field. A field may be a name or number with a type
// of its own. Then it adds the comment of that type, because the schema has no other place for it.
func (g *generator) comment(typ reflect.Type, field string) string {
	full := typ.PkgPath() + "." + typ.Name()
	var said []string
	if field == "" {
		said = append(said, g.comments[full])
	} else {
		f, ok := typ.FieldByName(field)
		require.True(g.t, ok, "%s.%s", typ, field)
		said = append(said, g.comments[full+"."+field])
		if _, formed := forms[f.Type]; f.Type.Kind() != reflect.Struct && !formed {
			said = append(said, g.comments[f.Type.PkgPath()+"."+f.Type.Name()])
		}
	}
	said = slices.DeleteFunc(said, func(text string) bool { return text == "" })
	return links.ReplaceAllString(strings.Join(strings.Fields(strings.Join(said, " - ")), " "), "$1")
}

func readGolden(t *testing.T, name string) []byte {
	b, err := os.ReadFile("../events/testdata/golden/" + name + ".json")
	require.NoError(t, err)
	return []byte(strings.TrimSuffix(string(b), "\n"))
}
