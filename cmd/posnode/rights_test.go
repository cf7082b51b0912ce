package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/posnode/posnode/register"
)

// TestFilesAreForTheirAccount starts head office and a register without a umask, lets them work, and
// walks over all that they created. A data directory that was opened to others is left as it
// is: the next start names it, with the command that mends it, and so does the status.
func TestFilesAreForTheirAccount(t *testing.T) {
	before := syscall.Umask(0)
	t.Cleanup(func() { syscall.Umask(before) })
	dir := t.TempDir()
	walk := func(of string) (files int) {
		require.NoError(t, filepath.WalkDir(of, func(path string, entry fs.DirEntry, err error) error {
			if os.IsNotExist(err) {
				return nil
			}
			require.NoError(t, err)
			info, err := entry.Info()
			if os.IsNotExist(err) {
				return nil
			}
			require.NoError(t, err)
			want := fs.FileMode(0o600)
			if entry.IsDir() {
				want = 0o700
			}
			require.Equal(t, want.String(), info.Mode().Perm().String(), path)
			files++
			return nil
		}))
		return files
	}

	hqDir := filepath.Join(dir, "hq")
	headOffice := posnode("hq", "--data", hqDir, "--listen-leaf", "127.0.0.1:0", "--http", "127.0.0.1:0")
	out, err := headOffice.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, headOffice.Start())
	t.Cleanup(func() { _ = headOffice.Process.Signal(syscall.SIGTERM); _ = headOffice.Wait() })
	said, leaf := "", []string(nil)
	for buffer := make([]byte, 4096); leaf == nil; leaf = regexp.MustCompile(`(nats-leaf://\S+)`).FindStringSubmatch(said) {
		n, err := out.Read(buffer)
		require.NoError(t, err, said)
		said += string(buffer[:n])
	}
	bootstrap := filepath.Join(dir, "bootstrap.creds")
	code, err := posnode("hq", "code", "--data", hqDir, "s001-r01", "--bootstrap", bootstrap).Output()
	require.NoError(t, err)
	imported, err := posnode("hq", "import", "--data", hqDir, "shop.jsonl").CombinedOutput()
	require.NoError(t, err, "%s", imported)

	p := newProcess(t)
	p.args = []string{"--hq", leaf[1], "--bootstrap", bootstrap}
	p.start()
	var status register.Status
	look := func() *register.Status { status = register.Status{}; p.get("/v1/status", &status); return &status }
	require.Eventually(t, func() bool { return look().HQ.LinkUp }, time.Minute, 50*time.Millisecond)
	first, _, _ := strings.Cut(string(code), "\n")
	p.do(707, fmt.Sprintf(`{"code":%q}`, first))
	require.Eventually(t, func() bool { return len(look().Reference) > 0 }, time.Minute, 50*time.Millisecond)
	p.openShift()
	p.do(100, `{"product":"BISC-GIN"}`)
	p.do(206, `{}`)
	require.NotContains(t, strings.Join(look().Warnings, " "), "chmod")
	require.Greater(t, walk(p.dir), 10)
	require.Greater(t, walk(hqDir), 10)
	info, err := os.Stat(bootstrap)
	require.NoError(t, err)
	require.Equal(t, fs.FileMode(0o600), info.Mode().Perm())
	p.stop()
	walk(p.dir)

	opened := filepath.Join(p.dir, "identity.json")
	require.NoError(t, os.Chmod(p.dir, 0o755))
	require.NoError(t, os.Chmod(opened, 0o644))
	p.start()
	require.Contains(t, strings.Join(look().Warnings, " "), "chmod -R go= '"+p.dir+"'")
	p.stop()
	require.Equal(t, 1, strings.Count(p.stderr.String(), "chmod -R go="), "%s", p.stderr)
	info, err = os.Stat(opened)
	require.NoError(t, err)
	require.Equal(t, fs.FileMode(0o644), info.Mode().Perm(), "nothing is tightened silently")
}
