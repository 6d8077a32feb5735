package cost

import (
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"strings"
	"time"

	"github.com/burstctl/burstctl/policy"
)

// Row is one row of a provider's bill. Made by [ReadBill].
type Row struct {
	Line     int
	Provider string
	Resource string
	Region   string
	Category string // ChargeCategory: "Usage", "Tax", …
	Service  string // ServiceCategory: "Compute", …
	Cost     policy.Money
	Ran      time.Duration // as consumed; negative if the unit is none of time
	From, To time.Time
	Tags     map[string]any
}

// BillError says where a bill cannot be read, both from 1; Col is of bytes.
type BillError struct {
	Line, Col int
	Err       error
}

// Error is "3:14: what is wrong", so that a caller who knows the file can put
// it before.
func (e *BillError) Error() string { return fmt.Sprintf("%d:%d: %v", e.Line, e.Col, e.Err) }

// Unwrap is what is wrong.
func (e *BillError) Unwrap() error { return e.Err }

// needed are the columns without which a bill says too little. They may stand
// in any order, among others.
var needed = []string{"BilledCost", "BillingCurrency", "ChargeCategory", "ChargePeriodEnd", "ChargePeriodStart",
	"ConsumedQuantity", "ConsumedUnit", "ProviderName", "RegionId", "ResourceId", "ServiceCategory"}

// maxField bounds a cell of a bill, and maxRows a bill.
const (
	maxField = 64 << 10
	maxRows  = 20_000_000
)

// ReadBill reads a FOCUS cost and usage file, CSV with a header, and hands on
// each row. It stops at the first mistake, which is a [BillError].
func ReadBill(r io.Reader, each func(Row)) error {
	in := csv.NewReader(r)
	in.ReuseRecord = true
	head, err := in.Read()
	if err != nil {
		return billError(err)
	}
	b, err := columns(in, head)
	if err != nil {
		return err
	}
	for n := 0; ; n++ {
		record, err := in.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return billError(err)
		}
		if n >= maxRows {
			return &BillError{n + 2, 1, fmt.Errorf("more than %d rows", maxRows)}
		}
		row, err := b.row(record)
		if err != nil {
			return err
		}
		each(row)
	}
}

// billError turns what the CSV reader says into a place and a reason.
func billError(err error) error {
	if bad, ok := errors.AsType[*csv.ParseError](err); ok {
		return &BillError{bad.Line, max(bad.Column, 1), bad.Err}
	}
	if errors.Is(err, io.EOF) {
		return &BillError{1, 1, errors.New("the file is empty")}
	}
	return fmt.Errorf("read bill: %w", err)
}

// bill reads the rows of one file.
type bill struct {
	in *csv.Reader
	at map[string]int
}

// columns finds what is needed in the header.
func columns(in *csv.Reader, head []string) (bill, error) {
	b := bill{in, map[string]int{}}
	for i, name := range head {
		name = strings.TrimPrefix(name, "\ufeff")
		if _, twice := b.at[name]; twice {
			line, col := in.FieldPos(i)
			return b, &BillError{line, col, fmt.Errorf("column %.64q is there twice", name)}
		}
		b.at[name] = i
	}
	for _, name := range needed {
		if _, ok := b.at[name]; !ok {
			return b, &BillError{1, 1, fmt.Errorf("column %s is missing: is this a FOCUS file?", name)}
		}
	}
	return b, nil
}

// bad is a mistake in one cell of the row just read.
func (b bill) bad(name, format string, args ...any) error {
	line, col := b.in.FieldPos(b.at[name])
	return &BillError{line, col, fmt.Errorf("%s "+format, append([]any{name}, args...)...)}
}

// row reads one record.
func (b bill) row(record []string) (Row, error) {
	cell := func(name string) string {
		if i, ok := b.at[name]; ok {
			return record[i]
		}
		return ""
	}
	for i, c := range record {
		if len(c) > maxField {
			line, col := b.in.FieldPos(i)
			return Row{}, &BillError{line, col, fmt.Errorf("a cell of more than %d bytes", maxField)}
		}
	}
	line, _ := b.in.FieldPos(0)
	r := Row{Line: line, Provider: cell("ProviderName"), Resource: cell("ResourceId"), Region: cell("RegionId"),
		Category: cell("ChargeCategory"), Service: cell("ServiceCategory")}
	currency := cell("BillingCurrency")
	micros, ok := scaled(cell("BilledCost"), 1_000_000)
	switch {
	case !ok:
		return r, b.bad("BilledCost", "%.32q is no amount", cell("BilledCost"))
	case len(currency) != 3 || strings.Trim(currency, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != "":
		return r, b.bad("BillingCurrency", "%.32q is no currency", currency)
	}
	r.Cost = policy.Money{Micros: micros, Currency: currency}
	for _, t := range []struct {
		name string
		to   *time.Time
	}{{"ChargePeriodStart", &r.From}, {"ChargePeriodEnd", &r.To}} {
		if *t.to, ok = moment(cell(t.name)); !ok {
			return r, b.bad(t.name, "%.32q is no time as 2026-10-03T00:00:00Z", cell(t.name))
		}
	}
	if r.To.Before(r.From) {
		return r, b.bad("ChargePeriodEnd", "is before ChargePeriodStart")
	}
	if r.Ran, ok = consumed(cell("ConsumedQuantity"), cell("ConsumedUnit")); !ok {
		return r, b.bad("ConsumedQuantity", "%.32q is no quantity", cell("ConsumedQuantity"))
	}
	if t := cell("Tags"); t != "" && t != "null" {
		if err := json.Unmarshal([]byte(t), &r.Tags); err != nil {
			return r, b.bad("Tags", "are no JSON object")
		}
	}
	return r, nil
}

// scaled reads a decimal, times unit, rounded to a whole number.
func scaled(s string, unit int64) (int64, bool) {
	mantissa, exponent, _ := strings.Cut(strings.ToUpper(s), "E")
	if s == "" || len(mantissa) > 48 || len(exponent) > 3 || strings.Trim(mantissa, "-0123456789.") != "" {
		return 0, false
	}
	x, ok := new(big.Rat).SetString(s)
	if !ok {
		return 0, false
	}
	x.Mul(x, big.NewRat(unit, 1))
	n, ok := new(big.Int).SetString(x.FloatString(0), 10)
	return n.Int64(), ok && n.IsInt64()
}

// moment reads a time as FOCUS writes it; providers leave the seconds' zone or
// write a fraction.
func moment(s string) (time.Time, bool) {
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04Z", "2006-01-02 15:04:05", time.DateOnly} {
		if t, err := time.Parse(layout, s); err == nil {
			return t.UTC(), true
		}
	}
	return time.Time{}, false
}

// consumed is a quantity of time; -1 for a unit of anything else, or none.
func consumed(quantity, unit string) (time.Duration, bool) {
	unit = strings.ToLower(strings.TrimSuffix(strings.TrimPrefix(unit, "1 "), "s"))
	per := map[string]time.Duration{"hour": time.Hour, "hr": time.Hour, "minute": time.Minute, "second": time.Second}[unit]
	if per == 0 || quantity == "" {
		return -1, true
	}
	n, ok := scaled(quantity, int64(per))
	return time.Duration(n), ok && n >= 0
}

// machine reports whether the row bills a machine's time.
func (r Row) machine() bool {
	return r.Category == "Usage" && r.Service == "Compute" && r.Resource != ""
}

// tagged reports whether the row has a tag, whatever scheme the provider puts before it.
func (r Row) tagged(key string) bool {
	for k := range r.Tags {
		if k == key || strings.HasSuffix(k, "/"+key) || strings.HasSuffix(k, ":"+key) {
			return true
		}
	}
	return false
}

// name is the last part of a resource's name, as an ARN or a path ends in it.
func name(resource string) string {
	parts := strings.FieldsFunc(resource, func(r rune) bool { return r == '/' || r == ':' })
	if len(parts) == 0 {
		return ""
	}
	return strings.ToLower(parts[len(parts)-1])
}
