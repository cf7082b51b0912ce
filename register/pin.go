package register

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/argon2"

	"github.com/posnode/posnode/events"
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

// checkPINs says whether the PINs that a command gives are those of whom it names, before the
// owner sees it: checking takes long on purpose. Online the Retail Server knows them, so that
// who was blocked or got another PIN a moment ago is so here; offline the offline database does.
func (r *Register) checkPINs(ctx context.Context, p *request, c *ledger.Command) error {
	var asked []ledger.Query
	check := func(kind, key, pin string, matches *bool) func(map[ledger.Query]held) {
		q := ledger.Query{Kind: kind, Key: key}
		if key == "" || pin == "" {
			return func(map[ledger.Query]held) {}
		}
		asked = append(asked, q)
		return func(known map[ledger.Query]held) {
			switch of := known[q].record.(type) {
			case ledger.StaffMember:
				*matches = checkPIN(of.PIN, pin)
			case ledger.GiftCard:
				*matches = checkPIN(of.PIN, pin)
			}
		}
	}
	signsOn := check("staff", c.Input.Text("staff"), c.Input.Text("pin"), &c.PINMatches)
	approves := check("staff", c.Input.Text("approver"), c.Input.Text("approver_pin"), &c.ApproverMatches)
	pays := check("giftcard", c.Input.Text("card"), c.Input.Text("card_pin"), &c.CardPINMatches)
	if len(asked) == 0 {
		return nil
	}
	known, err := r.lookPrepared(ctx, p, asked)
	if err == nil {
		signsOn(known)
		approves(known)
		pays(known)
	}
	return err
}

// lookPrepared asks for a command that the owner does not have yet. That a request did
// not succeed is for the owner to record; the offline database has answered then.
func (r *Register) lookPrepared(ctx context.Context, p *request, queries []ledger.Query) (map[ledger.Query]held, error) {
	offline := offlineSource{r.reference}
	store, err := r.settings(ctx)
	if err != nil || r.View().Mode != events.Online {
		return offline.look(ctx, queries...) // without settings the owner says what is missing
	}
	p.online = r.online(timeout(store.Profile))
	known, err := p.online.look(context.WithoutCancel(ctx), queries...)
	p.online.pause()
	if failed, ok := errors.AsType[*lost](err); ok {
		p.failed = failed
		return offline.look(ctx, queries...)
	}
	return known, err
}
