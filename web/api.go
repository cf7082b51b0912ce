package web

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/posnode/posnode/events"
	"github.com/posnode/posnode/ledger"
	"github.com/posnode/posnode/projections"
	"github.com/posnode/posnode/register"
)

// registerAPI serves one register.
type registerAPI struct {
	register *register.Register
	log      *slog.Logger
	metrics  *metrics
	sessions sessions
	streams  streams
	// localReaders lets every program on this machine read documents, the journal and its events
	// without a session.
	localReaders bool
}

// Register returns the handler of a register's API. Serve it on loopback only: its clients are
// programs on the till. Data that names people, such as a document, needs the session of the staff
// member signed on. localReaders lets every program on this machine read it
// (docs/decisions/0026-reading-needs-a-session.md).
func Register(r *register.Register, log *slog.Logger, localReaders bool) http.Handler {
	useProblems()
	mux := http.NewServeMux()
	config := huma.DefaultConfig("posnode register "+r.View().Register.String(), "1")
	config.DocsPath, config.SchemasPath = "", ""
	config.OpenAPIPath = "/openapi"
	config.Components.SecuritySchemes = securitySchemes
	config.CreateHooks = nil // no $schema field in answers
	api := humago.New(mux, config)
	a := &registerAPI{register: r, log: log, metrics: newMetrics(r), localReaders: localReaders}
	for _, op := range ledger.Catalogue() {
		a.operation(api, op)
	}
	huma.Get(api, "/v1/operations", a.catalogue)
	huma.Get(api, "/v1/status", a.status)
	session := func(op *huma.Operation) { op.Security = signedOn }
	huma.Get(api, "/v1/transaction", a.transaction, session)
	huma.Get(api, "/v1/journal", a.journal, session, answers("entries, exactly as stored", "application/json", ndjson))
	huma.Get(api, "/v1/transactions/{id}", a.document, session, answers("a transaction that has ended", "application/json", "text/plain"))
	huma.Get(api, "/v1/receipts/{number}", a.receipt, session, answers("a document by its receipt number", "application/json", "text/plain"))
	huma.Get(api, "/v1/receipts/{number}/qr.png", a.qr, session, answers("the signed checkpoint that covers the document", "image/png"))
	huma.Get(api, "/v1/reports/{name}", a.report, session)
	for path, plain := range map[string]struct {
		of    string
		kind  string
		serve http.HandlerFunc
	}{
		"/v1/events": {"server-sent events: status for everyone; entry and mode for the session of whoever may read the entry", "text/event-stream", a.events},
		"/healthz":   {"the process is there", "text/plain", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") }},
		"/readyz":    {"the register can sell", "text/plain", a.ready},
		"/metrics":   {"figures for Prometheus", "text/plain", a.metrics.handler.ServeHTTP},
	} {
		op := huma.Operation{Method: http.MethodGet, Path: path, OperationID: "get" + strings.NewReplacer("/", "-").Replace(path), Summary: plain.of}
		answers(plain.of, plain.kind)(&op)
		api.OpenAPI().AddOperation(&op)
		mux.HandleFunc("GET "+path, plain.serve)
	}
	a.servePages(mux)
	mux.HandleFunc("POST /v1/operations/{id}", func(w http.ResponseWriter, req *http.Request) {
		writeProblem(w, a.problem(0, &ledger.Refusal{Code: "unknown_operation", Why: "There is no such operation.", Instead: "See /v1/operations."}))
	})
	return newHandler(a, mux)
}

// answers describes an answer of other kinds than JSON alone.
func answers(of string, kinds ...string) func(*huma.Operation) {
	content := map[string]*huma.MediaType{}
	for _, kind := range kinds {
		content[kind] = &huma.MediaType{}
	}
	return func(op *huma.Operation) {
		op.Responses = map[string]*huma.Response{"200": {Description: of, Content: content}}
	}
}

type operationInput struct {
	Key string `header:"Idempotency-Key" required:"true" doc:"a ULID that the client makes for this command; the same key with the same input gets the first answer"`
	Session
	ContentType string `header:"Content-Type"`
	RawBody     []byte
}

type operationOutput struct {
	SetCookie string `header:"Set-Cookie"`
	Body      answer
}

// answer is a [ledger.Answer] with additions. Log on adds the session's token. Operations that
// print or show something add the text or the report, because the fact only names it.
type answer struct {
	ledger.Answer
	Token  string  `json:"token,omitempty" doc:"of the session, after operation 700"`
	Print  string  `json:"print,omitempty" doc:"text to print, after a reprint by operation 115"`
	Report *Report `json:"report,omitempty" doc:"the report, after operation 1003"`
}

// operation registers the route of one operation of the catalogue.
func (a *registerAPI) operation(api huma.API, op *ledger.Operation) {
	security := signedOn
	if op.Gates.Open {
		security = nil
	}
	params := &huma.RequestBody{Content: map[string]*huma.MediaType{"application/json": {Schema: inputSchema(op)}}}
	huma.Register(api, huma.Operation{
		OperationID:   fmt.Sprintf("operation-%d", op.ID),
		Method:        http.MethodPost,
		Path:          fmt.Sprintf("/v1/operations/%d", op.ID),
		Summary:       fmt.Sprintf("%d %s", op.ID, op.Name),
		Description:   "Offline: " + op.Offline + ".",
		Tags:          []string{op.Group},
		MaxBodyBytes:  ledger.MaxInput + 1, // one more byte, so that the ledger refuses a longer body with its own code
		DefaultStatus: http.StatusOK,
		Security:      security,
		RequestBody:   params,
		// Only the ledger checks the body, so that the API, the pages and the journal report the
		// same errors.
		SkipValidateBody: true,
	}, func(ctx context.Context, in *operationInput) (*operationOutput, error) { return a.run(ctx, op, in) })
	// Undo huma's defaults for a body that it does not read itself: required, and of type
	// octet-stream.
	params.Required = false
	delete(params.Content, "application/octet-stream")
}

func (a *registerAPI) run(ctx context.Context, op *ledger.Operation, in *operationInput) (*operationOutput, error) {
	began := time.Now()
	out, err := a.carryOut(ctx, op, in)
	outcome := "done"
	if p, ok := errors.AsType[*Problem](err); ok {
		outcome = p.Code
	}
	a.metrics.observe(op.ID, outcome, time.Since(began))
	return out, err
}

// carryOut carries out an operation. Its error is a *Problem.
func (a *registerAPI) carryOut(ctx context.Context, op *ledger.Operation, in *operationInput) (*operationOutput, error) {
	key, err := events.ParseCommandKey(in.Key)
	if err != nil {
		return nil, (&Problem{Status: http.StatusBadRequest, Code: "malformed_key", Detail: err.Error(), Operation: op.ID}).complete(a, nil)
	}
	if kind, _, err := mime.ParseMediaType(in.ContentType); len(in.RawBody) > 0 && (err != nil || kind != "application/json") {
		return nil, (&Problem{Status: http.StatusUnsupportedMediaType, Operation: op.ID, Detail: "The parameters are not sent as application/json.", Instead: "Send them as a JSON object with that Content-Type."}).complete(a, nil)
	}
	staff := a.staffOf(in.Session)
	done, err := a.register.Do(ctx, register.Request{Operation: op.ID, Key: key, Body: in.RawBody, Staff: staff})
	if err != nil {
		return nil, a.problem(op.ID, err)
	}
	out := &operationOutput{Body: answer{Answer: done}}
	if done.Repeated {
		return out, nil // sessions began or ended with the first answer
	}
	switch f := done.Result.(type) {
	case *events.StaffLoggedOn:
		a.begin(out, f.Staff)
	case *events.RegisterUnlocked:
		a.begin(out, f.Staff)
	case *events.StaffLoggedOff:
		a.sessions.end()
	case *events.ZReprinted:
		out.Body.Print, err = a.printed(ctx, f.Closed)
		out.Body.Print = fmt.Sprintf("*** COPY %d ***\n", f.Copy) + out.Body.Print
	case interface{ SignsOff() bool }:
		if f.SignsOff() {
			a.sessions.end()
		}
		if _, closed := f.(*events.ShiftClosed); closed {
			out.Body.Print, err = a.printed(ctx, done.Entries[0].Sequence)
		}
	case *events.ReceiptReprinted:
		out.Body.Print, err = a.reprint(ctx, done.Entries[0].Sequence, f)
	case *events.ReportViewed:
		out.Body.Report, err = a.makeReport(ctx, &reportInput{Name: f.Report, From: f.From, To: f.To, Shift: string(f.Shift)})
	case *events.SaleSuspended:
		out.Body.Print, err = a.printed(ctx, done.Entries[0].Sequence)
	case events.OfShift:
		if _, printed := f.(events.Printable); printed { // an X report, or a slip
			out.Body.Print, err = a.printed(ctx, done.Entries[0].Sequence)
		}
	}
	if err != nil {
		// The operation is recorded. Only the text to print or show is missing, and the client can
		// read it with GET.
		a.log.Warn("what was recorded could not be shown", "operation", op.ID, "error", err)
	}
	return out, nil
}

// begin begins a session for the member of staff, and adds its token and cookie to the answer.
func (a *registerAPI) begin(out *operationOutput, staff events.StaffID) {
	out.Body.Token = a.sessions.begin(staff)
	cookie := http.Cookie{Name: sessionCookie, Value: out.Body.Token, Path: "/", HttpOnly: true, SameSite: http.SameSiteStrictMode}
	out.SetCookie = cookie.String()
}

// inputSchema describes an operation's parameters.
func inputSchema(op *ledger.Operation) *huma.Schema {
	s := &huma.Schema{Type: huma.TypeObject, Properties: map[string]*huma.Schema{}, AdditionalProperties: false}
	for _, p := range op.Params {
		field := &huma.Schema{Description: p.Doc}
		switch p.Kind {
		case ledger.KindText:
			field.Type, field.MaxLength = huma.TypeString, &p.Max
		case ledger.KindFlag:
			field.Type = huma.TypeBoolean
		case ledger.KindCounts:
			field.Type, field.MaxItems = huma.TypeArray, &p.Max
			field.Items = &huma.Schema{Type: huma.TypeObject, Description: "tender, currency, and either amount or denominations, each with value and count"}
		case ledger.KindAmount:
			field.Type, field.Format = huma.TypeInteger, "int64"
		case ledger.KindNumber:
			field.Type, field.Maximum = huma.TypeInteger, new(float64(p.Max))
		default:
			field.Type, field.Format = huma.TypeString, "decimal"
		}
		s.Properties[p.Name] = field
		if p.Required {
			s.Required = append(s.Required, p.Name)
		}
	}
	s.PrecomputeMessages()
	return s
}

type body[T any] struct{ Body T }

func (a *registerAPI) catalogue(context.Context, *struct{}) (*body[[]*ledger.Operation], error) {
	return &body[[]*ledger.Operation]{ledger.Catalogue()}, nil
}

func (a *registerAPI) status(ctx context.Context, in *Session) (*body[register.Status], error) {
	s, err := a.register.Status(ctx)
	if a.mayRead(*in) != nil {
		s.Staff = nil // only a session may read the names of people
	}
	return &body[register.Status]{s}, err
}

func (a *registerAPI) ready(w http.ResponseWriter, _ *http.Request) {
	if damage := a.register.Damage(); damage != nil {
		writeProblem(w, (&Problem{Status: http.StatusServiceUnavailable, Code: "journal_damaged", Detail: damage.Error(), Mode: a.register.View().Mode, Title: "Service Unavailable"}))
		return
	}
	if failure := a.register.StorageFailure(); failure != nil {
		writeProblem(w, (&Problem{Status: http.StatusServiceUnavailable, Code: "storage_failed", Detail: failure.Cause, Mode: a.register.View().Mode, Title: "Service Unavailable"}))
		return
	}
	fmt.Fprintln(w, "ready")
	for _, fault := range a.register.Faults() {
		fmt.Fprintln(w, fault.What)
	}
}

// transaction returns the whole open transaction, or null if there is none.
func (a *registerAPI) transaction(ctx context.Context, in *Session) (*body[json.RawMessage], error) {
	if err := a.mayRead(*in); err != nil {
		return nil, err
	}
	var raw json.RawMessage
	var failed error
	err := a.register.Look(ctx, func(s *ledger.State) { raw, failed = json.Marshal(s.Transaction) })
	return &body[json.RawMessage]{raw}, errors.Join(err, failed)
}

// offline calls f with the offline database when it holds every entry answered before. If the
// database has fallen behind or is damaged, the client is refused and can try again. That is not an
// error of the client.
func (a *registerAPI) offline(ctx context.Context, f func(context.Context, *projections.DB) error) error {
	ctx, cancel := context.WithTimeout(ctx, offlineWait)
	defer cancel()
	db, err := a.register.Offline(ctx)
	if err == nil {
		err = f(ctx, db)
	}
	if a.register.OfflineFailed(err) || err != nil && ctx.Err() != nil {
		a.log.Warn("the offline database could not be read", "error", err)
		return a.problem(0, &ledger.Refusal{Code: "offline_database_stalled", Why: "The offline database has fallen behind the journal.", Instead: "Try again in a moment."})
	}
	return err
}

// offlineWait is the longest time that a request waits for the offline database to catch up with
// the journal.
const offlineWait = 5 * time.Second

// events streams new entries as server-sent events, beginning with the first entry after the
// request. After a lost connection, a client reads the entries in between from the journal. A
// client without a session gets the status, and no entries.
func (a *registerAPI) events(w http.ResponseWriter, req *http.Request) {
	session := Session{Authorization: req.Header.Get("Authorization"), Cookie: req.Header.Get("Cookie")}
	leave, ok := a.streams.enter(token(session.Authorization, session.Cookie))
	if !ok {
		writeProblem(w, (&Problem{Status: http.StatusTooManyRequests, Code: "too_many_streams", Detail: "Too many clients follow the events of this register.", Instead: "Close one that is not needed, and try again."}).complete(a, nil))
		return
	}
	defer leave()
	entries := make(chan projections.Stored, 100)
	defer a.register.Watch(entries)()
	out := http.NewResponseController(w)
	send := func(format string, args ...any) bool {
		// The deadline ends the connection of a client that does not read.
		_ = out.SetWriteDeadline(time.Now().Add(eventPatience)) // not every connection has a deadline
		_, err := fmt.Fprintf(w, format, args...)
		return err == nil && out.Flush() == nil
	}
	status := func() bool {
		s, err := a.register.Status(req.Context())
		mayRead := a.mayRead(session) == nil
		if !mayRead {
			s.Staff = nil
		}
		var raw []byte
		if err == nil {
			raw, err = json.Marshal(s)
		}
		if err != nil && req.Context().Err() == nil {
			// Send the view instead, so that the stream continues with the entries and the mode.
			a.log.Warn("the connection status could not be told", "error", err)
			view := a.register.View()
			if !mayRead {
				view.Staff = nil
			}
			raw, err = json.Marshal(view)
		}
		return err == nil && send("event: status\ndata: %s\n\n", raw)
	}
	beat := time.NewTicker(eventBeat)
	defer beat.Stop()
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusOK)
	for sent := status(); sent; {
		select {
		case <-req.Context().Done():
			return
		case <-beat.C:
			sent = status()
		case s := <-entries:
			_, mode := s.Entry.Fact.(*events.ModeChanged)
			name := "entry"
			if mode {
				name = "mode"
			}
			if a.mayReadEntry(session, s.Entry) == nil {
				sent = send("id: %s\nevent: %s\ndata: %s\n\n", strconv.FormatUint(s.Entry.Head.Sequence, 10), name, s.Body)
			}
			if sent && mode {
				sent = status()
			}
		}
	}
}

var (
	// eventBeat is the time between two status events if nothing happens. So both ends notice a
	// lost connection, and a page shows changes that have no entry.
	eventBeat     = 15 * time.Second
	eventPatience = 10 * time.Second
)

func writeProblem(w http.ResponseWriter, p *Problem) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(p.Status)
	if err := json.NewEncoder(w).Encode(p); err != nil {
		slog.Debug("a client left before its answer", "error", err)
	}
}
