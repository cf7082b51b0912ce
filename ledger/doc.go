// Package ledger decides. A [Command] says what a client wants; [Decide] answers
// with the one fact that records it, or with a [Refusal]; [State.Apply] folds a
// stored entry into the state that the next decision is made on. The package has
// no clock, no I/O, no randomness and no goroutine: time, ids and reference data
// come in with the command, and everything that a decision used goes into its
// fact, so that a journal replayed in ten years needs no catalogue of today.
//
// # One way in
//
// Every operation stands once, in the [Catalogue]: its id, its gates, its
// parameters, what it asks of the reference data and how it is decided. Decide
// walks every command through the same gates in the same order:
//
//	idempotency key -> signed on -> permission -> drawer -> shift ->
//	cart / no cart -> online only -> card terminal -> parameters -> the operation's own checks
//
// # One operation, one fact
//
// What an operation changes is one fact and becomes one entry: a power cut
// leaves all of it or nothing. A payment that reaches the amount due is
// therefore not two facts but one, the concluded sale with its last payment.
//
// One thing cannot be undone by not recording it: what a card terminal did. Before it
// is asked, [events.CardRequested] is recorded in an entry of its own; [Settle] decides
// the fact of what the terminal said, and that one answers the command.
//
// # Facts carry results
//
// Apply adds up what facts say; it never prices, taxes or rounds again. A change
// to a rule changes the sales of tomorrow and leaves those of yesterday as they were.
package ledger
