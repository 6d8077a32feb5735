// Package prices asks the providers what their machines cost today.
//
// # What is asked
//
// AWS's Price List API (GetProducts, with the caller's own credentials, which
// need pricing:GetProducts and nothing else) and Azure's Retail Prices API
// (public, no credentials). Only machines that the carried catalogue knows are
// taken over: a price says nothing of how many GPUs a machine has.
//
// # What is made of it
//
// Offers of today's date, for a file that a person compares ("burstctl catalog
// diff") before a controller reads it. An answer that names a machine twice at
// different prices, or no price, leaves it out: nothing is guessed. Both readers
// are bounded in pages, bytes and time, and go to no other host than the one
// they were given.
//
// # Non-goals
//
// No spot prices of AWS, which are no list prices. Nothing is cached, and
// nothing here decides.
package prices

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/burstctl/burstctl/policy"
)

// The bounds of one update.
const (
	maxPages = 400              // of one provider
	maxBytes = 8 << 20          // of one answer
	patience = 20 * time.Second // for one answer
)

// errPages: an answer went on for longer than anything real does.
var errPages = errors.New("more pages than a price list has")

// known is the machine types of a provider as the catalogue has them.
type known map[string]policy.Offer

// knownOf lists the types of a provider; their places and prices mean nothing.
func knownOf(carried []policy.Offer, provider string) known {
	k := known{}
	for _, o := range carried {
		if o.At.Provider == provider {
			k[o.Type] = o
		}
	}
	return k
}

// read is what was read so far. A machine with two prices has none.
type read struct {
	offers map[string]policy.Offer
	doubts map[string]bool
}

func newRead() *read { return &read{map[string]policy.Offer{}, map[string]bool{}} }

// add takes one price.
func (r *read) add(o policy.Offer) {
	had, again := r.offers[o.Key()]
	if again && had != o {
		r.doubts[o.Key()] = true
	}
	r.offers[o.Key()] = o
}

// all is every offer with one price; a spot price is bounded by the price on
// demand beside it, and unknown without one.
func (r *read) all() []policy.Offer {
	var all []policy.Offer
	for key, o := range r.offers {
		if r.doubts[key] {
			continue
		}
		if o.Market.Spot() {
			plain := o
			plain.Market = ""
			o.AtMost = r.offers[plain.Key()].PerHour
			if r.doubts[plain.Key()] || !o.AtMost.Known() || o.Most() != o.AtMost {
				o.PerHour, o.AtMost = policy.Money{}, policy.Money{}
			}
		}
		all = append(all, o)
	}
	slices.SortFunc(all, func(a, b policy.Offer) int { return slices.Compare([]string{a.Key()}, []string{b.Key()}) })
	return all
}

// amount reads a price of a JSON number or string, exactly; more than six
// decimals are no price of an hour.
func amount(n json.Number, currency string) (policy.Money, error) {
	m, err := policy.ParseMoney(n.String() + " " + currency)
	if err == nil && m.Micros == 0 {
		err = fmt.Errorf("a price of %s", n)
	}
	return m, err
}
