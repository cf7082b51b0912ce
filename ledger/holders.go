package ledger

import "github.com/posnode/posnode/events"

// account is whose account the transaction can be charged to: its customer's, or
// the one that pays the customer's invoices; "" for nobody's.
func (t *Transaction) account() events.CustomerID {
	switch {
	case t.Customer == nil:
		return ""
	case t.Customer.InvoiceAccount != "":
		return t.Customer.InvoiceAccount
	}
	return t.Customer.Customer
}
