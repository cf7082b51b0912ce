package ledger

import "github.com/posnode/posnode/events"

// Answer is what a client is told of a command that was carried out. It follows
// from the command's entry alone, so that the same command asked again, after a
// restart or a year, gets the same answer.
type Answer struct {
	Operation   int         `json:"operation"`
	Entries     []EntryRef  `json:"entries"`
	Mode        events.Mode `json:"mode"`
	Transaction *Standing   `json:"transaction,omitempty"`
	Result      events.Fact `json:"result"` // the fact as recorded
	// Repeated says that the command was carried out before. A repeated log on opens no
	// session: its PIN was not looked at, so that nobody can try PINs under an old key.
	Repeated bool `json:"-"`
}

// EntryRef points to an entry of the journal.
type EntryRef struct {
	Sequence uint64        `json:"sequence"`
	ID       string        `json:"id"`
	Type     string        `json:"type"`
	Hash     events.Digest `json:"hash"`
}

// Standing is how a transaction stood after an operation. Its lines are read apart.
type Standing struct {
	ID     events.TransactionID `json:"id"`
	Status string               `json:"status"` // open, suspended, concluded or voided
	events.Totals
	Receipt events.ReceiptNumber `json:"receipt,omitempty"`
}

// AnswerOf is the answer that the entry of a command gives. Where the entry
// records that something was refused, such as a sign-on, it is the *[Refusal].
func AnswerOf(e *events.Entry) (Answer, error) {
	a := Answer{
		Operation: e.Operation,
		Entries:   []EntryRef{{e.Head.Sequence, e.ID, e.Type, e.Head.Hash}},
		Mode:      e.Mode,
		Result:    e.Fact,
	}
	switch f := e.Fact.(type) {
	case *events.SignOnRefused:
		if f.Code == "staff_locked_out" {
			return Answer{}, refuseLockedOut()
		}
		return Answer{}, refuseSignOn()
	case *events.RecountAsked:
		return Answer{}, refuseRecount(f.Tenders)
	case *events.PermissionRefused:
		return Answer{}, &Refusal{Code: f.Code, Why: f.Why, Instead: askManager}
	case *events.CardDeclined:
		return Answer{}, refuseCard(f)
	case *events.NumbersGuessed:
		return Answer{}, refuseGuess(f.Misses)
	case *events.GiftCardPINRefused:
		return Answer{}, refuseCardPIN(f.Code)
	}
	if f, ok := e.Fact.(events.OfTransaction); ok {
		of := f.Sale()
		a.Transaction = &Standing{ID: of.Transaction, Status: "open", Totals: of.After}
	}
	switch f := e.Fact.(type) {
	case *events.SaleConcluded:
		a.Transaction.Status, a.Transaction.Receipt = "concluded", f.Receipt
	case *events.OrderPlaced:
		a.Transaction.Status, a.Transaction.Receipt = "concluded", f.Receipt
	case *events.SaleSuspended:
		a.Transaction.Status = "suspended"
	case *events.SaleVoided:
		a.Transaction.Status, a.Transaction.Receipt = "voided", f.Receipt
	}
	return a, nil
}
