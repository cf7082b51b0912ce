package powercut

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// Disk is one disk. [Disk.Mount] makes it a folder.
type Disk struct {
	// Strict makes a change of a name safe only by fsync of its folder. By chance, a cut loses any
	// change that is not safe.
	Strict bool
	// Deaf makes fsync do nothing and report success. A cut can then lose everything since the
	// start.
	Deaf bool

	mu     sync.Mutex
	root   *node
	nodes  map[uint64]*node
	last   uint64
	names  []rename // changes of names that are not safe yet, in order
	off    bool     // the power is off: every request fails
	failed failing
	server *fuse.Server
	cut    func() // called when the power is gone
	until  int    // changes and fsyncs until the power goes; 0: it stays
}

// failing holds the faults that a test has set.
type failing struct {
	syncs    int  // how many of the next fsyncs fail
	readOnly bool // every change fails with EROFS
}

// node is a file or a folder.
type node struct {
	id       uint64
	folder   bool
	mode     uint32
	modified time.Time
	links    int // number of names, as programs see them

	data    []byte // of a file, as programs read it
	safe    []byte // as a cut leaves it, before pending
	pending []write

	entries map[string]*node // of a folder, as programs see it
	kept    map[string]*node // as a cut leaves it, before names
}

// write is a change of a file's data: data at an offset, or a new length if data is nil.
type write struct {
	at   int64
	data []byte
}

// rename is one atomic change of names: a cut keeps all of it or nothing.
type rename struct{ changes []change }

type change struct {
	folder *node
	name   string
	to     *node // nil if the name is removed
}

// New returns an empty disk.
func New() *Disk {
	d := &Disk{nodes: map[uint64]*node{}}
	d.root = d.make(true, 0o700)
	return d
}

func (d *Disk) make(folder bool, mode uint32) *node {
	d.last++
	n := &node{id: d.last, folder: folder, mode: mode & 0o7777, modified: time.Now()}
	if folder {
		n.entries, n.kept = map[string]*node{}, map[string]*node{}
	}
	d.nodes[n.id] = n
	return n
}

// Mount mounts the disk on the folder dir, which must exist. If this machine cannot mount it, the
// error wraps [ErrNoFUSE].
func (d *Disk) Mount(dir string) error {
	server, err := fuse.NewServer(&files{RawFileSystem: fuse.NewDefaultRawFileSystem(), disk: d, listings: map[uint64][]fuse.DirEntry{}}, dir, &fuse.MountOptions{
		DirectMountStrict: true, FsName: "powercut", Name: "powercut", DisableXAttrs: true, DisableReadDirPlus: true, MaxWrite: 1 << 20,
	})
	if err != nil {
		return fmt.Errorf("%w: %w", ErrNoFUSE, err)
	}
	go server.Serve()
	if err := server.WaitMount(); err != nil {
		return fmt.Errorf("%w: %w", ErrNoFUSE, err)
	}
	d.server = server
	return nil
}

// ErrNoFUSE means that this machine has no FUSE, or does not allow this process to use it.
var ErrNoFUSE = errors.New("no FUSE")

// Unmount unmounts the disk. No file on it may be open.
func (d *Disk) Unmount() error {
	if d.server == nil {
		return nil
	}
	err := d.server.Unmount()
	if err == nil {
		d.server = nil
	}
	return err
}

// Off cuts the power: from now on every request fails, and nothing becomes safe.
func (d *Disk) Off() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.off = true
}

// FailSyncs makes the next n fsyncs fail with EIO.
func (d *Disk) FailSyncs(n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.failed.syncs = n
}

// ReadOnly makes every change fail with EROFS, as when the system remounts a disk after an error.
// ReadOnly(false) ends that.
func (d *Disk) ReadOnly(is bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.failed.readOnly = is
}

// CutAfter cuts the power after the given number of further changes and fsyncs. It then calls gone
// in a goroutine of its own.
func (d *Disk) CutAfter(requests int, gone func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.until, d.cut = requests, gone
}

// IsOff reports whether the power is off.
func (d *Disk) IsOff() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.off
}

// Survivor returns the disk as it is after a cut, when the power is back. chance decides which
// unsafe changes survive.
func (d *Disk) Survivor(chance *rand.Rand) *Disk {
	d.mu.Lock()
	defer d.mu.Unlock()
	kept := map[*node]map[string]*node{}
	for _, n := range d.nodes {
		if n.folder {
			kept[n] = maps.Clone(n.kept)
		}
	}
	apply := func(r rename) {
		for _, c := range r.changes {
			set(kept[c.folder], c.name, c.to)
		}
	}
	if d.Strict {
		for _, r := range d.names {
			if chance.IntN(2) == 0 {
				apply(r)
			}
		}
	} else {
		for _, r := range d.names[:chance.IntN(len(d.names)+1)] {
			apply(r)
		}
	}
	out := &Disk{Strict: d.Strict, Deaf: d.Deaf, nodes: map[uint64]*node{}}
	made := map[*node]*node{}
	var copyOf func(n *node) *node
	copyOf = func(n *node) *node {
		if m := made[n]; m != nil {
			m.links++
			return m
		}
		m := out.make(n.folder, n.mode)
		m.links = 1
		made[n] = m
		if !n.folder {
			m.safe = survive(n, chance)
			m.data = append([]byte(nil), m.safe...)
			return m
		}
		for name, child := range kept[n] {
			m.entries[name] = copyOf(child)
		}
		m.kept = maps.Clone(m.entries)
		return m
	}
	out.root = copyOf(d.root)
	return out
}

// survive returns the data of a file after a cut: the safe data, the first few writes since then,
// and a part of the next write.
func survive(n *node, chance *rand.Rand) []byte {
	data := append([]byte(nil), n.safe...)
	count := chance.IntN(len(n.pending) + 1)
	for _, w := range n.pending[:count] {
		data = w.on(data)
	}
	if count < len(n.pending) {
		if w := n.pending[count]; len(w.data) > 0 {
			data = write{w.at, w.data[:chance.IntN(len(w.data))]}.on(data)
		}
	}
	return data
}

func (w write) on(data []byte) []byte {
	if w.data == nil {
		if w.at <= int64(len(data)) {
			return data[:w.at]
		}
		return append(data, make([]byte, w.at-int64(len(data)))...)
	}
	if end := w.at + int64(len(w.data)); end > int64(len(data)) {
		data = append(data, make([]byte, end-int64(len(data)))...)
	}
	copy(data[w.at:], w.data)
	return data
}

func set(folder map[string]*node, name string, to *node) {
	if to == nil {
		delete(folder, name)
		return
	}
	folder[name] = to
}

// Put copies the content of a real folder onto the disk. All of it is safe.
func (d *Disk) Put(dir string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.put(d.root, dir)
}

func (d *Disk) put(into *node, dir string) error {
	list, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range list {
		path := filepath.Join(dir, e.Name())
		n := d.make(e.IsDir(), 0o600)
		n.links = 1
		if n.folder {
			n.mode = 0o700
			err = d.put(n, path)
		} else if n.data, err = os.ReadFile(path); err == nil {
			n.safe = append([]byte(nil), n.data...)
		}
		if err != nil {
			return err
		}
		into.entries[e.Name()], into.kept[e.Name()] = n, n
	}
	return nil
}

// Get copies the disk, as programs see it, into a real folder that exists.
func (d *Disk) Get(dir string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return get(d.root, dir)
}

func get(from *node, dir string) error {
	for name, n := range from.entries {
		path := filepath.Join(dir, name)
		var err error
		if n.folder {
			if err = os.Mkdir(path, 0o700); err == nil {
				err = get(n, path)
			}
		} else {
			err = os.WriteFile(path, n.data, 0o600)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// The requests call the functions below, with the lock held.

// change carries out one atomic change of names.
func (d *Disk) change(changes ...change) {
	for _, c := range changes {
		if old := c.folder.entries[c.name]; old != nil {
			old.links--
		}
		set(c.folder.entries, c.name, c.to)
		if c.to != nil {
			c.to.links++
		}
		c.folder.modified = time.Now()
	}
	d.names = append(d.names, rename{changes})
}

func (d *Disk) write(n *node, w write) {
	n.data = w.on(n.data)
	n.pending = append(n.pending, w)
	n.modified = time.Now()
}

// sync makes a file or a folder safe. It also makes all earlier changes of names safe, or only
// those of this folder if the disk is strict.
func (d *Disk) sync(n *node) fuse.Status {
	if d.failed.syncs > 0 {
		d.failed.syncs--
		// As on Linux, the pages count as clean from here on. The next fsync succeeds, but the
		// written data is lost.
		n.pending = nil
		return fuse.EIO
	}
	if d.Deaf {
		return fuse.OK
	}
	for _, w := range n.pending {
		n.safe = w.on(n.safe)
	}
	n.pending = nil
	var rest []rename
	for _, r := range d.names {
		if d.Strict && r.changes[0].folder != n && r.changes[len(r.changes)-1].folder != n {
			rest = append(rest, r)
			continue
		}
		for _, c := range r.changes {
			set(c.folder.kept, c.name, c.to)
		}
	}
	d.names = rest
	return fuse.OK
}

// broken returns the error of a request that the disk cannot carry out, or OK. It counts the
// requests until the cut.
func (d *Disk) broken(changes bool) fuse.Status {
	if changes && d.until > 0 {
		if d.until--; d.until == 0 {
			d.off = true
			go d.cut()
		}
	}
	switch {
	case d.off:
		return fuse.EIO
	case changes && d.failed.readOnly:
		return fuse.Status(syscall.EROFS)
	}
	return fuse.OK
}
