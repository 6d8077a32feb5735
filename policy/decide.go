package policy

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/burstctl/burstctl/residency"
)

// World is what a decision may know besides the request. The zero World offers
// nothing and clears nothing.
type World struct {
	Offers []Offer
	// Screen asks the residency rules whether the request's slice may be at a
	// claimed place. Nil clears nothing.
	Screen func(residency.Address) residency.Verdict
	// Left is what the team's budget has neither spent nor reserved.
	Left Money
	// Unavailable maps an offer's key to why it cannot be had now.
	Unavailable map[string]string
	// MaxLease caps the lease of any node.
	MaxLease time.Duration
}

// Strike is the first reason against an offer.
type Strike struct {
	Kind  string `json:"kind"` // "residency", "size", "price", "budget" or "capacity"
	Rule  string `json:"rule,omitempty"`
	Title string `json:"title,omitempty"`
	Basis string `json:"basis,omitempty"`
	Why   string `json:"why"`
}

// Candidate is one offer considered, cheapest first. A nil Strike means it could be had.
type Candidate struct {
	Offer   Offer   `json:"offer"`
	Reserve Money   `json:"reserve"` // worst case: price × lease
	Strike  *Strike `json:"strike,omitempty"`
}

// Plan is the chosen offer and what it may cost at most.
type Plan struct {
	Offer   Offer         `json:"offer"`
	Lease   time.Duration `json:"lease"`
	Reserve Money         `json:"reserve"`
	Why     string        `json:"why"`
}

// Decision explains itself: every offer considered and the first reason
// against each. A nil Plan is a refusal; so is the zero Decision.
type Decision struct {
	Plan        *Plan       `json:"plan,omitempty"`
	Candidates  []Candidate `json:"candidates"`
	Refusal     string      `json:"refusal,omitempty"`
	Alternative string      `json:"alternative,omitempty"` // the nearest permitted one
	Rules       string      `json:"rules"`                 // digest of the rules used
	Places      string      `json:"places"`                // digest of the place table used
}

// Decide weighs every offer, cheapest worst case first, and plans the first
// one nothing speaks against. Residency is asked first: no price buys a place.
func Decide(r Request, w World) Decision {
	lease := min(r.Job.Lease, w.MaxLease)
	var d Decision
	for _, o := range w.Offers {
		d.Candidates = append(d.Candidates, Candidate{Offer: o, Reserve: o.PerHour.For(lease)})
	}
	slices.SortStableFunc(d.Candidates, func(a, b Candidate) int {
		return cmp.Or(cmp.Compare(a.Reserve.Micros, b.Reserve.Micros), cmp.Compare(a.Offer.Key(), b.Offer.Key()))
	})
	left := 0
	for i := range d.Candidates {
		c := &d.Candidates[i]
		if c.Strike = w.strike(r, *c, &d); c.Strike != nil {
			continue
		}
		if left++; d.Plan == nil {
			d.Plan = &Plan{Offer: c.Offer, Lease: lease, Reserve: c.Reserve}
		}
	}
	if d.Plan == nil {
		d.Refusal = d.summary()
	} else {
		d.Plan.Why = fmt.Sprintf("cheapest of %d offers that nothing speaks against", left)
	}
	return d
}

// strike returns the first reason against c.
func (w World) strike(r Request, c Candidate, d *Decision) *Strike {
	if s := w.screen(c.Offer, d); s != nil {
		return s
	}
	switch {
	case c.Offer.GPUs < r.Job.GPUs:
		return &Strike{Kind: "size", Why: fmt.Sprintf("has %d GPUs, the job needs %d", c.Offer.GPUs, r.Job.GPUs)}
	case !c.Reserve.Known() || c.Reserve.Micros <= 0 || c.Offer.AsOf == "":
		return &Strike{Kind: "price", Why: "its price or the date of its price is unknown"}
	case !c.Offer.Market.Known():
		return &Strike{Kind: "price", Why: fmt.Sprintf("nobody knows how a machine is sold at market %q", c.Offer.Market)}
	case exceeds(c.Reserve, r.Job.Budget):
		return &Strike{Kind: "budget", Why: fmt.Sprintf("would reserve %v, the job allows %v", c.Reserve, r.Job.Budget)}
	case exceeds(c.Reserve, w.Left):
		why := fmt.Sprintf("would reserve %v, team %s has %v left", c.Reserve, r.Job.Team, w.Left)
		return &Strike{Kind: "budget", Why: why}
	}
	if why, gone := w.Unavailable[c.Offer.Key()]; gone {
		return &Strike{Kind: "capacity", Why: why}
	}
	return nil
}

// screen asks the residency rules about the place the offer claims.
func (w World) screen(o Offer, d *Decision) *Strike {
	if w.Screen == nil {
		return &Strike{Kind: "residency", Why: "no residency rules are loaded"}
	}
	v := w.Screen(o.At)
	d.Rules, d.Places = v.RulesDigest, v.PlacesDigest
	if v.Allowed {
		return nil
	}
	s := &Strike{Kind: "residency", Why: v.Why}
	if len(v.Rules) > 0 {
		s.Rule, s.Title, s.Basis = v.Rules[0].ID, v.Rules[0].Title, v.Rules[0].Basis
	}
	return s
}

// exceeds reports whether a is over limit; amounts that cannot be compared are.
func exceeds(a, limit Money) bool {
	left, err := limit.Minus(a)
	return err != nil || left.Micros < 0
}

// summary counts the reasons: "14 offers: 9 residency, 3 capacity, 2 price".
func (d Decision) summary() string {
	if len(d.Candidates) == 0 {
		return "no offers"
	}
	counts := map[string]int{}
	for _, c := range d.Candidates {
		counts[c.Strike.Kind]++
	}
	s := fmt.Sprintf("%d offers", len(d.Candidates))
	for i, kind := range slices.Sorted(maps.Keys(counts)) {
		s += map[bool]string{true: ": ", false: ", "}[i == 0] + fmt.Sprintf("%d %s", counts[kind], kind)
	}
	return s
}
