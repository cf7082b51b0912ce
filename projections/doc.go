// Package projections folds a register's journal into read models for people: the offline database.
// It decides nothing and never writes to a journal; all of it can be deleted, and is built again
// from the entries. [Reference] stands beside it: the reference data that a register keeps for the
// time without HQ.
//
// # One file, one view per table
//
// [DB] is one SQLite file. Each view is a Go file with its table, its folds and its reads:
//
//	journal       every entry exactly as stored; found by place, type, transaction, command
//	shifts        the business date and currency of every sum
//	transactions  one row for each that was concluded or voided
//	totals        the sales of each shift; a day is the sum of its shifts
//	products      quantity and amount by shift and product
//	tenders       payments by shift and tender
//	postings      debits less credits by shift and account
//	returned      returns of each line sold
//	suspended     suspended transactions
//	own_customers customers that were added or edited here
//	own_orders    customer orders that were placed or picked up here
//	stock_moved   sales and returns of each product, entry by entry
//	standings     how each shift stands
//	reports       where the X and Z reports of each shift stand in the journal
//	drawers       movements of each tender in each shift besides sales
//	time_clock    clock-ins, clock-outs and breaks
//	copies        how often a receipt was printed again
//
// Every sum is kept by shift. A shift has one business date and one currency, so
// that sums by day are sums over shifts, and no sum is of two currencies: a sale in
// another currency than its shift's stops the projection. Amounts are integers of
// minor units and quantities integers of ten-thousandths; there is no float.
//
// # Strict
//
// A fact has a place in the views, or stands among those that change nothing but
// the journal view (journalOnly); any other stops [DB.Apply] with an error that names
// it. To give a fact a place is one line, on(fold), in the views that it changes.
//
// # Position
//
// The position is not a row of its own that could disagree with the others: it is the last row of
// the journal view, written in the same transaction as the changes to the other views. [DB.Apply]
// takes entries that follow it, in the chain's own sense ([events.Chain]), and all of a batch or
// none.
//
// The file is in WAL mode with synchronous=NORMAL. A commit is then not synced, and a power cut may
// take the last batches back, which is allowed: they are in the journal. It cannot take back a part
// of one. SQLite appends a transaction to its log with checksums that chain; it syncs the log
// before it moves any page of it to the file, and syncs the file before it uses the log again. So a
// power cut leaves the state after some batch, position and rows together. With synchronous=OFF
// pages could reach the file in any order, and it could claim a position that its rows do not have.
//
// # Damage
//
// [Open] makes the cheap checks: that the file is ours, that its tables are word for word those of
// this program, that it is as long as it says, and that the last entry decodes. A file that fails
// is dropped and begun anew at position zero, and [DB.Dropped] says why. Damage that a read meets
// later is an [ErrDamaged], and [DB.Reset] is the remedy. Only [Differences] from a rebuilt
// database finds the rest: a row that someone has altered.
//
// # Cost
//
// Memory is bounded by the page caches (4 MiB for each of three connections) and
// by the limits of the reads, not by the length of the journal. Statements stay prepared.
package projections
