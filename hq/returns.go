package hq

import (
	"context"
	"database/sql"
	"fmt"
	"strconv"
	"strings"

	"github.com/posnode/posnode/events"
	"github.com/posnode/posnode/ledger"
)

// grantReturn lets a register take back a part of a line that was sold, unless as much has come back, or is about
// to at another register. Of a receipt that has not arrived nobody else knows: its own register decides.
func (h *HQ) grantReturn(ctx context.Context, r events.Register, want events.Reservation) (out *events.Reserved, refusal *events.NotGranted, err error) {
	cut := strings.LastIndexByte(want.Key, '/')
	if cut < 0 {
		return nil, nil, fmt.Errorf("read the sold line %.80q: no line in it", want.Key)
	}
	number, err := strconv.Atoi(want.Key[cut+1:])
	if err != nil {
		return nil, nil, fmt.Errorf("read the sold line %.80q: %w", want.Key, err)
	}
	receipt := want.Key[:cut]
	doc, err := h.soldBy(ctx, r, receipt)
	if err != nil {
		return nil, nil, err
	}
	if doc == nil || number < 1 || number > len(doc.Lines) {
		return &events.Reserved{NotKept: true}, nil, nil
	}
	bought := doc.Lines[number-1].Quantity.TenThousandths()
	_, err = h.record(ctx, func(ctx context.Context, tx *sql.Tx, _ events.Head) (events.Fact, error) {
		out, refusal = &events.Reserved{Granted: want.Amount}, nil
		if before, err := grantedBefore(ctx, tx, want); err != nil || before {
			return nil, err
		}
		var back int64
		err := tx.QueryRowContext(ctx, `SELECT (SELECT coalesce(sum(quantity), 0) FROM returned WHERE transaction_id = ? AND line = ?) +
				(SELECT coalesce(sum(amount), 0) FROM reservations WHERE kind = 'return' AND key = ? AND NOT ended AND NOT (register = ? AND transaction_id = ?))`,
			string(doc.Transaction), number, want.Key, want.Register, string(want.Transaction)).Scan(&back)
		if err != nil {
			return nil, err
		}
		out.Remaining = events.Money(bought-back) - want.Amount
		if out.Remaining < 0 {
			refusal = &events.NotGranted{
				Code: "return_too_large", Why: fmt.Sprintf("Of the %s bought on line %d of receipt %s, %s came back already, or is coming back at another register.",
					tenThousandths(bought), number, receipt, tenThousandths(back)),
			}
			return nil, nil
		}
		return &events.ReservationGranted{Reservation: want, Balance: events.Money(bought - back)}, nil
	})
	if err != nil || refusal != nil {
		return nil, refusal, err
	}
	return out, nil, nil
}

// soldBy is the document with a receipt number, nil where none has arrived.
func (h *HQ) soldBy(ctx context.Context, r events.Register, receipt string) (*ledger.Sold, error) {
	at, err := h.db.receipt(ctx, r.Store, receipt)
	if err != nil || at == nil {
		return nil, err
	}
	entry, err := h.fetch(ctx, *at)
	if err != nil {
		return nil, fmt.Errorf("receipt %.64s: %w", receipt, err)
	}
	f, ok := entry.Fact.(*events.SaleConcluded)
	if !ok || string(f.Receipt) != receipt {
		return nil, fmt.Errorf("receipt %.64s: %s at %d is another entry", receipt, at.shard, at.sequence)
	}
	sold := ledger.SoldBy(f)
	return &sold, nil
}
