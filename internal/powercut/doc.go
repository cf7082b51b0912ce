// Package powercut is a disk for tests that can lose its power, and that can fail. It is a small
// file system in memory, mounted with FUSE, so that a real process can use it. It keeps two
// versions of everything: one for programs to read, and one that survives a power cut.
//
// The data of a file is safe after fsync of that file, also by O_SYNC. A change of names (create,
// rename, unlink) is safe after a later fsync of any file or folder. This is so on ext4, xfs and
// btrfs, which write such changes in order. On a disk with [Disk.Strict], a change of names is safe
// only after fsync of its folder. A cut keeps a part of the unsafe changes, as chance decides. Of
// the changes of names it keeps the first ones. Of the writes to each file it keeps the first ones
// too, and the last of these may be torn.
package powercut
