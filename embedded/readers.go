package embedded

import (
	"errors"
	"fmt"
	"regexp"

	"github.com/nats-io/jwt/v2"
)

// Readers are programs that consume HQ's streams. They are in an account of their own,
// for in the registers' account no right to ask for anything would be harmless: who may ask
// chooses where the answer goes, and who may create a consumer where it delivers, without
// any permission for that subject. A reader could have entries delivered
// to HQ itself as if a register had sent them. From another account nothing
// arrives but the question, and nothing leaves but the answer.
//
// They read by direct get, which leaves nothing behind at HQ: no consumer, no
// position, nothing to clean up after a reader that never comes back.

// readerSubjects are all that a reader may ask: a batch of entries of one of HQ's streams.
func readerSubjects() []string {
	var all []string
	for _, shard := range append(shardNames(), Repairs) {
		all = append(all, "$JS.API.DIRECT.GET."+shard)
	}
	return all
}

// readerExports are what the registers' account answers to readers'.
func readerExports() jwt.Exports {
	var all jwt.Exports
	for _, subject := range readerSubjects() {
		// A stream of responses: a batch is many answers to one question.
		all.Add(&jwt.Export{Name: subject, Subject: jwt.Subject(subject), Type: jwt.Service, ResponseType: jwt.ResponseTypeStream})
	}
	return all
}

// readersClaims is the readers' account: without JetStream of its own.
func (k *fleetKeys) readersClaims() (*jwt.AccountClaims, error) {
	public, err := k.readers.PublicKey()
	if err != nil {
		return nil, err
	}
	fleet, err := k.fleet.PublicKey()
	if err != nil {
		return nil, err
	}
	reader, err := k.reader.PublicKey()
	if err != nil {
		return nil, err
	}
	c := jwt.NewAccountClaims(public)
	c.Name = "READERS"
	for _, subject := range readerSubjects() {
		c.Imports.Add(&jwt.Import{Name: subject, Subject: jwt.Subject(subject), Account: fleet, Type: jwt.Service})
	}
	c.SigningKeys.AddScopedSigner(readerScope(reader))
	return c, nil
}

// readerScope is all that a reader may do: ask, and hear the answers in its own inbox.
func readerScope(reader string) *jwt.UserScope {
	scope := jwt.NewUserScope()
	scope.Key = reader
	scope.Role = "reader"
	scope.Template.AllowedConnectionTypes = jwt.StringList{jwt.ConnectionTypeStandard, jwt.ConnectionTypeWebsocket}
	scope.Template.Pub.Allow = readerSubjects()
	scope.Template.Sub.Allow.Add("_INBOX.{{name()}}.>")
	return scope
}

// readerName is one token of a subject.
var readerName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,31}$`)

// EnrollReader makes credentials by which a program may read the journals at the
// head office whose data directory this is, running or not, and do nothing else.
// The name is 1 to 32 of a-z, 0-9 and "-"; its inbox is _INBOX.<name>.
func EnrollReader(dir, name string) (creds []byte, err error) {
	if !readerName.MatchString(name) {
		return nil, fmt.Errorf("enroll reader %.40q: a name is 1 to 32 of a-z, 0-9 and -", name)
	}
	keys, err := readKeys(dir)
	if err != nil {
		return nil, fmt.Errorf("enroll reader %s: %w", name, err)
	}
	if keys.reader == nil {
		return nil, fmt.Errorf("enroll reader %s: %w", name, errors.New("head office has no key for readers yet: it makes one when it starts"))
	}
	token, seed, err := user(name, keys.readers, keys.reader, func(c *jwt.UserClaims) { c.SetScoped(true) })
	if err != nil {
		return nil, fmt.Errorf("enroll reader %s: %w", name, err)
	}
	return jwt.FormatUserConfig(token, seed)
}
