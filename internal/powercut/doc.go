// Package powercut is a disk for tests that can lose its power, and that can fail. It is a small
// file system in memory, mounted with FUSE, so that a real process works on it. It keeps two
// versions of everything: what programs read, and what a power cut leaves.
//
// A file's data is safe after fsync of that file, also by O_SYNC. Names (create, rename, unlink)
// are safe after fsync of any file or folder made later, as on ext4, xfs and btrfs, which write
// their changes in order; a [Strict] disk keeps only names of a folder that was fsynced itself.
// What is not safe survives a cut in part: the first of the changes of names, as many as chance
// says; and of the writes to each file the first ones, the last of them torn.
package powercut
