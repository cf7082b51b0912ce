package web

import (
	"crypto/rand"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/danielgtaylor/huma/v2"

	"github.com/posnode/posnode/events"
	"github.com/posnode/posnode/ledger"
)

// sessionCookie holds a session's token for a browser; any other client sends it as a bearer token.
const sessionCookie = "posnode_session"

// maxSessions is the largest number of sessions. It bounds the memory when clients log on again and
// again.
const maxSessions = 100

// sessions holds the tokens that log on (operation 700) returned. They live as long as the process.
// After a restart a cashier signs on again.
type sessions struct {
	mu    sync.Mutex
	staff map[string]events.StaffID
	order []string // oldest first
}

func (s *sessions) begin(staff events.StaffID) (token string) {
	token = rand.Text()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.staff == nil {
		s.staff = map[string]events.StaffID{}
	}
	s.staff[token] = staff
	if s.order = append(s.order, token); len(s.order) > maxSessions {
		delete(s.staff, s.order[0])
		s.order = s.order[1:]
	}
	return token
}

// end deletes every session, because a register has one operator at a time, and that operator has
// signed off.
func (s *sessions) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.staff)
	s.order = nil
}

// of returns the member of staff of a token, "" if there is no such session.
func (s *sessions) of(token string) events.StaffID {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.staff[token]
}

// Session holds the headers that can carry a session's token.
type Session struct {
	Authorization string `header:"Authorization" hidden:"true"`
	Cookie        string `header:"Cookie" hidden:"true"`
}

// securitySchemes are the two ways to send a session's token, as the OpenAPI document names them.
var securitySchemes = map[string]*huma.SecurityScheme{
	"bearer": {Type: "http", Scheme: "bearer", Description: "the token that operation 700 gives"},
	"cookie": {Type: "apiKey", In: "cookie", Name: sessionCookie, Description: "the cookie that operation 700 sets"},
}

// signedOn requires a session, sent in either way.
var signedOn = []map[string][]string{{"bearer": {}}, {"cookie": {}}}

// staffOf returns the member of staff of the client's session, "" without a session.
func (a *registerAPI) staffOf(in Session) events.StaffID {
	return a.sessions.of(token(in.Authorization, in.Cookie))
}

// mayRead returns a problem if the client may not read data that names people. It may with the
// session of the staff member signed on. It may without one if the register was started with
// --local-readers.
func (a *registerAPI) mayRead(in Session) error {
	staff := a.register.View().Staff
	switch {
	case a.localReaders:
		return nil
	case staff == nil || a.staffOf(in) != staff.ID:
		return a.problem(0, &ledger.Refusal{Code: "not_signed_on", Why: "Only whoever is signed on at this register may read this.", Instead: "Sign on, and send the session's token; or start the register with --local-readers."})
	case staff.Locked:
		return a.problem(0, &ledger.Refusal{Code: "register_locked", Why: "The register is locked.", Instead: "Log on again."})
	}
	return nil
}

// showJournal is the operation with the permission to read the entries of other staff.
const showJournal = 115

// mayReadJournal returns a problem if the client may not read the entries of other staff. That
// needs the permission for operation 115.
func (a *registerAPI) mayReadJournal(in Session) error {
	if err := a.mayRead(in); err != nil || a.localReaders {
		return err
	}
	staff := a.register.View().Staff
	if staff != nil && (staff.Rights.Manager || slices.Contains(staff.Rights.Operations, showJournal)) {
		return nil
	}
	return a.problem(0, &ledger.Refusal{Code: "permission_denied", Why: "This is not for whoever is signed on: it takes the permission for operation 115.", Instead: "Use operation 115 with a manager's approval."})
}

// mayReadEntry returns a problem if the client may not read an entry. Staff may read their own
// entries, and all entries with the permission for operation 115.
func (a *registerAPI) mayReadEntry(in Session, e *events.Entry) error {
	if staff := a.staffOf(in); staff != "" && e.Staff == staff {
		return a.mayRead(in)
	}
	return a.mayReadJournal(in)
}

// These are bounds on the number of clients that follow events at once. Each client holds a
// connection and a buffer of entries.
const (
	maxStreams           = 32 // in all
	maxStreamsPerSession = 8  // also for all clients without a session together
)

// streams counts the clients that follow events, by session.
type streams struct {
	mu  sync.Mutex
	all int
	of  map[string]int
}

// enter counts one more client if there is room. The client calls leave at its end.
func (s *streams) enter(session string) (leave func(), ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.of == nil {
		s.of = map[string]int{}
	}
	if s.all >= maxStreams || s.of[session] >= maxStreamsPerSession {
		return nil, false
	}
	s.all++
	s.of[session]++
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.all--
		if s.of[session]--; s.of[session] == 0 {
			delete(s.of, session)
		}
	}, true
}

// token returns the session's token from the headers Authorization and Cookie, "" if there is none.
func token(authorization, cookie string) string {
	if bearer, ok := strings.CutPrefix(authorization, "Bearer "); ok {
		return bearer
	}
	cookies, err := http.ParseCookie(cookie)
	if err != nil {
		return ""
	}
	for _, c := range cookies {
		if c.Name == sessionCookie {
			return c.Value
		}
	}
	return ""
}
