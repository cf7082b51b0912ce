// Package replay reads a whole journal on purpose: to verify it, to rebuild what
// was derived from it, to travel in it, to export it and to compare it with
// another. It writes nothing to what it reads, needs no secret, and stops for no
// damage: [Verify] reports every finding.
//
// # What is read
//
// A [Source] yields stored entries as they are, without looking at them. A
// [Bundle] is one: an exported journal, JSON lines, each line exactly one entry,
// so that sha256sum and jq can check what this package checks. The store of a
// stopped register is another; it lives in cmd/posnode, because only embedded
// knows NATS. A bundle knows the order of its lines and no more; a stream also
// knows at which sequence each entry is stored.
//
// # How it is read
//
//	Source.Read --> batches --> decode and hash, on every core --> visit, in order
//	                   \______________________________________________/
//
// The signatures of checkpoints are checked beside it: one costs more than the
// rest of an entry does. Nothing is kept per entry, so that a journal may be of any length.
//
// # What is checked
//
// Each entry for itself: it decodes, it says the sequence, epoch and register of
// its place, its id is above the one before, and a stream's subject and id are
// its own. The proof: prevhash is the hash of the entry before; an epoch begins
// with its activation record and follows the epoch that the record names; every
// signed checkpoint opens with the record's key and names exactly the chain
// before its entry. The books: the ledger's own Apply takes it, no command is
// carried out twice, running totals are what the lines and payments add up to, and a
// document adds up, is settled, balances, is what was entered, and has the next
// receipt number. Nothing is priced, taxed or rounded again.
//
// # One cause, one finding
//
// After damage Verify takes what is stored as it is and goes on from there:
//
//	a byte altered, still an entry      chain at the next entry; what else no longer fits
//	bytes that are no entry             undecodable, and chain at the next: they were altered
//	                                    after they were written. Without chain, they were written so
//	an entry missing                    gap
//	entries in the wrong order          order, once for each run that was moved
//	an entry twice                      duplicate, once for each run
//	sequence, epoch or prevhash altered one of these, and chain at the next
//	a tail forged without the key       checkpoint, once for all that follow
//	the tail cut off                    truncated, where a head says how far it went
//
// Where entries were missed, what may follow from that is not held against those
// behind them: the transaction in progress is taken up again where the next one begins, the
// shift where the next one is opened, the receipt number from the next receipt.
//
// # What is bounded
//
// The source may be somebody else's, and made to hurt. A report lists at most 100 findings of a
// kind in an epoch and 2,000 in all, and counts the rest. Verify reads no further after 10,000
// epochs or 100,000 bodies that are no entry. A compressed bundle may unpack to 16 MiB and 1,000
// times its size, with a window of at most 32 MiB.
//
// # What a journal cannot say of itself
//
// No entry vouches for the last one, and none for its own absence. A change to
// the last entry that leaves it a possible one, and a tail that is cut off
// between two entries, are found only with a head from elsewhere ([Options.Heads]): a receipt's
// checkpoint, HQ's witness, an earlier report, or the offline database beside the
// journal. A journal that was written anew from its first entry, with a key of its
// own, is found only with the register's true key ([Options.Keys]).
//
// Receipt numbers follow a mask that is not in the journal. The number is looked for
// where the first receipt has a 1; until the second receipt this may be more than one place.
package replay
