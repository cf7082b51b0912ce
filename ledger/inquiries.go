package ledger

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/posnode/posnode/events"
)

// MaxShown is how many transactions operation 115 shows at most: they are kept with the inquiry.
const MaxShown = 50

// Reports are the reports that operation 1003 can show.
var Reports = []string{"days", "products", "shifts", "tenders", "trial-balance"}

// Shown answers a query of kind "journal", whose key is an [events.JournalFilter] in JSON.
type Shown struct {
	Found int // how many there are
	Rows  []events.JournalRow
}

// PrintedDocument answers a query of kind "printed", whose key is a receipt number:
// a document that was printed, and how often it was printed again.
type PrintedDocument struct {
	Transaction events.TransactionID
	Status      string // concluded or voided
	Epoch       int    // of the entry that holds it
	Sequence    uint64 // of the entry that holds it
	Copies      map[string]int
}

func inquiryOperations() []*Operation {
	from := Parameter{Name: "from", Kind: KindText, Max: 10, Doc: "first business date, YYYY-MM-DD"}
	to := Parameter{Name: "to", Kind: KindText, Max: 10, Doc: "last business date, YYYY-MM-DD"}
	shift := Parameter{Name: "shift", Kind: KindText, Max: 80, Doc: "shift"}
	return []*Operation{
		{ID: 115, Name: "Show journal", Group: "inquiries", Offline: Local, Gates: Gates{Cart: NoCart},
			Params: []Parameter{
				from, to, shift,
				{Name: "transaction", Kind: KindText, Max: 80, Doc: "transaction"},
				{Name: "receipt", Kind: KindText, Max: 80, Doc: "receipt number"},
				{Name: "staff", Kind: KindText, Max: 20, Doc: "who ended the transaction"},
				{Name: "product", Kind: KindText, Max: 40, Doc: "item number on one of its lines"},
				{Name: "barcode", Kind: KindText, Max: 64, Doc: "barcode that was scanned for one of its lines"},
				{Name: "customer", Kind: KindText, Max: 40, Doc: "customer whom it was for"},
				{Name: "order", Kind: KindText, Max: 60, Doc: "customer order that it placed, picked up or cancelled"},
				{Name: "limit", Kind: KindNumber, Max: MaxShown, Doc: "how many transactions at most, the last first; 20 if absent"},
				{Name: "print", Kind: KindText, Max: 10, Doc: "copy or gift: print the receipt with that number again, instead of a list"},
			},
			asks: askJournal, decide: showJournal},
		{ID: 1003, Name: "View reports", Group: "inquiries", Offline: Local, Gates: Gates{},
			Params: []Parameter{
				{Name: "report", Kind: KindText, Required: true, Max: 20, Doc: "which: " + strings.Join(Reports, ", ")},
				from, to, shift,
			},
			decide: viewReport},
	}
}

// journalFilter is what operation 115 looks for.
func journalFilter(in values) events.JournalFilter {
	f := events.JournalFilter{
		From: in.text("from"), To: in.text("to"), Transaction: events.TransactionID(in.text("transaction")),
		Receipt: events.ReceiptNumber(in.text("receipt")), Shift: events.ShiftID(in.text("shift")),
		Staff: events.StaffID(in.text("staff")), Product: events.ProductID(in.text("product")), Limit: in.number("limit"),
		Barcode: in.text("barcode"), Customer: events.CustomerID(in.text("customer")), Order: events.OrderID(in.text("order")),
	}
	if f.Limit == 0 {
		f.Limit = 20
	}
	return f
}

// journalQuery asks for what f selects.
func journalQuery(f events.JournalFilter) Query {
	key, err := json.Marshal(f)
	if err != nil {
		panic(err) // texts and a number always encode
	}
	return Query{"journal", string(key)}
}

func askJournal(_ *State, in values) []Query {
	if in.has("print") {
		return []Query{{"printed", in.text("receipt")}}
	}
	return []Query{journalQuery(journalFilter(in))}
}

// showJournal looks transactions up, or prints a receipt again (operation 115).
func showJournal(d *deciding) (events.Requested, error) {
	if d.in.has("print") {
		return reprint(d)
	}
	f := journalFilter(d.in)
	if err := checkDates(f.From, f.To); err != nil {
		return nil, err
	}
	q := journalQuery(f)
	shown, _ := find[Shown](d.Reference, q.Kind, q.Key)
	if shown.Rows == nil {
		shown.Rows = []events.JournalRow{}
	}
	return &events.JournalShown{Filter: f, Found: shown.Found, Rows: shown.Rows, AsOf: d.Head.Sequence}, nil
}

// reprint prints a receipt again, as a copy with its number or as a gift receipt.
func reprint(d *deciding) (events.Requested, error) {
	kind, number := d.in.text("print"), d.in.text("receipt")
	if kind != events.ReceiptCopy && kind != events.ReceiptGift {
		return nil, refuseParameter("print", "want copy or gift")
	}
	for _, name := range []string{"from", "to", "shift", "transaction", "staff", "product", "barcode", "customer", "order", "limit"} {
		if d.in.has(name) {
			return nil, refuseParameter(name, "does not go with print")
		}
	}
	if number == "" {
		return nil, refuseParameter("receipt", "is missing")
	}
	doc, known := find[PrintedDocument](d.Reference, "printed", number)
	switch {
	case !known:
		return nil, refuse("unknown_receipt", "There is no receipt %s at this register.", number).instead("Look the transaction up by its date.").miss()
	case kind == events.ReceiptGift && doc.Status != "concluded":
		return nil, refuse("no_gift_receipt", "Receipt %s sold nothing that could be a gift.", number)
	}
	return &events.ReceiptReprinted{
		Transaction: doc.Transaction, Number: events.ReceiptNumber(number), Kind: kind, Copy: doc.Copies[kind] + 1,
		Epoch: doc.Epoch, Sequence: doc.Sequence,
	}, nil
}

// viewReport records that someone looks at a report on the offline database (operation 1003).
func viewReport(d *deciding) (events.Requested, error) {
	f := &events.ReportViewed{
		Report: d.in.text("report"), From: d.in.text("from"), To: d.in.text("to"), Shift: events.ShiftID(d.in.text("shift")), AsOf: d.Head.Sequence,
	}
	if !slices.Contains(Reports, f.Report) {
		return nil, refuse("unknown_report", "There is no report %s.", f.Report).instead("Choose one of " + strings.Join(Reports, ", ") + ".")
	}
	if !d.rights.MayView(f.Report) {
		return nil, deny("%s may not view the report %s.", d.State.Staff.ID, f.Report)
	}
	return f, checkDates(f.From, f.To)
}

// printed is what paper says of a fact besides the fact.
func (d *deciding) printed(fact events.Fact) events.Printed {
	p := events.Printed{Shop: d.Reference.Store.Shop, Offset: d.Offset}
	used := d.slip(&p, fact)
	pay := func(payments []events.Payment) {
		for _, payment := range payments {
			used = append(used, payment.Tender, payment.ChangeTender)
		}
	}
	count := func(r events.ShiftReport) {
		for _, t := range r.Totals.Tenders {
			used = append(used, t.Tender)
		}
	}
	switch f := fact.(type) {
	case *events.SaleConcluded:
		pay(f.Payments)
	case *events.OrderPlaced:
		pay(f.Payments)
	case *events.XPrinted:
		count(f.Report)
	case *events.ShiftClosed:
		count(f.Report)
	}
	seen := map[events.TenderID]bool{}
	for _, id := range used {
		tender := d.Reference.Store.Tenders[string(id)]
		if seen[id] || tender.Name == "" {
			continue
		}
		seen[id] = true
		p.Tenders = append(p.Tenders, events.TenderName{Tender: id, Name: tender.Name})
	}
	return p
}

// slip is what paper says of money that was moved or counted in a shift's drawer: the
// tenders that it names, and the currencies that its fact counts in.
func (d *deciding) slip(p *events.Printed, fact events.Fact) (used []events.TenderID) {
	in := func(tender events.TenderID, currency string) {
		used = append(used, tender)
		foreign, known := d.Reference.Store.Currencies[currency]
		one := events.CurrencyDigits{Currency: currency, Digits: foreign.Digits}
		if shift := d.unclosed(fact.(events.OfShift).OfShift()); shift.Currency == currency {
			one.Digits, known = shift.Digits, true
		}
		if known && !slices.Contains(p.Currencies, one) {
			p.Currencies = append(p.Currencies, one)
		}
	}
	counts := func(list []events.Count) {
		for _, c := range list {
			in(c.Tender, c.Currency)
		}
	}
	switch f := fact.(type) {
	case *events.StartAmountDeclared:
		in(f.Tender, f.Currency)
	case *events.FloatAdded:
		in(f.Tender, f.Currency)
	case *events.TenderRemoved:
		in(f.Tender, f.Currency)
	case *events.IncomeTaken:
		in(f.Tender, f.Currency)
	case *events.ExpensePaid:
		in(f.Tender, f.Currency)
	case *events.SafeDropped:
		counts(f.Amounts)
	case *events.BankDropped:
		counts(f.Amounts)
	case *events.DrawerDeclared:
		for _, c := range f.Counts {
			in(c.Tender, c.Currency)
		}
	}
	return used
}
