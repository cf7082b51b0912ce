package web

import (
	"context"
	"net"
	"net/http"
	"strings"
	"time"
)

// siteKey is the key of the [site] in the context of a request.
type siteKey struct{}

// handler takes every request. It refuses a request with a Host that is not of this machine, and
// one from another origin. It passes the rest to the routes. A refusal, or a path without a route,
// is answered with a problem too.
type handler struct {
	at    site
	mux   *http.ServeMux
	cross *http.CrossOriginProtection
}

// bodyPatience is the longest time that the body of a request may take to arrive. So a slow client
// does not hold a connection for ever, even if no route reads the body.
var bodyPatience = 30 * time.Second

func newHandler(at site, mux *http.ServeMux) *handler {
	return &handler{at, mux, http.NewCrossOriginProtection()}
}

func (h *handler) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	refuse := func(status int, code, detail, instead string) {
		writeProblem(w, (&Problem{Status: status, Code: code, Detail: detail, Instead: instead}).complete(h.at, nil))
	}
	if req.ContentLength != 0 {
		// The error is ignored, because not every connection has deadlines. A route that takes
		// large bodies sets its own deadline.
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyPatience))
	}
	switch {
	case !local(req.Host):
		// A foreign site can make its own name point to this machine. For the browser its pages and
		// this API are then of the same origin, but the Host header still has the foreign name.
		refuse(http.StatusMisdirectedRequest, "host_not_local", "This address answers by the names of this machine only.", "Use localhost or 127.0.0.1.")
		return
	case h.cross.Check(req) != nil:
		// A page of another origin must not make a browser at the till sell.
		refuse(http.StatusForbidden, "cross_origin", "A page of another origin may not do this.", "")
		return
	}
	req = req.WithContext(context.WithValue(req.Context(), siteKey{}, h.at))
	found, pattern := h.mux.Handler(req)
	if pattern != "" {
		h.mux.ServeHTTP(w, req)
		return
	}
	answer := &heard{header: http.Header{}}
	found.ServeHTTP(answer, req)
	if answer.status == http.StatusMethodNotAllowed {
		allowed := answer.header.Get("Allow")
		w.Header().Set("Allow", allowed)
		refuse(http.StatusMethodNotAllowed, "", req.Method+" is not possible here.", "Use "+allowed+".")
		return
	}
	refuse(http.StatusNotFound, "not_found", "There is nothing at this address.", "See /openapi.json.")
}

// local reports whether a Host header names this machine.
func local(hostport string) bool {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		host = hostport
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	ip := net.ParseIP(host)
	return strings.EqualFold(host, "localhost") || ip != nil && ip.IsLoopback()
}

// heard is a response that is never sent. It records the status and header.
type heard struct {
	header http.Header
	status int
}

func (h *heard) Header() http.Header         { return h.header }
func (h *heard) Write(b []byte) (int, error) { return len(b), nil }
func (h *heard) WriteHeader(status int)      { h.status = status }
