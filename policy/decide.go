package policy

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/burstctl/burstctl/residency"
)

// World is what a decision may know besides the request. The zero World offers
// nothing and clears nothing.
type World struct {
	Offers []Offer // of [Decide]; a book has its own
	// Screen asks the residency rules whether the request's slice may be at a
	// claimed place. Nil clears nothing.
	Screen func(residency.Address) residency.Verdict
	// Screened is what Screen says of every place of the book, where it was
	// asked before; nil asks now.
	Screened *Screened
	// Left is the least that any budget concerned has neither spent nor reserved.
	Left Money
	// LeftOf names that budget; empty is the team's.
	LeftOf string
	// MaxPrice is the most that the house pays for a machine per hour; unknown is
	// no bound.
	MaxPrice Money
	// Unavailable maps an offer's key to why it cannot be had for this claim.
	Unavailable map[string]string
	// Closed maps a scope (see [Offer.Scopes]) to why nothing in it is asked for
	// now, whoever asks. Made by [Memory.Closed].
	Closed map[string]Closed
	// MaxLease caps the lease of any node.
	MaxLease time.Duration
}

// The kinds of reasons against an offer, in the order in which they are asked:
// residency first, since no price buys a place.
const (
	KindResidency = "residency"
	KindSize      = "size"
	KindPrice     = "price"
	KindBudget    = "budget"
	KindQuota     = "quota"
	KindCapacity  = "capacity"
)

// Strike is the first reason against an offer.
type Strike struct {
	Kind  string `json:"kind"` // one of the Kind constants
	Rule  string `json:"rule,omitempty"`
	Title string `json:"title,omitempty"`
	Basis string `json:"basis,omitempty"`
	Why   string `json:"why"`
}

// Candidate is one offer considered, cheapest first. A nil Strike means it could be had.
type Candidate struct {
	Offer   Offer   `json:"offer"`
	Reserve Money   `json:"reserve"`        // worst case: price × lease
	Cost    *Parts  `json:"cost,omitempty"` // what it is expected to cost; nil if its price is unknown
	Strike  *Strike `json:"strike,omitempty"`
}

// Plan is the chosen offer and what it may cost at most.
type Plan struct {
	Offer   Offer         `json:"offer"`
	Lease   time.Duration `json:"lease"`
	Reserve Money         `json:"reserve"`
	Why     string        `json:"why"`
}

// Tally counts the offers that one reason struck out.
type Tally struct {
	Kind  string `json:"kind"`
	Rule  string `json:"rule,omitempty"`
	Title string `json:"title,omitempty"`
	Basis string `json:"basis,omitempty"`
	Why   string `json:"why"` // against the cheapest of them
	N     int    `json:"n"`
}

// Decision explains itself: every offer considered and the first reason
// against each. A nil Plan is a refusal; so is the zero Decision.
//
// An entry of the log has an end, so of very many offers the cheapest of each
// reason are candidates, and Struck counts all of them.
type Decision struct {
	Plan        *Plan       `json:"plan,omitempty"`
	Candidates  []Candidate `json:"candidates"`
	Considered  int         `json:"considered,omitempty"` // offers in all; 0 if each is a candidate
	Struck      []Tally     `json:"struck,omitempty"`     // of all of them; empty if each is a candidate
	Refusal     string      `json:"refusal,omitempty"`
	Alternative string      `json:"alternative,omitempty"` // the nearest permitted one
	Rules       string      `json:"rules"`                 // digest of the rules used
	Places      string      `json:"places"`                // digest of the place table used
}

// Decide weighs every offer of w and plans the first one nothing speaks
// against, cheapest first. Residency is asked first: no price buys a place.
func Decide(r Request, w World) Decision { return NewBook(w.Offers, nil, Weights{}).Decide(r, w) }

// Reasons counts what struck offers out, most frequent first.
func (d Decision) Reasons() []Tally {
	if len(d.Struck) > 0 || d.Considered > 0 {
		return d.Struck
	}
	var all []Tally
	for _, c := range d.Candidates {
		if s := c.Strike; s != nil {
			all = count(all, *s, 1)
		}
	}
	return sorted(all)
}

// count adds n to the tally of a reason. Offers of one rule are one reason,
// whatever place each of them is at; without a rule, those of one kind are.
func count(all []Tally, s Strike, n int) []Tally {
	i := slices.IndexFunc(all, func(t Tally) bool { return t.Kind == s.Kind && t.Rule == s.Rule })
	if i < 0 {
		return append(all, Tally{Kind: s.Kind, Rule: s.Rule, Title: s.Title, Basis: s.Basis, Why: s.Why, N: n})
	}
	all[i].N += n
	return all
}

func sorted(all []Tally) []Tally {
	slices.SortStableFunc(all, func(a, b Tally) int {
		return cmp.Or(cmp.Compare(b.N, a.N), strings.Compare(a.Kind, b.Kind), strings.Compare(a.Rule, b.Rule))
	})
	return all
}

// Summary counts the reasons by kind: "14 offers: 9 residency, 3 quota, 2 price".
func (d Decision) Summary() string {
	n := cmp.Or(d.Considered, len(d.Candidates))
	if n == 0 {
		return "no offers"
	}
	var kinds []Tally
	struck := 0
	for _, t := range d.Reasons() {
		kinds, struck = count(kinds, Strike{Kind: t.Kind}, t.N), struck+t.N
	}
	var words []string
	if n > struck {
		words = append(words, fmt.Sprintf("%d allowed", n-struck))
	}
	for _, t := range sorted(kinds) {
		words = append(words, fmt.Sprintf("%d %s", t.N, t.Kind))
	}
	return fmt.Sprintf("%d offers: %s", n, strings.Join(words, ", "))
}
