package web

import (
	"context"
	"net"
	"net/http"
	"strings"
	"time"
)

// siteKey finds the site that a request is at, in its context.
type siteKey struct{}

// handler is the way of every request: from this machine, of this origin, to a
// route. Whatever is not is answered with a problem too.
type handler struct {
	at    site
	mux   *http.ServeMux
	cross *http.CrossOriginProtection
}

// bodyPatience is how long a request's body may take to arrive: whoever sends it slowly does not hold
// a connection for ever, also where nothing reads the body.
var bodyPatience = 30 * time.Second

func newHandler(at site, mux *http.ServeMux) *handler {
	return &handler{at, mux, http.NewCrossOriginProtection()}
}

func (h *handler) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	refuse := func(status int, code, detail, instead string) {
		writeProblem(w, (&Problem{Status: status, Code: code, Detail: detail, Instead: instead}).complete(h.at, nil))
	}
	if req.ContentLength != 0 {
		// Not every connection has a deadline. A route that takes large bodies sets its own.
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyPatience))
	}
	switch {
	case !local(req.Host):
		// A page elsewhere whose name was made to point here would be of this machine's
		// origin to the browser, but not by its name.
		refuse(http.StatusMisdirectedRequest, "host_not_local", "This address answers by the names of this machine only.", "Use localhost or 127.0.0.1.")
		return
	case h.cross.Check(req) != nil:
		// A browser at the till must not be made to sell by the page of another origin.
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

// local says whether a Host header names this machine.
func local(hostport string) bool {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		host = hostport
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	ip := net.ParseIP(host)
	return strings.EqualFold(host, "localhost") || ip != nil && ip.IsLoopback()
}

// heard is an answer that nobody sees: only its status and header are of interest.
type heard struct {
	header http.Header
	status int
}

func (h *heard) Header() http.Header         { return h.header }
func (h *heard) Write(b []byte) (int, error) { return len(b), nil }
func (h *heard) WriteHeader(status int)      { h.status = status }
