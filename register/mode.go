package register

import (
	"context"

	"github.com/posnode/posnode/events"
)

// followLink goes offline, before an operation, where the link to HQ has gone.
func (r *Register) followLink(ctx context.Context) error {
	if r.state.Mode == events.Offline || r.node.Link().Connected {
		return nil
	}
	// The interval before the next attempt runs from here.
	r.lastAttempt = r.cfg.Clock()
	return r.changeMode(ctx, events.Offline, "link_down", "the link to head office is down")
}

// reconnect goes online again where fact begins a transaction, and only then, if
// the interval since the last attempt has passed. Who disconnected the register by hand
// connects it again by hand.
func (r *Register) reconnect(ctx context.Context, fact events.Fact) error {
	sale, ok := fact.(events.OfTransaction)
	begins := ok && sale.Sale().Begins != nil
	if !begins || r.state.Mode == events.Online || r.state.ManualOffline || r.cfg.HQ == "" {
		return nil
	}
	now := r.cfg.Clock()
	if !r.lastAttempt.IsZero() && now.Sub(r.lastAttempt) < r.cfg.Reconnect {
		return nil
	}
	r.lastAttempt = now
	if !r.node.Link().Connected {
		return nil
	}
	return r.changeMode(ctx, events.Online, "reconnected", "head office answers again")
}

func (r *Register) changeMode(ctx context.Context, to events.Mode, cause, detail string) error {
	fact := &events.ModeChanged{From: r.state.Mode, To: to, Cause: cause, Detail: detail}
	if t := r.state.Transaction; t != nil {
		fact.Transaction = t.ID
	}
	_, err := r.append(ctx, fact, events.Circumstances{Shift: r.shift(fact)})
	return err
}
