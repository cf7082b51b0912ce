package ledger

import (
	"github.com/posnode/posnode/events"
)

func giftCardOperations() []*Operation {
	params := []Parameter{
		{Name: "card", Kind: KindText, Required: true, Max: 40, Doc: "number of the gift card"},
		{Name: "amount", Kind: KindAmount, Required: true, Doc: "to put on it, in minor units, above 0"},
	}
	return []*Operation{
		{ID: 512, Name: "Issue gift card", Group: "gift cards", Offline: Bounded, begins: true, Gates: Gates{Shift: true}, Params: params,
			asks: askGiftCard, decide: func(d *deciding) (events.Requested, error) { return addToGiftCard(d, true) }},
		{ID: 519, Name: "Add to gift card", Group: "gift cards", Offline: Bounded, begins: true, Gates: Gates{Shift: true}, Params: params,
			asks: askGiftCard, decide: func(d *deciding) (events.Requested, error) { return addToGiftCard(d, false) }},
		{ID: 520, Name: "Gift card balance", Group: "gift cards", Offline: Bounded, Gates: Gates{Shift: true}, Params: []Parameter{params[0], cardPINParam},
			asks: askGiftCard, decide: checkBalance},
	}
}

var cardPINParam = Parameter{Name: "card_pin", Kind: KindText, Max: 40, Secret: true, Doc: "the card's PIN, where it has one"}

func askGiftCard(_ *State, in values) []Query { return []Query{{"giftcard", in.text("card")}} }

// giftCard is the card that the command names, with what this register has moved on it
// since HQ counted. It is known if HQ's copy has it, or if it was issued here.
func (d *deciding) giftCard() (card GiftCard, known events.KnownGiftCard, found bool) {
	number := events.CardNumber(d.in.text("card"))
	card, found = find[GiftCard](d.Reference, "giftcard", string(number))
	key := giftCardKey(number)
	figure := card.Figure()
	if d.Moved.issued(key) && (!found || card.Blank) {
		// HQ has not heard of it yet, whenever it said so: nothing of what this register put on it is in the balance.
		card = GiftCard{Balance: card.Balance, Currency: d.Reference.Store.Currency, Blocked: card.Blocked, AsOf: card.AsOf}
		figure, found = Figure{}, true
	}
	card.Number = number
	known = events.KnownGiftCard{Card: number, Known: d.known(key, card.Balance, figure)}
	known.AsOf = card.AsOf
	return card, known, found
}

// usable says whether amount may be moved on a card: in the transaction's currency, not
// blocked, once in a transaction, and while offline within the profile's limits.
func (d *deciding) usable(t *Transaction, card GiftCard, amount events.Money) error {
	switch {
	case card.Blocked:
		return refuse("gift_card_blocked", "The gift card is blocked.")
	case card.Currency != t.Terms.Currency:
		return refuse("gift_card_currency", "The gift card holds %s.", card.Currency)
	}
	total := abs(amount)
	for used, moved := range t.giftCards() {
		if used == card.Number {
			return refuse("gift_card_used", "The transaction has the gift card already.").instead("Void that line or payment first.")
		}
		total += abs(moved)
	}
	if d.Mode == events.Online {
		return nil
	}
	profile := d.Reference.Store.Profile
	_, gross := d.movedSince(giftCardKey(card.Number), card.Figure())
	for _, limit := range []struct {
		what      string
		most, now events.Money
	}{
		{"one gift card", profile.GiftCardPerCard, abs(amount) + gross},
		{"gift cards in one transaction", profile.GiftCardPerTransaction, total},
		{"gift cards since the register was last online", profile.GiftCardInAll, total + d.Moved.Offline},
	} {
		if limit.now > limit.most {
			return needsHQ("more than %s on %s", limit.most.Decimal(t.Terms.Digits), limit.what).instead(payOtherwise)
		}
	}
	if d.tooOld(card.AsOf) {
		return needsHQ("a gift card whose balance of %s is too old", card.AsOf).instead(payOtherwise)
	}
	if d.forgot(card.Figure()) {
		return needsHQ("a gift card while so many others wait to be counted").instead(payOtherwise)
	}
	return nil
}

// giftCards yields the gift cards on a transaction, each with what is moved on it.
func (t *Transaction) giftCards() func(yield func(events.CardNumber, events.Money) bool) {
	return func(yield func(events.CardNumber, events.Money) bool) {
		for _, line := range t.Lines {
			if line.GiftCard != nil && !line.Voided && !yield(line.GiftCard.Card, line.Gross) {
				return
			}
		}
		for _, p := range t.Payments {
			if p.GiftCard != nil && !p.Voided && !yield(p.GiftCard.Card, p.Amount) {
				return
			}
		}
	}
}

// addToGiftCard sells money on a card: a new one, or one that is topped up (operations 512, 519).
func addToGiftCard(d *deciding, issue bool) (events.Requested, error) {
	t, begins := d.cart()
	amount := d.in.amount("amount")
	card, known, found := d.giftCard()
	exists := found && !card.Blank
	switch {
	case amount <= 0:
		return nil, refuseParameter("amount", "must be above 0")
	case !found && holdsCardNumber(d.in.text("card")):
		return nil, NoCardNumber("card", d.in.text("card"))
	case len(t.Lines) >= MaxLines:
		return nil, tooManyLines()
	case issue && exists:
		return nil, refuse("gift_card_exists", "The gift card has been issued already.").instead("Add to it.").miss()
	case !found && (!issue || d.Mode == events.Offline), !issue && !exists:
		return nil, d.unknownGiftCard(found)
	}
	if !found {
		card.Currency = t.Terms.Currency
	}
	if err := d.usable(t, card, amount); err != nil {
		return nil, err
	}
	price, err := events.ParsePrice(amount.Decimal(t.Terms.Digits))
	if err != nil {
		return nil, refuse("amount_too_large", "The line comes to more than a till can hold: %v.", err)
	}
	line := &Line{Line: events.Line{
		Number: len(t.Lines) + 1, Product: "GIFTCARD", Description: "Gift card", Quantity: events.NewQuantity(1), Price: price, Gross: amount,
		NotDiscountable: true, GiftCard: &events.GiftCardLine{KnownGiftCard: known, Issued: issue},
	}}
	of, err := d.relined(t, begins, line)
	return &events.LineAdded{OfSale: of, Line: line.Line}, err
}

// unknownGiftCard: offline HQ may still know the card; online it has said that it does not.
func (d *deciding) unknownGiftCard(blank bool) error {
	switch {
	case blank:
		return refuse("unknown_gift_card", "The gift card has not been issued yet.").miss()
	case d.Mode == events.Offline:
		return needsHQ("gift card %s", d.in.text("card")).instead(payOtherwise).miss()
	}
	return refuse("unknown_gift_card", "There is no gift card %s.", d.in.text("card")).miss()
}

// payGiftCard takes a payment from a gift card's balance, or refunds to it (operation 214).
func payGiftCard(d *deciding) (events.Requested, error) {
	p, err := d.payment("giftcard", d.given())
	if err != nil {
		return nil, err
	}
	card, known, found := d.giftCard()
	if !found || card.Blank {
		return nil, d.unknownGiftCard(found)
	}
	if err := d.usable(d.Transaction, card, p.Amount); err != nil {
		return nil, err
	}
	if known.Available() < p.Amount {
		return nil, refuse("gift_card_balance", "The gift card holds %s.", known.Available().Decimal(d.Transaction.Terms.Digits)).instead("Take that much from it.")
	}
	if refused, err := d.cardPIN(card); refused != nil || err != nil {
		return refused, err
	}
	p.GiftCard = &known
	return d.take(p)
}

// checkBalance records that someone looked at a gift card's balance, and what it was (operation 520).
func checkBalance(d *deciding) (events.Requested, error) {
	card, known, found := d.giftCard()
	if !found || card.Blank {
		return nil, d.unknownGiftCard(found)
	}
	if refused, err := d.cardPIN(card); refused != nil || err != nil {
		return refused, err
	}
	return &events.BalanceChecked{KnownGiftCard: known, Available: known.Available(), Currency: card.Currency, Blocked: card.Blocked}, nil
}

// notGiftCard: a gift card's line is what it was when it was added, or is voided for good.
func notGiftCard(line *Line) error {
	if line.GiftCard == nil {
		return nil
	}
	return refuse("gift_card_line", "Line %d is a gift card.", line.Number).instead("Void it, and add the card again.")
}

// cardPIN asks for the PIN of a card that has one.
func (d *deciding) cardPIN(card GiftCard) (events.Requested, error) {
	before := d.CardFailures[card.Number]
	switch {
	case card.PIN == "":
		return nil, nil
	case before.LockedUntil > d.At:
		return nil, refuseCardPIN("gift_card_locked_out")
	case !d.in.has("card_pin"):
		return nil, refuse("gift_card_pin_required", "The gift card has a PIN.").instead("Ask the customer for it.")
	case !d.CardPINMatches:
		const wrong = "gift_card_pin_wrong"
		failed, entry := d.failed(before, d.Untold[Pays])
		if !entry {
			return nil, refuseCardPIN(wrong).miss()
		}
		return &events.GiftCardPINRefused{Card: card.Number, Code: wrong, Failed: failed, Guessed: d.oneTooMany()}, nil
	}
	return nil, nil
}

// refuseCardPIN is the refusal with a code for a wrong PIN of a gift card.
func refuseCardPIN(code string) *Refusal {
	if code == "gift_card_locked_out" {
		return refuse("gift_card_locked_out", "There were too many wrong PINs of the gift card.").instead("Take another way to pay, or wait a few minutes.")
	}
	return refuse("gift_card_pin_wrong", "The PIN of the gift card is wrong.").instead("Ask the customer again.")
}

// countCardPIN keeps the wrong PINs of a card until the right one is given.
func (s *State) countCardPIN(fact events.Fact) {
	var payments []events.Payment
	switch f := fact.(type) {
	case *events.GiftCardPINRefused:
		countFailure(&s.CardFailures, f.Card, f.Failed)
	case *events.BalanceChecked:
		delete(s.CardFailures, f.Card)
	case *events.PaymentTaken:
		payments = []events.Payment{f.Payment}
	case *events.SaleConcluded:
		payments = f.Payments
	case *events.OrderPlaced:
		payments = f.Payments
	}
	for _, p := range payments {
		if p.GiftCard != nil {
			delete(s.CardFailures, p.GiftCard.Card)
		}
	}
}
