package web

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"net/http"
	"path"
	"time"

	"github.com/posnode/posnode/register"
)

// Pages are rendered by the server and complete without a script; scripts keep them current.

//go:embed pages/*.html
var pageFiles embed.FS

//go:embed assets/*
var assetFiles embed.FS

var pages = template.Must(template.New("").Funcs(template.FuncMap{"when": when, "clock": clock}).ParseFS(pageFiles, "pages/*.html"))

// when is a time as a person reads it, in UTC as everything in a status is.
func when(at any) string {
	switch t := at.(type) {
	case time.Time:
		return t.UTC().Format("2006-01-02 15:04:05 UTC")
	case string:
		if parsed, err := time.Parse(time.RFC3339Nano, t); err == nil {
			return when(parsed)
		}
	}
	return fmt.Sprint(at)
}

// clock says how head office's clock stands to the register's.
func clock(ahead *float64) string {
	switch {
	case *ahead > 0.5:
		return fmt.Sprintf("head office's is %.0f s ahead", *ahead)
	case *ahead < -0.5:
		return fmt.Sprintf("head office's is %.0f s behind", -*ahead)
	}
	return "the same as head office's"
}

// servePages adds the pages of a register to its handler.
func (a *registerAPI) servePages(mux *http.ServeMux) {
	mux.HandleFunc("GET /connection", a.connectionPage)
	mux.HandleFunc("GET /assets/{file}", assets(a))
}

// writePage renders a page. Nothing is sent where that does not succeed.
func writePage(w http.ResponseWriter, status int, name string, data any) error {
	var page bytes.Buffer
	if err := pages.ExecuteTemplate(&page, name, data); err != nil {
		return err
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Content-Security-Policy", "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(page.Bytes()) // a client that left needs no page
	return nil
}

// connection is what the connection status page shows.
type connection struct {
	register.Status
	Frozen bool // its damage is an epoch that is over, not a journal that cannot be read
}

// connectionPage is the connection status for a person.
func (a *registerAPI) connectionPage(w http.ResponseWriter, req *http.Request) {
	s, err := a.register.Status(req.Context())
	if err == nil {
		err = writePage(w, http.StatusOK, "connection.html", connection{s, register.Frozen(s.Damage)})
	}
	if err != nil {
		writeProblem(w, a.problem(0, err))
	}
}

// assetKinds are the kinds of files that there are; what a system thinks of an extension varies.
var assetKinds = map[string]string{".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8"}

// assets serves what the pages are made of.
func assets(at site) http.HandlerFunc {
	return func(w http.ResponseWriter, req *http.Request) {
		name := path.Join("assets", path.Base(path.Clean("/"+req.PathValue("file"))))
		raw, err := assetFiles.ReadFile(name)
		if err != nil {
			writeProblem(w, (&Problem{Status: http.StatusNotFound, Code: "not_found", Detail: "There is nothing at this address."}).complete(at, nil))
			return
		}
		w.Header().Set("Content-Type", assetKinds[path.Ext(name)])
		w.Header().Set("Cache-Control", "no-cache")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		_, _ = w.Write(raw) // a client that left needs no file
	}
}
