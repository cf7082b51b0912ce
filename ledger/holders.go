package ledger

import "github.com/posnode/posnode/events"

// Customer is someone with an account. Balance is what they owed as of AsOf, in minor units.
type Customer struct {
	ID              events.CustomerID `json:"customer"`
	Name            string            `json:"name"`
	Blocked         bool              `json:"blocked,omitempty"`
	AllowsOnAccount bool              `json:"allows_on_account,omitempty"`
	CreditLimit     events.Money      `json:"credit_limit,omitempty"`
	Balance         events.Money      `json:"balance,omitempty"`
	// AsOf is up to when Balance holds every movement of every register.
	AsOf string `json:"as_of,omitempty"` // RFC 3339 in UTC
}

// LoyaltyCard is one loyalty card and its points.
type LoyaltyCard struct {
	Number  events.CardNumber `json:"number"`
	Points  int64             `json:"points"`
	Blocked bool              `json:"blocked,omitempty"`
	AsOf    string            `json:"as_of,omitempty"` // RFC 3339 in UTC
}

// account is whose account the transaction can be charged to, "" for nobody's.
func (t *Transaction) account() events.CustomerID { return t.Customer }
