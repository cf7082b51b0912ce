package hq

import (
	"database/sql"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/posnode/posnode/events"
)

// TestActivationThatComesLate: the first entry of an epoch ends what was reserved in earlier ones. It may come after
// reservations of its own epoch, or of later ones: those are granted before any entry arrives, and stay.
func TestActivationThatComesLate(t *testing.T) {
	db, err := sql.Open("sqlite", ":memory:")
	require.NoError(t, err)
	defer db.Close()
	db.SetMaxOpenConns(1) // each connection would have a memory of its own
	_, err = db.Exec(schema + keptSchema + activationSchema + settleSchema)
	require.NoError(t, err)
	run := func(query string, args ...any) error {
		_, err := db.Exec(query, args...)
		return err
	}
	for register, ids := range map[string][]string{
		"s001-r01": {"s001-r01-1-7", "s001-r01-2-1", "s001-r01-10-1"},
		"s001-r02": {"s001-r02-1-7"},
		"s001-r1":  {"s001-r1-1-7"},
	} {
		for _, id := range ids {
			require.NoError(t, run(`INSERT INTO reservations VALUES (?, ?, ?, 1, 0, 'giftcard', '6001', 100, 5000, 0)`, register, id, id))
		}
	}
	for _, c := range []struct {
		epoch int
		open  []string
	}{
		{1, []string{"s001-r01-1-7", "s001-r01-10-1", "s001-r01-2-1", "s001-r02-1-7", "s001-r1-1-7"}},
		{2, []string{"s001-r01-10-1", "s001-r01-2-1", "s001-r02-1-7", "s001-r1-1-7"}},
		{1, []string{"s001-r01-10-1", "s001-r01-2-1", "s001-r02-1-7", "s001-r1-1-7"}},
		{10, []string{"s001-r01-10-1", "s001-r02-1-7", "s001-r1-1-7"}},
	} {
		activated := &events.Entry{Fact: &events.RegisterActivated{}}
		activated.Register, activated.Epoch = events.Register{Store: "s001", ID: "r01"}, c.epoch
		activated.Head = events.Head{Epoch: c.epoch, Sequence: 1}
		require.NoError(t, settle(run, activated))
		rows, err := db.Query(`SELECT transaction_id FROM reservations WHERE NOT ended ORDER BY transaction_id`)
		require.NoError(t, err)
		var open []string
		for rows.Next() {
			var id string
			require.NoError(t, rows.Scan(&id))
			open = append(open, id)
		}
		require.NoError(t, rows.Close())
		require.Equal(t, c.open, open, "the activation of epoch %d has come", c.epoch)
	}
}
