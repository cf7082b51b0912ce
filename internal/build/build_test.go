package build

import (
	"runtime/debug"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestVersion(t *testing.T) {
	commit := []debug.BuildSetting{{Key: "vcs.revision", Value: "7df0afe3c2d1aa00bb11"}, {Key: "vcs.time", Value: "2026-11-29T18:23:57Z"}}
	for _, c := range []struct {
		main     string
		settings []debug.BuildSetting
		want     string
	}{
		{"(devel)", nil, "unknown"},
		{"", nil, "unknown"},
		{"(devel)", commit, "7df0afe3c2d1 of 2026-11-29T18:23:57Z"},
		{"v0.0.0-20261129182357-7df0afe3c2d1", commit, "7df0afe3c2d1 of 2026-11-29T18:23:57Z"},
		{"v0.0.0-20261129182357-7df0afe3c2d1+dirty", append(commit, debug.BuildSetting{Key: "vcs.modified", Value: "true"}), "7df0afe3c2d1 of 2026-11-29T18:23:57Z modified"},
		{"v1.2.0", commit, "v1.2.0 7df0afe3c2d1 of 2026-11-29T18:23:57Z"},
		{"v1.2.0", nil, "v1.2.0"},
	} {
		require.Equal(t, c.want, version(&debug.BuildInfo{Main: debug.Module{Version: c.main}, Settings: c.settings}))
	}
}
