// Package schemas publishes the content of a journal as JSON Schemas (draft 2020-12), for programs
// in other languages that consume entries. There is one schema for the data of each stored type and
// version, one for the attributes around it, and one for whole entries.
//
// The files beside this one are part of the program. This package's test generates them from the
// types and comments of events (go test ./schemas -update). A version that is no longer written
// keeps its file unchanged, because its entries are read for ever.
//
// A schema is as strict about names as the reader: an unknown field is an error. It is stricter
// about form. It describes entries as they are written, and one value has one form.
package schemas

import (
	"bytes"
	"embed"
	"encoding/json"
	"iter"
	"slices"
	"strings"
)

// Base is the beginning of the ids of all schemas. The ids are only names, and nothing is fetched
// from there.
const Base = "https://github.com/posnode/posnode/schemas/"

const (
	dialect  = "https://json-schema.org/draft/2020-12/schema"
	envelope = "envelope.json"
	facts    = "facts"
)

//go:embed envelope.json facts/*.json
var files embed.FS

// Types returns the stored types that have a schema, older versions included, sorted.
func Types() []string {
	entries, err := files.ReadDir(facts)
	if err != nil {
		panic(err) // cannot fail: the file is part of the program
	}
	var all []string
	for _, e := range entries {
		all = append(all, strings.TrimSuffix(e.Name(), ".json"))
	}
	slices.Sort(all)
	return all
}

// All yields every file by its name: entry.json for whole entries, which refers to
// envelope.json and to <type>.json for the data, and index.json, which lists the types.
func All() iter.Seq2[string, []byte] {
	return func(yield func(string, []byte) bool) {
		if !yield("index.json", encode(index())) || !yield("entry.json", encode(entry())) || !yield(envelope, read(envelope)) {
			return
		}
		for _, name := range Types() {
			if !yield(name+".json", read(facts+"/"+name+".json")) {
				return
			}
		}
	}
}

// Whole returns the schema of a whole entry with all other schemas inside. It is one document that
// any validator can use as it is.
func Whole() []byte {
	s := entry()
	s.Defs = map[string]json.RawMessage{strings.TrimSuffix(envelope, ".json"): read(envelope)}
	for _, name := range Types() {
		s.Defs[name] = read(facts + "/" + name + ".json")
	}
	return encode(s)
}

// entrySchema is a schema made of other schemas.
type entrySchema struct {
	Schema      string                     `json:"$schema"`
	ID          string                     `json:"$id"`
	Title       string                     `json:"title"`
	Description string                     `json:"description"`
	Ref         string                     `json:"$ref"`
	AllOf       []byType                   `json:"allOf"`
	Defs        map[string]json.RawMessage `json:"$defs,omitempty"`
}

// byType is the rule that the data of one type follows its schema.
type byType struct {
	If   object `json:"if"`
	Then object `json:"then"`
}

type object struct {
	Properties map[string]any `json:"properties"`
}

func entry() entrySchema {
	s := entrySchema{
		Schema: dialect, ID: Base + "entry.json", Title: "posnode entry", Ref: envelope,
		Description: "One entry of a journal: a CloudEvents 1.0 event in JSON. " +
			"Data of a type that is not known here is any object: it was written by a newer program.",
	}
	for _, name := range Types() {
		s.AllOf = append(s.AllOf, byType{
			If:   object{map[string]any{"type": map[string]string{"const": name}}},
			Then: object{map[string]any{"data": map[string]string{"$ref": name + ".json"}}},
		})
	}
	return s
}

// indexLine is one type in index.json.
type indexLine struct {
	Type   string `json:"type"`
	Schema string `json:"schema"` // file name
	Says   string `json:"says"`
}

func index() map[string]any {
	var lines []indexLine
	for _, name := range Types() {
		var of struct {
			Description string `json:"description"`
		}
		if err := json.Unmarshal(read(facts+"/"+name+".json"), &of); err != nil {
			panic(err) // cannot fail: the file is part of the program, and a test reads it
		}
		lines = append(lines, indexLine{name, name + ".json", of.Description})
	}
	return map[string]any{"entry": "entry.json", "envelope": envelope, "facts": lines}
}

func read(name string) []byte {
	data, err := files.ReadFile(name)
	if err != nil {
		panic(err) // cannot fail: the file is part of the program
	}
	return data
}

// encode returns a document in the form of the files.
func encode(v any) []byte {
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(v); err != nil {
		panic(err) // cannot fail: our own structs, written to memory
	}
	return out.Bytes()
}
