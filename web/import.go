package web

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/posnode/posnode/hq"
	"github.com/posnode/posnode/projections"
)

// maxImport is the largest import in bytes.
const maxImport = 256 << 20

// importWithin is the longest time that the body of an import may take to arrive.
const importWithin = 10 * time.Minute

// importRequest is reference data to import. The body is the file itself.
type importRequest struct {
	CSV     string `query:"csv" doc:"the table that a CSV file is, such as product or prices; without it the file is JSON lines"`
	Store   string `query:"store" doc:"whom CSV rows are for; without it everybody"`
	DryRun  bool   `query:"dry_run" doc:"check and report, and import nothing"`
	RawBody []byte
}

// Imported is the result of an import.
type Imported struct {
	Imported bool   `json:"imported"` // all of it, or nothing
	Why      string `json:"why,omitempty"`
	projections.ImportReport
}

func (a *hqAPI) registerImport(api huma.API) {
	huma.Register(api, huma.Operation{
		OperationID: "import-reference", Method: http.MethodPost, Path: "/v1/reference", MaxBodyBytes: maxImport, BodyReadTimeout: importWithin,
	}, func(ctx context.Context, in *importRequest) (*body[Imported], error) {
		report, err := a.hq.Import(ctx, bytes.NewReader(in.RawBody), hq.ImportOptions{
			Format: projections.Format{CSV: in.CSV, Store: in.Store}, DryRun: in.DryRun,
		})
		out := Imported{Imported: err == nil && !in.DryRun, ImportReport: report}
		if errors.Is(err, projections.ErrNotImported) {
			out.Why, err = err.Error(), nil
		}
		return &body[Imported]{out}, err
	})
	huma.Get(api, "/v1/reference", list(a.hq.Reference().AsOf))
}
