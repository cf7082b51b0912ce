package web

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/posnode/posnode/hq"
	"github.com/posnode/posnode/internal/build"
)

// maxToken is the largest body of the sign-on form, in bytes.
const maxToken = 1 << 10

// servePages adds head office's page to its handler.
func (a *hqAPI) servePages(mux *http.ServeMux) {
	mux.HandleFunc("GET /{$}", a.officePage)
	mux.HandleFunc("POST /session", a.signOn)
	mux.HandleFunc("GET /assets/{file}", assets(a))
}

// signOn checks the token in the form and gives the browser a session cookie.
func (a *hqAPI) signOn(w http.ResponseWriter, req *http.Request) {
	req.Body = http.MaxBytesReader(w, req.Body, maxToken)
	if given := req.PostFormValue("token"); !a.knows(given) {
		a.page(w, http.StatusUnauthorized, "signon.html", "That is not head office's token.")
		return
	}
	http.SetCookie(w, &http.Cookie{Name: sessionCookie, Value: a.token, Path: "/", HttpOnly: true, SameSite: http.SameSiteStrictMode})
	http.Redirect(w, req, "/", http.StatusSeeOther)
}

// office is the data of head office's page.
type office struct {
	Registers  []hq.RegisterStatus
	Findings   []hq.Finding // open ones
	Exceptions []hq.Exception
	Days       []hq.Day // the newest ones
	Silent     int      // registers
	Missing    int      // registers of which something is missing
	Warnings   []string
	Time       time.Time
	Version    string // of head office's program
}

// shown is the largest number of rows of a table that only grows.
const shown = 100

// officePage serves the page of all registers, or the form that asks for the token.
func (a *hqAPI) officePage(w http.ResponseWriter, req *http.Request) {
	if !a.knows(token(req.Header.Get("Authorization"), req.Header.Get("Cookie"))) {
		a.page(w, http.StatusUnauthorized, "signon.html", "")
		return
	}
	o, err := a.office(req.Context())
	if err != nil {
		writeProblem(w, (&Problem{Status: http.StatusInternalServerError, Detail: err.Error()}).complete(a, nil))
		return
	}
	a.page(w, http.StatusOK, "office.html", o)
}

func (a *hqAPI) page(w http.ResponseWriter, status int, name string, data any) {
	if err := writePage(w, status, name, data); err != nil {
		writeProblem(w, (&Problem{Status: http.StatusInternalServerError, Detail: err.Error()}).complete(a, nil))
	}
}

func (a *hqAPI) office(ctx context.Context) (o office, err error) {
	o.Time, o.Version, o.Warnings = time.Now(), build.Version(), a.hq.Plaintext()
	if o.Registers, err = a.hq.Registers(ctx); err != nil {
		return o, err
	}
	for _, r := range o.Registers {
		if r.Silent {
			o.Silent++
		}
		if len(r.Missing) > 0 {
			o.Missing++
		}
	}
	findings, err := a.hq.Findings(ctx)
	if err != nil {
		return o, err
	}
	o.Findings = last(slices.DeleteFunc(findings, func(f hq.Finding) bool { return f.Resolved != "" }))
	if o.Exceptions, err = a.hq.Exceptions(ctx); err != nil {
		return o, err
	}
	o.Exceptions = last(o.Exceptions)
	o.Days, err = a.hq.Days(ctx)
	o.Days = last(o.Days)
	return o, err
}

// last returns the newest rows of a list, the newest first.
func last[T any](all []T) []T {
	all = all[max(0, len(all)-shown):]
	slices.Reverse(all)
	return all
}
