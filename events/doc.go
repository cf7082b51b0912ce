// Package events is the vocabulary of posnode and its bytes: the facts that a till records, the
// stored form of each, and the chain from one entry of a journal to the next. It has no clock, no
// goroutine and no business rule, and imports nothing of posnode.
//
// # An entry
//
// One entry is one message of the journal's stream and one CloudEvents 1.0 event in JSON
// (structured mode). [Entry] is its envelope, [Fact] its data. The hash covers the stored bytes.
// [Seal] encodes an entry once, and nobody encodes it again. [Decode] reads those bytes, and [Hash]
// of them is the prevhash of the entry that follows. docs/format.md shows one entry field by field.
//
// # A fact
//
// A fact is in the past tense and never changes. Its stored name is a literal
// constant, entity.past_participle.vN, and stands in the registry with its
// version; an older version is brought up to the newest by its upcast when it
// is read, never on disk. docs/events.md is generated from the registry.
//
// # Numbers
//
// [Money] is an integer of minor units. [Quantity], [Price] and [Percent] are
// exact decimals, written as JSON strings; a line amount is quantity times
// price, rounded once, half away from zero ([Price.Times]). There is no float.
package events
