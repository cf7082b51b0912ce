package events

// cardFacts record requests to the card terminal and requests that failed. A request that succeeded
// is recorded as a payment taken, a sale concluded or a payment voided.
var cardFacts = []func() Fact{
	func() Fact { return new(CardRequested) },
	func() Fact { return new(CardDeclined) },
	func() Fact { return new(CardAbandoned) },
}

// The actions of a card terminal.
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
	Command   CommandKey `json:"command"` // the key under which the outcome will be recorded
	Action    string     `json:"action"`  // charge or void
	Reference string     `json:"reference"`
	Payment   Payment    `json:"payment"` // as it will be taken, or as it will be voided
}

func (*CardRequested) Type() string { return "sale.card_requested.v1" }

// CardDeclined says that the terminal refused a request: it did not charge the card, or did not
// void the payment.
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

// CardAbandoned says that a manager gave up a request to a terminal that does not answer (operation
// 211). The shop must ask the acquirer about the outcome, by the reference.
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
