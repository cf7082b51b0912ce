package register

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"strings"

	"golang.org/x/crypto/argon2"

	"github.com/posnode/posnode/ledger"
)

// Cost of a PIN's hash: the smallest that OWASP recommends for argon2id, for a
// till checks it while a cashier waits.
const (
	pinMemory  = 19 * 1024 // KiB
	pinPasses  = 2
	pinThreads = 1
	pinKeySize = 32
)

// HashPIN is the form in which a PIN stands in the reference data: argon2id in PHC string format.
func HashPIN(pin string) string {
	salt := []byte(rand.Text())[:16]
	key := argon2.IDKey([]byte(pin), salt, pinPasses, pinMemory, pinThreads, pinKeySize)
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, pinMemory, pinPasses, pinThreads,
		base64.RawStdEncoding.EncodeToString(salt), base64.RawStdEncoding.EncodeToString(key))
}

// checkPIN says whether pin is the one that was hashed. A hash that cannot be read matches nothing.
func checkPIN(hash, pin string) bool {
	var version, memory, passes, threads uint32
	fields := strings.Split(hash, "$")
	if len(fields) != 6 || fields[1] != "argon2id" {
		return false
	}
	if _, err := fmt.Sscanf(fields[2]+" "+fields[3], "v=%d m=%d,t=%d,p=%d", &version, &memory, &passes, &threads); err != nil {
		return false
	}
	salt, err := base64.RawStdEncoding.DecodeString(fields[4])
	if err != nil || version != argon2.Version || memory > 1<<20 || passes < 1 || passes > 100 || threads < 1 || threads > 255 {
		return false
	}
	want, err := base64.RawStdEncoding.DecodeString(fields[5])
	if err != nil || len(want) == 0 {
		return false
	}
	got := argon2.IDKey([]byte(pin), salt, passes, memory, uint8(threads), uint32(len(want)))
	return subtle.ConstantTimeCompare(got, want) == 1
}

// pinMatches says whether pin is the staff member's, before the owner sees the
// command: checking takes long on purpose.
func (r *Register) pinMatches(ctx context.Context, staff, pin string) (bool, error) {
	if staff == "" || pin == "" {
		return false, nil
	}
	record, found, err := r.reference.Find(ctx, ledger.Query{Kind: "staff", Key: staff})
	if err != nil || !found {
		return false, err
	}
	return checkPIN(record.(ledger.StaffMember).PIN, pin), nil
}

// cardPINMatches says whether pin is the gift card's, before the owner sees the command.
func (r *Register) cardPINMatches(ctx context.Context, card, pin string) (bool, error) {
	if card == "" || pin == "" {
		return false, nil
	}
	record, found, err := r.reference.Find(ctx, ledger.Query{Kind: "giftcard", Key: card})
	if err != nil || !found {
		return false, err
	}
	return checkPIN(record.(ledger.GiftCard).PIN, pin), nil
}
