package review

import (
	"cmp"
	"time"

	"github.com/burstctl/burstctl/residency"
)

// Transfer is what left a site for one place under one grant: a slice, or a program.
type Transfer struct {
	Claim    string          `json:"claim"`
	Site     string          `json:"site"`
	What     string          `json:"what"` // the slice's name, "program", or "unknown"
	Manifest string          `json:"manifest"`
	Class    string          `json:"class,omitempty"`   // of the slice
	Purpose  string          `json:"purpose,omitempty"` // it may be read for
	Team     string          `json:"team,omitempty"`
	Place    string          `json:"place"`   // proven; "" if no entry proves one
	Country  string          `json:"country"` // where the machines stand
	Groups   []string        `json:"groups,omitempty"`
	Operator string          `json:"operator,omitempty"` // country of the contracting operator
	Parent   string          `json:"parent,omitempty"`   // country whose law binds the operator's parent
	Level    residency.Level `json:"level"`
	Trust    string          `json:"trust"`
	Grant    string          `json:"grant"`
	Granted  *Mark           `json:"granted"` // nil: no entry grants it
	Rules    []Cited         `json:"rules"`   // those that permitted it
	Basis    string          `json:"basis,omitempty"`
	Bytes    int64           `json:"bytes"`            // served
	Upto     int64           `json:"up_to,omitempty"`  // bytes more that may have gone out in windows not closed
	First    Mark            `json:"first"`            // entry about these bytes
	Last     Mark            `json:"last"`             // entry about these bytes
	Instance string          `json:"instance"`         // the provider's name of the machine
	Expires  time.Time       `json:"expires,omitzero"` // of the grant
}

// Cited is a rule as an officer cites it.
type Cited struct {
	ID    string `json:"id"`
	Title string `json:"title,omitempty"`
	Basis string `json:"basis,omitempty"`
}

// cite shortens rules to what is cited.
func cite(rules []residency.Rule) []Cited {
	cited := []Cited{}
	for _, rule := range rules {
		cited = append(cited, Cited{rule.ID, rule.Title, rule.Basis})
	}
	return cited
}

// Transfers lists what left the sites from a time on and before another; a zero time is no bound. The findings are
// those of [Review.Serves]: bytes that no grant covers are listed and found.
func (r *Review) Transfers(from, until time.Time) ([]Transfer, []Finding) {
	all := []Transfer{}
	for _, l := range r.order {
		type key struct{ grant, manifest string }
		at := map[key]int{}
		for _, w := range l.windows {
			first := cmp.Or(w.opened, w.closed)
			last := cmp.Or(w.closed, w.opened)
			if !from.IsZero() && last.At.Before(from) || !until.IsZero() && !first.At.Before(until) {
				continue
			}
			k := key{w.grant, w.manifest}
			i, ok := at[k]
			if !ok {
				i = len(all)
				at[k] = i
				all = append(all, l.transfer(w.grant, w.manifest, first))
			}
			all[i].Last = later(all[i].Last, last)
			if all[i].Bytes += w.served; !w.closed.is() {
				all[i].Upto += w.allowed
			}
		}
	}
	_, findings := r.Serves()
	return all, findings
}

// later is the mark with the larger index.
func later(a, b Mark) Mark {
	if b.Index > a.Index {
		return b
	}
	return a
}

// transfer begins the row of a grant and a manifest.
func (l *life) transfer(id, manifest string, first Mark) Transfer {
	t := Transfer{Claim: l.claim, Site: l.request.Site, What: l.what(manifest), Manifest: manifest,
		Purpose: l.request.Job.Purpose, Team: l.request.Job.Team, Grant: id, Rules: []Cited{}, First: first, Last: first}
	g := l.grant(id)
	if g == nil {
		return t
	}
	p := g.placed
	t.Granted, t.Rules, t.Expires = ptr(g.Mark), cite(g.verdict.Rules), g.expires
	t.Place, t.Country, t.Groups = p.place.Address.String(), p.place.Country, p.place.Groups
	t.Operator, t.Parent, t.Level, t.Trust = p.place.Operator, p.place.Parent, p.level, p.trust
	if n := l.nodeOf(g); n != nil {
		t.Instance = n.id
	}
	if g.known && t.What != program {
		t.Class, t.Basis = g.facts.Ask.Slice.Class.String(), g.facts.Ask.Slice.Basis
	}
	return t
}
