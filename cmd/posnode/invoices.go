package main

import (
	"bufio"
	"compress/gzip"
	"encoding/csv"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/posnode/posnode/events"
)

// invoice is one transaction of an input file.
type invoice struct {
	number string
	lines  []invoiceLine
}

// invoiceLine is one line of an invoice. A negative quantity is a return.
type invoiceLine struct {
	at          int // line of the file; the header is line 1
	product     string
	description string
	quantity    events.Quantity
	price       events.Price
	keyed       bool // the cashier keys price and description in
}

// unreadable is a line of an input file that cannot be parsed.
type unreadable struct {
	File string `json:"file"`
	Line int    `json:"line"`
	Why  string `json:"why"`
}

func (u unreadable) Error() string { return fmt.Sprintf("%s:%d: %s", u.File, u.Line, u.Why) }

// invoiceColumns is the header of an invoice file.
var invoiceColumns = []string{"InvoiceNo", "StockCode", "Description", "Quantity", "InvoiceDate", "UnitPrice", "CustomerID", "Country"}

// maxInvoiceLine is the longest line of an input file in bytes.
const maxInvoiceLine = 64 << 10

// readInvoices reads a file of invoices, plain or gzipped, in the order of their first lines. It
// passes each line that it cannot parse to bad, and goes on.
func readInvoices(path string, bad func(unreadable)) ([]*invoice, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var in io.Reader = f
	if strings.HasSuffix(path, ".gz") {
		z, err := gzip.NewReader(f)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", path, err)
		}
		in = z
	}
	lines := bufio.NewScanner(in)
	lines.Buffer(make([]byte, 0, maxInvoiceLine), maxInvoiceLine)
	var all []*invoice
	byNumber := map[string]*invoice{}
	for at := 1; lines.Scan(); at++ {
		if at == 1 {
			if header, err := splitCSV(strings.TrimPrefix(lines.Text(), "\ufeff")); err != nil || !slices.Equal(header, invoiceColumns) {
				return nil, fmt.Errorf("read %s: the first line is not %s", path, strings.Join(invoiceColumns, ","))
			}
			continue
		}
		number, line, err := parseInvoiceLine(lines.Text())
		if err != nil {
			bad(unreadable{path, at, err.Error()})
			continue
		}
		line.at, line.keyed = at, true
		if byNumber[number] == nil {
			byNumber[number] = &invoice{number: number}
			all = append(all, byNumber[number])
		}
		byNumber[number].lines = append(byNumber[number].lines, line)
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return all, nil
}

// splitCSV returns the fields of one line. Each line is a record of its own here, so a stray quote
// spoils its line and not the rest of the file.
func splitCSV(line string) ([]string, error) {
	r := csv.NewReader(strings.NewReader(line))
	r.FieldsPerRecord = len(invoiceColumns)
	return r.Read()
}

func parseInvoiceLine(text string) (number string, line invoiceLine, err error) {
	if !utf8.ValidString(text) {
		return "", line, fmt.Errorf("is not valid UTF-8")
	}
	fields, err := splitCSV(text)
	if err != nil {
		return "", line, fmt.Errorf("is not a CSV record of %d fields: %v", len(invoiceColumns), err)
	}
	if fields[0] == "" || fields[1] == "" {
		return "", line, fmt.Errorf("has no invoice or no stock code")
	}
	line.product, line.description = fields[1], strings.TrimSpace(fields[2])
	if line.quantity, err = events.ParseQuantity(fields[3]); err != nil {
		return "", line, fmt.Errorf("quantity: %w", err)
	}
	if line.price, err = events.ParsePrice(fields[5]); err != nil {
		return "", line, fmt.Errorf("price: %w", err)
	}
	return fields[0], line, nil
}
