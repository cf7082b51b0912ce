package register

import (
	"strings"
	"testing"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"github.com/posnode/posnode/events"
)

// TestReturnByReceipt: a receipt is looked up in the offline database, with what
// came back a moment ago; a barcode brings its product with it; a search finds products.
func TestReturnByReceipt(t *testing.T) {
	till := newTestTill(t)
	_, err := till.Reference().Import(t.Context(), strings.NewReader(
		`{"kind":"barcode","key":"4006381333931","record":{"barcode":"4006381333931","product":"TEA","quantity":"4"}}`), till.now, false)
	require.NoError(t, err)
	till.must(100, `{"barcode":"4006381333931"}`)
	sold := till.must(206, ``).Transaction.Receipt
	back := `{"receipt":"` + string(sold) + `","line":1,"quantity":"3"}`
	till.must(114, back)
	till.must(206, ``)
	_, err = till.do(ulid.Make().String(), 114, back)
	require.ErrorContains(t, err, "return_too_large")
	till.reopen()
	a := till.must(114, `{"receipt":"`+string(sold)+`","line":1}`)
	require.Equal(t, "-1", a.Result.(*events.LineAdded).Line.Quantity.String(), "what is left of four")
	require.Equal(t, events.Money(-255), a.Transaction.Due)
	till.must(206, ``)
	_, err = till.do(ulid.Make().String(), 114, `{"receipt":"`+string(sold)+`","line":1}`)
	require.ErrorContains(t, err, "nothing_to_return")

	found := till.must(108, `{"text":"tea"}`).Result.(*events.ProductsSearched)
	require.Equal(t, []events.ProductID{"TEA"}, found.Products)
	require.NoError(t, till.Check(t.Context()))
}
