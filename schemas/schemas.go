// Package schemas publishes what a journal holds as JSON Schemas (draft 2020-12),
// for people who consume entries in another language: one for the data of each
// stored type and version, one for the attributes around it, and one for whole entries.
//
// The files beside this one are generated from the types and comments of events by
// this package's test (go test ./schemas -update) and are part of the program. A version
// that is no longer written keeps its file as it was, for it is read for ever.
//
// A schema is as strict as the reader about names: a field that it does not have is
// an error. It is stricter about form, for it describes what is written, and one value has one form.
package schemas

import (
	"bytes"
	"embed"
	"encoding/json"
	"iter"
	"slices"
	"strings"
)

// Base is what the ids of all schemas begin with. They are names: nothing is fetched from there.
const Base = "https://github.com/posnode/posnode/schemas/"

const (
	dialect  = "https://json-schema.org/draft/2020-12/schema"
	envelope = "envelope.json"
	facts    = "facts"
)

//go:embed envelope.json facts/*.json
var files embed.FS

// Types lists the stored types that there is a schema for, older versions with them, sorted.
func Types() []string {
	entries, err := files.ReadDir(facts)
	if err != nil {
		panic(err) // it is part of the program
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

// Whole is the schema of a whole entry with all that it refers to inside: one
// document that any validator takes as it is.
func Whole() []byte {
	s := entry()
	s.Defs = map[string]json.RawMessage{strings.TrimSuffix(envelope, ".json"): read(envelope)}
	for _, name := range Types() {
		s.Defs[name] = read(facts + "/" + name + ".json")
	}
	return encode(s)
}

// entrySchema is a schema that is put together of others.
type entrySchema struct {
	Schema      string                     `json:"$schema"`
	ID          string                     `json:"$id"`
	Title       string                     `json:"title"`
	Description string                     `json:"description"`
	Ref         string                     `json:"$ref"`
	AllOf       []byType                   `json:"allOf"`
	Defs        map[string]json.RawMessage `json:"$defs,omitempty"`
}

// byType says that the data of one type follows its schema.
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
			panic(err) // it is part of the program, and a test reads it
		}
		lines = append(lines, indexLine{name, name + ".json", of.Description})
	}
	return map[string]any{"entry": "entry.json", "envelope": envelope, "facts": lines}
}

func read(name string) []byte {
	data, err := files.ReadFile(name)
	if err != nil {
		panic(err) // it is part of the program
	}
	return data
}

// encode writes a document as the files are written.
func encode(v any) []byte {
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(v); err != nil {
		panic(err) // to memory, of our own structs
	}
	return out.Bytes()
}
