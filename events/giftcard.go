package events

// giftCardFacts are about gift cards. Money on a gift card is moved by a line or a payment of a
// sale.
var giftCardFacts = []func() Fact{
	func() Fact { return new(BalanceChecked) },
	func() Fact { return new(GiftCardPINRefused) },
}

// GiftCardLine is the card that a line puts money on.
type GiftCardLine struct {
	KnownGiftCard
	Issued      bool   `json:"issued,omitempty"`      // for the first time, not topped up
	Reservation string `json:"reservation,omitempty"` // head office's grant, where the register asked for one
}

// BalanceChecked says that someone looked up the balance of a gift card (operation 520).
type BalanceChecked struct {
	Asked
	KnownGiftCard
	Available Money  `json:"available"` // balance and own movements together
	Currency  string `json:"currency"`  // ISO 4217
	Blocked   bool   `json:"blocked,omitempty"`
}

func (*BalanceChecked) Type() string    { return "giftcard.balance_checked.v1" }
func (f *BalanceChecked) About() string { return string(f.Card) }

// GiftCardPINRefused is a security fact: someone gave a wrong PIN of a gift card, or any
// after too many wrong ones (operations 214, 520).
type GiftCardPINRefused struct {
	Asked
	Card CardNumber `json:"card"`
	Code string     `json:"code"` // the refusal's
	Failed
	// Guessed is set where this was one try too many at this register, whatever the card.
	Guessed *Guessed `json:"guessed,omitempty"`
}

func (*GiftCardPINRefused) Type() string    { return "giftcard.pin_refused.v1" }
func (f *GiftCardPINRefused) About() string { return string(f.Card) }
