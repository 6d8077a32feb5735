// Package catalog reads what can be had where, at which price.
//
// # Every price has a date and a source
//
// A row is one machine type at one place, on demand or spot. Its price is what
// it was on the date in as_of according to the source beside it; an empty price
// is unknown, is kept as unknown, and denies. So does an unknown number of GPUs.
// Nothing is filled in, converted or guessed. A spot price moves: the row says
// too what an hour can cost at most, which is what is reserved.
//
// # What is carried
//
// [Carried] is public price lists of AWS and Azure as files in data, each with
// a sidecar that says where it comes from, under which licence and what was
// changed. Beside the prices they tell what else makes a place dear or cheap
// ([FactsOf]): how often spot machines are taken back, throughput and the price
// of leaving, carbon, power. [Demo] is ten rows of them, for the demo.
//
// # Old prices
//
// A price is not wrong because it is old, and not right either: [Stale] flags
// it, and the prices package below asks the providers for newer ones.
//
// # Non-goals
//
// No currency conversion, no forecast. Whether an offer may be taken, and which
// is best, is decided in policy.
package catalog

import (
	"bytes"
	_ "embed" // for the demo's offers
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/burstctl/burstctl/policy"
	"github.com/burstctl/burstctl/residency"
)

// Demo is the demo's offers as [Parse] reads them. Do not change it.
//
//go:embed demo.csv
var Demo []byte

// The first line of a file of offers, exactly. The short form is on demand only.
var (
	short  = []string{"provider", "region", "zone", "type", "gpu", "gpus", "per_hour", "currency", "as_of", "source"}
	header = []string{"provider", "region", "zone", "type", "gpu", "gpus", "market", "per_hour", "at_most", "currency",
		"as_of", "source"}
)

// Parse reads a file of offers, all of it or nothing. Its errors begin with the
// line ("line 3: …"), so that a caller who knows the file can put it before them.
func Parse(b []byte) ([]policy.Offer, error) {
	r := csv.NewReader(bytes.NewReader(b))
	first, err := r.Read()
	brief := err == nil && slices.Equal(first, short)
	if err != nil || !brief && !slices.Equal(first, header) {
		return nil, fmt.Errorf("line 1: the header must be %q", header)
	}
	var offers []policy.Offer
	lines := map[string]int{}
	for {
		row, err := r.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if bad, ok := errors.AsType[*csv.ParseError](err); ok {
			return nil, fmt.Errorf("line %d: %w", bad.Line, bad.Err)
		} else if err != nil {
			return nil, fmt.Errorf("read offers: %w", err)
		}
		line, _ := r.FieldPos(0)
		if brief {
			row = slices.Insert(slices.Insert(row, 7, ""), 6, "")
		}
		o, err := parse(row)
		if err == nil && brief && o.GPUs == 0 {
			err = errors.New("gpus is missing")
		}
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", line, err)
		}
		if before, again := lines[o.Key()]; again {
			return nil, fmt.Errorf("line %d: %s is on line %d already", line, o.Key(), before)
		}
		lines[o.Key()] = line
		offers = append(offers, o)
	}
	if len(offers) == 0 {
		return nil, errors.New("line 2: there are no offers")
	}
	return offers, nil
}

// parse reads one row of the long form.
func parse(row []string) (policy.Offer, error) {
	o := policy.Offer{At: residency.Address{Provider: row[0], Region: row[1], Zone: row[2]},
		Type: row[3], GPU: row[4], Market: policy.Market(row[6]), AsOf: row[10], Source: row[11]}
	if err := o.At.Check(); err != nil {
		return o, err
	}
	if o.Type == "" || o.GPU == "" || o.Source == "" {
		return o, errors.New("type, gpu or source is missing")
	}
	if !o.Market.Known() {
		return o, fmt.Errorf("market %q is neither on-demand nor spot", o.Market)
	}
	var err error
	if o.GPUs, err = strconv.Atoi(row[5]); row[5] != "" && (err != nil || o.GPUs < 1 || strconv.Itoa(o.GPUs) != row[5]) {
		return o, fmt.Errorf("gpus %q is not a positive number", row[5])
	}
	if _, err := time.Parse(time.DateOnly, o.AsOf); err != nil {
		return o, fmt.Errorf("as_of %q is not a date as 2026-01-21", o.AsOf)
	}
	if o.PerHour, err = price("per_hour", row[7], row[9]); err != nil {
		return o, err
	}
	if o.AtMost, err = price("at_most", row[8], row[9]); err == nil && o.AtMost.Known() && o.Most() != o.AtMost {
		err = errors.New("at_most is less than per_hour")
	}
	return o, err
}

// price reads an amount; an empty one is unknown, and stays so.
func price(name, amount, currency string) (policy.Money, error) {
	if amount == "" {
		return policy.Money{}, nil
	}
	m, err := policy.ParseMoney(amount + " " + currency)
	if err == nil && m.Micros == 0 {
		err = fmt.Errorf("%s is 0: leave it empty if it is not known", name)
	}
	return m, err
}

// Format writes offers as [Parse] reads them, in the order of their keys.
func Format(offers []policy.Offer) []byte {
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	_ = w.Write(header) // a buffer takes everything
	for _, o := range Sorted(offers) {
		gpus := ""
		if o.GPUs > 0 {
			gpus = strconv.Itoa(o.GPUs)
		}
		_ = w.Write([]string{o.At.Provider, o.At.Region, o.At.Zone, o.Type, o.GPU, gpus, string(o.Market),
			amount(o.PerHour), amount(o.AtMost), o.PerHour.Currency, o.AsOf, o.Source})
	}
	w.Flush()
	return b.Bytes()
}

// amount is m without its currency, exactly.
func amount(m policy.Money) string {
	if !m.Known() {
		return ""
	}
	return strings.TrimSuffix(strings.TrimRight(fmt.Sprintf("%d.%06d", m.Micros/1e6, m.Micros%1e6), "0"), ".")
}

// Sorted is the offers in the order of their keys.
func Sorted(offers []policy.Offer) []policy.Offer {
	return slices.SortedStableFunc(slices.Values(offers), func(a, b policy.Offer) int {
		return strings.Compare(a.Key(), b.Key())
	})
}

// Stale reports whether a price is older than limit on the day of now, or has
// no date that can be read. A limit of 0 is none.
func Stale(o policy.Offer, now time.Time, limit time.Duration) bool {
	day, err := time.Parse(time.DateOnly, o.AsOf)
	return err != nil || limit > 0 && now.UTC().Sub(day) > limit
}
