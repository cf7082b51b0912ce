package ledger

import (
	"slices"
	"strings"

	"github.com/posnode/posnode/events"
)

// TaxOverride is one of the store's choices of other taxes than the products'.
type TaxOverride struct {
	Override string           `json:"override"`
	Name     string           `json:"name"`
	Taxes    []events.TaxRate `json:"taxes,omitempty"` // none at all, or a rate of 0, for exempt
}

func taxOperations() []*Operation {
	need := Gates{Shift: true, Cart: NeedCart}
	override := Parameter{Name: "override", Kind: KindText, Max: 20, Doc: "one of the store's list; none to go back to the products' own taxes"}
	return []*Operation{
		{ID: 128, Name: "Override transaction tax from list", Group: "tax", Offline: Local, Gates: need, Params: []Parameter{override},
			Reason: "transaction_tax_change", decide: overrideTax},
		{ID: 130, Name: "Override line product tax from list", Group: "tax", Offline: Local, Gates: need, Params: []Parameter{lineParam, override},
			Reason: "line_tax_change", decide: overrideLineTax},
	}
}

// choice is the override of list that the command names, nil for none.
func (d *deciding) choice(list []TaxOverride) (*TaxOverride, error) {
	id := d.in.text("override")
	if len(list) == 0 {
		return nil, refuse("no_tax_overrides", "This store has no such other taxes to choose from.")
	}
	if id == "" {
		return nil, nil
	}
	var names []string
	for i, o := range list {
		if o.Override == id && !slices.ContainsFunc(o.Taxes, func(r events.TaxRate) bool { return r.Rate.Sign() < 0 }) {
			return &list[i], nil
		}
		names = append(names, o.Override+" ("+o.Name+")")
	}
	return nil, refuse("unknown_tax_override", "There are no such taxes: %s.", id).instead("Choose one of " + strings.Join(names, ", ") + ".")
}

// taxAs taxes the line as o says, nil for as its product. What comes back by its
// receipt is taxed as it was sold.
func (l *Line) taxAs(o *TaxOverride) {
	if l.Original != nil {
		return
	}
	own := l.Taxes
	if l.TaxOverride != nil {
		own = l.TaxOverride.Instead
	}
	l.Taxes, l.TaxOverride = own, nil
	if o != nil {
		l.Taxes, l.TaxOverride = o.Taxes, &events.TaxOverride{Override: o.Override, Name: o.Name, Instead: own}
	}
}

// tax taxes a new line as the transaction's override says, where it has one.
func (t *Transaction) tax(line *Line) {
	if t.TaxOverride != nil {
		line.taxAs(t.TaxOverride)
	}
}

// overrideTax taxes all lines, and those that follow, otherwise. It takes the place
// of overrides on single lines (operation 128).
func overrideTax(d *deciding) (events.Requested, error) {
	o, err := d.choice(d.Reference.Store.TransactionTaxOverrides)
	if err != nil {
		return nil, err
	}
	var changed []*Line
	for _, was := range d.Transaction.Lines {
		if line := *was; line.Original == nil && line.GiftCard == nil && (o != nil || line.TaxOverride != nil) {
			line.taxAs(o)
			changed = append(changed, &line)
		}
	}
	of, err := d.withLines(d.Transaction, nil, changed)
	f := &events.TaxOverridden{OfSale: of}
	if o != nil {
		f.Override, f.Name, f.Taxes = o.Override, o.Name, o.Taxes
	}
	return f, err
}

// overrideLineTax taxes one line otherwise (operation 130).
func overrideLineTax(d *deciding) (events.Requested, error) {
	line, err := d.own()
	if err != nil {
		return nil, err
	}
	o, err := d.choice(d.Reference.Store.LineTaxOverrides)
	if err != nil {
		return nil, err
	}
	changed := *line
	changed.taxAs(o)
	of, err := d.withLines(d.Transaction, nil, []*Line{&changed})
	f := &events.LineTaxOverridden{OfSale: of, Line: line.Number}
	if o != nil {
		f.Override = o.Override
	}
	return f, err
}
