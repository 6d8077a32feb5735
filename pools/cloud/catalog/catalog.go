// Package catalog reads what can be had where, and at which price.
//
// # A price has a date
//
// Every row names the day its price was read and where. A row whose price is
// missing is kept, with an unknown price, which denies: nobody spends money on
// a guess. The table is CSV, so that an operator can diff two of them.
//
// # Non-goals
//
// No price is fetched here and none is predicted.
package catalog

import (
	"bytes"
	_ "embed"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/burstctl/burstctl/policy"
	"github.com/burstctl/burstctl/residency"
)

// Demo is the table of the demo: real list prices of T4 machines, as of the
// dates in its rows; demo.csv.prov.json says where they come from.
//
//go:embed demo.csv
var Demo []byte

var header = []string{"provider", "region", "zone", "type", "gpu", "gpus", "per_hour", "currency", "as_of", "source"}

// Parse reads a table. Errors name line and column; a table with an error
// offers nothing.
func Parse(b []byte) ([]policy.Offer, error) {
	r := csv.NewReader(bytes.NewReader(b))
	r.FieldsPerRecord = len(header)
	head, err := r.Read()
	if err != nil {
		return nil, fmt.Errorf("read offers: %w", err)
	}
	for i, want := range header {
		if head[i] != want {
			return nil, fmt.Errorf("read offers: 1:%d: column is %q, want %q", i+1, head[i], want)
		}
	}
	var offers []policy.Offer
	seen := map[string]int{}
	for {
		row, err := r.Read()
		if errors.Is(err, io.EOF) {
			return offers, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read offers: %w", err)
		}
		line, _ := r.FieldPos(0)
		o, err := parse(row)
		if err != nil {
			return nil, fmt.Errorf("read offers: line %d: %w", line, err)
		}
		if before, dup := seen[o.Key()]; dup {
			return nil, fmt.Errorf("read offers: line %d: %s is in line %d already", line, o.Key(), before)
		}
		seen[o.Key()] = line
		offers = append(offers, o)
	}
}

// parse reads one row.
func parse(f []string) (policy.Offer, error) {
	address := f[0] + "/" + f[1]
	if f[2] != "" {
		address += "/" + f[2]
	}
	at, err := residency.ParseAddress(address)
	if err != nil {
		return policy.Offer{}, err
	}
	o := policy.Offer{At: at, Type: f[3], GPU: f[4], AsOf: f[8], Source: f[9]}
	if o.GPUs, err = strconv.Atoi(f[5]); err != nil || o.GPUs <= 0 || o.Type == "" {
		return policy.Offer{}, fmt.Errorf("%s: type or number of GPUs is missing", address)
	}
	if _, err := time.Parse(time.DateOnly, f[8]); err != nil {
		return policy.Offer{}, fmt.Errorf("%s: date of the price is %q, want YYYY-MM-DD", address, f[8])
	}
	if f[6] == "" {
		return o, nil // unknown: considered, and struck out
	}
	o.PerHour, err = policy.ParseMoney(f[6] + " " + f[7])
	return o, err
}
