package register

import (
	"context"
	"encoding/json"
	"time"

	"github.com/posnode/posnode/events"
)

// announceEvery is how often HQ hears how far the journal goes.
const announceEvery = 3 * time.Second

// announce tells HQ how far the journal goes, so that HQ knows what has not arrived yet.
func (r *Register) announce(ctx context.Context) {
	for ctx.Err() == nil {
		if r.node.Link().Connected {
			payload, err := json.Marshal(events.Announcement{Head: r.View().Head, Time: r.cfg.Clock().UTC()})
			if err == nil {
				err = r.node.Announce(payload)
			}
			if err != nil {
				r.cfg.Logger.Warn("head office could not be told of the journal", "error", err)
			}
		}
		sleep(ctx, announceEvery)
	}
}
