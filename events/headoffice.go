package events

import "strings"

// Facts of head office's own journal about registers, balances and exceptions, and the messages
// between registers and head office about them.
var headOfficeFacts = []func() Fact{
	func() Fact { return new(ActivationCodeIssued) },
	func() Fact { return new(ActivationRefused) },
	func() Fact { return new(RegisterEnrolled) },
	func() Fact { return new(RegisterKeyConfirmed) },
	func() Fact { return new(RegisterRevoked) },
	func() Fact { return new(ShiftConfirmed) },
	func() Fact { return new(ReservationGranted) },
	func() Fact { return new(ExceptionFound) },
	func() Fact { return new(CustomerMapped) },
}

// ActivationCodeIssued says that head office made a code by which one register can be
// activated once (operation 707). The code itself is not stored anywhere.
type ActivationCodeIssued struct {
	Register string `json:"activates"` // store-register
	Code     Digest `json:"code"`      // SHA-256 of the code
	User     string `json:"user"`      // public key of the credentials that may only ask for this activation
	Expires  string `json:"expires"`   // RFC 3339 in UTC
}

func (*ActivationCodeIssued) Type() string    { return "activation.code_issued.v1" }
func (f *ActivationCodeIssued) About() string { return f.Register }

// ActivationRefused says that a register asked to be activated and was refused. Wrong codes are counted.
type ActivationRefused struct {
	Request  CommandKey `json:"request"`
	Register string     `json:"asked_by"` // store-register
	Code     string     `json:"code"`     // of the refusal
}

func (*ActivationRefused) Type() string    { return "activation.refused.v1" }
func (f *ActivationRefused) About() string { return f.Register }

// RegisterEnrolled says that head office activated a register (operation 707). From then on the
// register signs on with a key of its own, and all earlier credentials of it are revoked.
type RegisterEnrolled struct {
	Request  CommandKey `json:"request"`  // the idempotency key of the operation
	Register string     `json:"enrolled"` // store-register
	Code     Digest     `json:"code"`     // SHA-256 of the code, which is used with it
	User     string     `json:"user"`     // public key by which the register signs on
	Key      string     `json:"key"`      // public key that checks the checkpoints of the epoch
	Epoch    int        `json:"begins"`   // in which the register sells from here on
	Head     Head       `json:"head"`     // the end of the register's journal, as it said
	Frozen   bool       `json:"frozen,omitempty"`
	Numbers  Numbers    `json:"numbers"` // the last ones that head office knows of
}

func (*RegisterEnrolled) Type() string    { return "register.enrolled.v1" }
func (f *RegisterEnrolled) About() string { return f.Register }

// RegisterKeyConfirmed says that an operator has compared the key of a register's epoch with what the
// register shows, where head office did not know that it had let it in: it was put back from a backup.
type RegisterKeyConfirmed struct {
	Of    Register `json:"of"`
	Epoch int      `json:"epoch"`
	Key   string   `json:"key"` // checks the checkpoints of the epoch
	Who   string   `json:"who"` // confirmed it; "" where that is not known
}

func (*RegisterKeyConfirmed) Type() string    { return "register.key_confirmed.v1" }
func (f *RegisterKeyConfirmed) About() string { return f.Of.String() }

// KeyFingerprint is a short form of a register's public key, for two people to compare: 80 bits of its SHA-256 in groups of four digits.
func KeyFingerprint(key string) string {
	digits := Hash([]byte(key)).String()
	groups := make([]string, 5)
	for i := range groups {
		groups[i] = digits[4*i : 4*i+4]
	}
	return strings.Join(groups, "-")
}

// RegisterRevoked says that a register may not link to head office any more: by operation
// 708 at the register, or by an operator of head office.
type RegisterRevoked struct {
	Request  CommandKey `json:"request,omitempty"` // the idempotency key of the operation; absent where head office revoked it
	Register string     `json:"revoked"`           // store-register
	Users    []string   `json:"users"`             // the public keys of activations that are shut out; the one of `posnode hq enroll` is too, by the register's name
	Head     *Head      `json:"head,omitempty"`    // the end of the register's journal, as it said
	Unsent   uint64     `json:"unsent,omitempty"`  // entries that head office had not received then
	Forced   bool       `json:"forced,omitempty"`  // although some were unsent
	Why      string     `json:"why,omitempty"`
}

func (*RegisterRevoked) Type() string    { return "register.revoked.v1" }
func (f *RegisterRevoked) About() string { return f.Register }

// ShiftConfirmed says that head office holds and has verified every entry up to an operation
// on a shift that a register recorded without it.
type ShiftConfirmed struct {
	Register  string  `json:"confirmed"` // store-register
	Shift     ShiftID `json:"shift"`
	Operation int     `json:"by"` // 1053 to 1057
	Head      Head    `json:"head"`
}

func (*ShiftConfirmed) Type() string    { return "shift.confirmed.v1" }
func (f *ShiftConfirmed) About() string { return string(f.Shift) }

// ReservationGranted says that a register may move an amount on a balance that head office
// keeps. It ends when the register's fact arrives that names it, or when its transaction ends without it.
type ReservationGranted struct {
	Reservation
	Balance Money `json:"balance"` // before it: replicated and verified, less the reservations of others
}

func (*ReservationGranted) Type() string    { return "reservation.granted.v1" }
func (f *ReservationGranted) About() string { return f.Kind + " " + f.Key }

// The kinds of reservations at head office.
const (
	ReserveGiftCard = "giftcard" // Amount is taken from the card
	ReserveIssue    = "issue"    // the gift card is issued, once
	ReserveAccount  = "account"  // Amount is owed by the customer, within Limit
	ReserveLoyalty  = "loyalty"  // Amount points are taken from the card
	ReserveOrder    = "order"    // the order is picked up, once
	ReserveReturn   = "return"   // Amount ten-thousandths of a sold line come back; Key is [OriginalLine.Key]
	ReserveRecall   = "recall"   // the suspended transaction is recalled, once; Key is [Suspension.Key]
)

// Reservation is a claim of a transaction on something that head office keeps.
type Reservation struct {
	ID          string        `json:"reservation"` // the idempotency key of the operation
	Register    string        `json:"reserved_by"` // store-register
	Transaction TransactionID `json:"transaction"`
	Payment     int           `json:"payment,omitempty"` // number of the payment, if it is for one
	Line        int           `json:"line,omitempty"`    // number of the line, if it is for one
	Kind        string        `json:"kind"`              // giftcard, issue, account, loyalty, order, return or recall
	Key         string        `json:"key"`               // number of the card, customer or order, the sold line, or the suspension
	Amount      Money         `json:"amount,omitempty"`  // minor units, points, or ten-thousandths of a quantity
	// The balance on which the register decided: the time of head office's figure, the entries of
	// the register that the figure contains, and the movements of the register since then.
	AsOf    string  `json:"as_of,omitempty"`
	Through []Place `json:"through,omitempty"`
	Own     Money   `json:"own,omitempty"`
}

// ExceptionFound says that facts of registers, each right for itself, do not fit together. Nothing
// is dropped or changed for it: it is for people to settle.
type ExceptionFound struct {
	Kind   string          `json:"kind"`             // gift_card_overdrawn, credit_limit_exceeded, points_overdrawn, returned_twice, order_picked_up_twice, gift_card_issued_twice, recalled_twice, customer_conflict
	Key    string          `json:"key"`              // the card, the customer, or the line of the receipt
	Amount Money           `json:"amount,omitempty"` // by how much, in minor units or points
	Facts  []ExceptionFact `json:"facts"`            // the one that came last at the end
	Detail string          `json:"detail,omitempty"` // for a person
}

func (*ExceptionFound) Type() string    { return "exception.found.v1" }
func (f *ExceptionFound) About() string { return f.Kind + " " + f.Key }

// ExceptionFact is one of the facts that do not fit together.
type ExceptionFact struct {
	Register    string        `json:"of"` // store-register
	Epoch       int           `json:"epoch"`
	Sequence    uint64        `json:"sequence"`
	Transaction TransactionID `json:"transaction,omitempty"`
	Time        string        `json:"time"`             // of the entry
	Amount      Money         `json:"amount,omitempty"` // that it moved
}

// CustomerMapped records the final number that head office assigned to a customer with a
// provisional number.
type CustomerMapped struct {
	Provisional CustomerID `json:"provisional"`
	Customer    CustomerID `json:"customer"`
}

func (*CustomerMapped) Type() string    { return "customer.mapped.v1" }
func (f *CustomerMapped) About() string { return string(f.Provisional) }

// DeviceActivated says that head office activated the register (operation 707). Where that began
// a new epoch it is the entry after the epoch's first.
type DeviceActivated struct {
	Asked
	User     string `json:"user"`     // public key by which the register signs on at head office
	Key      string `json:"key"`      // public key that checks the checkpoints of this epoch
	Recorded uint64 `json:"recorded"` // sequence of the entry in head office's own journal
	// Proof is a note that head office signed: it let the register in for this epoch with this key. A head office that was
	// put back from a backup learns the key again from it. Absent where a former version of head office answered.
	Proof string `json:"proof,omitempty"`
}

func (*DeviceActivated) Type() string  { return "device.activated.v2" }
func (*DeviceActivated) About() string { return "device" }

// DeviceInactivated says that head office does not let the register link any more, at its own
// request (operation 708).
type DeviceInactivated struct {
	Asked
	Unsent   uint64 `json:"unsent,omitempty"` // entries that head office had not received then
	Forced   bool   `json:"forced,omitempty"` // although some were unsent
	Recorded uint64 `json:"recorded"`         // sequence of the entry in head office's own journal
}

func (*DeviceInactivated) Type() string  { return "device.inactivated.v1" }
func (*DeviceInactivated) About() string { return "device" }

// Confirmed is embedded in a fact that head office confirms before it is recorded, while the
// register is online.
type Confirmed struct {
	// Confirmation is absent where the offline profile let it be recorded without head office.
	Confirmation *Confirmation `json:"confirmation,omitempty"`
}

// Confirm gives access to the embedded Confirmed.
func (c *Confirmed) Confirm() *Confirmed { return c }

// Confirmable is a fact that head office confirms.
type Confirmable interface {
	Fact
	Confirm() *Confirmed
}

// Confirmation says that head office holds and has verified every entry before the one it stands in.
type Confirmation struct {
	Head       Head   `json:"head"`       // up to which
	Checkpoint string `json:"checkpoint"` // the same, signed by head office: a note of C2SP form
}

// AskConfirm is the question of a register to the service "confirm".
type AskConfirm struct {
	Request      CommandKey `json:"request"`
	Head         Head       `json:"head"`          // up to which the register's journal is to be confirmed
	WithinMillis int        `json:"within_millis"` // how long the register waits for entries on their way
	// Checkpoint is the register's own signed checkpoint of Head, as in [Announcement]. "" from an earlier version.
	Checkpoint string `json:"checkpoint,omitempty"`
}

// NotGranted is a business refusal of head office: an answer, and no failure.
type NotGranted struct {
	Code    string `json:"code"`
	Why     string `json:"why"`
	Instead string `json:"instead,omitempty"`
}

// Answered is head office's answer to a question of one of the kinds below: granted, or refused.
type Answered[T any] struct {
	Refusal *NotGranted `json:"refusal,omitempty"`
	Answer  *T          `json:"answer,omitempty"`
}

// AskActivate is the question of a register to the service "activate".
type AskActivate struct {
	Request CommandKey `json:"request"`
	Code    string     `json:"code"`
	User    string     `json:"user"`     // public key, made at the register
	Key     string     `json:"key"`      // of the present epoch
	NextKey string     `json:"next_key"` // of the next epoch, should one have to begin
	Head    Head       `json:"head"`     // the end of the register's journal
	Frozen  bool       `json:"frozen,omitempty"`
}

// Activation answers AskActivate.
type Activation struct {
	Token    string  `json:"token"` // by which the register signs on with its key
	Epoch    int     `json:"epoch"` // in which it goes on
	Numbers  Numbers `json:"numbers"`
	Recorded uint64  `json:"recorded"`        // sequence in head office's own journal
	Witness  string  `json:"witness"`         // head office's public key, of its marks
	Proof    string  `json:"proof,omitempty"` // see [DeviceActivated]
}

// AskInactivate is the question of a register to the service "inactivate".
type AskInactivate struct {
	Request CommandKey `json:"request"`
	Head    Head       `json:"head"`
	Unsent  uint64     `json:"unsent,omitempty"`
	Forced  bool       `json:"forced,omitempty"`
}

// Inactivation answers AskInactivate.
type Inactivation struct {
	Recorded uint64 `json:"recorded"` // sequence in head office's own journal
}

// Reserved answers a [Reservation], asked of service "reserve".
type Reserved struct {
	Granted   Money `json:"granted"`
	Remaining Money `json:"remaining"`          // after it
	NotKept   bool  `json:"not_kept,omitempty"` // head office keeps nothing of this kind; nothing is reserved, and the register decides on its own records
}
