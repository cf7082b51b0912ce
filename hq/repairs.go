package hq

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/posnode/posnode/embedded"
	"github.com/posnode/posnode/events"
)

// share is how many bytes of the stream REPAIRS one register may fill in all its epochs: as many as its journal has by
// default, so that all of it can come once more. Nothing is ever taken out of that stream.
const share = 8 << 30

// takesRepair says whether a register may send so many bytes once more. Where it has had its share, that is a finding.
func (h *HQ) takesRepair(ctx context.Context, r events.Register, bytes int64) (bool, error) {
	read, err := h.db.repaired(ctx, r)
	if err != nil {
		return false, err
	}
	h.mu.Lock()
	// Also where the reading of it stands still.
	used := max(h.repaired[r], read)
	allowed, said := used+bytes <= h.cfg.share, h.full[r]
	if allowed {
		h.repaired[r] = used + bytes
	} else {
		h.full[r] = true
	}
	h.mu.Unlock()
	if allowed || said {
		return allowed, nil
	}
	h.cfg.Logger.Warn("a register has sent as much once more as it may", "register", r, "bytes", used)
	return false, note(ctx, h.db.db, Finding{
		Register: r.String(), Kind: KindRepairsFull, Want: fmt.Sprintf("at most %d bytes of entries sent once more", h.cfg.share), Got: "more", Found: stamp(h.cfg.Clock()),
	})
}

// repaired is how many bytes a register has sent once more, as far as they are read.
func (d *database) repaired(ctx context.Context, r events.Register) (bytes int64, err error) {
	err = d.db.QueryRowContext(ctx, `SELECT bytes FROM repairs WHERE register = ?`, r.String()).Scan(&bytes)
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return bytes, err
}

// countRepairs counts what was sent once more, by who sent it.
func countRepairs(ctx context.Context, tx *sql.Tx, batch []embedded.Received) error {
	sent := map[events.Register]int64{}
	for _, r := range batch {
		sent[r.Sender] += embedded.RepairedSize(len(r.Message.Body))
	}
	for r, bytes := range sent {
		if _, err := tx.ExecContext(ctx, `INSERT INTO repairs VALUES (?, ?) ON CONFLICT DO UPDATE SET bytes = bytes + excluded.bytes`, r.String(), bytes); err != nil {
			return err
		}
	}
	return nil
}
