// Package embedded runs the NATS servers inside our processes. A register's node holds its journal,
// and the node of head office (HQ) holds the journals of all registers. It is the only package that
// knows NATS, and it knows nothing of shops.
//
// # Overview
//
//	register s001-r01                                HQ
//	domain s001-r01                                  domain hq, account FLEET
//
//	Append -> stream JOURNAL_1                       streams JOURNALS_0 .. JOURNALS_3
//	          consumer hq  --- leaf link, dialled --> source (JOURNAL_1, s001-r01)
//	              ^            by the register           |
//	              '------- flow control acknowledges <---'--> Receive
//
// A register's journal is one stream per epoch. This node alone writes it. It is never limited by
// age or count, and its entries cannot be deleted. A new epoch seals the stream of the one before.
// HQ's streams source the journals through a durable consumer that the register makes. So HQ's only
// right at a register is to reset that consumer to a sequence. The name of a register determines
// which of HQ's streams it belongs to.
//
// # Guarantees of an append
//
// Journal.Append returns nil when the entry is on disk: the server runs with SyncAlways and
// acknowledges after fsync (a test traces the system calls). Every append names the sequence that
// it follows, so two writers cannot both succeed. Its errors are of two kinds:
//
//   - events.ErrConflict, events.ErrFull, ErrTooLarge: nothing was stored.
//   - any other: it is unknown whether the entry was stored. The writer stops, reads the
//     end of the journal, and goes on from there.
//
// A file system that is full to the last block freezes a stream until it is opened again. So Append
// refuses earlier, when less than 64 MiB are free. When there is room again the next append
// succeeds.
//
// # Guarantees of reading
//
// Journal.Read yields every entry or an error. JetStream itself does not report damage. From here
// damage looks as follows (damage_test.go shows each):
//
//	damage                           index.db intact (clean stop)   index.db stale (crash)
//	bit flipped in an entry          gap at that entry              gap from there to the end of its block (8 MiB)
//	the same in the last block       gap at that entry              Last is smaller
//	block file cut off               gap to its end                 gap, or Last is smaller
//	block file missing               gap                            gap
//
// A gap is a *events.CorruptError, and Next finds the entry behind it. If Last is smaller, the
// store looks like a shorter journal, whole in itself. Only a record of a later entry shows the
// loss: a snapshot or HQ's signed mark. The consumer's acknowledgement does not, because the server
// cuts it down to the last entry. So the caller compares before its first append.
//
// An altered entry with a forged checksum is not detected here. The hash chain detects it, in other
// packages.
//
// # Guarantees of replication
//
// Entries of one journal arrive at HQ in order, and at least once: a source that starts again may
// repeat itself, and HQ drops repeated message ids for 30 minutes only. A reader of Receive goes by
// register, epoch and sequence. These come from the header that HQ's server writes from its own
// configuration (Nats-Stream-Source), and only if the bytes show that it did (source.go). Subject and
// body are claims of the register. If two registers used the same message id, one of them would
// lose an entry; ids are ULIDs.
//
// HQ requests a journal that is new to it from the first entry, even if another store of HQ had
// acknowledged some. HQ restarts a journal that has stalled (watch.go). A register restarts a link
// that does not come back (relink.go).
//
// # Where HQ runs
//
// HQ runs on a server of its own in its process, or on a cluster of stock nats-server with
// configurations from InitCluster. On a cluster several instances may run at once. They share the
// stream FLEET, a set that only grows: the journals to receive and the credentials that are
// revoked.
//
// # Rights of a register at HQ
//
// HQ is in operator mode. A register's credentials are a user of the account FLEET, signed by a
// scoped key. The permissions stand in the key (registerScope), so HQ can widen them without
// enrolling any register again. They allow a leaf link, and on it the register's own entries, flow
// control and reset. The server exempts subjects under $JS.ACK and _R_ from permissions on leaf
// links (leafMsgAllowed). So a register can send acknowledgements to HQ, and no consumer there may
// depend on them; ours acknowledge nothing.
//
// Live entries stay in their node: both ends refuse pos.> on the link.
//
// Answers go to a register on a subject that the register names. So they are sent by a user that
// may publish nothing else: see answers.go. HQ's other connections have rights of their own too.
//
// # Rights of a reader at HQ
//
// A reader may ask HQ's streams for entries by direct get, and nothing else: see readers.go.
// Readers are in the account READERS, signed by a scoped key as registers are (readerScope). _R_ is
// exempt as described above, so a register could guess the subject of HQ's answer to a reader. A
// forged answer there would have to name the right sequence and fit a chain that the register
// cannot read.
//
// # Reference data
//
// HQ's stream REFERENCE_1 keeps the last value of each subject, and a batch ends with a commit. A
// register's copy is a stream of that name in its own domain. The register's process appends to it
// from the answers of a service. Mirrors and sources would need rights at HQ that cannot be
// confined (docs/decisions/0011). The bucket REFERENCE_IMPORTS holds imports that are accepted and
// not yet published.
//
// # Files that may be lost
//
//	Dir/lock                 may be lost: it only locks while a node runs
//	Dir/jetstream (register) must not be lost; the entries that HQ has acknowledged can be fetched back
//	Dir/jetstream (HQ)       may be lost, as long as the registers have theirs
//	Dir/accounts (HQ)        may be lost: it is made again from the keys and the stream FLEET
//	Dir/keys.json (HQ)       must not be lost: every register would have to be enrolled again; nobody else may read it
//
// After HQ's store was repaired or put back, delete sources.db in each stream's folder. Otherwise
// HQ does not request the lost entries again.
package embedded
