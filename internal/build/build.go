// Package build tells which version of the program is running.
package build

import (
	"runtime/debug"
	"strings"
)

// unknown is the version of a program that was built outside a checkout, as 'go run' and tests are.
const unknown = "unknown"

// Version returns the version of this program: the release where it was built as one, and the commit
// that it was built from with the commit's time in UTC, such as "7df0afe3c2d1 of 2026-11-29T18:23:57Z".
// "modified" stands behind it where the checkout had changes. It is "unknown" where the build knows neither.
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
	// The go command writes a pseudo-version for a commit without a tag: the commit itself says more.
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
