package hq

import (
	"context"
	"database/sql"

	"github.com/posnode/posnode/events"
)

func foldCertificate(ctx context.Context, tx *sql.Tx, f *events.CompletenessCertified) error {
	return nil
}
func foldPeriod(ctx context.Context, tx *sql.Tx, f *events.PeriodClosed) error { return nil }
