package main

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"runtime/debug"
	"slices"

	"github.com/alecthomas/kong"
	kongyaml "github.com/alecthomas/kong-yaml"
	"gopkg.in/yaml.v3"
)

// loadConfig reads a YAML file with values for flags. Unlike kong's own loader it
// refuses keys that are no flag: a mistyped one would be passed over without a word.
func loadConfig(r io.Reader) (kong.Resolver, error) {
	raw, err := io.ReadAll(r)
	if err != nil {
		return nil, err
	}
	resolver, err := kongyaml.Loader(bytes.NewReader(raw))
	if err != nil {
		return nil, err
	}
	keys := map[string]any{}
	if err := yaml.Unmarshal(raw, &keys); err != nil {
		return nil, err
	}
	return configFile{resolver, keys}, nil
}

// configFile is a configuration file that was read.
type configFile struct {
	kong.Resolver
	keys map[string]any
}

// Validate says which key of the file is no flag of the program.
func (c configFile) Validate(app *kong.Application) error {
	known := map[string]bool{}
	collectFlags(app.Node, "", known)
	return unknownKey(c.keys, "", known)
}

// collectFlags notes the keys of a command's flags, and those of the commands below it.
func collectFlags(n *kong.Node, prefix string, known map[string]bool) {
	for _, flag := range n.Flags {
		known[prefix+flag.Name] = true
	}
	for _, child := range n.Children {
		collectFlags(child, prefix+child.Name+"-", known)
	}
}

func unknownKey(keys map[string]any, prefix string, known map[string]bool) error {
	for _, name := range slices.Sorted(maps.Keys(keys)) {
		if below, nested := keys[name].(map[string]any); nested {
			if err := unknownKey(below, prefix+name+"-", known); err != nil {
				return err
			}
			continue
		}
		if !known[prefix+name] {
			return hinted{fmt.Errorf("configuration file: %s%s is no flag", prefix, name), "keys are a command and its flag, such as register-listen, or listen below register"}
		}
	}
	return nil
}

// version says what was built: the module's version, and the commit where the build knows it.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "posnode, version unknown"
	}
	s := "posnode " + info.Main.Version
	for _, setting := range info.Settings {
		if setting.Key == "vcs.revision" {
			s += " " + setting.Value
		}
	}
	return s + " " + info.GoVersion
}
