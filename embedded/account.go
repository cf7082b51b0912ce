package embedded

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"
)

// ErrNoKeys says that this instance of head office was not given the fleet's keys.
var ErrNoKeys = errors.New("the keys of the fleet are not in this node's data directory")

// accountsName is the folder in HQ's data directory in which its server keeps the accounts.
const accountsName = "accounts"

const (
	askServers = 3 * time.Second        // all servers answer within this, or do not
	lastServer = 300 * time.Millisecond // after an answer: no other server answers later than this
)

// forEver is the time up to which credentials of a user that is revoked are void, as Unix seconds: the
// year 9999. A time of the day would depend on the clocks of those who signed and those who revoke.
const forEver = 253402300799

// Revoke ends the credentials of a user, such as a register's, whenever they were or will be signed: links that
// use them are cut by the servers at once, and none is let in again. It returns when every server
// that can be reached knows; one that is down learns it from the others when it starts.
func (h *HQNode) Revoke(ctx context.Context, user string) error {
	if h.keys == nil {
		return fmt.Errorf("revoke %s: %w", user, ErrNoKeys)
	}
	if !nkeys.IsValidPublicUserKey(user) {
		return fmt.Errorf("revoke %q: not the public key of a user", user)
	}
	// If we died here, nothing is revoked; whoever asked has no answer and asks again.
	if err := h.join(ctx, revokedMember+user+"."+strconv.FormatInt(forEver, 10)); err != nil {
		return fmt.Errorf("revoke %s: %w", user, err)
	}
	// If we died here, it is in the set, and the next start of any instance pushes it.
	if err := h.PushAccount(ctx); err != nil {
		return fmt.Errorf("revoke %s: %w", user, err)
	}
	return nil
}

// PushAccount makes the servers take over the account of the fleet: the rights of
// registers as this program has them, and all that is revoked. It changes nothing where that is so already.
func (h *HQNode) PushAccount(ctx context.Context) error {
	h.pushing.Lock()
	defer h.pushing.Unlock()
	for range reconcileTries {
		want, err := h.wantedAccount(ctx)
		if err != nil {
			return fmt.Errorf("push account: %w", err)
		}
		have, err := h.account(ctx, want.Subject)
		if err != nil {
			return fmt.Errorf("push account: %w", err)
		}
		if have != nil && sameAccount(have, want) {
			return nil
		}
		if err := h.push(ctx, want, have); err != nil {
			return fmt.Errorf("push account: %w", err)
		}
	}
	return fmt.Errorf("push account: other instances of head office were changing it %d times", reconcileTries)
}

// wantedAccount is the account as it should be.
func (h *HQNode) wantedAccount(ctx context.Context) (*jwt.AccountClaims, error) {
	c, err := h.keys.fleetClaims()
	if err != nil {
		return nil, err
	}
	members, err := h.members(ctx, revokedMember)
	if err != nil {
		return nil, err
	}
	for _, m := range members {
		if user, until, err := memberRevoked(m); err == nil { // else Malformed names it
			c.RevokeAt(user, until)
		}
	}
	return c, nil
}

// account is the account as a server has it, nil where it has none.
func (h *HQNode) account(ctx context.Context, public string) (*jwt.AccountClaims, error) {
	ctx, cancel := context.WithTimeout(ctx, askServers)
	defer cancel()
	msg, err := h.system.RequestWithContext(ctx, "$SYS.REQ.ACCOUNT."+public+".CLAIMS.LOOKUP", nil)
	if err != nil {
		return nil, fmt.Errorf("ask for the account: %w", err)
	}
	if len(msg.Data) == 0 {
		return nil, nil
	}
	return jwt.DecodeAccountClaims(string(msg.Data))
}

// sameAccount says whether two claims differ in no more than who signed them when.
func sameAccount(a, b *jwt.AccountClaims) bool {
	scope := func(c *jwt.AccountClaims) string {
		data, err := json.Marshal([]any{c.SigningKeys, c.Exports}) // an error leaves them different, so that they are pushed
		return fmt.Sprint(string(data), err, c.Limits.JetStreamLimits, c.Name)
	}
	return scope(a) == scope(b) && maps.Equal(a.Revocations, b.Revocations)
}

// push signs the claims and gives them to all servers.
func (h *HQNode) push(ctx context.Context, want, have *jwt.AccountClaims) error {
	// Of two claims that were signed in the same second no server knows which is newer.
	for have != nil && time.Now().Unix() <= have.IssuedAt {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Until(time.Unix(have.IssuedAt+1, 0))):
		}
	}
	token, err := want.Encode(h.keys.operator)
	if err != nil {
		return err
	}
	answers, err := h.gather(ctx, "$SYS.REQ.CLAIMS.UPDATE", []byte(token))
	if err != nil {
		return err
	}
	for _, a := range answers {
		var response server.ServerAPIClaimUpdateResponse
		if err := json.Unmarshal(a, &response); err != nil {
			return fmt.Errorf("answer to the account: %w", err)
		}
		if response.Error != nil {
			return fmt.Errorf("a server refuses the account: %s", response.Error.Description)
		}
	}
	return nil
}

// askServers puts a question about themselves to all servers and returns what each says.
func (h *HQNode) askServers(ctx context.Context, what string) (answers []json.RawMessage, err error) {
	if h.system == nil {
		return nil, nil
	}
	all, err := h.gather(ctx, "$SYS.REQ.SERVER.PING."+what, nil)
	if err != nil {
		return nil, err
	}
	for _, a := range all {
		var response struct {
			Data  json.RawMessage  `json:"data"`
			Error *server.ApiError `json:"error"`
		}
		if err := json.Unmarshal(a, &response); err != nil {
			return nil, fmt.Errorf("ask the servers for %s: %w", what, err)
		}
		if response.Error != nil {
			return nil, fmt.Errorf("ask the servers for %s: %w", what, response.Error)
		}
		answers = append(answers, response.Data)
	}
	return answers, nil
}

// gather collects the answers of all servers to one question: one where this node has its own.
func (h *HQNode) gather(ctx context.Context, subject string, question []byte) (answers [][]byte, err error) {
	ctx, cancel := context.WithTimeout(ctx, askServers)
	defer cancel()
	inbox := h.system.NewInbox()
	sub, err := h.system.SubscribeSync(inbox)
	if err != nil {
		return nil, err
	}
	defer func() { _ = sub.Unsubscribe() }()
	if err := h.system.PublishRequest(subject, inbox, question); err != nil {
		return nil, err
	}
	first, err := sub.NextMsgWithContext(ctx)
	if err != nil {
		return nil, fmt.Errorf("no server answers %s: %w", subject, err)
	}
	answers = append(answers, first.Data)
	for h.server == nil {
		msg, err := sub.NextMsg(lastServer)
		if errors.Is(err, nats.ErrTimeout) {
			break
		}
		if err != nil {
			return nil, err
		}
		answers = append(answers, msg.Data)
	}
	return answers, nil
}
