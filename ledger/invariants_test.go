package ledger_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/big"
	"reflect"
	"slices"
	"strings"

	"github.com/posnode/posnode/events"
	"github.com/posnode/posnode/ledger"
)

// What must hold after every entry, whatever the operation. The sums are made
// here once more from nothing, with fractions and in the slowest way there is:
// the ledger keeps them up to date line by line and rounds integers.

// books are what the postings of the journal add up to.
type books struct {
	drawer   map[events.ShiftID]map[string]events.Money // by shift and tender, in the shift's currency
	foreign  map[events.ShiftID]map[string]events.Money // by shift, and tender and currency, in that currency
	receipts int
	z        int // Z reports
	ids      map[string]bool
}

// check says what is wrong with the till after entry, which was applied last.
func (w *till) check(entry *events.Entry) error {
	b := &w.books
	if b.ids == nil {
		b.ids, b.drawer, b.foreign = map[string]bool{}, map[events.ShiftID]map[string]events.Money{}, map[events.ShiftID]map[string]events.Money{}
	}
	if b.ids[entry.ID] {
		return fmt.Errorf("id %s twice", entry.ID)
	}
	b.ids[entry.ID] = true
	if err := w.checkForeign(entry); err != nil {
		return err
	}
	if err := w.checkPostings(entry); err != nil {
		return err
	}
	if err := w.checkReport(entry); err != nil {
		return err
	}
	if receipt, ok := field[events.ReceiptNumber](entry.Fact, "Receipt"); ok && receipt != "" && w.store.ReceiptMask == "" {
		b.receipts++
		if want := fmt.Sprintf("s001-r01-1-%06d", b.receipts); string(receipt) != want {
			return fmt.Errorf("receipt %s, want %s", receipt, want)
		}
	}
	if w.hasty {
		return nil
	}
	if f, ok := entry.Fact.(*events.SaleConcluded); ok {
		t := &ledger.Transaction{}
		if f.Order != nil {
			t.Order = &ledger.CartOrder{PickedUp: *f.Order}
		}
		if err := checkDocument(f, t, f.Sales+f.Returns+f.GiftCards); err != nil {
			return err
		}
	}
	if f, ok := entry.Fact.(*events.OrderPlaced); ok {
		t := &ledger.Transaction{Order: &ledger.CartOrder{Agreed: &f.Placed.Deposit}}
		if err := checkDocument(&f.SaleConcluded, t, f.After.Subtotal-f.After.Discount); err != nil {
			return err
		}
	}
	if f, ok := entry.Fact.(*events.SaleSuspended); ok {
		if err := w.checkHeld(entry, f); err != nil {
			return err
		}
	}
	f, ok := entry.Fact.(events.OfTransaction)
	if t := w.state.Transaction; ok && t != nil {
		if err := w.checkOffers(t); err != nil {
			return err
		}
		want, err := addUp(t)
		if err != nil {
			return err
		}
		if t.Totals != want || f.Sale().After != want {
			return fmt.Errorf("totals %+v, after %+v, added up from nothing %+v", t.Totals, f.Sale().After, want)
		}
	}
	return nil
}

// checkHeld takes what was set aside over at another till: there it must stand as it stood here.
func (w *till) checkHeld(entry *events.Entry, f *events.SaleSuspended) error {
	other := readyTill(w.store)
	other.records = maps.Clone(w.records)
	other.records[ledger.Query{Kind: "suspended", Key: string(f.Transaction)}] = ledger.SuspendedBy(tillRegister, entry.Head, f)
	other.connect(events.Online)
	c := other.command(504, fmt.Sprintf(`{"transaction":%q}`, f.Transaction))
	a, err := other.do(c)
	if refusal := (*ledger.Refusal)(nil); errors.As(err, &refusal) && slices.Contains([]string{"reason_required", "suspended_currency_differs"}, refusal.Code) {
		return nil // the settings are others than when the transaction began
	}
	if err != nil {
		return fmt.Errorf("what was set aside is not taken over: %w", err)
	}
	if taken := a.entry.Fact.(*events.SaleTakenOver); len(taken.Dropped)+len(taken.Changed) > 0 {
		return nil // a product is not sold any more, or costs something else
	}
	stands := func(t *ledger.Transaction) string {
		one := *t
		// The payments that were voided stay where they were made.
		one.ID, one.Terms.Number, one.SuspendedAt, one.Payments, one.Requests = "", 0, 0, nil, 0
		return string(must(json.Marshal(one)))
	}
	if here, there := stands(w.state.Suspended[len(w.state.Suspended)-1]), stands(other.state.Transaction); here != there {
		return fmt.Errorf("what was set aside stands otherwise where it was taken over\nhere  %s\nthere %s", here, there)
	}
	return nil
}

// checkPostings says whether money was made or lost, and whether the drawer holds what was posted to it.
func (w *till) checkPostings(entry *events.Entry) error {
	fact := entry.Fact
	postings, ok := field[[]events.Posting](fact, "Postings")
	if !ok {
		return nil
	}
	var sum events.Money
	for _, p := range postings {
		sum += p.Amount
		if tender, ok := strings.CutPrefix(p.Account, "tender:"); ok {
			if w.books.drawer[entry.Shift] == nil {
				w.books.drawer[entry.Shift] = map[string]events.Money{}
			}
			w.books.drawer[entry.Shift][tender] += p.Amount
		}
	}
	if sum != 0 {
		return fmt.Errorf("the postings of %s sum to %d: %v", fact.Type(), sum, postings)
	}
	for _, shift := range append([]*ledger.Shift{w.state.Shift}, w.state.SetAside...) {
		if shift == nil {
			continue
		}
		for tender, want := range w.books.drawer[shift.Shift] {
			if booked := shift.Booked["tender:"+tender]; strings.Contains(tender, ":") && booked == want {
				continue // counted in its own currency
			}
			if got, booked := shift.Expected()[events.TenderID(tender)], shift.Booked["tender:"+tender]; got != want || booked != want {
				return fmt.Errorf("the drawer should hold %d of %s by the postings, and %d or %d by the state", want, tender, got, booked)
			}
		}
	}
	return nil
}

// checkForeign says whether the drawer holds the foreign money that was paid, and whether it was worth what was settled for it.
func (w *till) checkForeign(entry *events.Entry) error {
	fact := entry.Fact
	for _, p := range concludedPayments(fact) {
		if p.Foreign == nil {
			continue
		}
		key := string(p.Tender) + ":" + p.Foreign.Currency
		if w.books.foreign[entry.Shift] == nil {
			w.books.foreign[entry.Shift] = map[string]events.Money{}
		}
		w.books.foreign[entry.Shift][key] += p.Foreign.Amount
		worth := mul(units(p.Foreign.Amount), new(big.Rat).Inv(tenTo(p.Foreign.Digits)), rat(p.Foreign.Rate), tenTo(termsOf(fact).Digits))
		if want := roundHalfAway(worth); p.Tendered != want {
			return fmt.Errorf("%d of %s at %s were taken for %d, not %d", p.Foreign.Amount, key, p.Foreign.Rate, p.Tendered, want)
		}
	}
	var dropped []events.Count
	switch f := fact.(type) {
	case *events.SafeDropped:
		dropped = f.Amounts
	case *events.BankDropped:
		dropped = f.Amounts
	}
	for _, c := range dropped {
		if key := string(c.Tender) + ":" + c.Currency; c.Currency != w.store.Currency {
			w.books.foreign[entry.Shift][key] -= c.Amount
		}
	}
	if w.state.Shift == nil {
		return nil
	}
	for key, want := range w.books.foreign[w.state.Shift.Shift] {
		if got := w.state.Shift.Expected()[events.TenderID(key)]; got != want {
			return fmt.Errorf("the drawer should hold %d of %s by the payments, and %d by the state", want, key, got)
		}
	}
	return nil
}

func concludedPayments(fact events.Fact) []events.Payment {
	switch f := fact.(type) {
	case *events.SaleConcluded:
		return f.Payments
	case *events.OrderPlaced:
		return f.Payments
	}
	return nil
}

func termsOf(fact events.Fact) events.Terms {
	terms, _ := field[events.Terms](fact, "Terms")
	return terms
}

// checkDocument says whether a document follows from its own lines and payments, in the
// transaction t of that order, and whether its lines come to net.
func checkDocument(f *events.SaleConcluded, t *ledger.Transaction, wantNet events.Money) error {
	t.Terms = f.Terms
	for i := range f.Lines {
		t.Lines = append(t.Lines, &ledger.Line{Line: f.Lines[i].Line, Voided: f.Lines[i].Voided})
	}
	for _, p := range f.Payments {
		t.Payments = append(t.Payments, &ledger.Payment{Payment: p})
		if p.Amount-p.Rounding+p.Change != p.Tendered {
			return fmt.Errorf("payment %+v does not add up", p)
		}
	}
	t.Discount.Amount = f.After.Discount
	want, err := addUp(t)
	if err != nil {
		return err
	}
	if f.After != want || want.Due != 0 {
		return fmt.Errorf("after %+v, added up from the document %+v", f.After, want)
	}
	var net, tax, shares events.Money
	for i, line := range f.Lines {
		if line.Voided && (line.Net != 0 || line.TotalDiscount != 0 || line.Tax != nil) {
			return fmt.Errorf("voided line %d counts", i+1)
		}
		net, shares = net+line.Net, shares+line.TotalDiscount
		for _, m := range line.Tax {
			tax += m
		}
	}
	var taxTotals events.Money
	for _, total := range f.Taxes {
		taxTotals += total.Tax
	}
	if net != want.Subtotal-want.Discount || wantNet != net || tax != want.Tax || taxTotals != tax || shares != want.Discount {
		return fmt.Errorf("lines: net %d, tax %d, shares %d; sales %d, returns %d, tax totals %d; totals %+v",
			net, tax, shares, f.Sales, f.Returns, taxTotals, want)
	}
	return nil
}

// addUp is how a transaction stands, from its lines, its discount and its payments alone.
func addUp(t *ledger.Transaction) (events.Totals, error) {
	var out events.Totals
	weights := make([]*big.Rat, len(t.Lines))
	discountable := new(big.Rat)
	for i, line := range t.Lines {
		weights[i] = new(big.Rat)
		if line.Voided {
			continue
		}
		if want := roundHalfAway(mul(rat(line.Price), rat(line.Quantity), tenTo(t.Terms.Digits))); line.Gross != want {
			return out, fmt.Errorf("line %d: gross %d, want %d", i+1, line.Gross, want)
		}
		out.Lines++
		amount, err := lineAmount(line)
		if err != nil {
			return out, err
		}
		out.Subtotal += amount
		if amount > 0 && line.Quantity.Sign() > 0 && !line.NotDiscountable {
			weights[i] = units(amount)
			discountable.Add(discountable, weights[i])
		}
	}
	if t.Discount.Percent.IsZero() {
		out.Discount = min(t.Discount.Amount, roundHalfAway(discountable))
	} else {
		out.Discount = roundHalfAway(mul(discountable, rat(t.Discount.Percent), big.NewRat(1, 100)))
	}
	for i, share := range largestRemainder(out.Discount, weights) {
		if !t.Lines[i].Voided {
			out.Tax += taxOn(t.Lines[i].Amount()-share, t.Lines[i].Taxes, t.Terms.TaxIncluded)
		}
	}
	out.Total = out.Subtotal - out.Discount
	if !t.Terms.TaxIncluded {
		out.Total += out.Tax
	}
	for _, p := range t.Payments {
		if !p.Voided {
			out.Paid += p.Amount
		}
	}
	if o := t.Order; o != nil {
		deposit := o.PickedUp.Deposit
		out.Elsewhere = deposit
		if o.PickedUp.Order == "" {
			unit := max(1, o.RoundTo)
			deposit = roundHalfAway(mul(units(out.Total), rat(o.Percent), big.NewRat(1, 100)))
			deposit = unit * roundHalfAway(mul(units(deposit), big.NewRat(1, int64(unit))))
			if o.Agreed != nil {
				deposit = *o.Agreed
			}
			out.Elsewhere = out.Total - min(deposit, out.Total)
		}
	}
	out.Due = out.Total - out.Elsewhere - out.Paid
	return out, nil
}

// lineAmount is what a line comes to after its own discounts, each made once more from its terms.
func lineAmount(line *ledger.Line) (events.Money, error) {
	rest := line.Gross
	if o := line.Offer; o != nil {
		want := roundHalfAway(mul(units(rest), rat(o.Percent), big.NewRat(1, 100)))
		if o.Percent.IsZero() {
			want = o.Amount // its digits are the currency's: see checkOffers
		}
		if o.Amount != want || o.Amount <= 0 || o.Amount > rest {
			return 0, fmt.Errorf("line %d: offer %+v on %d", line.Number, o, rest)
		}
		rest -= o.Amount
	}
	if c := line.Discount; c != nil {
		want := roundHalfAway(mul(units(rest), rat(c.Percent), big.NewRat(1, 100)))
		if c.Percent.IsZero() {
			want = min(c.Keyed, max(rest, -rest))
			if rest < 0 {
				want = -want
			}
		}
		if c.Amount != want {
			return 0, fmt.Errorf("line %d: discount %+v on %d", line.Number, c, rest)
		}
		rest -= c.Amount
	}
	if o := line.Original; o != nil {
		// All returns of a line together give back its part of what was paid, rounded once.
		upTo := new(big.Rat).Sub(rat(o.Returned), rat(line.Quantity))
		back := roundHalfAway(mul(units(o.Paid), upTo, new(big.Rat).Inv(rat(o.Bought)))) - o.GivenBack
		if rest -= o.Discount; rest != -back || line.Offer != nil || line.Discount != nil || upTo.Cmp(rat(o.Bought)) > 0 {
			return 0, fmt.Errorf("line %d gives back %d of %+v, want %d", line.Number, -rest, o, back)
		}
	}
	if rest != line.Amount() {
		return 0, fmt.Errorf("line %d comes to %d, says %d", line.Number, rest, line.Amount())
	}
	return rest, nil
}

// checkOffers says whether every line of the transaction has the best of its product's
// offers for all that there is of the product, found by a walk over all lines.
func (w *till) checkOffers(t *ledger.Transaction) error {
	takesPart := func(l *ledger.Line) bool {
		return !l.Voided && !l.NotDiscountable && !l.PriceKeyed && l.Overridden == nil && l.Original == nil &&
			l.Quantity.Sign() > 0 && l.Factor.IsZero()
	}
	for _, line := range t.Lines {
		p, ok := w.records[ledger.Query{Kind: "product", Key: string(line.Product)}].(ledger.Product)
		if !ok || len(p.Offers) == 0 {
			continue
		}
		total := new(big.Rat)
		for _, other := range t.Lines {
			if other.Product == line.Product && takesPart(other) {
				total.Add(total, rat(other.Quantity))
			}
		}
		var best events.Money
		for _, o := range p.Offers {
			mine := o.Group == "" || slices.Contains(t.PriceGroups, o.Group)
			if !mine || o.From > "2026-03-02" || o.To != "" && o.To < "2026-03-02" || rat(o.MinQuantity).Cmp(total) > 0 || !takesPart(line) {
				continue
			}
			off := roundHalfAway(mul(units(line.Gross), rat(o.Percent), big.NewRat(1, 100)))
			if o.Percent.IsZero() {
				off = min(line.Gross, roundHalfAway(mul(rat(o.AmountOff), rat(line.Quantity), tenTo(t.Terms.Digits))))
			}
			best = max(best, off)
		}
		var got events.Money
		if line.Offer != nil {
			got = line.Offer.Amount
		}
		if got != best {
			return fmt.Errorf("line %d: the offer takes %d off, the best would take %d", line.Number, got, best)
		}
	}
	return nil
}

// taxOn is the tax on (or, with prices that include it, in) net at all rates together.
func taxOn(net events.Money, rates []events.TaxRate, included bool) events.Money {
	percent := new(big.Rat)
	for _, r := range rates {
		percent.Add(percent, rat(r.Rate))
	}
	of := big.NewRat(100, 1)
	if included {
		of.Add(of, percent)
	}
	return roundHalfAway(mul(units(net), percent, new(big.Rat).Inv(of)))
}

// largestRemainder gives out whole units one by one, each to whom the most is still owed.
func largestRemainder(amount events.Money, weights []*big.Rat) []events.Money {
	shares := make([]events.Money, len(weights))
	total := new(big.Rat)
	for _, w := range weights {
		total.Add(total, w)
	}
	if total.Sign() == 0 || amount == 0 {
		return shares
	}
	owed := make([]*big.Rat, len(weights))
	left := amount
	for i, w := range weights {
		owed[i] = mul(units(amount), w, new(big.Rat).Inv(total))
		shares[i] = events.Money(new(big.Int).Quo(owed[i].Num(), owed[i].Denom()).Int64())
		owed[i].Sub(owed[i], units(shares[i]))
		left -= shares[i]
	}
	for ; left > 0; left-- {
		most := 0
		for i := range owed {
			if owed[i].Cmp(owed[most]) > 0 {
				most = i
			}
		}
		shares[most]++
		owed[most].SetInt64(-1)
	}
	return shares
}

func rat(s fmt.Stringer) *big.Rat {
	r, ok := new(big.Rat).SetString(s.String())
	if !ok {
		panic(s.String() + " is not a number")
	}
	return r
}

func units(m events.Money) *big.Rat { return new(big.Rat).SetInt64(int64(m)) }

func tenTo(digits int) *big.Rat {
	return new(big.Rat).SetInt(new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(digits)), nil))
}

func mul(factors ...*big.Rat) *big.Rat {
	product := big.NewRat(1, 1)
	for _, f := range factors {
		product.Mul(product, f)
	}
	return product
}

// roundHalfAway is r without its fraction, and one more, away from zero, where that was a half or more.
func roundHalfAway(r *big.Rat) events.Money {
	whole := new(big.Int).Quo(r.Num(), r.Denom())
	rest := new(big.Rat).Sub(r, new(big.Rat).SetInt(whole))
	if rest.Abs(rest).Cmp(big.NewRat(1, 2)) >= 0 {
		whole.Add(whole, big.NewInt(int64(r.Sign())))
	}
	if !whole.IsInt64() {
		panic(whole.String() + " is more than an int64")
	}
	return events.Money(whole.Int64())
}

// field is the field of a fact with that name and type, also of one that is embedded.
func field[T any](fact events.Fact, name string) (T, bool) {
	v := reflect.ValueOf(fact).Elem().FieldByName(name)
	if !v.IsValid() {
		return *new(T), false
	}
	out, ok := v.Interface().(T)
	return out, ok
}
