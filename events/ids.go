package events

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/oklog/ulid/v2"
)

// StoreID names a store: 1 to 16 of a-z and 0-9. It is a token of every subject.
type StoreID string

// RegisterID names a register within its store: 1 to 16 of a-z and 0-9. It is a token of every subject.
type RegisterID string

// StaffID is the number by which a member of staff signs on.
type StaffID string

// TransactionID is <store>-<register>-<epoch>-<n>: n counts this register's transactions from 1 in its epoch.
type TransactionID string

// ShiftID is <store>-<register>-<epoch>-s<n>: n counts this register's shifts from 1 in its epoch.
type ShiftID string

// ProductID is the retailer's item number.
type ProductID string

// CustomerID is the retailer's customer number, or a provisional one while HQ has not answered.
type CustomerID string

// CardNumber is the number of a gift card or a loyalty card, never of a payment card.
type CardNumber string

// TenderID names a way to pay, such as "cash".
type TenderID string

// ReceiptNumber is the printed number of a document, gapless per register and type.
type ReceiptNumber string

// CommandKey is the client's idempotency key: a ULID in its canonical 26 characters.
type CommandKey string

// Register names one register of one store: the writer of one journal.
type Register struct {
	Store StoreID    `json:"store"`
	ID    RegisterID `json:"register"`
}

// maxToken bounds store and register names, which are tokens of every subject.
const maxToken = 16

// ParseRegister reads "<store>-<register>", the name of a register everywhere
// outside its journal: JetStream domain, server name, checkpoint origin.
func ParseRegister(s string) (Register, error) {
	store, id, ok := strings.Cut(s, "-")
	r := Register{Store: StoreID(store), ID: RegisterID(id)}
	if !ok {
		return Register{}, fmt.Errorf("register %q: want <store>-<register>, such as s001-r01", s)
	}
	return r, r.Validate()
}

// Validate says why r cannot be a register's name, or returns nil.
func (r Register) Validate() error {
	for _, token := range []string{string(r.Store), string(r.ID)} {
		if token == "" || len(token) > maxToken || strings.Trim(token, "abcdefghijklmnopqrstuvwxyz0123456789") != "" {
			return fmt.Errorf("register %q: store and register are 1 to %d of a-z and 0-9 each", r, maxToken)
		}
	}
	return nil
}

// String is "<store>-<register>", such as s001-r01.
func (r Register) String() string { return string(r.Store) + "-" + string(r.ID) }

// Source is the CloudEvents source of the register's entries.
func (r Register) Source() string {
	return "/stores/" + string(r.Store) + "/registers/" + string(r.ID)
}

// EntryNumber is the number under which an entry stands on paper and is found again:
// <store>-<register>-<epoch>-e<sequence>, such as s001-r01-1-e41.
func EntryNumber(r Register, at Head) string {
	return fmt.Sprintf("%s-%d-e%d", r, at.Epoch, at.Sequence)
}

// ParseEntryNumber reads the form that [EntryNumber] writes, and no other. The head has no hash.
func ParseEntryNumber(s string) (r Register, at Head, ok bool) {
	parts := strings.Split(s, "-")
	if len(parts) != 4 || !strings.HasPrefix(parts[3], "e") {
		return r, at, false
	}
	r = Register{StoreID(parts[0]), RegisterID(parts[1])}
	epoch, err := strconv.Atoi(parts[2])
	sequence, wrong := strconv.ParseUint(parts[3][1:], 10, 64)
	at = Head{Epoch: epoch, Sequence: sequence}
	return r, at, err == nil && wrong == nil && epoch > 0 && r.Validate() == nil && EntryNumber(r, at) == s
}

// ParseCommandKey checks that s is a ULID in canonical form.
func ParseCommandKey(s string) (CommandKey, error) {
	id, err := ulid.ParseStrict(s)
	if err != nil || id.String() != s {
		return "", fmt.Errorf("idempotency key %.40q: want a ULID, 26 characters of Crockford's base 32 in upper case", s)
	}
	return CommandKey(s), nil
}
