package policy

import (
	"slices"

	"github.com/burstctl/burstctl/residency"
)

// Book is a list of offers with everything worked out that no job changes.
// Made by [NewBook], safe for use by many, never changed; the zero Book is empty.
type Book struct {
	lines  []line
	places []residency.Address
}

// line is one offer of a book.
type line struct {
	Offer
	key    string
	scopes [4]string // as Offer.Scopes
	place  int       // index in places
	most   int64     // the most an hour can cost, in micros; 0 is unknown
	rates  rates
}

// NewBook reads the offers once. Facts says what else is known of each; nil
// knows nothing.
func NewBook(offers []Offer, facts func(Offer) Facts, w Weights) *Book {
	b := &Book{lines: make([]line, len(offers))}
	known := make([]Facts, len(offers))
	if facts != nil {
		for i, o := range offers {
			known[i] = facts(o)
		}
	}
	worst, places := worstOf(known), map[residency.Address]int{}
	for i, o := range offers {
		at, again := places[o.At]
		if !again {
			at = len(b.places)
			places[o.At], b.places = at, append(b.places, o.At)
		}
		l := line{Offer: o, key: o.Key(), scopes: o.Scopes(), place: at, rates: ratesOf(o, known[i], worst, w)}
		if o.priced() {
			l.most = o.Most().Micros
		}
		b.lines[i] = l
	}
	return b
}

// Places lists each claimed place of the book once.
func (b *Book) Places() []residency.Address { return slices.Clone(b.places) }

// Offers lists the offers of the book.
func (b *Book) Offers() []Offer {
	all := make([]Offer, len(b.lines))
	for i, l := range b.lines {
		all[i] = l.Offer
	}
	return all
}

// Screened is what the residency rules say of each place of a book, for one
// question. Made by [Book.Screen]; it holds for that book, and for as long as
// the rules, the place table and its day do.
type Screened struct {
	verdicts []residency.Verdict
	class    []int // by place: which reason, 0 for allowed
	reasons  int
}

// Screen asks about every place of the book once. Nil clears nothing.
func (b *Book) Screen(ask func(residency.Address) residency.Verdict) *Screened {
	s := &Screened{class: make([]int, len(b.places))}
	reasons := map[string]int{}
	for i, at := range b.places {
		v := residency.Verdict{Why: "no residency rules are loaded"}
		if ask != nil {
			v = ask(at)
		}
		s.verdicts = append(s.verdicts, v)
		if v.Allowed {
			continue
		}
		name := ""
		if len(v.Rules) > 0 {
			name = v.Rules[0].ID
		}
		if reasons[name] == 0 {
			reasons[name] = len(reasons) + 1
		}
		s.class[i] = reasons[name]
	}
	s.reasons = len(reasons)
	return s
}

// strike is the reason the rules have against a place.
func (s *Screened) strike(place int) *Strike {
	v := s.verdicts[place]
	out := &Strike{Kind: KindResidency, Why: v.Why}
	if len(v.Rules) > 0 {
		out.Rule, out.Title, out.Basis = v.Rules[0].ID, v.Rules[0].Title, v.Rules[0].Basis
	}
	return out
}
