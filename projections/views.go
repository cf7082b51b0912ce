package projections

import (
	"strings"

	"github.com/posnode/posnode/events"
)

// view is one read model: a table, and the change that each fact makes to it. Each stands in a file
// of its own, with its queries.
type view struct {
	name   string
	keys   int    // how many of its first columns are its primary key
	schema string // the table and its indexes
	folds  []fold
}

// fold is the change that the facts of one type make to a view.
type fold struct {
	fact  string // stored name
	apply func(b *batch, e *events.Entry) error
}

// on is a fold of the facts of type F.
func on[F events.Fact](apply func(b *batch, e *events.Entry, f F) error) fold {
	var f F
	return fold{f.Type(), func(b *batch, e *events.Entry) error { return apply(b, e, e.Fact.(F)) }}
}

// views are all read models, in the order in which an entry is folded into them.
var views = []view{journalView, shiftsView, transactionsView, totalsView, productsView, tendersView, postingsView, returnedView,
	suspendedView, ownCustomersView, ownOrdersView, stockMovedView,
	standingsView, reportsView, drawersView, timeClockView, copiesView, givenUpView}

// journalOnly are the facts that change no view but the journal. A fact that
// neither stands here nor in a view stops the projection: to pass over it would be to lose it.
var journalOnly = []events.Fact{
	(*events.RegisterActivated)(nil),
	// Head office's own, in its own journal.
	(*events.RegisterQuarantined)(nil),
	(*events.CompletenessCertified)(nil),
	(*events.PeriodClosed)(nil),
	(*events.FindingAccepted)(nil),
	(*events.ModeChanged)(nil),
	(*events.StaffLoggedOn)(nil),
	(*events.StaffLoggedOff)(nil),
	(*events.SignOnRefused)(nil),
	(*events.JournalShown)(nil),
	(*events.ReportViewed)(nil),
	(*events.PermissionRefused)(nil),
	(*events.NumbersGuessed)(nil),
	(*events.RegisterLocked)(nil),
	(*events.RegisterUnlocked)(nil),
	(*events.DeviceActivated)(nil),
	(*events.DeviceInactivated)(nil),
	// Head office's own, which no register records.
	(*events.ActivationCodeIssued)(nil),
	(*events.ActivationRefused)(nil),
	(*events.RegisterEnrolled)(nil),
	(*events.RegisterKeyConfirmed)(nil),
	(*events.RegisterRevoked)(nil),
	(*events.ShiftConfirmed)(nil),
	(*events.ReservationGranted)(nil),
	(*events.ExceptionFound)(nil),
	(*events.CustomerMapped)(nil),
	(*events.TimeEntriesViewed)(nil),
	(*events.ShiftsListed)(nil),
	(*events.RecountAsked)(nil),
	(*events.DrawerOpened)(nil),
	(*events.ZReprinted)(nil),
	// A transaction counts when it is concluded or voided.
	(*events.LineAdded)(nil),
	(*events.LineVoided)(nil),
	(*events.LineRestored)(nil),
	(*events.QuantitySet)(nil),
	(*events.LineTurned)(nil),
	(*events.LinePriceOverridden)(nil),
	(*events.LineUnitChanged)(nil),
	(*events.LineSerialSet)(nil),
	(*events.LineCommented)(nil),
	(*events.LineDiscountSet)(nil),
	(*events.LineTaxOverridden)(nil),
	(*events.TaxOverridden)(nil),
	(*events.SaleCommented)(nil),
	(*events.TotalDiscountSet)(nil),
	(*events.PaymentTaken)(nil),
	(*events.PaymentVoided)(nil),
	(*events.CardRequested)(nil),
	(*events.CardDeclined)(nil),
	(*events.BalanceChecked)(nil),
	(*events.GiftCardPINRefused)(nil),
	// Inquiries change nothing.
	(*events.PriceChecked)(nil),
	(*events.ProductViewed)(nil),
	(*events.ProductsSearched)(nil),
	(*events.SaleCustomerSet)(nil),
	(*events.SaleCustomerCleared)(nil),
	(*events.LoyaltyCardAdded)(nil),
	(*events.AffiliationsAdded)(nil),
	(*events.OrderBegun)(nil),
	(*events.DepositOverridden)(nil),
	(*events.OrderRecalled)(nil),
	(*events.SaleTakenOver)(nil),
	// Inquiries, and facts that head office posts.
	(*events.SearchAnswered)(nil),
	(*events.StockLookedUp)(nil),
	(*events.StockCounted)(nil),
	(*events.StockCountCommitted)(nil),
	(*events.StockCountDiscarded)(nil),
}

// folds are the folds of every fact that has a place in the offline database.
var folds = newFolds()

func newFolds() map[string][]fold {
	all := map[string][]fold{}
	for _, fact := range journalOnly {
		all[fact.Type()] = nil
	}
	for _, v := range views {
		for _, f := range v.folds {
			all[f.fact] = append(all[f.fact], f)
		}
	}
	return all
}

// application marks the file as ours: "posn".
const application = 0x706f736e

// meaning goes up when a fold comes to mean something else though its table stays
// the same, so that databases of older programs are built again.
const meaning = 1

// schema lays out every view.
func schema() string {
	var all []string
	for _, v := range views {
		all = append(all, strings.TrimSpace(v.schema))
	}
	return strings.Join(all, ";\n")
}
