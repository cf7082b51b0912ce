package web

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"

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
	sessions sessions
}

// Register serves a register's API. It is for loopback: who can reach it is at the till.
func Register(r *register.Register) http.Handler {
	useProblems()
	mux := http.NewServeMux()
	config := huma.DefaultConfig("posnode register "+r.View().Register.String(), "1")
	config.DocsPath, config.SchemasPath = "", ""
	config.OpenAPIPath = "/openapi"
	config.CreateHooks = nil // no $schema field in answers
	api := humago.New(mux, config)
	a := &registerAPI{register: r}
	for _, op := range ledger.Catalogue() {
		a.operation(api, op)
	}
	huma.Get(api, "/v1/operations", a.catalogue)
	huma.Get(api, "/v1/status", a.status)
	huma.Get(api, "/v1/transaction", a.transaction)
	huma.Get(api, "/v1/journal", a.journal)
	huma.Get(api, "/v1/transactions/{id}", a.document)
	huma.Get(api, "/v1/receipts/{number}", a.receipt)
	mux.HandleFunc("GET /v1/events", a.events)
	mux.HandleFunc("POST /v1/operations/", func(w http.ResponseWriter, req *http.Request) {
		writeProblem(w, problem(0, "", &ledger.Refusal{Code: "unknown_operation", Why: "There is no such operation."}))
	})
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", a.ready)
	return onlyLocal(mux)
}

// onlyLocal refuses what a page of another origin sends: a browser at the till must not be made to sell.
func onlyLocal(next http.Handler) http.Handler { return http.NewCrossOriginProtection().Handler(next) }

type operationInput struct {
	Key           string `header:"Idempotency-Key" required:"true" doc:"a ULID that the client makes for this command; the same key with the same input gets the first answer"`
	Authorization string `header:"Authorization" doc:"Bearer token from operation 700"`
	Cookie        string `header:"Cookie"`
	RawBody       []byte
}

type operationOutput struct {
	SetCookie string `header:"Set-Cookie"`
	Body      answer
}

// answer is a [ledger.Answer]; log on adds the session's token.
type answer struct {
	ledger.Answer
	Token string `json:"token,omitempty" doc:"of the session, after operation 700"`
}

// operation registers the route of one line of the catalogue.
func (a *registerAPI) operation(api huma.API, op *ledger.Operation) {
	huma.Register(api, huma.Operation{
		OperationID:   fmt.Sprintf("operation-%d", op.ID),
		Method:        http.MethodPost,
		Path:          fmt.Sprintf("/v1/operations/%d", op.ID),
		Summary:       fmt.Sprintf("%d %s", op.ID, op.Name),
		Description:   "Offline: " + op.Offline + ".",
		Tags:          []string{op.Group},
		MaxBodyBytes:  ledger.MaxInput + 1, // one more, so that the ledger refuses it with its own code
		DefaultStatus: http.StatusOK,
		RequestBody:   &huma.RequestBody{Content: map[string]*huma.MediaType{"application/json": {Schema: inputSchema(op)}}},
		// The ledger checks the body, so that the API, the pages and the journal agree on what is wrong with it.
		SkipValidateBody: true,
	}, func(ctx context.Context, in *operationInput) (*operationOutput, error) { return a.run(ctx, op, in) })
}

func (a *registerAPI) run(ctx context.Context, op *ledger.Operation, in *operationInput) (*operationOutput, error) {
	key, err := events.ParseCommandKey(in.Key)
	if err != nil {
		return nil, &Problem{Title: "Bad Request", Status: http.StatusBadRequest, Code: "malformed_key", Detail: err.Error(), Operation: op.ID}
	}
	staff := a.sessions.of(token(in.Authorization, in.Cookie))
	done, err := a.register.Do(ctx, register.Request{Operation: op.ID, Key: key, Body: in.RawBody, Staff: staff})
	if err != nil {
		return nil, problem(op.ID, a.register.View().Mode, err)
	}
	out := &operationOutput{Body: answer{Answer: done}}
	switch f := done.Result.(type) {
	case *events.StaffLoggedOn:
		a.begin(out, f.Staff)
	case *events.RegisterUnlocked:
		a.begin(out, f.Staff)
	case *events.StaffLoggedOff:
		a.sessions.end()
	case interface{ SignsOff() bool }:
		if f.SignsOff() {
			a.sessions.end()
		}
	}
	return out, nil
}

// begin gives the member of staff who signed on a session.
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

func (a *registerAPI) status(ctx context.Context, _ *struct{}) (*body[register.Status], error) {
	s, err := a.register.Status(ctx)
	return &body[register.Status]{s}, err
}

func (a *registerAPI) ready(w http.ResponseWriter, _ *http.Request) {
	if damage := a.register.Damage(); damage != nil {
		http.Error(w, damage.Error(), http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "ready")
}

// transaction is the open transaction, whole; null where there is none.
func (a *registerAPI) transaction(ctx context.Context, _ *struct{}) (*body[json.RawMessage], error) {
	var raw json.RawMessage
	var failed error
	err := a.register.Look(ctx, func(s *ledger.State) { raw, failed = json.Marshal(s.Transaction) })
	return &body[json.RawMessage]{raw}, errors.Join(err, failed)
}

type journalInput struct {
	From        uint64 `query:"from" default:"1" minimum:"1" doc:"first sequence"`
	Limit       int    `query:"limit" default:"100" minimum:"1" maximum:"1000" doc:"how many entries at most"`
	Type        string `query:"type" maxLength:"80" doc:"stored fact name, such as sale.concluded.v1"`
	Transaction string `query:"transaction" maxLength:"80"`
}

// journal lists entries, each exactly as stored.
func (a *registerAPI) journal(ctx context.Context, in *journalInput) (*body[[]json.RawMessage], error) {
	db, err := a.register.Offline(ctx)
	if err != nil {
		return nil, err
	}
	bodies, err := db.Journal(ctx, projections.Filter{From: in.From, Limit: in.Limit, Type: in.Type, Transaction: events.TransactionID(in.Transaction)})
	out := make([]json.RawMessage, len(bodies))
	for i, b := range bodies {
		out[i] = b
	}
	return &body[[]json.RawMessage]{out}, err
}

type documentInput struct {
	ID string `path:"id" maxLength:"80"`
}

func (a *registerAPI) document(ctx context.Context, in *documentInput) (*body[*projections.Document], error) {
	db, err := a.register.Offline(ctx)
	if err != nil {
		return nil, err
	}
	return found(db.Transaction(ctx, events.TransactionID(in.ID)))
}

type receiptInput struct {
	Number string `path:"number" maxLength:"80"`
}

func (a *registerAPI) receipt(ctx context.Context, in *receiptInput) (*body[*projections.Document], error) {
	db, err := a.register.Offline(ctx)
	if err != nil {
		return nil, err
	}
	return found(db.Receipt(ctx, events.ReceiptNumber(in.Number)))
}

// found answers with a record, or says that there is none.
func found[T any](record *T, err error) (*body[*T], error) {
	if err == nil && record == nil {
		return nil, &Problem{Title: "Not Found", Status: http.StatusNotFound, Code: "not_found", Detail: "There is no such record at this register."}
	}
	return &body[*T]{record}, err
}

// events streams new entries as server-sent events, from the first after the
// request on; a client that was away reads what it missed in the journal.
func (a *registerAPI) events(w http.ResponseWriter, req *http.Request) {
	flusher, ok := w.(http.Flusher)
	if !ok {
		http.Error(w, "this connection cannot stream", http.StatusNotImplemented)
		return
	}
	entries := make(chan projections.Stored, 100)
	defer a.register.Watch(entries)()
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusOK)
	flusher.Flush()
	for {
		select {
		case <-req.Context().Done():
			return
		case s := <-entries:
			name := "entry"
			if _, mode := s.Entry.Fact.(*events.ModeChanged); mode {
				name = "mode"
			}
			fmt.Fprintf(w, "id: %s\nevent: %s\ndata: %s\n\n", strconv.FormatUint(s.Entry.Head.Sequence, 10), name, s.Body)
			flusher.Flush()
		}
	}
}

func writeProblem(w http.ResponseWriter, p *Problem) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(p.Status)
	if err := json.NewEncoder(w).Encode(p); err != nil {
		slog.Debug("a client left before its answer", "error", err)
	}
}
