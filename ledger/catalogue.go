package ledger

import "slices"

// How an operation fares while the Retail Server cannot be reached.
const (
	Local   = "local"   // decided here, with nothing missing
	Bounded = "bounded" // decided here within the offline limits
	Refused = "refused" // not without HQ
)

// Operation is one line of the catalogue.
type Operation struct {
	ID      int         `json:"id"`
	Name    string      `json:"name"`
	Group   string      `json:"group"`
	Offline string      `json:"offline"` // local, bounded or refused
	Gates   Gates       `json:"gates"`
	Params  []Parameter `json:"parameters"`
	Reason  string      `json:"reason,omitempty"` // trigger of reason codes, such as void_item

	// begins says that the operation begins a transaction where none is in progress.
	begins bool
	asks   func(s *State, in values) []Query
	decide decider
}

// Sells says whether the operation may change the transaction in progress. 602 asks
// for a shift only where it sets the customer.
func (op *Operation) Sells() bool { return op.Gates.Shift || op.ID == 602 }

// Catalogue lists every operation, by id.
func Catalogue() []*Operation { return catalogue }

// Find is the operation with that id, or nil.
func Find(id int) *Operation {
	i, ok := slices.BinarySearchFunc(catalogue, id, func(op *Operation, id int) int { return op.ID - id })
	if !ok {
		return nil
	}
	return catalogue[i]
}

var catalogue = newCatalogue()

func newCatalogue() (all []*Operation) {
	for _, group := range [][]*Operation{
		lineOperations(), productOperations(), discountOperations(), taxOperations(), returnOperations(), transactionOperations(),
		paymentOperations(), giftCardOperations(), staffOperations(), shiftOperations(), drawerOperations(), connectionOperations(),
		attachOperations(), customerOperations(), suspendOperations(), orderOperations(), stockOperations(), inquiryOperations(),
	} {
		all = append(all, group...)
	}
	for _, op := range all {
		if !op.Gates.Open && !op.Gates.AnyStaff {
			op.Params = append(op.Params, approvalParams...)
		}
		if op.Reason != "" {
			op.Params = append(op.Params, reasonParams("reason", "")...)
		}
		if slices.Contains(beginning, op.ID) {
			op.Params = append(op.Params, reasonParams("start_reason", "why a transaction begins, where it begins one: ")...)
		}
		if slices.Contains(ending, op.ID) {
			op.Params = append(op.Params, reasonParams("end_reason", "why a transaction ends, where it concludes one: ")...)
		}
	}
	slices.SortFunc(all, func(a, b *Operation) int { return a.ID - b.ID })
	return all
}

// The operations that can begin a transaction, and that can conclude one: the store may
// want a reason for either.
var (
	beginning = []int{100, 109, 114, 117, 134, 135, 512, 515, 519, 602}
	ending    = []int{139, 200, 201, 202, 203, 204, 206, 207, 214}
)

// reasonParams give a reason code that an operation may ask for.
func reasonParams(name, what string) []Parameter {
	return []Parameter{
		{Name: name, Kind: KindText, Max: 20, Doc: what + "reason code"},
		{Name: name + "_note", Kind: KindText, Free: true, Max: 200, Doc: "what the cashier adds to the reason"},
	}
}

var (
	lineParam = Parameter{Name: "line", Kind: KindNumber, Required: true, Max: MaxLines, Doc: "number of the line in its transaction, from 1"}
	// approvalParams let a manager approve one call; every operation that needs a permission has them.
	approvalParams = []Parameter{
		{Name: "approver", Kind: KindText, Max: 20, Doc: "staff number of the manager who approves this one call"},
		{Name: "approver_pin", Kind: KindText, Max: 40, Secret: true, Doc: "the manager's PIN"},
	}
	commentParam = Parameter{Name: "comment", Kind: KindText, Free: true, Max: 200, Doc: "a note"}
)
