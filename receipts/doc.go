// Package receipts prints documents as text for a printer of [Width] columns.
//
// A document is a pure function of the stored entry that records it: besides the amounts the fact
// carries the printed text about the shop ([events.Printed]). So a receipt is printed word for word
// the same after ten years, also when the catalogue, the shop's address or the names of its tenders
// have changed. Nothing here asks a clock, a database or a setting.
//
// Each document is one function of paper, listed in printers. A new one is a
// function there, and a golden file in testdata.
package receipts
