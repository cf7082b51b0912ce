package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"

	"github.com/posnode/posnode/internal/checkpoint"
)

// soldDirectory makes the data directory of a stopped register that has sold something.
func soldDirectory(t *testing.T) string {
	p := newProcess(t)
	p.start()
	p.openShift()
	p.do(100, `{"product":"BISC-GIN"}`)
	p.do(206, `{}`)
	p.stop()
	return p.dir
}

// ends runs a command that must end by itself with an exit code, and returns its output. The
// command may take no more memory than a small machine has.
func ends(t *testing.T, code int, c *exec.Cmd) string {
	var out bytes.Buffer
	c.Stdout, c.Stderr = &out, &out
	require.NoError(t, c.Start())
	late := time.AfterFunc(2*time.Minute, func() { _ = c.Process.Kill() })
	defer late.Stop()
	_ = c.Wait() // the exit code says it
	require.Equal(t, code, c.ProcessState.ExitCode(), "%s", &out)
	usage, ok := c.ProcessState.SysUsage().(*syscall.Rusage)
	require.True(t, ok)
	require.Less(t, usage.Maxrss>>10, int64(400), "MiB of memory")
	return out.String()
}

// TestAuditOfADirectoryMadeToHurt has an auditor verify data directories that were forged to do
// harm.
func TestAuditOfADirectoryMadeToHurt(t *testing.T) {
	t.Parallel()
	sparse := func(path string, size int64) {
		require.NoError(t, os.RemoveAll(path))
		require.NoError(t, os.WriteFile(path, nil, 0o600))
		require.NoError(t, os.Truncate(path, size))
	}
	pipe := func(path string) {
		require.NoError(t, os.RemoveAll(path))
		require.NoError(t, syscall.Mkfifo(path, 0o600))
	}
	glob := func(dir, pattern string) string {
		paths, err := filepath.Glob(filepath.Join(dir, pattern))
		require.NoError(t, err)
		require.NotEmpty(t, paths)
		return paths[0]
	}
	const stream = "jetstream/*/streams/JOURNAL_1"
	for _, test := range []struct {
		name string
		hurt func(dir, outside string)
		code int
		says string
	}{
		{"links to evidence elsewhere", func(dir, outside string) {
			folder := glob(dir, stream+"/msgs")
			require.NoError(t, os.Rename(folder, filepath.Join(outside, "msgs")))
			require.NoError(t, os.Symlink(filepath.Join(outside, "msgs"), folder))
		}, exitIntegrity, "it is a symbolic link"},
		{"link for a block", func(dir, outside string) {
			block := glob(dir, stream+"/msgs/1.blk")
			require.NoError(t, os.Rename(block, filepath.Join(outside, "1.blk")))
			require.NoError(t, os.Symlink(filepath.Join(outside, "1.blk"), block))
		}, exitIntegrity, "1.blk: it is a symbolic link"},
		{"link for the store", func(dir, outside string) {
			require.NoError(t, os.Rename(filepath.Join(dir, "jetstream"), filepath.Join(outside, "jetstream")))
			require.NoError(t, os.Symlink(filepath.Join(outside, "jetstream"), filepath.Join(dir, "jetstream")))
		}, exitFailed, "is a symbolic link"},
		{"named pipe in the store", func(dir, _ string) { pipe(filepath.Join(dir, "jetstream", "pipe")) }, exitIntegrity, "pipe: it is a named pipe"},
		{"socket in the store", func(dir, _ string) {
			require.NoError(t, syscall.Mknod(filepath.Join(dir, "jetstream", "socket"), syscall.S_IFSOCK|0o600, 0))
		}, exitIntegrity, "socket: it is a socket"},
		{"huge block", func(dir, _ string) { sparse(glob(dir, stream+"/msgs/1.blk"), 6<<30) }, exitIntegrity, "1.blk: it has 6442450944 bytes"},
		{"named pipe for the lock", func(dir, _ string) { pipe(filepath.Join(dir, "lock")) }, exitFine, "nothing is wrong with it"},
		{"huge snapshot", func(dir, _ string) { sparse(filepath.Join(dir, "snapshot.json"), 6<<30) }, exitDerived, "snapshot: want a snapshot with its digest"},
		{"named pipe for the snapshot", func(dir, _ string) { pipe(filepath.Join(dir, "snapshot.json")) }, exitDerived, "not a regular file but a named pipe"},
		{"link for the snapshot", func(dir, _ string) {
			require.NoError(t, os.Remove(filepath.Join(dir, "snapshot.json")))
			require.NoError(t, os.Symlink("/dev/zero", filepath.Join(dir, "snapshot.json")))
		}, exitDerived, "not a regular file but a symbolic link"},
		{"named pipe for the offline database", func(dir, _ string) { pipe(filepath.Join(dir, "offline.db")) }, exitDerived, "projection: want an offline database"},
		{"link for its log", func(dir, _ string) {
			require.NoError(t, os.RemoveAll(filepath.Join(dir, "offline.db-wal")))
			require.NoError(t, os.Symlink("/dev/zero", filepath.Join(dir, "offline.db-wal")))
		}, exitDerived, "projection: want an offline database"},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir, outside, temp := soldDirectory(t), t.TempDir(), t.TempDir()
			test.hurt(dir, outside)
			before := tree(t, outside)
			inside := tree(t, filepath.Join(dir, "jetstream"))
			c := posnode("audit", "verify", dir, "--hq-key", "hq+00000000+AAAA")
			c.Env = append(c.Env, "TMPDIR="+temp)
			if test.code == exitFine || test.code == exitIntegrity || test.code == exitFailed {
				c.Args = c.Args[:4]
			}
			require.Contains(t, ends(t, test.code, c), test.says)
			require.Equal(t, before, tree(t, outside), "the evidence is as it was")
			require.Equal(t, inside, tree(t, filepath.Join(dir, "jetstream")))
			left, err := os.ReadDir(temp)
			require.NoError(t, err)
			require.Empty(t, left, "no copy is left")
		})
	}
}

// tree lists names, sizes, kinds and times of everything below a folder. It follows no link.
func tree(t *testing.T, dir string) (all []string) {
	require.NoError(t, filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err == nil {
			all = append(all, path+" "+info.Mode().String()+" "+info.ModTime().String())
		}
		return err
	}))
	return all
}

// TestAuditOfABundleThatUnpacksWithoutEnd audits a bundle of some hundred bytes that unpack to 256
// MiB of line ends.
func TestAuditOfABundleThatUnpacksWithoutEnd(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "bomb.jsonl.zst")
	f, err := os.Create(path)
	require.NoError(t, err)
	z, err := zstd.NewWriter(f)
	require.NoError(t, err)
	block := bytes.Repeat([]byte("\n"), 1<<20)
	for range 256 {
		_, err = z.Write(block)
		require.NoError(t, err)
	}
	require.NoError(t, z.Close())
	require.NoError(t, f.Close())
	out := ends(t, exitIntegrity, posnode("audit", "verify", path))
	require.Contains(t, out, "too_large: want entries, got 100001 that are none")
	require.Contains(t, out, "further findings of this kind are counted here and not listed")
	require.Contains(t, out, "findings: 102\n")
}

// TestSignalEndsAnAudit shows that a signal ends an audit at every stage, and that no copy is left
// behind.
func TestSignalEndsAnAudit(t *testing.T) {
	t.Parallel()
	endless := filepath.Join(t.TempDir(), "endless.jsonl")
	require.NoError(t, os.WriteFile(endless, nil, 0o600))
	require.NoError(t, os.Truncate(endless, 1<<42))
	dir := soldDirectory(t)

	stopped := func(t *testing.T, c *exec.Cmd, temp string, wait func()) {
		c.Env = append(c.Env, "TMPDIR="+temp)
		require.NoError(t, c.Start())
		wait()
		require.NoError(t, c.Process.Signal(syscall.SIGTERM))
		late := time.AfterFunc(time.Minute, func() { _ = c.Process.Kill() })
		defer late.Stop()
		_ = c.Wait() // the exit code says it
		require.Equal(t, exitFailed, c.ProcessState.ExitCode(), "it ended by itself: %v", c.ProcessState)
		left, err := os.ReadDir(temp)
		require.NoError(t, err)
		require.Empty(t, left, "no copy is left")
	}
	t.Run("reading a line without end", func(t *testing.T) {
		temp := t.TempDir()
		c := posnode("audit", "verify", endless)
		stopped(t, c, temp, func() { hasOpen(t, c, endless) })
	})
	t.Run("writing what nobody reads", func(t *testing.T) {
		temp := t.TempDir()
		c := posnode("audit", "show", "--json", dir)
		r, w, err := os.Pipe()
		require.NoError(t, err)
		defer r.Close()
		fill(t, w)
		c.Stdout = w
		stopped(t, c, temp, func() {
			require.Eventually(t, func() bool { left, _ := os.ReadDir(temp); return len(left) > 0 }, time.Minute, time.Millisecond)
		})
	})
}

// hasOpen waits until a process has opened a file.
func hasOpen(t *testing.T, c *exec.Cmd, path string) {
	require.Eventually(t, func() bool {
		paths, _ := filepath.Glob(filepath.Join("/proc", strconv.Itoa(c.Process.Pid), "fd", "*"))
		for _, fd := range paths {
			if to, _ := os.Readlink(fd); to == path {
				return true
			}
		}
		return false
	}, time.Minute, time.Millisecond)
}

// fill writes to a pipe until it takes no more.
func fill(t *testing.T, w *os.File) {
	require.NoError(t, w.SetWriteDeadline(time.Now().Add(50*time.Millisecond)))
	for {
		if _, err := w.Write(make([]byte, 4096)); err != nil {
			require.ErrorIs(t, err, os.ErrDeadlineExceeded)
			return
		}
	}
}

// TestHeadOfficesWordInTheDirectory shows that head office's mark vouches for the end with head
// office's key, and that no other mark does.
func TestHeadOfficesWordInTheDirectory(t *testing.T) {
	t.Parallel()
	dir := soldDirectory(t)
	private, public, err := checkpoint.GenerateKey("hq")
	require.NoError(t, err)
	another, _, err := checkpoint.GenerateKey("hq")
	require.NoError(t, err)
	var v verdict
	require.NoError(t, json.Unmarshal([]byte(ends(t, exitFine, posnode("audit", "verify", "--json", dir))), &v))
	last := v.Heads[0]
	require.Zero(t, v.End.Vouched)
	require.Less(t, v.End.Signed, last.Sequence)
	require.NotZero(t, v.End.Signed)

	sign := func(private, origin string, size uint64, hash [32]byte) {
		s, err := checkpoint.NewSigner(private)
		require.NoError(t, err)
		note, err := s.Sign(checkpoint.Checkpoint{Origin: origin, Size: size, Hash: hash})
		require.NoError(t, err)
		raw, err := json.Marshal(map[string]string{"key": "what the directory says is not asked", "mark": note})
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(dir, "mark.json"), raw, 0o600))
	}
	audit := func(code int) string { return ends(t, code, posnode("audit", "verify", dir, "--hq-key", public)) }

	out := audit(exitFine)
	require.Contains(t, out, "note: there is no mark.json")
	require.Contains(t, out, "nothing outside the directory vouches that the journal ends here")

	sign(private, "s001-r01/1", last.Sequence, last.Hash)
	out = audit(exitFine)
	require.Contains(t, out, "is vouched for by head office's signature")
	require.NotContains(t, out, "nothing outside")

	sign(private, "s001-r01/1", last.Sequence+3, last.Hash)
	require.Contains(t, audit(exitIntegrity), "truncated: want entries up to")
	sign(private, "s001-r01/1", last.Sequence, [32]byte{1})
	require.Contains(t, audit(exitIntegrity), "head: want hash 01000")

	for name, forge := range map[string]func(){
		"another key":      func() { sign(another, "s001-r01/1", last.Sequence, last.Hash) },
		"another register": func() { sign(private, "s001-r02/1", last.Sequence, last.Hash) },
		"no epoch":         func() { sign(private, "s001-r01/1x", last.Sequence, last.Hash) },
	} {
		forge()
		out = audit(exitDerived)
		require.Contains(t, out, "beside the journal: mark: want a mark of this register, signed by head office", name)
		require.Contains(t, out, "nothing outside the directory vouches that the journal ends here", name)
	}
}

// TestAuditOfAGivenFileMadeToHurt gives a report and a certificate that are none.
func TestAuditOfAGivenFileMadeToHurt(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	huge, pipe, bundle := filepath.Join(dir, "huge"), filepath.Join(dir, "pipe"), filepath.Join(dir, "day.jsonl")
	require.NoError(t, os.WriteFile(bundle, nil, 0o600))
	require.NoError(t, os.WriteFile(huge, nil, 0o600))
	require.NoError(t, os.Truncate(huge, 6<<30))
	require.NoError(t, syscall.Mkfifo(pipe, 0o600))
	require.Contains(t, ends(t, exitUsage, posnode("audit", "verify", bundle, "--head", huge)), "has more than")
	ends(t, exitUsage, posnode("audit", "verify", bundle, "--head", pipe))
	require.Contains(t, ends(t, exitFailed, posnode("audit", "certificate", huge, "--key", "hq+00000000+AAAA")), "has more than")
	ends(t, exitFailed, posnode("audit", "certificate", pipe, "--key", "hq+00000000+AAAA"))
	ends(t, exitFailed, posnode("audit", "verify", pipe))
}
