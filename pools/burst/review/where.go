package review

import (
	"strings"

	"github.com/burstctl/burstctl/pools/burst"
)

// Stay is one place where bytes of a dataset have been, or are.
type Stay struct {
	What     string `json:"what"` // slice, or the artefact that was derived from it
	Place    string `json:"place"`
	Country  string `json:"country,omitempty"`    // "" where the log does not say: a site
	Level    string `json:"level,omitempty"`      // how well the place was proven; "" for a site
	Near     *Near  `json:"round_trip,omitempty"` // nil: none was measured
	Claim    string `json:"claim"`
	Instance string `json:"instance,omitempty"`
	Bytes    int64  `json:"bytes"`
	Upto     int64  `json:"up_to,omitempty"` // bytes more that may be there, in windows not closed
	First    Mark   `json:"first"`
	Last     Mark   `json:"last"`
	Gone     *Mark  `json:"gone"` // proof that the machine is gone; nil: it may still be there
	Note     string `json:"note,omitempty"`
}

// Near is the best bound on how far from its edge a grant's node was: that of the shortest round trip entered.
type Near struct {
	Mark           // the entry that says so
	Micros   int64 `json:"micros"`
	Samples  int   `json:"samples"`
	Within   int64 `json:"within_km"`    // of cable, at 200 km/ms
	Measured int   `json:"measurements"` // entered for the grant
}

// measure folds a round trip. It is evidence only from the edge of the site that asked, about a grant there is.
func (l *life) measure(m Mark, actor string, b *burst.RoundTrip) {
	switch {
	case l.grant(b.Grant) == nil:
		l.find(m, "round trip of grant %s, which no earlier entry grants", b.Grant)
		return
	case actor != "edge:"+l.request.Site:
		l.find(m, "round trip of grant %s entered by %s, not by the edge of the site that asked", b.Grant, actor)
		return
	case b.Micros <= 0 || b.Samples <= 0:
		l.find(m, "round trip of grant %s of %d µs in %d samples", b.Grant, b.Micros, b.Samples)
		return
	}
	if l.near == nil {
		l.near = map[string]*Near{}
	}
	now, old := &Near{m, b.Micros, b.Samples, b.Within(), 1}, l.near[b.Grant]
	if old != nil && old.Micros <= now.Micros {
		now = old
	}
	if old != nil {
		now.Measured = old.Measured + 1
	}
	l.near[b.Grant] = now
}

// of reports whether slice is name, or of the dataset name.
func of(slice, name string) bool { return slice == name || strings.HasPrefix(slice, name+"/") }

// Where lists every place that bytes of a dataset or slice have been sent to, and what came of them at the site. A
// window whose manifest is not known may hold bytes of anything its burst asked for, and counts. The findings are
// those of [Review.Serves] for the claims in question.
func (r *Review) Where(name string) ([]Stay, []Finding) {
	stays, found := []Stay{}, r.doubts()
	for _, l := range r.order {
		if !of(l.request.Job.Slice, name) {
			continue
		}
		stays = append(stays, l.stays()...)
		for _, a := range l.artefacts {
			stays = append(stays, Stay{What: a.Name + ", made from " + l.request.Job.Slice, Claim: l.claim,
				Place: "site " + l.request.Site, Bytes: a.Bytes, First: a.Mark, Last: a.Mark,
				Note: a.note()})
		}
		for _, w := range l.windows {
			if s := l.serve(w); s.State == Violation {
				found = append(found, Finding{later(w.opened, w.closed), l.claim, strings.Join(s.Why, "; ")})
			}
		}
		found = append(found, l.findings...)
	}
	return stays, found
}

// stays are the places the slice of one burst was sent to, one for each grant.
func (l *life) stays() []Stay {
	stays, at := []Stay{}, map[string]int{}
	for _, w := range l.windows {
		if l.what(w.manifest) == program || w.closed.is() && w.served == 0 {
			continue
		}
		i, ok := at[w.grant]
		if !ok {
			i = len(stays)
			at[w.grant] = i
			stays = append(stays, l.stay(w))
		}
		s := &stays[i]
		s.Last = later(s.Last, w.closed)
		if s.Bytes += w.served; !w.closed.is() {
			s.Upto += w.allowed
		}
	}
	return stays
}

// stay begins the row of a window's grant.
func (l *life) stay(w *window) Stay {
	first := w.opened
	if !first.is() {
		first = w.closed
	}
	s := Stay{What: l.request.Job.Slice, Claim: l.claim, Place: "unknown: no entry grants it", First: first, Last: first}
	g := l.grant(w.grant)
	if g == nil {
		return s
	}
	s.Place, s.Country = g.placed.place.Address.String(), g.placed.place.Country
	s.Level, s.Near = g.placed.level.String(), l.near[g.id]
	if n := l.nodeOf(g); n != nil {
		s.Instance, s.Gone = n.id, ptr(n.gone)
	}
	return s
}

// Slices lists the slices and datasets that were asked for, in the order of the log, each once.
func (r *Review) Slices() []string {
	names, seen := []string{}, map[string]bool{}
	for _, l := range r.order {
		slice := l.request.Job.Slice
		dataset, _, _ := strings.Cut(slice, "/")
		for _, name := range []string{dataset, slice} {
			if name != "" && !seen[name] {
				seen[name] = true
				names = append(names, name)
			}
		}
	}
	return names
}
