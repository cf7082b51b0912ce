package web

import (
	"crypto/rand"
	"net/http"
	"strings"
	"sync"

	"github.com/danielgtaylor/huma/v2"

	"github.com/posnode/posnode/events"
)

// sessionCookie holds a session's token for a browser; any other client sends it as a bearer token.
const sessionCookie = "posnode_session"

// maxSessions bounds what clients that log on again and again can pile up.
const maxSessions = 100

// sessions are the tokens that log on (operation 700) gave out. They live as
// long as the process: after a restart a cashier signs on again.
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

// end forgets every session: the register has one operator, and they have signed off.
func (s *sessions) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.staff)
	s.order = nil
}

// of is whose session the token is, "" for nobody's.
func (s *sessions) of(token string) events.StaffID {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.staff[token]
}

// Session are the headers by which a client shows that it has one.
type Session struct {
	Authorization string `header:"Authorization" hidden:"true"`
	Cookie        string `header:"Cookie" hidden:"true"`
}

// securitySchemes are the two ways in which a client shows its session, as the OpenAPI document names them.
var securitySchemes = map[string]*huma.SecurityScheme{
	"bearer": {Type: "http", Scheme: "bearer", Description: "the token that operation 700 gives"},
	"cookie": {Type: "apiKey", In: "cookie", Name: sessionCookie, Description: "the cookie that operation 700 sets"},
}

// signedOn asks for a session in either way.
var signedOn = []map[string][]string{{"bearer": {}}, {"cookie": {}}}

// staffOf is who the client's session belongs to, "" for nobody.
func (a *registerAPI) staffOf(in Session) events.StaffID {
	return a.sessions.of(token(in.Authorization, in.Cookie))
}

// token finds a session's token in the headers Authorization and Cookie.
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
