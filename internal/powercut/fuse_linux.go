package powercut

import (
	"maps"
	"slices"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// files implements the requests of the kernel.
type files struct {
	fuse.RawFileSystem
	disk *Disk

	listings map[uint64][]fuse.DirEntry // of open folders, as they were when opened
	opened   uint64                     // number of folders opened so far
}

// cached is the time that the kernel may cache answers. It can be long, because only the kernel's
// requests change the disk.
const cached = time.Hour

func (f *files) String() string { return "powercut" }

// begin takes the lock and returns the node of a request. The caller must call end, also after an
// error.
func (f *files) begin(id uint64, changes bool) (*node, fuse.Status) {
	f.disk.mu.Lock()
	if status := f.disk.broken(changes); !status.Ok() {
		return nil, status
	}
	n := f.disk.nodes[id]
	if n == nil {
		return nil, fuse.ENOENT
	}
	return n, fuse.OK
}

func (f *files) end() { f.disk.mu.Unlock() }

func (n *node) attr(out *fuse.Attr) {
	out.Ino, out.Mode, out.Nlink, out.Blksize = n.id, n.mode|syscall.S_IFREG, uint32(max(n.links, 0)), 4096
	out.Size = uint64(len(n.data))
	if n.folder {
		out.Mode, out.Nlink = n.mode|syscall.S_IFDIR, 2
	}
	out.Blocks = (out.Size + 511) / 512
	out.SetTimes(&n.modified, &n.modified, &n.modified)
}

func (n *node) entry(out *fuse.EntryOut) {
	out.NodeId, out.Generation = n.id, 1
	n.attr(&out.Attr)
	out.SetEntryTimeout(cached)
	out.SetAttrTimeout(cached)
}

func (f *files) Lookup(_ <-chan struct{}, header *fuse.InHeader, name string, out *fuse.EntryOut) fuse.Status {
	n, status := f.begin(header.NodeId, false)
	defer f.end()
	if !status.Ok() {
		return status
	}
	child := n.entries[name]
	if child == nil {
		return fuse.ENOENT
	}
	child.entry(out)
	return fuse.OK
}

func (f *files) GetAttr(_ <-chan struct{}, in *fuse.GetAttrIn, out *fuse.AttrOut) fuse.Status {
	n, status := f.begin(in.NodeId, false)
	defer f.end()
	if status.Ok() {
		n.attr(&out.Attr)
		out.SetTimeout(cached)
	}
	return status
}

func (f *files) SetAttr(_ <-chan struct{}, in *fuse.SetAttrIn, out *fuse.AttrOut) fuse.Status {
	n, status := f.begin(in.NodeId, true)
	defer f.end()
	if !status.Ok() {
		return status
	}
	if size, ok := in.GetSize(); ok && !n.folder {
		f.disk.write(n, write{at: int64(size)})
	}
	if mode, ok := in.GetMode(); ok {
		n.mode = mode & 0o7777
	}
	n.attr(&out.Attr)
	out.SetTimeout(cached)
	return fuse.OK
}

// child creates a file or a folder.
func (f *files) child(parent uint64, name string, folder bool, mode uint32, out *fuse.EntryOut) fuse.Status {
	n, status := f.begin(parent, true)
	defer f.end()
	if !status.Ok() {
		return status
	}
	if n.entries[name] != nil {
		return fuse.Status(syscall.EEXIST)
	}
	made := f.disk.make(folder, mode)
	f.disk.change(change{n, name, made})
	made.entry(out)
	return fuse.OK
}

func (f *files) Mkdir(_ <-chan struct{}, in *fuse.MkdirIn, name string, out *fuse.EntryOut) fuse.Status {
	return f.child(in.NodeId, name, true, in.Mode, out)
}

func (f *files) Mknod(_ <-chan struct{}, in *fuse.MknodIn, name string, out *fuse.EntryOut) fuse.Status {
	if in.Mode&syscall.S_IFMT != syscall.S_IFREG {
		return fuse.ENOSYS
	}
	return f.child(in.NodeId, name, false, in.Mode, out)
}

func (f *files) Create(_ <-chan struct{}, in *fuse.CreateIn, name string, out *fuse.CreateOut) fuse.Status {
	return f.child(in.NodeId, name, false, in.Mode, &out.EntryOut)
}

func (f *files) remove(parent uint64, name string, folder bool) fuse.Status {
	n, status := f.begin(parent, true)
	defer f.end()
	if !status.Ok() {
		return status
	}
	child := n.entries[name]
	switch {
	case child == nil:
		return fuse.ENOENT
	case child.folder != folder:
		return fuse.Status(syscall.EISDIR)
	case len(child.entries) > 0:
		return fuse.Status(syscall.ENOTEMPTY)
	}
	f.disk.change(change{n, name, nil})
	return fuse.OK
}

func (f *files) Unlink(_ <-chan struct{}, header *fuse.InHeader, name string) fuse.Status {
	return f.remove(header.NodeId, name, false)
}

func (f *files) Rmdir(_ <-chan struct{}, header *fuse.InHeader, name string) fuse.Status {
	return f.remove(header.NodeId, name, true)
}

func (f *files) Rename(_ <-chan struct{}, in *fuse.RenameIn, oldName string, newName string) fuse.Status {
	from, status := f.begin(in.NodeId, true)
	defer f.end()
	if !status.Ok() {
		return status
	}
	to, child := f.disk.nodes[in.Newdir], from.entries[oldName]
	if to == nil || child == nil {
		return fuse.ENOENT
	}
	if in.Flags != 0 {
		return fuse.EINVAL
	}
	if replaced := to.entries[newName]; replaced != nil && len(replaced.entries) > 0 {
		return fuse.Status(syscall.ENOTEMPTY)
	}
	f.disk.change(change{to, newName, child}, change{from, oldName, nil})
	return fuse.OK
}

func (f *files) Open(_ <-chan struct{}, in *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	n, status := f.begin(in.NodeId, in.Flags&syscall.O_ACCMODE != syscall.O_RDONLY)
	defer f.end()
	if status.Ok() && n.folder {
		return fuse.Status(syscall.EISDIR)
	}
	return status
}

func (f *files) OpenDir(_ <-chan struct{}, in *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	n, status := f.begin(in.NodeId, false)
	defer f.end()
	if !status.Ok() {
		return status
	}
	var list []fuse.DirEntry
	for _, name := range slices.Sorted(maps.Keys(n.entries)) {
		child, mode := n.entries[name], uint32(syscall.S_IFREG)
		if child.folder {
			mode = syscall.S_IFDIR
		}
		list = append(list, fuse.DirEntry{Name: name, Mode: mode, Ino: child.id, Off: uint64(len(list) + 1)})
	}
	f.opened++
	f.listings[f.opened] = list
	out.Fh = f.opened
	return fuse.OK
}

func (f *files) Read(_ <-chan struct{}, in *fuse.ReadIn, buf []byte) (fuse.ReadResult, fuse.Status) {
	n, status := f.begin(in.NodeId, false)
	defer f.end()
	if !status.Ok() {
		return nil, status
	}
	if in.Offset >= uint64(len(n.data)) {
		return fuse.ReadResultData(nil), fuse.OK
	}
	return fuse.ReadResultData(buf[:copy(buf, n.data[in.Offset:])]), fuse.OK
}

func (f *files) Write(_ <-chan struct{}, in *fuse.WriteIn, data []byte) (uint32, fuse.Status) {
	n, status := f.begin(in.NodeId, true)
	defer f.end()
	if !status.Ok() {
		return 0, status
	}
	f.disk.write(n, write{int64(in.Offset), append(make([]byte, 0, len(data)), data...)})
	return uint32(len(data)), fuse.OK
}

func (f *files) Flush(_ <-chan struct{}, in *fuse.FlushIn) fuse.Status {
	_, status := f.begin(in.NodeId, false)
	defer f.end()
	return status
}

func (f *files) Release(<-chan struct{}, *fuse.ReleaseIn) {}

func (f *files) ReleaseDir(in *fuse.ReleaseIn) {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	delete(f.listings, in.Fh)
}

func (f *files) Forget(uint64, uint64) {}

func (f *files) Fsync(_ <-chan struct{}, in *fuse.FsyncIn) fuse.Status {
	n, status := f.begin(in.NodeId, true)
	defer f.end()
	if !status.Ok() {
		return status
	}
	return f.disk.sync(n)
}

func (f *files) FsyncDir(cancel <-chan struct{}, in *fuse.FsyncIn) fuse.Status {
	return f.Fsync(cancel, in)
}

func (f *files) ReadDir(_ <-chan struct{}, in *fuse.ReadIn, out *fuse.DirEntryList) fuse.Status {
	_, status := f.begin(in.NodeId, false)
	defer f.end()
	if !status.Ok() {
		return status
	}
	list := f.listings[in.Fh]
	for in.Offset < uint64(len(list)) && out.AddDirEntry(list[in.Offset]) {
		in.Offset++
	}
	return fuse.OK
}

// StatFs reports plenty of free space.
func (f *files) StatFs(_ <-chan struct{}, header *fuse.InHeader, out *fuse.StatfsOut) fuse.Status {
	_, status := f.begin(header.NodeId, false)
	defer f.end()
	out.Bsize, out.Frsize, out.Blocks, out.Bfree, out.Bavail, out.NameLen = 4096, 4096, 1<<24, 1<<23, 1<<23, 255
	return status
}
