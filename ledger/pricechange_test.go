package ledger

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/posnode/posnode/events"
)

// TestPriceChanges: a price begins at an instant, whatever the order of the record and whatever is
// on the wall: the night in which the clocks go forward has one o'clock UTC as any other.
func TestPriceChanges(t *testing.T) {
	var p Product
	require.NoError(t, json.Unmarshal([]byte(`{"product":"TEA","price":"2","units":[{"unit":"box","factor":"10"},{"unit":"tray","factor":"5","price":"9"}],
		"variants":[{"variant":"L","description":"Large"},{"variant":"XL","description":"Extra large","price":"3"}],
		"price_changes":[{"at":"2026-03-30T00:00:00Z","price":"2.50"},{"at":"2026-03-29T01:00:00Z","price":"2.20"},
			{"at":"2026-03-29T01:00:00Z","variant":"XL","price":"3.30"},{"at":"2026-03-29T01:00:00Z","unit":"tray","price":"9.90"}]}`), &p))
	for _, c := range []struct{ at, plain, large, extra, box, tray string }{
		{"2026-03-29T00:59:59Z", "2", "2", "3", "20", "9"},
		{"2026-03-29T01:00:00Z", "2.2", "2.2", "3.3", "22", "9.9"},
		{"2026-03-29T23:59:59Z", "2.2", "2.2", "3.3", "22", "9.9"},
		{"2026-03-30T00:00:00Z", "2.5", "2.5", "3.3", "25", "9.9"},
	} {
		at, err := time.Parse(time.RFC3339, c.at)
		require.NoError(t, err)
		d := &deciding{}
		d.At = at.Unix()
		price := func(variant, unit string) string {
			line := events.Line{Variant: variant}
			if u := p.unit(unit); u != nil {
				line.Unit, line.Factor = unit, u.Factor
			}
			price, err := d.basePrice(p, &line)
			require.NoError(t, err)
			return price.String()
		}
		require.Equal(t, []string{c.plain, c.large, c.extra, c.box, c.tray},
			[]string{price("", ""), price("L", ""), price("XL", ""), price("", "box"), price("", "tray")}, c.at)
	}
	for _, wrong := range []string{"2026-03-29T01:00:00+01:00", "2026-03-29T01:00:00.5Z", "2026-03-29", ""} {
		require.Error(t, json.Unmarshal([]byte(`{"price_changes":[{"at":"`+wrong+`","price":"1"}]}`), &p), wrong)
	}
}
