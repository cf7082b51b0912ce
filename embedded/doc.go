// Package embedded runs the NATS servers inside our processes: the node of a
// register, with its journal, and the node of head office (HQ), with the journals of all.
// It is the only package that knows NATS, and it knows nothing of shops.
//
// # What is where
//
//	register s001-r01                                HQ
//	domain s001-r01                                  domain hq, account FLEET
//
//	Append -> stream JOURNAL_1                       streams JOURNALS_0 .. JOURNALS_3
//	          consumer hq  --- leaf link, dialled --> source (JOURNAL_1, s001-r01)
//	              ^            by the register           |
//	              '------- flow control acknowledges <---'--> Receive
//
// A register's journal is one stream per epoch. It is written by this node alone,
// never limited by age or count, and its entries cannot be deleted. A new epoch seals the stream of the one
// before. HQ's streams source the journals through a durable consumer that the
// register makes, so what HQ may do at a register is to say where that consumer goes on. Which of HQ's streams a
// register belongs to follows from its name.
//
// # What an append promises
//
// Journal.Append returns nil when the entry is on disk: the server runs with
// SyncAlways and acknowledges after fsync (a test traces the system calls). Every
// append names the sequence it follows, so two writers cannot both succeed. Its errors are of three kinds:
//
//   - events.ErrConflict, events.ErrFull, ErrTooLarge: nothing was stored.
//   - any other: it is unknown whether the entry was stored. The writer stops, reads the
//     end of the journal, and goes on from there.
//
// A file system that is full to the last block freezes a stream until it is opened
// again, so Append refuses before: there must be 64 MiB free. When there is room again the next append succeeds.
//
// # What reading promises
//
// Journal.Read yields every entry or an error. JetStream itself is silent about
// damage; this is what it looks like from here (damage_test.go shows each):
//
//	damage                           index.db intact (clean stop)   index.db stale (crash)
//	bit flipped in an entry          gap at that entry              gap from there to the end of its block (8 MiB)
//	the same in the last block       gap at that entry              Last is smaller
//	block file cut off               gap to its end                 gap, or Last is smaller
//	block file missing               gap                            gap
//
// A gap is a *events.CorruptError, and Next finds the entry behind it. Where Last is
// smaller, the store looks like a shorter journal, whole in itself: only someone who has seen a later entry can tell, a
// snapshot or HQ's signed mark. The consumer's acknowledgement cannot: the server cuts it down
// to the last entry. So the caller compares before its first append.
//
// An altered entry whose checksum was made to fit is not found here but by the hash
// chain, which belongs to others.
//
// # What replication promises
//
// Entries of one journal arrive at HQ in order, and at least once: a source that
// starts again may repeat itself, and HQ drops repeated message ids for 30 minutes only. A reader of Receive
// goes by register, epoch and sequence. These come from the header that HQ's server writes from its own
// configuration (Nats-Stream-Source). Subject and body are what the register
// claims. A message id that two registers shared would cost one of them an entry; ids are ULIDs.
//
// A journal that is new at HQ is asked for from its first entry, whatever another store of
// HQ had acknowledged. One that stands still is helped (watch.go), and so is a link that does not come back (relink.go).
//
// # Where HQ runs
//
// On a server of its own in its process, or on a cluster of stock nats-server that
// InitCluster wrote the configurations for; there several instances may run at once. What they share is the
// stream FLEET: which journals are received and whose credentials are revoked, a set that only grows.
//
// # What a register may do at HQ
//
// HQ is in operator mode. A register's credentials are a user of the account FLEET
// that a scoped key signed: the permissions stand in the key (registerScope), and can
// be widened at HQ without enrolling anyone again. They allow a leaf link, and on it the register's
// own entries, flow control and reset. The server exempts subjects under $JS.ACK and _R_ from permissions
// on leaf links (leafMsgAllowed): a register can send acknowledgements to HQ, so no consumer there may
// depend on them; ours acknowledge nothing.
//
// Live entries stay in their node: both ends refuse pos.> on the link.
//
// Answers go to a register on a subject that it names, so that a user which may publish nothing else
// sends them: see answers.go. HQ's other connections have rights of their own too.
//
// # What a reader may do at HQ
//
// Ask HQ's streams for entries by direct get, and nothing else: see readers.go. Readers are in the account READERS, signed
// by a scoped key as registers are (readerScope). A register could guess where HQ answers a reader, for _R_ is exempt as said above: what it
// sent there would have to name its sequence, and follow in a chain that it cannot read.
//
// # Reference data
//
// HQ's stream REFERENCE_1 keeps the last value of each subject, and a batch ends with a commit. A
// register's copy is a stream of that name in its own domain, which its process appends to from the answers
// of a service: mirrors and sources would need rights at HQ that cannot be confined (docs/decisions/0011).
// The bucket REFERENCE_IMPORTS holds imports that are accepted and not yet published.
//
// # Who may lose what
//
//	Dir/lock                 anyone; it only locks while a node runs
//	Dir/jetstream (register) nobody; what HQ has acknowledged can be fetched back
//	Dir/jetstream (HQ)       HQ, as long as the registers have theirs
//	Dir/accounts (HQ)        anyone: it is made again from the keys and the stream FLEET
//	Dir/keys.json (HQ)       nobody: every register would have to be enrolled again; and no one else may read it
//
// After HQ's store was repaired or put back, delete sources.db in each stream's folder, or
// HQ will not ask again for what it lost.
package embedded
