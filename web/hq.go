package web

import (
	"context"
	"crypto/subtle"
	"fmt"
	"log/slog"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/posnode/posnode/events"
	"github.com/posnode/posnode/hq"
	"github.com/posnode/posnode/internal/build"
)

// hqAPI serves head office.
type hqAPI struct {
	hq    *hq.HQ
	log   *slog.Logger
	token string
}

// HQ returns the handler of head office's API. A client needs the token, as a bearer token or in
// the session's cookie. Serve it on loopback only, behind a proxy that speaks TLS.
func HQ(h *hq.HQ, token string, log *slog.Logger) http.Handler {
	useProblems()
	a := &hqAPI{hq: h, log: log, token: token}
	mux := http.NewServeMux()
	config := huma.DefaultConfig("posnode head office", "1")
	config.DocsPath, config.SchemasPath = "", ""
	config.OpenAPIPath = "/openapi"
	config.CreateHooks = nil // no $schema field in answers
	api := humago.New(mux, config)
	api.UseMiddleware(a.authorized(api))
	huma.Get(api, "/v1/journals", list(h.Journals))
	huma.Get(api, "/v1/findings", list(h.Findings))
	huma.Get(api, "/v1/days", list(h.Days))
	huma.Get(api, "/v1/status", func(context.Context, *struct{}) (*body[HQStatus], error) {
		return &body[HQStatus]{HQStatus{Version: build.Version(), Warnings: append([]string{}, h.Plaintext()...)}}, nil
	})
	a.verification(api)
	a.registerImport(api)
	a.devices(api)
	a.servePages(mux)
	mux.HandleFunc("GET /metrics", a.metrics(hqMetrics(h)))
	mux.HandleFunc("GET /healthz", a.healthy)
	return newHandler(a, mux)
}

// healthy says whether the process works: not where a database was found damaged, until that is made anew.
func (a *hqAPI) healthy(w http.ResponseWriter, _ *http.Request) {
	if damage := a.hq.Damage(); damage != nil {
		writeProblem(w, &Problem{Status: http.StatusServiceUnavailable, Title: "Service Unavailable", Code: "database_damaged", Detail: damage.Error() + "; it is made anew of the streams"})
		return
	}
	fmt.Fprintln(w, "ok")
}

// HQStatus is the status of head office's own process.
type HQStatus struct {
	Version string `json:"version"`
	// Warnings are sentences for a person about links and listeners without TLS.
	Warnings []string `json:"warnings"`
}

// list returns a handler that serves the list from f.
func list[T any](f func(context.Context) ([]T, error)) func(context.Context, *struct{}) (*body[[]T], error) {
	return func(ctx context.Context, _ *struct{}) (*body[[]T], error) {
		all, err := f(ctx)
		if all == nil {
			all = []T{} // not null
		}
		return &body[[]T]{all}, err
	}
}

// authorized refuses every request without the token.
func (a *hqAPI) authorized(api huma.API) func(huma.Context, func(huma.Context)) {
	return func(ctx huma.Context, next func(huma.Context)) {
		if a.knows(token(ctx.Header("Authorization"), ctx.Header("Cookie"))) {
			next(ctx)
			return
		}
		p := a.unknown()
		ctx.SetHeader("Content-Type", p.ContentType(""))
		ctx.SetStatus(p.Status)
		if err := api.Marshal(ctx.BodyWriter(), "application/json", p); err != nil {
			a.log.Debug("a client left before its answer", "error", err)
		}
	}
}

// unknown returns the problem for a request without the token.
func (a *hqAPI) unknown() *Problem {
	p := &Problem{Status: http.StatusUnauthorized, Code: "not_signed_on", Detail: "This needs head office's token.", Instead: "It stands in api.json in its data directory."}
	return p.complete(a, nil)
}

// knows reports whether given is head office's token. The comparison takes constant time.
func (a *hqAPI) knows(given string) bool {
	return subtle.ConstantTimeCompare([]byte(given), []byte(a.token)) == 1
}

func (a *hqAPI) mode() events.Mode { return "" }

func (a *hqAPI) fault(detail string) string {
	a.log.Error("a request was not answered", "error", detail)
	a.hq.Doubt()
	return "Head office could not answer."
}
