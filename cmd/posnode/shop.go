package main

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"math/rand/v2"

	"github.com/posnode/posnode/events"
	"github.com/posnode/posnode/ledger"
	"github.com/posnode/posnode/register"
)

// Staff number and PIN of the built-in shop's manager, the cashier of the demo.
const (
	demoStaff = "7"
	demoPIN   = "1357"
)

// shopData is the built-in shop, as reference data: settings, products, and two members of staff.
//
//go:embed shop.jsonl
var shopData []byte

// referenceLine is one line of reference data.
type referenceLine struct {
	Kind   string `json:"kind"`
	Key    string `json:"key"`
	Record any    `json:"record"`
}

// cashier returns the reference data of the member of staff that keys in invoices.
func cashier() referenceLine {
	return referenceLine{"staff", demoStaff, ledger.StaffMember{ID: demoStaff, Name: "Sam", PIN: register.HashPIN(demoPIN), Groups: []events.Rights{{Manager: true}}}}
}

// keyedShop returns the reference data of a shop that sells the products of the invoices. It holds
// each product once, at a price that the cashier keys in. It has no tax, because the invoices name
// none.
func keyedShop(invoices []*invoice) []byte {
	lines := []referenceLine{cashier(), {"store", "store", keyedSettings()}}
	seen := map[string]bool{}
	for _, inv := range invoices {
		for _, line := range inv.lines {
			if seen[line.product] {
				continue
			}
			seen[line.product] = true
			description := shorten(line.description, 120)
			if description == "" {
				description = line.product
			}
			lines = append(lines, referenceLine{"product", line.product, ledger.Product{
				ID: events.ProductID(line.product), Description: description, KeyPrice: true, ZeroPrice: true,
			}})
		}
	}
	return referenceLines(lines...)
}

func keyedSettings() ledger.Store {
	most, err := events.ParseQuantity("1000000")
	if err != nil {
		panic(err)
	}
	return ledger.Store{
		Currency: "GBP", Digits: 2, MaxQuantity: most,
		Tenders: map[string]ledger.Tender{"cash": {ID: "cash", Name: "Cash", Kind: "cash", OverPaid: true, Refund: true}},
	}
}

func referenceLines(lines ...referenceLine) []byte {
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	for _, line := range lines {
		if err := enc.Encode(line); err != nil {
			panic(err) // to memory, of our own structs
		}
	}
	return out.Bytes()
}

// builtInInvoices returns a day of baskets at the built-in shop, the same ones every time.
func builtInInvoices() []*invoice {
	var products []string
	dec := json.NewDecoder(bytes.NewReader(shopData))
	for dec.More() {
		var line referenceLine
		if err := dec.Decode(&line); err != nil {
			panic(err)
		}
		if line.Kind == "product" {
			products = append(products, line.Key)
		}
	}
	random := rand.New(rand.NewPCG(1, 2)) // #nosec: baskets, not secrets
	var all []*invoice
	for n := range 240 {
		inv := &invoice{number: fmt.Sprintf("B%03d", n+1)}
		for i := range 1 + random.IntN(8) {
			line := invoiceLine{at: i + 1, product: products[random.IntN(len(products))], quantity: events.NewQuantity(int64(1 + random.IntN(3)))}
			if random.IntN(25) == 0 {
				line.quantity = line.quantity.Neg()
			}
			inv.lines = append(inv.lines, line)
		}
		all = append(all, inv)
	}
	return all
}
