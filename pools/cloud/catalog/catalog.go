// Package catalog reads what can be had where, at which price.
//
// # Every price has a date and a source
//
// A row is one machine type at one place. Its price is a list price, read on
// the date in as_of from the source beside it; an empty price is unknown, is
// kept as unknown, and denies. Nothing is filled in, converted or guessed.
//
// # The demo's offers
//
// [Demo] is a small subset of public price lists: machines with NVIDIA T4 in
// Virginia, Frankfurt, and zones whose country is not what their region
// suggests. demo.csv.prov.json says where it comes from, under which licence
// and what was changed.
//
// # Non-goals
//
// No live prices, no spot, no currency conversion. Whether an offer may be
// taken is decided in policy.
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
	"time"

	"github.com/burstctl/burstctl/policy"
	"github.com/burstctl/burstctl/residency"
)

// Demo is the demo's offers as [Parse] reads them. Do not change it.
//
//go:embed demo.csv
var Demo []byte

// header is the first line of a catalogue, exactly.
var header = []string{"provider", "region", "zone", "type", "gpu", "gpus", "per_hour", "currency", "as_of", "source"}

// Parse reads a catalogue, all of it or nothing. Its errors begin with the line
// ("line 3: …"), so that a caller who knows the file can put it before them.
func Parse(b []byte) ([]policy.Offer, error) {
	r := csv.NewReader(bytes.NewReader(b))
	r.FieldsPerRecord = len(header)
	first, err := r.Read()
	if err != nil || !slices.Equal(first, header) {
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
			return nil, fmt.Errorf("read catalogue: %w", err)
		}
		line, _ := r.FieldPos(0)
		o, err := parse(row)
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

// parse reads one row.
func parse(row []string) (policy.Offer, error) {
	o := policy.Offer{At: residency.Address{Provider: row[0], Region: row[1], Zone: row[2]},
		Type: row[3], GPU: row[4], AsOf: row[8], Source: row[9]}
	if err := o.At.Check(); err != nil {
		return o, err
	}
	if o.Type == "" || o.GPU == "" || o.Source == "" {
		return o, errors.New("type, gpu or source is missing")
	}
	var err error
	if o.GPUs, err = strconv.Atoi(row[5]); err != nil || o.GPUs < 1 || strconv.Itoa(o.GPUs) != row[5] {
		return o, fmt.Errorf("gpus %q is not a positive number", row[5])
	}
	if _, err := time.Parse(time.DateOnly, o.AsOf); err != nil {
		return o, fmt.Errorf("as_of %q is not a date as 2026-01-21", o.AsOf)
	}
	if row[6] == "" { // unknown, and stays so
		return o, nil
	}
	if o.PerHour, err = policy.ParseMoney(row[6] + " " + row[7]); err != nil {
		return o, err
	}
	if o.PerHour.Micros == 0 {
		return o, errors.New("per_hour is 0: leave it empty if it is not known")
	}
	return o, nil
}
