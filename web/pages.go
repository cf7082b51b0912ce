package web

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"net/http"
	"path"
	"time"
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
	mux.HandleFunc("GET /assets/{file}", a.asset)
}

// connectionPage is the connection status for a person.
func (a *registerAPI) connectionPage(w http.ResponseWriter, req *http.Request) {
	s, err := a.register.Status(req.Context())
	var page bytes.Buffer
	if err == nil {
		err = pages.ExecuteTemplate(&page, "connection.html", s)
	}
	if err != nil {
		writeProblem(w, a.problem(0, err))
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Content-Security-Policy", "default-src 'self'; frame-ancestors 'none'; base-uri 'none'")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	_, _ = w.Write(page.Bytes()) // a client that left needs no page
}

// assetKinds are the kinds of files that there are; what a system thinks of an extension varies.
var assetKinds = map[string]string{".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8"}

func (a *registerAPI) asset(w http.ResponseWriter, req *http.Request) {
	name := path.Join("assets", path.Base(path.Clean("/"+req.PathValue("file"))))
	raw, err := assetFiles.ReadFile(name)
	if err != nil {
		writeProblem(w, (&Problem{Status: http.StatusNotFound, Code: "not_found", Detail: "There is nothing at this address."}).complete(a, nil))
		return
	}
	w.Header().Set("Content-Type", assetKinds[path.Ext(name)])
	w.Header().Set("Cache-Control", "no-cache")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	_, _ = w.Write(raw) // a client that left needs no file
}
