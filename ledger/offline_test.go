package ledger

import (
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// "You can complete the following operations when the channel database is offline."
const completedOffline = `
100 Product sale
101 Price check
102 Void product
103 Product comment
104 Price override
105 Set quantity
106 Clear quantity
108 Product search
109 Return product
115 Show journal
117 Add loyalty card
123 Change unit of measure
128 Override transaction tax from list
130 Override line product tax from list
132 Deposit override
134 Add affiliation
135 Add affiliation from list
200 Pay cash
202 Pay customer account
203 Pay currency
206 Pay cash quick
211 Void payment
214 Pay gift card
300 Line discount amount
301 Line discount percent
302 Total discount amount
303 Total discount percent
500 Void transaction
501 Transaction comment
503 Suspend transaction
512 Issue gift card
515 Recall order
519 Add to gift card
520 Gift card balance
602 Customer search
603 Customer clear
612 Customer add
622 Search
623 Edit customer
701 Log off
703 Lock register
801 Inventory lookup
802 Stock count
917 Database connection status
920 Time clock
921 View time clock entries
922 View product details
1003 View reports
1052 Tender declaration
1200 Declare start amount
1201 Float entry
1210 Tender removal
1211 Safe drop
1212 Bank drop`

// "You can't complete the following operations when the channel database is offline."
const notCompletedOffline = `
207 Pay loyalty card
707 Activate device
708 Inactivate device
1053 Blind close shift
1054 Suspend shift
1055 Close shift
1056 Print X
1057 Reprint Z`

// TestOperationsOffline compares both lists with the catalogue, name by name.
func TestOperationsOffline(t *testing.T) {
	listed := map[int]string{}
	each := func(list string, check func(t *testing.T, op *Operation)) (n int) {
		for line := range strings.Lines(strings.TrimSpace(list)) {
			number, name, _ := strings.Cut(strings.TrimSpace(line), " ")
			t.Run(name, func(t *testing.T) {
				id, err := strconv.Atoi(number)
				require.NoError(t, err)
				listed[id] = name
				op := Find(id)
				require.NotNil(t, op)
				require.Equal(t, name, op.Name)
				require.NotNil(t, op.decide)
				check(t, op)
			})
			n++
		}
		return n
	}
	require.Equal(t, 54, each(completedOffline, func(t *testing.T, op *Operation) { require.Contains(t, []string{Local, Bounded}, op.Offline) }))
	require.Equal(t, 8, each(notCompletedOffline, func(t *testing.T, op *Operation) { require.Equal(t, Refused, op.Offline) }))
	for _, op := range Catalogue() {
		if op.Offline == Refused {
			require.Contains(t, notCompletedOffline, "\n"+strconv.Itoa(op.ID)+" ", "offline nothing else is refused as such")
		}
	}
}
