// Package receipts prints documents as text for a printer of [Width] columns.
//
// A document is a pure function of the stored entry that records it: the fact
// carries what its paper says of the shop ([events.Printed]) besides the amounts, so
// that a receipt is printed word for word the same after ten years, whatever
// the catalogue, the shop's address or its tenders are called by then. Nothing here asks
// a clock, a database or a setting.
//
// Each document is one function of paper, listed in printers. A new one is a
// function there, and a golden file in testdata.
package receipts
