package events

import (
	"fmt"

	"github.com/shopspring/decimal"
)

// Payment is money that changed hands. Amount is the settled amount, positive from the customer.
// Tendered is the amount handed over; both are in the transaction's currency, and tendered - change
// = amount - rounding.
type Payment struct {
	Number   int      `json:"payment"` // in its transaction, from 1
	Tender   TenderID `json:"tender"`
	Amount   Money    `json:"amount"`
	Tendered Money    `json:"tendered"`
	Change   Money    `json:"change,omitempty"` // given back
	// ChangeTender is the tender of the change, where it is not Tender.
	ChangeTender TenderID `json:"change_tender,omitempty"`
	// Rounding is the settled amount beyond the money taken, where small coins do not exist.
	Rounding Money `json:"rounding,omitempty"`
	// Reservation is head office's grant, where the register asked for one.
	Reservation string `json:"reservation,omitempty"`
	// One of these at most: further details of the payment, by its tender.
	Foreign  *Foreign       `json:"foreign,omitempty"`
	Card     *CardApproval  `json:"card,omitempty"`
	Check    string         `json:"check,omitempty"` // number of the check
	Account  *OnAccount     `json:"account,omitempty"`
	GiftCard *KnownGiftCard `json:"gift_card,omitempty"`
	Loyalty  *PointsSpent   `json:"loyalty,omitempty"`
}

// Foreign is the amount handed over in another currency than the transaction's.
type Foreign struct {
	Currency string `json:"currency"` // ISO 4217
	Digits   int    `json:"digits"`   // of its minor unit
	Amount   Money  `json:"amount"`   // in its minor units
	Rate     Rate   `json:"rate"`     // the value of one unit of it in the transaction's currency
}

// Known is a balance that head office keeps, as far as the register knew it.
type Known struct {
	Balance Money  `json:"balance"`         // as replicated
	AsOf    string `json:"as_of,omitempty"` // RFC 3339 in UTC: Balance holds every movement up to then
	// Through names, by epoch, the last entry of this register that Balance contains: head office
	// had received it.
	Through []Place `json:"through,omitempty"`
	Own     Money   `json:"own,omitempty"` // the movements of this register since then
}

// Place is an entry of a register's journals.
type Place struct {
	Epoch    int    `json:"epoch"`
	Sequence uint64 `json:"sequence"`
}

// Available is the balance with the register's own movements.
func (k Known) Available() Money { return k.Balance + k.Own }

// OnAccount is a payment that the customer owes.
type OnAccount struct {
	Customer    CustomerID `json:"customer"`
	CreditLimit Money      `json:"credit_limit"`
	// OfflineLimit is the amount that the offline profile allowed beyond head office's answer; 0
	// where it was online.
	OfflineLimit Money `json:"offline_limit,omitempty"`
	Known              // the debt of the customer
}

// KnownGiftCard is a gift card as the register knew it before it was used.
type KnownGiftCard struct {
	Card CardNumber `json:"card"`
	Known
}

// PointsSpent holds the points that a payment by loyalty card took from the card.
type PointsSpent struct {
	Card   CardNumber `json:"card"`
	Points int64      `json:"points"`
	Value  Rate       `json:"value"` // of one point, in the transaction's currency
	// The known state of the card: its points as replicated, the time of that figure, and the
	// movements of this register since then.
	Known int64  `json:"points_known,omitempty"`
	AsOf  string `json:"points_as_of,omitempty"` // RFC 3339 in UTC
	// Through names the last entry of this register that the points contain, by epoch.
	Through []Place `json:"points_through,omitempty"`
	Own     int64   `json:"points_own,omitempty"`
}

// CardApproval is the answer of the card terminal. It never holds a card number. It keeps the
// scheme and the last four digits, as a receipt may show them, and nothing else.
type CardApproval struct {
	Reference string `json:"reference"` // under which the terminal was asked
	Scheme    string `json:"scheme,omitempty"`
	LastFour  string `json:"last_four,omitempty"`
	Approval  string `json:"approval,omitempty"` // the issuer's code
	Terminal  string `json:"terminal,omitempty"`
	// Recovered says that the terminal's answer was lost, and asked for again.
	Recovered bool `json:"recovered,omitempty"`
}

// Move is the effect of a payment on one tender: money came in, change went out.
type Move struct {
	Tender TenderID
	// Foreign is the currency of Tendered and Change, "" for the transaction's.
	Foreign          string
	Tendered, Change Money
	Value            Money // money in less money out, in the transaction's currency
}

// Kept is the money in less the money out, in the move's currency.
func (m Move) Kept() Money { return m.Tendered - m.Change }

// Drawer names the tender and, where it is not the transaction's, the currency: the name of a part
// that is counted on its own, such as "cash" and "currency:EUR".
func (m Move) Drawer() TenderID {
	if m.Foreign == "" {
		return m.Tender
	}
	return m.Tender + ":" + TenderID(m.Foreign)
}

// Account returns the account to which a move is posted.
func (m Move) Account() string {
	switch m.Tender {
	case "giftcard":
		return "giftcards"
	case "account":
		return "accounts"
	case "loyalty":
		return "loyalty"
	}
	return "tender:" + string(m.Drawer())
}

// Moves returns the effects of the payment: one for the money handed over, and one more for change
// in another tender. Together they are worth amount - rounding.
func (p *Payment) Moves() []Move {
	in := Move{Tender: p.Tender, Tendered: p.Tendered, Value: p.Tendered}
	if p.Foreign != nil {
		in.Foreign, in.Tendered = p.Foreign.Currency, p.Foreign.Amount
	}
	switch {
	case p.Change == 0:
		return []Move{in}
	case p.ChangeTender == "" || p.ChangeTender == p.Tender:
		in.Change, in.Value = p.Change, in.Value-p.Change
		return []Move{in}
	}
	return []Move{in, {Tender: p.ChangeTender, Change: p.Change, Value: -p.Change}}
}

// Rate is the value of one unit of something in units of a currency: an exact decimal. JSON: a
// string.
type Rate struct{ d decimal.Decimal }

// RateDecimals is how many decimals a rate may have.
const RateDecimals = 8

var maxRate = decimal.New(1_000_000_000, 0)

// ParseRate reads an exact decimal of at most 8 decimals, not above 1,000,000,000 and not negative.
func ParseRate(s string) (Rate, error) {
	d, err := parseDecimal(s, RateDecimals, maxRate)
	if err == nil && d.Sign() < 0 {
		err = fmt.Errorf("%s is negative", s)
	}
	return Rate{d}, err
}

// Convert converts m at the rate, from a currency with from digits in its minor unit to one with to
// digits. It rounds once, half away from zero, and fails beyond [MaxMoney].
func (r Rate) Convert(m Money, from, to int) (Money, error) {
	exact := decimal.New(int64(m), int32(to-from)).Mul(r.d).Round(0)
	if exact.Abs().GreaterThan(decimal.New(int64(MaxMoney), 0)) {
		return 0, fmt.Errorf("%s at a rate of %s is beyond the largest amount", m.Decimal(from), r)
	}
	return Money(exact.IntPart()), nil
}

// Sign is 0 or 1.
func (r Rate) Sign() int { return r.d.Sign() }

// Needed is how many whole units are worth at least m, of a currency with that many digits. The rate must not be 0.
func (r Rate) Needed(m Money, digits int) int64 {
	quotient, rest := decimal.New(int64(m), -int32(digits)).QuoRem(r.d, 0)
	if rest.Sign() > 0 {
		return quotient.IntPart() + 1
	}
	return quotient.IntPart()
}

func (r Rate) String() string { return r.d.String() }

// IsZero lets JSON omit an absent value.
func (r Rate) IsZero() bool { return r.d.IsZero() }

// MarshalText writes the one form of the value.
func (r Rate) MarshalText() ([]byte, error) { return []byte(r.d.String()), nil }

// UnmarshalText reads the forms that [ParseRate] accepts.
func (r *Rate) UnmarshalText(b []byte) (err error) {
	*r, err = ParseRate(string(b))
	return err
}
