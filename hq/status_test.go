package hq

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// What was announced and is not verified grows old until it is, and the last certified day is told.
func TestStatusOfARegister(t *testing.T) {
	o, w := newOffice(t), newWriter(t)
	status := func() RegisterStatus {
		all, err := o.Registers(t.Context())
		require.NoError(t, err)
		require.Len(t, all, 1)
		return all[0]
	}
	begin := w.activation()
	day := w.day("2026-03-02", 1, 3)
	o.receive(begin)
	o.receive(day[:2]...)
	o.receive(day[3:]...)
	since := o.at
	o.announces(w, o.at)
	require.Equal(t, since, status().UnverifiedSince)
	o.at = o.at.Add(time.Hour)
	require.Equal(t, since, status().UnverifiedSince)
	o.receive(day[2])
	require.Zero(t, status().UnverifiedSince)
	require.Empty(t, status().Certified)

	o.announces(w, o.at.AddDate(0, 0, 1))
	_, obstacles, err := o.Certify(t.Context(), w.register, "2026-03-02")
	require.NoError(t, err)
	require.Empty(t, obstacles)
	require.Equal(t, "2026-03-02", status().Certified)
	totals, err := o.Totals(t.Context())
	require.NoError(t, err)
	require.Zero(t, totals.Open[KindGap], "it was filled")
}
