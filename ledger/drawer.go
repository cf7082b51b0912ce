package ledger

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/posnode/posnode/events"
)

var (
	// shiftParam names another shift than the open one.
	shiftParam  = Parameter{Name: "shift", Kind: KindText, Max: 60, Doc: "a blind-closed shift; the open one if absent"}
	cashParam   = Parameter{Name: "amount", Kind: KindAmount, Required: true, Doc: "cash, in minor units, above 0"}
	countsParam = Parameter{Name: "amounts", Kind: KindCounts, Required: true, Max: 20, Doc: "amounts by tender and currency, each above 0"}
)

func drawerOperations() []*Operation {
	need := Gates{Shift: true, Cart: NoCart}
	chosen := Gates{Shift: true, ChosenShift: true, Cart: NoCart}
	drop := Gates{Shift: true, ChosenShift: true, Cart: NoCart, DrawerOpen: true}
	account := []Parameter{{Name: "account", Kind: KindText, Required: true, Max: 20, Doc: "of the store's list"}, cashParam, commentParam}
	return []*Operation{
		{ID: 517, Name: "Income accounts", Group: "drawer", Offline: Local, Gates: need, Params: account, decide: takeIncome},
		{ID: 518, Name: "Expense accounts", Group: "drawer", Offline: Local, Gates: need, Params: account, decide: payExpense},
		{ID: 1000, Name: "Open drawer", Group: "drawer", Offline: Local, Gates: need, Params: []Parameter{commentParam}, Reason: "open_drawer", decide: openDrawer},
		{ID: 1052, Name: "Tender declaration", Group: "drawer", Offline: Local, Gates: drop, Reason: "tender_declaration",
			Params: []Parameter{{Name: "counts", Kind: KindCounts, Required: true, Max: 20, Doc: "what was counted, by tender and currency"}, shiftParam, commentParam},
			decide: declareTenders},
		{ID: 1200, Name: "Declare start amount", Group: "drawer", Offline: Local, Gates: chosen,
			Params: []Parameter{
				{Name: "amount", Kind: KindAmount, Required: true, Doc: "cash in the drawer, in minor units"},
				shiftParam, commentParam,
			},
			decide: declareStart},
		{ID: 1201, Name: "Float entry", Group: "drawer", Offline: Local, Gates: need, Params: []Parameter{cashParam, commentParam}, decide: addFloat},
		{ID: 1210, Name: "Tender removal", Group: "drawer", Offline: Local, Gates: chosen, Params: []Parameter{cashParam, shiftParam, commentParam}, decide: removeTender},
		{ID: 1211, Name: "Safe drop", Group: "drawer", Offline: Local, Gates: drop, Params: []Parameter{countsParam, shiftParam, commentParam}, decide: dropInSafe},
		{ID: 1212, Name: "Bank drop", Group: "drawer", Offline: Local, Gates: drop,
			Params: []Parameter{countsParam, {Name: "bag", Kind: KindText, Required: true, Max: 40, Doc: "number of the bag"}, shiftParam, commentParam},
			decide: dropAtBank},
	}
}

// chosenShift is the shift that the command names, if it can still be counted, or the open one.
func (d *deciding) chosenShift() (*Shift, error) {
	id := events.ShiftID(d.in.text("shift"))
	if id == "" {
		return d.Shift, nil
	}
	shift := d.unclosed(id)
	switch {
	case shift == nil:
		return nil, refuse("unknown_shift", "There is no shift %s that is not closed.", id).instead("List the shifts.")
	case shift.Status == shiftSuspended:
		return nil, refuse("shift_suspended", "Shift %s is suspended.", id).instead("Resume it first.")
	}
	return shift, nil
}

// cash is the store's tender for cash.
func (d *deciding) cash() (Tender, error) {
	tender, ok := d.Reference.Store.Tenders["cash"]
	if !ok {
		return tender, refuse("tender_not_configured", "This store takes no cash.")
	}
	return tender, nil
}

// declareStart says how much cash the drawer holds at the start (operation 1200).
func declareStart(d *deciding) (events.Requested, error) {
	shift, err := d.chosenShift()
	if err != nil {
		return nil, err
	}
	amount := d.in.amount("amount")
	switch {
	case shift.Started:
		return nil, refuse("start_amount_declared", "The start amount of this shift is declared already.")
	case amount < 0:
		return nil, refuseParameter("amount", "must not be negative")
	}
	return &events.StartAmountDeclared{
		Shift: shift.Shift, Tender: "cash", Amount: amount, Currency: shift.Currency, Comment: d.in.text("comment"),
		Postings: []events.Posting{{Account: "tender:cash", Amount: amount}, {Account: "safe", Amount: -amount}},
	}, nil
}

// moveCash puts the cash that the command names into a shift's drawer from an
// account, with a sign of 1, or takes it out to the account, with -1.
func (d *deciding) moveCash(shift *Shift, sign events.Money, account string) (m events.CashMoved, err error) {
	tender, err := d.cash()
	if err != nil {
		return m, err
	}
	amount := d.in.amount("amount")
	switch {
	case amount <= 0:
		return m, refuseParameter("amount", "must be above 0")
	case amount.RoundTo(tender.RoundTo) != amount:
		return m, refuseParameter("amount", "cannot be paid in coins of %d", tender.RoundTo)
	}
	return events.CashMoved{
		InShift: events.InShift{Shift: shift.Shift}, Tender: tender.ID, Amount: amount, Currency: shift.Currency, Comment: d.in.text("comment"),
		Postings: []events.Posting{{Account: shift.account(tender.ID, shift.Currency), Amount: sign * amount}, {Account: account, Amount: -sign * amount}},
	}, nil
}

// addFloat puts cash into the drawer (operation 1201).
func addFloat(d *deciding) (events.Requested, error) {
	m, err := d.moveCash(d.Shift, 1, "safe")
	return &events.FloatAdded{CashMoved: m}, err
}

// removeTender takes cash out of the drawer (operation 1210).
func removeTender(d *deciding) (events.Requested, error) {
	shift, err := d.chosenShift()
	if err != nil {
		return nil, err
	}
	m, err := d.moveCash(shift, -1, "safe")
	return &events.TenderRemoved{CashMoved: m}, err
}

// onAccount moves cash for an account of the store's list.
func (d *deciding) onAccount(kind string, sign events.Money) (a events.CashAccount, err error) {
	id := d.in.text("account")
	account, ok := d.Reference.Store.Cash.Accounts[id]
	if !ok || account.Kind != kind {
		return a, refuse("unknown_account", "There is no %s account %s.", kind, id).instead("Choose one from the list.")
	}
	m, err := d.moveCash(d.Shift, sign, kind+":"+id)
	return events.CashAccount{CashMoved: m, Account: id, Name: account.Name}, err
}

// takeIncome takes cash that is not for a sale (operation 517).
func takeIncome(d *deciding) (events.Requested, error) {
	a, err := d.onAccount("income", 1)
	return &events.IncomeTaken{CashAccount: a}, err
}

// payExpense pays the shop's small expenses (operation 518).
func payExpense(d *deciding) (events.Requested, error) {
	a, err := d.onAccount("expense", -1)
	return &events.ExpensePaid{CashAccount: a}, err
}

// openDrawer opens the drawer without a sale (operation 1000).
func openDrawer(d *deciding) (events.Requested, error) {
	return &events.DrawerOpened{InShift: events.InShift{Shift: d.Shift.Shift}, Comment: d.in.text("comment")}, nil
}

// counted are the counts of the command, checked against the store's tenders and denominations.
func (d *deciding) counted(name string, shift *Shift) ([]events.Count, error) {
	store := d.Reference.Store
	counts := slices.Clone(d.in.counts(name))
	for i := range counts {
		c := &counts[i]
		c.Currency = cmp.Or(c.Currency, shift.Currency)
		if _, ok := store.Tenders[string(c.Tender)]; !ok {
			return nil, refuse("tender_not_configured", "This store has no tender %s.", c.Tender)
		}
		if kind := store.Tenders[string(c.Tender)].Kind; kind == "account" || kind == "giftcard" || kind == "loyalty" {
			return nil, refuseParameter(name, "%s is nothing that a drawer holds", c.Tender)
		}
		if c.Currency != shift.Currency && shift.total(c.Tender, c.Currency).Transactions == 0 {
			return nil, refuse("currency_not_taken", "No %s was taken by %s in this shift.", c.Currency, c.Tender)
		}
		if slices.ContainsFunc(counts[:i], func(o events.Count) bool { return o.Tender == c.Tender && o.Currency == c.Currency }) {
			return nil, refuseParameter(name, "%s in %s stands twice", c.Tender, c.Currency)
		}
		values := store.Cash.Denominations[c.Currency]
		for _, part := range c.Denominations {
			if len(values) > 0 && !slices.Contains(values, part.Value) {
				return nil, refuseParameter(name, "%s has no note or coin of %d", c.Currency, part.Value)
			}
		}
	}
	return counts, nil
}

// dropped takes amounts out of a drawer to an account.
func (d *deciding) dropped(account string) (out events.Dropped, err error) {
	shift, err := d.chosenShift()
	if err != nil {
		return out, err
	}
	out = events.Dropped{InShift: events.InShift{Shift: shift.Shift}, Comment: d.in.text("comment")}
	if out.Amounts, err = d.counted("amounts", shift); err != nil {
		return out, err
	}
	sums := map[string]events.Money{}
	for _, c := range out.Amounts {
		if c.Amount == 0 {
			return out, refuseParameter("amounts", "%s must be above 0", c.Tender)
		}
		value := shift.valueOf(c.Tender, c.Currency, c.Amount)
		sums[shift.account(c.Tender, c.Currency)] -= value
		if sums[account] += value; sums[account] > events.MaxMoney {
			return out, refuse("amount_too_large", "The amounts come to more than a till can hold.")
		}
	}
	out.Postings = balanced(sums)
	return out, nil
}

// balanced are postings from sums by account, without those that are zero.
func balanced(sums map[string]events.Money) []events.Posting {
	out := []events.Posting{}
	for _, account := range slices.Sorted(maps.Keys(sums)) {
		if sums[account] != 0 {
			out = append(out, events.Posting{Account: account, Amount: sums[account]})
		}
	}
	return out
}

// dropInSafe takes amounts from the drawer to the safe (operation 1211).
func dropInSafe(d *deciding) (events.Requested, error) {
	out, err := d.dropped("safe")
	return &events.SafeDropped{Dropped: out}, err
}

// dropAtBank takes amounts from the drawer to the bank (operation 1212).
func dropAtBank(d *deciding) (events.Requested, error) {
	out, err := d.dropped("bank")
	return &events.BankDropped{Dropped: out, Bag: d.in.text("bag")}, err
}

// declareTenders records what was counted, or asks for a recount where it differs
// by more than a tender allows and the recounts are not used up (operation 1052).
func declareTenders(d *deciding) (events.Requested, error) {
	shift, err := d.chosenShift()
	if err != nil {
		return nil, err
	}
	counts, err := d.counted("counts", shift)
	if err != nil {
		return nil, err
	}
	var declared []events.Declared
	var again []events.TenderID
	for _, c := range counts {
		total := shift.total(c.Tender, c.Currency)
		one := events.Declared{Count: c, Counted: c.Amount, Expected: total.Expected}
		if d.Reference.Store.Cash.SumDeclarations {
			one.Counted += total.Counted
		}
		if one.Counted > events.MaxMoney {
			return nil, refuse("amount_too_large", "The counts come to more than a till can hold.")
		}
		declared = append(declared, one)
		limit := d.Reference.Store.Tenders[string(c.Tender)].Counting
		if abs(one.Counted-one.Expected) > limit.MaxDifference && shift.Recounts < limit.MaxRecounts {
			again = append(again, c.Tender)
		}
	}
	in := events.InShift{Shift: shift.Shift}
	if len(again) > 0 {
		return &events.RecountAsked{InShift: in, Counts: declared, Recount: shift.Recounts + 1, Tenders: again}, nil
	}
	return &events.DrawerDeclared{InShift: in, Counts: declared, Recount: shift.Recounts, Comment: d.in.text("comment")}, nil
}

// refuseRecount asks to count again. It does not say by how much the count was off: the drawer is counted blind.
func refuseRecount(tenders []events.TenderID) *Refusal {
	return refuse("recount_needed", "The count differs by too much: %s.", strings.Trim(fmt.Sprint(tenders), "[]")).instead("Count again.")
}
