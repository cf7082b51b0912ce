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

// The server renders complete pages, which need no script. Scripts keep them current.

//go:embed pages/*.html
var pageFiles embed.FS

//go:embed assets/*
var assetFiles embed.FS

var pages = template.Must(template.New("").Funcs(template.FuncMap{"when": when, "clock": clock}).ParseFS(pageFiles, "pages/*.html"))

// when formats a time for people. It is in UTC, like every time in a status.
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

// clock describes the difference between head office's clock and the register's, as seconds ahead.
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

// writePage renders a page and sends it. If rendering fails, it sends nothing and returns the
// error.
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
	_, _ = w.Write(page.Bytes()) // ignore the error: the client has closed the connection
	return nil
}

// connection is the data of the connection status page.
type connection struct {
	register.Status
	Frozen bool // the damage is an epoch that is over, and not a journal that cannot be read
}

// connectionPage serves the page of the connection status.
func (a *registerAPI) connectionPage(w http.ResponseWriter, req *http.Request) {
	s, err := a.register.Status(req.Context())
	if err == nil {
		err = writePage(w, http.StatusOK, "connection.html", connection{s, register.Frozen(s.Damage)})
	}
	if err != nil {
		writeProblem(w, a.problem(0, err))
	}
}

// assetKinds are the content types of the assets, because the types known to the system vary.
var assetKinds = map[string]string{".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8"}

// assets serves the style sheets and scripts of the pages.
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
		_, _ = w.Write(raw) // ignore the error: the client has closed the connection
	}
}
