package events

import (
	"bytes"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestEventsDocument: docs/events.md is generated from the registry, the comments of the source and
// the golden files. `go test ./events -update` writes it anew.
func TestEventsDocument(t *testing.T) {
	const file = "../docs/events.md"
	want := eventsDocument(t)
	if *update {
		require.NoError(t, os.WriteFile(file, []byte(want), 0o644))
	}
	got, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, want, string(got), "run go test ./events -update")
}

// TestEveryStoredThingIsExplained: a fact is also read by people that do not know Go.
func TestEveryStoredThingIsExplained(t *testing.T) {
	w := newDocument(t)
	for _, name := range Facts.Types() {
		require.NotEmpty(t, w.comment(reflect.TypeOf(Facts.New(name)).Elem().Name(), ""), "%s has no comment", name)
	}
}

// document writes docs/events.md.
type document struct {
	bytes.Buffer
	comments map[string]string // of "Type" and of "Type.Field"
	named    map[reflect.Type]bool
}

func eventsDocument(t testing.TB) string {
	w := newDocument(t)
	w.WriteString(`# Facts

Generated from the comments in ` + "`events/`" + ` and its golden files by ` + "`go test ./events -update`" + `: change it there.

Everything that can stand in a journal, by its stored type. The attributes around a fact are in
[format.md](format.md). A fact never changes; a field that is added makes a new version, and the
older one stays readable for ever. Fields marked *optional* are left out where they are zero.

| Type | Operations | |
|---|---|---|
`)
	for _, name := range Facts.Types() {
		typ := reflect.TypeOf(Facts.New(name)).Elem().Name()
		text := w.comment(typ, "")
		says := strings.TrimPrefix(strings.TrimPrefix(firstSentence(text), typ+" "), "says that ")
		fmt.Fprintf(w, "| [`%s`](#%s) | %s | %s |\n", name, anchor(name), operationsOf(text), says)
	}
	for _, name := range Facts.Types() {
		w.fact(t, name)
	}
	w.types()
	return w.String()
}

func (w *document) fact(t testing.TB, name string) {
	typ := reflect.TypeOf(Facts.New(name)).Elem()
	text := w.comment(typ.Name(), "")
	golden := readGolden(t, name)
	var entry struct {
		Subject string          `json:"subject"`
		Data    json.RawMessage `json:"data"`
	}
	require.NoError(t, json.Unmarshal(golden, &entry))
	fmt.Fprintf(w, "\n## %s\n\n%s\n\n", name, text)
	fmt.Fprintf(w, "Stream subject `%s`. Subject of the example: `%s`.", StreamSubject(Register{"<store>", "<register>"}, name), entry.Subject)
	if operations := operationsOf(text); operations != "" {
		fmt.Fprintf(w, " Operations: %s.", operations)
	}
	if older := olderVersions(name); len(older) > 0 {
		fmt.Fprintf(w, " Older versions that are read: `%s`.", strings.Join(older, "`, `"))
	}
	w.WriteString("\n\n| Field | Type | |\n|---|---|---|\n")
	w.fields(typ)
	var example bytes.Buffer
	require.NoError(t, json.Indent(&example, entry.Data, "", "  "))
	fmt.Fprintf(w, "\n```json\n%s\n```\n", example.String())
}

// fields writes a row for each field, those of embedded structs with them.
func (w *document) fields(typ reflect.Type) {
	for i := range typ.NumField() {
		f := typ.Field(i)
		if f.Anonymous {
			w.fields(f.Type)
			continue
		}
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		text := w.comment(typ.Name(), f.Name)
		if strings.HasPrefix(options, "omit") {
			text = strings.TrimSpace("*optional* " + text)
		}
		fmt.Fprintf(w, "| `%s` | %s | %s |\n", name, w.typeOf(f.Type), strings.ReplaceAll(strings.ReplaceAll(text, "|", "\\|"), "\n", " "))
	}
}

// typeOf is how a type is spelt in a table; a type of this package is explained below.
func (w *document) typeOf(typ reflect.Type) string {
	switch {
	case typ.Kind() == reflect.Pointer:
		return w.typeOf(typ.Elem())
	case typ.Kind() == reflect.Slice:
		return "list of " + w.typeOf(typ.Elem())
	case typ.PkgPath() == reflect.TypeFor[Entry]().PkgPath():
		w.named[typ] = true
		return fmt.Sprintf("[%s](#%s)", typ.Name(), strings.ToLower(typ.Name()))
	case typ.Kind() == reflect.String:
		return "text"
	case typ.Kind() == reflect.Bool:
		return "true or false"
	}
	return "integer"
}

// types explains every type that a table has named, and those that their tables name.
func (w *document) types() {
	sections := map[string]string{}
	for len(sections) < len(w.named) {
		for _, typ := range slices.Collect(maps.Keys(w.named)) {
			section := &document{comments: w.comments, named: w.named}
			fmt.Fprintf(section, "\n## %s\n\n%s\n", typ.Name(), w.comment(typ.Name(), ""))
			if typ.Kind() == reflect.Struct && typ.NumField() > 0 && typ.Field(0).IsExported() {
				section.WriteString("\n| Field | Type | |\n|---|---|---|\n")
				section.fields(typ)
			}
			sections[typ.Name()] = section.String()
		}
	}
	w.WriteString("\n# Types\n")
	for _, name := range slices.Sorted(maps.Keys(sections)) {
		w.WriteString(sections[name])
	}
}

var (
	operationList = regexp.MustCompile(`\(operations?([^)]*)\)`)
	numbers       = regexp.MustCompile(`\d+`)
	links         = regexp.MustCompile(`\[([A-Z][A-Za-z.]*)\]`)
)

// operationsOf are the operations that a comment names in brackets.
func operationsOf(text string) string {
	var all []string
	for _, list := range operationList.FindAllStringSubmatch(text, -1) {
		all = append(all, numbers.FindAllString(list[1], -1)...)
	}
	return strings.Join(all, ", ")
}

func firstSentence(text string) string {
	text = strings.ReplaceAll(operationList.ReplaceAllString(text, ""), "\n", " ")
	sentence, _, _ := strings.Cut(text, ". ")
	return strings.ReplaceAll(strings.TrimSuffix(strings.TrimSuffix(strings.TrimSpace(sentence), "."), " "), " .", ".")
}

// olderVersions are those that an upcast leads from to name.
func olderVersions(name string) []string {
	entity, _, _ := strings.Cut(name, ".v")
	var out []string
	for from := range Facts.upcasts {
		if of, _, _ := strings.Cut(from, ".v"); of == entity {
			out = append(out, from)
		}
	}
	slices.Sort(out)
	return out
}

// anchor is the fragment that a heading gets.
func anchor(heading string) string { return strings.ReplaceAll(strings.ToLower(heading), ".", "") }

// newDocument reads the comments of the package's source.
func newDocument(t testing.TB) *document {
	w := &document{comments: map[string]string{}, named: map[reflect.Type]bool{}}
	files := token.NewFileSet()
	names, err := filepath.Glob("*.go")
	require.NoError(t, err)
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(files, name, nil, parser.ParseComments)
		require.NoError(t, err)
		ast.Inspect(file, func(n ast.Node) bool {
			decl, ok := n.(*ast.GenDecl)
			if !ok || decl.Tok != token.TYPE {
				return true
			}
			for _, spec := range decl.Specs {
				w.readType(spec.(*ast.TypeSpec), decl.Doc)
			}
			return true
		})
	}
	return w
}

func (w *document) readType(spec *ast.TypeSpec, group *ast.CommentGroup) {
	text := spec.Doc
	if text == nil {
		text = group
	}
	w.comments[spec.Name.Name] = plain(text.Text())
	fields, ok := spec.Type.(*ast.StructType)
	if !ok {
		return
	}
	for _, f := range fields.Fields.List {
		for _, name := range f.Names {
			both := []string{}
			for _, comment := range []*ast.CommentGroup{f.Doc, f.Comment} {
				if text := plain(comment.Text()); text != "" {
					both = append(both, text)
				}
			}
			w.comments[spec.Name.Name+"."+name.Name] = strings.Join(both, " ")
		}
	}
}

func (w *document) comment(typ, field string) string {
	if field != "" {
		typ += "." + field
	}
	return w.comments[typ]
}

// plain is a Go comment as Markdown.
func plain(text string) string {
	return strings.TrimSpace(strings.ReplaceAll(links.ReplaceAllString(text, "`$1`"), "<", "&lt;"))
}
