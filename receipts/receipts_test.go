package receipts

import (
	"bytes"
	"flag"
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/posnode/posnode/events"
)

var update = flag.Bool("update", false, "write the golden files anew, to be looked at as paper")

var (
	shop = events.Printed{
		Shop: events.Shop{
			Name: "Corner Shop", Lines: []string{"1 High Street, Mousehole", "VAT GB 123 4567 89"},
			Footer: []string{"Thank you. Unopened goods can be brought back for 28 days with this receipt."},
		},
		Offset: 60, Tenders: []events.TenderName{{Tender: "cash", Name: "Cash"}, {Tender: "card", Name: "Card"}},
	}
	standard = events.TaxRate{Code: "S", Rate: must(events.ParsePercent("20"))}
	zero     = events.TaxRate{Code: "Z", Rate: must(events.ParsePercent("0"))}
	local1   = events.TaxRate{Code: "L", Rate: must(events.ParsePercent("2.5"))}
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// line is a line with its net and its tax as a sale would have them.
func line(number int, text, quantity, price string, gross events.Money, taxes ...events.TaxRate) events.ConcludedLine {
	return events.ConcludedLine{
		Line: events.Line{
			Number: number, Product: "P", Description: text, Quantity: must(events.ParseQuantity(quantity)), Price: must(events.ParsePrice(price)), Gross: gross, Taxes: taxes,
		},
		Net: gross, Tax: make([]events.Money, len(taxes)),
	}
}

// entry seals a fact at a sequence and reads it back, as everything printed is read.
func entry(t require.TestingT, sequence uint64, fact events.Fact) *events.Entry {
	m, _, err := events.Seal(events.Register{Store: "s001", ID: "r01"}, events.Head{Epoch: 1, Sequence: sequence - 1, Hash: events.Hash([]byte("before"))}, events.Circumstances{
		ID: ulid.MustParse("01KJPB5X00EXAMP1EEXAMP1E00"), Time: time.Date(2026, 7, 2, 23, 30, 15, 0, time.UTC).Add(time.Duration(sequence) * time.Minute),
		Operation: 200, Command: "01KJPB5WZZKEYKEYKEYKEYKEYK", Staff: "7", Shift: "s001-r01-1-s1", Mode: events.Offline,
	}, fact)
	require.NoError(t, err)
	e, err := events.Decode(m.Body)
	require.NoError(t, err)
	return e
}

func sale() *events.SaleConcluded {
	voided := line(3, "Mug that nobody wanted", "1", "7.95", 795, standard)
	voided.Voided = true
	return &events.SaleConcluded{
		OfSale:  events.OfSale{Transaction: "s001-r01-1-7", After: events.Totals{Lines: 3, Subtotal: 1138, Discount: 100, Tax: 97, Total: 1038, Paid: 1038}},
		Receipt: "s001-r01-1-000042", Terms: events.Terms{Number: 7, Currency: "GBP", Digits: 2, TaxIncluded: true}, Printed: shop,
		Lines: []events.ConcludedLine{
			line(1, "Tea", "2", "2.5", 500, standard),
			line(2, "Apples, kg", "1.255", "3.49", 438, zero),
			voided,
			line(4, "Screw", "1", "2", 200, standard, local1),
		},
		Taxes:    []events.TaxTotal{{TaxRate: local1, Base: 163, Tax: 4}, {TaxRate: standard, Base: 563, Tax: 93}, {TaxRate: zero, Base: 392}},
		Payments: []events.Payment{{Number: 1, Tender: "card", Amount: 500, Tendered: 500}, {Number: 2, Tender: "cash", Amount: 538, Tendered: 1000, Change: 460, Rounding: -2}},
		Sales:    1038,
	}
}

func documents(t *testing.T) map[string]string {
	text := func(e *events.Entry) string {
		s, ok := Text(e)
		require.True(t, ok)
		return s
	}
	original := entry(t, 17, sale())
	reprint := func(kind string, n int) string {
		return must(Reprint(original, entry(t, 1500, &events.ReceiptReprinted{
			Transaction: "s001-r01-1-7", Number: "s001-r01-1-000042", Kind: kind, Copy: n, Epoch: 1, Sequence: 17, Printed: events.Printed{Offset: 60},
		})))
	}
	back := sale()
	back.Lines = []events.ConcludedLine{line(1, "Mug", "-1", "7.95", -795, standard)}
	back.Taxes = []events.TaxTotal{{TaxRate: standard, Base: -662, Tax: -133}}
	back.Payments = []events.Payment{{Number: 1, Tender: "cash", Amount: -795, Tendered: -795}}
	back.After, back.Sales, back.Returns = events.Totals{Lines: 1, Subtotal: -795, Tax: -133, Total: -795, Paid: -795}, 0, -795
	paid := sale()
	paid.Payments = []events.Payment{
		{Number: 1, Tender: "account", Amount: 30, Tendered: 30, Account: &events.OnAccount{Customer: "C1", CreditLimit: 10000}},
		{Number: 2, Tender: "giftcard", Amount: 20, Tendered: 20, GiftCard: &events.KnownGiftCard{Card: "6002", Known: events.Known{Balance: 5000, Own: -500}}},
		{Number: 3, Tender: "loyalty", Amount: 10, Tendered: 10, Loyalty: &events.PointsSpent{Card: "L1", Points: 7, Value: must(events.ParseRate("0.015"))}},
		{Number: 4, Tender: "check", Amount: 10, Tendered: 10, Check: "100321"},
		{Number: 5, Tender: "card", Amount: 10, Tendered: 10, Card: &events.CardApproval{Reference: "s001-r01-1-7-c1", Scheme: "VISA", LastFour: "1111", Approval: "A1B2C3"}},
		{Number: 6, Tender: "currency", Amount: 5, Tendered: 854, Change: 850, ChangeTender: "cash", Rounding: 1, Foreign: &events.Foreign{Currency: "EUR", Digits: 2, Amount: 1000, Rate: must(events.ParseRate("0.8537"))}},
	}
	rich := sale()
	rich.Comment, rich.Customer = "For the fête", &events.SaleCustomer{Customer: "C1", Name: "Ada Lovelace"}
	rich.Points = []events.PointsLine{{Card: "L100", Kind: "earned", Points: 8, Amount: 88}}
	l := &rich.Lines[0]
	l.Unit, l.Variant, l.Comment, l.Serial = "box", "green", "wrapped", "SN-1"
	l.Offer = &events.OfferApplied{Offer: "O1", Name: "Three for two on everything green in the shop", Amount: 50}
	l.Discount = &events.LineDiscountApplied{Percent: must(events.ParsePercent("10")), Amount: 45}
	rich.Lines[1].Original = &events.OriginalLine{Receipt: "s001-r01-1-000009", Discount: -20}
	rich.Lines[3].GiftCard = &events.GiftCardLine{KnownGiftCard: events.KnownGiftCard{Card: "6001"}}
	order := &events.OrderPlaced{SaleConcluded: *rich, Placed: events.Placement{Order: "SO-1", Deposit: 200, PickUpOn: "2026-07-09"}}
	report := events.ShiftReport{
		Number: 1, Staff: "7", BusinessDate: "2026-07-02", Opened: "2026-07-02T07:00:00.000000000Z", Currency: "GBP", Digits: 2, First: 3, Last: 23,
		Totals: events.ShiftTotals{
			Transactions: 2, Voided: 1, NoSale: 3, Sales: 1038, Returns: -795, Discounts: 100, Tax: -36, Rounding: -2, Expense: 500, GiftCards: 2500, Deposits: 560,
			Taxes:    []events.TaxTotal{{TaxRate: standard, Base: -99, Tax: -40}},
			Tenders:  []events.TenderTotal{{Tender: "cash", Currency: "GBP", Transactions: 2, Tendered: 205, Change: 460, Collected: -255, Starting: 10000, SafeDrop: 2000, Expected: 7745, Declared: true, Counted: 7740, OverShort: -5}, {Tender: "check", Currency: "GBP"}},
			Accounts: []events.AccountTotal{{Account: "window", Name: "Window cleaning", Expense: 500}},
		},
		Grand: []events.GrandTotal{{Currency: "GBP", Transactions: 2, Sales: 1038, Returns: -795}},
	}
	x := &events.XPrinted{InShift: events.InShift{Shift: "s001-r01-1-s1"}, Report: report, Printed: shop}
	z := &events.ShiftClosed{InShift: events.InShift{Shift: "s001-r01-1-s1"}, Z: 1, Report: report, Printed: shop}
	long := sale()
	long.Terms = events.Terms{Number: 7, Currency: "JPY"}
	long.Shop = events.Shop{Name: "角の店 ─ とても長い名前のお店でして一行には入りません", Lines: []string{"東京都千代田区"}}
	long.Lines = []events.ConcludedLine{
		line(1, "WHITE HANGING HEART T-LIGHT HOLDER WITH A VERY LONG DESCRIPTION INDEED", "1", "255", 255, standard),
		line(2, "抹茶入り玄米茶ティーバッグ徳用五十袋入り詰め替え用", "12", "1280", 15360, standard),
		line(3, "Naïve café 👨‍👩‍👧 e\u0301clair", "1", "3", 3, standard),
		line(4, strings.Repeat("x", 60)+"\x1b@\u202eevil", "1", "3", 3),
		line(5, "Gold", "10000000", "100000", 1_000_000_000_000),
	}
	long.Taxes, long.Payments = nil, []events.Payment{{Number: 1, Tender: "barter", Amount: 1_000_000_015_621, Tendered: 1_000_000_015_621}}
	long.After = events.Totals{Lines: 5, Subtotal: 1_000_000_015_621, Tax: 31, Total: 1_000_000_015_652}
	inShift := events.InShift{Shift: "s001-r01-1-s1"}
	slip := shop
	slip.Currencies = []events.CurrencyDigits{{Currency: "GBP", Digits: 2}, {Currency: "JPY", Digits: 0}}
	cash := events.CashMoved{InShift: inShift, Tender: "cash", Amount: 5000, Currency: "GBP", Comment: "short of change", Printed: slip}
	dropped := events.Dropped{InShift: inShift, Comment: "at noon", Printed: slip, Amounts: []events.Count{
		{Tender: "cash", Currency: "GBP", Amount: 12050, Denominations: []events.Denomination{{Value: 5000, Count: 2}, {Value: 50, Count: 41}}},
		{Tender: "currency", Currency: "JPY", Amount: 15000}, {Tender: "currency", Currency: "XAU", Amount: 3},
	}}
	counts := []events.Declared{{Count: dropped.Amounts[0], Counted: 12050, Expected: 12070}}
	slips := map[string]events.Fact{
		"start_amount": &events.StartAmountDeclared{Shift: inShift.Shift, Tender: "cash", Amount: 10000, Currency: "GBP", Comment: "from the safe", Printed: slip},
		"float":        &events.FloatAdded{CashMoved: cash}, "removal": &events.TenderRemoved{CashMoved: cash},
		"safe_drop": &events.SafeDropped{Dropped: dropped}, "bank_drop": &events.BankDropped{Dropped: dropped, Bag: "B-0017"},
		"declaration": &events.DrawerDeclared{InShift: inShift, Counts: counts, Recount: 1, Comment: "counted twice", Printed: slip},
		"income":      &events.IncomeTaken{CashAccount: events.CashAccount{CashMoved: cash, Account: "KEYS", Name: "Deposits for keys"}},
		"expense":     &events.ExpensePaid{CashAccount: events.CashAccount{CashMoved: cash, Account: "WINDOWS", Name: "Window cleaning"}},
	}
	cancelled := sale()
	cancelled.Lines, cancelled.Taxes, cancelled.Sales = nil, nil, 0
	cancelled.Payments = []events.Payment{{Number: 1, Tender: "cash", Amount: -200, Tendered: -200}}
	cancelled.Order = &events.PickUp{Order: "SO-1", Deposit: 200, Cancelled: true}
	cancelled.After = events.Totals{Elsewhere: 200, Paid: -200}
	slips["cancelled"] = cancelled
	// More comes back than is sold, and it is still no RETURN: something was sold.
	exchange := sale()
	exchange.Lines = append(exchange.Lines[:2], line(3, "Mug", "-2", "7.95", -1590, standard))
	exchange.Taxes = []events.TaxTotal{{TaxRate: standard, Base: -908, Tax: -182}, {TaxRate: zero, Base: 438}}
	exchange.Payments = []events.Payment{{Number: 1, Tender: "cash", Amount: -652, Tendered: -650, Rounding: -2}}
	exchange.After, exchange.Sales, exchange.Returns = events.Totals{Lines: 3, Subtotal: -652, Tax: -182, Total: -652, Paid: -652}, 938, -1590
	slips["exchange"] = exchange
	slips["suspended"] = &events.SaleSuspended{
		OfSale: events.OfSale{Transaction: "s001-r01-1-8", After: events.Totals{Lines: 2, Subtotal: 1045, Total: 1045, Due: 1045}}, Terms: sale().Terms, Printed: shop,
	}
	all := map[string]string{
		"sale": text(original), "copy": reprint(events.ReceiptCopy, 2), "gift": reprint(events.ReceiptGift, 1),
		"return": text(entry(t, 18, back)), "long": text(entry(t, 19, long)),
		"payments": text(entry(t, 21, paid)), "rich": text(entry(t, 22, rich)), "order": text(entry(t, 23, order)), "x": text(entry(t, 24, x)), "z": text(entry(t, 25, z)),
		"void": text(entry(t, 20, &events.SaleVoided{
			OfSale:  events.OfSale{Transaction: "s001-r01-1-8", After: events.Totals{Lines: 2, Subtotal: 1045, Total: 1045, Due: 1045}},
			Receipt: "s001-r01-1-000043", Terms: sale().Terms, Printed: shop,
		})),
	}
	for name, fact := range slips {
		all[name] = text(entry(t, 41, fact))
	}
	all["exchange_gift"] = must(Reprint(entry(t, 41, exchange), entry(t, 1501, &events.ReceiptReprinted{
		Transaction: "s001-r01-1-7", Number: "s001-r01-1-000042", Kind: events.ReceiptGift, Copy: 1, Epoch: 1, Sequence: 41,
	})))
	return all
}

// TestPaper compares every document with its golden file, which is to be read as paper.
func TestPaper(t *testing.T) {
	for name, text := range documents(t) {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join("testdata", name+".txt")
			if *update {
				require.NoError(t, os.WriteFile(file, []byte(text), 0o644))
			}
			want, err := os.ReadFile(file)
			require.NoError(t, err)
			require.Equal(t, string(want), text)
			requireFits(t, text)
		})
	}
}

// TestDeclarationIsBlind: the expected amount does not stand on paper that the cashier holds.
func TestDeclarationIsBlind(t *testing.T) {
	require.NotContains(t, documents(t)["declaration"], "120.70")
}

// TestCopyHoldsTheOriginal: a copy is the original's text with a head, word for word.
func TestCopyHoldsTheOriginal(t *testing.T) {
	all := documents(t)
	require.True(t, strings.HasSuffix(all["copy"], all["sale"]))
	require.Contains(t, all["copy"], "COPY 2")
	require.NotContains(t, all["gift"], "5.00")
	require.NotContains(t, all["gift"], "10.38")
}

// TestExchange: where something is sold a document is no return, and its gift receipt lists only
// the goods sold.
func TestExchange(t *testing.T) {
	all := documents(t)
	require.NotContains(t, all["exchange"], "RETURN")
	require.Contains(t, all["exchange_gift"], "Tea")
	require.NotContains(t, all["exchange_gift"], "Mug")
}

func TestReprintOfAnotherDocument(t *testing.T) {
	reprint := entry(t, 30, &events.ReceiptReprinted{Transaction: "s001-r01-1-7", Number: "s001-r01-1-000042", Kind: events.ReceiptCopy, Copy: 1, Epoch: 1, Sequence: 17})
	_, err := Reprint(entry(t, 18, sale()), reprint)
	require.ErrorContains(t, err, "is not the document")
	_, err = Reprint(reprint, reprint)
	require.Error(t, err)
	_, printed := Text(reprint)
	require.False(t, printed)
}

func requireFits(t require.TestingT, text string) {
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		require.LessOrEqual(t, width(line), Width, "%q", line)
		require.Equal(t, clean(line), line, "something for the printer in %q", line)
	}
}

// TestAnythingFits: no line is wider than the paper, for any texts and amounts.
func TestAnythingFits(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := sale()
		text := rapid.StringOfN(rapid.OneOf(rapid.Rune(), rapid.RuneFrom([]rune("ab 茶👩‍é\u0301\x1b"))), 0, 130, -1)
		f.Shop.Name, f.Shop.Footer = text.Draw(t, "name"), []string{text.Draw(t, "footer")}
		f.Receipt = events.ReceiptNumber(text.Draw(t, "receipt"))
		f.Terms.Digits = rapid.IntRange(0, 4).Draw(t, "digits")
		for i := range f.Lines {
			f.Lines[i].Description = text.Draw(t, "description")
			f.Lines[i].Gross = events.Money(rapid.Int64Range(-int64(events.MaxMoney), int64(events.MaxMoney)).Draw(t, "gross"))
		}
		f.Lines[0].Taxes = []events.TaxRate{{Code: text.Draw(t, "code"), Rate: standard.Rate}}
		f.Printed.Tenders = []events.TenderName{{Tender: "cash", Name: text.Draw(t, "tender")}}
		// Not through an entry: text that cannot be stored must not break the paper either.
		e := entry(t, 17, sale())
		e.Fact = f
		out, ok := Text(e)
		require.True(t, ok)
		requireFits(t, out)
	})
}

func TestQR(t *testing.T) {
	note := "s001-r01/1\n42\nMTExMTExMTExMTExMTExMTExMTExMTExMTExMTExMTE=\n\n— s001-r01 " + strings.Repeat("MDAw", 23) + "\n"
	raw, err := QR(note)
	require.NoError(t, err)
	again, err := QR(note)
	require.NoError(t, err)
	require.True(t, bytes.Equal(raw, again), "the same note, the same picture")
	img, err := png.Decode(bytes.NewReader(raw))
	require.NoError(t, err)
	side := img.Bounds().Dx()
	require.Equal(t, side, img.Bounds().Dy())
	require.LessOrEqual(t, side, 384, "a printer for 58 mm has 384 dots")
	black := func(x, y int) bool { r, _, _, _ := img.At(x, y).RGBA(); return r == 0 }
	require.False(t, black(qrQuiet*qrModule-1, qrQuiet*qrModule), "a quiet margin")
	for i := range 7 * qrModule { // the upper edge of the first finder
		require.True(t, black(qrQuiet*qrModule+i, qrQuiet*qrModule))
	}
	_, err = QR(strings.Repeat("x", 5000))
	require.Error(t, err)
}

// TestReprintIsOfItsDocument: the epoch, the sequence and the register of the document are those that the reprint names.
func TestReprintIsOfItsDocument(t *testing.T) {
	reprint := entry(t, 30, &events.ReceiptReprinted{Transaction: "s001-r01-1-7", Number: "s001-r01-1-000042", Kind: events.ReceiptCopy, Copy: 1, Epoch: 1, Sequence: 17})
	for name, change := range map[string]func(*events.Entry){
		"sequence": func(e *events.Entry) { e.Head.Sequence++ },
		"epoch":    func(e *events.Entry) { e.Head.Epoch++ },
		"register": func(e *events.Entry) { e.Register.ID = "r02" },
	} {
		original := entry(t, 17, sale())
		_, err := Reprint(original, reprint)
		require.NoError(t, err)
		change(original)
		_, err = Reprint(original, reprint)
		require.ErrorContains(t, err, "is not the document", name)
	}
}

// TestRows: a label and its value stand on one line where there is room, and nothing that a printer would obey is in either.
func TestRows(t *testing.T) {
	for _, c := range []struct{ label, value, want string }{
		{"Tea", "2.50", "Tea" + strings.Repeat(" ", 35) + "2.50\n"},
		{"a\x1bb", "c\x1bd", "ab" + strings.Repeat(" ", 38) + "cd\n"},
		{strings.Repeat("x", 37), "2.50", strings.Repeat("x", 37) + " 2.50\n"},
		{strings.Repeat("x", 38), "2.50", strings.Repeat("x", 37) + "\nx" + strings.Repeat(" ", 37) + "2.50\n"},
		// 14 columns are room enough for a label, 13 are not.
		{"Label", strings.Repeat("9", 27), "Label" + strings.Repeat(" ", 10) + strings.Repeat("9", 27) + "\n"},
		{"Label", strings.Repeat("9", 28), "Label\n" + strings.Repeat(" ", 14) + strings.Repeat("9", 28) + "\n"},
		{"Label", strings.Repeat("9", 43), "Label\n" + strings.Repeat("9", 42) + "\n" + strings.Repeat(" ", 41) + "9\n"},
	} {
		p := new(paper)
		p.row(c.label, c.value)
		require.Equal(t, c.want, p.text.String())
	}
}

func TestWrap(t *testing.T) {
	for _, c := range []struct {
		text string
		want []string
	}{
		{"", []string{""}},
		{"one two", []string{"one two"}},
		{"1234567890", []string{"1234567890"}},
		{"12345678901", []string{"1234567890", "1"}},
		{"12345 7890", []string{"12345 7890"}},
		{"12345 78901", []string{"12345", "78901"}},
		{"  in 34567890", []string{"  in", "  34567890"}},
		{"      deep indent", []string{"deep", "indent"}},
		{"茶茶茶茶茶茶", []string{"茶茶茶茶茶", "茶"}},
	} {
		require.Equal(t, c.want, wrap(c.text, 10), "%q", c.text)
	}
}
