package events

// cardFacts are about the card terminal: what it was asked, and what did not come of it.
// What did is a payment taken, a sale concluded or a payment voided.
var cardFacts = []func() Fact{
	func() Fact { return new(CardRequested) },
	func() Fact { return new(CardDeclined) },
	func() Fact { return new(CardAbandoned) },
}

// What a card terminal can be asked for.
const (
	ChargeCard = "charge" // or refund, with a negative amount
	VoidCard   = "void"
)

// CardRequested says that the card terminal is about to be asked (operations 201, 211). It is
// recorded before the terminal hears of it, so that an answer that is lost is known to
// be missing. The entry that records the outcome is the one that answers the command.
type CardRequested struct {
	Asked
	OfSale
	Command   CommandKey `json:"command"` // what the outcome will be recorded under
	Action    string     `json:"action"`  // charge or void
	Reference string     `json:"reference"`
	Payment   Payment    `json:"payment"` // as it will be taken, or as it will be voided
}

func (*CardRequested) Type() string { return "sale.card_requested.v1" }

// CardDeclined says that the terminal did not do what it was asked: the card was not charged, or not voided.
type CardDeclined struct {
	Asked
	OfSale
	Reference string `json:"reference"`
	Action    string `json:"action"`
	// Response is the terminal's code for why; "not_received" where it knows of no such request.
	Response string `json:"response,omitempty"`
	// Recovered says that the terminal's answer was lost, and asked for again.
	Recovered bool `json:"recovered,omitempty"`
}

func (*CardDeclined) Type() string { return "sale.card_declined.v1" }

// CardAbandoned says that a manager gave up asking a terminal that does not answer (operation 211).
// What became of the request is to be settled with the acquirer, by its reference.
type CardAbandoned struct {
	Asked
	OfSale
	Reference string `json:"reference"`
	Action    string `json:"action"`
	Amount    Money  `json:"amount"`
	// Command and CommandInput are those of the request that is given up: sent again, it must not charge again.
	Command      CommandKey `json:"command"`
	CommandInput string     `json:"command_input"`
}

func (*CardAbandoned) Type() string { return "sale.card_abandoned.v1" }
