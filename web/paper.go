package web

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"strconv"
	"strings"

	"github.com/posnode/posnode/events"
	"github.com/posnode/posnode/projections"
	"github.com/posnode/posnode/receipts"
	"github.com/posnode/posnode/register"
)

// raw is an answer with finished bytes. huma sends them as they are and does not encode them again.
type raw struct {
	ContentType string `header:"Content-Type"`
	Body        []byte
}

type journalInput struct {
	Session
	From        uint64 `query:"from" default:"1" minimum:"1" doc:"first sequence"`
	Limit       int    `query:"limit" default:"100" minimum:"1" maximum:"1000" doc:"how many entries at most"`
	Type        string `query:"type" maxLength:"80" doc:"stored fact name, such as sale.concluded.v1"`
	Transaction string `query:"transaction" maxLength:"80"`
	Accept      string `header:"Accept" doc:"application/x-ndjson gives one entry a line, as sha256sum and jq want it"`
}

const ndjson = "application/x-ndjson"

// journal lists entries, each exactly as stored. To encode an entry again could change its bytes,
// and with them its hash.
func (a *registerAPI) journal(ctx context.Context, in *journalInput) (*raw, error) {
	if err := a.mayReadJournal(in.Session); err != nil {
		return nil, err
	}
	var bodies [][]byte
	err := a.offline(ctx, func(ctx context.Context, db *projections.DB) (err error) {
		bodies, err = db.Journal(ctx, projections.Filter{From: in.From, Limit: in.Limit, Type: in.Type, Transaction: events.TransactionID(in.Transaction)})
		return err
	})
	if err != nil {
		return nil, err
	}
	if prefers(in.Accept, ndjson) {
		var lines bytes.Buffer
		for _, b := range bodies {
			lines.Write(b)
			lines.WriteByte('\n')
		}
		return &raw{ndjson, lines.Bytes()}, nil
	}
	list := append([]byte("["), bytes.Join(bodies, []byte(",\n"))...)
	return &raw{"application/json", append(list, "]\n"...)}, nil
}

// prefers reports whether an Accept header names the type want before application/json and before
// */*.
func prefers(accept, want string) bool {
	for part := range strings.SplitSeq(accept, ",") {
		kind, params, err := mime.ParseMediaType(part)
		if q, bad := strconv.ParseFloat(params["q"], 64); err != nil || bad == nil && q == 0 {
			continue
		}
		switch kind {
		case want:
			return true
		case "application/json", "*/*":
			return false
		}
	}
	return false
}

type documentInput struct {
	Session
	ID     string `path:"id" maxLength:"80"`
	Accept string `header:"Accept" doc:"text/plain gives the printed document"`
}

func (a *registerAPI) document(ctx context.Context, in *documentInput) (*raw, error) {
	return a.paper(ctx, in.Session, in.ID, in.Accept, func(ctx context.Context, db *projections.DB) (*projections.Document, error) {
		return db.Transaction(ctx, events.TransactionID(in.ID))
	})
}

type receiptInput struct {
	Session
	Number string `path:"number" maxLength:"80"`
	Accept string `header:"Accept" doc:"text/plain gives the printed receipt"`
}

func (a *registerAPI) receipt(ctx context.Context, in *receiptInput) (*raw, error) {
	return a.paper(ctx, in.Session, in.Number, in.Accept, byReceipt(in.Number))
}

func byReceipt(number string) func(context.Context, *projections.DB) (*projections.Document, error) {
	return func(ctx context.Context, db *projections.DB) (*projections.Document, error) {
		return db.Receipt(ctx, events.ReceiptNumber(number))
	}
}

// find returns a document and its entry. It returns a problem if there is no such document, or if
// the client may not read it.
func (a *registerAPI) find(ctx context.Context, session Session, find func(context.Context, *projections.DB) (*projections.Document, error)) (doc *projections.Document, e *events.Entry, err error) {
	if err := a.mayRead(session); err != nil {
		return nil, nil, err
	}
	err = a.offline(ctx, func(ctx context.Context, db *projections.DB) (err error) {
		if doc, err = find(ctx, db); err == nil && doc != nil {
			e, err = events.Decode(doc.Body)
		}
		return err
	})
	if err == nil && doc == nil {
		err = a.noDocument()
	}
	if err == nil {
		err = a.mayReadEntry(session, e)
	}
	return doc, e, err
}

// slip answers with a printed document that is not a transaction, such as the slip of a safe drop
// or a Z report. As JSON it is the entry, exactly as stored.
func (a *registerAPI) slip(ctx context.Context, session Session, accept string, register events.Register, at events.Head) (*raw, error) {
	if err := a.mayRead(session); err != nil {
		return nil, err
	}
	var stored []byte
	text, printed := "", false
	var notTheirs error
	err := a.offline(ctx, func(ctx context.Context, db *projections.DB) (err error) {
		if stored, err = db.Entry(ctx, at.Epoch, at.Sequence); err != nil || stored == nil {
			return err
		}
		e, err := events.Decode(stored)
		if err == nil && e.Register == register {
			text, printed = receipts.Text(e)
			notTheirs = a.mayReadEntry(session, e)
		}
		return err
	})
	switch {
	case err != nil:
		return nil, err
	case !printed:
		return nil, a.noDocument()
	case notTheirs != nil:
		return nil, notTheirs
	case prefers(accept, "text/plain"):
		return &raw{"text/plain; charset=utf-8", []byte(text)}, nil
	}
	return &raw{"application/json", stored}, nil
}

func (a *registerAPI) noDocument() error {
	return (&Problem{Status: http.StatusNotFound, Detail: "There is no such document at this register."}).complete(a, nil)
}

// paper answers with a document, or with the slip of that number. The answer is JSON or the printed
// text.
func (a *registerAPI) paper(ctx context.Context, session Session, number, accept string, find func(context.Context, *projections.DB) (*projections.Document, error)) (*raw, error) {
	if register, at, ok := events.ParseEntryNumber(number); ok {
		return a.slip(ctx, session, accept, register, at)
	}
	doc, e, err := a.find(ctx, session, find)
	if err != nil {
		return nil, err
	}
	if prefers(accept, "text/plain") {
		if text, printed := receipts.Text(e); printed {
			return &raw{"text/plain; charset=utf-8", []byte(text)}, nil
		}
	}
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	err = enc.Encode(doc)
	return &raw{"application/json", out.Bytes()}, err
}

type qrInput struct {
	Session
	Number string `path:"number" maxLength:"80"`
}

// qr answers with the register's signed checkpoint as a QR code. The checkpoint covers the chain up
// to and including the receipt's entry.
func (a *registerAPI) qr(ctx context.Context, in *qrInput) (*raw, error) {
	_, e, err := a.find(ctx, in.Session, byReceipt(in.Number))
	if err != nil {
		return nil, err
	}
	note, err := a.register.CheckpointAt(ctx, e.Head)
	if errors.Is(err, register.ErrOtherEpoch) {
		return nil, (&Problem{Status: http.StatusNotFound, Code: "checkpoint_unavailable", Detail: "The register no longer has the key of the time of that receipt.", Instead: "Ask head office for its witness."}).complete(a, nil)
	}
	if err != nil {
		return nil, err
	}
	picture, err := receipts.QR(note)
	return &raw{"image/png", picture}, err
}

// printed returns the printed text of an entry of the register's epoch.
func (a *registerAPI) printed(ctx context.Context, sequence uint64) (text string, err error) {
	err = a.offline(ctx, func(ctx context.Context, db *projections.DB) error {
		at, err := db.Position(ctx)
		if err != nil {
			return err
		}
		stored, err := db.Entry(ctx, at.Epoch, sequence)
		if err != nil {
			return err
		}
		entry, err := events.Decode(stored)
		if err == nil {
			text, _ = receipts.Text(entry)
		}
		return err
	})
	return text, err
}

// reprint returns the text of a receipt that is printed again.
func (a *registerAPI) reprint(ctx context.Context, sequence uint64, f *events.ReceiptReprinted) (text string, err error) {
	err = a.offline(ctx, func(ctx context.Context, db *projections.DB) error {
		entry := func(epoch int, sequence uint64) (*events.Entry, error) {
			stored, err := db.Entry(ctx, epoch, sequence)
			if err != nil {
				return nil, err
			}
			if stored == nil {
				return nil, fmt.Errorf("entry %d of epoch %d is not in the offline database", sequence, epoch)
			}
			return events.Decode(stored)
		}
		at, err := db.Position(ctx)
		if err != nil {
			return err
		}
		original, err := entry(f.Epoch, f.Sequence)
		if err != nil {
			return err
		}
		again, err := entry(at.Epoch, sequence)
		if err == nil {
			text, err = receipts.Reprint(original, again)
		}
		return err
	})
	return text, err
}
