package cost

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/burstctl/burstctl/policy"
)

// keys is what costs may be grouped by.
var keys = map[string]func(Line) string{
	"team":     func(l Line) string { return l.Request.Job.Team },
	"project":  func(l Line) string { return l.Request.Job.Project },
	"queue":    func(l Line) string { return l.Request.Job.Queue },
	"job":      func(l Line) string { return l.Request.Job.Name },
	"slice":    func(l Line) string { return l.Request.Job.Slice },
	"dataset":  func(l Line) string { d, _, _ := strings.Cut(l.Request.Job.Slice, "/"); return d },
	"purpose":  func(l Line) string { return l.Request.Job.Purpose },
	"site":     func(l Line) string { return l.Request.Site },
	"claim":    func(l Line) string { return l.Claim },
	"provider": func(l Line) string { return l.Offer.At.Provider },
	"region":   func(l Line) string { return l.Offer.At.Provider + "/" + l.Offer.At.Region },
	"type":     func(l Line) string { return l.Offer.Type },
	"day":      func(l Line) string { return l.From.UTC().Format(time.DateOnly) },
	"month":    func(l Line) string { return l.From.UTC().Format("2006-01") },
}

// Keys lists what costs may be grouped by, in order.
func Keys() []string {
	var names []string
	for name := range keys {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Group is what lines of one kind cost together. Currencies are never added, so
// each has a group of its own.
type Group struct {
	Of       []string      `json:"of"` // values, in the order of the keys asked for; "" is none given
	Bursts   int           `json:"bursts"`
	Ran      time.Duration `json:"ran"`      // of machines, nanoseconds
	GPUTime  time.Duration `json:"gpu_time"` // × their GPUs
	Cost     policy.Money  `json:"cost"`
	Reserved policy.Money  `json:"reserved"`         // more that may come, at worst
	Overrun  policy.Money  `json:"overrun,omitzero"` // past what was reserved
	Units    Units         `json:"units"`
	tally    tally
	claims   map[string]bool
}

// By adds lines up by the values of some keys, dearest group first. Facts may be
// nil.
func By(lines []Line, by []string, facts Facts) ([]Group, error) {
	var of []func(Line) string
	for _, k := range by {
		f, ok := keys[k]
		if !ok {
			return nil, fmt.Errorf("group by %q: costs are grouped by %s", k, strings.Join(Keys(), ", "))
		}
		of = append(of, f)
	}
	groups := map[string]*Group{}
	seen := map[machine]bool{}
	for _, l := range lines {
		values := make([]string, len(of))
		for i, f := range of {
			values[i] = f(l)
		}
		key := strings.Join(append(values, l.Cost.Currency), "\x00")
		g := groups[key]
		if g == nil {
			g = &Group{Of: values, claims: map[string]bool{}, Cost: policy.Money{Currency: l.Cost.Currency},
				Reserved: policy.Money{Currency: l.Cost.Currency}}
			groups[key] = g
		}
		var known policy.Facts
		if facts != nil {
			known = facts(l.Offer)
		}
		at := machine{l.Claim, l.Attempt}
		if err := g.add(l, known, !seen[at]); err != nil {
			return nil, err
		}
		seen[at] = true
	}
	var all []Group
	for _, g := range groups {
		g.Bursts, g.Units = len(g.claims), g.tally.of(g.Cost, g.GPUTime)
		all = append(all, *g)
	}
	slices.SortFunc(all, func(a, b Group) int {
		return cmp.Or(cmp.Compare(b.Cost.Micros, a.Cost.Micros), slices.Compare(a.Of, b.Of),
			cmp.Compare(a.Cost.Currency, b.Cost.Currency))
	})
	return all, nil
}

// machine names one attempt.
type machine struct {
	claim   string
	attempt int
}

// add counts a line; what a machine has once only, such as an overrun, is
// counted with its first one.
func (g *Group) add(l Line, f policy.Facts, first bool) (err error) {
	g.claims[l.Claim] = true
	g.Ran += l.To.Sub(l.From)
	g.GPUTime += l.To.Sub(l.From) * time.Duration(l.Offer.GPUs)
	g.tally.add(l, f)
	if g.Cost, err = g.Cost.Plus(l.Cost); err != nil || !first {
		return err
	}
	if rest, err := l.Reserved.Minus(l.Spent); err == nil && rest.Micros > 0 && l.Reserved.Micros > 0 {
		if g.Reserved, err = g.Reserved.Plus(rest); err != nil {
			return err
		}
	}
	if l.Overrun.Known() {
		g.Overrun, err = sum(g.Overrun, l.Overrun)
	}
	return err
}

// sum adds to an amount that may not be one yet.
func sum(a, b policy.Money) (policy.Money, error) {
	if !a.Known() {
		return b, nil
	}
	return a.Plus(b)
}
