// Package register is one till: it owns the data directory, the embedded node
// with its journal, the ledger's state and the offline database, and lets one
// operation after the other through.
//
// # The owner
//
// One goroutine, the owner, holds the state and is the only writer of the
// journal. [Register.Do] prepares a command outside it (reads the parameters,
// asks the reference data, checks a PIN) and hands it over; the owner decides,
// appends, applies and answers, in this order. What is answered is on disk.
//
// # The data directory
//
//	lock              who has the directory open
//	identity.json     the register, its epoch and its signing key (mode 0600)
//	activation-1.json the activation record of epoch 1, whose hash begins the chain
//	jetstream/        the journal: the only thing that cannot be made again
//	snapshot.json     the ledger's state at some entry; made again when lost
//	offline.db        the offline database; rebuilt from the journal when lost
//	terminal.json     what the simulated card terminal remembers
//	reference.db      products, staff and settings; made of the copy of head office's stream in
//	                  jetstream/, or of a file at a register that stands alone, which nobody else has
//
// # Start
//
// [Open] is one road, and recovery is the same road: newest snapshot, the
// journal's tail after it with every entry checked, the offline database brought
// up to it, then business. Where stored bytes are not what they must be, the
// register comes up damaged: everything can be read, nothing is sold.
//
// JetStream itself says nothing of a flipped bit, so the whole chain is read
// again in the background after a start and once a day ([Register.Check]).
package register
