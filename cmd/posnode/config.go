package main

import (
	"fmt"
	"io"
	"maps"
	"runtime"
	"slices"

	"github.com/alecthomas/kong"
	"go.yaml.in/yaml/v3"

	"github.com/posnode/posnode/internal/build"
)

// loadConfig reads a YAML file with values for flags. It refuses a key that names no flag, so that a
// mistyped key is not ignored.
func loadConfig(r io.Reader) (kong.Resolver, error) {
	raw, err := io.ReadAll(r)
	if err != nil {
		return nil, err
	}
	tree := map[string]any{}
	if err := yaml.Unmarshal(raw, &tree); err != nil {
		return nil, fmt.Errorf("configuration file: %w", err)
	}
	values := map[string]any{}
	flatten(values, "", tree)
	return configFile(values), nil
}

// flatten writes the values of nested keys into flat, with "-" between the names of a path. A list stays one value.
func flatten(flat map[string]any, prefix string, tree map[string]any) {
	for name, value := range tree {
		if below, nested := value.(map[string]any); nested {
			flatten(flat, prefix+name+"-", below)
			continue
		}
		flat[prefix+name] = value
	}
}

// configFile holds the values of a configuration file by command and flag, such as "hq-run-data".
type configFile map[string]any

// Validate returns an error for a key that names no flag of the program.
func (c configFile) Validate(app *kong.Application) error {
	known := map[string]bool{}
	collectFlags(app.Node, known)
	for _, key := range slices.Sorted(maps.Keys(c)) {
		if !known[key] {
			return hinted{fmt.Errorf("configuration file: %s is no flag", key), "keys are a command and its flag, such as register-listen, or listen below register"}
		}
	}
	return nil
}

// collectFlags adds the keys of a command's flags and of all commands below it.
func collectFlags(n *kong.Node, known map[string]bool) {
	for _, flag := range n.Flags {
		for _, key := range flagKeys(n, flag.Name) {
			known[key] = true
		}
	}
	for _, child := range n.Children {
		collectFlags(child, known)
	}
}

// Resolve returns the value of a flag, or nil where the file has none.
func (c configFile) Resolve(_ *kong.Context, parent *kong.Path, flag *kong.Flag) (any, error) {
	for _, key := range flagKeys(parent.Node(), flag.Name) {
		switch value := c[key].(type) {
		case nil:
		case []any:
			parts := make([]string, len(value))
			for i, v := range value {
				parts[i] = fmt.Sprint(v)
			}
			return kong.JoinEscaped(parts, ','), nil
		default:
			return fmt.Sprint(value), nil
		}
	}
	return nil, nil
}

// flagKeys returns the keys under which the file may give a flag of a command. The flags of a default
// command also stand under its parent: "hq-data" is "hq-run-data", as 'posnode hq' is 'posnode hq run'.
func flagKeys(n *kong.Node, flag string) []string {
	keys := []string{flag}
	for ; n.Parent != nil; n = n.Parent {
		var longer []string
		for _, key := range keys {
			longer = append(longer, n.Name+"-"+key)
		}
		if n.Parent.DefaultCmd == n {
			longer = append(longer, keys...)
		}
		keys = longer
	}
	return keys
}

// version returns the line that --version prints.
func version() string { return "posnode " + build.Version() + " " + runtime.Version() }
