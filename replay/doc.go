// Package replay reads a whole journal on purpose: to verify it, to rebuild the data derived from
// it, to return to an earlier state, to export it and to compare it with another journal. It never
// writes to the journal and needs no secret. Damage does not stop it: [Verify] reports every
// finding.
//
// # Sources
//
// A [Source] yields the stored entries unchanged and unchecked. A [Bundle] is a source: an exported
// journal in JSON lines, exactly one entry per line. The same checks can be made with sha256sum and
// jq. The store of a stopped register is another source. It is in cmd/posnode, because only
// embedded knows NATS. A bundle knows only the order of its lines. A stream also knows the sequence
// at which each entry is stored.
//
// # Reading
//
//	Source.Read --> batches --> decode and hash, on every core --> visit, in order
//	                   \______________________________________________/
//
// Other goroutines check the signatures of checkpoints, because one signature costs more than the
// rest of an entry. Nothing is kept in memory per entry, so that a journal may have any length.
//
// # Checks
//
// Each entry alone: it decodes. It names the sequence, epoch and register of its place. Its id is
// above the id of the entry before. A stream's message has the subject and id of its entry.
//
// The proof: prevhash is the hash of the entry before. An epoch begins with its activation record
// and follows the epoch named in the record. Every signed checkpoint opens with the key of the
// record and names exactly the chain before its entry.
//
// The books: the ledger's own Apply accepts the fact, and no command is carried out twice. Running
// totals are the sums of the lines and payments. A document adds up and leaves nothing due, and its
// postings balance. It repeats the lines and payments as entered, and has the next receipt number.
// No price, tax or rounding is calculated again.
//
// # One cause, one finding
//
// After damage Verify continues from the stored bytes as they are:
//
//	a byte altered, still an entry      chain at the next entry, and sums or lines that no longer fit
//	bytes that are no entry             undecodable; and chain at the next if they were altered
//	                                    after they were written
//	an entry missing                    gap
//	entries in the wrong order          order, once for each run that was moved
//	an entry twice                      duplicate, once for each run
//	sequence, epoch or prevhash altered one of these, and chain at the next
//	a tail forged without the key       checkpoint, once for all that follow
//	the tail cut off                    truncated, if a known head is behind it
//
// Where entries are missing, Verify reports no finding that the missing entries may explain. It
// checks transactions again when the next one begins, and shifts when the next one opens. It checks
// receipt numbers again from the next receipt.
//
// # Bounds
//
// The source may come from an attacker. A report lists at most 100 findings of a kind in an epoch
// and 2,000 in all, and counts the rest. Verify stops reading after 10,000 epochs or 100,000 bodies
// that are not entries. A compressed bundle may unpack to 16 MiB and 1,000 times its size, with a
// window of at most 32 MiB.
//
// # Limits of a journal alone
//
// No entry proves the last entry, and no entry proves that others are missing behind it. Two kinds
// of damage show only against a head from elsewhere ([Options.Heads]): a change to the last entry
// that leaves it valid, and a tail cut off between two entries. Such a head comes from the
// checkpoint on a receipt, the witness at head office, an earlier report, or the offline database
// beside the journal. A journal forged from its first entry, with a key of its own, shows only
// against the register's true key ([Options.Keys]).
//
// Receipt numbers follow a mask that is not in the journal. Verify searches for the number where
// the first receipt has a 1. Until the second receipt this may be more than one place.
package replay
