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

// ErrNoKeys means that this instance of head office does not have the fleet's keys.
var ErrNoKeys = errors.New("the keys of the fleet are not in this node's data directory")

// accountsName is the folder in HQ's data directory that holds its server's accounts.
const accountsName = "accounts"

const (
	askServers = 3 * time.Second        // the answers of all servers are awaited this long
	lastServer = 300 * time.Millisecond // after each answer: the next server answers within this
)

// forEver is the time up to which the credentials of a revoked user are void, as Unix seconds: the
// year 9999. The present time would not do, because the clocks of the signer and of the revoker may
// differ.
const forEver = 253402300799

// Revoke ends the credentials of a user, such as a register's, whenever they were or will be
// signed. The servers cut the links that use them at once, and let none in again. Revoke returns
// when every server that can be reached knows. A server that is down learns it from the others when
// it starts.
func (h *HQNode) Revoke(ctx context.Context, user string) error {
	if h.keys == nil {
		return fmt.Errorf("revoke %s: %w", user, ErrNoKeys)
	}
	if !nkeys.IsValidPublicUserKey(user) {
		return fmt.Errorf("revoke %q: not the public key of a user", user)
	}
	// If we died here, nothing is revoked. The caller has no answer and asks again.
	if err := h.join(ctx, revokedMember+user+"."+strconv.FormatInt(forEver, 10)); err != nil {
		return fmt.Errorf("revoke %s: %w", user, err)
	}
	// If we died here, the revocation is in the set, and the next start of any instance pushes it.
	if err := h.PushAccount(ctx); err != nil {
		return fmt.Errorf("revoke %s: %w", user, err)
	}
	return nil
}

// PushAccount gives the servers the account of the fleet: this program's rights of registers, and
// all revocations. It changes nothing if the servers have that already.
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

// wantedAccount returns the account that the servers should have.
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

// account returns the account that a server has, or nil if it has none.
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

// sameAccount reports whether two claims agree in everything but their signer and the time of
// signing.
func sameAccount(a, b *jwt.AccountClaims) bool {
	scope := func(c *jwt.AccountClaims) string {
		data, err := json.Marshal([]any{c.SigningKeys, c.Exports}) // an error makes them different, so that they are pushed
		return fmt.Sprint(string(data), err, c.Limits.JetStreamLimits, c.Name)
	}
	return scope(a) == scope(b) && maps.Equal(a.Revocations, b.Revocations)
}

// push signs the claims and sends them to all servers.
func (h *HQNode) push(ctx context.Context, want, have *jwt.AccountClaims) error {
	// A server cannot tell which of two claims is newer if both were signed in the same second.
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

// askServers asks all servers a question about themselves and returns their answers.
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

// gather collects the answers of all servers to one question. A node with a server of its own gets
// one answer.
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
