package embedded

import (
	"errors"
	"fmt"
	"regexp"

	"github.com/nats-io/jwt/v2"
)

// Readers are programs that consume HQ's streams. They are in an account of their own, because in
// the registers' account every right to ask would do harm. An asker chooses the subject of the
// answer, and the creator of a consumer chooses the subject of delivery, without any permission for
// that subject. So a reader could have entries delivered to HQ itself as if a register had sent
// them. From another account only the question arrives, and only the answer leaves.
//
// They read by direct get, which leaves nothing behind at HQ. There is no consumer, no position,
// and nothing to clean up after a reader that never comes back.

// readerSubjects returns all subjects that a reader may ask: each asks for a batch of entries of
// one of HQ's streams.
func readerSubjects() []string {
	var all []string
	for _, shard := range append(shardNames(), Repairs) {
		all = append(all, "$JS.API.DIRECT.GET."+shard)
	}
	return all
}

// readerExports returns the services that the registers' account offers to the readers' account.
func readerExports() jwt.Exports {
	var all jwt.Exports
	for _, subject := range readerSubjects() {
		// The response type is a stream, because a batch is many answers to one question.
		all.Add(&jwt.Export{Name: subject, Subject: jwt.Subject(subject), Type: jwt.Service, ResponseType: jwt.ResponseTypeStream})
	}
	return all
}

// readersClaims returns the claims of the readers' account. It has no JetStream of its own.
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

// readerScope returns all rights of a reader: to ask, and to hear the answers in its own inbox.
func readerScope(reader string) *jwt.UserScope {
	scope := jwt.NewUserScope()
	scope.Key = reader
	scope.Role = "reader"
	scope.Template.AllowedConnectionTypes = jwt.StringList{jwt.ConnectionTypeStandard, jwt.ConnectionTypeWebsocket}
	scope.Template.Pub.Allow = readerSubjects()
	scope.Template.Sub.Allow.Add("_INBOX.{{name()}}.>")
	return scope
}

// readerName matches the name of a reader, which is one token of a subject.
var readerName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,31}$`)

// EnrollReader makes credentials with which a program may read the journals at head office, and do
// nothing else. dir is head office's data directory; head office need not run. The name is 1 to 32
// of a-z, 0-9 and "-"; its inbox is _INBOX.<name>.
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
