package hq

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"

	"github.com/posnode/posnode/projections"
)

// hq.db and reference.db are made of the streams. Where one is found damaged while head office runs, nothing that is
// answered from it can be relied on: head office ends, the file is moved aside, and the next [Open] makes it anew.

// damage is what was found of the databases.
type damage struct {
	found   chan struct{} // closed when cause is set
	once    sync.Once
	cause   atomic.Pointer[error]
	looking atomic.Bool
}

// ErrDatabaseDamaged says that a database of head office is not what was written to it.
var ErrDatabaseDamaged = errors.New("a database of head office is damaged")

// Damage says how a database was found damaged, nil for not. Close then moves it aside.
func (h *HQ) Damage() error {
	if cause := h.damage.cause.Load(); cause != nil {
		return *cause
	}
	return nil
}

// Damaged is closed when a database was found damaged.
func (h *HQ) Damaged() <-chan struct{} { return h.damage.found }

// noteDamage notes that a database is damaged, if err says so.
func (h *HQ) noteDamage(err error) bool {
	if !projections.Damaged(err) {
		return false
	}
	h.damage.once.Do(func() {
		cause := fmt.Errorf("%w: %w", ErrDatabaseDamaged, err)
		h.cfg.Logger.Error("a database of head office is damaged: it is moved aside, and made anew of the streams", "error", err)
		h.damage.cause.Store(&cause)
		close(h.damage.found)
	})
	return true
}

// Doubt has the databases read, because something could not be answered. Of many at a time one looks.
func (h *HQ) Doubt() {
	if h.damage.looking.Swap(true) {
		return
	}
	go func() {
		defer h.damage.looking.Store(false)
		h.noteDamage(h.db.check(context.Background()))
	}()
}

// check reads the whole file.
func (d *database) check(ctx context.Context) error {
	var result string
	if err := d.db.QueryRowContext(ctx, "PRAGMA quick_check(1)").Scan(&result); err != nil {
		return err
	}
	if result != "ok" {
		return fmt.Errorf("%w: %s", projections.ErrDamaged, result)
	}
	return nil
}

// setDamagedAside moves the databases aside: which of them is damaged is not always known, and each can be made anew.
func (h *HQ) setDamagedAside() error {
	return errors.Join(projections.SetAside(filepath.Join(h.cfg.Dir, "hq.db")), projections.SetAside(filepath.Join(h.cfg.Dir, "reference.db")))
}
