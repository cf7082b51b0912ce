// Package build returns the version of the running program.
package build

import (
	"runtime/debug"
	"strings"
)

// unknown is the version of a program built outside a checkout, such as with 'go run' and in tests.
const unknown = "unknown"

// Version returns the version of this program: the release, if it was built as one, and the commit
// with its time in UTC, such as "7df0afe3c2d1 of 2026-11-29T18:23:57Z". "modified" follows if the
// checkout had changes. The version is "unknown" if the build knows neither release nor commit.
func Version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return unknown
	}
	return version(info)
}

func version(info *debug.BuildInfo) string {
	settings := map[string]string{}
	for _, s := range info.Settings {
		settings[s.Key] = s.Value
	}
	var parts []string
	// The go command writes a pseudo-version for a commit without a tag. Leave it out, because the
	// commit follows.
	if v := info.Main.Version; v != "" && v != "(devel)" && !strings.HasPrefix(v, "v0.0.0-") {
		parts = append(parts, strings.TrimSuffix(v, "+dirty"))
	}
	if revision := settings["vcs.revision"]; revision != "" {
		parts = append(parts, revision[:min(len(revision), 12)])
		if at := settings["vcs.time"]; at != "" {
			parts = append(parts, "of", at)
		}
	}
	if len(parts) == 0 {
		return unknown
	}
	if settings["vcs.modified"] == "true" {
		parts = append(parts, "modified")
	}
	return strings.Join(parts, " ")
}
