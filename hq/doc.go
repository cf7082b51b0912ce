// Package hq is head office: the only part that knows there are many registers.
//
// Its node receives the registers' journals by durable sourcing, ordered and at
// least once. A reader per shard verifies every chain as it arrives and is
// idempotent on (register, epoch, sequence): an entry that comes twice counts
// once. It never stops for a bad entry and never drops one: the stream keeps the
// bytes, and the database keeps a [Finding] that says what is wrong with them.
//
// Everything in hq.db can be made again from the streams; a reader's position
// and what it read are in one transaction.
//
// A register announces the end of its journal every few seconds while the link
// is up. So HQ knows what has not arrived yet, and adds a journal that it does
// not know as a source.
package hq
