package ledger_test

import (
	"maps"

	"github.com/posnode/posnode/events"
	"github.com/posnode/posnode/ledger"
)

func init() {
	maps.Copy(pins, map[string]string{"2": "2222"})
}

// moreRecords are the reference shop's who may see some reports.
func moreRecords() map[ledger.Query]any {
	records := map[ledger.Query]any{}
	for _, s := range []ledger.StaffMember{
		{ID: "2", Name: "Ida", Groups: []events.Rights{
			{Operations: []int{100, 206, 1003, 1050, 1200}, Reports: []string{"tenders", "days"}}, {Operations: []int{100}, Reports: []string{"days", "gossip"}},
		}},
	} {
		records[ledger.Query{Kind: "staff", Key: string(s.ID)}] = s
	}
	return records
}
