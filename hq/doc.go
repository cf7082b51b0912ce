// Package hq is head office: the only part that knows there are many registers.
//
// Its node receives the registers' journals by durable sourcing, ordered and at
// least once. A reader per shard verifies what arrives, in whatever order, and holds
// each entry once, by (register, epoch, sequence). It never stops for a bad entry and never drops one: the
// streams keep the bytes, and the database keeps a [Finding] that says what is wrong with them.
//
// Everything in hq.db can be made again from the streams: a reader's position
// and what it read are in one transaction, and what head office decides is in its own journal.
//
// A register asks every few seconds, while the link is up, how head office stands to
// its journal ([HQ.Registers] shows it to people). The answer is a mark, head office's signature under what
// it has verified; what it lacks, which the register sends once more to the stream REPAIRS; and whether the
// epoch is over because it has two histories.
//
// On that stand certificates, that nothing is missing of a register's business day, and closed periods.
package hq
