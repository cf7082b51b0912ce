package projections

import (
	"bytes"
	"encoding"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/posnode/posnode/ledger"
)

// Format describes the lines of an import. The zero value is JSON Lines, of any kinds.
type Format struct {
	// CSV is the table in a CSV file with a header row: a kind of record, or one of prices,
	// discounts, taxes, tenders and currencies. The rows of those are parts of products or of the
	// store's settings.
	CSV string
	// Store is the store of CSV rows; "" for all. A line of JSON says so itself.
	Store string
}

// part is a CSV table. Its rows are elements of a list or map inside another kind's records.
type part struct {
	kind     string   // of the record
	key      string   // column that names the record; "" for the store's settings
	field    string   // of the record, where the elements are
	identity []string // columns that tell elements from each other; of a map, the one that is its key
	mapped   bool     // a map
	named    bool     // the elements of the map hold their key
	element  any      // its type
}

// parts are these tables.
var parts = map[string]part{
	"prices":     {kind: "product", key: "product", field: "prices", identity: []string{"group", "unit", "min_quantity", "from", "to"}, element: ledger.GroupPrice{}},
	"discounts":  {kind: "product", key: "product", field: "offers", identity: []string{"offer"}, element: ledger.Offer{}},
	"taxes":      {kind: "product", key: "product", field: "taxes", identity: []string{"code"}, element: taxElement},
	"tenders":    {kind: "store", field: "tenders", identity: []string{"id"}, mapped: true, named: true, element: ledger.Tender{}},
	"currencies": {kind: "store", field: "currencies", identity: []string{"currency"}, mapped: true, element: ledger.Currency{}},
}

var taxElement = reflect.Zero(reflect.TypeFor[ledger.Product]().FieldByIndex(fieldOf(reflect.TypeFor[ledger.Product](), "taxes")).Type.Elem()).Interface()

// changeIdentity are the columns of a row of prices that is a change of the price at a time.
var changeIdentity = []string{"at", "variant", "unit"}

func (f Format) source(from io.Reader) (source, error) {
	_, kind := kinds[f.CSV]
	_, part := parts[f.CSV]
	switch {
	case f.CSV == "":
		return jsonLines(from), nil
	case !kind && !part:
		names := slices.Sorted(maps.Keys(parts))
		return nil, fmt.Errorf("%w: there is no table %.40q: want a kind of record, or one of %s", ErrNotImported, f.CSV, strings.Join(names, ", "))
	}
	return f.csvLines(from), nil
}

// csvLines are the rows of a CSV file. A row sets the fields of its columns and leaves
// the record's others; an empty cell takes its field away, and the column deleted with
// true the record, or the part of it.
func (f Format) csvLines(from io.Reader) source {
	return func(yield func(int, Line, error) error) error {
		rows := csv.NewReader(from)
		rows.ReuseRecord = true
		header, err := rows.Read()
		if err != nil {
			return fmt.Errorf("%w: the header row cannot be read: %w", ErrNotImported, err)
		}
		header = slices.Clone(header)
		header[0] = strings.TrimPrefix(header[0], "\ufeff") // as spreadsheets write it
		for {
			cells, err := rows.Read()
			if errors.Is(err, io.EOF) {
				return nil
			}
			number := 0
			if parse, ok := errors.AsType[*csv.ParseError](err); ok {
				number, err = parse.StartLine, parse.Err
			} else if err != nil {
				return fmt.Errorf("read CSV: %w", err)
			} else {
				number, _ = rows.FieldPos(0)
			}
			line, row := Line{Kind: f.CSV, Store: f.Store}, map[string]string{}
			for i, cell := range cells[:min(len(cells), len(header))] {
				row[header[i]] = strings.TrimSpace(cell)
			}
			if err == nil {
				err = f.read(&line, row)
			}
			if err := yield(number, line, err); err != nil {
				return err
			}
			if errors.Is(err, csv.ErrQuote) || errors.Is(err, csv.ErrBareQuote) {
				return nil // where the next row begins cannot be told
			}
		}
	}
}

// read makes a line of a row.
func (f Format) read(line *Line, row map[string]string) error {
	deleted := row["deleted"] == "true"
	if row["deleted"] != "" && row["deleted"] != "true" && row["deleted"] != "false" {
		return fmt.Errorf("deleted: %.40q is neither true nor false", row["deleted"])
	}
	delete(row, "deleted")
	if p, ok := parts[f.CSV]; ok {
		return p.read(line, row, deleted)
	}
	k := kinds[f.CSV]
	id := keyColumn(f.CSV, k)
	if f.CSV == "stock" && row["store"] != "" {
		line.Key = row["store"] + "/" + row[id]
	} else if line.Key = row[id]; f.CSV == "store" {
		line.Key = StoreKey
	}
	if line.Deleted = deleted; deleted {
		return nil
	}
	if k.keyless {
		delete(row, id)
	}
	fields, err := fieldsOf(reflect.TypeOf(k.record), row)
	line.patch = func(old []byte) ([]byte, error) { return patchObject(old, fields) }
	return err
}

// keyColumn is the column of a kind's key: the first field of its record.
func keyColumn(name string, k kind) string {
	if k.keyless {
		return "key"
	}
	return jsonName(reflect.TypeOf(k.record).Field(0))
}

func (p part) read(line *Line, row map[string]string, deleted bool) error {
	line.Kind, line.Key = p.kind, StoreKey
	if p.key != "" {
		line.Key = row[p.key]
		delete(row, p.key)
	}
	given := func(columns []string) bool {
		return slices.ContainsFunc(columns, func(c string) bool { return row[c] != "" })
	}
	base := false
	if p.field == "prices" {
		switch {
		case row["at"] != "":
			p.field, p.identity, p.element = "price_changes", changeIdentity, ledger.PriceChange{}
			delete(row, "group")
		case row["variant"] != "":
			return errors.New("a variant's own price is in its product; a price with a variant needs the time at which it begins, at")
		case !given(p.identity):
			base = true
		}
		// A file may have the columns of both; those of the other are empty here.
		for _, column := range []string{"at", "variant", "min_quantity", "from", "to", "group", "unit"} {
			if row[column] == "" || base {
				delete(row, column)
			}
		}
	}
	if base {
		if deleted {
			return errors.New("a product's price cannot be deleted: delete the product, or block it")
		}
		fields, err := fieldsOf(reflect.TypeFor[ledger.Product](), row)
		line.patch = existing(line, func(old []byte) ([]byte, error) { return patchObject(old, fields) })
		return err
	}
	identity := map[string]string{}
	for _, column := range p.identity {
		identity[column] = row[column]
	}
	if !given(p.identity) {
		return fmt.Errorf("%s is missing", strings.Join(p.identity, ", "))
	}
	if p.mapped && !p.named {
		delete(row, p.identity[0])
	}
	fields, err := fieldsOf(reflect.TypeOf(p.element), row)
	if deleted {
		fields = nil
	}
	line.patch = existing(line, func(old []byte) ([]byte, error) {
		if p.mapped {
			return patchMap(old, p.field, identity[p.identity[0]], fields)
		}
		return patchList(old, p.field, identity, fields)
	})
	return err
}

// existing refuses to patch a record that is not there: a part alone is no record.
func existing(line *Line, patch func([]byte) ([]byte, error)) func([]byte) ([]byte, error) {
	return func(old []byte) ([]byte, error) {
		if old == nil {
			return nil, errors.New("there is no " + strings.TrimSuffix(line.Kind+" "+line.Key, " "+StoreKey))
		}
		return patch(old)
	}
}

// object is a JSON object. Its values stay as they are written.
type object map[string]json.RawMessage

// patchObject sets fields of an object; one without a value is taken away.
func patchObject(old []byte, fields object) ([]byte, error) {
	o := object{}
	if old != nil {
		if err := json.Unmarshal(old, &o); err != nil {
			return nil, err
		}
	}
	for name, value := range fields {
		if o[name] = value; value == nil {
			delete(o, name)
		}
	}
	return json.Marshal(o)
}

// patchMap patches one element of a map in an object; nil fields take it away.
func patchMap(old []byte, field, key string, fields object) ([]byte, error) {
	var o, all object
	if err := json.Unmarshal(old, &o); err != nil {
		return nil, err
	}
	if err := unmarshalField(o, field, &all); err != nil {
		return nil, err
	}
	if all == nil {
		all = object{}
	}
	if fields == nil {
		delete(all, key)
	} else {
		element, err := patchObject(all[key], fields)
		if err != nil {
			return nil, err
		}
		all[key] = element
	}
	value, err := json.Marshal(all)
	if err != nil {
		return nil, err
	}
	return patchObject(old, object{field: value})
}

// patchList patches the element of a list in an object that has an identity, or appends it; nil fields take it away.
func patchList(old []byte, field string, identity map[string]string, fields object) ([]byte, error) {
	var o object
	var all []json.RawMessage
	if err := json.Unmarshal(old, &o); err != nil {
		return nil, err
	}
	if err := unmarshalField(o, field, &all); err != nil {
		return nil, err
	}
	at := slices.IndexFunc(all, func(element json.RawMessage) bool { return identifies(identity, element) })
	switch {
	case at < 0 && fields == nil:
	case fields == nil:
		all = slices.Delete(all, at, at+1)
	default:
		var before []byte
		if at < 0 {
			at = len(all)
			all = append(all, nil)
		} else {
			before = all[at]
		}
		element, err := patchObject(before, fields)
		if err != nil {
			return nil, err
		}
		all[at] = element
	}
	if len(all) == 0 {
		return patchObject(old, object{field: nil})
	}
	value, err := json.Marshal(all)
	if err != nil {
		return nil, err
	}
	return patchObject(old, object{field: value})
}

func unmarshalField(o object, field string, to any) error {
	if o[field] == nil {
		return nil
	}
	return json.Unmarshal(o[field], to)
}

// identifies says whether the element has just these values, "" for none.
func identifies(identity map[string]string, element json.RawMessage) bool {
	var o map[string]any
	if json.Unmarshal(element, &o) != nil {
		return false
	}
	for name, value := range identity {
		if got, _ := o[name].(string); got != value {
			return false
		}
	}
	return true
}

// fieldsOf is a row as the fields of a record: by the type of each: a string, a number or a
// boolean, and otherwise the cell's own JSON. An empty cell is a field without a value.
func fieldsOf(record reflect.Type, row map[string]string) (object, error) {
	fields := object{}
	for column, cell := range row {
		index := fieldOf(record, column)
		if index == nil {
			return nil, fmt.Errorf("there is no column %.40q", column)
		}
		fields[column] = nil
		if cell == "" {
			continue
		}
		value, err := cellValue(record.FieldByIndex(index).Type, cell)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", column, err)
		}
		fields[column] = value
	}
	return fields, nil
}

// fieldOf finds the field of a struct that has a name in JSON.
func fieldOf(record reflect.Type, name string) []int {
	for _, f := range reflect.VisibleFields(record) {
		if jsonName(f) == name && !f.Anonymous {
			return f.Index
		}
	}
	return nil
}

func jsonName(f reflect.StructField) string {
	name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
	return name
}

func cellValue(t reflect.Type, cell string) (json.RawMessage, error) {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch _, text := reflect.New(t).Interface().(encoding.TextUnmarshaler); {
	case text || t.Kind() == reflect.String:
		return json.Marshal(cell)
	case t.Kind() == reflect.Bool:
		b, err := strconv.ParseBool(cell)
		if err != nil {
			return nil, fmt.Errorf("%.40q is neither true nor false", cell)
		}
		return json.Marshal(b)
	case t.Kind() >= reflect.Int && t.Kind() <= reflect.Uint64:
		n, err := strconv.ParseInt(cell, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("%.40q is not a whole number", cell)
		}
		return json.Marshal(n)
	case !json.Valid([]byte(cell)):
		return nil, fmt.Errorf("%.40q is not JSON", cell)
	}
	return bytes.Clone([]byte(cell)), nil
}
